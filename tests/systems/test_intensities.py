"""Intensities of 0 to 255 in float32: the labels are those of 0 to 1, and what does not fit is said."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.writer import BagWriter
from perception_nodes.config import ConfigError, build_config
from perception_nodes.messages.cloud_cdr import read_point_cloud2
from perception_nodes.messages.cloud_fields import read_layout
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import find_runs
from perception_nodes.systems.spvcnn.config import SpvcnnConfig
from tests.nodes.bags import START_NS

SEGMENTATION = "/perception/segmentation"


class Bright:
    """Labels 1 where the intensity that the network gets is above 0.25, else 0."""

    facts = SimpleNamespace(trained=True)

    def step(self, xyz, intensity):
        return SimpleNamespace(label=(intensity > 0.25).astype(np.uint8), score=np.ones(len(xyz), np.float32))

    def reset(self):
        pass


def write(path, shares, full, first=0):
    """A bag of clouds with these shares of the full scale; whole numbers where that is 255."""
    with BagWriter(path) as bag:
        for i, share in enumerate(shares, first):
            xyz = np.tile(np.arange(len(share), dtype=np.float32)[:, None], 3)
            values = np.round(share * full) if full > 1 else share
            layout = point_cloud2_layout({"xyz": xyz, "intensity": values.astype(np.float32)})
            stamp = START_NS + i * 10**8
            bag.write("/lidar/points", make_point_cloud2(layout, "lidar", stamp), stamp)
    return path


def labels(bag, out, **options):
    with BagReader(bag) as reader:
        found = find_runs(reader, ("spvcnn",), options=options)
    result = offline(bag, out, [replace(run, open_session=lambda config: Bright()) for run in found])
    with BagReader(out) as reader:
        messages = [read_layout(read_point_cloud2(m.raw)) for m in reader.messages([SEGMENTATION])]
    return [cloud.column("label") for cloud in messages], result.warnings


@pytest.fixture
def shares():
    rng = np.random.default_rng(0)
    return [np.round(rng.beta(1.5, 4, 800) * 255) / 255 for _ in range(7)]


def test_labels_of_both_scales_are_equal_from_the_first_cloud_on(tmp_path, shares):
    expected = [(share.astype(np.float32) > 0.25).astype(np.uint8) for share in shares]
    for full in (1, 255):
        found, warnings = labels(write(tmp_path / f"in{full}", shares, full), tmp_path / f"out{full}")
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)), full
        assert warnings == ()


def test_an_outlier_of_a_million_changes_one_point(tmp_path, shares):
    for share in shares:
        share[5] = 1e6
    found, warnings = labels(write(tmp_path / "in", shares, 1), tmp_path / "out")
    assert all(np.array_equal(label, (share > 0.25)) for label, share in zip(found, shares)) and warnings == ()


def test_what_fits_no_scale_is_not_used_and_warned_of_at_every_cloud(tmp_path, shares):
    found, warnings = labels(write(tmp_path / "in", shares, 4000), tmp_path / "out")
    assert not any(label.any() for label in found)
    assert [text.rsplit("(")[-1] for text in warnings] == ["4 times)", "3 times)"]  # before and after the search's end
    assert all("not used" in text for text in warnings)


def test_the_scale_may_be_given_as_an_option_of_the_replay(tmp_path, shares):
    found, warnings = labels(write(tmp_path / "in", shares, 4000), tmp_path / "out", intensity_scale="4000")
    assert [int(label.sum()) for label in found] == [int((share > 0.25).sum()) for share in shares] and warnings == ()


@pytest.mark.parametrize(("value", "full"), [("auto", None), (255, 255.0), (1.0, 1.0), ("100", 100.0)])
def test_the_parameter_takes_words_and_numbers(value, full):
    assert build_config(SpvcnnConfig, {"input.intensity_scale": value}).input.full_scale == full


@pytest.mark.parametrize("value", ["bright", 0, -1, "inf", True])
def test_other_values_of_the_parameter_are_refused_by_name(value):
    with pytest.raises(ConfigError, match=r"input.intensity_scale.*expected auto"):
        build_config(SpvcnnConfig, {"input.intensity_scale": value})
