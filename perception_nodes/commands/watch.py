"""`python -m perception_nodes.commands.watch NODE…`: what running nodes read and write, live in rerun.

`perception up --view` starts it. It closes when the viewer is closed; the nodes go on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from perception_nodes.nodes.main import run
from perception_nodes.systems import PANELS, SYSTEMS
from perception_nodes.viewer.live import LiveViewer
from perception_nodes.viewer.log import ViewerError, is_shown

MEMORY = "1GB"  # of the viewer, which then drops the oldest data: a stack runs for hours
# Outputs that are computed only while somebody subscribes, and that the viewer draws itself from the others.
UNSEEN = {output.topic for system in SYSTEMS for output in system.outputs if not output.recorded}


def watch(nodes: Sequence[str]) -> int:
    """Shows the topics of nodes (absolute names) until SIGINT, SIGTERM or the viewer's end; returns the exit code."""
    try:
        viewer = LiveViewer("stack", panels=PANELS, memory=MEMORY)
    except ViewerError as error:
        print(f"viewer: {error}; the nodes run without it", file=sys.stderr, flush=True)
        return 1
    spaces = {name.rpartition("/")[0] for name in nodes}

    def stack_name(topic: str) -> str:
        """The topic's name in the stack, without the namespace of the nodes."""
        return next((topic.removeprefix(space) for space in spaces if space and topic.startswith(space + "/")), topic)

    def wanted(topic: str, kind: str) -> bool:
        name = stack_name(topic)
        return is_shown(name, kind, PANELS) and name not in UNSEEN

    def make(**ros: Any) -> Any:
        from perception_nodes.nodes.watch_node import WatchNode

        return WatchNode(
            nodes,
            wanted=wanted,
            listener=lambda topic, *rest: viewer.log.message(stack_name(topic), *rest),
            is_open=lambda: viewer.running,
            use_global_arguments=False,
            **ros,
        )

    try:
        code = run([make], args=[])
        if not viewer.running:
            print("the viewer was closed; the nodes go on", flush=True)
        return code
    finally:
        viewer.close()


if __name__ == "__main__":
    sys.exit(watch(sys.argv[1:]))
