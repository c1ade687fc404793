"""Values of launch arguments: from text to types, which cameras are read, which topics follow the namespace. No ROS."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from perception_nodes.config import ConfigError
from perception_nodes.systems.launch import Argument, image_topic

BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
EACH_CAMERA = "{camera}"  # in a topic: the camera's name


def convert(argument: Argument, value: Any) -> Any:
    """A launch argument's text (or a value from YAML) as its type; raises ConfigError."""
    try:
        if argument.choices and str(value) not in argument.choices:
            raise ValueError
        if argument.kind == "bool":
            return BOOLEANS[str(value).lower()]
        if argument.kind == "list":
            return _names(value)
        return {"str": str, "topic": str, "int": int, "float": float}[argument.kind](value)
    except (ValueError, KeyError):
        wanted = " or ".join(argument.choices) or {"bool": "true or false"}.get(argument.kind, argument.kind)
        raise ConfigError(f"{argument.name}:={value}: expected {wanted} ({argument.description})") from None


def _names(value: Any) -> list[str]:
    """[front, left] as a list of texts."""
    if isinstance(value, (list, tuple)):
        return [str(part) for part in value]
    parts = (part.strip().strip("'\"") for part in str(value).strip().strip("[]").split(","))
    return [part for part in parts if part]


def values_of(arguments: Sequence[Argument], given: Mapping[str, Any], plan: str) -> dict[str, Any]:
    """Every argument's value, from what was given and the defaults.

    Raises:
        ConfigError: an unknown argument, a missing one, or one of the wrong type.
    """
    known = {argument.name: argument for argument in arguments}
    for name in given:
        if name not in known:
            raise ConfigError(unknown_argument(name, list(known), plan))
    values = {}
    for argument in arguments:
        value = given.get(argument.name, argument.default)
        if value is None:
            raise ConfigError(f"the {plan} launch needs {argument.name}:=… ({argument.description})")
        values[argument.name] = convert(argument, value)
    return values


def unknown_argument(name: str, known: Sequence[str], plan: str) -> str:
    """The sentence that refuses a launch argument."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"the {plan} launch has no argument {name!r}{hint}; known: {', '.join(known)}"


def relative(topic: str) -> str:
    """A name of the stack as one that follows the node's namespace: /lidar/points -> lidar/points."""
    return topic.lstrip("/")


def rig_cameras(rig_name: str, asked: Sequence[str]) -> tuple[list[str], int]:
    """The cameras that a simulation is read through, and how many of the rig it must render for them.

    Args:
        asked: names; none: the rig's first camera.

    Raises:
        ConfigError: a camera that the rig does not have.
    """
    from perception_nodes.simulator.rigs import rig  # numpy: not for every launch

    known = [camera.name for camera in rig(rig_name).cameras]
    for name in asked:
        if name not in known:
            raise ConfigError(f"no camera {name!r} in rig {rig_name}; its cameras: {', '.join(known)}")
    names = list(asked) or known[:1]
    return names, max(map(known.index, names)) + 1


def camera_topics(names: Sequence[str], image: str) -> dict[str, str]:
    """Camera -> topic of its pictures. image: "" for the stack's names; else a topic, with {camera} for its name.

    Raises:
        ConfigError: one topic for several cameras.
    """
    if not image:
        return {name: relative(image_topic(name)) for name in names}
    if len(names) > 1 and EACH_CAMERA not in image:
        raise ConfigError(
            f"image:={image}: one topic for {len(names)} cameras ({', '.join(names)}); "
            f"write {EACH_CAMERA} for the camera's name, as in image:=/{EACH_CAMERA}/image_raw"
        )
    return {name: image.replace(EACH_CAMERA, name) for name in names}
