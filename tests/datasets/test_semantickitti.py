"""SemanticKITTI becomes a bag with ground truth in the 19 classes, points and labels in one order."""

import json

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.classes import IGNORE, POINT_CLASSES, point_class
from perception_nodes.datasets.convert import convert_semantickitti
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.semantickitti import CLASS_IDS, CLASS_OF_ID, MOVING, open_sequence
from perception_nodes.messages.class_table import read_class_table
from perception_nodes.messages.cloud_fields import read_layout
from perception_nodes.messages.odometry import read_odometry
from perception_nodes.messages.point_cloud import decode_point_cloud2
from tests.datasets.kittimaker import semantickitti


def test_the_map_of_ids_is_the_one_of_the_spvnas_checkpoints():
    names = dict(zip(CLASS_IDS, (c.name for c in POINT_CLASSES)))
    assert len(CLASS_IDS) == 19 and names[10] == "car" and names[40] == "road" and names[81] == "traffic-sign"
    assert [int(CLASS_OF_ID[i]) for i in CLASS_IDS] == list(range(19))
    for raw in (0, 1, 13, 16, 52, 60, 99, 256, 257):
        assert CLASS_OF_ID[raw] == IGNORE
    for raw, name in ((252, "car"), (253, "bicyclist"), (254, "person"), (255, "motorcyclist"), (258, "truck")):
        assert CLASS_OF_ID[raw] == point_class(name)
    assert CLASS_OF_ID[259] == point_class("other-vehicle") and len(MOVING) == 6


@pytest.mark.parametrize("level", ["", "sequences", "sequences/00"])
def test_every_folder_level_is_recognised(tmp_path, level):
    semantickitti(tmp_path)
    assert open_sequence(tmp_path / level).name == "00"


def test_a_sequence_becomes_a_bag_with_its_truth(tmp_path):
    semantickitti(tmp_path / "src")
    done = convert_semantickitti(tmp_path / "src", tmp_path / "bag")
    assert (done.sweeps, done.labels, done.poses, done.remarks) == (3, 3, 3, ())
    with BagReader(tmp_path / "bag") as bag:
        decode = {t: [bag.decode(m.raw, m.type) for m in bag.messages([t])] for t in bag.topics()}
        assert bag.notes["stamps"] == "times.txt"
        (table,) = decode["/ground_truth/segmentation/classes"]
        assert tuple(read_class_table(table).values()) == POINT_CLASSES
        for points, truth in zip(decode["/lidar/points"], decode["/ground_truth/segmentation"]):
            assert points.header == truth.header
            raw = read_layout(truth)
            assert list(raw.fields) == ["label", "instance"] and len(raw) == len(decode_point_cloud2(points)) == 40
            assert raw.column("label")[:8].tolist() == [255, 0, 0, 8, 255, 18, 255, 4]
            assert raw.column("instance").tolist() == list(range(40))
        stamps = [decode_point_cloud2(p).stamp_ns for p in decode["/lidar/points"]]
        assert np.diff(stamps).tolist() == [104_000_000] * 2 and stamps[0] > 0
        places = [read_odometry(m).parent_from_child[:3, 3] for m in decode["/odometry"]]
        np.testing.assert_allclose(places, [[0, 0, 0], [1.5, 0, 0], [3, 0, 0]], atol=1e-9)


def test_what_is_absent_is_said_and_ten_hertz_assumed(tmp_path):
    semantickitti(tmp_path / "src", extras=False, labels=False)
    done = convert_semantickitti(tmp_path / "src", tmp_path / "bag")
    assert [w in r for w, r in zip(("10 Hz", "without odometry", "3 of 3 sweeps have no labels"), done.remarks)]
    with BagReader(tmp_path / "bag") as bag:
        assert set(bag.topics()) == {"/tf_static", "/lidar/points"} and bag.duration_s == pytest.approx(0.2)
        assert "assumed" in json.dumps(bag.notes)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "labels/000001.label").write_bytes(b"\0" * 156), "156 bytes; 40 points need 160"),
        (lambda f: np.full(40, 77, "<u4").tofile(f / "labels/000001.label"), "the id 77"),
        (lambda f: (f / "velodyne/000001.bin").write_bytes(b"\0" * 8), "cut short"),
        (lambda f: (f / "times.txt").write_text("0.0\n"), "has 1 lines"),
        (lambda f: (f / "times.txt").write_text("zero\n"), "cannot read"),
        (lambda f: (f / "poses.txt").write_text("1 2 3\n"), "12 numbers a line"),
        (lambda f: (f / "poses.txt").write_text(("2 " * 12 + "\n") * 3), "not a pose"),
        (lambda f: (f / "calib.txt").write_text("P0: 1\n"), "entry Tr is absent"),
    ],
)
def test_a_broken_sequence_is_named_and_leaves_no_bag(tmp_path, spoil, words):
    spoil(semantickitti(tmp_path / "src") / "sequences/00")
    with pytest.raises(DatasetError, match=words):
        convert_semantickitti(tmp_path / "src", tmp_path / "out" / "bag")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_several_sequences_are_listed_until_one_is_chosen(tmp_path):
    semantickitti(tmp_path, ("00", "08"), frames=1)
    with pytest.raises(DatasetError, match="2 sequences; choose one of 00, 08"):
        open_sequence(tmp_path)
    assert open_sequence(tmp_path, 8).name == open_sequence(tmp_path, "08").name == "08"
    with pytest.raises(DatasetError, match="no sequence '11'"):
        open_sequence(tmp_path, "11")
    with pytest.raises(DatasetError, match="a SemanticKITTI folder holds"):
        open_sequence(tmp_path / "sequences/00/labels")


def test_the_real_sweeps_have_the_published_counts(shared, tmp_path):
    done = convert_semantickitti(shared / "data/semantickitti", tmp_path / "bag")
    assert (done.sweeps, done.labels) == (3, 3)
    expected = {  # frame: points, then road, sidewalk, building, vegetation, car (with moving ones)
        0: (124_668, 34_228, 26_360, 18_268, 27_123, 4_234),
        1: (124_605, 33_233, 26_040, 19_180, 27_116, 4_387),
        2: (124_478, 32_230, 25_524, 20_123, 26_987, 4_725),
    }
    names = ("road", "sidewalk", "building", "vegetation", "car")
    with BagReader(tmp_path / "bag") as bag:
        for i, message in enumerate(bag.messages(["/ground_truth/segmentation"])):
            raw = read_layout(bag.decode(message.raw, message.type))
            counts = np.bincount(raw.column("label"), minlength=256)
            assert (len(raw), *(counts[point_class(n)] for n in names)) == expected[i]
            assert (raw.column("instance") > 0).any()
