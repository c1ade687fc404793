"""Raw pictures of 1280x720 (2.8 MB each) through a node in another process: what arrives, and the diagnostic that names
the cure where messages are lost."""

import json
import subprocess
import sys

import pytest

from tests.nodes.conftest import DOMAIN
from tests.nodes.hosts import clean_environment

pytestmark = [pytest.mark.ros, pytest.mark.slow]

SENT = 30
# The video node as `ros2 run` starts it, with networks that need no weights.
NODE = """
import sys
from perception_nodes.nodes.main import run
from perception_nodes.nodes.system_node import SystemNode
from perception_nodes.systems import tsm
from perception_nodes.systems.tsm.declaration import networks_of
from tests.nodes.cameras import LevelSession

quick = {"diagnostics.period_s": 0.1, "diagnostics.hold_s": 60.0, "input.patience_s": 1.0, "stream.queue": 30,
         "qos.input.depth": 30, "collect.max_age_s": 10.0}

def make(**kwargs):
    return SystemNode(tsm.SYSTEM, lambda config: networks_of(config, LevelSession(), None), overrides=quick, **kwargs)

raise SystemExit(run([make], sys.argv))
"""
# A camera driver: waits for the node, sends pictures at 10 Hz, and prints what came back.
CAMERA = """
import json, sys, time
import numpy as np, rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String
rclpy.init()
node = rclpy.create_node("driver")
reliable = sys.argv[1] == "reliable"
policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
qos = QoSProfile(depth=int(sys.argv[2]), reliability=policy)
out = node.create_publisher(Image, "/tsm_node/input/image", qos)
events, texts = [], set()
node.create_subscription(String, "/tsm_node/output/events", events.append, 100)
def heard(array):
    texts.update(row.message for row in array.status if len(events) and row.level != b"\\0")
node.create_subscription(DiagnosticArray, "/diagnostics", heard, 100)
def spin(until):
    while time.monotonic() < until:
        rclpy.spin_once(node, timeout_sec=max(0.0, until - time.monotonic()))
end = time.monotonic() + 150
while time.monotonic() < end and not out.get_subscription_count():
    spin(time.monotonic() + 0.1)
if not out.get_subscription_count():
    sys.exit("the node did not subscribe within 150 s")
spin(time.monotonic() + 1.0)
message = Image(height=720, width=1280, encoding="rgb8", step=3840)
message.data.frombytes(np.full(720 * 3840, 25, np.uint8).tobytes())
message.header.frame_id = "camera"
for _ in range(int(sys.argv[2])):
    began = time.monotonic()
    message.header.stamp = node.get_clock().now().to_msg()
    out.publish(message)
    spin(began + 0.1)
end = time.monotonic() + (30.0 if reliable else 3.0)
while time.monotonic() < end and len(events) < int(sys.argv[2]):
    spin(time.monotonic() + 0.1)
print(json.dumps({"events": len(events), "said": sorted(texts)}), flush=True)
"""


def drive(transports, reliability):
    """What a node of this reliability answers to a driver of the same, both on these transports."""
    environment = clean_environment(
        ROS_DOMAIN_ID=str(101 + (DOMAIN + 71) % 100), FASTDDS_BUILTIN_TRANSPORTS=transports
    )
    command = [sys.executable, "-c", NODE, "--ros-args", "-p", f"qos.input.reliability:={reliability}"]
    node = subprocess.Popen(command, env=environment)
    try:
        driver = [sys.executable, "-c", CAMERA, reliability, str(SENT)]
        done = subprocess.run(driver, env=environment, capture_output=True, text=True, timeout=240)
    finally:
        node.terminate()
        node.wait(30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_where_best_effort_loses_pictures_the_diagnostic_names_the_cure():
    seen = drive("UDPv4", "best_effort")
    lost = [text for text in seen["said"] if "messages were lost" in text]
    cures = ("qos.input.reliability:=reliable", "FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA", "CompressedImage")
    assert seen["events"] == SENT or (lost and all(cure in lost[-1] for cure in cures)), seen


def test_with_reliability_on_both_sides_every_picture_is_answered():
    assert drive("UDPv4", "reliable")["events"] == SENT
