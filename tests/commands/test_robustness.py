"""`perception robustness` on a small bag: one report of scores, agreement and pictures; bad input in one sentence."""

import json

import numpy as np
import pytest

from models.errors import ModelError
from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.writer import BagWriter
from perception_nodes.commands import robustness
from perception_nodes.commands.options import chosen_options
from perception_nodes.config import ConfigError
from perception_nodes.messages.image import decode_image
from perception_nodes.systems.gan.restyle_bag import restyle_bag
from tests.nodes.bags import write_bag
from tests.nodes.cameras import write_camera_bag

STYLE = "random:gan-tone-residual"  # untrained, it starts as the identity
NETWORK = {"video_model": "random:tsm-events-mobilenetv2", "runtime": "torch"}


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp("bags") / "drive"
    return write_camera_bag(path, frames=4, hz=5.0)


def test_a_restyled_bag_keeps_everything_but_the_pixels(bag, tmp_path):
    mixed = tmp_path / "mixed"
    with BagReader(bag) as cameras, BagReader(write_bag(tmp_path / "clouds", frames=2, n=20, extra=True)) as clouds:
        with BagWriter(mixed) as out:
            for row in sorted([*cameras.messages(), *clouds.messages()], key=lambda row: row.stamp_ns):
                out.write(row.topic, row.raw, row.stamp_ns, row.type)
            out.write("/camera/front/image/compressed", b"\0\1\0\0" + bytes(40), 1_700_000_001 * 10**9)
    counts = []
    made = restyle_bag(mixed, tmp_path / "out", STYLE, progress=counts.append)
    assert (made.pictures, made.damaged) == (4, 1) and len(made.style_ms) == 4
    with BagReader(mixed) as before, BagReader(tmp_path / "out") as after:
        rows = [list(reader.messages()) for reader in (before, after)]
        assert counts[-1] == len(rows[0]) == len(rows[1])
        pictures = 0
        for a, b in zip(*rows):
            assert (a.topic, a.type, a.stamp_ns) == (b.topic, b.type, b.stamp_ns)
            if a.topic.startswith("/camera") and a.raw != b.raw:
                one, other = (decode_image(reader.decode(m.raw, m.type)) for reader, m in ((before, a), (after, b)))
                assert (one.frame_id, one.stamp_ns, one.size) == (other.frame_id, other.stamp_ns, other.size)
                assert np.abs(one.rgb.astype(int) - other.rgb).max() <= 3  # JPEG
                pictures += 1
            elif not a.topic.startswith("/camera"):
                assert a.raw == b.raw
        assert pictures == 4
    none = restyle_bag(mixed, tmp_path / "same", STYLE, topics=["/camera/left/image/compressed"])
    assert none.pictures == 0  # the topics of the others are left alone


def test_the_report_holds_scores_agreement_latency_and_the_pictures_that_agree_least(bag, tmp_path, capsys):
    folder = robustness.run(
        bag, [STYLE], nodes=["tsm"], root=tmp_path / "results", keep=tmp_path / "bags", threads=1, **NETWORK
    )
    metrics = json.loads((folder / "metrics.json").read_text())
    style = metrics["styles"][STYLE]
    assert style["pictures"] == 4 and style["damaged"] == 0 and style["style_ms"]["p50"] > 0
    assert metrics["original"]["latency_ms"]["tsm_node"]["p50"] > 0
    page = (folder / "report.html").read_text()
    assert "Robustness: drive" in page and "report of original" in page
    assert (tmp_path / "results" / "latest").resolve() == folder.resolve()
    assert [path.name for path in (tmp_path / "bags").iterdir()] == ["drive_random_gan-tone-residual"]
    assert "report:" in capsys.readouterr().out


def test_bad_input_is_one_sentence_and_leaves_nothing_behind(bag, tmp_path):
    root = tmp_path / "results"
    with pytest.raises(ModelError, match="no style 'snow': trained styles are"):
        robustness.run(bag, ["night", "snow"], root=root)
    with pytest.raises(robustness.RobustnessError, match="expected names, each once"):
        robustness.run(bag, [STYLE, STYLE], root=root)
    with pytest.raises(robustness.RobustnessError, match="has no camera to restyle; its topics are /lidar/points"):
        robustness.run(write_bag(tmp_path / "clouds"), [STYLE], root=root)
    with pytest.raises(ConfigError, match="--set detector: expected NAME=VALUE"):
        chosen_options(["detector"])
    assert chosen_options(["video-threads=1", "detector=x"]) == {"video_threads": 1, "detector": "x"}
    assert not root.exists()
