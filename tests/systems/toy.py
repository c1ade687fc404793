"""A toy system in one file: a LiDAR and two cameras, one answer that is known by hand.

The answer to a sweep counts the sweeps since the last reset, its points, and gives each picture's mean brightness.
"""

import json

import numpy as np

from perception_nodes.config import FusedConfig
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.scorer import Recording, Scored, Scorer
from perception_nodes.messages.cdr import CdrReader
from perception_nodes.messages.clock import json_values
from perception_nodes.messages.cloud_cdr import read_point_cloud2
from perception_nodes.messages.image_cdr import decode_serialized_image
from perception_nodes.messages.point_cloud import decode_point_cloud2
from perception_nodes.systems.inputs import CLOUD_AND_CAMERAS, POINTS
from perception_nodes.systems.launch import POINTS_IN, Argument, Launch
from perception_nodes.systems.system import Decoded, Network, Output, System
from perception_nodes.viewer.panel import Panel

TOPIC = "/perception/toy"


class ToyConfig(FusedConfig):
    cameras: list[str] = ["front", "left"]


class ToySession:
    """Remembers how many sweeps and pictures it has seen since it was reset."""

    def __init__(self, config):
        self.seen = {}

    def reset(self, stream=None):
        for name in list(self.seen) if stream is None else [stream]:
            self.seen.pop(name, None)


def decode(stream, kind, raw, config):
    if stream == POINTS:
        cloud = decode_point_cloud2(read_point_cloud2(raw))
        return Decoded(cloud, figures={"points": len(cloud)})
    return Decoded(decode_serialized_image(raw, kind))


def step(session, moment):
    for stream in moment.values:
        session.seen[stream] = session.seen.get(stream, 0) + 1
    pictures = {name: value for name, value in moment.values.items() if name != POINTS}
    return {
        "stamp": moment.stamp_ns,
        "seen": dict(session.seen),
        "points": len(moment.values[POINTS]),
        "brightness": {name: round(float(np.mean(image.rgb)), 3) for name, image in pictures.items()},
        "stamps": {name: moment.stamps[name] for name in pictures},
        "masked": sorted(moment.masked),
    }


def input_of_answer(raw):
    return POINTS, json.loads(CdrReader(raw).string("data"))["stamp"]


def score(recording: Recording) -> Scored:
    """The share of answers that count the points of the sweep with their stamp."""
    out, truth = recording.out, recording.truth
    rows = [json.loads(out.decode(m.raw, m.type).data) for m in out.messages([TOPIC])]
    if not rows:
        raise EvaluationError(f"{out.path}: nothing was answered")
    if truth is None:
        return Scored({"right": "no data"}, answered=len(rows))
    clouds = [decode_point_cloud2(read_point_cloud2(m.raw)) for m in truth.messages(["/lidar/points"])]
    points = {cloud.stamp_ns: len(cloud) for cloud in clouds}
    right = sum(points.get(row["stamp"]) == row["points"] for row in rows)
    return Scored({"right": right / len(rows)}, answered=len(rows), given=len(points))


class ToyLog:
    """Shows nothing, and counts."""

    def __init__(self, rr, stream):
        self.shown = 0

    def message(self, topic, message):
        self.shown += 1


SYSTEM = System(
    name="toy",
    title="counts what it sees",
    config=ToyConfig,
    inputs=CLOUD_AND_CAMERAS,
    open=ToySession,
    decode=decode,
    step=step,
    reset=lambda session, stream: session.reset(stream),
    networks=lambda session, config: [Network("toy", session)],
    outputs=(
        Output(
            "answer",
            "std_msgs/msg/String",
            lambda answer: json_values(answer.result),
            TOPIC,
            classes=lambda session: json.dumps({"classes": [{"id": 0, "name": "thing"}]}),
            stamp=input_of_answer,
            recorded=True,
        ),
    ),
    launch=Launch(
        plan="toy",
        description="Counts what it sees",
        switch=Argument("toys", "false", "count what is seen", "bool"),
        topics={"~/input/points": POINTS_IN},
    ),
    scorers=(Scorer("toy", TOPIC, score, needs_classes=True, cards=lambda m: [("toy", m["right"], "of the answers")]),),
    panels=(Panel((TOPIC,), ToyLog),),
)
