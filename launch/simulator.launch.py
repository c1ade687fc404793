"""The driving world, live: ros2 launch perception_nodes simulator.launch.py scenario:=suburb_day rig:=nuscenes"""

from typing import Any


def generate_launch_description() -> Any:
    """The plan "simulator" of perception_nodes/graph.py, which `perception up` reads too."""
    from perception_nodes.nodes.launching import launch_description

    return launch_description("simulator")
