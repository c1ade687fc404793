"""LiDAR segmentation on a running sensor: ros2 launch perception_nodes spvcnn.launch.py points:=/velodyne_points"""

from typing import Any


def generate_launch_description() -> Any:
    """The plan "spvcnn" of perception_nodes/graph.py, which `perception up` reads too."""
    from perception_nodes.nodes.launching import launch_description

    return launch_description("spvcnn")
