"""One DDS domain, one executor and one client per module; nodes come and go within it."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perception_nodes.nodes.environment import isolate_environment

isolate_environment()
DOMAIN = 1 + (os.getpid() * 7) % 90

QUICK = {"diagnostics.period_s": 0.05, "diagnostics.hold_s": 60.0}


class HeightSession:
    """A session whose answer is known by hand: ground below -1 m is road (8), the rest is building (12)."""

    def __init__(self, delay_s: float = 0.0, error: Exception | None = None) -> None:
        self.delay_s = delay_s
        self.error = error
        self.resets = 0
        self.steps = 0
        self.facts = SimpleNamespace(trained=True)

    def step(self, xyz: np.ndarray, intensity: np.ndarray) -> Any:
        assert xyz.dtype == np.float32 and np.isfinite(xyz).all() and np.isfinite(intensity).all()
        self.steps += 1
        if self.delay_s:
            time.sleep(self.delay_s)
        if self.error is not None and self.steps > 1:  # the warm-up step works
            raise self.error
        label = np.where(xyz[:, 2] < -1, 8, 12).astype(np.uint8)
        return SimpleNamespace(label=label, score=np.full(len(xyz), 0.75, np.float32))

    def reset(self) -> None:
        self.resets += 1


def spvcnn_node(open_session: Any = None, **kwargs: Any) -> Any:
    """The segmentation node; open_session: config -> session, None: as declared."""
    from perception_nodes.nodes.system_node import SystemNode
    from perception_nodes.systems import spvcnn

    return SystemNode(spvcnn.SYSTEM, open_session, **kwargs)


def tsm_node(session: Any = None, detector: Any = None, **kwargs: Any) -> Any:
    """The video node with networks that are there already; None: as declared."""
    from perception_nodes.nodes.system_node import SystemNode
    from perception_nodes.systems import tsm
    from perception_nodes.systems.tsm.declaration import networks_of

    given = None if session is None else lambda config: networks_of(config, session, detector)
    return SystemNode(tsm.SYSTEM, given, **kwargs)


class Stage:
    """A context with a spinning executor and a client node that publishes and listens for the test."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions

        from perception_nodes.nodes.main import spin

        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
        self.client = rclpy.create_node("client", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.client)
        self.faults: list[int] = []
        self._nodes: list[Any] = []
        self.thread = threading.Thread(target=spin, args=(self.executor, self._nodes, self.faults.append))
        self.thread.start()
        self._endpoints: list[Callable[[], Any]] = []

    def add(self, node: Any, start: bool = True) -> Any:
        self._nodes.append(node)
        self.executor.add_node(node)
        if start:
            from rclpy.lifecycle import TransitionCallbackReturn

            assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
            assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        return node

    def publisher(self, kind: Any, topic: str, qos: Any = 10) -> Any:
        made = self.client.create_publisher(kind, topic, qos)
        self._endpoints.append(lambda: self.client.destroy_publisher(made))
        return made

    def listen(self, kind: Any, topic: str, qos: Any = 50) -> list[Any]:
        got: list[Any] = []
        made = self.client.create_subscription(kind, topic, got.append, qos)
        self._endpoints.append(lambda: self.client.destroy_subscription(made))
        return got

    @staticmethod
    def until(condition: Callable[[], Any], timeout: float = 90.0, what: str = "") -> Any:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.01)
        raise AssertionError(f"not within {timeout} s: {what or condition}")

    def connected(self, publisher: Any) -> None:
        self.until(publisher.get_subscription_count, what=f"a subscriber on {publisher.topic_name}")

    def clear(self) -> None:
        for node in self._nodes:
            if node.context.ok():
                node.close()
        nodes = list(self._nodes)
        self._nodes.clear()
        for node in nodes:
            self.executor.remove_node(node)
            node.destroy_node()
        for destroy in self._endpoints:
            destroy()
        self._endpoints.clear()

    def close(self) -> None:
        self.clear()
        self.executor.shutdown()
        self.thread.join()
        self.client.destroy_node()
        self.context.try_shutdown()


@pytest.fixture(scope="module")
def module_stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'perception_nodes[ros]'")
    made = Stage(1 + (DOMAIN + sum(map(ord, request.node.name))) % 100)
    yield made
    made.close()


@pytest.fixture
def stage(module_stage: Stage) -> Iterator[Stage]:
    yield module_stage
    module_stage.clear()


def cloud(stamp_s: float, n: int = 8, **changes: Any) -> Any:
    """A PointCloud2 of n points, every second one on the ground."""
    from sensor_msgs.msg import PointCloud2

    from perception_nodes.messages.point_cloud import fill_point_cloud2, point_cloud2_layout

    xyz = np.zeros((n, 3), np.float32)
    xyz[:, 0] = np.arange(n) + 1
    xyz[::2, 2] = -1.7
    layout = point_cloud2_layout({"xyz": xyz, "intensity": np.full(n, 0.5, np.float32)})
    message = fill_point_cloud2(PointCloud2(), layout, "lidar", round(stamp_s * 1e9))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def stamp_s(message: Any) -> float:
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def status(messages: list[Any], aspect: str) -> tuple[int, str, dict[str, str]]:
    """The newest status of an aspect: level, message, values."""
    for array in reversed(messages):
        for row in array.status:
            if row.name.endswith(f": {aspect}"):
                return row.level[0], row.message, {v.key: v.value for v in row.values}
    return 0, "", {}
