"""A system of one LiDAR and its cameras whose answer says what it saw: stamps, masks, and how much it remembers."""

import json
from dataclasses import replace

from perception_nodes.config import CalibratedConfig, FusedConfig
from perception_nodes.messages.clock import json_values
from perception_nodes.messages.cloud_cdr import read_point_cloud2
from perception_nodes.messages.image_cdr import decode_serialized_image
from perception_nodes.messages.point_cloud import decode_point_cloud2
from perception_nodes.systems.inputs import CALIBRATED_CLOUD_AND_CAMERAS, CLOUD_AND_CAMERAS, POINTS
from perception_nodes.systems.launch import POINTS_IN, Argument, Launch
from perception_nodes.systems.system import Decoded, Network, Output, System


class Memory:
    """Counts the steps since the last reset, by stream."""

    def __init__(self):
        self.steps = {}

    def reset(self, stream=None):
        self.steps = {} if stream is None else {k: v for k, v in self.steps.items() if k != stream}

    def step(self, moment):
        for name in moment.values:
            self.steps[name] = self.steps.get(name, 0) + 1
        return {
            "stamp": moment.stamp_ns,
            "views": {name: stamp for name, stamp in moment.stamps.items() if name != POINTS},
            "masked": dict(moment.masked),
            "points": len(moment.values[POINTS]),
            "remembered": dict(self.steps),
            "placed": {
                name: {"fx": one.model.k[0, 0], "width": one.model.width, "pose": one.camera_from_cloud.tolist()}
                for name, one in moment.placed.items()
            },
        }


def decode(stream, kind, raw, config):
    if stream == POINTS:
        return Decoded(decode_point_cloud2(read_point_cloud2(raw)))
    return Decoded(decode_serialized_image(raw, kind))


def stamp(raw):
    return POINTS, json.loads(raw[8:].rstrip(b"\0"))["stamp"]


FUSED_TOY = System(
    name="fused_toy",
    title="what a LiDAR and its cameras saw together",
    config=FusedConfig,
    inputs=CLOUD_AND_CAMERAS,
    open=lambda config: Memory(),
    decode=decode,
    step=lambda session, moment: session.step(moment),
    reset=lambda session, stream: session.reset(stream),
    networks=lambda session, config: [Network("memory", session)],
    outputs=(
        Output("seen", "std_msgs/msg/String", lambda a: json_values(a.result), "/toy/seen", stamp=stamp, recorded=True),
    ),
    launch=Launch("fused_toy", "a toy", Argument("fused_toys", "false", "run", "bool"), {"~/input/points": POINTS_IN}),
)

CALIBRATED_TOY = replace(
    FUSED_TOY, name="calibrated_toy", config=CalibratedConfig, inputs=CALIBRATED_CLOUD_AND_CAMERAS
)
