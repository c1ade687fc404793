"""tsm: driving events in camera streams, and boxes of road users in the same pictures (docs/nodes/tsm_node.md)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from perception_nodes.evaluation import events_report
from perception_nodes.evaluation.scorer import Recording, Scored, Scorer
from perception_nodes.messages.detections2d import detections2d_values
from perception_nodes.messages.events import event_stamp, event_state, event_values
from perception_nodes.messages.image_markers import image_marker_values
from perception_nodes.systems.inputs import CAMERAS
from perception_nodes.systems.launch import CAMERA, CAMERAS_IN, IMAGE_IN, Argument, Launch
from perception_nodes.systems.system import Answer, Decoded, Moment, Network, Output, System
from perception_nodes.systems.tsm.config import TsmConfig
from perception_nodes.systems.tsm.video import Detector, Seen, VideoNetworks, VideoSession, class_table_text
from perception_nodes.viewer.event_log import EVENTS_ENTITY, EventLog
from perception_nodes.viewer.panel import Panel

EVENTS = "/perception/events"
DETECTIONS = "/perception/detections2d"
WARM_UP_SIZE = (256, 256)  # of the picture that is stepped once before the first real one
RUNTIMES = ("auto", "openvino", "native", "onnx", "torch")


def open_session(config: TsmConfig) -> VideoNetworks:
    """The networks of the parameters; their errors are one sentence with what to do."""
    model, cameras = config.model, len(config.cameras)
    session = open_video(model.name, model.runtime, model.threads, cameras)
    detector = config.detector.model
    found = open_detector(detector, model.runtime, model.threads, cameras) if detector else None
    return networks_of(config, session, found)


def networks_of(config: TsmConfig, session: VideoSession, detector: Detector | None = None) -> VideoNetworks:
    """The system's session of networks that are there already."""
    return VideoNetworks(session, detector, config.detector.min_score, config.detector.max_overlap)


def open_video(name: str, runtime: str = "auto", threads: int = 2, cameras: int = 1) -> VideoSession:
    """A trained video network, by name or folder."""
    from models.tsm.session import TsmSession  # torch: not before a network is opened

    session: VideoSession = TsmSession.from_weights(name, runtime=runtime, threads=threads, cameras=cameras)
    return session


def open_detector(name: str, runtime: str = "auto", threads: int = 2, cameras: int = 1) -> Detector:
    """A trained detector in pictures, by name or folder."""
    from models.tsm.detector_session import VideoDetector

    detector: Detector = VideoDetector.from_weights(name, runtime=runtime, threads=threads, cameras=cameras)
    return detector


def decode(stream: str, kind: str, raw: bytes, config: TsmConfig) -> Decoded:
    """A serialised Image or CompressedImage -> CameraImage."""
    from perception_nodes.messages.image_cdr import decode_serialized_image  # cv2

    return Decoded(decode_serialized_image(raw, kind))


def warm_up(session: VideoNetworks, config: TsmConfig) -> None:
    """One step on grey pictures."""
    grey = np.full((*WARM_UP_SIZE, 3), 128, np.uint8)
    for part in (session.session, session.detector):
        if part is not None:
            part.step({camera: grey for camera in config.cameras}, None)


def step(session: VideoNetworks, moment: Moment) -> dict[str, Seen]:
    """What was found in each camera's picture."""
    return session.step(moment)


def networks(session: VideoNetworks, config: TsmConfig) -> Iterator[Network]:
    """The video network, and the detector where there is one."""
    yield Network(config.model.name, session.session)
    if session.detector is not None:
        yield Network(config.detector.model, session.detector)


def encode_event(answer: Answer) -> dict:
    """The likeliest event of a camera's picture, as JSON."""
    return event_values(_seen(answer).event)


def encode_markers(answer: Answer) -> dict | None:
    """The event's name and the boxes, for RViz; nothing where they are those of the picture before."""
    event, boxes = _seen(answer)
    if event.held:
        return None
    image, session = answer.moment.values[answer.stream], answer.session
    colour = session.colours.get(event.event, (255, 255, 255))
    return image_marker_values(event, image.frame_id, image.size, colour, boxes, session.box_colours)


def encode_detections(answer: Answer) -> dict | None:
    """The boxes of a camera's picture; nothing while warming up, and where they are those of the picture before."""
    boxes = _seen(answer).boxes
    return None if boxes is None else detections2d_values(boxes)


def encode_debug(answer: Answer) -> dict:
    """The picture with its event and boxes drawn upon it."""
    from perception_nodes.messages.image import image_values  # cv2
    from perception_nodes.viewer.video_pictures import overlay

    event, boxes = _seen(answer)
    image, session = answer.moment.values[answer.stream], answer.session
    width = answer.config.debug.width
    picture = overlay(image.rgb, event, session.colours, boxes, session.box_colours, width, session.note)
    return image_values(picture, image.frame_id, image.stamp_ns)


def _seen(answer: Answer) -> Seen:
    found: Seen = answer.result[answer.stream]
    return found


def score_events(recording: Recording) -> Scored:
    """The recorded events against their ground truth."""
    from perception_nodes.evaluation.recorded_events import evaluate_events  # rosbags, cv2

    return evaluate_events(recording)


def score_detections(recording: Recording) -> Scored:
    """The recorded boxes against the true boxes, seen through the cameras."""
    from perception_nodes.evaluation.recorded_detections2d import evaluate_recorded  # rosbags

    return evaluate_recorded(recording)


LAUNCH = Launch(
    plan="tsm",
    description="Driving events in a running camera",
    switch=Argument("events", "false", "say what happens in front of the camera", "bool"),
    topics={"~/input/image": IMAGE_IN},
    parameters={
        "cameras": [CAMERA, CAMERAS_IN],
        "model.name": Argument("video_model", "tsm-events-online", "video network: a name or folder, as `model`"),
        "model.runtime": Argument("runtime", "auto", "what computes it", choices=RUNTIMES),
        "detector.model": Argument("detector", "", "2-D detector: a name or folder, as `model`; empty: none"),
        "model.threads": Argument("video_threads", "1", "CPU threads of the video network", "int"),
    },
    alone={"model.threads": Argument("threads", "2", "CPU threads of the network", "int")},
)

STRING = "std_msgs/msg/String"
SYSTEM = System(
    name="tsm",
    title="driving events in camera streams",
    config=TsmConfig,
    inputs=CAMERAS,
    open=open_session,
    decode=decode,
    step=step,
    reset=lambda session, camera: session.reset(camera),
    warm_up=warm_up,
    networks=networks,
    outputs=(
        Output(
            "events", STRING, encode_event, EVENTS, each=True, stamp=event_stamp, state=event_state, recorded=True,
            classes=lambda networks: class_table_text(networks.session),
        ),
        Output("markers", "visualization_msgs/msg/MarkerArray", encode_markers, f"{EVENTS}/markers", each=True),
        Output(
            "detections", "vision_msgs/msg/Detection2DArray", encode_detections, DETECTIONS, each=True, recorded=True,
            offered=lambda networks: networks.detector is not None,
            absent="vision_msgs is not installed here: boxes are sent as markers and on ~/debug/image",
        ),
        Output("debug", "sensor_msgs/msg/Image", encode_debug, each=True, private="~/debug/{stream}/image"),
    ),
    launch=LAUNCH,
    scorers=(
        Scorer(
            "events",
            EVENTS,
            score_events,
            needs_classes=True,
            cards=events_report.cards,
            template=events_report.TEMPLATE,
            context=events_report.context,
            tables=events_report.tables,
        ),
        Scorer("detection2d", DETECTIONS, score_detections),
    ),
    panels=(
        Panel(
            (EVENTS, "/ground_truth/events", DETECTIONS),
            EventLog,
            lambda rrb: rrb.TimeSeriesView(origin=EVENTS_ENTITY, name="events, score over time"),
        ),
    ),
    # Average precision is over all scores and every class's boxes, not over the sure ones alone.
    recording_overrides={"detector.min_score": 0.05, "detector.max_overlap": 1.0},
    memory_advice="Send smaller pictures, or give the node more memory",
)  # fmt: skip
