"""The stack's graph: which nodes, with which parameters and remaps. No ROS.

`launch/*.launch.py` (real launch_ros) and `perception up` (one composed process) both read it, so neither can drift.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perception_nodes.config import ConfigError
from perception_nodes.systems import SYSTEMS
from perception_nodes.systems.launch import CAMERAS, Argument, Ref, camera_info_topic, image_topic
from perception_nodes.systems.run import SystemRun
from perception_nodes.systems.system import System


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
class LaunchPlan:
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


SIM_TIME = Argument("use_sim_time", "false", "take time from /clock (replays and simulations)", "bool")
SCENARIO = Argument("scenario", "suburb_day", "a name of `perception simulate --list`, or random")
RIG = Argument("rig", "kitti", "sensor rig", choices=("nuscenes", "kitti", "vlp16"))
SEED = Argument("seed", "0", "the same seed gives the same drive", "int")
RATE = Argument("rate", "1.0", "times real time; replay: 0 lets each message wait for the last one's answer", "float")
SIMULATOR = (SCENARIO, RIG, SEED, RATE)


def system_node(system: System, sim_time: Any = Ref("use_sim_time"), alone: bool = False) -> GraphNode:
    """A system's node: parameters from arguments, topics by the stack's names; `alone`: without its switch."""
    launch = system.launch
    cameras = {f"~/input/{name}/image": image_topic(name) for name in CAMERAS} if system.inputs.cameras else {}
    if system.inputs.calibrated:
        cameras |= {f"~/input/{name}/camera_info": camera_info_topic(name) for name in CAMERAS}
    outputs = {output.own_name: output.topic for output in system.outputs if output.topic}
    tables = {f"{o.own_name}/classes": f"{o.topic}/classes" for o in system.outputs if o.topic and o.classes}
    return GraphNode(
        system.node_name,
        f"{system.node_name}.yaml",
        {**launch.references(alone), "use_sim_time": sim_time},
        {**cameras, **{topic: Ref(argument.name) for topic, argument in launch.topics.items()}, **outputs, **tables},
        when=None if alone else launch.switch.name,
    )


def plans_of(systems: Sequence[System]) -> dict[str, LaunchPlan]:
    """What can be started: each system alone, the simulator alone, a replay, and the whole stack."""
    stacked = tuple(dict.fromkeys(argument for system in systems for argument in system.launch.arguments()))
    switches = tuple(system.launch.switch for system in systems)
    plans = [
        *(
            LaunchPlan(
                system.launch.plan,
                system.launch.description,
                (*system.launch.arguments(alone=True), SIM_TIME),
                (system_node(system, alone=True),),
            )
            for system in systems
        ),
        LaunchPlan(
            "simulator",
            "The driving world, live, with /clock, odometry, sensors and ground truth",
            SIMULATOR,
            (_simulator(),),
        ),
        LaunchPlan(
            "replay",
            "A bag, replayed through the nodes that are switched on",
            (
                Argument("bag", None, "path of the rosbag2 folder or file"),
                RATE,
                Argument("loop", "false", "start again at the end, for ever", "bool"),
                *switches,
                *stacked,
            ),
            (*(system_node(system, sim_time=True) for system in systems), _player(systems)),
        ),
        LaunchPlan(
            "perception",
            "The whole stack, on a vehicle or (simulate:=true) on the driving world",
            (
                Argument("simulate", "false", "start the driving world as the sensors", "bool"),
                *switches,
                *stacked,
                *SIMULATOR,
            ),
            (*(system_node(system, sim_time=Ref("simulate")) for system in systems), _simulator(when="simulate")),
        ),
    ]
    return {plan.name: plan for plan in plans}


def _simulator(when: str | None = None) -> GraphNode:
    parameters = {argument.name: Ref(argument.name) for argument in SIMULATOR}
    return GraphNode("simulator_node", "simulator_node.yaml", parameters, when=when)


def _player(systems: Sequence[System]) -> GraphNode:
    """The player; at rate 0 it waits for the answers to the systems' inputs."""
    asked = [(Ref(arg.name), system.answer.topic) for system in systems for arg in system.launch.topics.values()]
    first = [Ref(a.name) for s in systems if s.launch.switch.default == "true" for a in s.launch.topics.values()]
    parameters = {
        "bag": Ref("bag"),
        "playback.rate": Ref("rate"),
        "playback.loop": Ref("loop"),
        "playback.wait_for": first,
        "playback.wait_s": 60.0,
        "answer.inputs": [question for question, _ in asked],
        "answer.topics": [answer for _, answer in asked],
    }
    return GraphNode("player_node", "player_node.yaml", parameters, ends_all=True)


PLANS = plans_of(SYSTEMS)


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


def resolve(plan: LaunchPlan, arguments: Mapping[str, Any]) -> list[ResolvedNode]:
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


def run_node(run: SystemRun) -> ResolvedNode:
    """The node of a system on a bag: its inputs are the bag's topics, its outputs have the stack's names."""
    node = system_node(run.system, alone=True)
    config = run.config
    inputs = {run.system.inputs.topic_of(stream, config): topic for stream, topic in run.topics.items()}
    feeds = run.system.inputs.calibration_topics(config)
    inputs |= {feeds[feed]: topic for feed, topic in run.calibration.items() if feeds[feed] != topic}
    remaps = {old: new for old, new in node.remaps.items() if isinstance(new, str)} | inputs
    return ResolvedNode(node.name, config_folder() / node.config, run.all_parameters | {"use_sim_time": True}, remaps)


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
