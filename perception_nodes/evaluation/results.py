"""Where results go: results/<stamp>/ with metrics.json, config.yaml and pictures, and a `latest` link to the newest."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path

import yaml


def check_root(root: str | Path = "results") -> None:
    """Raises OSError where no results can be written into `root`: found before the work, not after it."""
    root = Path(root)
    link = root / "latest"
    if link.exists() and not link.is_symlink():
        raise OSError(f"{link} is not a link: move it away, it is where the newest results are to be found")
    there = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise OSError(f"cannot write results into {root}: {there} is a file, expected a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OSError(f"cannot write results into {root}: no permission to write into {there}")


def new_folder(root: str | Path = "results") -> Path:
    """Make and return results/<UTC stamp>/ with an empty pictures/ inside; a second one in a second gets a suffix."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d_%H%M%S")
    root = Path(root)
    for suffix in ("", *(f"_{i}" for i in range(1, 100))):
        folder = root / (stamp + suffix)
        try:
            (folder / "pictures").mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise OSError(f"{root} holds a hundred results of one second: remove some")


def point_latest(folder: Path) -> None:
    """Let `latest`, beside the folder, point to it; an older link is replaced, a real folder of that name refused."""
    link = folder.parent / "latest"
    if link.exists() and not link.is_symlink():
        raise OSError(f"{link} is not a link: move it away, it is where the newest results are to be found")
    fresh = folder.parent / f".latest-{os.getpid()}"
    fresh.symlink_to(folder.name)
    fresh.replace(link)  # atomic: there is always a `latest`


def write_metrics(folder: Path, metrics: dict) -> Path:
    """metrics.json, keys as in docs/figures.md; NaN is refused: a missing score is absent or "no data"."""
    path = folder / "metrics.json"
    path.write_text(json.dumps(metrics, indent=1, allow_nan=False) + "\n")
    return path


def write_config(folder: Path, config: dict) -> Path:
    """config.yaml: the settings that were used, beside the results."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path
