"""Rigs and beam tables carry the published numbers."""

from pathlib import Path

import numpy as np
import pytest

from perception_nodes.simulator.beams import BEAMS, hdl32e, hdl64e, random_pattern, vlp16
from perception_nodes.simulator.rigs import RIGS, rig


def test_hdl32e_is_32_by_1084_from_minus_30_67_to_10_67_at_20_hz():
    table = hdl32e()
    assert (table.rings, table.columns, table.period) == (32, 1084, 0.05)
    degrees = np.degrees(table.elevation)
    assert degrees[0] == pytest.approx(-30.67) and degrees[-1] == pytest.approx(10.67)
    assert np.allclose(np.diff(degrees), 1.33, atol=0.01)


def test_hdl64e_is_two_blocks_of_a_third_and_half_a_degree():
    table = hdl64e()
    degrees = np.degrees(table.elevation)
    assert degrees[0] == pytest.approx(2.0) and degrees[31] == pytest.approx(-8.3333, abs=1e-3)
    assert degrees[32] == pytest.approx(-8.83) and degrees[63] == pytest.approx(-24.33)
    assert np.allclose(np.diff(degrees[:32]), -1 / 3) and np.allclose(np.diff(degrees[32:]), -0.5)
    assert table.period == 0.1 and 2000 <= table.columns <= 2100
    assert not hdl64e(offsets=False).azimuth_offset.any()


def test_vlp16_spans_15_degrees_up_and_down():
    assert np.allclose(np.degrees(vlp16().elevation), np.arange(-15, 16, 2))


@pytest.mark.parametrize("name", BEAMS)
def test_firings_are_unit_vectors_in_time_order_within_one_turn(name):
    table = BEAMS[name]()
    directions, times = table.directions(), table.times().reshape(table.columns, table.rings)
    assert directions.shape == (table.rays, 3)
    assert np.allclose(np.linalg.norm(directions, axis=1), 1)
    assert times.min() == pytest.approx(-table.period) and times.max() < 0
    assert (np.diff(times, axis=0) > 0).all()
    assert len(np.unique(table.fire_delay)) > 1 and table.fire_delay.max() < table.period / table.columns


def test_velodynes_turn_clockwise_from_behind():
    azimuth = np.unwrap(hdl32e().azimuths())
    assert (np.diff(azimuth) < 0).all() and abs(azimuth[0]) == pytest.approx(np.pi)


def test_random_patterns_are_seeded_and_within_reach():
    for seed in range(30):
        table = random_pattern(np.random.default_rng(seed))
        again = random_pattern(np.random.default_rng(seed))
        assert np.array_equal(table.elevation, again.elevation) and table.columns == again.columns
        assert 16 <= table.rings <= 128 and table.rays <= 145_000
        assert -35 < np.degrees(table.elevation[0]) < np.degrees(table.elevation[-1]) < 17
        assert (np.diff(table.elevation) >= 0).all()
    assert len({random_pattern(np.random.default_rng(s)).rings for s in range(30)}) > 3


@pytest.mark.parametrize("name", RIGS)
def test_poses_are_rigid_and_mounts_are_where_they_should_be(name):
    it = rig(name)
    for pose in [s.base_from_lidar for s in it.lidars] + [s.base_from_camera for s in it.cameras]:
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
        assert 1.4 < pose[2, 3] < 2.1
    assert it.hull.vertices[:, 2].max() < it.lidar.base_from_lidar[2, 3]


def test_nuscenes_and_kitti_have_their_cameras_and_heights():
    nuscenes, kitti = rig("nuscenes"), rig("kitti")
    assert nuscenes.lidar.base_from_lidar[2, 3] == pytest.approx(1.84)
    assert kitti.lidar.base_from_lidar[2, 3] == pytest.approx(1.73)
    assert len(nuscenes.cameras) == 6 and {(c.width, c.height) for c in nuscenes.cameras} == {(1600, 900)}
    assert [(c.width, c.height) for c in kitti.cameras] == [(1242, 375)] * 2
    left, right = kitti.cameras
    baseline = np.linalg.norm(left.base_from_camera[:3, 3] - right.base_from_camera[:3, 3])
    assert baseline == pytest.approx(0.53, abs=0.01)
    ahead = nuscenes.camera("front").base_from_camera[:3, 2]
    assert ahead[0] > 0.99  # the optical axis is z
    assert nuscenes.camera("front_left").base_from_camera[1, 2] > 0.5  # looks to the left (y)


def test_scaling_a_camera_keeps_the_ray_of_every_point():
    spec = rig("nuscenes").camera("front")
    half = spec.scaled(0.5)
    point = np.array([1.0, -0.4, 7.0])
    u = spec.intrinsics @ point / point[2]
    v = half.intrinsics @ point / point[2]
    assert (half.width, half.height) == (800, 450)
    assert (v[0] + 0.5) * 2 - 0.5 == pytest.approx(u[0]) and (v[1] + 0.5) * 2 - 0.5 == pytest.approx(u[1])


def test_calibration_jitter_is_small_seeded_and_rigid():
    base = rig("nuscenes")
    a, b = (base.jittered(np.random.default_rng(3)) for _ in range(2))
    pose = a.lidar.base_from_lidar
    assert np.array_equal(pose, b.lidar.base_from_lidar) and not np.array_equal(pose, base.lidar.base_from_lidar)
    assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3))
    assert abs(pose[:3, 3] - base.lidar.base_from_lidar[:3, 3]).max() < 0.15


def test_nuscenes_turns_at_20_hz_and_its_cameras_fire_12_times_a_second_in_turn():
    """Each fires as the beams pass its axis: between 0.5 and 43 ms before the end of the turn."""
    it = rig("nuscenes")
    assert (it.rate, it.camera_rate, it.key_rate) == (20.0, 12.0, 2.0)
    delays = {c.name: c.delay * 1e3 for c in it.cameras}
    assert min(delays.values()) == pytest.approx(0.5) and 43.0 <= max(delays.values()) < 44.0
    turn = ("front_left", "front", "front_right", "back_right", "back", "back_left")
    assert sorted(delays, key=delays.get, reverse=True) == list(turn)
    azimuth, time = it.lidar.beams.azimuths(), it.lidar.beams.times().reshape(it.lidar.beams.columns, -1)[:, 0] * 1e3
    for spec in it.cameras:
        axis = np.arctan2(spec.base_from_camera[1, 2], spec.base_from_camera[0, 2])
        passed = time[abs((azimuth - axis + np.pi) % (2 * np.pi) - np.pi).argmin()]
        assert -spec.delay * 1e3 - passed == pytest.approx(1.5, abs=1.0), spec.name


def test_every_rig_says_whether_its_sweeps_are_compensated():
    assert {name: rig(name).lidar.compensated for name in RIGS} == {"nuscenes": True, "kitti": True, "vlp16": False}


def test_each_nuscenes_vehicle_has_its_own_small_tilt_and_roll():
    """A seed is a vehicle: the LiDAR is tilted and the cameras are rolled by half a degree, 1 sigma."""
    nominal = rig("nuscenes")
    assert np.array_equal(rig("nuscenes", 4).lidar.base_from_lidar, rig("nuscenes", 4).lidar.base_from_lidar)
    tilts, rolls = [], []
    for seed in range(40):
        it = rig("nuscenes", seed)
        tilts.append(np.degrees(np.arccos(it.lidar.base_from_lidar[2, 2])))
        for spec, level in zip(it.cameras, nominal.cameras):
            rolls.append(np.degrees(np.arcsin(spec.base_from_camera[2, 0] - level.base_from_camera[2, 0])))
            assert np.array_equal(spec.intrinsics, level.intrinsics) and spec.delay == level.delay
    assert 0.3 < np.median(tilts) < 1.0 and max(tilts) < 2.5
    assert 0.35 < np.std(rolls) < 0.65
    for name in ("kitti", "vlp16"):
        assert np.array_equal(rig(name, 7).lidar.base_from_lidar, rig(name).lidar.base_from_lidar)


def test_a_camera_behind_the_windscreen_sees_no_roof():
    it = rig("vlp16")
    body, eye = it.body_in_view(), it.cameras[0].base_from_camera[2, 3]
    assert 0 < len(body.triangles) < len(it.hull.triangles)
    assert body.vertices[body.triangles, 2].max() < eye < it.hull.vertices[:, 2].max()
    assert rig("nuscenes").body_in_view().triangles.shape == rig("nuscenes").hull.triangles.shape


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(KeyError, match="nuscenes, kitti, vlp16"):
        rig("waymo")
    with pytest.raises(KeyError, match="left, right"):
        rig("kitti").camera("top")


def test_hull_winds_outwards():
    for name in RIGS:
        mesh = rig(name).hull
        v = mesh.vertices.astype(np.float64)[mesh.triangles]
        volume = np.einsum("ij,ij->i", v[:, 0], np.cross(v[:, 1], v[:, 2])).sum() / 6
        assert volume > 3.0  # m3; inside-out triangles would take it away


@pytest.mark.parametrize("name", RIGS)
def test_the_rig_files_say_what_the_simulator_mounts(name):
    from perception_nodes.calibration.rig_file import read_rig

    it, file = rig(name), read_rig(Path(__file__).resolve().parents[2] / "config" / "rigs" / f"{name}.yaml")
    assert np.allclose(file.lidars[0].base_from_lidar, it.lidar.base_from_lidar, atol=1e-4)
    assert file.lidars[0].motion_compensated == it.lidar.compensated
    assert [c.name for c in file.cameras] == [c.name for c in it.cameras]
    for mount, spec in zip(file.cameras, it.cameras):
        assert np.allclose(mount.base_from_camera, spec.base_from_camera, atol=1e-4)
        assert np.allclose(mount.model.k, spec.intrinsics) and mount.frame == f"camera_{spec.name}"
