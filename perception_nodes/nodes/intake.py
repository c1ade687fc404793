"""Messages of busy topics, taken on a thread of their own, past the executor.

For every message rclpy's executor asks all of a node's entities anew (fifty of them: services, QoS events of every
publisher): a millisecond and more of Python in which a worker cannot go on, a hundred times a second where there is a
/clock. This waits for a few subscriptions and their QoS events only; the rest stays with the executor.
"""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.context import Context
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.subscription import Subscription

FOREVER_NS = -1
PAUSE_S = 0.01  # after a failure: one that comes back at once must not take the processor


class Intake(CallbackGroup):
    """A callback group whose subscriptions the executor passes over: their callbacks run here, one after the other.

    Use: `node.create_subscription(…, callback_group=intake)`; after `destroy_subscription`, `wake`; at the end `close`.

    Args:
        context: of the node.
        failed: called with what a take or a callback raised; the thread goes on.
    """

    def __init__(self, context: Context, failed: Callable[[Exception], None]) -> None:
        super().__init__()
        self._context, self._failed = context, failed
        self._subscriptions: list[Subscription[Any]] = []
        self._guard = GuardCondition(None, None, context=context)
        self._lock = threading.Lock()
        self._changes = 0
        self._open = True
        self._thread: threading.Thread | None = None
        context.on_shutdown(self.wake)

    def can_execute(self, entity: Any) -> bool:
        """False, as the executor asks: were it left the events, it would still wake for every message."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        """Never called: nothing begins."""

    def add_entity(self, entity: Any) -> None:
        """As rclpy calls it in `create_subscription`."""
        super().add_entity(entity)
        if not isinstance(entity, Subscription):
            return
        with self._lock:
            self._subscriptions.append(entity)
            if self._thread is None and self._open:
                self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
                self._thread.start()
        self.wake()

    def wake(self) -> None:
        """Has the thread look which subscriptions there are: one that was destroyed is let go of."""
        with self._lock:
            self._changes += 1
            if self._open:
                self._guard.trigger()

    def close(self) -> None:
        """Ends the thread; safe to call twice."""
        with self._lock:
            was_open, self._open = self._open, False
            if was_open:
                self._guard.trigger()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        if was_open:
            self._guard.destroy()

    def _run(self) -> None:
        while self._open and self._context.ok():
            try:
                self._serve()
            except Exception as error:
                if self._open and self._context.ok():
                    self._failed(error)
                    time.sleep(PAUSE_S)

    def _serve(self) -> None:
        """Takes messages until subscriptions come or go. What is waited for is held, so that nobody destroys it."""
        with ExitStack() as held:
            changes, subscriptions, events = self._hold(held)
            context: Any = self._context.handle
            held.enter_context(context)
            held.enter_context(self._guard.handle)
            waiting = _rclpy.WaitSet(len(subscriptions), 1, 0, 0, 0, len(events), context)
            while self._open and self._changes == changes and self._context.ok():
                waiting.clear_entities()
                waiting.add_guard_condition(self._guard.handle)
                for subscription in subscriptions.values():
                    waiting.add_subscription(subscription.handle)
                for event in events:
                    event.add_to_wait_set(waiting)
                waiting.wait(FOREVER_NS)
                for pointer in waiting.get_ready_entities("subscription"):
                    self._take(subscriptions[pointer])
                for event in events:
                    if event.is_ready(waiting) and (what := event.take_data()):
                        event.callback(what)

    def _hold(self, held: ExitStack) -> tuple[int, dict[int, Subscription[Any]], list[Any]]:
        """(changes so far, subscriptions by address, their QoS events); what is being destroyed is forgotten."""
        found: dict[int, Subscription[Any]] = {}
        events: list[Any] = []
        with self._lock:
            for subscription in list(self._subscriptions):
                try:
                    held.enter_context(subscription.handle)
                    for event in subscription.event_handlers:
                        held.enter_context(event)
                        events.append(event)
                    found[subscription.handle.pointer] = subscription
                except _rclpy.InvalidHandle:
                    self._subscriptions.remove(subscription)
            return self._changes, found, events

    @staticmethod
    def _take(subscription: Subscription[Any]) -> None:
        taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
        if taken is not None:
            callback: Any = subscription.callback
            callback(taken[0])
