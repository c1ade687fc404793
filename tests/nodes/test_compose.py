"""`perception up`: it says which nodes run on which topics."""

import pytest

from perception_nodes.nodes.compose import say_what_runs
from tests.nodes.cameras import LevelSession
from tests.nodes.conftest import HeightSession, spvcnn_node, tsm_node

pytestmark = pytest.mark.ros


def test_what_runs_is_said_with_its_topics(stage, capsys):
    clouds = stage.add(spvcnn_node(lambda config: HeightSession(), context=stage.context))
    pictures = stage.add(tsm_node(LevelSession(), overrides={"cameras": ["front", "left"]}, context=stage.context))
    waiting = stage.add(
        spvcnn_node(lambda config: HeightSession(), name="second_node", context=stage.context), start=False
    )
    say_what_runs([clouds, pictures, waiting])
    first, second, third, last = capsys.readouterr().out.strip().split("\n")
    assert first.startswith("spvcnn_node reads /spvcnn_node/input/points, /tf_static; writes /spvcnn_node/output/")
    assert "/spvcnn_node/output/segmentation" in first and "classes" not in first and "debug" not in first
    assert "tsm_node reads /tsm_node/input/front/image, /tsm_node/input/left/image; writes " in second
    assert third == "second_node has no topic open yet" and last == "running; Ctrl-C ends it"
