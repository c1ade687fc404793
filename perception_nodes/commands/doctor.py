"""`perception doctor`: what is installed, what will be used and why, what is missing and what to type."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from perception_nodes.commands.words import say_next

if TYPE_CHECKING:
    from rich.table import Table


class Finding(NamedTuple):
    """One line of the doctor: a part, its state ("ok", "missing", "note"), what was found, what to type."""

    part: str
    state: str
    found: str
    remedy: str = ""


NEEDED = ("torch", "numpy", "numba", "scipy", "cv2", "rosbags", "safetensors", "pydantic", "typer", "yaml", "jinja2")

# module -> (what it is used for, what stands in without it, how to get it)
OPTIONAL = {
    "rclpy": (
        "nodes",
        "bags and evaluation work without",
        "pip install 'perception_nodes[ros]', or source a ROS 2 install",
    ),
    "rerun": (
        "perception view, --view",
        "reports with pictures are always written",
        "pip install 'perception_nodes[viz]'",
    ),
    "vision_msgs": (
        "Detection3DArray, LabelInfo",
        "markers and a JSON class table carry the same",
        "a ROS 2 install has it",
    ),
    "tf2_ros": ("extrinsics from live TF", "/tf_static is read directly, or a rig YAML", "a ROS 2 install has it"),
    "launch_ros": ("ros2 launch", "perception up starts the same graph", "a ROS 2 install has it"),
    "openvino": (
        "dense networks; uses AMX and takes what our kernels do not",
        "ONNX Runtime or torch run them slower",
        "pip install 'perception_nodes[fast]'",
    ),
    "onnxruntime": ("dense networks, exported files", "torch runs them slower", "pip install 'perception_nodes[fast]'"),
    "torchsparse": ("GPU sparse convolution", "our own engine runs on the CPU", "build it from source for CUDA"),
    "spconv": ("a peer in benchmarks", "its rows are left out", "pip install 'perception_nodes[bench]'"),
}


def findings() -> Iterator[Finding]:
    """Examine this machine part by part."""
    yield Finding("python", "ok", f"{sys.version.split()[0]} on {platform.machine()}, {os.cpu_count()} cores")
    for name in NEEDED:
        yield needed(name)
    for name, (use, instead, remedy) in OPTIONAL.items():
        version = installed(name)
        if version:
            yield Finding(name, "ok", f"{version}: {use}")
        else:
            yield Finding(name, "note", f"not installed ({use}); {instead}", remedy)
    yield checked("sparse engine", sparse_engine, "reinstall with a C compiler: apt-get install gcc, then make setup")
    yield checked("dense networks", dense_runtime, "make setup")
    yield checked("models", models, "restore models/weights from the repository")
    yield checked("DDS", dds, "")
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        yield Finding("C compiler", "note", "none: the sparse engine stays on numba", "apt-get install gcc python3-dev")


def needed(name: str) -> Finding:
    """A dependency without which the package does not work."""
    version = installed(name)
    if version:
        return Finding(name, "ok", version)
    return Finding(name, "missing", "not installed", "make setup (or: pip install -e .)")


def installed(module: str) -> str:
    """Version of a module that can be found (not imported), "" otherwise."""
    try:
        if importlib.util.find_spec(module) is None:
            return ""
    except (ImportError, ValueError):
        return ""
    distributions = importlib.metadata.packages_distributions().get(module, [module])
    for distribution in distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "found"


def checked(part: str, check: Callable[[], str], remedy: str) -> Finding:
    """A part that examines itself; what it raises is what is wrong with it."""
    try:
        return Finding(part, "ok", check())
    except Exception as error:  # the doctor reports, it does not fall ill
        return Finding(part, "missing", f"{type(error).__name__}: {error}", remedy)


def sparse_engine() -> str:
    """Which backend of the sparse engine will run, and why."""
    from models.sparse.backend import describe

    return str(describe())


def dense_runtime() -> str:
    """Which runtime the camera networks take, and what else is there."""
    from models.runtime import describe

    return describe()


def runtime_table() -> Table:
    """What was measured of every dense network on this machine; the chosen candidate is marked."""
    from rich.markup import escape
    from rich.table import Table

    from models.runtime.decisions import folder, known

    table = Table("network", "threads", "candidate", "ms", "largest difference", "task", "chosen")
    decisions = known()
    table.title = f"Runtimes of dense networks, measured on this machine ({escape(str(folder()))})"
    if not decisions:
        table.title += ": none yet; a network is measured at its first use, or by `perception doctor --measure`"
    for decision in decisions:
        for row in decision.rows:
            chosen = (row.runtime, row.precision) == (decision.chosen.runtime, decision.chosen.precision)
            task = "" if row.agreement is None else f"{decision.task} {row.agreement:.0%}"
            table.add_row(
                escape(decision.network), str(decision.threads), f"{row.runtime} {row.precision}",
                "" if row.ms is None else f"{row.ms:.2f}",
                "" if row.difference is None else f"{row.difference:.1e}",
                task, "yes" if chosen else escape(row.refused),
            )  # fmt: skip
    return table


def measure_runtimes() -> None:
    """Measures the runtimes of all dense networks at hand again, with a progress bar."""
    import logging

    from rich.progress import track

    from models.facts import family_of, list_models, load_facts
    from models.runtime.decisions import forget

    forget()
    families = {name: family_of(load_facts(name)) for name in list_models()}
    dense = {name: family.open_session for name, family in families.items() if hasattr(family, "open_session")}
    log = logging.getLogger("models.runtime")
    before = log.level
    log.setLevel(logging.ERROR)  # the bar says what is going on
    try:
        for name in track(dense, description=f"measuring {len(dense)} networks"):
            dense[name](name)
    finally:
        log.setLevel(before)


def models() -> str:
    """Which trained models are whole."""
    from models.facts import list_models, verify

    names = [verify(name).name for name in list_models()]
    if not names:
        raise FileNotFoundError("no trained model in models/weights")
    return f"{', '.join(names)} (hashes agree)"


def dds() -> str:
    """The DDS settings that the nodes will start with."""
    from perception_nodes.nodes.environment import describe_environment

    return describe_environment()


def examine(measure: bool = False) -> int:
    """Print every finding; returns 1 if something needed is missing, else 0. measure: measure the runtimes again."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if measure:
        measure_runtimes()
    table = Table("part", "state", "found", "what to type")
    colours = {"ok": "green", "note": "yellow", "missing": "bold red"}
    ill = 0
    for finding in findings():
        ill |= finding.state == "missing"
        state = f"[{colours[finding.state]}]{finding.state}"
        table.add_row(escape(finding.part), state, escape(finding.found), escape(finding.remedy))
    console = Console()
    console.print(table)
    console.print(runtime_table())
    if not ill:
        say_next("demo")
    return int(ill)
