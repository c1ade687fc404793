"""`perception demo`: what it simulates, and that random weights are said where no trained ones are here."""

import pytest

from perception_nodes.commands import demo, replay
from perception_nodes.systems import SYSTEMS
from perception_nodes.systems.run import SystemRun


def test_the_demos_rig_has_six_cameras_and_half_the_sweeps_of_nuscenes():
    rig = demo.demo_rig()
    assert len(rig.cameras) == 6 and rig.rate == 10.0 and rig.camera_rate == 5.0
    assert rig.lidar.beams.rays == 32 * 1084


def test_a_drive_that_is_there_is_taken_and_another_one_is_made_anew(tmp_path, monkeypatch):
    from perception_nodes.bags.writer import BagWriter
    from perception_nodes.simulator import record

    made = []

    def simulate(scenario, rig, seed, seconds, path, **options):
        made.append(seconds)
        with BagWriter(path) as bag:
            bag.note("simulated_by", f'{{"scenario": "{scenario}", "rig": "{rig.name}", "seed": {seed},'
                     f' "seconds": {seconds}}}')  # fmt: skip
        return path

    monkeypatch.setattr(record, "simulate", simulate)
    for seconds in (8.0, 8.0, 3.0, 3.0):
        demo.demo_drive(seconds, tmp_path)
    assert made == [8.0, 3.0]


@pytest.mark.parametrize("untrained", [False, True])
def test_a_system_without_its_model_is_left_out_or_runs_untrained_and_either_is_said(untrained, monkeypatch, capsys):
    from models import facts

    monkeypatch.setattr(facts, "list_models", lambda: ["spvnas-lite", "tsm-events-online"])
    runs = [SystemRun(s, {}) for s in SYSTEMS if s.name in ("spvcnn", "bevfusion")]
    kept = replay.runnable(runs, {}, untrained)
    said = capsys.readouterr().out
    assert [run.system.name for run in kept] == (["spvcnn", "bevfusion"] if untrained else ["spvcnn"])
    if untrained:
        assert kept[1].parameters["model.name"] == "random:bevfusion-lite" and "its answers mean nothing" in said
    else:
        assert "bevfusion is left out: no model bevfusion-lite here" in said
