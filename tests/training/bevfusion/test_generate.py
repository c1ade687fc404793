"""Pictures of the driving world for the camera branch: cameras, one world drawn for real, its truth against itself."""

import numpy as np
import pytest

from models.bevfusion.lite.build import PIXELS
from perception_nodes.simulator.rigs import rig
from training.bevfusion.camera.generate import RIG, cameras, main, rows_of
from training.bevfusion.camera.pictures import BOX_NAMES, HEIGHT, SKY, WIDTH, worlds_in
from training.common.seeds import VAL


def test_val_and_test_see_the_rig_as_it_is_and_training_others():
    nominal = cameras(rig(RIG), None)
    assert [c.name for c in nominal] == [c.name for c in rig(RIG).cameras]
    front, whole = nominal[0], rig(RIG).cameras[0]
    assert (front.width, front.height) == (WIDTH, HEIGHT) and front.fx == pytest.approx(0.48 * whole.fx)
    # the lower part: what is at the picture's lower edge stays there
    assert front.cy - (front.height - 0.5) == pytest.approx(0.48 * (whole.cy - (whole.height - 0.5)))
    one, same, other = (cameras(rig(RIG), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a.base_from_camera, b.base_from_camera) and a.fx == b.fx for a, b in zip(one, same))
    assert len({c.fx / n.fx for c, n in zip(one + other, nominal + nominal)}) == 12
    heights = [c.base_from_camera[2, 3] - n.base_from_camera[2, 3] for c, n in zip(one, nominal)]
    assert np.std(heights) < 0.2  # one vehicle carries them all
    for camera in one:
        turn = camera.base_from_camera[:3, :3]
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    call = ["--split", "val", "--worlds", "1", "--moments", "1", "--out", str(folder)]
    assert main(call) == 0
    (path,) = (folder / "val").glob("*.pictures")
    before = path.stat().st_mtime_ns
    assert main(call) == 0 and path.stat().st_mtime_ns == before  # made once
    return worlds_in(folder, "val")[0]


def test_a_drawn_world_holds_six_pictures_whose_boxes_sit_on_their_objects(world):
    assert world.facts["seed"] == VAL[0] and len(world) == 6
    checked = 0
    for i in range(len(world)):
        picture = world.picture(i)
        assert picture.rgb.shape == (HEIGHT, WIDTH, 3) and picture.rgb.std() > 5
        assert np.array_equal(picture.pixels == SKY, np.isinf(picture.depth))
        for box, label, distance, visible in zip(
            picture.rows.box, picture.rows.label, picture.rows.distance, picture.rows.visible
        ):
            assert 0 <= box[0] < box[2] <= WIDTH and 0 <= box[1] < box[3] <= HEIGHT and 0 < visible <= 1
            if BOX_NAMES[label] == "car" and visible > 0.7 and box[3] - box[1] > 12:
                x1, y1, x2, y2 = (int(v) // 2 for v in box)
                inside = picture.pixels[y1:y2, x1:x2] == PIXELS.index("car")
                assert inside.mean() > 0.4
                assert np.median(picture.depth[y1:y2, x1:x2][inside]) < distance + 1.0
                checked += 1
    assert checked >= 1


def test_nobody_around_gives_no_rows():
    class Nobody:
        actors = ()

        class ego:
            map_from_base = np.eye(4)

    class Empty:
        instance = np.zeros((4, 4), np.uint16)

    assert len(rows_of(Nobody, Empty, cameras(rig(RIG), None)[0])) == 0
