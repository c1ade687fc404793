"""Typed parameters of every node. No ROS: the command line and tests read them too.

A node's parameters are a frozen pydantic model; nested models make dotted names, which are the same in YAML, in ROS and
on the command line (`model.precision`). Unknown names are refused. Fields marked `live` may change while a node is
active; all others are read in `on_configure`.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from perception_nodes.classes import POINT_CLASSES
from perception_nodes.streaming.video import MAX_OVERLAP, MIN_SCORE

LIVE: dict[str, Any] = {"live": True}


class ConfigError(ValueError):
    """A parameter that does not exist or has a value that is not allowed; the sentence names it."""


class Section(BaseModel):
    """Base of all parameter groups: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Qos(Section):
    """Quality of service of one kind of topic."""

    reliability: Literal["reliable", "best_effort"] = Field(default="reliable", description="reliable or best_effort")
    durability: Literal["volatile", "transient_local"] = Field(
        default="volatile", description="volatile or transient_local"
    )
    depth: int = Field(default=1, ge=1, le=1000, description="messages kept by the middleware")


class QosGroup(Section):
    """Quality of service of what a node takes in and gives out."""

    input: Qos = Qos(reliability="best_effort", depth=5)
    output: Qos = Qos(reliability="reliable", depth=1)


class Stream(Section):
    """How the stamps of the input are judged."""

    queue: int = Field(
        default=1, ge=1, le=10_000, description="messages that may wait for the worker; 1: the latest wins"
    )
    gap_periods: float = Field(default=5.0, gt=1, description="a step of more periods than this is a gap")
    jump_back_s: float = Field(default=1.0, gt=0, description="a step back of more seconds than this restarts time")
    jump_back_periods: float = Field(default=3.5, gt=1, description="a step back of more periods than this does, too")


class Latency(Section):
    """Thresholds on stamp-to-output latency."""

    warn_ms: float = Field(default=100.0, gt=0, description="above: WARN in /diagnostics", json_schema_extra=LIVE)
    error_ms: float = Field(default=500.0, gt=0, description="above: ERROR in /diagnostics", json_schema_extra=LIVE)


class Diagnostics(Section):
    """How often and how long a node reports its health."""

    period_s: float = Field(default=1.0, gt=0.01, description="seconds between messages on /diagnostics")
    hold_s: float = Field(default=5.0, gt=0, description="seconds for which a single fault keeps its level")
    clock_patience_s: float = Field(
        default=5.0, gt=0, description="seconds without /clock before a warning, with use_sim_time"
    )


class NodeConfig(Section):
    """Parameters that every node has."""

    autostart: bool = Field(
        default=True, description="configure and activate at start; false: wait for a lifecycle manager"
    )
    diagnostics: Diagnostics = Diagnostics()


class PipelineConfig(NodeConfig):
    """Parameters of a node that turns one sensor stream into results."""

    qos: QosGroup = QosGroup()
    stream: Stream = Stream()
    latency: Latency = Latency()


class Model(Section):
    """Which network, and how it runs."""

    name: str = Field(
        default="spvnas-lite", description="a name of `perception weights list`, or a folder with model.yaml"
    )
    precision: Literal["auto", "fp32", "int16", "int8", "bf16"] = Field(
        default="auto", description="arithmetic of the network"
    )
    threads: int = Field(default=2, ge=1, le=256, description="CPU threads of the network")


class CloudInput(Section):
    """What of a cloud is used."""

    max_points: int = Field(
        default=200_000, ge=1, description="points used of one cloud; the others are labelled 255 (ignore)"
    )


class Filtered(Section):
    """What `~/output/filtered` leaves out."""

    drop_classes: list[str] = Field(
        default=["road", "parking", "sidewalk", "other-ground", "terrain"],
        description="classes whose points ~/output/filtered leaves out; [''] for none",
        json_schema_extra=LIVE,
    )

    @field_validator("drop_classes")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        names = [name for name in names if name]  # ROS parameters have no empty list: [''] stands for it
        known = [c.name for c in POINT_CLASSES]
        for name in names:
            if name not in known:
                raise ValueError(f"no point class {name!r}; known: {', '.join(known)}")
        return names


class SpvcnnConfig(PipelineConfig):
    """spvcnn_node."""

    model: Model = Model()
    input: CloudInput = CloudInput()
    filtered: Filtered = Filtered()


class Pictures(Section):
    """How cameras send their pictures."""

    transport: Literal["auto", "raw", "compressed"] = Field(
        default="auto", description="Image (raw), CompressedImage (compressed), or whichever is published (auto)"
    )


class Collect(Section):
    """How the pictures of several cameras become one set."""

    max_age_s: float = Field(
        default=0.25,
        gt=0,
        description="a stamp further from the clock or the other cameras, past or future, is masked",
    )
    min_cameras: int = Field(default=1, ge=1, le=64, description="a set with fewer pictures is given up")
    absent_sets: int = Field(default=3, ge=1, description="a camera missing in so many sets is not waited for")
    patience_s: float = Field(default=3.0, ge=0, description="seconds before a camera without a picture is reported")


class ViewsConfig(PipelineConfig):
    """Parameters of a node that looks through cameras."""

    cameras: list[str] = Field(
        default=["front"], min_length=1, description="names; ~/input/image for one, ~/input/<name>/image for several"
    )
    input: Pictures = Pictures()
    collect: Collect = Collect()

    @field_validator("cameras")
    @classmethod
    def _names(cls, names: list[str]) -> list[str]:
        for name in names:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or names.count(name) > 1:
                raise ValueError(f"camera {name!r}: expected names of letters, digits and _, each once")
        return names

    @model_validator(mode="after")
    def _enough(self) -> "ViewsConfig":
        if self.collect.min_cameras > len(self.cameras):
            raise ValueError(f"collect.min_cameras is {self.collect.min_cameras}, with {len(self.cameras)} cameras")
        return self


class VideoModel(Section):
    """Which video network, and how it runs."""

    name: str = Field(
        default="tsm-events-online", description="a name of `perception weights list`, or a folder with model.yaml"
    )
    runtime: Literal["auto", "openvino", "native", "onnx", "torch"] = Field(
        default="auto", description="what computes the network; auto: the fastest that is installed"
    )
    threads: int = Field(default=2, ge=1, le=256, description="CPU threads of the network")


class Detector(Section):
    """The detector of road users in the same pictures."""

    model: str = Field(default="", description="a name of `perception weights list`, or a folder; empty: none")
    min_score: float = Field(default=MIN_SCORE, ge=0, le=1, description="boxes below this score are left out")
    max_overlap: float = Field(
        default=MAX_OVERLAP,
        ge=0,
        le=1,
        description="of two boxes that overlap more (IoU), of whatever classes, the better stays",
    )


class DebugPicture(Section):
    """~/debug/image."""

    width: int = Field(
        default=640, ge=64, le=4096, description="wider pictures are reduced to this, px", json_schema_extra=LIVE
    )


class TsmConfig(ViewsConfig):
    """tsm_node."""

    model: VideoModel = VideoModel()
    detector: Detector = Detector()
    debug: DebugPicture = DebugPicture()


class Playback(Section):
    """What of a bag is played, and how fast."""

    rate: float = Field(
        default=1.0, ge=0, le=1000, description="times real time; 0: each message waits for the last one's answer"
    )
    loop: bool = Field(default=False, description="start again at the end, for ever")
    start_s: float = Field(default=0.0, ge=0, description="seconds of the bag to skip")
    duration_s: float = Field(default=0.0, ge=0, description="seconds to play; 0: to the end")
    paused: bool = Field(default=False, description="wait for ~/resume or ~/step before the first message")
    topics: list[str] = Field(default=[""], description="topics to play; ['']: all")
    wait_for: list[str] = Field(default=[""], description="topics that must have a subscriber before the start")
    wait_s: float = Field(default=10.0, ge=0, description="seconds to wait for subscribers before playing all the same")


class ClockOut(Section):
    """The player's /clock."""

    publish: bool = Field(default=True, description="publish bag time on /clock")
    rate_hz: float = Field(
        default=100.0, gt=0, le=1000, description="messages per second on /clock between the bag's messages"
    )


class Answer(Section):
    """Who answers whom, for rate 0."""

    inputs: list[str] = Field(
        default=["/lidar/points", "/camera/front/image/compressed"], description="topics that are answered"
    )
    topics: list[str] = Field(
        default=["/perception/segmentation", "/perception/events"],
        description="topics of their answers, one each, with the same stamp",
    )

    @model_validator(mode="after")
    def _pairs(self) -> "Answer":
        if len(self.inputs) != len(self.topics):
            raise ValueError(f"{len(self.inputs)} answer.inputs and {len(self.topics)} answer.topics; expected pairs")
        return self


class PlayerConfig(NodeConfig):
    """player_node."""

    bag: str = Field(default="", description="path of the rosbag2 folder, or of one .mcap or .db3 file")
    playback: Playback = Playback()
    clock: ClockOut = ClockOut()
    latched: list[str] = Field(
        default=["/tf_static", "*/classes", "/ground_truth/map/*"],
        description="topics published transient local (patterns with *), besides those that the bag says",
    )
    best_effort: list[str] = Field(default=[""], description="topics published best effort (patterns with *)")
    answer: Answer = Answer()


class SimulatorConfig(NodeConfig):
    """simulator_node."""

    scenario: str = Field(default="suburb_day", description="a name of `perception simulate --list`, or random")
    rig: str = Field(default="kitti", description="sensor rig: nuscenes, kitti or vlp16")
    seed: int = Field(default=0, ge=0, description="the same seed gives the same drive")
    rate: float = Field(default=1.0, gt=0, le=100, description="times real time; slower where frames take longer")
    seconds: float = Field(default=0.0, ge=0, description="length of the drive; 0: for ever")
    lidar: bool = Field(default=True, description="cast the LiDAR")
    cameras: bool = Field(default=True, description="render cameras")
    max_cameras: int = Field(default=1, ge=1, le=16, description="cameras rendered at most, in the rig's order")
    image_width: int = Field(default=704, ge=16, le=4096, description="width of the images, px")
    jpeg_quality: int = Field(default=85, ge=10, le=100, description="of the compressed images")
    threads: int = Field(default=2, ge=1, le=256, description="CPU threads of the sensors")
    truth: bool = Field(default=True, description="publish /ground_truth/...")
    clock_hz: float = Field(default=100.0, gt=0, le=1000, description="messages per second on /clock")


NODE_CONFIGS: dict[str, type[NodeConfig]] = {
    "spvcnn_node": SpvcnnConfig,
    "tsm_node": TsmConfig,
    "player_node": PlayerConfig,
    "simulator_node": SimulatorConfig,
}

C = TypeVar("C", bound=NodeConfig)


class ParameterInfo(NamedTuple):
    """One leaf of a config: its dotted name, default, sentence and whether it may change while active."""

    name: str
    default: Any
    description: str
    live: bool


def parameters_of(config: type[Section] | Section, prefix: str = "") -> Iterator[ParameterInfo]:
    """Every leaf of a config class (with defaults) or of an instance (with its values), in reading order."""
    cls = config if isinstance(config, type) else type(config)
    for name, info in cls.model_fields.items():
        value = info.default if isinstance(config, type) else getattr(config, name)
        if isinstance(value, Section):
            yield from parameters_of(value, f"{prefix}{name}.")
            continue
        extra = info.json_schema_extra
        live = isinstance(extra, dict) and bool(extra.get("live"))
        yield ParameterInfo(prefix + name, value, info.description or "", live)


def unknown_parameter(cls: type[NodeConfig], name: str, owner: str = "") -> str:
    """The sentence that refuses a parameter: the nearest known one, and all of them."""
    known = [p.name for p in parameters_of(cls)]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"no parameter {name!r}{f' of {owner}' if owner else ''}: {hint}known: {', '.join(known)}"


def build_config(cls: type[C], values: Mapping[str, Any], owner: str = "") -> C:
    """A config from dotted names; names not given keep their defaults.

    Raises:
        ConfigError: an unknown name (with the nearest known one) or a value that is not allowed.
    """
    known = {p.name for p in parameters_of(cls)}
    whose = f" of {owner}" if owner else ""
    for name in values:
        if name not in known:
            raise ConfigError(unknown_parameter(cls, name, owner))
    merged: dict[str, Any] = {}
    for parameter in parameters_of(cls):
        *groups, leaf = parameter.name.split(".")
        place = merged
        for group in groups:
            place = place.setdefault(group, {})
        place[leaf] = values.get(parameter.name, parameter.default)
    try:
        return cls.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        said = str(first["msg"]).removeprefix("Value error, ")
        raise ConfigError(f"parameter {name!r}{whose}: {said} (found {first['input']!r})") from None
