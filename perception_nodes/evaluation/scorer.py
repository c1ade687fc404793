"""What a system's scorer is: the part of an evaluation that belongs to one recorded topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perception_nodes.bags.reader import BagReader

UNTRAINED = "UNTRAINED WEIGHTS"


@dataclass(frozen=True)
class Recording:
    """What a scorer looks at.

    Attributes:
        out: bag with the recorded outputs. truth: the bag that was replayed, or None.
        folder: results folder; pictures go to its `pictures/`. pictures: how many to draw, where that is free.
        note: UNTRAINED where the recorded weights were random, else "".
    """

    out: BagReader
    truth: BagReader | None
    folder: Path
    pictures: int
    note: str = ""


@dataclass(frozen=True)
class Scored:
    """What a scorer found.

    Attributes:
        metrics: its part of metrics.json; None: nothing to score, no part.
        pictures: (file relative to the folder, caption). answered: recorded answers, None: does not count them.
        apart: state -> recorded messages without an answer of their own ("held", "warming_up").
        given: messages of the truth bag that should have been answered; None: unknown.
    """

    metrics: dict[str, Any] | None
    pictures: list[tuple[str, str]] = field(default_factory=list)
    answered: int | None = None
    given: int | None = None
    apart: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Scorer:
    """Scores one recorded topic.

    Attributes:
        key: name of its part in metrics.json. topic: of an output of the system.
        needs_classes: True: the topic must travel with a class table.
        score: reads the recording; raises EvaluationError where nothing was recorded or the ground truth does not fit.
        cards: metrics -> [(title, value, sentence)] at the top of the report.
        template: Jinja template of its section in the report, None: no section. context: metrics -> its variables.
        tables: metrics -> rich tables or sentences for the terminal.
    """

    key: str
    topic: str
    score: Callable[[Recording], Scored]
    needs_classes: bool = False
    cards: Callable[[dict], list[tuple[str, Any, str]]] = lambda metrics: []
    template: Path | None = None
    context: Callable[[dict], dict[str, Any]] = lambda metrics: {}
    tables: Callable[[dict], list[Any]] = lambda metrics: []
