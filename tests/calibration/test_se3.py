"""Transforms say their direction, and quaternions survive."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_nodes.calibration.se3 import (
    BODY_FROM_OPTICAL,
    apply,
    from_euler,
    from_quaternion,
    invert,
    is_rigid,
    to_quaternion,
    yaw_of,
)

angles = st.floats(-np.pi, np.pi)


@settings(deadline=None, max_examples=50)
@given(angles, angles, angles, st.tuples(*[st.floats(-100, 100)] * 3))
def test_quaternions_and_inverses_survive(roll, pitch, yaw, xyz):
    a_from_b = from_euler(roll, pitch, yaw, xyz)
    assert is_rigid(a_from_b)
    back = from_quaternion(to_quaternion(a_from_b), xyz)
    np.testing.assert_allclose(back, a_from_b, atol=1e-9)
    np.testing.assert_allclose(invert(a_from_b) @ a_from_b, np.eye(4), atol=1e-9)


@pytest.mark.parametrize("axis", range(3))
def test_half_turns_keep_their_quaternion(axis):
    q = np.zeros(4)
    q[axis] = 1.0
    np.testing.assert_allclose(np.abs(to_quaternion(from_quaternion(q))), q, atol=1e-12)


def test_apply_moves_points_from_the_right_frame_to_the_left():
    base_from_lidar = from_euler(0, 0, np.pi / 2, (1, 0, 2))
    point = apply(base_from_lidar, np.array([[3.0, 0, 0]], np.float32))
    np.testing.assert_allclose(point, [[1, 3, 2]], atol=1e-6)
    assert point.dtype == np.float32 and yaw_of(base_from_lidar) == pytest.approx(np.pi / 2)


def test_the_optical_frame_looks_along_x():
    np.testing.assert_allclose(apply(BODY_FROM_OPTICAL, np.array([[0.0, 0, 5]])), [[5, 0, 0]])
    np.testing.assert_allclose(apply(BODY_FROM_OPTICAL, np.array([[1.0, 0, 0]])), [[0, -1, 0]])  # right


@pytest.mark.parametrize("q", [(0, 0, 0, 0), (np.nan, 0, 0, 1), (1, 2, 3), (np.inf, 0, 0, 0)])
def test_what_is_no_rotation_is_refused(q):
    with pytest.raises(ValueError, match="not a rotation"):
        from_quaternion(q)


def test_mirrors_and_scales_are_not_rigid():
    for matrix in (np.diag([1, 1, -1, 1.0]), np.diag([2, 2, 2, 1.0]), np.full((4, 4), np.nan), np.eye(3)):
        assert not is_rigid(matrix)
