"""player_node on real DDS."""

import time

import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.writer import BagWriter
from tests.nodes.bags import START_NS, write_bag
from tests.nodes.conftest import QUICK, HeightSession, spvcnn_node, stamp_s

pytestmark = pytest.mark.ros
START = START_NS * 1e-9


def player(stage, bag, start=True, namespace="", **overrides):
    from perception_nodes.nodes.player import PlayerNode

    codes: list[int] = []
    node = PlayerNode(overrides={**QUICK, "bag": str(bag), **overrides}, context=stage.context, namespace=namespace)
    node.finish = codes.append
    stage.add(node, start=start)
    return node, codes


@pytest.fixture
def clouds(stage):
    from sensor_msgs.msg import PointCloud2

    return stage.listen(PointCloud2, "/lidar/points")


WAIT = {"playback.wait_for": ["/lidar/points"]}


def test_stored_bytes_come_out_as_they_were_at_the_rate_asked_for(stage, clouds, tmp_path):
    from rclpy.serialization import serialize_message

    bag = write_bag(tmp_path / "bag", frames=6)
    began = time.monotonic()
    node, codes = player(stage, bag, **WAIT, **{"playback.rate": 2.0})
    stage.until(lambda: codes)
    assert 0.25 <= time.monotonic() - began < 5 and codes == [0]
    stage.until(lambda: len(clouds) == 6)
    with BagReader(bag) as reader:
        stored = [reader.decode(m.raw, m.type) for m in reader.messages()]
    for got, was in zip(clouds, stored):
        assert bytes(got.data) == was.data.tobytes() and got.header.stamp.nanosec == was.header.stamp.nanosec
    assert len(serialize_message(clouds[0])) > 8000


def test_the_node_under_test_is_waited_for_not_any_subscriber(stage, clouds, tmp_path):
    """`clouds` subscribes, as a viewer or a recorder would; the node comes later."""
    wait = {**WAIT, "playback.wait_nodes": ["spvcnn_node"], "playback.rate": 0.0}
    node, codes = player(stage, write_bag(tmp_path / "bag", frames=3), **wait)
    time.sleep(1.0)
    assert not clouds and not codes
    remap = ["--ros-args", "-r", "~/input/points:=/lidar/points"]
    stage.add(spvcnn_node(lambda config: HeightSession(), context=stage.context, cli_args=remap))
    stage.until(lambda: codes)
    stage.until(lambda: len(clouds) == 3)
    assert codes == [0]


def test_a_node_under_test_that_does_not_come_is_an_error(stage, clouds, tmp_path):
    wait = {**WAIT, "playback.wait_nodes": ["spvcnn_node"], "playback.wait_s": 0.5}
    node, codes = player(stage, write_bag(tmp_path / "bag"), **wait)
    stage.until(lambda: codes)
    assert codes == [1] and not clouds
    assert "no subscription of spvcnn_node to /lidar/points" in node.last_error


def test_an_answer_that_never_comes_ends_with_code_1(stage, clouds, tmp_path, monkeypatch):
    from sensor_msgs.msg import PointCloud2

    monkeypatch.setattr("perception_nodes.nodes.lockstep.FIRST_ANSWER_S", 0.2)
    stage.publisher(PointCloud2, "/labels")  # it is there and says nothing
    answers = {"answer.inputs": ["/lidar/points"], "answer.topics": ["/labels"], "playback.rate": 0.0}
    node, codes = player(stage, write_bag(tmp_path / "bag", frames=2), **WAIT, **answers)
    stage.until(lambda: codes)
    assert codes == [1] and "2 messages got no answer on /labels" in node.last_error


def test_a_namespaced_player_plays_in_its_namespace(stage, tmp_path):
    from sensor_msgs.msg import PointCloud2

    got = stage.listen(PointCloud2, "/left/lidar/points")
    node, codes = player(stage, write_bag(tmp_path / "bag", frames=3), namespace="left", **WAIT)
    stage.until(lambda: codes)
    stage.until(lambda: len(got) == 3)


def test_who_is_waited_for_gets_the_first_message_and_time_to_know_the_player(stage, tmp_path):
    from sensor_msgs.msg import PointCloud2

    from perception_nodes.nodes.player import SETTLE_S

    answers = {"answer.inputs": ["/lidar/points"], "answer.topics": ["/labels"]}
    node, codes = player(stage, write_bag(tmp_path / "bag", frames=3), **WAIT, **answers)
    began = time.monotonic()
    late = stage.listen(PointCloud2, "/lidar/points")
    stage.until(lambda: codes and len(late) == 3)
    assert stamp_s(late[0]) == pytest.approx(START)
    assert min(node.sent["/lidar/points"].values()) - began >= SETTLE_S


def test_clock_runs_with_the_bag(stage, clouds, tmp_path):
    from rosgraph_msgs.msg import Clock

    ticks = stage.listen(Clock, "/clock")
    _, codes = player(stage, write_bag(tmp_path / "bag", frames=4), **WAIT)
    stage.until(lambda: codes)
    times = [t.clock.sec + t.clock.nanosec * 1e-9 for t in ticks]
    assert times == sorted(times) and len(times) > 15
    assert times[0] == pytest.approx(START, abs=0.05) and times[-1] == pytest.approx(START + 0.3, abs=0.05)


def test_start_and_duration_choose_a_part(stage, clouds, tmp_path):
    part = {"playback.start_s": 0.2, "playback.duration_s": 0.25, "playback.rate": 5.0}
    _, codes = player(stage, write_bag(tmp_path / "bag", frames=10), **WAIT, **part)
    stage.until(lambda: codes and len(clouds) >= 3)
    assert [round(stamp_s(c) - START, 2) for c in clouds] == [0.2, 0.3, 0.4]


def test_loop_starts_again_until_it_is_stopped(stage, clouds, tmp_path):
    bag = write_bag(tmp_path / "bag", frames=3)
    node, codes = player(stage, bag, **WAIT, **{"playback.loop": True, "playback.rate": 10.0})
    stage.until(lambda: len(clouds) >= 9)
    node.trigger_deactivate()
    assert codes == [] and node.health.counter("playback", "loops") >= 2
    assert stamp_s(clouds[3]) == stamp_s(clouds[0])


def test_unknown_types_are_skipped_with_a_message_that_names_topic_and_type(stage, clouds, tmp_path, capfd):
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from std_msgs.msg import String

    late = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    bag = write_bag(tmp_path / "bag", frames=3, extra=True)
    node, codes = player(stage, bag, **WAIT, **{"playback.rate": 10.0})
    stage.until(lambda: codes and len(clouds) == 3)
    table = stage.listen(String, "/lidar/points/classes", late)  # latched: it comes to those who join late
    stage.until(lambda: table)
    assert table[0].data == "table"
    said = capfd.readouterr().err
    assert "skipping /objects: message type vision_msgs/msg/Detection3DArray is not installed here" in said


def test_tf_is_played_also_where_tf2_msgs_is_not_installed(stage, clouds, tmp_path):
    from rclpy.qos import DurabilityPolicy, QoSProfile

    from perception_nodes.messages.calibration_cdr import read_serialized_transforms
    from perception_nodes.nodes.tf_type import tf_message_type

    _, codes = player(stage, write_bag(tmp_path / "bag", frames=2, extra=True), **WAIT, **{"playback.rate": 10.0})
    late = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    got: list[bytes] = []
    subscription = stage.client.create_subscription(tf_message_type(), "/tf_static", got.append, late, raw=True)
    try:
        stage.until(lambda: got)
    finally:
        stage.client.destroy_subscription(subscription)
    (link,) = read_serialized_transforms(got[0])
    assert (link.parent, link.child) == ("base_link", "lidar")
    stage.until(lambda: codes)


def test_messages_that_do_not_decode_at_a_topics_begin_are_left_out_and_counted(stage, clouds, tmp_path, capfd):
    kind = "sensor_msgs/msg/PointCloud2"
    with BagWriter(tmp_path / "bag") as bag, BagReader(write_bag(tmp_path / "good", frames=2)) as good:
        for i in range(2):
            bag.write("/lidar/points", b"\x00\x01\x00\x00\xff\xff", START_NS - 2 + i, kind)
        for message in good.messages():
            bag.write("/lidar/points", message.raw, message.stamp_ns, kind)
    node, codes = player(stage, tmp_path / "bag", **WAIT)
    stage.until(lambda: codes and len(clouds) == 2)
    assert codes == [0] and node.health.counter("playback", "left_out") == 2
    assert capfd.readouterr().err.count(f"/lidar/points: a message is left out: it is not a {kind}") == 1


def test_pause_step_and_resume(stage, clouds, tmp_path):
    from std_srvs.srv import Trigger

    def call(verb):
        client = stage.client.create_client(Trigger, f"/player_node/{verb}")
        assert client.wait_for_service(60.0)
        future = client.call_async(Trigger.Request())
        stage.until(future.done)
        stage.client.destroy_client(client)
        return future.result()

    node, codes = player(stage, write_bag(tmp_path / "bag", frames=4), **WAIT, **{"playback.paused": True})
    time.sleep(0.2)
    assert clouds == []
    assert call("step").success
    stage.until(lambda: len(clouds) == 1)
    time.sleep(0.2)
    assert len(clouds) == 1
    assert call("resume").success
    stage.until(lambda: len(clouds) == 4 and codes)
    assert not call("step").success


def test_a_truncated_bag_is_one_sentence(stage, tmp_path, capfd):
    from rclpy.lifecycle import TransitionCallbackReturn

    bag = write_bag(tmp_path / "bag", frames=40)
    file = next(bag.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    node, _ = player(stage, bag, start=False)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert str(bag) in node.last_error and "Traceback" not in capfd.readouterr().err


def test_a_bag_that_breaks_off_ends_with_code_1(stage, clouds, tmp_path):
    bag = write_bag(tmp_path / "bag", frames=10)
    node, codes = player(stage, bag, **{"playback.paused": True})
    for file in bag.iterdir():
        file.unlink()  # the disk goes away between opening and playing
    node._pacer.resume()
    stage.until(lambda: codes)
    assert codes in ([0], [1]) and (codes == [0] or str(bag) in node.last_error)


@pytest.mark.parametrize("bag", ["", "/nowhere/bag"])
def test_no_bag_is_one_sentence(stage, bag):
    from rclpy.lifecycle import TransitionCallbackReturn

    node, _ = player(stage, bag, start=False)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert ("bag:=PATH" if not bag else "/nowhere/bag") in node.last_error


def test_looping_a_bag_gives_the_same_answer_each_loop(stage, tmp_path):
    """A bag shorter than `stream.jump_back_s`: /clock tells of the jump, and nothing is lost."""
    from sensor_msgs.msg import PointCloud2

    from perception_nodes.graph import PLANS, resolve
    from perception_nodes.nodes.compose import ros_arguments

    session = HeightSession()
    resolved = resolve(PLANS["spvcnn"], {"use_sim_time": True})[0]
    overrides = {**QUICK, "use_sim_time": True, "stream.queue": 50, "qos.input.depth": 50, "qos.output.depth": 50}
    ros = {"cli_args": ros_arguments(resolved), "use_global_arguments": False, "context": stage.context}
    node = stage.add(spvcnn_node(lambda config: session, overrides=overrides, **ros))
    answers = stage.listen(PointCloud2, "/perception/segmentation")
    stage.until(lambda: node._out["~/output/segmentation"].get_subscription_count())
    bag = write_bag(tmp_path / "bag", frames=8, n=50)
    play, codes = player(stage, bag, **WAIT, **{"playback.loop": True, "playback.rate": 2.0})
    stage.until(lambda: len(answers) >= 24)
    play.trigger_deactivate()
    came = [(stamp_s(m), bytes(m.data)) for m in answers[:24]]
    assert came[:8] == came[8:16] == came[16:24]
    assert [round(s - START, 2) for s, _ in came[:8]] == [i / 10 for i in range(8)]
    assert node.health.counter("input", "time_jumps") >= 2


def test_at_rate_zero_a_message_waits_for_each_of_its_answers(stage, tmp_path):
    """Two nodes answer one cloud: the next one is sent when both have."""
    from sensor_msgs.msg import PointCloud2

    sent = []
    answers = {name: stage.publisher(PointCloud2, f"/answer/{name}") for name in ("quick", "slow")}
    made = stage.client.create_subscription(PointCloud2, "/lidar/points", sent.append, 10)
    pairs = {"answer.inputs": ["/lidar/points"] * 2, "answer.topics": ["/answer/quick", "/answer/slow"]}
    bag = write_bag(tmp_path / "bag", frames=2)
    try:
        _, codes = player(stage, bag, **WAIT, **pairs, **{"playback.rate": 0.0})
        for out in answers.values():
            stage.connected(out)
        stage.until(lambda: len(sent) == 1)
        answers["quick"].publish(sent[0])
        time.sleep(0.5)
        assert len(sent) == 1 and not codes
        answers["slow"].publish(sent[0])
        stage.until(lambda: len(sent) == 2)
        for out in answers.values():
            out.publish(sent[1])
        stage.until(lambda: codes == [0])
    finally:
        stage.client.destroy_subscription(made)
