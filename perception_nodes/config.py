"""Typed parameters: what every node and every system shares. No ROS: the command line and tests read them too.

A node's parameters are a frozen pydantic model; nested models make dotted names, which are the same in YAML, in ROS and
on the command line (`model.precision`). Unknown names are refused. Fields marked `live` may change while a node is
active; all others are read in `on_configure`.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

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


class InputConfig(Section):
    """What every sensor's input has."""

    patience_s: float = Field(
        default=3.0, gt=0, description="seconds without a message before a sensor is a WARN; three times that: ERROR"
    )


class PipelineConfig(NodeConfig):
    """Parameters of a node that turns one sensor stream into results."""

    qos: QosGroup = QosGroup()
    stream: Stream = Stream()
    latency: Latency = Latency()
    input: InputConfig = InputConfig()


class CloudSettings(InputConfig):
    """What of a cloud is used."""

    max_points: int = Field(default=200_000, ge=1, description="points used of one cloud")
    intensity_scale: str = Field(
        default="auto",
        description="full scale of the intensities: 1, 255, another number; auto: found from the first clouds",
    )

    @field_validator("intensity_scale", mode="before")
    @classmethod
    def _full_scale(cls, value: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = f"{value:g}"  # ROS and YAML make a number of 255
        if value != "auto" and not (isinstance(value, str) and _is_positive(value)):
            raise ValueError("expected auto, or the sensor's full scale as a number above 0 (1, 255, 65535)")
        return value

    @property
    def full_scale(self) -> float | None:
        """The given full scale; None: it is to be found."""
        return None if self.intensity_scale == "auto" else float(self.intensity_scale)


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False


class Pictures(InputConfig):
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


class CollectAroundCloud(Collect):
    """How each sweep finds its pictures."""

    min_cameras: int = Field(default=0, ge=0, le=64, description="a sweep with fewer is given up; 0: LiDAR alone")
    wait_s: float = Field(
        default=0.08, ge=0, description="seconds for which a sweep waits for its pictures; less than a LiDAR's period"
    )
    offsets_s: list[float] = Field(
        default=[0.0], min_length=1, description="seconds from a sweep to its pictures; one for all, or one a camera"
    )

    def fused(self, cameras: list[str]) -> dict[str, Any]:
        """Arguments of `streaming.inputs.FusedInput`."""
        offsets = self.offsets_s * len(cameras) if len(self.offsets_s) == 1 else self.offsets_s
        return {
            "max_age_s": self.max_age_s,
            "wait_s": self.wait_s,
            "min_cameras": self.min_cameras,
            "absent_sets": self.absent_sets,
            "offsets_s": dict(zip(cameras, offsets)),
        }


class CamerasConfig(PipelineConfig):
    """Parameters of a node that reads cameras."""

    cameras: list[str] = Field(
        default=["front"], description="names; ~/input/image for one, ~/input/<name>/image for several"
    )
    input: Pictures = Pictures()
    collect: Collect = Collect()

    @field_validator("cameras")
    @classmethod
    def _names(cls, names: list[str]) -> list[str]:
        if not names:
            raise ValueError("no camera is named: give one or more, for instance [front, back]")
        for name in names:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or names.count(name) > 1:
                raise ValueError(f"camera {name!r}: expected names of letters, digits and _, each once")
        return names

    @model_validator(mode="after")
    def _enough(self) -> "CamerasConfig":
        if self.collect.min_cameras > len(self.cameras):
            raise ValueError(f"collect.min_cameras is {self.collect.min_cameras}, with {len(self.cameras)} cameras")
        return self


class FusedConfig(CamerasConfig):
    """Parameters of a node that reads a LiDAR with cameras."""

    collect: CollectAroundCloud = CollectAroundCloud()

    @model_validator(mode="after")
    def _offsets(self) -> "FusedConfig":
        count = len(self.collect.offsets_s)
        if count not in (1, len(self.cameras)):
            raise ValueError(f"collect.offsets_s has {count} numbers; expected 1 or {len(self.cameras)}, one a camera")
        return self


class Mounting(Section):
    """Where a LiDAR sits on the vehicle."""

    rig: str = Field(default="", description="path of a rig YAML (config/rigs); empty: /tf_static")


class PlacedCloudConfig(PipelineConfig):
    """Parameters of a node that reads a LiDAR and must know where it sits."""

    calibration: Mounting = Mounting()


class Calibration(Section):
    """Where the sensors sit and what the cameras see with."""

    rig: str = Field(default="", description="path of a rig YAML (config/rigs); empty: /tf_static, /tf and CameraInfo")
    rectified: bool = Field(default=False, description="the pictures are rectified already (image_rect)")


class CalibratedConfig(FusedConfig):
    """Parameters of a node that reads a LiDAR with cameras and must know where they sit."""

    calibration: Calibration = Calibration()


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


RENAMED = {"collect.patience_s": "input.patience_s"}


def unknown_parameter(cls: type[NodeConfig], name: str, owner: str = "") -> str:
    """The sentence that refuses a parameter: the nearest known one, and all of them."""
    known = [p.name for p in parameters_of(cls)]
    near = [RENAMED[name]] if RENAMED.get(name) in known else difflib.get_close_matches(name, known, n=1)
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
