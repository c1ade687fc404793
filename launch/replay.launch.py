"""A bag through LiDAR segmentation: ros2 launch perception_nodes replay.launch.py bag:=PATH"""

from typing import Any


def generate_launch_description() -> Any:
    """The plan "replay" of perception_nodes/graph.py, which `perception up` reads too."""
    from perception_nodes.nodes.launching import launch_description

    return launch_description("replay")
