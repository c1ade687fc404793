"""The whole stack: ros2 launch perception_nodes perception.launch.py [simulate:=true]"""

from typing import Any


def generate_launch_description() -> Any:
    """The plan "perception" of perception_nodes/graph.py, which `perception up` reads too."""
    from perception_nodes.nodes.launching import launch_description

    return launch_description("perception")
