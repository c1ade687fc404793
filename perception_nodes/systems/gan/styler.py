"""The session of gan_node: pictures in, restyled pictures out; settings change without a pause.

A style or a setting that is not ready yet is prepared by a thread of its own, while pictures go on with the one before.
The first picture of a size waits for its network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.gan.budget import BudgetChooser, options_of
from models.gan.session import StyleSession
from models.gan.styles import style_model
from perception_nodes.messages.image import CameraImage
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs import Note
from perception_nodes.systems.gan.config import GanConfig, Style

RETRY = 50  # pictures after which a budget that nothing kept is tried again, with over_budget: original
Setting = tuple[float, int | None]  # channel ratio; resolution as StyleSession takes it


class StylePicture(NamedTuple):
    """A picture with what shall become of it. raw, kind: the message that it came in, and its ROS type."""

    image: CameraImage
    raw: bytes
    kind: str
    wanted: Style


class Restyled(NamedTuple):
    """rgb uint8 [H, W, 3] · style: its name; "" for the picture itself · setting, strength: that were used."""

    rgb: NDArray[np.uint8]
    style: str
    setting: Setting
    strength: float


class Result(NamedTuple):
    """Camera -> its picture, and what went wrong."""

    pictures: Mapping[str, Restyled]
    notes: tuple[Note, ...]


@dataclass
class _Budget:
    """Of pictures of one size."""

    chooser: BudgetChooser
    skipped: int = 0  # pictures passed on unchanged since the budget was found impossible


@dataclass
class _Loaded:
    """A style at hand, and what was chosen for each size (height, width) px of its pictures."""

    name: str
    session: StyleSession
    settings: dict[tuple[int, int], Setting] = field(default_factory=dict)
    budgets: dict[tuple[int, int], _Budget] = field(default_factory=dict)


class Styler:
    """config: the parameters at the start · load: (style, config) -> session, which a test may replace.

    Raises ModelError where the style's weights are missing or settings do not fit it.
    """

    def __init__(self, config: GanConfig, load: Callable[[str, GanConfig], StyleSession] | None = None) -> None:
        self._config, self._load = config, load or load_style
        self._now = _Loaded(config.style.name, self._load(config.style.name, config))
        check(self._now.session, config.style)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="style")
        self._coming: tuple[str, Future[StyleSession]] | None = None
        self._preparing: tuple[tuple[int, int], Setting, Future[None]] | None = None
        self._refused: dict[Any, str] = {}
        self._notes: list[Note] = []
        self._camera = ""  # whose picture it is

    @property
    def session(self) -> StyleSession:
        """The one in use."""
        return self._now.session

    def step(self, pictures: Mapping[str, StylePicture]) -> Result:
        """Every camera's picture, restyled with the settings that it came with."""
        self._notes = []
        found = {camera: self._restyle(camera, picture) for camera, picture in pictures.items()}
        return Result(found, tuple(self._notes))

    def _restyle(self, camera: str, picture: StylePicture) -> Restyled:
        rgb, wanted = picture.image.rgb, picture.wanted
        if wanted.strength == 0:
            return Restyled(rgb, "", (1.0, None), 0.0)
        self._camera = camera
        self._follow(wanted)
        size, session = (rgb.shape[0], rgb.shape[1]), self._now.session
        budget = self._budget(size, wanted)
        setting = self._setting(size, wanted, budget)
        if budget is not None and self._passes(budget, wanted):
            return Restyled(rgb, "", setting, 0.0)
        session.set(wanted.strength, *setting)
        styled = session.step(rgb)
        if budget is not None:
            self._measure(size, budget, 1e3 * session.seconds)
        return Restyled(styled, self._now.name, setting, wanted.strength)

    def _follow(self, wanted: Style) -> None:
        """Takes up a style that has been loaded, and begins to load one that is wanted."""
        if self._coming is not None and self._coming[1].done():
            (name, future), self._coming = self._coming, None
            try:
                session = future.result()
                check(session, wanted)
                self._now, self._preparing = _Loaded(name, session), None
            except ModelError as error:
                self._refused[name] = str(error)
        if wanted.name == self._now.name or self._coming is not None:
            return
        if wanted.name in self._refused:
            text = f"style {wanted.name} is not used, {self._now.name} goes on: {self._refused[wanted.name]}"
            self._notes.append(Note("refused_styles", Level.ERROR, text, self._camera))
        else:
            self._coming = wanted.name, self._thread.submit(self._load, wanted.name, self._config)

    def _budget(self, size: tuple[int, int], wanted: Style) -> _Budget | None:
        """The chooser of pictures of this size; None without a budget."""
        budgets = self._now.budgets
        if not wanted.budget_ms:
            budgets.clear()
            return None
        if size not in budgets or budgets[size].chooser.budget_ms != wanted.budget_ms:
            budgets[size] = _Budget(BudgetChooser(options_of(self._now.session, size), wanted.budget_ms))
        return budgets[size]

    def _setting(self, size: tuple[int, int], wanted: Style, budget: _Budget | None) -> Setting:
        """The setting to use now; one that is not ready is prepared beside."""
        if budget is not None:
            option = budget.chooser.option
            goal: Setting = (option.channel_ratio, option.resolution)
        else:
            goal = (wanted.channel_ratio, wanted.resolution or None)
        current = self._now.settings.get(size)
        if current is None or current == goal:  # the first picture of this size
            return self._now.settings.setdefault(size, goal)
        try:
            self._now.session.check(channel_ratio=goal[0], resolution=goal[1])
        except ModelError as error:
            self._notes.append(
                Note("refused_settings", Level.ERROR, f"{error}; the settings before go on", self._camera)
            )
            return current
        if self._prepared(size, goal):
            self._now.settings[size] = goal
        return self._now.settings[size]

    def _prepared(self, size: tuple[int, int], goal: Setting) -> bool:
        """Whether a setting is ready; begins to prepare it otherwise."""
        if self._preparing is not None and self._preparing[2].done():
            at, ready, future = self._preparing
            self._preparing = None
            future.result()
            if (at, ready) == (size, goal):
                return True
        if self._preparing is None:
            self._preparing = size, goal, self._thread.submit(self._now.session.prepare, size, *goal)
        return False

    def _passes(self, budget: _Budget, wanted: Style) -> bool:
        """Reports a budget that nothing keeps; True where the picture itself is sent."""
        chooser = budget.chooser
        if not chooser.impossible:
            return False
        taken = chooser.milliseconds or 0.0
        does = "original pictures are sent" if wanted.over_budget == "original" else "the cheapest setting goes on"
        text = (
            f"no setting of style {self._now.name} keeps {chooser.budget_ms:g} ms: the cheapest takes {taken:.1f} ms; "
            f"{does}. Set style.budget_ms to {1.2 * taken:.0f} or more, or 0"
        )
        self._notes.append(Note("budget_misses", Level.WARN, text, self._camera))
        if wanted.over_budget != "original":
            return False
        budget.skipped += 1
        if budget.skipped % RETRY == 0:
            chooser.switch(chooser.option)  # measured again
        return True

    def _measure(self, size: tuple[int, int], budget: _Budget, taken_ms: float) -> None:
        """One step's time; where another option is better, it is used as soon as it is prepared."""
        chooser = budget.chooser
        if self._now.settings.get(size) != (chooser.option.channel_ratio, chooser.option.resolution):
            return  # the option is not in use yet
        option = chooser.observe(taken_ms)
        if option is not None:
            chooser.switch(option)

    def networks(self) -> Iterator[tuple[str, StyleSession]]:
        """(name, session) of the style in use."""
        yield self._now.name, self._now.session


def load_style(style: str, config: GanConfig) -> StyleSession:
    """The session of a style. Raises ModelError."""
    return StyleSession.from_weights(style_model(style), runtime=config.model.runtime, threads=config.model.threads)


def check(session: StyleSession, wanted: Style) -> None:
    """Raises ModelError where settings do not fit a style."""
    session.check(wanted.strength, wanted.channel_ratio, wanted.resolution or None)
