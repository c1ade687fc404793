"""Boxes and a map around the vehicle: ros2 launch perception_nodes bevfusion.launch.py rig_file:=my_rig.yaml"""

from typing import Any


def generate_launch_description() -> Any:
    """The plan "bevfusion" of perception_nodes/graph.py, which `perception up` reads too."""
    from perception_nodes.nodes.launching import launch_description

    return launch_description("bevfusion")
