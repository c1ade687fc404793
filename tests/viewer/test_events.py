"""Pictures of events, and events in rerun."""

import numpy as np
import pytest

from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.classes import EVENTS, ClassInfo
from perception_nodes.messages.clock import events_values
from perception_nodes.messages.detections2d import Detections2D, detections2d_values
from perception_nodes.messages.events import CameraEvent, event_values
from perception_nodes.messages.image import compressed_image_values, encode_jpeg
from perception_nodes.viewer.event_pictures import event_bars, film_strip, strip_tile
from perception_nodes.viewer.video_pictures import overlay
from tests.nodes.cameras import grey

SCORES = {name: 0.0 for name in EVENTS} | {"cut_out": 0.75, "none": 0.25}
EVENT = CameraEvent(10**9, "front", "cut_out", 0.75, SCORES, True)
BOXES = Detections2D.build("camera_front", 10**9, (400, 200), [[100, 100, 300, 180]], ["car"], [0.9])


def test_an_overlay_shows_boxes_bars_and_a_warning_and_leaves_the_picture_alone():
    rgb = np.full((200, 400, 3), 100, np.uint8)
    plain = overlay(rgb, None, {}, width=200)
    assert plain.shape == (100, 200, 3) and (plain == 100).all()
    shown = overlay(rgb, EVENT, {"cut_out": (1, 200, 3)}, BOXES, {"car": (250, 0, 0)}, width=400)
    assert (rgb == 100).all() and shown.shape == rgb.shape
    assert (shown[100, 100] == (250, 0, 0)).all()  # the box's corner
    assert (shown == (1, 200, 3)).all(-1).sum() > 200  # the bar
    noted = overlay(rgb, None, {}, note="UNTRAINED WEIGHTS", width=400)
    assert (noted == (255, 60, 60)).all(-1).any()


def test_bars_show_scores_the_event_named_and_the_ground_truth():
    classes = (ClassInfo("none", (50, 50, 50)), ClassInfo("cut_out", (0, 200, 0)))
    scores = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    picture = event_bars([0.0, 0.1, 0.2], scores, np.array([0, 1, 1]), classes, scores > 0.5)
    assert (picture == (0, 200, 0)).all(-1).sum() > 1000
    dark = event_bars([0.0], scores[:1], np.array([0]), classes)
    assert not (dark == (0, 200, 0)).all(-1).any()


def test_a_film_strip_holds_every_tile():
    tiles = [strip_tile(np.full((40, 90, 3), 10 * i, np.uint8), 0.1 * i, "none", ["cut_out"], False) for i in range(5)]
    strip = film_strip(tiles, columns=2)
    assert strip.shape == (3 * (84 + 6), 2 * (90 + 6), 3)
    assert {10 * i for i in range(5)} <= set(np.unique(strip))


def test_events_and_boxes_of_a_bag_go_to_rerun(tmp_path, capsys):
    pytest.importorskip("rerun")
    from perception_nodes.systems import PANELS
    from perception_nodes.viewer.view import view

    with BagWriter(tmp_path / "bag") as bag:
        values = compressed_image_values(encode_jpeg(grey(3)), "camera_front", 10**9)
        bag.write("/camera/front/image/compressed", make("sensor_msgs/msg/CompressedImage", **values), 10**9)
        bag.write("/perception/events", make("std_msgs/msg/String", **event_values(EVENT)), 10**9)
        bag.write("/ground_truth/events", make("std_msgs/msg/String", **events_values(["cut_out"])), 10**9)
        boxes = make("vision_msgs/msg/Detection2DArray", **detections2d_values(BOXES))
        bag.write("/perception/detections2d", boxes, 10**9)
    view(tmp_path / "bag", save=tmp_path / "look.rrd", panels=PANELS)
    content = (tmp_path / "look.rrd").read_bytes()
    assert all(
        word in content for word in (b"/events/front/cut_out", b"/cameras/front/boxes", b"/events/truth/cut_out")
    )
