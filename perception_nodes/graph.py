"""The stack's graph: which nodes, with which parameters and remaps. No ROS.

`launch/*.launch.py` (real launch_ros) and `perception up` (one composed process) both read it, so neither can drift.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from perception_nodes.nodes.config import ConfigError

POINTS = "/lidar/points"
SEGMENTATION = "/perception/segmentation"
VISUALIZATION = "/perception/visualization"
FILTERED = "/perception/filtered"
EVENTS = "/perception/events"
EVENT_MARKERS = f"{EVENTS}/markers"
DETECTIONS_2D = "/perception/detections2d"
# Cameras of the rigs and converters; the topics of others are remapped by whoever names them.
CAMERAS = ("front", "front_left", "front_right", "back", "back_left", "back_right", "left", "right")
TIMING = (
    *(f"debug/processing_time/{stage}_ms" for stage in ("preprocess", "inference", "postprocess", "total")),
    "debug/cyclic_time_ms",
    "debug/pipeline_latency_ms",
)


def image_topic(camera: str) -> str:
    """Where a camera's pictures are, by the stack's names."""
    return f"/camera/{camera}/image/compressed"


@dataclass(frozen=True)
class Argument:
    """A launch argument: its name, default (None: required), type and sentence."""

    name: str
    default: str | None
    description: str
    kind: Literal["str", "int", "float", "bool"] = "str"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ref:
    """The value of a launch argument, where a parameter or a remap takes one."""

    argument: str


@dataclass(frozen=True)
class GraphNode:
    """One node: its executable, its YAML in config/, parameters and remaps on top; `when` names a bool argument;
    `ends_all`: when this node finishes, so does the launch."""

    name: str
    config: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remaps: Mapping[str, str | Ref] = field(default_factory=dict)
    when: str | None = None
    ends_all: bool = False

    @property
    def executable(self) -> str:
        return self.name


@dataclass(frozen=True)
class Plan:
    """What one launch file starts."""

    name: str
    description: str
    arguments: tuple[Argument, ...]
    nodes: tuple[GraphNode, ...]

    def argument(self, name: str) -> Argument:
        for argument in self.arguments:
            if argument.name == name:
                return argument
        known = ", ".join(a.name for a in self.arguments)
        raise ConfigError(f"the {self.name} launch has no argument {name!r}; known: {known}")


MODEL = Argument("model", "spvnas-lite", "network: a name of `perception weights list`, or a folder with model.yaml")
PRECISION = Argument("precision", "auto", "the network's arithmetic", choices=("auto", "fp32", "int16", "int8", "bf16"))
THREADS = Argument("threads", "2", "CPU threads of the network", "int")
VIDEO_MODEL = Argument("video_model", "tsm-events-online", "video network: a name or folder, as `model`")
RUNTIME = Argument("runtime", "auto", "what computes it", choices=("auto", "openvino", "native", "onnx", "torch"))
DETECTOR = Argument("detector", "", "2-D detector: a name or folder, as `model`; empty: none")
CAMERA = Argument("camera", "front", "name of the camera in the outputs")
IMAGE_IN = Argument("image", image_topic("front"), "topic of the camera's Image or CompressedImage")
VIDEO_THREADS = Argument("video_threads", "1", "CPU threads of the video network", "int")
VIDEO_ARGUMENTS = (IMAGE_IN, CAMERA, VIDEO_MODEL, RUNTIME, DETECTOR, VIDEO_THREADS)
POINTS_IN = Argument("points", POINTS, "topic of the LiDAR's PointCloud2")
SIM_TIME = Argument("use_sim_time", "false", "take time from /clock (replays and simulations)", "bool")
SCENARIO = Argument("scenario", "suburb_day", "a name of `perception simulate --list`, or random")
RIG = Argument("rig", "kitti", "sensor rig", choices=("nuscenes", "kitti", "vlp16"))
SEED = Argument("seed", "0", "the same seed gives the same drive", "int")
RATE = Argument("rate", "1.0", "times real time; replay: 0 lets each message wait for the last one's answer", "float")


def _spvcnn(sim_time: Any = Ref("use_sim_time"), when: str | None = None) -> GraphNode:
    return GraphNode(
        "spvcnn_node",
        "spvcnn_node.yaml",
        {
            "model.name": Ref("model"),
            "model.precision": Ref("precision"),
            "model.threads": Ref("threads"),
            "use_sim_time": sim_time,
        },
        {
            "~/input/points": Ref("points"),
            "~/output/segmentation": SEGMENTATION,
            "~/output/segmentation/classes": f"{SEGMENTATION}/classes",
            "~/output/visualization": VISUALIZATION,
            "~/output/filtered": FILTERED,
        },
        when=when,
    )


def _tsm(sim_time: Any = Ref("use_sim_time"), threads: Any = Ref("threads"), when: str | None = None) -> GraphNode:
    return GraphNode(
        "tsm_node",
        "tsm_node.yaml",
        {
            "model.name": Ref("video_model"),
            "model.runtime": Ref("runtime"),
            "model.threads": threads,
            "detector.model": Ref("detector"),
            "cameras": [Ref("camera")],
            "use_sim_time": sim_time,
        },
        {
            "~/input/image": Ref("image"),
            **{f"~/input/{name}/image": image_topic(name) for name in CAMERAS},
            "~/output/events": EVENTS,
            "~/output/events/classes": f"{EVENTS}/classes",
            "~/output/markers": EVENT_MARKERS,
            "~/output/detections": DETECTIONS_2D,
        },
        when=when,
    )


def _simulator(when: str | None = None) -> GraphNode:
    parameters = {name: Ref(name) for name in ("scenario", "rig", "seed", "rate")}
    return GraphNode("simulator_node", "simulator_node.yaml", parameters, when=when)


PLANS: dict[str, Plan] = {
    plan.name: plan
    for plan in (
        Plan(
            "spvcnn",
            "LiDAR segmentation on a running sensor",
            (POINTS_IN, MODEL, PRECISION, THREADS, SIM_TIME),
            (_spvcnn(),),
        ),
        Plan(
            "tsm",
            "Driving events in a running camera",
            (IMAGE_IN, CAMERA, VIDEO_MODEL, RUNTIME, DETECTOR, THREADS, SIM_TIME),
            (_tsm(),),
        ),
        Plan(
            "simulator",
            "The driving world, live, with /clock, odometry, sensors and ground truth",
            (SCENARIO, RIG, SEED, RATE),
            (_simulator(),),
        ),
        Plan(
            "replay",
            "A bag, replayed through LiDAR segmentation, and (events:=true) through the events of its camera",
            (
                Argument("bag", None, "path of the rosbag2 folder or file"),
                RATE,
                Argument("loop", "false", "start again at the end, for ever", "bool"),
                Argument("segmentation", "true", "label the LiDAR's points", "bool"),
                Argument("events", "false", "say what happens in front of the camera", "bool"),
                POINTS_IN,
                MODEL,
                PRECISION,
                THREADS,
                *VIDEO_ARGUMENTS,
            ),
            (
                _spvcnn(sim_time=True, when="segmentation"),
                _tsm(sim_time=True, threads=Ref("video_threads"), when="events"),
                GraphNode(
                    "player_node",
                    "player_node.yaml",
                    {
                        "bag": Ref("bag"),
                        "playback.rate": Ref("rate"),
                        "playback.loop": Ref("loop"),
                        "playback.wait_for": [Ref("points")],
                        "playback.wait_s": 60.0,
                        "answer.inputs": [Ref("points"), Ref("image")],
                        "answer.topics": [SEGMENTATION, EVENTS],
                    },
                    ends_all=True,
                ),
            ),
        ),
        Plan(
            "perception",
            "The whole stack, on a vehicle or (simulate:=true) on the driving world",
            (
                Argument("simulate", "false", "start the driving world as the sensors", "bool"),
                Argument("events", "false", "say what happens in front of the camera", "bool"),
                POINTS_IN,
                MODEL,
                PRECISION,
                THREADS,
                *VIDEO_ARGUMENTS,
                SCENARIO,
                RIG,
                SEED,
                RATE,
            ),
            (
                _spvcnn(sim_time=Ref("simulate")),
                _tsm(sim_time=Ref("simulate"), threads=Ref("video_threads"), when="events"),
                _simulator(when="simulate"),
            ),
        ),
    )
}


@dataclass(frozen=True)
class ResolvedNode:
    """A node with plain values: its parameter file, dotted parameters and remaps."""

    name: str
    config: Path
    parameters: dict[str, Any]
    remaps: dict[str, str]


def convert(argument: Argument, text: Any) -> Any:
    """A launch argument's text as its type; raises ConfigError."""
    try:
        if argument.choices and str(text) not in argument.choices:
            raise ValueError
        if argument.kind == "bool":
            return {"true": True, "1": True, "false": False, "0": False}[str(text).lower()]
        return {"str": str, "int": int, "float": float}[argument.kind](text)
    except (ValueError, KeyError):
        wanted = " or ".join(argument.choices) or argument.kind
        raise ConfigError(f"{argument.name}:={text}: expected {wanted} ({argument.description})") from None


def resolve(plan: Plan, arguments: Mapping[str, Any]) -> list[ResolvedNode]:
    """The nodes that a plan starts with these arguments.

    Raises:
        ConfigError: an unknown argument, a missing one, or one of the wrong type.
    """
    for name in arguments:
        plan.argument(name)
    values: dict[str, Any] = {}
    for argument in plan.arguments:
        given = arguments.get(argument.name, argument.default)
        if given is None:
            raise ConfigError(f"the {plan.name} launch needs {argument.name}:=… ({argument.description})")
        values[argument.name] = convert(argument, given)

    def value(item: Any) -> Any:
        if isinstance(item, list):
            return [value(part) for part in item]
        return values[item.argument] if isinstance(item, Ref) else item

    return [
        ResolvedNode(
            node.name,
            config_folder() / node.config,
            {key: value(item) for key, item in node.parameters.items()},
            {key: str(value(item)) for key, item in node.remaps.items()},
        )
        for node in plan.nodes
        if node.when is None or values[node.when]
    ]


def config_folder() -> Path:
    """The folder of the nodes' YAML files: beside the package in a checkout, under share/ once installed.

    Raises:
        FileNotFoundError: neither is there.
    """
    return _data_folder("config")


def _data_folder(name: str) -> Path:
    here = Path(__file__).resolve()
    beside = here.parents[1] / name
    if (here.parents[1] / "package.xml").is_file() and beside.is_dir():
        return beside
    for parent in here.parents:
        installed = parent / "share" / "perception_nodes" / name
        if installed.is_dir():
            return installed
    raise FileNotFoundError(f"no {name}/ beside {here.parents[1]} and no share/perception_nodes/{name}: reinstall")
