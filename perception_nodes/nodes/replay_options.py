"""How a bag is replayed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ReplayOptions:
    """How to replay.

    rate: times real time; 0: each message waits until the node has worked on the last one, so that none is dropped.
    patient: at another rate, too, messages wait: the bag is played more slowly where the nodes are slower.
    start, duration: seconds of the bag (duration None: to the end).
    topics: further topics of the bag to play (a live viewer's cameras); what the nodes read is always played.
    network: play and answer with the DDS settings of this shell; else on this machine only.
    domain: ROS domain; None: a free one that no other process uses (with `network`: ROS_DOMAIN_ID).
    listener: called with (topic, type name, message, stamp in ns) for everything recorded and all of `topics`.
    """

    rate: float = 1.0
    patient: bool = False
    start: float = 0.0
    duration: float | None = None
    topics: tuple[str, ...] = ()
    network: bool = False
    domain: int | None = None
    listener: Callable[[str, str, Any, int], None] | None = None
