"""spvcnn: a class for every LiDAR point (docs/nodes/spvcnn_node.md)."""

from __future__ import annotations

from typing import Any

from perception_nodes.evaluation import segmentation_report
from perception_nodes.evaluation.scorer import Recording, Scored, Scorer
from perception_nodes.messages.cloud_cdr import write_point_cloud2
from perception_nodes.messages.cloud_layout import CloudLayout, point_cloud2_layout
from perception_nodes.systems.clouds import decode_cloud
from perception_nodes.systems.inputs import PLACED_CLOUD, POINTS
from perception_nodes.systems.launch import POINTS_IN, Argument, Launch
from perception_nodes.systems.spvcnn.config import SpvcnnConfig
from perception_nodes.systems.spvcnn.labels import (
    Segmented,
    Session,
    class_table_text,
    classes_of,
    drop_table,
    filtered_layout,
    palette,
    segment,
    segmentation_layout,
    visualization_layout,
)
from perception_nodes.systems.spvcnn.preparation import SensorPreparation
from perception_nodes.systems.spvcnn.warm_cloud import warm_cloud
from perception_nodes.systems.system import Answer, Decoded, Moment, Network, Output, System

CLOUD_TYPE = "sensor_msgs/msg/PointCloud2"
SEGMENTATION = "/perception/segmentation"
PRECISIONS = ("auto", "fp32", "int16", "int8", "bf16")


def open_session(config: SpvcnnConfig) -> Session:
    """The session of a trained network, by name or folder; its errors are one sentence with what to do."""
    from models.segmentation import open_segmentation  # torch: not before a network is opened

    model = config.model
    return open_segmentation(model.name, precision=model.precision, threads=model.threads)


def decode(stream: str, kind: str, raw: bytes, config: SpvcnnConfig) -> Decoded:
    """A serialised PointCloud2 -> PointCloud with raw intensities; its points stay in the message's bytes."""
    return decode_cloud(stream, raw, config.input.max_points)


def step(session: Session, moment: Moment) -> Segmented:
    """Labels of one cloud."""
    return segment(session, moment.values[POINTS])


def warm_up(session: Session, config: SpvcnnConfig) -> None:
    """Labels a cloud of full size, so that the first real one is as fast as the others."""
    xyz, intensity = warm_cloud()
    raw = write_point_cloud2(point_cloud2_layout({"xyz": xyz, "intensity": intensity}), "", 0)
    write_point_cloud2(segmentation_layout(segment(session, decode(POINTS, CLOUD_TYPE, raw, config).value)), "", 0)


def encode_segmentation(answer: Answer) -> bytes:
    """The same points and order, with `label` and `score`."""
    return _cloud(answer, segmentation_layout(answer.result))


def encode_visualization(answer: Answer) -> bytes:
    """xyz and the colour of the class."""
    return _cloud(answer, visualization_layout(answer.result, palette(classes_of(answer.session))))


def encode_filtered(answer: Answer) -> bytes:
    """The points whose class is not in `filtered.drop_classes`."""
    drop = drop_table(answer.config.filtered.drop_classes, classes_of(answer.session))
    return _cloud(answer, filtered_layout(answer.result, drop))


def _cloud(answer: Answer, layout: CloudLayout) -> bytes:
    cloud: Any = answer.moment.values[POINTS]
    return write_point_cloud2(layout, cloud.frame_id, cloud.stamp_ns)


def score(recording: Recording) -> Scored:
    """The recorded labels against their ground truth."""
    from perception_nodes.evaluation.recorded_segmentation import evaluate_segmentation  # rosbags

    return evaluate_segmentation(recording)


LAUNCH = Launch(
    plan="spvcnn",
    description="LiDAR segmentation on a running sensor",
    switch=Argument("segmentation", "true", "label the LiDAR's points", "bool"),
    topics={"~/input/points": POINTS_IN},
    parameters={
        "model.name": Argument(
            "model", "spvnas-lite", "network: a name of `perception weights list`, or a folder with model.yaml"
        ),
        "model.precision": Argument("precision", "auto", "the network's arithmetic", choices=PRECISIONS),
        "model.threads": Argument("threads", "2", "CPU threads of the network", "int"),
        "input.intensity_scale": Argument(
            "intensity_scale", "auto", "full scale of the LiDAR's intensities: 1, 255, another number, or auto"
        ),
    },
)

SYSTEM = System(
    name="spvcnn",
    title="a class for every LiDAR point",
    config=SpvcnnConfig,
    inputs=PLACED_CLOUD,
    open=open_session,
    decode=decode,
    step=step,
    reset=lambda session, stream: session.reset(),
    prepare=SensorPreparation,
    warm_up=warm_up,
    networks=lambda session, config: [Network(config.model.name, session)],
    outputs=(
        Output("segmentation", CLOUD_TYPE, encode_segmentation, SEGMENTATION, classes=class_table_text, recorded=True),
        Output("visualization", CLOUD_TYPE, encode_visualization, "/perception/visualization"),
        Output("filtered", CLOUD_TYPE, encode_filtered, "/perception/filtered"),
    ),
    launch=LAUNCH,
    scorers=(
        Scorer(
            "segmentation",
            SEGMENTATION,
            score,
            needs_classes=True,
            cards=segmentation_report.cards,
            template=segmentation_report.TEMPLATE,
            context=segmentation_report.context,
            tables=segmentation_report.tables,
        ),
    ),
    memory_advice="Lower input.max_points, or give the node more memory",
)
