"""What a system reads: one cloud, several cameras, or a cloud with cameras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perception_nodes.config import CalibratedConfig, CamerasConfig, FusedConfig, PipelineConfig, PlacedCloudConfig
from perception_nodes.streaming.inputs import IMAGE, POINT_CLOUD, Input, Stream

POINTS = "points"  # name of the LiDAR's stream
TRANSPORTS = {"sensor_msgs/msg/Image": "raw", "sensor_msgs/msg/CompressedImage": "compressed"}


@dataclass(frozen=True)
class Inputs:
    """cloud: one LiDAR · cameras: as many as the parameter `cameras` names · noun: word for its input messages ·
    calibrated: it must know where the sensors sit (/tf_static, a rig YAML; with cameras /tf and CameraInfo, too)."""

    cloud: bool
    cameras: bool
    noun: str
    calibrated: bool = False

    @property
    def config(self) -> type[PipelineConfig]:
        """The class that the config of such a system is derived from."""
        if self.calibrated:
            return CalibratedConfig if self.cameras else PlacedCloudConfig
        if not self.cameras:
            return PipelineConfig
        return FusedConfig if self.cloud else CamerasConfig

    def streams(self, config: Any) -> tuple[Stream, ...]:
        """The topics that the node subscribes, the key first."""
        cloud = (Stream(POINTS, POINT_CLOUD),) if self.cloud else ()
        if not self.cameras:
            return cloud
        kinds = tuple(k for k in IMAGE if config.input.transport in ("auto", TRANSPORTS[k]))
        return (*cloud, *(Stream(name, kinds) for name in config.cameras))

    def answered(self, config: Any) -> tuple[str, ...]:
        """The streams whose messages each get an answer of their own: the LiDAR's, else every camera's."""
        return (POINTS,) if self.cloud else tuple(config.cameras)

    def topic_of(self, stream: str, config: Any) -> str:
        """Name of a stream's topic in the node: `~/input/points`, `~/input/<camera>/image`; `~/input/image` of the only
        camera of a system without LiDAR."""
        if stream == POINTS and self.cloud:
            return "~/input/points"
        only = not self.cloud and len(config.cameras) == 1
        return "~/input/image" if only else f"~/input/{stream}/image"

    def calibration_topics(self, config: Any) -> dict[str, str]:
        """What feeds the calibration (see `calibration.source.feeds_of`) -> its topic in the node."""
        from perception_nodes.calibration.source import TF_STATIC, feeds_of

        feeds = feeds_of(config.cameras) if self.cameras else (TF_STATIC,)  # a LiDAR alone does not move on its vehicle
        feeds = feeds if self.calibrated else ()
        return {feed: f"~/input/{feed}" if "/" in feed else f"/{feed}" for feed in feeds}

    def open(self, config: Any) -> Input:
        """The input object of these parameters."""
        from perception_nodes.streaming.inputs import CameraInputs, CloudInput, FusedInput

        stream = config.stream
        times = {
            "gap_periods": stream.gap_periods,
            "jump_back_s": stream.jump_back_s,
            "jump_back_periods": stream.jump_back_periods,
        }
        if not self.cameras:
            return CloudInput(POINTS, **times)
        if not self.cloud:
            collect = config.collect
            ages = {"max_age_s": collect.max_age_s, "absent_sets": collect.absent_sets}
            return CameraInputs(config.cameras, min_cameras=collect.min_cameras, **ages, **times)
        return FusedInput(POINTS, config.cameras, **config.collect.fused(config.cameras), **times)


CLOUD = Inputs(cloud=True, cameras=False, noun="sweeps")
PLACED_CLOUD = Inputs(cloud=True, cameras=False, noun="sweeps", calibrated=True)
CAMERAS = Inputs(cloud=False, cameras=True, noun="pictures")
CLOUD_AND_CAMERAS = Inputs(cloud=True, cameras=True, noun="sweeps")
CALIBRATED_CLOUD_AND_CAMERAS = Inputs(cloud=True, cameras=True, noun="sweeps", calibrated=True)
