"""What gan_node sends: the picture as Image and CompressedImage, what was done to it, and before beside after.

    {"stamp": ns, "camera": name, "frame_id": frame, "style": name, "strength": 1.0, "channel_ratio": 1.0,
     "resolution": px}

travels as JSON in a std_msgs/String for each picture. `style` "" is the picture itself; `resolution` 0 is the picture's
own height, -1 the tone step alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perception_nodes.messages.cdr import CdrReader
from perception_nodes.messages.clock import json_values, parse_json
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import as_int
from perception_nodes.systems.system import Answer

if TYPE_CHECKING:
    from perception_nodes.systems.gan.styler import Restyled, StylePicture

JPEG_SHOWN = 85  # quality of the comparison
TONE_ALONE = -1


def encode_style(answer: Answer) -> dict:
    """What was done to a camera's picture."""
    picture, restyled = _pair(answer)
    ratio, resolution = restyled.setting
    content = {
        "stamp": picture.image.stamp_ns,
        "camera": answer.stream,
        "frame_id": picture.image.frame_id,
        "style": restyled.style,
        "strength": restyled.strength,
        "channel_ratio": ratio,
        "resolution": TONE_ALONE if resolution == 0 else resolution or 0,
    }
    return json_values(content)


def read_style(raw: bytes) -> Mapping[str, Any]:
    """The content of a serialised message of `encode_style`; raises MessageError."""
    try:
        content = parse_json(CdrReader(raw).string("data"))
    except ValueError as error:
        raise MessageError(f"a style message should hold JSON ({error})") from None
    if not isinstance(content, dict) or not all(isinstance(content.get(k), str) for k in ("camera", "style")):
        raise MessageError("a style message should be a JSON object with the texts camera and style")
    as_int(content.get("stamp"), "stamp", -(2**63), 2**63 - 1)
    return content


def answered_stamp(raw: bytes) -> tuple[str, int]:
    """(camera, stamp in ns) of the picture that a serialised style message belongs to; raises MessageError."""
    content = read_style(raw)
    return content["camera"], content["stamp"]


def encode_image(answer: Answer) -> dict | bytes:
    """The picture as Image (rgb8); the input's own message where it is an Image that was left as it is."""
    from perception_nodes.messages.image import image_values  # cv2
    from perception_nodes.messages.image_cdr import RAW

    picture, restyled = _pair(answer)
    if not restyled.style and picture.kind == RAW:
        return picture.raw
    return image_values(restyled.rgb, picture.image.frame_id, picture.image.stamp_ns)


def encode_compressed(answer: Answer) -> dict | bytes:
    """The picture as JPEG; the input's own message where it is a CompressedImage that was left as it is."""
    from perception_nodes.messages.image import compressed_image_values, encode_jpeg
    from perception_nodes.messages.image_cdr import COMPRESSED

    picture, restyled = _pair(answer)
    if not restyled.style and picture.kind == COMPRESSED:
        return picture.raw
    jpeg = encode_jpeg(restyled.rgb, answer.config.output.jpeg_quality)
    return compressed_image_values(jpeg, picture.image.frame_id, picture.image.stamp_ns)


def encode_comparison(answer: Answer) -> dict:
    """Before beside after, as JPEG."""
    from perception_nodes.messages.image import compressed_image_values, encode_jpeg
    from perception_nodes.viewer.pictures import side_by_side, with_note
    from perception_nodes.viewer.video_pictures import reduced

    picture, restyled = _pair(answer)
    width = answer.config.output.comparison_width // 2
    title = f"{restyled.style}, strength {restyled.strength:g}" if restyled.style else "unchanged"
    both = [("before", reduced(picture.image.rgb, width)), (title, reduced(restyled.rgb, width))]
    shown = side_by_side(both)
    if restyled.style and not answer.session.session.facts.trained:
        shown = with_note(shown, "UNTRAINED WEIGHTS")
    return compressed_image_values(encode_jpeg(shown, JPEG_SHOWN), picture.image.frame_id, picture.image.stamp_ns)


def _pair(answer: Answer) -> tuple[StylePicture, Restyled]:
    return answer.moment.values[answer.stream], answer.result.pictures[answer.stream]
