"""bevfusion: boxes and map layers from a LiDAR with cameras (docs/nodes/bevfusion_node.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from perception_nodes.calibration.se3 import BODY_FROM_OPTICAL
from perception_nodes.classes import MAP_CLASSES
from perception_nodes.evaluation.detection3d_report import detection3d_scorer
from perception_nodes.evaluation.map_report import map_scorer
from perception_nodes.systems.bevfusion.config import BevFusionConfig
from perception_nodes.systems.bevfusion.fused import Fused, FusedSession
from perception_nodes.systems.bevfusion.outputs import (
    answered_stamp,
    box_table,
    encode_attributes,
    encode_detections,
    encode_map_image,
    encode_markers,
    layer_encoder,
    map_table,
)
from perception_nodes.systems.clouds import ScaledIntensities, decode_cloud
from perception_nodes.systems.inputs import CALIBRATED_CLOUD_AND_CAMERAS, POINTS
from perception_nodes.systems.launch import POINTS_IN, Argument, Launch
from perception_nodes.systems.system import Decoded, Moment, Network, Output, System

DETECTIONS, MAP, MAP_IMAGE = "/perception/detections", "/perception/map", "/perception/map_image"
RUNTIMES = ("auto", "openvino", "native", "onnx", "torch")
WARM_UP_SIZE = (900, 1600)  # of the pictures that are stepped once before the first real ones
WARM_UP_POINTS = 30_000


def open_session(config: BevFusionConfig) -> FusedSession:
    """The network of the parameters; its errors are one sentence with what to do."""
    from models.bevfusion.open import open_bev  # torch: not before a network is opened

    model = config.model
    network = open_bev(model.name, runtime=model.runtime, precision=model.precision, threads=model.threads)
    return FusedSession(network, config.frames)


def decode(stream: str, kind: str, raw: bytes, config: BevFusionConfig) -> Decoded:
    """A serialised PointCloud2, Image or CompressedImage -> PointCloud or CameraImage."""
    if stream == POINTS:
        return decode_cloud(stream, raw, config.input.max_points)
    from perception_nodes.messages.image_cdr import decode_serialized_image  # cv2

    return Decoded(decode_serialized_image(raw, kind, config.input.least_width))


def step(session: FusedSession, moment: Moment) -> Fused:
    """Boxes and map of one sweep with its pictures."""
    return session.step(moment)


def warm_up(session: FusedSession, config: BevFusionConfig) -> None:
    """One step on grey pictures of a ring of cameras, and points on a disc."""
    from models.bevfusion.calibration import CameraCalibration

    grey = np.full((*WARM_UP_SIZE, 3), 128, np.uint8)
    focal = 0.8 * WARM_UP_SIZE[1]
    k = np.array([[focal, 0, WARM_UP_SIZE[1] / 2], [0, focal, WARM_UP_SIZE[0] / 2], [0, 0, 1]])
    calibration = {}
    for i, camera in enumerate(config.cameras):
        angle = 2 * np.pi * i / len(config.cameras)
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        calibration[camera] = CameraCalibration.build(k, turn @ BODY_FROM_OPTICAL, WARM_UP_SIZE)
    steps = np.arange(WARM_UP_POINTS)
    radius, angle = 3 + 45 * steps / WARM_UP_POINTS, 2.399963 * steps
    columns = (radius * np.cos(angle), radius * np.sin(angle), np.full(WARM_UP_POINTS, -1.8))
    points = np.column_stack([*columns, np.full(WARM_UP_POINTS, 30.0), np.zeros(WARM_UP_POINTS)]).astype(np.float32)
    network = session.network
    images = dict.fromkeys(config.cameras, grey) if network.uses_cameras else {}
    network.step(images, points if network.uses_points else None, calibration if network.uses_cameras else {})


def networks(session: FusedSession, config: BevFusionConfig) -> Iterator[Network]:
    """The network."""
    yield Network(config.model.name, session.network)


def has_map(session: FusedSession) -> bool:
    """True where the network has a map head."""
    return bool(session.network.classes[1])


def has_layer(name: str) -> Callable[[Any], bool]:
    """Whether the network has this map class."""
    return lambda session: name in session.network.classes[1]


LAUNCH = Launch(
    plan="bevfusion",
    description="Boxes and a map around the vehicle, from a LiDAR with cameras",
    switch=Argument("fusion", "false", "detect objects and segment the map in the bird's-eye view", "bool"),
    topics={"~/input/points": POINTS_IN},
    parameters={
        "model.name": Argument(
            "fusion_model", "bevfusion-lite", "network of the bird's-eye view: a name or folder, as `model`"
        ),
        "model.runtime": Argument("runtime", "auto", "what computes it", choices=RUNTIMES),
        "model.threads": Argument("fusion_threads", "2", "CPU threads of the network of the bird's-eye view", "int"),
        "input.intensity_scale": Argument(
            "intensity_scale", "auto", "full scale of the LiDAR's intensities: 1, 255, another number, or auto"
        ),
        "calibration.rig": Argument("rig_file", "", "rig YAML with the sensors' places; empty: TF and CameraInfo"),
    },
    alone={"model.threads": Argument("threads", "2", "CPU threads of the network", "int")},
)

SYSTEM = System(
    name="bevfusion",
    title="boxes and map layers from a LiDAR with cameras",
    config=BevFusionConfig,
    inputs=CALIBRATED_CLOUD_AND_CAMERAS,
    open=open_session,
    decode=decode,
    step=step,
    reset=lambda session, stream: session.reset() if stream in (None, POINTS) else None,
    prepare=ScaledIntensities,
    warm_up=warm_up,
    networks=networks,
    notes=lambda result: result.notes,
    outputs=(
        # The attributes are the answer: their type is installed everywhere, vision_msgs is not.
        Output(
            "detections/attributes", "std_msgs/msg/String", encode_attributes, f"{DETECTIONS}/attributes",
            stamp=answered_stamp, recorded=True,
        ),
        Output(
            "detections", "vision_msgs/msg/Detection3DArray", encode_detections, DETECTIONS, classes=box_table,
            recorded=True, absent="vision_msgs is not installed here: boxes are sent as markers",
        ),
        Output("markers", "visualization_msgs/msg/MarkerArray", encode_markers, f"{DETECTIONS}/markers"),
        *(
            Output(
                f"map/{c.name}", "nav_msgs/msg/OccupancyGrid", layer_encoder(c.name), f"{MAP}/{c.name}",
                recorded=True, offered=has_layer(c.name),
            )
            for c in MAP_CLASSES
        ),
        Output(
            "map_image", "sensor_msgs/msg/Image", encode_map_image, MAP_IMAGE, classes=map_table, offered=has_map
        ),
    ),
    launch=LAUNCH,
    scorers=(detection3d_scorer(DETECTIONS), map_scorer(MAP)),
    # Average precision is over all scores, not over the sure ones alone.
    recording_overrides={"output.min_score": 0.02},
    memory_advice="Name fewer cameras, send smaller pictures, or give the node more memory",
)  # fmt: skip
