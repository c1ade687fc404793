"""The stack's graph: which nodes, with which parameters and remaps. No ROS.

`launch/*.launch.py` (real launch_ros) and `perception up` (one composed process) both read it, so neither can drift.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perception_nodes.launch_values import camera_topics, convert, relative, rig_cameras, values_of
from perception_nodes.systems import SYSTEMS
from perception_nodes.systems.launch import CAMERAS, Argument, Ref, camera_info_topic, image_topic
from perception_nodes.systems.run import SystemRun
from perception_nodes.systems.system import System


@dataclass(frozen=True)
class GraphNode:
    """One node: its executable, its YAML in config/, parameters and remaps on top; `when` names a bool argument;
    `ends_all`: when this node finishes, so does the launch. system: what it runs, None for player and simulator."""

    name: str
    config: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remaps: Mapping[str, str | Ref] = field(default_factory=dict)
    when: str | None = None
    ends_all: bool = False
    system: System | None = None

    @property
    def executable(self) -> str:
        return self.name


@dataclass(frozen=True)
class LaunchPlan:
    """What one launch file starts. from_bag: topic arguments name topics of a bag, which is played in the namespace."""

    name: str
    description: str
    arguments: tuple[Argument, ...]
    nodes: tuple[GraphNode, ...]
    from_bag: bool = False


SIM_TIME = Argument("use_sim_time", "false", "take time from /clock (replays and simulations)", "bool")
SCENARIO = Argument("scenario", "suburb_day", "a name of `perception simulate --list`, or random")
RIG = Argument("rig", "kitti", "sensor rig", choices=("nuscenes", "kitti", "vlp16"))
SEED = Argument("seed", "0", "the same seed gives the same drive", "int")
RATE = Argument("rate", "1.0", "times real time; replay: 0 lets each message wait for the last one's answer", "float")
SIMULATOR = (SCENARIO, RIG, SEED, RATE)
NAMESPACE = Argument("namespace", "", "ROS namespace of the nodes and of the stack's topics")
RELIABILITY = Argument(
    "reliability", "best_effort", "of the sensors' topics; reliable: for raw pictures and large clouds",
    choices=("best_effort", "reliable"),
)  # fmt: skip
DEPTH = Argument("depth", "5", "messages of a sensor that the middleware keeps", "int")
QOS = {"qos.input.reliability": RELIABILITY, "qos.input.depth": DEPTH}


def system_node(system: System, sim_time: Any = Ref("use_sim_time"), alone: bool = False) -> GraphNode:
    """A system's node: parameters from arguments, topics by the stack's names; `alone`: without its switch."""
    launch = system.launch
    cameras = {f"~/input/{name}/image": image_topic(name) for name in CAMERAS} if system.inputs.cameras else {}
    if system.inputs.calibrated and system.inputs.cameras:
        cameras |= {f"~/input/{name}/camera_info": camera_info_topic(name) for name in CAMERAS}
    outputs = {output.own_name: output.topic for output in system.outputs if output.topic}
    tables = {f"{o.own_name}/classes": f"{o.topic}/classes" for o in system.outputs if o.topic and o.classes}
    return GraphNode(
        system.node_name,
        f"{system.node_name}.yaml",
        {**launch.references(alone), **{k: Ref(a.name) for k, a in QOS.items()}, "use_sim_time": sim_time},
        {**cameras, **{topic: Ref(argument.name) for topic, argument in launch.topics.items()}, **outputs, **tables},
        when=None if alone else launch.switch.name,
        system=system,
    )


def plans_of(systems: Sequence[System]) -> dict[str, LaunchPlan]:
    """What can be started: each system alone, the simulator alone, a replay, and the whole stack."""
    stacked = tuple(dict.fromkeys(argument for system in systems for argument in system.launch.arguments()))
    common = (*QOS.values(), NAMESPACE)
    switches = tuple(system.launch.switch for system in systems)
    plans = [
        *(
            LaunchPlan(
                system.launch.plan,
                system.launch.description,
                (*system.launch.arguments(alone=True), *common, SIM_TIME),
                (system_node(system, alone=True),),
            )
            for system in systems
        ),
        LaunchPlan(
            "simulator",
            "The driving world, live, with /clock, odometry, sensors and ground truth",
            (*SIMULATOR, NAMESPACE),
            (_simulator(),),
        ),
        LaunchPlan(
            "replay",
            "A bag, replayed through the nodes that are switched on",
            (
                Argument("bag", None, "path of the rosbag2 folder or file"),
                RATE,
                Argument("loop", "false", "start again at the end, without limit", "bool"),
                *switches,
                *stacked,
                *common,
            ),
            (*(system_node(system, sim_time=True) for system in systems), _player()),
            from_bag=True,
        ),
        LaunchPlan(
            "perception",
            "The whole stack, on a vehicle or (simulate:=true) on the driving world",
            (
                Argument("simulate", "false", "start the driving world as the sensors", "bool"),
                *switches,
                *stacked,
                *common,
                *SIMULATOR,
            ),
            (*(system_node(system, sim_time=Ref("simulate")) for system in systems), _simulator(when="simulate")),
        ),
    ]
    return {plan.name: plan for plan in plans}


def _simulator(when: str | None = None) -> GraphNode:
    parameters = {argument.name: Ref(argument.name) for argument in SIMULATOR}
    return GraphNode("simulator_node", "simulator_node.yaml", parameters, when=when)


def _player() -> GraphNode:
    """The player; `resolve` says whose subscriptions and answers it waits for."""
    parameters = {
        "bag": Ref("bag"),
        "playback.rate": Ref("rate"),
        "playback.loop": Ref("loop"),
        "playback.wait_s": 300.0,  # networks load, and on the first start kernels compile
    }
    return GraphNode("player_node", "player_node.yaml", parameters, ends_all=True)


PLANS = plans_of(SYSTEMS)


@dataclass(frozen=True)
class ResolvedNode:
    """A node with plain values: its parameter file, dotted parameters and remaps.

    defaults: parameters that follow from defaults of arguments alone; a file or a parent launch may replace them.
    """

    name: str
    config: Path
    parameters: dict[str, Any]
    remaps: dict[str, str]
    namespace: str = ""
    defaults: frozenset[str] = frozenset()
    ends_all: bool = False


def resolve(plan: LaunchPlan, arguments: Mapping[str, Any]) -> list[ResolvedNode]:
    """The nodes that a plan starts with these arguments.

    Names of the stack's topics are relative, so that they follow the namespace; a topic that is given keeps its name.

    Raises:
        ConfigError: an unknown argument, a missing one, one of the wrong type, or a camera that is not there.
    """
    values = values_of(plan.arguments, arguments, plan.name)
    given = {a.name for a in plan.arguments if a.default is None or values[a.name] != convert(a, a.default)}
    on = [node for node in plan.nodes if node.when is None or values[node.when]]
    rendered = 0
    if values.get("simulate") and any(node.system and node.system.inputs.cameras for node in on):
        asked = values.get("cameras") or ([values["camera"]] if "camera" in given else [])
        names, rendered = rig_cameras(values["rig"], asked)
        values |= {"camera": names[0], "cameras": names}
        given |= {"camera", "cameras"}
    found = [_resolve(plan, node, values, given) for node in on]
    for node, resolved in zip(on, found):
        if node.name == "simulator_node" and rendered:
            resolved.parameters["max_cameras"] = rendered
        if node.name == "player_node":
            resolved.parameters.update(_waits(on, found))
    return found


def _resolve(plan: LaunchPlan, node: GraphNode, values: Mapping[str, Any], given: set[str]) -> ResolvedNode:
    topics = {a.name for a in plan.arguments if a.kind == "topic"}

    def value(item: Any) -> Any:
        if isinstance(item, list):
            lists = [values[part.argument] for part in item if isinstance(part, Ref)]
            return next((part for part in lists if isinstance(part, list) and part), None) or [
                part for part in map(value, item) if part != []
            ]
        return values[item.argument] if isinstance(item, Ref) else item

    def topic(item: str | Ref) -> str:
        text = str(value(item))
        own = not isinstance(item, Ref) or (item.argument in topics and (plan.from_bag or item.argument not in given))
        return relative(text) if own else text

    parameters = {key: value(item) for key, item in node.parameters.items()}
    remaps = {key: topic(item) for key, item in node.remaps.items()}
    if node.system is not None and node.system.inputs.cameras and "cameras" in parameters:
        image = next((a.name for t, a in node.system.launch.topics.items() if t.endswith("image")), "")
        text = values[image] if image in given else ""
        if not text and len(parameters["cameras"]) == 1 and image and "cameras" not in given:
            text = relative(values[image])  # of a camera with another name, too
        pictures = camera_topics(parameters["cameras"], relative(text) if plan.from_bag else text)
        remaps.pop("~/input/image", None)
        one = len(pictures) == 1 and not node.system.inputs.cloud
        remaps |= {"~/input/image" if one else f"~/input/{name}/image": to for name, to in pictures.items()}
    settled = {
        key
        for key, item in node.parameters.items()
        if (refs := [part for part in (item if isinstance(item, list) else [item]) if isinstance(part, Ref)])
        and not any(part.argument in given for part in refs)
    }
    return ResolvedNode(
        node.name,
        config_folder() / node.config,
        parameters,
        remaps,
        str(values.get(NAMESPACE.name, "")),
        frozenset(settled),
        node.ends_all,
    )


def _waits(nodes: Sequence[GraphNode], resolved: Sequence[ResolvedNode]) -> dict[str, list[str]]:
    """The player's parameters: it starts when each node subscribes to its inputs, and at rate 0 awaits the answers."""
    rows = []
    for node, found in zip(nodes, resolved):
        if node.system is None:
            continue
        streams = ["points"] if node.system.inputs.cloud else list(found.parameters["cameras"])
        names = ["~/input/points"] if node.system.inputs.cloud else [f"~/input/{stream}/image" for stream in streams]
        names = ["~/input/image"] if len(names) == 1 and not node.system.inputs.cloud else names
        rows += [("/" + relative(found.remaps[name]), found.name, node.system.answer.topic) for name in names]
    return {
        "playback.wait_for": [topic for topic, _, _ in rows] or [""],
        "playback.wait_nodes": [name for _, name, _ in rows] or [""],
        "answer.inputs": [topic for topic, _, _ in rows] or [""],
        "answer.topics": [answer for _, _, answer in rows] or [""],
    }


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
