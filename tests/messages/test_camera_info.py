"""Camera calibration: zero K and wrong counts refused, sizes rescaled, distortion undone."""

import numpy as np
import pytest

from perception_nodes.bags.typestore import make
from perception_nodes.messages.camera_info import CameraModel, camera_info_values, read_camera_info
from perception_nodes.messages.errors import MessageError

K = np.array([[100.0, 0, 79.5], [0, 110, 59.5], [0, 0, 1]])


def info(**changes):
    values = camera_info_values(CameraModel(160, 120, K, np.zeros(0), "plumb_bob", "camera"))
    return make("sensor_msgs/msg/CameraInfo", **{**values, **changes})


def test_a_model_survives_the_message():
    model = read_camera_info(info())
    assert np.array_equal(model.k, K) and (model.width, model.height) == (160, 120) and not model.distorted
    assert np.array_equal(read_camera_info(info(), rectified=True).k, K)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": np.zeros(9)}, "uncalibrated"),
        ({"k": np.full(9, np.nan)}, "finite"),
        ({"k": -np.eye(3).reshape(-1)}, "uncalibrated"),
        ({"width": 0, "height": 0}, "not filled in"),
        ({"d": np.ones(3)}, "3 coefficients"),
        ({"d": np.ones(5), "distortion_model": "magic"}, "'magic'"),
        ({"roi": {"x_offset": 100, "width": 100}}, "not within"),
        ({"binning_x": 1000}, "binning_x"),
    ],
)
def test_calibration_that_is_none_is_refused(changes, words):
    with pytest.raises(MessageError, match=words):
        read_camera_info(info(**changes))


def test_a_picture_of_another_size_gets_a_rescaled_model():
    half = read_camera_info(info()).for_picture(80, 60)
    assert half.k[0, 0] == 50 and half.k[1, 1] == 55
    assert half.k[0, 2] == pytest.approx(39.5) and half.k[1, 2] == pytest.approx(29.5)  # the middle stays the middle
    with pytest.raises(MessageError, match="cropped"):
        read_camera_info(info()).for_picture(80, 80)


def test_region_of_interest_and_binning_move_the_principal_point():
    model = read_camera_info(
        info(roi={"x_offset": 40, "y_offset": 20, "width": 80, "height": 60}, binning_x=2, binning_y=2)
    )
    assert (model.width, model.height) == (40, 30)
    assert model.k[0].tolist() == [50, 0, 19.75] and model.k[1].tolist() == [0, 55, 19.75]


def test_points_behind_the_camera_have_no_pixel():
    pixels, depth = read_camera_info(info()).project(np.array([[0.0, 0, 2], [1, 0, 2], [0, 0, -1]]))
    assert pixels[0].tolist() == [79.5, 59.5] and pixels[1, 0] == 129.5 and np.isnan(pixels[2]).all() and depth[2] == -1


@pytest.mark.parametrize(("model", "d"), [("plumb_bob", [-0.3, 0.1, 0, 0, 0]), ("equidistant", [-0.05, 0.01, 0, 0])])
def test_undistorting_straightens_a_curved_line(model, d):
    import cv2

    camera = read_camera_info(info(distortion_model=model, d=np.array(d)))
    assert camera.distorted
    line = np.stack([np.linspace(-0.5, 0.5, 400), np.full(400, -0.4), np.ones(400)], -1)[:, None]
    zero = np.zeros(3)
    if model == "equidistant":
        pixels, _ = cv2.fisheye.projectPoints(line, zero, zero, camera.k, camera.d)
    else:
        pixels, _ = cv2.projectPoints(line, zero, zero, camera.k, camera.d)
    picture = np.zeros((120, 160, 3), np.uint8)
    for u, v in pixels.reshape(-1, 2):
        cv2.circle(picture, (round(u), round(v)), 1, (255, 255, 255), -1)
    rows = np.array(
        [np.average(np.arange(120), weights=c) for c in camera.undistort(picture)[..., 0].T[35:125] if c.any()]
    )
    bent = np.array([np.average(np.arange(120), weights=c) for c in picture[..., 0].T[35:125] if c.any()])
    assert np.ptp(rows) < 1.2 < np.ptp(bent) + 0.7
    assert abs(rows.mean() - (59.5 - 0.4 * 110)) < 1.0


def test_without_distortion_the_picture_is_handed_back_untouched():
    picture = np.zeros((120, 160, 3), np.uint8)
    assert read_camera_info(info()).undistort(picture) is picture
