"""Keeps the measurements of this machine: one JSON file per network in the user's cache directory.

The file's name is a digest of everything that the result depends on (processor, versions, weights, shapes, threads), so
a change of any of them measures again. The first process that has measured wins; a damaged file counts as absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.runtime import native
from models.runtime.candidates import RUNTIMES, Candidate, available
from models.runtime.compiled import Signature

if TYPE_CHECKING:
    from torch import nn

FORMAT = 2  # of the files; a change of what is measured or how needs a new number
FOLDER = "PERCEPTION_CACHE"  # environment variable
BUSY, QUIET = 1.0, 0.5  # load per core: what was measured above BUSY is measured again once it is below QUIET


@dataclass(frozen=True)
class Measured:
    """One candidate. ms: of one step, None where it was not timed · difference: from torch, relative · agreement: of
    the task, 0..1 · refused: why it was not taken into account; "" where it was."""

    runtime: str
    precision: str
    ms: float | None = None
    difference: float | None = None
    agreement: float | None = None
    refused: str = ""


@dataclass(frozen=True)
class Decision:
    """What runs a network here. network: its name · task: name of the measure of agreement, "" without one · load: per
    core, when it was measured."""

    network: str
    processor: str
    threads: int
    task: str
    chosen: Candidate
    rows: tuple[Measured, ...]
    load: float = 0.0


def load_per_core() -> float:
    """Load average of the last minute over the cores of this process; 0 where the system does not tell."""
    try:
        return os.getloadavg()[0] / _cores()
    except OSError:
        return 0.0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def processor() -> str:
    """Model and cores of this machine's processor."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        name = next((v.strip() for k, v in fields.items() if k.strip() == "model name"), name)
        flags = next((v for k, v in fields.items() if k.strip() == "flags"), "")
        name += f" ({hashlib.sha256(flags.encode()).hexdigest()[:6]})"  # virtual machines hide instruction sets
    except OSError:
        pass
    return f"{name}, {_cores()} cores"


def key_of(module: nn.Module, signature: Signature, threads: int, precision: str) -> str:
    """Digest of what a decision depends on."""
    import torch

    digest = hashlib.sha256()
    about = [FORMAT, processor(), native.build(), available(), repr(signature), threads, precision, repr(module)]
    digest.update(json.dumps(about).encode())
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def folder() -> Path:
    """Where decisions are kept: $PERCEPTION_CACHE/runtime, else in the user's cache directory."""
    given = os.environ.get(FOLDER)
    root = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return (root if given else root / "perception_nodes") / "runtime"


def load(key: str) -> Decision | None:
    """The decision that was kept; None where there is none, its file is damaged, or it was measured on a busy machine
    that is quiet now."""
    found = _read(folder() / f"{key}.json")
    if found is not None and found.load > BUSY and load_per_core() < QUIET:
        forget(key)
        return None
    return found


def keep(key: str, decision: Decision) -> Decision:
    """Keeps a decision and returns the one that stands: another process may have been first.

    A decision that cannot be written (no home, a full disk) is measured again next time, no more.
    """
    path = folder() / f"{key}.json"
    draft = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        with os.fdopen(handle, "w") as file:
            json.dump({"format": FORMAT, **asdict(decision)}, file, indent=1)
        try:
            os.link(draft, path)  # fails where there is a file: the first one wins
        except OSError:
            standing = _read(path)
            if standing is not None:
                return standing
            os.replace(draft, path)  # damaged
            draft = ""
    except OSError:
        pass
    finally:
        if draft:
            Path(draft).unlink(missing_ok=True)
    return decision


def known() -> list[Decision]:
    """All decisions for this processor, by network."""
    found = [_read(path) for path in sorted(folder().glob("*.json"))]
    mine = [d for d in found if d is not None and d.processor == processor()]
    return sorted(mine, key=lambda d: (d.network, d.threads))


def forget(key: str = "*") -> None:
    """Removes one decision, or all: networks are measured again at their next use."""
    for path in folder().glob(f"{key}.json"):
        path.unlink(missing_ok=True)


def _read(path: Path) -> Decision | None:
    try:
        content = json.loads(path.read_text())
        return _decision(content)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _decision(content: dict[str, Any]) -> Decision:
    """ValueError, TypeError or KeyError where the content is not that of a decision."""
    if content["format"] != FORMAT:
        raise ValueError("another format")
    rows = tuple(Measured(**row) for row in content["rows"])
    chosen = Candidate(**content["chosen"])
    texts = [content[name] for name in ("network", "processor", "task")]
    texts += [r.runtime for r in rows] + [r.precision for r in rows] + [r.refused for r in rows]
    numbers = [n for r in rows for n in (r.ms, r.difference, r.agreement) if n is not None]
    if not all(isinstance(t, str) for t in texts) or not all(isinstance(n, (int, float)) for n in numbers):
        raise TypeError("fields of other types")
    if chosen.runtime not in RUNTIMES or chosen.precision not in ("fp32", "bf16"):
        raise ValueError("an unknown choice")
    return Decision(
        content["network"],
        content["processor"],
        int(content["threads"]),
        content["task"],
        chosen,
        rows,
        float(content["load"]),
    )
