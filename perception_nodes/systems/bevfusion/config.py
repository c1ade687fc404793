"""Parameters of bevfusion_node."""

from typing import Literal

from pydantic import Field

from perception_nodes.config import LIVE, CalibratedConfig, CloudSettings, Pictures, Section

NUSCENES_CAMERAS = ["front", "front_right", "front_left", "back", "back_left", "back_right"]


class Model(Section):
    """Which network, and how it runs."""

    name: str = Field(
        default="bevfusion-lite", description="a name of `perception weights list`, a folder, or random:<preset>"
    )
    runtime: Literal["auto", "openvino", "native", "onnx", "torch"] = Field(
        default="auto", description="what computes the dense layers; auto: the fastest on this machine, measured once"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(default="auto", description="arithmetic of the dense layers")
    threads: int = Field(default=2, ge=1, le=256, description="CPU threads of the network")


class Sensors(Pictures, CloudSettings):
    """What of the messages is used."""

    least_width: int = Field(
        default=768,
        ge=0,
        description="JPEGs at least twice as wide, px, are decoded smaller but not below this; 0: always whole",
    )


class Frames(Section):
    """The frames in which the network sees, and the vehicle moves."""

    base: str = Field(
        default="base_link",
        description="frame of the outputs, x forward and z up; empty: the cloud's frame has these axes already",
    )
    fixed: list[str] = Field(
        default=["odom", "map"],
        description="frames that stand still, for the vehicle's own motion; the first one in TF counts; [''] for none",
    )


class Answers(Section):
    """What is sent of what was found."""

    min_score: float = Field(
        default=0.3, ge=0, le=1, description="boxes below this score are left out", json_schema_extra=LIVE
    )
    map_threshold: float = Field(
        default=0.5, gt=0, lt=1, description="probability from which a map cell counts as the class",
        json_schema_extra=LIVE,
    )  # fmt: skip
    image_size: int = Field(
        default=600, ge=100, le=4096, description="side of ~/output/map_image, px", json_schema_extra=LIVE
    )


class BevFusionConfig(CalibratedConfig):
    """bevfusion_node."""

    cameras: list[str] = Field(
        default=NUSCENES_CAMERAS, description="names; each has ~/input/<name>/image and camera_info"
    )
    input: Sensors = Sensors()
    model: Model = Model()
    frames: Frames = Frames()
    output: Answers = Answers()
