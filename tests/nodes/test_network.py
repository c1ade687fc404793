"""Nodes on a vehicle keep the user's DDS settings; the commands of `perception` keep to this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perception_nodes.nodes.domain import DOMAINS, DomainError, OwnDomain, used_domains
from tests.nodes.hosts import ADDRESSES, clean_environment, two_hosts

pytestmark = pytest.mark.ros

PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"
DISCOVERY = "ROS_AUTOMATIC_DISCOVERY_RANGE"
TRANSPORTS = ("FASTDDS_BUILTIN_TRANSPORTS", PROFILE)

# A segmentation node as `ros2 run` starts it, with a session that needs no weights.
RUN = """
import sys
from types import SimpleNamespace
import numpy as np
from perception_nodes.nodes.main import run

class Session:
    facts = SimpleNamespace(trained=True)
    def step(self, xyz, intensity):
        return SimpleNamespace(label=np.zeros(len(xyz), np.uint8), score=np.ones(len(xyz), np.float32))
    def reset(self):
        pass

def make(**kwargs):
    from perception_nodes.nodes.system_node import SystemNode
    from perception_nodes.systems import spvcnn
    return SystemNode(spvcnn.SYSTEM, lambda config: Session(), **kwargs)

raise SystemExit(run([make], sys.argv))
"""
ISOLATED = "from perception_nodes.nodes.environment import isolate_environment; isolate_environment()\n" + RUN

# A sensor: sends clouds until an answer has come; says "answered" or "silence".
SENSOR = """
import time, numpy, rclpy
from sensor_msgs.msg import PointCloud2
from perception_nodes.messages.point_cloud import fill_point_cloud2, point_cloud2_layout
rclpy.init()
node = rclpy.create_node("driver")
got = []
node.create_subscription(PointCloud2, "/spvcnn_node/output/segmentation", got.append, 1)
out = node.create_publisher(PointCloud2, "/spvcnn_node/input/points", 1)
layout = point_cloud2_layout({"xyz": numpy.ones((50_000, 3), "f4"), "intensity": numpy.ones(50_000, "f4")})
end = time.monotonic() + SECONDS
while time.monotonic() < end and not got:
    if out.get_subscription_count():
        out.publish(fill_point_cloud2(PointCloud2(), layout, "lidar", time.time_ns()))
    rclpy.spin_once(node, timeout_sec=0.2)
print("answered" if got else f"silence, {out.get_subscription_count()} subscribers", flush=True)
"""


@pytest.fixture(scope="module")
def hosts():
    pytest.importorskip("rclpy")
    with two_hosts() as found:
        yield found


def outcome(child, timeout=60):
    said, _ = child.communicate(timeout=timeout)
    return said.strip().splitlines()[-1]


@pytest.mark.parametrize("settings", [{}, {DISCOVERY: "SUBNET"}], ids=["default", "SUBNET"])
def test_a_sensor_on_another_computer_is_heard(hosts, settings):
    node = hosts.start(0, "-c", RUN, ROS_DOMAIN_ID="3", **settings)
    assert outcome(hosts.start(1, "-c", SENSOR.replace("SECONDS", "40"), ROS_DOMAIN_ID="3", **settings)) == "answered"
    os.killpg(node.pid, 15)


def test_a_stranger_with_static_peers_does_not_reach_our_own_commands(hosts):
    node = hosts.start(0, "-c", ISOLATED, ROS_DOMAIN_ID="4")
    # On the same machine a node with default settings gets its answer: it is there.
    assert outcome(hosts.start(0, "-c", SENSOR.replace("SECONDS", "40"), ROS_DOMAIN_ID="4")) == "answered"
    stranger = hosts.start(1, "-c", SENSOR.replace("SECONDS", "4"), ROS_DOMAIN_ID="4", ROS_STATIC_PEERS=ADDRESSES[0])
    assert outcome(stranger) == "silence, 0 subscribers"
    os.killpg(node.pid, 15)


# --- what listens ---------------------------------------------------------------------------------------------------


def local_addresses(pid):
    """Local addresses of a process's internet sockets, as in /proc/net: hexadecimal."""
    own = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            own.add(os.readlink(fd).removeprefix("socket:[").removesuffix("]"))
        except OSError:
            continue
    found = set()
    for table in ("udp", "udp6", "tcp", "tcp6"):
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            parts = row.split()
            if parts[9] in own:
                found.add(parts[1].split(":")[0])
    return found


LOOPBACK = "0100007F"


@pytest.mark.skipif(not Path("/proc/net/udp").exists(), reason="needs Linux's /proc/net")
@pytest.mark.parametrize("memory", ["enough", "short"])
def test_our_own_commands_listen_on_no_address_but_127_0_0_1(memory):
    pytest.importorskip("rclpy")
    short = "from perception_nodes.nodes import environment; environment._is_short = lambda: True\n"
    code = (short if memory == "short" else "") + (
        "from perception_nodes.nodes.environment import isolate_environment; isolate_environment()\n"
        "import rclpy; rclpy.init(); node = rclpy.create_node('a')\n"
        "print('up', flush=True); input()"
    )
    # A user who opened his shell's DDS settings does not open ours.
    given = {DISCOVERY: "SUBNET", "ROS_STATIC_PEERS": "10.77.0.9", "FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}
    environment = clean_environment(ROS_DOMAIN_ID="5", **given)
    how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    child = subprocess.Popen([sys.executable, "-c", code], env=environment, **how)
    try:
        assert child.stdout.readline() == "up\n", child.communicate()[1]
        assert local_addresses(child.pid) == {LOOPBACK}
    finally:
        _, errors = child.communicate("\n", timeout=120)
    assert "XML" not in errors, errors


# --- what is set ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, "None None fastdds.xml"),
        ({DISCOVERY: "SUBNET"}, "SUBNET None fastdds.xml"),
        ({DISCOVERY: "LOCALHOST"}, "LOCALHOST None fastdds.xml"),
        ({DISCOVERY: "SUBNET", "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}, "SUBNET UDPv4 None"),
        ({PROFILE: "mine.xml"}, "None None mine.xml"),
        ({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, "None None None"),
    ],
)
def test_nodes_keep_the_users_dds_settings(given, found):
    code = (
        "import os; from perception_nodes.nodes.environment import prepare_environment; prepare_environment();"
        f"print(*(os.path.basename(os.environ.get(k, 'None')) for k in {(DISCOVERY, *TRANSPORTS)!r}))"
    )
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, env=clean_environment(**given), capture_output=True, text=True)
    assert said.stdout.strip() == found, said.stderr


def test_the_transport_profile_is_one_that_fast_dds_takes():
    """A profile with a fault in it would be passed over with a line on stderr, and the segment stay small."""
    pytest.importorskip("rclpy")
    code = (
        "from perception_nodes.nodes.environment import SEGMENT_BYTES, prepare_environment; prepare_environment();"
        "import rclpy, pathlib; rclpy.init(domain_id=99); node = rclpy.create_node('a');"
        "mapped = [line.split()[0].split('-') for line in open('/proc/self/maps') if '/fastdds_' in line];"
        "print(max(int(end, 16) - int(begin, 16) for begin, end in mapped) >= SEGMENT_BYTES)"
    )
    said = subprocess.run([sys.executable, "-c", code], env=clean_environment(), capture_output=True, text=True)
    assert said.stdout.strip() == "True" and "XML" not in said.stderr, said.stderr


# --- a domain of its own --------------------------------------------------------------------------------------------


def test_two_replays_never_choose_the_same_domain():
    held = [OwnDomain() for _ in range(5)]
    try:
        assert len({one.number for one in held}) == 5 and {one.number for one in held} <= set(DOMAINS)
        if Path("/proc/net/udp").exists():
            assert {one.number for one in held} <= used_domains()
    finally:
        for one in held:
            one.close()


def test_a_domain_in_use_is_not_taken(monkeypatch):
    monkeypatch.setattr("perception_nodes.nodes.domain.used_domains", lambda: set(DOMAINS) - {42})
    first = OwnDomain()
    try:
        assert first.number == 42
        with pytest.raises(DomainError, match="give one with --domain"):
            OwnDomain()
    finally:
        first.close()
    again = OwnDomain()
    assert again.number == 42
    again.close()
