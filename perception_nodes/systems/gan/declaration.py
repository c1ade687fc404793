"""gan: cameras in another light or weather (docs/nodes/gan_node.md). It runs only where it is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from perception_nodes.evaluation.scorer import Recording, Scored, Scorer
from perception_nodes.systems.gan import report
from perception_nodes.systems.gan.config import GanConfig
from perception_nodes.systems.gan.outputs import (
    answered_stamp,
    encode_comparison,
    encode_compressed,
    encode_image,
    encode_style,
)
from perception_nodes.systems.gan.panel import ComparisonLog, view
from perception_nodes.systems.inputs import CAMERAS
from perception_nodes.systems.launch import CAMERA, CAMERAS_IN, IMAGE_IN, Argument, Launch
from perception_nodes.systems.system import Decoded, Moment, Network, Output, System
from perception_nodes.viewer.panel import Panel

if TYPE_CHECKING:
    from perception_nodes.systems.gan.styler import Result, Styler

STYLE = "/perception/style"
COMPARISON = f"{STYLE}/comparison"
WARM_UP_SIZE = (256, 704)
RUNTIMES = ("auto", "openvino", "native", "onnx", "torch")


def open_session(config: GanConfig) -> Styler:
    """The session of the parameters; its errors are one sentence with what to do."""
    from perception_nodes.systems.gan.styler import Styler  # torch: not before a network is opened

    return Styler(config)


def decode(stream: str, kind: str, raw: bytes, config: GanConfig) -> Decoded:
    """A serialised Image or CompressedImage -> StylePicture with the settings of this moment."""
    from perception_nodes.messages.image_cdr import decode_serialized_image  # cv2
    from perception_nodes.systems.gan.styler import StylePicture

    return Decoded(StylePicture(decode_serialized_image(raw, kind), raw, kind, config.style))


def warm_up(session: Styler, config: GanConfig) -> None:
    """One step of the style on a grey picture."""
    session.session.step(np.full((*WARM_UP_SIZE, 3), 128, np.uint8))


def step(session: Styler, moment: Moment) -> Result:
    """Each camera's picture, restyled."""
    return session.step(moment.values)


def networks(session: Styler, config: GanConfig) -> Iterator[Network]:
    """The style in use."""
    for name, network in session.networks():
        yield Network(name, network)


def score(recording: Recording) -> Scored:
    """How many pictures got which style, and a few of them."""
    from perception_nodes.systems.gan.recorded import evaluate_styles

    return evaluate_styles(recording, STYLE, COMPARISON)


LAUNCH = Launch(
    plan="gan",
    description="A running camera in another light or weather",
    switch=Argument("restyle", "false", "restyle the camera's pictures, on topics of their own", "bool"),
    topics={"~/input/image": IMAGE_IN},
    parameters={
        "cameras": [CAMERA, CAMERAS_IN],
        "style.name": Argument("style", "night", "style: night, rain, fog, dusk, or a model folder"),
        "style.strength": Argument("strength", "1.0", "0: the picture itself; 1: the style", "float"),
        "style.resolution": Argument(
            "style_resolution", "0", "height that the network sees, px; 0: the picture's", "int"
        ),
        "style.budget_ms": Argument("budget_ms", "0.0", "ms that a picture may take; 0: no budget", "float"),
        "model.runtime": Argument("runtime", "auto", "what computes it", choices=RUNTIMES),
        "model.threads": Argument("style_threads", "1", "CPU threads of the style's network", "int"),
    },
    alone={"model.threads": Argument("threads", "2", "CPU threads of the network", "int")},
)

STRING, IMAGE, COMPRESSED = "std_msgs/msg/String", "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
SYSTEM = System(
    name="gan",
    title="cameras in another light or weather",
    config=GanConfig,
    inputs=CAMERAS,
    on_request=True,
    open=open_session,
    decode=decode,
    step=step,
    reset=lambda session, camera: None,  # every picture is independent of the ones before
    warm_up=warm_up,
    networks=networks,
    notes=lambda result: result.notes,
    outputs=(
        Output("style", STRING, encode_style, STYLE, each=True, stamp=answered_stamp, recorded=True),
        Output("image", IMAGE, encode_image, each=True, private="~/output/{stream}/image"),
        Output(
            "image/compressed", COMPRESSED, encode_compressed, each=True, private="~/output/{stream}/image/compressed"
        ),
        Output("comparison", COMPRESSED, encode_comparison, COMPARISON, each=True, recorded=True),
    ),
    launch=LAUNCH,
    scorers=(Scorer("style", STYLE, score, cards=report.cards, tables=report.tables),),
    panels=(Panel((COMPARISON,), ComparisonLog, view),),
    memory_advice="Send smaller pictures, lower style.resolution, or give the node more memory",
)
