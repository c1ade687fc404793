"""The shift: channels move by one frame, everything else stays, whatever the shapes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.tsm.shift import _shift_by_concatenation, shift, shift_step


def by_hand(x: torch.Tensor, fold_div: int, direction: str) -> torch.Tensor:
    """Frame by frame and channel by channel, on [N, T, C, H, W]."""
    n, t, c = x.shape[:3]
    fold, out = c // fold_div, x.clone()
    for i in range(t):
        for k in range(c):
            source = i
            if direction == "both" and k < fold:
                source = i + 1
            elif (direction == "both" and fold <= k < 2 * fold) or (direction == "past" and k < fold):
                source = i - 1
            out[:, i, k] = x[:, source, k] if 0 <= source < t else 0
    return out


def test_the_first_channels_come_from_the_future_the_next_from_the_past():
    x = torch.arange(1.0, 13.0).reshape(1, 3, 4, 1, 1)  # frames 1-4, 5-8, 9-12
    assert shift(x, None, 4, "both").flatten().tolist() == [5, 0, 3, 4, 9, 2, 7, 8, 0, 6, 11, 12]
    assert shift(x, None, 4, "past").flatten().tolist() == [0, 2, 3, 4, 1, 6, 7, 8, 5, 10, 11, 12]


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 3), st.integers(1, 6), st.integers(1, 19), st.integers(1, 9), st.sampled_from(["both", "past"]),
    st.booleans(),
)  # fmt: skip
def test_any_length_any_channels_any_fold(n, t, c, fold_div, direction, last):
    x = torch.randn(n, t, c, 2, 3)
    frames = x.flatten(0, 1).contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    expected = by_hand(x, fold_div, direction)
    assert torch.equal(shift(frames, t, fold_div, direction), expected.flatten(0, 1))
    assert torch.equal(shift(x, None, fold_div, direction), expected)
    fold = c // fold_div
    if fold:
        offsets = {"both": (1, -1), "past": (-1, 0)}[direction]
        assert torch.equal(_shift_by_concatenation(frames, t, fold, *offsets), expected.flatten(0, 1))


def test_the_memory_format_of_frames_is_kept_and_the_input_untouched():
    x = torch.randn(8, 16, 5, 6).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    out = shift(x, 4)
    assert out.is_contiguous(memory_format=torch.channels_last) and torch.equal(x, before)


@pytest.mark.parametrize("direction", ["both", "past"])
def test_gradients_go_back_where_the_channels_came_from(direction):
    x = torch.randn(6, 9, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: shift(v, 3, 4, direction), (x,))
    assert torch.autograd.gradgradcheck(lambda v: shift(v, 3, 4, direction), (x,))


def test_a_single_frame_has_neither_past_nor_future():
    x = torch.ones(2, 8, 1, 1)
    assert shift(x, 1, 8, "both").flatten(1).sum(1).tolist() == [6, 6]
    assert shift(x, 1, 8, "past").flatten(1).sum(1).tolist() == [7, 7]


def test_step_by_step_equals_the_shift_of_the_clip():
    x = torch.randn(5, 2, 11, 3, 3)  # [T, N, C, H, W]
    cache, found = torch.zeros(2, 2, 3, 3), []
    for frame in x:
        out, cache = shift_step(frame, cache)
        found.append(out)
    assert torch.equal(torch.stack(found, 1), shift(x.transpose(0, 1), None, 5, "past"))


def test_arguments_that_do_not_fit_are_one_sentence():
    x = torch.zeros(6, 8, 2, 2)
    for call, said in (
        (lambda: shift(x, 4), "6 frames are no whole number of clips of 4 segments"),
        (lambda: shift(x, 0), "no whole number of clips"),
        (lambda: shift(x), "no whole number of clips of None"),
        (lambda: shift(x, 3, 0), "fold_div is 0: expected 1 or more"),
        (lambda: shift(x, 3, 8, "future"), "direction 'future' is unknown; known: both, past"),
        (lambda: shift(torch.zeros(2, 3, 8), 3), "expected .N, T, C, H, W. or .N.T, C, H, W."),
        (lambda: shift(torch.zeros(2, 3, 8, 1, 1), 4), "the clip has 3 frames, segments is 4"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
