"""Pictures through networks, as the node and the offline run take them."""

import numpy as np

from models.tsm.detector_boxes import pairwise_iou
from perception_nodes.messages.image import CameraImage
from perception_nodes.systems.system import Moment
from perception_nodes.systems.tsm.declaration import open_detector, open_video
from perception_nodes.systems.tsm.video import VideoNetworks


def test_an_object_is_told_once_whatever_its_class():
    session = open_video("random:tsm-events-online", "torch", 1)
    rgb = np.random.default_rng(0).integers(0, 256, (192, 384, 3), np.uint8)
    image = CameraImage(rgb, "camera_front", 0, "rgb8")
    moment = Moment(0, {"front": image}, {"front": 0}, {})
    most = {}
    for limit in (1.0, 0.3):
        detector = open_detector("tsm-detector-lite", "torch", 1)
        found = VideoNetworks(session, detector, 0.0, limit).step(moment)["front"].boxes
        overlaps = pairwise_iou(found.box, found.box)
        np.fill_diagonal(overlaps, 0)
        most[limit] = overlaps.max()
        assert found.score.tolist() == sorted(found.score.tolist(), reverse=True)
    assert most[1.0] > 0.5 and most[0.3] <= 0.3
