"""Parameters of the player and the simulator, and the config class of every node by its name. No ROS."""

from typing import Literal

from pydantic import Field, model_validator

from perception_nodes.config import NodeConfig, Section
from perception_nodes.systems import SYSTEMS

# (topic that is played, topic of its answer) of every system of the driving path, by the stack's names.
ANSWERS = [
    (topic, system.answer.topic)
    for system in SYSTEMS
    if not system.on_request
    for topic in system.launch.default_topics()
]


class Playback(Section):
    """What of a bag is played, and how fast."""

    rate: float = Field(
        default=1.0, ge=0, le=1000, description="times real time; 0: each message waits for the last one's answer"
    )
    patient: bool = Field(
        default=False, description="at any rate, a message waits for the last one's answer: slower, nothing is dropped"
    )
    loop: bool = Field(default=False, description="start again at the end, without limit")
    start_s: float = Field(default=0.0, ge=0, description="seconds of the bag to skip")
    duration_s: float = Field(default=0.0, ge=0, description="seconds to play; 0: to the end")
    paused: bool = Field(default=False, description="wait for ~/resume or ~/step before the first message")
    topics: list[str] = Field(default=[""], description="topics to play; ['']: all")
    wait_for: list[str] = Field(default=[""], description="topics that must have a subscriber before the start")
    wait_nodes: list[str] = Field(
        default=[""], description="nodes whose subscriptions to wait_for count, one each; ['']: those of any node"
    )
    wait_s: float = Field(
        default=10.0,
        ge=0,
        description="seconds to wait; a node of wait_nodes that is missing then is an error, any other a warning",
    )

    @model_validator(mode="after")
    def _whose(self) -> "Playback":
        if any(self.wait_nodes) and len(self.wait_nodes) != len(self.wait_for):
            raise ValueError(f"{len(self.wait_nodes)} wait_nodes and {len(self.wait_for)} wait_for; expected one each")
        return self


class ClockOut(Section):
    """The player's /clock."""

    publish: bool = Field(default=True, description="publish bag time on /clock")
    rate_hz: float = Field(
        default=100.0, gt=0, le=1000, description="messages per second on /clock between the bag's messages"
    )


class Answer(Section):
    """Who answers whom, for rate 0."""

    inputs: list[str] = Field(default=[row[0] for row in ANSWERS], description="topics that are answered")
    topics: list[str] = Field(
        default=[row[1] for row in ANSWERS], description="topics of their answers, one each, with the same stamp"
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
    seconds: float = Field(default=0.0, ge=0, description="length of the drive; 0: without limit")
    lidar: bool = Field(default=True, description="cast the LiDAR")
    compensate: Literal["auto", "always", "never"] = Field(
        default="auto", description="correct sweeps for the vehicle's motion; auto: as the rig's data set has them"
    )
    cameras: bool = Field(default=True, description="render cameras")
    max_cameras: int = Field(default=1, ge=1, le=16, description="cameras rendered at most, in the rig's order")
    image_width: int = Field(default=704, ge=16, le=4096, description="width of the images, px")
    jpeg_quality: int = Field(default=85, ge=10, le=100, description="of the compressed images")
    threads: int = Field(default=2, ge=1, le=256, description="CPU threads of the sensors")
    truth: bool = Field(default=True, description="publish /ground_truth/...")
    clock_hz: float = Field(default=100.0, gt=0, le=1000, description="messages per second on /clock")


NODE_CONFIGS: dict[str, type[NodeConfig]] = {
    **{system.node_name: system.config for system in SYSTEMS},
    "player_node": PlayerConfig,
    "simulator_node": SimulatorConfig,
}
