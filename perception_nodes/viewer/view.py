"""`perception view FILE`: a bag, or an .rrd file, in rerun; `--save` writes an .rrd file instead."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perception_nodes.bags.reader import BagReader
from perception_nodes.children import until_interrupted
from perception_nodes.messages.cloud_fields import read_layout
from perception_nodes.messages.point_cloud import decode_point_cloud2
from perception_nodes.streaming.bag_calibration import bag_calibration
from perception_nodes.streaming.bag_inputs import around, camera_topics
from perception_nodes.viewer.live import BIND, LiveViewer, has_display, viewer_program
from perception_nodes.viewer.log import Log, ViewerError, is_shown
from perception_nodes.viewer.panel import Panel

POINTS, TRUTH = "/lidar/points", "/ground_truth/segmentation"


def view(file: Path, save: Path | None = None, panels: Sequence[Panel] = (), beside: Path | None = None) -> None:
    """Show a file, or convert a bag to `save`, with the systems' panels; of the bag `beside` everything that the file
    does not hold itself. Raises BagError or ViewerError."""
    if file.suffix == ".rrd":
        open_recording(file)
        return
    readers = [BagReader(path) for path in (beside, file) if path is not None]  # a bad bag opens no window
    held = frozenset(readers[-1].topics())
    if save is not None:
        partial = save.with_name(f".{save.name}.partial")
        try:
            log = Log(file.name, save=partial, panels=panels, **sensors_of(readers))
            _log_all(readers, log, panels, held)
            log.close()
            partial.replace(save)
        finally:
            partial.unlink(missing_ok=True)
        print(f"wrote {save} ({save.stat().st_size / 1e6:.1f} MB)\nnext: perception view {save}")
        return
    viewer = LiveViewer(file.name, panels=panels, **sensors_of(readers))
    try:
        _log_all(readers, viewer.log, panels, held)
        with contextlib.suppress(EOFError), until_interrupted():
            input("the whole bag is in the viewer; press Enter to close it ")
    finally:
        viewer.close()


def sensors_of(readers: Sequence[BagReader]) -> dict[str, Any]:
    """`calibration` and `cameras` of `Log`, of the first bag that has pictures or transforms."""
    for reader in readers:
        topics = camera_topics(reader)
        if topics or "/tf_static" in reader.topics():
            return {"calibration": bag_calibration(reader, topics), "cameras": around(topics)}
    return {}


def open_recording(file: Path) -> None:
    """A window with an .rrd file. Raises ViewerError where there is no file, no display, or the viewer fails."""
    if not file.is_file():
        raise ViewerError(f"no file {file}; write one with: perception view BAG --save {file}")
    if not has_display():
        raise ViewerError(
            f"found no display to show {file} on (DISPLAY and WAYLAND_DISPLAY are empty): open it on a machine with "
            "one, or look at the bag in a browser with: perception view BAG"
        )
    done = subprocess.run([*viewer_program(), "--bind", BIND, str(file)], check=False)
    if done.returncode:
        raise ViewerError(f"the viewer ended with code {done.returncode}: see its words above")


def _log_all(readers: Sequence[BagReader], log: Log, panels: Sequence[Panel], held: frozenset[str]) -> None:
    """The last bag whole, of the others the topics that it does not have."""
    for reader in readers:
        log_bag(reader, log, panels, without=frozenset() if reader is readers[-1] else held)


def log_bag(reader: BagReader, log: Log, panels: Sequence[Panel] = (), without: frozenset[str] = frozenset()) -> None:
    """Stream every topic that the viewer can show, but those in `without`, into a log, with a progress bar; memory
    stays bounded."""
    from rich.progress import track

    known = [t for t in reader.topics().values() if t.known and t.name not in without]
    shown = {t.name: t.type for t in known if is_shown(t.name, t.type, panels)}
    if not shown:
        raise ViewerError(f"{reader.path} holds no topic to look at (clouds, pictures, events, figures)")
    total = sum(t.count for t in reader.topics().values() if t.name in shown)
    last_points: tuple[np.ndarray, str] | None = None
    for topic, kind, stamp, raw in track(reader.messages(list(shown)), "reading the bag", total=total):
        message: Any = reader.decode(raw, kind)
        if topic == POINTS:
            cloud = decode_point_cloud2(message)
            last_points = (cloud.xyz, cloud.frame_id)
        if topic == TRUTH:
            label = np.asarray(read_layout(message).column("label"), np.uint8)
            if last_points is not None and len(last_points[0]) == len(label):
                log.truth(last_points[0], label, stamp, last_points[1])
            continue
        log.message(topic, kind, message, stamp)
