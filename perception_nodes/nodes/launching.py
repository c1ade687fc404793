"""A plan of graph.py as a launch description. Real launch_ros, imported only here and only when a launch file asks."""

import os
import sys
from pathlib import Path
from typing import Any

import yaml

from perception_nodes.graph import PLANS, Argument, LaunchPlan, ResolvedNode, resolve
from perception_nodes.launch_values import unknown_argument

TRUTHS = ("true", "false", "True", "False", "1", "0")
DDS_TRANSPORTS = ("", "DEFAULT", "LARGE_DATA", "SHM", "UDPv4", "UDPv6", "DEFAULTv6", "LARGE_DATAv6")
# Arguments of every launch file; they say how the nodes are started, not what they do.
STARTING = (
    Argument("autostart", "true", "configure and activate the nodes; false: by a lifecycle manager", "bool"),
    Argument("params_file", "", "ROS parameter file, on top of config/<node>.yaml and of a parent's SetParameter"),
    Argument("respawn", "false", "start a node again when it ends", "bool"),
    Argument(
        "dds_transports", "", "FASTDDS_BUILTIN_TRANSPORTS of the nodes; empty: your shell's. LARGE_DATA on both sides "
        "carries raw pictures and large clouds over best effort", choices=DDS_TRANSPORTS,
    ),
)  # fmt: skip
RESPAWN_DELAY_S = 2.0


def launch_description(name: str) -> Any:
    """launch.LaunchDescription of the plan `name`: its arguments with their sentences, and its nodes.

    The nodes are made when the description is visited, all of them or none: a wrong argument leaves nothing running.
    """
    from launch.actions import DeclareLaunchArgument, OpaqueFunction

    from launch import LaunchDescription  # type: ignore[attr-defined]

    plan = PLANS[name]
    declared = [
        DeclareLaunchArgument(
            a.name,
            description=a.description,
            **({"default_value": a.default} if a.default is not None else {}),
            **({"choices": list(choices)} if (choices := TRUTHS if a.kind == "bool" else a.choices) else {}),
        )
        for a in (*plan.arguments, *STARTING)
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=lambda context: _nodes(plan, context))])


def _nodes(plan: LaunchPlan, context: Any) -> list[Any]:
    _refuse_unknown(plan, context)
    values = dict(context.launch_configurations)
    given = {a.name: values[a.name] for a in plan.arguments if a.name in values and values[a.name] != a.default}
    return [_node(node, values) for node in resolve(plan, given)]


def _refuse_unknown(plan: LaunchPlan, context: Any) -> None:
    """Arguments of the command line that the launch file does not have. Only where it was started directly: a launch
    file that includes it has arguments of its own."""
    if not any(Path(word).name == f"{plan.name}.launch.py" for word in sys.argv):
        return
    known = [a.name for a in (*plan.arguments, *STARTING)]
    for word in getattr(context, "argv", ()):
        name, mark, _ = word.partition(":=")
        if mark and name not in known and not name.startswith("launch-prefix"):
            raise ValueError(unknown_argument(name, known, plan.name))


def _node(node: ResolvedNode, values: dict[str, Any]) -> Any:
    from launch.actions import EmitEvent
    from launch.events import Shutdown
    from launch_ros.actions import LifecycleNode

    def is_true(name: str) -> bool:
        return str(values[name]).lower() in ("true", "1")

    chosen = {"autostart"} if str(values["autostart"]) != "true" else set()
    parameters = {**node.parameters, "autostart": is_true("autostart")}
    weak = {k: v for k, v in parameters.items() if k in node.defaults or (k == "autostart" and k not in chosen)}
    strong = {k: v for k, v in parameters.items() if k not in weak}
    transports = {"FASTDDS_BUILTIN_TRANSPORTS": values["dds_transports"]} if values["dds_transports"] else {}

    def ended(event: Any, context: Any) -> Any:
        if context.is_shutdown:
            return None
        if event.returncode:  # `ros2 launch` then ends with code 1
            raise RuntimeError(f"{node.name} ended with code {event.returncode}; its reason is in the log above")
        return [EmitEvent(event=Shutdown(reason=f"{node.name} has finished"))]

    return LifecycleNode(
        package="perception_nodes",
        executable=node.name,
        name=node.name,
        namespace=node.namespace,
        # Later ones win: the YAML, defaults of arguments, a parent's SetParameter, the user's file, given arguments.
        parameters=[
            str(node.config),
            *_typed(weak),
            *_of_parents(values.get("global_params") or ()),
            *([os.path.abspath(values["params_file"])] if values["params_file"] else []),
            *_typed(strong),
        ],
        remappings=list(node.remaps.items()),
        additional_env=transports,
        respawn=is_true("respawn") and not node.ends_all,
        respawn_delay=RESPAWN_DELAY_S,
        output="screen",
        on_exit=ended if node.ends_all else None,
    )


def _of_parents(settings: Any) -> list[Any]:
    """What SetParameter and SetParametersFromFile of a parent launch set: pairs, or paths of files."""
    return [part for one in settings for part in (_typed(dict([one])) if isinstance(one, tuple) else [str(one)])]


def _typed(parameters: dict[str, Any]) -> list[Any]:
    """Parameters with their types, so that a scenario named 7 stays a text."""
    from launch.substitutions import TextSubstitution
    from launch_ros.parameter_descriptions import ParameterValue

    typed: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, (list, tuple)):
            kind: Any = list[type(value[0]) if value else str]  # type: ignore[misc]
            text = yaml.safe_dump(list(value), default_flow_style=True, width=10_000).strip()
            typed[name] = ParameterValue([TextSubstitution(text=text)], value_type=kind)
        elif isinstance(value, str):
            typed[name] = ParameterValue([TextSubstitution(text=value)], value_type=str)
        else:
            typed[name] = value
    return [typed] if typed else []
