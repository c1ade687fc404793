"""Pictures in every encoding of the table; a broken one costs a MessageError, never a crash or a huge allocation."""

import tracemalloc
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_nodes.bags.typestore import make
from perception_nodes.messages import image as image_module
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.image import (
    ENCODINGS,
    compressed_image_values,
    decode_image,
    decode_picture,
    encode_jpeg,
    image_array,
    image_values,
)
from tests.fuzzing import fuzzed
from tests.messages.clouds import header

RGB = np.zeros((4, 6, 3), np.uint8)
RGB[..., 0], RGB[..., 1], RGB[..., 2] = 200, 100, 40


def image(encoding, pixels, pad=0, big=False, /, **changes):
    pixels = np.asarray(pixels)
    raw = pixels.astype(pixels.dtype.newbyteorder(">")) if big else pixels
    rows = np.ascontiguousarray(raw).reshape(pixels.shape[0], -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, pad)))
    msg = SimpleNamespace(
        header=header("camera"),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=int(big),
        step=rows.shape[1],
        data=rows.tobytes(),
    )
    for name, value in changes.items():
        setattr(msg, name, value)
    return msg


def four(rgb, alpha=255):
    return np.dstack([rgb, np.full(rgb.shape[:2], alpha, rgb.dtype)])


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("RGB8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("8UC3", RGB[..., ::-1]),
        ("rgba8", four(RGB)),
        ("bgra8", four(RGB[..., ::-1].copy())),
        ("rgb16", RGB.astype(np.uint16) << 8),
        ("bgr16", RGB[..., ::-1].astype(np.uint16) << 8),
    ],
)
@pytest.mark.parametrize("pad", [0, 5])
def test_colour_encodings_give_the_same_picture(encoding, pixels, pad):
    decoded = decode_image(image(encoding, pixels, pad))
    assert np.array_equal(decoded.rgb, RGB) and decoded.size == (6, 4) and decoded.frame_id == "camera"


def test_grey_and_sixteen_bits_in_either_byte_order():
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    assert np.array_equal(decode_image(image("mono8", grey)).rgb, np.dstack([grey] * 3))
    for big in (False, True):
        assert np.array_equal(decode_image(image("mono16", grey.astype(np.uint16) << 8, 0, big)).rgb[..., 1], grey)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_bayer_patterns_are_named_as_ros_names_them(pattern, bits):
    value = dict(zip("rgb", (200, 100, 40)))
    cell = np.array([value[c] for c in pattern]).reshape(2, 2)
    mosaic = np.tile(cell, (8, 8)).astype(np.uint16 if bits == 16 else np.uint8)
    decoded = decode_image(image(f"bayer_{pattern}{bits}", mosaic << (8 if bits == 16 else 0)))
    assert np.abs(decoded.rgb[4:-4, 4:-4].astype(int) - (200, 100, 40)).max() <= 1


@pytest.mark.parametrize(("encoding", "first"), [("yuv422", "u"), ("uyvy", "u"), ("yuv422_yuy2", "y"), ("yuyv", "y")])
def test_yuv_packings(encoding, first):
    y, u, v = 120, 90, 170
    quad = (u, y, v, y) if first == "u" else (y, u, y, v)
    packed = np.tile(np.array(quad, np.uint8), (4, 3)).reshape(4, 6, 2)
    rgb = decode_image(image(encoding, packed)).rgb[0, 0].astype(int)
    expected = 1.164 * (y - 16) + np.array(
        [1.596 * (v - 128), -0.813 * (v - 128) - 0.391 * (u - 128), 2.018 * (u - 128)]
    )
    assert np.abs(rgb - expected).max() < 3


def test_depth_is_read_as_it_is():
    depth = np.linspace(0, 50, 24, dtype=np.float32).reshape(4, 6)
    assert np.array_equal(image_array(image("32FC1", depth)), depth)
    assert np.array_equal(image_array(image("32FC1", depth, 0, True)), depth)
    assert image_array(image("16UC1", depth.astype(np.uint16))).dtype == np.uint16


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoding": "nv99"}, "'nv99' is not supported; known are rgb8"),
        ({"encoding": None}, "not supported"),
        ({"step": 17}, "step is 17"),
        ({"step": 2**40}, "expected 0 to"),
        ({"height": 5}, "data holds"),
        ({"width": 10**9, "height": 10**9}, "pixels"),
        ({"width": 0}, "pixels"),
        ({"data": None}, "bytes were expected"),
    ],
)
def test_wrong_sizes_and_names_are_refused(changes, words):
    with pytest.raises(MessageError, match=words):
        decode_image(image("rgb8", RGB, **changes))


def test_every_row_of_the_table_decodes_or_refuses_odd_sizes_cleanly():
    for name, entry in ENCODINGS.items():
        for shape in ((1, 1), (3, 5), (2, 2)):
            pixels = np.zeros((*shape, entry.channels) if entry.channels > 1 else shape, entry.dtype)
            try:
                assert decode_image(image(name, pixels)).rgb.shape == (*shape, 3)
            except MessageError as err:
                assert name in str(err)


def compressed(data, kind="jpeg"):
    return make("sensor_msgs/msg/CompressedImage", **compressed_image_values(data, "camera", 1_500_000_000, kind))


def smooth(height=48, width=64):
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.dstack([x * 3, y * 4, np.full_like(x, 90)]).astype(np.uint8)


def test_jpeg_and_png_survive():
    rgb = smooth()
    decoded = decode_image(compressed(encode_jpeg(rgb, 95)))
    assert np.abs(decoded.rgb.astype(int) - rgb).mean() < 2 and decoded.stamp_ns == 1_500_000_000
    png = cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()
    assert np.array_equal(decode_image(compressed(png, "png")).rgb, rgb)


def test_a_jpeg_cut_anywhere_is_refused():
    data = encode_jpeg(smooth())
    for end in (0, 1, 2, 10, 100, len(data) // 2, len(data) - 2):
        with pytest.raises(MessageError):
            decode_image(compressed(data[:end]))


def test_depth_behind_a_picture_topic_is_refused_by_name():
    with pytest.raises(MessageError, match="compressedDepth"):
        decode_image(compressed(b"\x00" * 40, "16UC1; compressedDepth png"))


def test_a_header_that_claims_gigapixels_allocates_nothing():
    data = bytearray(encode_jpeg(smooth()))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    tracemalloc.start()
    with pytest.raises(MessageError, match="65535 x 65535"):
        decode_picture(bytes(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@fuzzed(50)
@given(st.data())
def test_flipped_bytes_give_a_picture_or_a_message_error(data):
    blob = bytearray(encode_jpeg(smooth(16, 16)))
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decode_picture(bytes(blob)).ndim == 3
    except MessageError:
        pass


def test_a_raw_image_round_trips():
    msg = make("sensor_msgs/msg/Image", **image_values(RGB, "camera", 5))
    assert np.array_equal(decode_image(msg).rgb, RGB)


def png_chunk(kind: bytes, payload: bytes, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return size.to_bytes(4, "big") + kind + payload + zlib.crc32(kind + payload).to_bytes(4, "big")


PNG = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", b"\0\0\0\4\0\0\0\4\x08\2\0\0\0")


@pytest.mark.parametrize(
    "data",
    [
        PNG + png_chunk(b"iCCP", b"", 0xFFFFFFF0) + png_chunk(b"IEND", b""),  # 61 bytes; OpenCV asked for 4 GB
        PNG + png_chunk(b"tEXt", b"x" * (1 << 20) + b"y") + png_chunk(b"IEND", b""),
        PNG + png_chunk(b"IDAT", b"", 1 << 31) + png_chunk(b"IEND", b""),
        PNG[:-8],
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", b"", 13) + b"IEND",
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IDAT", b"abc") + png_chunk(b"IEND", b""),
    ],
)
def test_a_png_whose_chunks_claim_more_than_there_is_is_refused_before_decoding(data, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *a: pytest.fail("the decoder saw the bytes"))
    with pytest.raises(MessageError):
        decode_picture(data)


@fuzzed(200)
@given(st.binary(max_size=80))
def test_any_png_chunks_are_a_picture_or_a_message_error(tail):
    tracemalloc.start()
    try:
        decode_picture(PNG + tail)
    except MessageError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 5e6


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("flags", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]])
def test_a_jpeg_that_was_cut_and_closed_with_an_end_marker_is_refused(share, flags):
    pytest.importorskip("simplejpeg")
    rgb = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    whole = cv2.imencode(".jpg", rgb, flags)[1].tobytes()
    assert decode_picture(whole).shape == rgb.shape
    cut = max(int(len(whole) * share), whole.index(b"\xff\xda") + 20)
    with pytest.raises(MessageError, match="corrupt"):
        decode_picture(whole[:cut] + b"\xff\xd9")


def test_both_jpeg_decoders_give_the_same_pixels(monkeypatch):
    pytest.importorskip("simplejpeg")
    smooth = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (90, 130, 3), np.uint8), (0, 0), 3)
    for jpeg in (encode_jpeg(smooth), cv2.imencode(".jpg", smooth[..., 0])[1].tobytes()):
        fast = decode_picture(jpeg)
        monkeypatch.setattr(image_module, "simplejpeg", None)
        slow = decode_picture(jpeg)
        monkeypatch.undo()
        assert np.abs(fast.astype(int) - slow).max() <= 1


def test_a_jpeg_is_turned_as_its_exif_data_says():
    jpeg = encode_jpeg(np.zeros((8, 16, 3), np.uint8))
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6: a quarter turn
    exif = b"Exif\0\0" + tiff
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    assert decode_picture(jpeg).shape == (8, 16, 3) and decode_picture(turned).shape == (16, 8, 3)


@pytest.mark.parametrize(
    ("least", "size"),
    [(0, (360, 640)), (320, (180, 320)), (300, (180, 320)), (161, (135, 240)), (321, (360, 640)), (700, (360, 640))],
)
def test_a_jpeg_much_wider_than_needed_is_decoded_smaller_but_not_narrower_than_asked(least, size):
    pytest.importorskip("simplejpeg")
    row, column = np.mgrid[0:360, 0:640]
    rgb = np.dstack([row * 0.7, column * 0.4, (row + column) * 0.25]).astype(np.uint8)
    found = decode_picture(encode_jpeg(rgb, 95), least)
    assert found.shape[:2] == size
    expected = cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_AREA)  # means of areas: pixels keep their places
    assert np.abs(found.astype(int) - expected).max() <= 4
