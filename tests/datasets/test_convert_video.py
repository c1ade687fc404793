"""Video files and folders of pictures to bags: times, encodings, and one sentence for what cannot be read."""

import cv2
import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.datasets.convert import START_NS
from perception_nodes.datasets.convert_video import PictureOut, convert_images, convert_video
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.messages.image import decode_image
from tests.nodes.cameras import write_video


def read(path):
    with BagReader(path) as reader:
        return [(m.topic, m.stamp_ns, decode_image(reader.decode(m.raw, m.type))) for m in reader.messages()]


def test_a_video_keeps_its_frames_and_times(tmp_path):
    done = convert_video(write_video(tmp_path / "v.mp4", frames=8, fps=10.0), tmp_path / "bag")
    rows = read(tmp_path / "bag")
    assert done.pictures == len(rows) == 8 and done.remarks == ()
    assert {topic for topic, _, _ in rows} == {"/camera/front/image/compressed"}
    assert [(stamp - START_NS) / 1e8 for _, stamp, _ in rows] == pytest.approx(range(8), abs=0.01)
    assert [image.stamp_ns for _, _, image in rows] == [stamp for _, stamp, _ in rows]
    assert [round(float(image.rgb.mean()) / 20) for _, _, image in rows] == list(range(8))
    assert rows[0][2].frame_id == "camera_front" and rows[0][2].size == (64, 48)


@pytest.mark.parametrize(("fps", "kept"), [(30.0, 30), (10.0, 10), (12.0, 12), (1.0, 1), (100.0, 30)])
def test_frames_are_left_out_to_come_down_to_a_rate(tmp_path, fps, kept):
    video = write_video(tmp_path / "v.mp4", frames=30, fps=30.0)
    assert convert_video(video, tmp_path / "bag", fps=fps).pictures == kept
    stamps = np.array([stamp for _, stamp, _ in read(tmp_path / "bag")])
    assert (np.diff(stamps) > 0).all()


@pytest.mark.parametrize("encoding", ["jpeg", "png", "rgb8", "bgr8", "mono8"])
def test_every_encoding_comes_back_as_the_same_picture(tmp_path, encoding):
    rgb = np.zeros((16, 24, 3), np.uint8)
    rgb[..., 0], rgb[:, 12:, 1] = 200, 90
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/1.png"), rgb[..., ::-1])
    convert_images(tmp_path / "in", tmp_path / "bag", PictureOut("left", encoding))
    ((topic, _, image),) = read(tmp_path / "bag")
    assert topic == "/camera/left/image" + ("/compressed" if encoding in ("jpeg", "png") else "")
    wanted = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) if encoding == "mono8" else rgb
    assert np.abs(image.rgb.astype(int) - wanted).mean() < (4 if encoding == "jpeg" else 0.01)


def test_pictures_come_in_the_order_of_their_numbers_and_jpegs_stay_as_they_are(tmp_path):
    (tmp_path / "in").mkdir()
    for i in (10, 9, 1):
        cv2.imwrite(str(tmp_path / f"in/frame_{i}.jpg"), np.full((16, 16, 3), 10 * i, np.uint8))
    (tmp_path / "in/readme.txt").write_text("x")
    done = convert_images(tmp_path / "in", tmp_path / "bag", fps=4.0)
    rows = read(tmp_path / "bag")
    assert [round(float(image.rgb.mean())) for _, _, image in rows] == [10, 90, 100]
    assert [stamp - START_NS for _, stamp, _ in rows] == [0, 250_000_000, 500_000_000]
    assert "stamps are assumed" in done.summary()
    with BagReader(tmp_path / "bag") as reader:
        first = next(iter(reader.messages()))
        assert bytes(reader.decode(first.raw, first.type).data) == (tmp_path / "in/frame_1.jpg").read_bytes()


def test_wide_pictures_are_reduced_and_sizes_that_change_are_said(tmp_path):
    (tmp_path / "in").mkdir()
    for i, width in enumerate((200, 80)):
        cv2.imwrite(str(tmp_path / f"in/{i}.jpg"), np.zeros((40, width, 3), np.uint8))
    done = convert_images(tmp_path / "in", tmp_path / "bag", PictureOut(width=100))
    assert [image.size for _, _, image in read(tmp_path / "bag")] == [(100, 20), (80, 40)]
    assert "2 sizes" in done.summary()


def refuses(tmp_path, words, convert, *given, **options):
    with pytest.raises(DatasetError, match=words):
        convert(*given, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


def test_what_is_no_video_is_one_sentence(tmp_path):
    whole = write_video(tmp_path / "v.mp4", frames=20)
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[:400])
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    refuses(tmp_path, "there is no file", convert_video, tmp_path / "absent.mp4")
    refuses(tmp_path, "is a folder; for pictures type: perception convert images", convert_video, tmp_path / "folder")
    for name in ("cut", "text", "empty"):
        refuses(tmp_path, "not a video that can be read, or is cut short", convert_video, tmp_path / f"{name}.mp4")
    refuses(tmp_path, "0 frames a second", convert_video, whole, fps=0.0)


def test_a_folder_without_pictures_and_a_broken_picture_are_named(tmp_path):
    (tmp_path / "in").mkdir()
    refuses(tmp_path, "no picture in .*: it holds nothing", convert_images, tmp_path / "in")
    refuses(tmp_path, "not there", convert_images, tmp_path / "absent")
    refuses(tmp_path, "perception convert video", convert_images, write_video(tmp_path / "v.mp4"))
    cv2.imwrite(str(tmp_path / "in/1.jpg"), np.zeros((16, 16, 3), np.uint8))
    (tmp_path / "in/2.jpg").write_bytes((tmp_path / "in/1.jpg").read_bytes()[:100])
    refuses(tmp_path, r"2\.jpg: a JPEG of 100 bytes is truncated", convert_images, tmp_path / "in")
    (tmp_path / "in/2.jpg").unlink()
    (tmp_path / "in/3.bmp").write_bytes(b"BM")
    refuses(tmp_path, r"3\.bmp: 2 bytes that are no \.bmp file", convert_images, tmp_path / "in")


@pytest.mark.parametrize(
    ("options", "words"),
    [({"encoding": "nv21"}, "unknown encoding 'nv21'; choose one of jpeg"), ({"camera": "a b"}, "letters"),
     ({"width": 2}, "at least 8")],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_by_name(options, words):
    with pytest.raises(DatasetError, match=words):
        PictureOut(**options)


def test_the_real_video_converts_whole(shared, tmp_path):
    done = convert_video(shared / "data/video_udacity/solidWhiteRight.mp4", tmp_path / "bag", PictureOut(width=192))
    assert done.pictures == 221
