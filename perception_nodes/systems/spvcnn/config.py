"""Parameters of spvcnn_node."""

from typing import Literal

from pydantic import Field, field_validator

from perception_nodes.classes import POINT_CLASSES
from perception_nodes.config import LIVE, CloudSettings, PlacedCloudConfig, Section


class Model(Section):
    """Which network, and how it runs."""

    name: str = Field(
        default="spvnas-lite", description="a name of `perception weights list`, or a folder with model.yaml"
    )
    precision: Literal["auto", "fp32", "int16", "int8", "bf16"] = Field(
        default="auto", description="arithmetic of the network"
    )
    threads: int = Field(default=2, ge=1, le=256, description="CPU threads of the network")


class CloudInput(CloudSettings):
    """What of a cloud is used."""

    max_points: int = Field(
        default=200_000, ge=1, description="points used of one cloud; the others are labelled 255 (ignore)"
    )
    sensor_frame: str = Field(
        default="auto",
        description="frame of the LiDAR; auto: the cloud's own, or a LiDAR's below it in TF or the rig",
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


class SpvcnnConfig(PlacedCloudConfig):
    """spvcnn_node."""

    model: Model = Model()
    input: CloudInput = CloudInput()
    filtered: Filtered = Filtered()
