"""A plan of graph.py as a launch description. Real launch_ros, imported only here and only when a launch file asks."""

from typing import Any

from perception_nodes.graph import PLANS, Argument, GraphNode, LaunchPlan, Ref, config_folder


def launch_description(name: str) -> Any:
    """launch.LaunchDescription of the plan `name`: its arguments with their sentences, and its nodes."""
    from launch.actions import DeclareLaunchArgument

    from launch import LaunchDescription  # type: ignore[attr-defined]

    plan = PLANS[name]
    declared = [
        DeclareLaunchArgument(
            a.name,
            description=a.description,
            **({"default_value": a.default} if a.default is not None else {}),
            **({"choices": list(a.choices)} if a.choices else {}),
        )
        for a in plan.arguments
    ]
    autostart = DeclareLaunchArgument(
        "autostart", default_value="true", description="configure and activate the nodes; false: by a lifecycle manager"
    )
    return LaunchDescription([*declared, autostart, *(_node(plan, node) for node in plan.nodes)])


def _node(plan: LaunchPlan, node: GraphNode) -> Any:
    from launch.actions import Shutdown
    from launch.conditions import IfCondition
    from launch.substitutions import LaunchConfiguration
    from launch_ros.actions import LifecycleNode
    from launch_ros.parameter_descriptions import ParameterValue

    parameters = {name: _value(plan, value) for name, value in node.parameters.items()}
    # The node starts itself: so does `ros2 run`, and Humble's launch_ros has no autostart of its own.
    parameters["autostart"] = ParameterValue(LaunchConfiguration("autostart"), value_type=bool)
    return LifecycleNode(
        package="perception_nodes",
        executable=node.executable,
        name=node.name,
        namespace="",
        parameters=[str(config_folder() / node.config), parameters],
        remappings=[(old, _text(new)) for old, new in node.remaps.items()],
        condition=IfCondition(LaunchConfiguration(node.when)) if node.when else None,
        output="screen",
        on_exit=[Shutdown(reason=f"{node.name} has finished")] if node.ends_all else None,
    )


def _text(value: str | Ref) -> Any:
    from launch.substitutions import LaunchConfiguration

    return LaunchConfiguration(value.argument) if isinstance(value, Ref) else value


def _value(plan: LaunchPlan, value: Any) -> Any:
    """A parameter's value with its type, so that a scenario named 7 stays text and a rate of 1 becomes a float."""
    from launch.substitutions import LaunchConfiguration
    from launch_ros.parameter_descriptions import ParameterValue

    if isinstance(value, Ref):
        return ParameterValue(LaunchConfiguration(value.argument), value_type=_type(plan.argument(value.argument)))
    if isinstance(value, list) and any(isinstance(part, Ref) for part in value):
        parts: list[Any] = ["["]
        for i, part in enumerate(value):
            parts += [", " if i else "", "'", _text(part), "'"]
        return ParameterValue([*parts, "]"], value_type=list[str])
    return value


def _type(argument: Argument) -> type:
    return {"str": str, "int": int, "float": float, "bool": bool}[argument.kind]
