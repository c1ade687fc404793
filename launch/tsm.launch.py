"""Driving events in a running camera: ros2 launch perception_nodes tsm.launch.py image:=/camera/image_raw"""

from typing import Any


def generate_launch_description() -> Any:
    """The plan "tsm" of perception_nodes/graph.py, which `perception up` reads too."""
    from perception_nodes.nodes.launching import launch_description

    return launch_description("tsm")
