"""Samples hold one moment consistently: pictures, points, boxes and map of the same world in the stated frames."""

from dataclasses import replace

import numpy as np
import pytest

from perception_nodes.classes import BOX_CLASSES, MAP_CLASSES, POINT_CLASSES
from perception_nodes.simulator.drive import Drive
from perception_nodes.simulator.map_masks import MapMasks
from perception_nodes.simulator.picture_boxes import picture_boxes
from perception_nodes.simulator.samples import PIXEL_CLASSES, boxes_in_base, masks_in_base, pixel_classes, samples
from tests.simulator import scenes, stage


@pytest.fixture(scope="module")
def taken():
    """Two key frames of a nuscenes drive, half a second apart, with five sweeps each."""
    cameras = ("front", "back_left")
    with Drive("suburb_day", "nuscenes", 11, seconds=0.55, cameras=cameras, image_size=(176, 96),
               camera_rate=2.0) as drive:  # fmt: skip
        return list(samples(drive, sweeps=5))


def test_key_frames_come_with_their_cameras_and_sweeps(taken):
    first, second = taken
    assert (first.index, second.index) == (0, 10) and second.time == pytest.approx(0.5)
    assert (len(first.sweeps), len(second.sweeps)) == (1, 5)
    for camera in second.cameras.values():
        assert camera.rgb.shape == (96, 176, 3) and camera.rgb.dtype == np.uint8
        assert camera.depth.shape == camera.classes.shape == (96, 176) and camera.depth.dtype == np.float32
        assert camera.intrinsics.shape == (3, 3) and 0 < camera.age < 0.05
        assert set(np.unique(camera.classes)) <= set(range(len(PIXEL_CLASSES))) | {255}
        assert len(camera.boxes.xyxy) == len(camera.boxes)
    assert list(second.cameras) == ["front", "back_left"]


def test_points_of_five_sweeps_lie_on_one_world(taken):
    """The standing world does not smear: older sweeps, moved into the newest frame, meet the same road."""
    sample = taken[1]
    points = sample.accumulated()
    assert points.dtype == np.float32 and points.shape == (sum(len(s.points) for s in sample.sweeps), 5)
    ages = np.unique(np.round(points[:, 4], 4))
    assert np.allclose(ages, [0.0, 0.05, 0.1, 0.15, 0.2]), "compensated sweeps are as old as their stamps"
    assert len(sample.accumulated(2)) == len(sample.sweeps[0].points) + len(sample.sweeps[1].points)
    labels = np.concatenate([s.label for s in sample.sweeps])
    wall = (labels == 12) & (np.hypot(points[:, 0], points[:, 1]) < 40)
    new, old = points[wall & (points[:, 4] < 0.01), :3], points[wall & (points[:, 4] > 0.19), :3]
    assert len(new) > 200 and len(old) > 200
    gap = np.sqrt(((old[::7, None] - new[None]) ** 2).sum(-1)).min(1)
    raw = np.concatenate([s.points for s in sample.sweeps])
    smeared = np.sqrt(((raw[wall & (points[:, 4] > 0.19), :3][::7, None] - new[None]) ** 2).sum(-1)).min(1)
    assert np.median(gap) < 0.3, "m: about the distance between two neighbouring points of a sweep"
    assert np.median(gap) < 0.6 * np.median(smeared), "without the motion they would not meet"


def test_boxes_in_base_hold_their_points(taken):
    sample = taken[1]
    sweep, checked = sample.sweeps[0], 0
    xyz = sweep.points[:, :3] @ sample.base_from_lidar[:3, :3].T + sample.base_from_lidar[:3, 3]
    for box, track, count in zip(sample.boxes, sample.box_track, sample.box_points):
        mine = xyz[sweep.instance == track]
        assert len(mine) == count
        if count < 30:
            continue
        c, s = np.cos(box[6]), np.sin(box[6])
        local = (mine - box[:3]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        slack = 0.35 + 0.06 * np.hypot(box[7], box[8])
        assert ((abs(local) <= box[3:6] / 2 + slack).all(1)).mean() > 0.95
        checked += 1
    assert checked >= 2 and set(sample.box_class) <= set(range(len(BOX_CLASSES)))


def test_the_road_of_the_map_is_the_road_of_the_points(taken):
    sample = taken[1]
    road = sample.map_masks[[c.name for c in MAP_CLASSES].index("drivable_area")]
    assert sample.map_masks.shape == (6, 200, 200) and sample.map_masks.dtype == bool
    sweep = sample.sweeps[0]
    on_road = sweep.points[sweep.label == 8][:, :3] @ sample.base_from_lidar[:3, :3].T + sample.base_from_lidar[:3, 3]
    on_grass = sweep.points[sweep.label == 16][:, :3] @ sample.base_from_lidar[:3, :3].T + sample.base_from_lidar[:3, 3]

    def share(xyz) -> float:
        cell = np.floor((xyz[:, :2] + 50.0) / 0.5).astype(int)
        inside = ((cell >= 0) & (cell < 200)).all(1)
        return float(road[cell[inside, 0], cell[inside, 1]].mean())

    assert share(on_road) > 0.9
    if len(on_grass) > 100:
        assert share(on_grass) < 0.2


def test_masks_turn_with_the_vehicle():
    """One marked cell 10 m north of the vehicle: ahead when it looks north, to the left when it looks east."""
    canvas = np.zeros((80, 80), bool)
    canvas[60, 40] = True  # y = 30..30.5 - 20 = 10 m north of the vehicle at (20, 20)
    masks = MapMasks({c.name: canvas for c in MAP_CLASSES}, (0.0, 0.0), 0.5)
    for yaw, (forward, left) in ((np.pi / 2, (10.25, -0.25)), (0.0, (0.25, 10.25))):
        out = masks_in_base(masks, scenes.ego_at(20.0, 20.0, yaw).map_from_base)
        [(i, j)] = np.argwhere(out[0])
        assert ((i + 0.5) * 0.5 - 50, (j + 0.5) * 0.5 - 50) == pytest.approx((forward, left))


def test_boxes_turn_with_the_vehicle():
    from perception_nodes.simulator.truth import box_of

    ahead = replace(scenes.car(3, 20.0, 30.0, np.pi / 2), velocity=(0.0, 5.0))  # north of the vehicle, driving north
    [row] = boxes_in_base((box_of(ahead),), scenes.ego_at(20.0, 20.0, np.pi / 2).map_from_base)
    assert row == pytest.approx([10.0, 0.0, 0.75, 4.0, 2.0, 1.5, 0.0, 5.0, 0.0], abs=1e-5)


def seen(*actors, **options):
    return stage.look(stage.world(stage.floor()), *actors, spec=stage.camera(160, 120, 150.0, up=1.0), **options)


def test_a_free_object_is_fully_visible_in_a_tight_box():
    """A box of 2 x 2 m whose face is 9 m away: 150 * 2 / 9 px wide, its foot 1 m below the axis."""
    image = seen(stage.actor(3, stage.box((2.0, 2.0, 1.5)), (10.0, 0.0, 0.0)))
    boxes = picture_boxes(image)
    assert boxes.track.tolist() == [3] and boxes.cls.tolist() == [0] and not boxes.truncated[0]
    half, foot, top = 150.0 / 9, 150.0 / 9, -0.5 * 150 / 9
    assert boxes.xyxy[0] == pytest.approx([80 - half, 60 + top, 80 + half, 60 + foot], abs=1.2)
    assert boxes.visibility[0] > 0.95 and np.allclose(boxes.seen[0], boxes.xyxy[0], atol=1.5)
    assert boxes.distance[0] == pytest.approx(np.hypot(10.0, 0.25), abs=0.01)


def test_a_half_hidden_object_keeps_its_whole_box_and_loses_visibility():
    behind = stage.actor(3, stage.box((2.0, 2.0, 1.5)), (10.0, 0.0, 0.0))
    before = stage.actor(4, stage.box((0.5, 1.0, 3.0)), (5.0, 0.5, 0.0))
    boxes = picture_boxes(seen(behind, before))
    assert boxes.track.tolist() == [4, 3], "nearest first"
    assert 0.2 < boxes.visibility[1] < 0.7 and boxes.xyxy[1, 0] < 65 < boxes.seen[1, 0] + 5
    assert boxes.truncated.tolist() == [True, False], "the near one reaches over the upper edge"


def test_what_is_hidden_or_out_of_the_picture_has_no_box():
    wall = stage.actor(9, stage.box((0.2, 30.0, 8.0)), (6.0, 0.0, 0.0), box=False)
    assert len(picture_boxes(seen(stage.actor(3, stage.box((2.0, 2.0, 1.5)), (10.0, 0.0, 0.0)), wall))) == 0
    assert len(picture_boxes(seen(stage.actor(3, stage.box((2.0, 2.0, 1.5)), (-10.0, 0.0, 0.0))))) == 0


def test_cones_have_a_pixel_class_of_their_own():
    from tests.simulator.test_truth import works

    image = seen(works("traffic_cone", 7, 5.0, 1.0), works("barrier", 9, 7.0, -1.5))
    classes = pixel_classes(image)
    for name, track in (("traffic_cone", 7), ("barrier", 9)):
        assert set(classes[image.instance == track]) == {PIXEL_CLASSES.index(name)}
    rest = image.instance == 0
    assert np.array_equal(classes[rest], image.semantic[rest]) and len(PIXEL_CLASSES) == len(POINT_CLASSES) + 2


def test_less_than_one_sweep_is_refused():
    with pytest.raises(ValueError, match="sweeps=0; expected at least 1"):
        next(samples(None, sweeps=0))  # type: ignore[arg-type]
