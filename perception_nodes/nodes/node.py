"""What every node shares: lifecycle, typed parameters, diagnostics, the clock watch, errors kept at the edge."""

import time
import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription

from perception_nodes.config import NodeConfig, Qos
from perception_nodes.nodes.diagnostics import DiagnosticsPublisher
from perception_nodes.nodes.intake import Intake
from perception_nodes.nodes.parameters import Parameters
from perception_nodes.nodes.qos import profile, publisher_events
from perception_nodes.nodes.tf_type import forget_error_state
from perception_nodes.streaming.clock import StartWatch
from perception_nodes.streaming.health import Health, Level, RepeatedErrors

C = TypeVar("C", bound=NodeConfig)

CLOCK = "/clock"


class PerceptionNode(LifecycleNode, Generic[C]):
    """A lifecycle node with a typed config.

    Subclasses implement `load` (on_configure: build what is slow), `start` (on_activate: subscribe, publish), `stop`
    (on_deactivate) and `unload` (on_cleanup). An exception in any of them is logged as one sentence and fails the
    transition.

    Args:
        name: node name.
        config_class: its parameters.
        overrides: dotted parameter names to values, as YAML or `-p` would give them.
        aspects: names of the statuses on /diagnostics.
        kwargs: handed on to rclpy's node (context, namespace, cli_args …).

    Raises:
        ConfigError: an unknown parameter, or a value that is not allowed.
    """

    _intake: Intake | None = None  # rclpy's constructor subscribes to /clock before ours is through

    def __init__(
        self,
        name: str,
        config_class: type[C],
        overrides: dict[str, Any] | None = None,
        aspects: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        given = [Parameter(key, value=value) for key, value in (overrides or {}).items()]
        super().__init__(
            name, parameter_overrides=given, automatically_declare_parameters_from_overrides=True, **kwargs
        )
        self.finish: Callable[[int], None] = lambda code: None  # set by the process that spins this node
        self._typed = Parameters(self, config_class)
        settings = self.config.diagnostics
        self.health = Health((*aspects, "clock", "qos"), settings.hold_s)
        self.errors = RepeatedErrors()
        self.last_error = ""
        self._owned: list[Publisher] = []
        self._diagnostics = DiagnosticsPublisher(self, self.health, settings.period_s)
        self._clock_watch: StartWatch | None = None  # runs while the node is active
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._watch_timer = self.create_timer(min(0.5, settings.clock_patience_s), self._watch_clock, clock=steady)

    @property
    def config(self) -> C:
        """The parameters at this moment; immutable, replaced as a whole when one is set."""
        return self._typed.config

    def set_parameters(self, parameter_list: list[Parameter[Any]]) -> list[SetParametersResult]:
        """As rclpy's, which also serves `ros2 param set`; a parameter that does not exist is refused by name."""
        results = []
        for parameter in parameter_list:
            if self.has_parameter(parameter.name):
                results += super().set_parameters([parameter])
            else:
                results.append(SetParametersResult(successful=False, reason=self._typed.unknown(parameter.name)))
        return results

    def set_parameters_atomically(self, parameter_list: list[Parameter[Any]]) -> SetParametersResult:
        """As rclpy's, all or none; a parameter that does not exist is refused by name."""
        for parameter in parameter_list:
            if not self.has_parameter(parameter.name):
                return SetParametersResult(successful=False, reason=self._typed.unknown(parameter.name))
        return super().set_parameters_atomically(parameter_list)

    @property
    def intake(self) -> Intake:
        """Callback group of the topics whose messages come often or must not wait."""
        if self._intake is None:
            self._intake = Intake(self.context, self._on_undecodable)
        return self._intake

    def create_subscription(self, msg_type: Any, topic: str, *args: Any, **kwargs: Any) -> Subscription[Any]:
        """As rclpy's; /clock, which comes a hundred times a second, goes past the executor."""
        if topic == CLOCK:
            kwargs["callback_group"] = self.intake
        made = super().create_subscription(msg_type, topic, *args, **kwargs)
        forget_error_state(msg_type)
        return made

    def create_publisher(self, msg_type: Any, topic: str, *args: Any, **kwargs: Any) -> Publisher:
        made = super().create_publisher(msg_type, topic, *args, **kwargs)
        forget_error_state(msg_type)
        return made

    def destroy_subscription(self, subscription: Subscription[Any]) -> bool:
        done = super().destroy_subscription(subscription)
        if self._intake is not None:
            self._intake.wake()
        return done

    def destroy_node(self) -> None:
        if self._intake is not None:
            self._intake.close()
        super().destroy_node()

    # --- for subclasses -------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Builds what is slow: loads weights, opens files."""

    def start(self) -> None:
        """Begins to publish and subscribe."""

    def stop(self) -> None:
        """Ends what `start` began; called also at shutdown, and safe to call twice."""

    def unload(self) -> None:
        """Frees what `load` built; safe to call twice."""

    def advertise(self, message_type: Any, topic: str, qos: Qos) -> Publisher:
        """A publisher that lives until the node is deactivated, and reports QoS mismatches."""
        own = profile(qos)
        events = publisher_events(self, topic, own, self.on_qos_mismatch)
        publisher = self.create_publisher(message_type, topic, own, event_callbacks=events)
        self._owned.append(publisher)
        return publisher

    def report(self, aspect: str, counter: str, level: Level, error: BaseException, sentence: str = "") -> None:
        """Keeps an exception at the node's edge: logged once per kind and place, counted, shown in /diagnostics."""
        text = sentence or f"{type(error).__name__}: {error}"
        self.last_error = text
        self.health.event(aspect, counter, level, text)
        if self.errors.note(error) == 1:
            say = self.get_logger().error if level == Level.ERROR else self.get_logger().warning
            say(f"{text} (repetitions are counted in /diagnostics, not logged)")
            self.get_logger().debug("".join(traceback.format_exception(error)))

    def publish_diagnostics(self) -> None:
        """Sends /diagnostics now, besides the timer."""
        self._diagnostics.publish()

    def close(self) -> None:
        """Shuts the node down from whatever state it is in, a broken-off transition included; does not destroy it."""
        try:
            self.trigger_shutdown()
        except Exception:  # in the middle of a transition there is none to `shutdown`
            self._attempt("stop", self._stop_all)
            self._attempt("shut down", self.unload)

    # --- lifecycle ------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        done = self._attempt("configure", self.load, undo=self.unload)
        self._typed.lock(done == TransitionCallbackReturn.SUCCESS)
        return done

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._clock_watch = StartWatch(time.monotonic(), self.config.diagnostics.clock_patience_s)
        return self._attempt("activate", self.start, undo=self._stop_all)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("deactivate", self._stop_all)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._typed.lock(False)
        return self._attempt("clean up", self.unload)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._attempt("stop", self._stop_all)
        return self._attempt("shut down", self.unload)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.on_shutdown(state)

    def _stop_all(self) -> None:
        self._clock_watch = None
        self.stop()
        for publisher in self._owned:
            self.destroy_publisher(publisher)
        self._owned.clear()

    def _attempt(
        self, what: str, action: Callable[[], None], undo: Callable[[], None] | None = None
    ) -> TransitionCallbackReturn:
        try:
            action()
            return TransitionCallbackReturn.SUCCESS
        except Exception as error:
            self.last_error = str(error) or type(error).__name__
            self.get_logger().error(f"cannot {what}: {self.last_error}")
            self.get_logger().debug(traceback.format_exc())
        if undo is not None:
            try:
                undo()
            except Exception as error:
                self.get_logger().error(f"cannot undo the attempt to {what}: {error}")
        return TransitionCallbackReturn.FAILURE

    # --- watches --------------------------------------------------------------------------------------------------

    def _on_undecodable(self, error: Exception) -> None:
        self.report("input", "undecodable", Level.ERROR, error, f"a message could not be received: {error}")

    def on_qos_mismatch(self, topic: str, sentence: str) -> None:
        """Reports two endpoints that do not talk to each other."""
        self.health.count("qos", "mismatches")
        self.health.condition("qos", topic, Level.WARN, sentence)
        self.get_logger().warning(sentence)

    def clock_runs(self) -> bool:
        """False while use_sim_time is set and nothing has come on /clock."""
        return self.get_clock().now().nanoseconds > 0

    def _watch_clock(self) -> None:
        runs = self.clock_runs()
        if runs:
            self.health.clear("clock", "no_clock")
        elif self._clock_watch is not None and self._clock_watch.overdue(time.monotonic(), runs):
            text = (
                "use_sim_time is true but nothing comes on /clock: add -p clock.publish:=true to player_node "
                "(--clock to ros2 bag play), or start this node with -p use_sim_time:=false"
            )
            self.health.condition("clock", "no_clock", Level.WARN, text)
            self.get_logger().warning(text)
