"""Keeping a time budget: decisions from given step times, nothing is timed here."""

import numpy as np
import pytest

from models.facts import ModelError
from models.gan.budget import FORGET, WINDOW, BudgetChooser, Option, options_of
from tests.gan.test_session import picture, session

OPTIONS = (Option(1.0, None, 1.0), Option(1.0, 192, 0.56), Option(1.0, 128, 0.25), Option(1.0, 0, 0.02))


def feed(chooser, taken, steps=WINDOW):
    """Steps of `taken` ms; the options that were switched to."""
    found = []
    for _ in range(steps):
        option = chooser.observe(taken)
        if option is not None:
            chooser.switch(option)
            found.append(option)
    return found


def test_a_late_step_changes_nothing_and_a_late_median_takes_the_best_option_that_fits():
    chooser = BudgetChooser(OPTIONS, 20.0)
    assert feed(chooser, 15.0, WINDOW - 1) == [] and feed(chooser, 500.0, 1) == []
    assert feed(chooser, 40.0) == [OPTIONS[2]]  # 40 ms x 0.25 fits, x 0.56 does not
    assert chooser.milliseconds is None and not chooser.impossible


def test_it_goes_back_to_a_better_option_when_that_fits_again_but_not_to_one_that_was_measured_too_slow():
    chooser = BudgetChooser(OPTIONS, 20.0)
    feed(chooser, 40.0)
    assert feed(chooser, 7.5) == [OPTIONS[1]]  # the best is known to take 40 ms
    assert feed(chooser, 4.0, FORGET - 1) == []  # it is still known
    assert feed(chooser, 4.0, WINDOW) == [OPTIONS[0]]  # forgotten: 4 ms / 0.56 fits


def test_a_budget_that_nothing_keeps_ends_at_the_cheapest_option_and_is_called_impossible():
    chooser = BudgetChooser(OPTIONS, 1.0)
    assert feed(chooser, 80.0) == [OPTIONS[3]]
    assert feed(chooser, 3.0) == [] and chooser.impossible
    for wrong in ((), OPTIONS):
        with pytest.raises(ValueError, match="expected 1 or more, and above 0"):
            BudgetChooser(wrong, 0.0)


def test_options_are_those_that_the_style_can_do_best_first():
    both = options_of(session("gan-tone-residual", {"width": 8, "blocks": 1}), (256, 704))
    assert [o.resolution for o in both] == [None, 192, 128, 96, 64, 0]
    assert [o.cost for o in both] == sorted((o.cost for o in both), reverse=True)
    assert options_of(session("gan-tone", {}), (256, 704)) == (Option(1.0, None, 1.0),)
    elastic = options_of(session("gan-super-mobile-resnet", {"ngf": 8}), (64, 96))
    assert {o.channel_ratio for o in elastic} == {1.0, 0.75, 0.5} and all(o.resolution != 0 for o in elastic)


def test_resolution_0_is_the_tone_step_alone_and_a_prepared_setting_gives_the_same_picture():
    style = session("gan-tone-residual", {"width": 8, "blocks": 1}, resolution=0)
    rgb = picture(64, 96)
    tone = style.step(rgb)
    style.prepare((64, 96), 1.0, 32)
    compiled = dict(style._compiled)
    style.set(resolution=32)
    full = style.step(rgb)
    assert style._compiled == compiled and full.shape == tone.shape  # nothing was compiled by the step
    assert np.abs(full.astype(int) - tone).max() <= 1  # an untrained residual adds nothing
    with pytest.raises(ModelError, match="has no tone step with a residual; give a height"):
        session("gan-resnet", resolution=0)
