"""`perception view FILE`: a bag, or an .rrd file, in rerun; `--save` writes an .rrd file instead."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perception_nodes.bags.reader import BagReader
from perception_nodes.messages.cloud_fields import read_layout
from perception_nodes.messages.point_cloud import decode_point_cloud2
from perception_nodes.viewer.live import BIND, LiveViewer
from perception_nodes.viewer.log import Log, ViewerError
from perception_nodes.viewer.panel import Panel

SHOWN = ("PointCloud2", "Image", "Float64", "Detection3DArray")
POINTS, TRUTH = "/lidar/points", "/ground_truth/segmentation"


def view(file: Path, save: Path | None = None, panels: Sequence[Panel] = ()) -> None:
    """Show a file, or convert a bag to `save`, with the systems' panels. Raises BagError or ViewerError."""
    if file.suffix == ".rrd":
        if not file.is_file():
            raise ViewerError(f"no file {file}; write one with: perception view BAG --save {file}")
        subprocess.run([sys.executable, "-m", "rerun", "--bind", BIND, str(file)], check=False)
        return
    reader = BagReader(file)  # before the viewer: a bad bag opens no window
    if save is not None:
        log = Log(file.name, save=save, panels=panels)
        log_bag(reader, log, panels)
        log.close()
        print(f"wrote {save} ({save.stat().st_size / 1e6:.1f} MB); look at it with: perception view {save}")
        return
    viewer = LiveViewer(file.name, panels=panels)
    try:
        log_bag(reader, viewer.log, panels)
        input("the whole bag is in the viewer; press Enter to close it ")
    except EOFError:
        pass
    finally:
        viewer.close()


def log_bag(reader: BagReader, log: Log, panels: Sequence[Panel] = ()) -> None:
    """Stream every topic that the viewer can show into a log, with a progress bar; memory stays bounded."""
    from rich.progress import track

    own = {topic for panel in panels for topic in panel.topics}
    known = [t for t in reader.topics().values() if t.known]
    shown = {t.name: t.type for t in known if t.type.endswith(SHOWN) or t.name in own}
    if not shown:
        raise ViewerError(f"{reader.path} holds no topic to look at (clouds, pictures, events, figures)")
    total = sum(t.count for t in reader.topics().values() if t.name in shown)
    last_points: tuple[int, np.ndarray] | None = None
    for topic, kind, stamp, raw in track(reader.messages(list(shown)), "reading the bag", total=total):
        message: Any = reader.decode(raw, kind)
        if topic == POINTS:
            last_points = (stamp, decode_point_cloud2(message).xyz)
        if topic == TRUTH:
            label = np.asarray(read_layout(message).column("label"), np.uint8)
            if last_points is not None and len(last_points[1]) == len(label):
                log.truth(last_points[1], label, stamp)
            continue
        log.message(topic, kind, message, stamp)
