"""Parameters of gan_node."""

from typing import Literal

from pydantic import Field, field_validator

from perception_nodes.config import LIVE, CamerasConfig, Section


class Style(Section):
    """What the pictures are turned into, and what it may cost."""

    name: str = Field(
        default="night",
        description="a trained style (night, rain, fog, dusk), or a model folder; another one is loaded while the "
        "pictures go on in the old one",
        json_schema_extra=LIVE,
    )
    strength: float = Field(
        default=1.0,
        ge=0,
        le=2,
        description="x + strength (style(x) - x): 0 is the picture itself, bit for bit; above 1 exaggerates",
        json_schema_extra=LIVE,
    )
    channel_ratio: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="width of the sub-network; below 1 only where the style is a super network",
        json_schema_extra=LIVE,
    )
    resolution: int = Field(
        default=0,
        ge=0,
        le=8192,
        description="height in px that the network sees; 0: the picture's",
        json_schema_extra=LIVE,
    )
    budget_ms: float = Field(
        default=0.0,
        ge=0,
        description="ms that a picture may take: the node measures and chooses resolution and channel_ratio itself; 0: "
        "no budget",
        json_schema_extra=LIVE,
    )
    over_budget: Literal["style", "original"] = Field(
        default="style",
        description="where no setting keeps the budget: the cheapest one (style), or the picture itself (original)",
        json_schema_extra=LIVE,
    )

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        from models.errors import ModelError
        from models.gan.styles import style_model

        try:
            style_model(name)
        except ModelError as error:
            raise ValueError(str(error)) from None
        return name


class Runtime(Section):
    """How the networks run."""

    runtime: Literal["auto", "openvino", "native", "onnx", "torch"] = Field(
        default="auto", description="what computes the network; auto: the fastest on this machine, measured once"
    )
    threads: int = Field(default=2, ge=1, le=256, description="CPU threads of the network")


class Pictures(Section):
    """What is sent."""

    jpeg_quality: int = Field(
        default=90, ge=1, le=100, description="of compressed pictures that are sent", json_schema_extra=LIVE
    )
    comparison_width: int = Field(
        default=960, ge=64, le=8192, description="width of before and after side by side, px", json_schema_extra=LIVE
    )


class GanConfig(CamerasConfig):
    """gan_node."""

    style: Style = Style()
    model: Runtime = Runtime()
    output: Pictures = Pictures()
