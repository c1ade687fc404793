"""Starting and ending a process of nodes: signals, autostart, exit codes. Nothing heavy is imported before it must."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from perception_nodes.nodes.environment import prepare_environment, rclpy_or_explain
from perception_nodes.nodes.steady import freeze_objects, keep_memory, thaw_objects

Factory = Callable[[], Any]


BREAK_OFF_S = 3.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """A wish to end, from a signal or from a node; the first exit code that is not 0 stays."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.code = 0
        self.interruptible = False  # while weights load and kernels compile: a signal breaks that off

    def __call__(self, code: int = 0) -> None:
        self.code = self.code or code
        self._event.set()

    def wait(self, timeout: float | None = None) -> bool:
        """True once the end is wished for, False after `timeout` seconds."""
        return self._event.wait(timeout)

    @property
    def wished(self) -> bool:
        return self._event.is_set()


def catch_signals(stop: StopRequest) -> None:
    """SIGINT, SIGTERM and SIGHUP ask for the end, however often they come (launch sends SIGINT twice)."""

    def handle(number: int, frame: Any) -> None:
        stop(0)
        if stop.interruptible:
            _end_anyway_after(BREAK_OFF_S, stop)
            raise KeyboardInterrupt

    for number in SIGNALS:
        signal.signal(number, handle)


def _end_anyway_after(seconds: float, stop: StopRequest) -> None:
    """Compilers and loaders may swallow an interrupt or hold on for long; nothing is lost by ending in their midst."""

    def end() -> None:
        if stop.interruptible:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(stop.code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def run(
    factories: Sequence[Factory],
    args: Sequence[str] | None = None,
    started: Callable[[Sequence[Any]], None] = lambda nodes: None,
) -> int:
    """Builds nodes, spins them in one executor, configures and activates those with autostart, waits for the end.

    Args:
        factories: functions that build one node each; called after rclpy is initialised.
        args: command line with ROS arguments; sys.argv by default.
        started: told of the nodes when those with autostart are active.

    Returns:
        The process's exit code: 0 after SIGINT, SIGTERM or a node that finished; 1 if a node could not be built or
        configured. No node, thread or context is left, and further SIGINTs are ignored: the process is to exit now.
    """
    stop = StopRequest()
    if threading.current_thread() is threading.main_thread():
        catch_signals(stop)
    prepare_environment()
    keep_memory()
    try:
        rclpy_or_explain()
    except ImportError as error:
        print(error, file=sys.stderr)
        return 1
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    context = rclpy.Context()
    try:
        rclpy.init(
            args=None if args is None else list(args), context=context, signal_handler_options=SignalHandlerOptions.NO
        )
    except Exception as error:  # rclpy's own sentence names the argument or file that it cannot read
        print(f"ROS arguments not understood: {error}", file=sys.stderr)
        return 1
    executor = SingleThreadedExecutor(context=context)
    nodes: list[Any] = []
    spinner = threading.Thread(target=spin, args=(executor, nodes, stop), name="executor")
    try:
        if not _build(factories, context, nodes, stop):
            return 1
        for node in nodes:
            node.finish = stop
            executor.add_node(node)
        spinner.start()
        _autostart_all(nodes, stop)
        if not stop.wished:
            started(nodes)
        freeze_objects()
        stop.wait()
    finally:
        thaw_objects()
        _end(executor, spinner, nodes, context)
        if threading.current_thread() is threading.main_thread():
            # The interpreter's own end puts the default handlers back, and a second SIGINT would still kill it.
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
    return stop.code


def _build(factories: Sequence[Factory], context: Any, nodes: list[Any], stop: StopRequest) -> bool:
    for factory in factories:
        if stop.wished:
            return True
        try:
            nodes.append(factory(context=context))  # type: ignore[call-arg]
        except Exception as error:
            print(f"cannot start: {error or type(error).__name__}", file=sys.stderr)
            return False
    return True


def _autostart_all(nodes: list[Any], stop: StopRequest) -> None:
    try:
        stop.interruptible = not stop.wished
        for node in nodes:
            if node.config.autostart and not stop.wished and not _autostart(node):
                stop(1)
    except KeyboardInterrupt:  # the signal has set `stop` already
        pass
    finally:
        stop.interruptible = False


def _autostart(node: Any) -> bool:
    from rclpy.lifecycle import TransitionCallbackReturn

    good = TransitionCallbackReturn.SUCCESS
    return bool(node.trigger_configure() == good and node.trigger_activate() == good)


def spin(executor: Any, nodes: Sequence[Any], stop: Callable[[int], None]) -> None:
    """The executor's thread. An exception that reaches it (bytes on DDS that are no such message, for one) costs that
    callback, a counter and a diagnostic; spinning goes on. A fault at every turn ends the process.
    """
    from perception_nodes.streaming.health import Level

    in_a_row, last = 0, 0.0
    while executor.context.ok():
        try:
            executor.spin()
            return  # shut down
        except Exception as error:
            if type(error).__name__ == "InvalidHandle":  # an entity was destroyed while it was being waited for
                continue
            now = time.monotonic()
            in_a_row, last = (in_a_row + 1 if now - last < 0.01 else 0), now
            for node in nodes:
                node.report("input", "undecodable", Level.ERROR, error, f"a message could not be received: {error}")
            if in_a_row > 100:
                print(f"the executor fails at every turn: {error}", file=sys.stderr)
                stop(1)
                return


def _end(executor: Any, spinner: threading.Thread, nodes: list[Any], context: Any) -> None:
    for node in nodes:
        node.close()
    executor.shutdown(timeout_sec=2.0)
    if spinner.is_alive():
        spinner.join(timeout=5.0)
    for node in nodes:
        node.destroy_node()
    context.try_shutdown()
