"""`perception up`: starts a stack and, with --view, a viewer of its topics in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from perception_nodes.children import start_child
from perception_nodes.nodes.compose import read_stack, start
from perception_nodes.nodes.environment import isolate_environment

if TYPE_CHECKING:
    from perception_nodes.graph import ResolvedNode

END_S = 10.0  # for the viewer's process to end


def run(config: Path | None, composed: bool, network: bool, view: bool) -> int:
    """Starts the stack of a file and waits for its end.

    Args:
        config: see `read_stack`. composed: all nodes in one process; else one process each.
        network: with the DDS settings of this shell; else nodes of this machine only are heard and hear.
        view: show what the nodes read and write in rerun.

    Returns:
        Exit code: 0 after a clean end.

    Raises:
        ConfigError: see `read_stack`. ViewerError: `view` without rerun.
    """
    nodes = read_stack(config)
    if not network:
        isolate_environment()
    with watched(nodes) if view else nullcontext():
        return start(nodes, composed)


@contextmanager
def watched(nodes: Sequence[ResolvedNode]) -> Iterator[None]:
    """A process with a viewer, which ends with the block and never holds the interpreter's lock of the nodes."""
    from perception_nodes.viewer.log import require_rerun

    require_rerun()
    names = [f"/{node.namespace.strip('/')}/{node.name}".replace("//", "/") for node in nodes]
    child = start_child([sys.executable, "-m", "perception_nodes.commands.watch", *names])
    try:
        yield
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
        try:
            child.wait(END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
