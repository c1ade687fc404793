"""Launch arguments, and how a system's node is started: the types that declarations and graph.py share. No ROS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

POINTS_TOPIC = "/lidar/points"
# Cameras of the rigs and converters. The topics of other cameras are remapped by whoever names them.
CAMERAS = ("front", "front_left", "front_right", "back", "back_left", "back_right", "left", "right")


def image_topic(camera: str) -> str:
    """The topic of a camera's pictures, by the stack's names."""
    return f"/camera/{camera}/image/compressed"


def camera_info_topic(camera: str) -> str:
    """The topic of a camera's CameraInfo, by the stack's names."""
    return f"/camera/{camera}/camera_info"


@dataclass(frozen=True)
class Argument:
    """A launch argument: its name, default (None: required), type and sentence.

    kind: `topic` is a text whose default follows the namespace; `list` is names, as in [front, left].
    """

    name: str
    default: str | None
    description: str
    kind: Literal["str", "topic", "int", "float", "bool", "list"] = "str"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ref:
    """The value of a launch argument, where a parameter or a remap takes one."""

    argument: str


# Arguments that several systems may share.
POINTS_IN = Argument("points", POINTS_TOPIC, "topic of the LiDAR's PointCloud2", "topic")
IMAGE_IN = Argument(
    "image", image_topic("front"), "topic of the camera's Image or CompressedImage; {camera}: its name", "topic"
)
CAMERA = Argument("camera", "front", "name of the camera in the outputs")
CAMERAS_IN = Argument("cameras", "", "names of several cameras, as [front, left]; empty: the one of `camera`", "list")


@dataclass(frozen=True)
class Launch:
    """How a system's node is started.

    Attributes:
        plan: name of the launch file that starts this node alone. description: its sentence.
        switch: bool argument of the plans of several nodes that turns this node on or off.
        topics: input topic of the node (`~/input/points`) -> argument that holds the topic to read.
        parameters: dotted parameter -> argument; a list of arguments makes a list, in which an argument of kind `list`
            that is not empty replaces the others. `perception replay` has an option for each argument that is not in
            a list.
        alone: dotted parameter -> the argument that takes its place where the node is started alone.
    """

    plan: str
    description: str
    switch: Argument
    topics: Mapping[str, Argument]
    parameters: Mapping[str, Argument | list[Argument]] = field(default_factory=dict)
    alone: Mapping[str, Argument] = field(default_factory=dict)

    def default_topics(self) -> tuple[str, ...]:
        """The topics that are read where nothing else is said."""
        return tuple(str(argument.default) for argument in self.topics.values())

    def options(self) -> dict[str, Argument]:
        """Dotted parameter -> argument, of those that hold one value."""
        return {name: value for name, value in self.parameters.items() if isinstance(value, Argument)}

    def arguments(self, alone: bool = False) -> tuple[Argument, ...]:
        """Every argument that the node takes."""
        found = [*self.topics.values(), *(part for value in self._chosen(alone).values() for part in _listed(value))]
        return tuple(dict.fromkeys(found))

    def references(self, alone: bool = False) -> dict[str, Any]:
        """The node's parameters as references to arguments."""
        return {
            name: [Ref(part.name) for part in value] if isinstance(value, list) else Ref(value.name)
            for name, value in self._chosen(alone).items()
        }

    def _chosen(self, alone: bool) -> dict[str, Argument | list[Argument]]:
        return {**self.parameters, **(self.alone if alone else {})}


def _listed(value: Argument | list[Argument]) -> Iterator[Argument]:
    yield from value if isinstance(value, list) else (value,)
