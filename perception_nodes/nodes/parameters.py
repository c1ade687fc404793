"""ROS parameters from a typed config: declared with descriptions, unknown names refused, values checked as a whole."""

from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from perception_nodes.config import ConfigError, NodeConfig, build_config, parameters_of, unknown_parameter

C = TypeVar("C", bound=NodeConfig)

# Declared by rclpy itself, not by a node.
SYSTEM_NAMES = ("use_sim_time", "start_type_description_service")
SYSTEM_PREFIX = "qos_overrides."


def _is_system(name: str) -> bool:
    return name in SYSTEM_NAMES or name.startswith(SYSTEM_PREFIX)


class Parameters(Generic[C]):
    """The live, validated config of a node.

    The node must have been created with `automatically_declare_parameters_from_overrides=True`: that makes what YAML
    and `-p` gave visible, unknown names included.

    Raises:
        ConfigError: an override that is not a parameter of the node, or whose value is not allowed.
    """

    def __init__(self, node: Node, config_class: type[C]) -> None:
        self._class = config_class
        self._node = node
        self._locked = False
        given = {name: p.value for name, p in node.get_parameters_by_prefix("").items() if not _is_system(name)}
        self.config = build_config(config_class, given, node.get_name())
        for name in given:
            node.undeclare_parameter(name)
        node.declare_parameters(
            "",
            [
                (p.name, _to_ros(p.default), ParameterDescriptor(description=p.description))
                for p in parameters_of(self.config)
            ],
            ignore_override=True,
        )
        node.add_on_set_parameters_callback(self._on_set)

    def unknown(self, name: str) -> str:
        """The sentence that refuses a parameter which does not exist."""
        return unknown_parameter(self._class, name, self._node.get_name())

    def lock(self, locked: bool) -> None:
        """While locked (configured), only live parameters may change."""
        self._locked = locked

    def _on_set(self, changes: list[Parameter[Any]]) -> SetParametersResult:
        ours = {p.name: p.value for p in changes if not _is_system(p.name)}
        infos = {p.name: p for p in parameters_of(self.config)}
        for name, value in ours.items():
            info = infos.get(name)
            if info is not None and self._locked and not info.live and value != _to_ros(info.default):
                reason = f"{name} is read when the node is configured: deactivate and clean up first, then set it"
                return SetParametersResult(successful=False, reason=reason)
        try:
            merged = {name: info.default for name, info in infos.items()} | ours
            self.config = build_config(self._class, merged, self._node.get_name())
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)


def _to_ros(value: Any) -> Any:
    return value if value != [] else [""]  # an empty list has no type in ROS
