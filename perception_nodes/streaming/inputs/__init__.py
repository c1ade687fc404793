"""Inputs of a system: serialised messages -> samples of one moment, judged by their stamps. No ROS."""

from perception_nodes.streaming.inputs.cameras import CameraInputs
from perception_nodes.streaming.inputs.cloud import CloudInput
from perception_nodes.streaming.inputs.fused import FusedInput
from perception_nodes.streaming.inputs.sample import IMAGE, POINT_CLOUD, Input, Note, Pushed, Sample, Stream

__all__ = [
    "IMAGE",
    "POINT_CLOUD",
    "CameraInputs",
    "CloudInput",
    "FusedInput",
    "Input",
    "Note",
    "Pushed",
    "Sample",
    "Stream",
]
