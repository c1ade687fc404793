"""Parameters of tsm_node."""

from typing import Literal

from pydantic import Field

from perception_nodes.config import LIVE, CamerasConfig, Section


class VideoModel(Section):
    """Which video network, and how it runs."""

    name: str = Field(
        default="tsm-events-online", description="a name of `perception weights list`, or a folder with model.yaml"
    )
    runtime: Literal["auto", "openvino", "native", "onnx", "torch"] = Field(
        default="auto", description="what computes the network; auto: the fastest on this machine, measured once"
    )
    threads: int = Field(default=2, ge=1, le=256, description="CPU threads of the network")


class Detector(Section):
    """The detector of road users in the same pictures."""

    model: str = Field(default="", description="a name of `perception weights list`, or a folder; empty: none")
    min_score: float = Field(default=0.3, ge=0, le=1, description="boxes below this score are left out")
    max_overlap: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="of two boxes that overlap more (IoU), of whatever classes, the better stays",
    )


class DebugPicture(Section):
    """~/debug/image."""

    width: int = Field(
        default=640, ge=64, le=4096, description="wider pictures are reduced to this, px", json_schema_extra=LIVE
    )


class TsmConfig(CamerasConfig):
    """tsm_node."""

    model: VideoModel = VideoModel()
    detector: Detector = Detector()
    debug: DebugPicture = DebugPicture()
