"""Systems on a bag: which topics feed which system, with which parameters; live and offline runs both read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.source import INFO, TF, TF_STATIC
from perception_nodes.config import build_config
from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.streaming.bag_calibration import camera_info_topic
from perception_nodes.streaming.bag_inputs import CLOUD, camera_topics, chosen_cameras, has_clouds, points_topic
from perception_nodes.systems import SYSTEMS
from perception_nodes.systems.inputs import POINTS
from perception_nodes.systems.system import Output, System


@dataclass(frozen=True)
class SystemRun:
    """One system on one bag.

    Attributes:
        topics: stream -> topic of the bag; cameras in their order.
        parameters: dotted names, as for the node; `cameras` follows from `topics`.
        open_session: used instead of `system.open`.
        every_output: record all outputs instead of those that the declaration names.
        calibration: what feeds the calibration -> topic of the bag, of those that the bag has (see `feeds_of`).
    """

    system: System
    topics: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    open_session: Callable[[Any], Any] | None = None
    every_output: bool = False
    calibration: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_parameters(self) -> dict[str, Any]:
        """The parameters, with the cameras."""
        cameras = [name for name in self.topics if name != POINTS] if self.system.inputs.cameras else []
        return {**self.parameters, **({"cameras": cameras} if cameras else {})}

    @property
    def config(self) -> Any:
        """The typed parameters; raises ConfigError."""
        return build_config(self.system.config, self.all_parameters, self.system.node_name)

    @property
    def answered(self) -> dict[str, str]:
        """Stream -> topic of the messages that each get an answer."""
        wanted = self.system.inputs.answered(self.config)
        return {stream: self.topics[stream] for stream in wanted if stream in self.topics}

    def recorded(self) -> tuple[Output, ...]:
        """The outputs to record, the answer first."""
        return tuple(o for o in self.system.outputs if o.recorded or self.every_output)

    def input_of_answer(self, raw: bytes) -> tuple[str, int]:
        """(stream, stamp in ns) of the message that a serialised answer belongs to; raises MessageError."""
        read = self.system.answer.stamp
        return read(raw) if read is not None else (next(iter(self.answered)), header_stamp_ns(raw))

    def state_of_answer(self, raw: bytes) -> str:
        """Why a serialised message on the answer's topic is none ("held", "warming_up"); "" for an answer."""
        read = self.system.answer.state
        return read(raw) if read is not None else ""


def find_runs(
    reader: BagReader,
    names: Sequence[str] = (),
    cameras: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    systems: Sequence[System] = SYSTEMS,
    points: str = "",
) -> list[SystemRun]:
    """The systems asked for, with their topics and parameters; none: all that the bag has input for, but those that run
    on request only.

    Args:
        names: of systems. cameras: names; none: all of them for a system that reads a cloud too, else "front" where it
            is there, else the first.
        options: launch argument -> value, for the parameters of every system that has this argument.
        points: topic of the clouds; "": see `points_topic`.

    Raises:
        BagError: an unknown system, an input that the bag lacks (with what it holds), or nothing for any system.
    """
    known = {system.name: system for system in systems}
    for name in names:
        if name not in known:
            raise BagError(f"no node {name!r}; choose from {', '.join(known)}")
    found = [known[name] for name in dict.fromkeys(names)] or [
        s for s in systems if not s.on_request and _has_input(reader, s)
    ]
    found = found or [systems[0]]  # its missing input is then reported
    return [_run(reader, system, cameras, points, options or {}) for system in found]


def _run(
    reader: BagReader, system: System, cameras: Sequence[str], points: str, options: Mapping[str, Any]
) -> SystemRun:
    topics = _topics(reader, system, cameras, points)
    feeds = calibration_topics(reader, topics) if system.inputs.calibrated else {}
    if not system.inputs.cameras:
        feeds.pop(TF, None)  # see Inputs.calibration_topics
    return SystemRun(system, topics, _parameters(system, options), calibration=feeds)


def calibration_topics(reader: BagReader, topics: Mapping[str, str]) -> dict[str, str]:
    """What feeds the calibration -> topic of the bag, of what the bag has; `topics`: stream -> topic."""
    feeds = {name: f"/{name}" for name in (TF_STATIC, TF)}
    feeds |= {f"{name}{INFO}": camera_info_topic(reader, topic) for name, topic in topics.items() if name != POINTS}
    return {feed: topic for feed, topic in feeds.items() if topic in reader.topics()}


def _has_input(reader: BagReader, system: System) -> bool:
    clouds = not system.inputs.cloud or has_clouds(reader)
    return clouds and (not system.inputs.cameras or bool(camera_topics(reader)))


def _topics(reader: BagReader, system: System, cameras: Sequence[str], points: str) -> dict[str, str]:
    if system.inputs.cloud and points and points not in reader.topics_of(CLOUD):
        held = ", ".join(reader.topics_of(CLOUD)) or "none"
        raise BagError(f"the bag {reader.path} has no points on {points}; its PointCloud2 topics are {held}")
    topics = {POINTS: points_topic(reader, points or _default_points(system))} if system.inputs.cloud else {}
    return topics | (chosen_cameras(reader, cameras, every=bool(topics)) if system.inputs.cameras else {})


def _default_points(system: System) -> str:
    return system.launch.default_topics()[0]


def _parameters(system: System, options: Mapping[str, Any]) -> dict[str, Any]:
    given = {parameter: argument.name for parameter, argument in system.launch.options().items()}
    chosen = {parameter: options[name] for parameter, name in given.items() if options.get(name) is not None}
    return {**system.recording_overrides, **chosen}
