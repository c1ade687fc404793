"""Named video networks as plain numbers: spec, classes and what they are fed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.tsm import imagenet
from models.tsm.spec import TsmSpec

# Driving events, ids by position; the table of perception_nodes/classes.py, which models may not import.
EVENTS = (
    "none", "ego_braking", "ego_turning_left", "ego_turning_right", "lead_vehicle_braking", "cut_in_from_left",
    "cut_in_from_right", "cut_out", "person_crossing_left_to_right", "person_crossing_right_to_left",
    "oncoming_vehicle_passing", "being_overtaken",
)  # fmt: skip

# The 27 hand gestures of Jester, in the order of the released online checkpoint.
JESTER = (
    "Doing other things", "Drumming Fingers", "No gesture", "Pulling Hand In", "Pulling Two Fingers In",
    "Pushing Hand Away", "Pushing Two Fingers Away", "Rolling Hand Backward", "Rolling Hand Forward", "Shaking Hand",
    "Sliding Two Fingers Down", "Sliding Two Fingers Left", "Sliding Two Fingers Right", "Sliding Two Fingers Up",
    "Stop Sign", "Swiping Down", "Swiping Left", "Swiping Right", "Swiping Up", "Thumb Down", "Thumb Up",
    "Turning Hand Clockwise", "Turning Hand Counterclockwise", "Zooming In With Full Hand",
    "Zooming In With Two Fingers", "Zooming Out With Full Hand", "Zooming Out With Two Fingers",
)  # fmt: skip

# What networks are fed, see preprocess.ImageFacts. Here: the shorter side at 256 px, its middle of 224 x 224.
OFFICIAL_IMAGE = {
    "size": [224, 224], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "period_s": 0.0,
    "fit": "crop", "margin": 256 / 224,
}  # fmt: skip
JESTER_IMAGE = dict(OFFICIAL_IMAGE, period_s=1 / 12)  # 12 frames/s
EVENTS_IMAGE = {
    "size": [192, 384], "mean": list(imagenet.MEAN), "std": list(imagenet.STD), "period_s": 0.2, "fit": "stretch",
}  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """spec · class names · ModelFacts.image."""

    spec: TsmSpec
    classes: tuple[str, ...]
    image: dict[str, Any]


def numbered(count: int) -> tuple[str, ...]:
    """Names of classes that the checkpoint does not name."""
    return tuple(f"class {i}" for i in range(count))


LITE0 = "efficientnet-lite0"
KINETICS, SOMETHING = numbered(400), numbered(174)

PRESETS: dict[str, Preset] = {
    "tsm-events-online": Preset(TsmSpec(LITE0, "online", 12), EVENTS, EVENTS_IMAGE),
    "tsm-events-offline": Preset(TsmSpec(LITE0, "offline", 12), EVENTS, EVENTS_IMAGE),
    "tsn-events": Preset(TsmSpec(LITE0, "none", 12, architecture="tsn"), EVENTS, EVENTS_IMAGE),
    "i3d-events": Preset(TsmSpec(LITE0, "none", 12, architecture="tsm-i3d"), EVENTS, EVENTS_IMAGE),
    "lstm-events": Preset(TsmSpec(LITE0, "none", 12, architecture="tsm-lstm"), EVENTS, EVENTS_IMAGE),
    "two-stream-events": Preset(
        TsmSpec(LITE0, "none", 12, architecture="tsm-two-stream", in_channels=13), EVENTS, EVENTS_IMAGE
    ),
    "tsm-events-mobilenetv2": Preset(TsmSpec("mobilenetv2", "online", 12), EVENTS, EVENTS_IMAGE),
    "tsm-events-resnet50": Preset(TsmSpec("resnet50", "online", 12), EVENTS, EVENTS_IMAGE),
    "tsm-jester-online": Preset(TsmSpec("mobilenetv2", "online", 27), JESTER, JESTER_IMAGE),
    "tsm-resnet50-kinetics": Preset(TsmSpec("resnet50", "offline", 400), KINETICS, OFFICIAL_IMAGE),
    "tsm-mobilenetv2-kinetics": Preset(TsmSpec("mobilenetv2", "offline", 400), KINETICS, OFFICIAL_IMAGE),
    "tsm-resnet50-something": Preset(TsmSpec("resnet50", "offline", 174), SOMETHING, OFFICIAL_IMAGE),
}
