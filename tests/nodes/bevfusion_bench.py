"""bevfusion_node with a LiDAR and two cameras on real DDS, for the tests of what goes in and out and of its faults."""

import json
import time
from types import SimpleNamespace

from perception_nodes.messages.image import compressed_image_values, encode_jpeg
from perception_nodes.messages.point_cloud import fill_point_cloud2, point_cloud2_layout
from perception_nodes.systems.bevfusion.fused import FusedSession
from tests.nodes.conftest import QUICK, status
from tests.systems.bevfusion import BASE_LIDAR, CAMERAS, base_from_camera, camera_model, cloud, opener, picture

NODE, LIDAR = "/bevfusion_node", "points"


def write_rig_file(folder, cameras=CAMERAS):
    """Path of a rig YAML with the LiDAR and these cameras."""
    from perception_nodes.calibration.rig_file import CameraMount, LidarMount, RigFile, write_rig

    path = folder / "rig.yaml"
    mounts = tuple(CameraMount(c, f"/{c}", base_from_camera(c), camera_model(c)) for c in cameras)
    write_rig(RigFile("r", "base_link", (LidarMount("lidar", "lidar", "/lidar/points", BASE_LIDAR),), mounts), path)
    return str(path)


class Probe:
    """A BEV network that keeps what it is given and finds nothing. delay_s: of a step · error: raised by each step."""

    past_sweeps, repeats_first, temporal, uses_cameras, uses_points = 1, False, True, True, True
    classes = (("car",), ())
    facts = SimpleNamespace(trained=True)

    def __init__(self, delay_s=0.0):
        self.delay_s, self.error, self.resets, self.given = delay_s, None, 0, []

    def step(self, images, points, calibration, motion=None):
        time.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        self.given.append({"images": dict(images), "points": points, "motion": motion})
        return SimpleNamespace(detections=None, map=None, used_points=len(points))

    def reset(self):
        self.resets += 1


class Bench:
    """The node with its sensors, its answers and its diagnostics.

    rig: path of a rig YAML · sensors: those that publish · network: instead of the small random one · qos: of the
    publishers · overrides: parameters.
    """

    def __init__(self, stage, rig="", sensors=(LIDAR, *CAMERAS), network=None, qos=100, **overrides):
        from diagnostic_msgs.msg import DiagnosticArray
        from sensor_msgs.msg import CameraInfo, CompressedImage, PointCloud2
        from std_msgs.msg import String

        from perception_nodes.nodes.system_node import SystemNode
        from perception_nodes.systems import bevfusion

        self.stage = stage
        self.answers = stage.listen(String, f"{NODE}/output/detections/attributes")
        self.health = stage.listen(DiagnosticArray, "/diagnostics")
        overrides = {
            "stream.queue": 100, "qos.output.depth": 100, "qos.input.depth": 100, "cameras": list(CAMERAS),
            "input.patience_s": 60.0, "collect.wait_s": 30.0, "calibration.rig": rig, "output.min_score": 0.0,
            "frames.fixed": [""], **QUICK, **overrides,
        }  # fmt: skip
        kinds = {name: CompressedImage for name in CAMERAS} | {LIDAR: PointCloud2}
        self.out = {
            name: stage.publisher(kinds[name], f"{NODE}/input/{name}" + "/image" * (name != LIDAR), qos)
            for name in sensors
        }
        self.info = {c: stage.publisher(CameraInfo, f"{NODE}/input/{c}/camera_info", 100) for c in CAMERAS}
        opened = opener() if network is None else lambda config: FusedSession(network, config.frames)
        self.node = stage.add(SystemNode(bevfusion.SYSTEM, opened, overrides=overrides, context=stage.context))
        for publisher in self.out.values():
            stage.connected(publisher)
        stage.until(lambda: self.node._out["~/output/detections/attributes"].get_subscription_count())

    def send(self, name, at, **changes):
        """Publishes one message and waits until it was taken in. rgb: of a picture, columns: of a cloud; other changes
        are fields of the message."""
        from sensor_msgs.msg import CompressedImage, PointCloud2

        from perception_nodes.messages.assign import fill

        stamp, before = round(at * 1e9), self.node.health.counter("input", "received")
        if name == LIDAR:
            columns = changes.pop("columns", None) or cloud(round(at * 10) % 5)
            message = fill_point_cloud2(PointCloud2(), point_cloud2_layout(columns), "lidar", stamp)
        else:
            jpeg = encode_jpeg(changes.pop("rgb", picture(round(at * 10) % 5, name)))
            message = fill(CompressedImage(), compressed_image_values(jpeg, f"camera_{name}", stamp))
        for key, value in changes.items():
            setattr(message, key, value)
        self.out[name].publish(message)
        self.stage.until(lambda: self.node.health.counter("input", "received") > before)

    def drive(self, count, start=10.0, sensors=(*CAMERAS, LIDAR)):
        for i in range(count):
            for name in sensors:
                self.send(name, round(start + i / 10, 3))

    def answered(self, count):
        self.stage.until(lambda: len(self.answers) >= count, 30.0, what=f"{count} answers, got {len(self.answers)}")
        return [json.loads(m.data) for m in self.answers]

    def says(self, aspect, level, text, **counters):
        """Waits for a diagnostic at this level (or one of several) with this text and these counters."""
        levels = level if isinstance(level, tuple) else (level,)

        def found():
            got, message, values = status(self.health, aspect)
            return got in levels and text in message and all(values.get(k) == str(v) for k, v in counters.items())

        try:
            self.stage.until(found)
        except AssertionError:
            raise AssertionError(f"{aspect} {level} {text} {counters}; got {status(self.health, aspect)}") from None
