"""A running camera at night: ros2 launch perception_nodes gan.launch.py image:=/camera/image_raw style:=night"""

from typing import Any


def generate_launch_description() -> Any:
    """The plan "gan" of perception_nodes/graph.py, which `perception up` reads too."""
    from perception_nodes.nodes.launching import launch_description

    return launch_description("gan")
