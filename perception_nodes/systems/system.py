"""What a system is: a network with its inputs, its outputs and its scores, as one declaration.

Everything that must know a system reads its declaration: the node, the offline run, the player at rate 0, the recorder,
the graph, `perception replay`, the evaluator, the report, the viewer and the access policy. A declaration is checked
when it is made; one that is incomplete is refused with one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from perception_nodes.calibration.source import CalibrationSource
from perception_nodes.config import PipelineConfig, parameters_of
from perception_nodes.evaluation.scorer import Scorer
from perception_nodes.streaming.inputs import Note
from perception_nodes.systems.inputs import Inputs
from perception_nodes.systems.launch import Launch
from perception_nodes.systems.placing import PlacedCamera
from perception_nodes.viewer.panel import Panel

TYPE_NAME = re.compile(r"[a-z]\w*/msg/[A-Z]\w*")


class SystemError(ValueError):
    """A declaration is incomplete or contradicts itself; the sentence names the system and the part."""


class Decoded(NamedTuple):
    """A message as typed arrays. notes: what was missing or left out · figures: numbers for /diagnostics."""

    value: Any
    notes: tuple[Note, ...] = ()
    figures: Mapping[str, int | float | str] = {}


@dataclass(frozen=True, eq=False)
class Moment:
    """The decoded messages of one sample.

    Attributes:
        stamp_ns: of the key message. values: stream -> typed arrays, in the order of the streams.
        stamps: stream -> its message's own stamp, ns. masked: stream -> why it is not in `values`.
        placed: camera -> where it sits beside the cloud; of `Inputs(calibrated=True)`: every camera in `values`.
        calibration: further transforms (a base frame, odometry); None where the inputs are not calibrated.
    """

    stamp_ns: int
    values: Mapping[str, Any]
    stamps: Mapping[str, int]
    masked: Mapping[str, str]
    placed: Mapping[str, PlacedCamera] = field(default_factory=dict)
    calibration: CalibrationSource | None = None


class Prepared(NamedTuple):
    """A moment's values after preparation. notes: what was found or does not fit · figures: for /diagnostics."""

    values: Mapping[str, Any]
    notes: tuple[Note, ...] = ()
    figures: Mapping[str, int | float | str] = {}


class Preparation(Protocol):
    """What a system learns from its first messages (the scale of intensities) and applies before each step.

    It depends on the messages and their order alone, so that live and offline runs are equal.
    """

    def __call__(self, moment: Moment) -> Prepared:
        """The values that the network gets."""

    def reset(self) -> None:
        """The stamps jumped: another recording may begin."""


class Answer(NamedTuple):
    """What an output is made of. stream: the camera, for an output with one message each; "" otherwise."""

    result: Any
    moment: Moment
    stream: str
    session: Any
    config: Any


class Network(NamedTuple):
    """A network of a session: the name that was asked for, and the object (`facts`, `engine`, `cache_bytes` of it are
    shown in /diagnostics where it has them)."""

    name: str
    network: Any


def is_trained(network: Any) -> bool:
    """False where the network's facts say that its weights were never trained."""
    return bool(getattr(getattr(network, "facts", None), "trained", True))


@dataclass(frozen=True)
class Output:
    """One output topic of a system; computed only while somebody subscribes.

    Attributes:
        name: `~/output/<name>` in the node.
        type: ROS message type.
        encode: answer -> the message as plain values, or as serialised bytes; None: nothing to send.
        topic: by the stack's names; "": keeps the node's own name.
        each: one message for every stream of the moment (every camera) instead of one for the moment.
        classes: session -> text of the class table, sent latched on `<topic>/classes`; None: no table.
        stamp: serialised answer -> (stream, stamp in ns) of the message that it answers; None: the key stream and the
            stamp of its header.
        state: serialised answer -> why it is none (HELD: repeated from the message before; "warming_up"), "" for an
            answer; None: each message is an answer. States are counted apart and not scored. Raises MessageError.
        recorded: `perception replay` records it.
        private: name in the node instead of `~/output/<name>`; `{stream}` stands for the camera.
        offered: session -> whether this session can give it; None: always.
        absent: sentence for the log where the message type is not installed.
    """

    name: str
    type: str
    encode: Callable[[Answer], Mapping[str, Any] | bytes | None]
    topic: str = ""
    each: bool = False
    classes: Callable[[Any], str] | None = None
    stamp: Callable[[bytes], tuple[str, int]] | None = None
    state: Callable[[bytes], str] | None = None
    recorded: bool = False
    private: str = ""
    offered: Callable[[Any], bool] | None = None
    absent: str = ""

    @property
    def own_name(self) -> str:
        """Its topic in the node; with `{stream}` where every camera has one."""
        return self.private or f"~/output/{self.name}"

    @property
    def topics(self) -> tuple[str, ...]:
        """Its topics by the stack's names: its own, and the class table's."""
        own = (self.topic,) if self.topic else ()
        return (*own, *(f"{topic}/classes" for topic in own if self.classes is not None))


@dataclass(frozen=True)
class System:
    """A network with its inputs, outputs and scores.

    Attributes:
        name: one word in small letters; its node is `<name>_node`. title: one sentence.
        config: its parameters. inputs: what it reads.
        open: config -> session; loads weights, raises one sentence that says what to do.
        decode: (stream, ROS type, serialised message, config) -> Decoded; raises MessageError.
        step: (session, moment) -> result; the only place where the network runs. May raise CalibrationError: the moment
            is not answered, and what is missing is reported.
        reset: (session, stream) -> None; forgets the past of one stream, or (None) everything.
        outputs: the first one is the answer: every input message is answered by it, or was dropped.
        networks: (session, config) -> its networks, the main one first.
        launch: how its node is started.
        prepare: config -> Preparation, called between decode and step; None: nothing is prepared.
        warm_up: (session, config) -> None; a step on made-up data, so that the first real one is fast.
        recording_overrides: parameters of a replay that is recorded and scored.
        scorers, panels: its parts of the evaluation and of the viewer.
        memory_advice: what to do where memory runs out.
        notes: result -> what to count and to report of it.
        on_request: True: a replay runs it only where it is named.
    """

    name: str
    title: str
    config: type[PipelineConfig]
    inputs: Inputs
    open: Callable[[Any], Any]
    decode: Callable[[str, str, bytes, Any], Decoded]
    step: Callable[[Any, Moment], Any]
    reset: Callable[[Any, str | None], None]
    outputs: tuple[Output, ...]
    networks: Callable[[Any, Any], Iterable[Network]]
    launch: Launch
    prepare: Callable[[Any], Preparation] | None = None
    warm_up: Callable[[Any, Any], None] = lambda session, config: None
    recording_overrides: Mapping[str, Any] = field(default_factory=dict)
    scorers: tuple[Scorer, ...] = ()
    panels: tuple[Panel, ...] = ()
    memory_advice: str = "Give the node more memory"
    notes: Callable[[Any], Iterable[Note]] = lambda result: ()
    on_request: bool = False

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise SystemError(f"system {self.name!r}: {problem}")

    @property
    def node_name(self) -> str:
        """Name of its node, executable and parameter file."""
        return f"{self.name}_node"

    @property
    def answer(self) -> Output:
        """The output that answers every input message."""
        return self.outputs[0]

    def output(self, name: str) -> Output:
        """The output of this name; raises KeyError."""
        return next(output for output in self.outputs if output.name == name)


def _problems(system: System) -> Iterable[str]:
    """What is wrong with a declaration, worst first."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", system.name):
        yield "its name must be of small letters, digits and _"
    if not system.outputs:
        yield "it has no output; expected at least one, the answer first"
        return
    wanted = system.inputs.config
    if not issubclass(system.config, wanted):
        yield f"its config {system.config.__name__} is not a {wanted.__name__}, which its inputs need"
        return
    for what in ("open", "decode", "step", "reset", "networks"):
        if not callable(getattr(system, what)):
            yield f"{what} is {getattr(system, what)!r}; a function was expected"
    yield from _output_problems(system.outputs)
    topics = {output.topic: output for output in system.outputs if output.topic}
    for scorer in system.scorers:
        if scorer.topic not in topics:
            yield f"the scorer {scorer.key!r} reads {scorer.topic}, which no output has; there are {', '.join(topics)}"
        elif scorer.needs_classes and topics[scorer.topic].classes is None:
            yield f"the scorer {scorer.key!r} needs a class table, which the output on {scorer.topic} does not have"
    known = {parameter.name for parameter in parameters_of(system.config)}
    for name in (*system.launch.parameters, *system.launch.alone, *system.recording_overrides):
        if name not in known:
            yield f"there is no parameter {name!r} in {system.config.__name__}"


def _output_problems(outputs: tuple[Output, ...]) -> Iterable[str]:
    if not outputs[0].topic or not outputs[0].recorded:
        yield f"its first output {outputs[0].name!r} is the answer; it needs a topic and recorded=True"
    names, topics = set(), set()
    for output in outputs:
        if not callable(output.encode):
            yield f"the output {output.name!r} has no encoder"
        if not TYPE_NAME.fullmatch(output.type):
            yield f"the output {output.name!r} has the type {output.type!r}; expected package/msg/Type"
        if output.name in names:
            yield f"two outputs are named {output.name!r}"
        names.add(output.name)
        for topic in output.topics:
            if topic in topics:
                yield f"two outputs are on {topic}"
            topics.add(topic)
        if output.recorded and not output.topic:
            yield f"the output {output.name!r} is recorded but has no topic"


def check_together(systems: tuple[System, ...]) -> tuple[System, ...]:
    """The systems themselves; raises SystemError where two of them take the same name, topic, argument or score."""
    taken: dict[tuple[str, str], str] = {}
    arguments: dict[str, Any] = {}
    for system in systems:
        launch = system.launch
        claims = [("the name", system.name), ("the plan", launch.plan), ("the switch", launch.switch.name)]
        claims += [("the topic", topic) for output in system.outputs for topic in output.topics]
        claims += [("the score", scorer.key) for scorer in system.scorers]
        for claim in claims:
            if claim in taken:
                raise SystemError(f"systems {taken[claim]!r} and {system.name!r} both have {claim[0]} {claim[1]!r}")
            taken[claim] = system.name
        for argument in system.launch.arguments():
            if arguments.setdefault(argument.name, argument) != argument:
                raise SystemError(f"system {system.name!r}: the argument {argument.name!r} has another meaning already")
    return systems
