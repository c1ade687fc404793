"""Rig YAML: what is written is read; what is missing is named, and never assumed."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.rig_file import read_rig, write_rig
from perception_nodes.calibration.se3 import from_euler

EXAMPLE = Path(__file__).resolve().parents[2] / "config/rigs/example_vehicle.yaml"


def write(tmp_path, edit=lambda c: None):
    content = yaml.safe_load(EXAMPLE.read_text())
    edit(content)
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_example_is_read_and_looks_ahead():
    rig = read_rig(EXAMPLE)
    assert rig.base_frame == "base_link" and rig.lidars[0].frame == "lidar" and rig.cameras[0].frame == "camera_front"
    np.testing.assert_allclose(rig.lidars[0].base_from_lidar[:3, 3], [0.94, 0, 1.84])
    view = rig.cameras[0].base_from_camera[:3, 2]  # the optical axis in base
    assert view[0] > 0.999 and view[2] < 0  # ahead, 0.3 degrees down
    lidar_in_camera = rig.tree().lookup("camera_front", "lidar")[:3, 3]
    assert lidar_in_camera[2] < -0.7 and lidar_in_camera[1] < -0.3  # behind and above the camera


def test_a_rig_survives_its_file(tmp_path):
    def distort(content):
        content["cameras"]["front"]["distortion"]["coefficients"] = [-0.3, 0.1, 0, 0, 0.01]
        matrix = from_euler(0.1, 0.2, 3.0, (-1, 0, 2)).tolist()
        content["lidars"]["rear"] = {"base_from_lidar": {"matrix": matrix}, "motion_compensated": True}

    rig = read_rig(write(tmp_path, distort))
    write_rig(rig, tmp_path / "out.yaml")
    back = read_rig(tmp_path / "out.yaml")
    for a, b in zip(rig.transforms(), back.transforms()):
        assert (a.parent, a.child) == (b.parent, b.child)
        np.testing.assert_allclose(a.parent_from_child, b.parent_from_child, atol=1e-12)
    assert np.array_equal(rig.cameras[0].model.k, back.cameras[0].model.k)
    assert [m.motion_compensated for m in back.lidars] == [False, True]
    assert back.cameras[0].model.d.tolist() == [-0.3, 0.1, 0, 0, 0.01] and back.cameras[0].topic == rig.cameras[0].topic
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


@pytest.mark.parametrize(
    ("group", "sensor", "key"), [("lidars", "lidar", "base_from_lidar"), ("cameras", "front", "base_from_camera")]
)
@pytest.mark.parametrize("empty", [False, True])
def test_a_rig_without_extrinsics_is_one_clear_sentence(tmp_path, group, sensor, key, empty):
    def edit(content):
        content[group][sensor].pop(key)
        if empty:
            content[group][sensor][key] = None

    with pytest.raises(CalibrationError, match=f"'{sensor}' has no extrinsics; add {key}: {{xyz") as info:
        read_rig(write(tmp_path, edit))
    assert "\n" not in str(info.value) and "rig.yaml" in str(info.value)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda c: c.update(wheels=4), "unknown key 'wheels'; known are name"),
        (lambda c: c["lidars"]["lidar"].update(pose=1), "lidar 'lidar' has the unknown key 'pose'"),
        (lambda c: c["lidars"]["lidar"]["base_from_lidar"].pop("xyz"), "needs xyz and one of"),
        (lambda c: c["lidars"]["lidar"]["base_from_lidar"].pop("rpy_deg"), "needs xyz and one of"),
        (lambda c: c["lidars"]["lidar"]["base_from_lidar"].update(xyz=[1, 2]), "3 finite numbers"),
        (lambda c: c["lidars"]["lidar"]["base_from_lidar"].update(xyz=[1, 2, "3"]), "3 finite numbers"),
        (lambda c: c["lidars"]["lidar"]["base_from_lidar"].update(xyz=[1, 2, float("nan")]), "3 finite numbers"),
        (lambda c: c["lidars"]["lidar"].update(base_from_lidar={"matrix": [[1, 0, 0, 0]] * 4}), "not a rigid"),
        (lambda c: c["lidars"]["lidar"].update(base_from_lidar={"matrix": 3}), "4 rows"),
        (
            lambda c: c["lidars"]["lidar"].update(base_from_lidar={"xyz": [0, 0, 0], "quaternion_xyzw": [0, 0, 0, 0]}),
            "not a rotation",
        ),
        (lambda c: c["lidars"]["lidar"].update(frame="base_link"), "'base_link' is used twice"),
        (lambda c: c["cameras"]["front"].pop("size"), "no size"),
        (lambda c: c["cameras"]["front"].pop("intrinsics"), "no intrinsics"),
        (lambda c: c["cameras"]["front"]["intrinsics"].pop("fx"), "need fx, fy, cx and cy"),
        (lambda c: c["cameras"]["front"]["intrinsics"].update(fx=0), "positive"),
        (lambda c: c["cameras"]["front"].update(size=[10.5, 4]), "positive"),
        (lambda c: c["cameras"]["front"]["distortion"].update(model="magic"), "'magic'"),
        (lambda c: c["cameras"]["front"]["distortion"].update(coefficients=[1, 2]), "known are plumb_bob"),
        (lambda c: c.update(lidars={}, cameras={}), "neither lidars nor cameras"),
        (lambda c: c.update(lidars=[1]), "a table of keys"),
        (lambda c: c["lidars"].update(lidar=7), "a table of keys"),
        (lambda c: c.update(base_frame=7), "base_frame is 7"),
    ],
)
def test_mistakes_are_named(tmp_path, edit, words):
    with pytest.raises(CalibrationError, match=words):
        read_rig(write(tmp_path, edit))


def test_files_that_are_no_rigs(tmp_path):
    path = tmp_path / "rig.yaml"
    with pytest.raises(CalibrationError, match="no rig at .*config/rigs"):
        read_rig(path)
    for text in ("", "3", "[1, 2]", "{a: [", "!!python/object/apply:os.system ['true']", "\x00"):
        path.write_text(text)
        with pytest.raises(CalibrationError):
            read_rig(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CalibrationError):
        read_rig(path)


def test_motion_compensation_is_a_yes_or_a_no(tmp_path):
    path = write(tmp_path, lambda content: content["lidars"]["lidar"].update(motion_compensated="half"))
    with pytest.raises(CalibrationError, match="'lidar': motion_compensated is 'half'; true or false was expected"):
        read_rig(path)
