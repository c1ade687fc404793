"""Pictures through networks, as the node and the offline run take them."""

import numpy as np

from models.tsm.detector_boxes import pairwise_iou
from perception_nodes.messages.image import CameraImage
from perception_nodes.systems.system import Moment
from perception_nodes.systems.tsm.declaration import open_detector, open_video
from perception_nodes.systems.tsm.video import VideoNetworks


def moment(rgb, seconds):
    stamp = round(seconds * 1e9)
    return Moment(stamp, {"front": CameraImage(rgb, "camera_front", stamp, "rgb8")}, {"front": stamp}, {})


def test_nothing_is_told_before_the_caches_are_warm_and_pictures_sooner_than_the_period_are_held():
    """The real networks at twice the rate of their training."""
    session, detector = open_video("tsm-events-online", "torch", 1), open_detector("tsm-detector-lite", "torch", 1)
    networks = VideoNetworks(session, detector, 0.05, 0.7)
    rgb = np.random.default_rng(0).integers(0, 256, (96, 192, 3), np.uint8)
    assert session.image.period_s == detector.image.period_s == 0.2
    last = 2 * max(session.warm_after, detector.warm_after) + 2
    seen = [networks.step(moment(rgb, 0.1 * i))["front"] for i in range(last)]
    for i, (event, boxes) in enumerate(seen):
        warm = i // 2 + 1 >= session.warm_after
        assert event.held == bool(i % 2) and event.warm == warm and event.stamp_ns == i * 10**8
        assert warm or (event.event, event.score, event.scores) == ("warming_up", 0.0, {})
        assert not warm or abs(sum(event.scores.values()) - 1) < 1e-4
        assert (boxes is not None) == (i % 2 == 0 and i // 2 + 1 >= detector.warm_after)
    assert sum(event.state == "" for event, _ in seen) >= 1


def test_an_object_is_told_once_whatever_its_class():
    session = open_video("random:tsm-events-online", "torch", 1)
    rgb = np.random.default_rng(0).integers(0, 256, (192, 384, 3), np.uint8)
    most = {}
    for limit in (1.0, 0.3):
        detector = open_detector("tsm-detector-lite", "torch", 1)
        networks = VideoNetworks(session, detector, 0.0, limit)
        found = [networks.step(moment(rgb, 0.2 * i))["front"].boxes for i in range(detector.warm_after)][-1]
        overlaps = pairwise_iou(found.box, found.box)
        np.fill_diagonal(overlaps, 0)
        most[limit] = overlaps.max()
        assert found.score.tolist() == sorted(found.score.tolist(), reverse=True)
    assert most[1.0] > 0.5 and most[0.3] <= 0.3
