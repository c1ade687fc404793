"""Topics taken past the executor: delivered while it sleeps, judged like the others, gone when they should be."""

import threading
import time

import pytest

pytestmark = pytest.mark.ros


@pytest.fixture
def node(stage):
    from perception_nodes.config import NodeConfig
    from perception_nodes.nodes.node import PerceptionNode

    return stage.add(PerceptionNode("listener", NodeConfig, context=stage.context), start=False)


@pytest.fixture
def text():
    from std_msgs.msg import String

    return String


def test_a_message_is_delivered_once_on_a_thread_that_is_not_the_executors(stage, node, text):
    got = []
    publisher = stage.publisher(text, "/intake/once", 50)
    note = lambda message: got.append((message.data, threading.current_thread().name))  # noqa: E731
    node.create_subscription(text, "/intake/once", note, 50, callback_group=node.intake)
    stage.connected(publisher)
    for i in range(20):
        publisher.publish(text(data=str(i)))
    stage.until(lambda: len(got) >= 20)
    time.sleep(0.1)
    assert got == [(str(i), "intake") for i in range(20)]


def test_what_is_destroyed_is_not_delivered_and_the_others_go_on(stage, node, text):
    got, kept = [], []
    publisher, other = stage.publisher(text, "/intake/gone"), stage.publisher(text, "/intake/kept")
    subscription = node.create_subscription(text, "/intake/gone", got.append, 10, callback_group=node.intake)
    node.create_subscription(text, "/intake/kept", kept.append, 10, callback_group=node.intake)
    stage.connected(publisher)
    stage.connected(other)
    node.destroy_subscription(subscription)
    stage.until(lambda: publisher.get_subscription_count() == 0, what="the subscription let go of")
    publisher.publish(text(data="late"))
    other.publish(text(data="here"))
    stage.until(lambda: kept)
    assert not got


def test_an_exception_costs_its_message_and_is_counted(stage, node, text):
    got = []

    def receive(message):
        if message.data == "bad":
            raise ValueError("no such thing")
        got.append(message.data)

    publisher = stage.publisher(text, "/intake/raises")
    node.create_subscription(text, "/intake/raises", receive, 10, callback_group=node.intake)
    stage.connected(publisher)
    publisher.publish(text(data="bad"))
    publisher.publish(text(data="good"))
    stage.until(lambda: got == ["good"])
    assert node.health.counter("input", "undecodable") == 1


def test_the_clock_comes_this_way_and_runs_before_anybody_spins(stage):
    from builtin_interfaces.msg import Time
    from rosgraph_msgs.msg import Clock

    from perception_nodes.config import NodeConfig
    from perception_nodes.nodes.node import PerceptionNode

    node = PerceptionNode("watcher", NodeConfig, overrides={"use_sim_time": True}, context=stage.context)
    try:
        publisher = stage.publisher(Clock, "/clock")
        stage.connected(publisher)

        def runs():
            publisher.publish(Clock(clock=Time(sec=12)))
            return node.clock_runs()

        stage.until(runs)
        assert node.get_clock().now().nanoseconds == 12_000_000_000
    finally:
        node.destroy_node()


def test_no_thread_is_left(stage, node, text):
    heard: list = []
    before = threading.active_count()
    for _ in range(20):
        subscription = node.create_subscription(text, "/intake/x", heard.append, 1, callback_group=node.intake)
        node.destroy_subscription(subscription)
    assert threading.active_count() == before + 1
    node.intake.close()
    node.intake.close()
    assert threading.active_count() == before
