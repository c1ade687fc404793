"""A small random BEVFusion around made-up sensors: bags, rigs and runs for the tests of the system and its node."""

from dataclasses import replace
from functools import cache

import numpy as np

from models.bevfusion.build import build_network
from models.bevfusion.session import BevFusionSession
from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.calibration.se3 import BODY_FROM_OPTICAL, compose, from_euler
from perception_nodes.messages.camera_info import CameraModel, camera_info_values
from perception_nodes.messages.image import compressed_image_values, encode_jpeg
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from perception_nodes.messages.transforms import Transform, tf_values
from perception_nodes.systems.bevfusion.fused import FusedSession
from perception_nodes.systems.run import find_runs
from tests.bevfusion.small import facts

CAMERAS = ("front", "left")
START_NS = 1_700_000_000_000_000_000
SIZE = (64, 40)  # width, height of the pictures
COMPRESSED, CLOUD, TF = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/PointCloud2", "tf2_msgs/msg/TFMessage"
INFO = "sensor_msgs/msg/CameraInfo"
BASE_LIDAR = from_euler(0.02, -0.03, 0.4, (0.9, 0.1, 1.8))  # tilted, and turned to the left
FACING = {"front": 0.0, "left": 1.6}


@cache  # it has no memory, and opening one takes seconds
def network(*parts):
    """A session of a small random network; two sweeps, so that the past counts."""
    found = facts(*(parts or ("camera", "lidar", "object", "map")))
    session = BevFusionSession(build_network(found, seed=0), found, runtime="torch", threads=1)
    session.past_sweeps = 1
    return session


def opener(*parts):
    """config -> FusedSession around the small network."""
    return lambda config: FusedSession(network(*parts), config.frames)


def base_from_camera(camera):
    turn = from_euler(0, 0, FACING[camera])[:3, :3] @ BODY_FROM_OPTICAL[:3, :3]
    return compose(turn, (1.2, 0.2, 1.5))


def camera_model(camera, size=SIZE, d=()):
    k = np.array([[40.0 * size[0] / 64, 0, size[0] / 2], [0, 40.0 * size[0] / 64, size[1] / 2], [0, 0, 1]])
    return CameraModel(*size, k, np.array(d or np.zeros(5)), "plumb_bob", f"camera_{camera}")


def picture(i, camera):
    rng = np.random.default_rng([i, len(camera)])
    return np.kron(rng.integers(0, 255, (5, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)


def cloud(i, points=400):
    """A cloud in the LiDAR's own frame; intensity 0..1."""
    rng = np.random.default_rng(i)
    xyz = rng.uniform((-12, -12, -2), (12, 12, 1), (points, 3)).astype(np.float32)
    return {"xyz": xyz, "intensity": rng.uniform(0, 1, points).astype(np.float32)}


def static(cameras=CAMERAS, lidar=True):
    links = [Transform("base_link", "lidar", BASE_LIDAR)] if lidar else []
    links += [Transform("base_link", f"camera_{c}", base_from_camera(c)) for c in cameras]
    return make(TF, **tf_values(links))


def moving(i, stamp):
    return make(TF, **tf_values([Transform("odom", "base_link", from_euler(0, 0, 0.02 * i, (1.0 * i, 0, 0)), stamp)]))


def write_bag(path, frames=4, tf=True, odometry=True, info=True, lost=(), clouds=cloud, loops=1):
    """A LiDAR and two cameras at 10 Hz; `lost`: (camera, frame) of pictures that are not there."""
    with BagWriter(path) as bag:
        if tf:
            bag.write("/tf_static", static(), START_NS - 1000)
        for n in range(loops * frames):
            i = n % frames
            stamp, written = START_NS + i * 10**8, START_NS + n * 10**8
            if odometry:
                bag.write("/tf", moving(i, stamp), written)
            for camera in CAMERAS:
                if info:
                    values = camera_info_values(camera_model(camera))
                    bag.write(f"/camera/{camera}/camera_info", make(INFO, **values), written)
                if (camera, i) not in lost:
                    values = compressed_image_values(encode_jpeg(picture(i, camera)), f"camera_{camera}", stamp)
                    bag.write(f"/camera/{camera}/image/compressed", make(COMPRESSED, **values), written)
            layout = point_cloud2_layout(clouds(i))
            bag.write("/lidar/points", make_point_cloud2(layout, "lidar", stamp), written)
    return path


def run_on(bag, *parts, **parameters):
    """The system's run on a bag, with the small network."""
    with BagReader(bag) as reader:
        (run,) = find_runs(reader, ["bevfusion"])
    run = replace(run, open_session=opener(*parts), every_output=True)
    run.parameters.update(parameters)
    return run


def messages(path, topic):
    """Decoded messages of a recorded topic."""
    with BagReader(path) as reader:
        return [reader.decode(m.raw, m.type) for m in reader.messages([topic] if topic in reader.topics() else [])]
