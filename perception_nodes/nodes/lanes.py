"""The nodes under test in a replay: what each is fed, what is recorded of it, whether it has finished, its figures."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from perception_nodes.graph import run_node
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.states import HELD
from perception_nodes.nodes.message_types import find_message_type
from perception_nodes.nodes.player import PlayerNode
from perception_nodes.nodes.recorder import Recorded, RecorderNode, Tally
from perception_nodes.nodes.system_node import SystemNode
from perception_nodes.streaming.result import NodeResult
from perception_nodes.streaming.stopwatch import TIMING, Percentiles
from perception_nodes.systems.run import SystemRun
from perception_nodes.systems.system import Output, is_trained

FLOAT, STRING = "std_msgs/msg/Float64", "std_msgs/msg/String"
DEPTH = 50  # of the recorder's subscriptions


def answer_row(run: SystemRun) -> Recorded:
    """How the answers of a system are recorded: their arrival is noted by (stream, stamp, state); see `by_input`."""

    def key(raw: bytes) -> Hashable:
        try:
            return (*run.input_of_answer(raw), run.state_of_answer(raw))
        except MessageError:  # of somebody else
            return None

    return Recorded(run.system.answer.topic, run.system.answer.type, key=key, depth=DEPTH)


def by_input(arrivals: Mapping[Hashable, float], held: bool = True) -> dict[tuple[str, int], float]:
    """(stream, stamp) of a message -> arrival of what came back for it; without held answers where asked for."""
    keys = [key for key in arrivals if isinstance(key, tuple) and (held or key[2] != HELD)]
    return {(key[0], key[1]): arrivals[key] for key in keys}


class Lane:
    """One node and its run. `sent`: messages played so far, by topic."""

    def __init__(self, run: SystemRun, node: SystemNode) -> None:
        self.run, self.node = run, node
        self.name = run.system.node_name
        self.sent: dict[str, int] = dict.fromkeys((*run.topics.values(), *run.calibration.values()), 0)
        self.lost = 0  # messages that were given up: they did not come in
        self.recorder: RecorderNode | None = None  # set once it is there
        self._unrecorded: dict[str, int] = {}  # output -> messages that never came to the recorder

    @property
    def inputs(self) -> dict[str, str]:
        """Topic -> stream of the messages that each get an answer."""
        return {topic: stream for stream, topic in self.run.answered.items()}

    def rows(self) -> list[Recorded]:
        """What is recorded of the node; the answers first. Its figures, and outputs of message types that are not
        installed here, it hands to the recorder itself."""
        rows = [answer_row(self.run)]
        for output in self.run.recorded():
            if output is not self.run.system.answer:
                rows += [self._row(output, topic) for topic, _ in self._topics(output)]
            if output.classes is not None:
                rows.append(Recorded(f"{output.topic}/classes", STRING, latched=True, depth=1))
        return [*rows, *(Recorded(f"/{self.name}/{name}", FLOAT, local=True) for name in TIMING)]

    @staticmethod
    def _row(output: Output, topic: str) -> Recorded:
        return Recorded(topic, output.type, depth=DEPTH, local=find_message_type(output.type) is None)

    def _topics(self, output: Output) -> list[tuple[str, str]]:
        """(topic in the stack, name in the node) of an output."""
        runner = self.node.runner
        assert runner is not None
        streams = runner.streams_of(output)
        return [(runner.topic_of(output, stream), runner.name_of(output, stream)) for stream in streams]

    def published(self) -> list[str]:
        """Its recorded outputs by the stack's names."""
        return [topic for output in self.run.recorded() for topic, _ in self._topics(output)]

    @property
    def total_topic(self) -> str:
        """The topic of the node's processing time."""
        return f"/{self.name}/debug/processing_time/total_ms"

    def note_sent(self, topic: str) -> None:
        """Counts a message that was played."""
        if topic in self.sent:
            self.sent[topic] += 1

    def taken(self) -> int:
        """Messages that the node took in, and those that were lost on their way."""
        return self.node.arrived.total() + self.lost

    def give_up(self) -> None:
        """Counts what has not come in, or not to the recorder, as lost."""
        self.lost += max(0, sum(self.sent.values()) - self.taken())
        self._unrecorded = {output.name: self._missing(output, 0) for output in self.run.recorded()}

    def complete(self) -> bool:
        """True once it is idle and the recorder has everything that the node published."""
        due = ((output, self._unrecorded.get(output.name, 0)) for output in self.run.recorded())
        return self.idle() and all(self._missing(output, given_up) <= 0 for output, given_up in due)

    def _missing(self, output: Output, given_up: int) -> int:
        """Messages of an output that were published and have not come to the recorder."""
        topics = [topic for topic, _ in self._topics(output)]
        if self.recorder is None or not self.recorder.topics.issuperset(topics):
            return 0
        came = sum(self.recorder.tally.counts.get(topic, 0) for topic in topics)
        return self.node.health.counter("processing", f"published_{output.name}") - came - given_up

    def listened(self) -> bool:
        """True once the recorder is known to every publisher that it listens to."""
        topics = self.recorder.topics if self.recorder is not None else frozenset()
        names = [name for o in self.run.recorded() for topic, name in self._topics(o) if topic in topics]
        return all(self.node.is_heard(name) for name in names)

    def idle(self) -> bool:
        """True once every message that was played is taken in and the node has nothing left to work on."""
        worker = self.node.worker
        return self.taken() >= sum(self.sent.values()) and worker is not None and worker.idle

    def answers(self, tally: Tally) -> dict[Hashable, float]:
        """(stream, stamp, state) -> arrival of everything that came back."""
        return tally.arrivals.get(self.run.system.answer.topic, {})

    def asked(self, player: PlayerNode) -> int:
        """Messages that it was sent and that each get an answer."""
        return sum(player.asked(topic) for topic in self.inputs)

    def result(self, player: PlayerNode, tally: Tally) -> NodeResult:
        """The figures so far."""
        came, latency = self.answers(tally), Percentiles()
        answers = by_input(came, held=False)  # a held answer was there before its message
        states = Counter(key[2] for key in came if isinstance(key, tuple))
        for topic, stream in self.inputs.items():
            for stamp, sent in player.sent.get(topic, {}).items():
                if (arrival := answers.get((stream, stamp))) is not None:
                    latency.add((arrival - sent) * 1e3)
        assert self.node.runner is not None and self.node.worker is not None
        name, network = self.node.runner.networks[0]
        return NodeResult(
            frames_in=self.asked(player),
            frames_out=states.pop("", 0),
            apart=dict(sorted(states.items())),
            latency_ms=latency.summary(),
            network_ms=self.node.worker.inference_ms.summary(),
            model=name,
            engine=str(getattr(network, "engine", "")),
            trained=is_trained(network),
        )


def make_lane(run: SystemRun, parameters: dict[str, Any], **ros: Any) -> Lane:
    """A lane with its node, not yet configured. parameters: below those of the run."""
    resolved = run_node(run)
    rules = [part for old, new in resolved.remaps.items() for part in ("-r", f"{old}:={new}")]
    overrides = parameters | resolved.parameters
    node = SystemNode(run.system, run.open_session, overrides=overrides, cli_args=["--ros-args", *rules], **ros)
    return Lane(run, node)


def all_rows(lanes: Iterable[Lane]) -> list[Recorded]:
    """Everything recorded of these lanes, and the diagnostics of all nodes."""
    rows = [row for lane in lanes for row in lane.rows()]
    return [*rows, Recorded("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")]
