"""What the commands say: help that can be read, refusals before the work, and the next command to type."""

import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from models.facts import ModelError
from perception_nodes.cli import app
from perception_nodes.commands.replay import run
from perception_nodes.commands.simulate import SimulateError, draw_contact_sheet
from perception_nodes.evaluation.segmentation_report import tables
from perception_nodes.viewer.log import ViewerError
from tests.nodes.bags import write_bag


def every_command(group=None, words=()):
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from every_command(command, (*words, name))
        else:
            yield (*words, name)


@pytest.mark.parametrize("words", list(every_command()), ids=" ".join)
def test_every_command_answers_help(words):
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0 and "Usage" in done.output, done.exception


def test_brackets_in_help_and_tables_are_shown_as_they_are():
    done = CliRunner().invoke(app, ["convert", "video", "--help"], env={"COLUMNS": "300"})
    assert "[/compressed]" in "".join(done.output.split())
    metrics = {"iou": {"[/red]": 0.5}, "points_by_class": {"[/red]": 3}, "sweeps": 1, "points": 3, "miou": 0.5}
    metrics |= {"miou10": 0.5, "miou10_classes": 10}
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as said:
        console.print(*tables(metrics))
    assert "[/red]" in said.get()


def test_the_doctor_names_extras_with_their_brackets(monkeypatch, capsys):
    from perception_nodes.commands import doctor

    remedy = "pip install 'perception_nodes[bench]'"
    monkeypatch.setattr(doctor, "findings", lambda: [doctor.Finding("spconv", "note", "not [installed]", remedy)])
    monkeypatch.setenv("COLUMNS", "250")
    doctor.examine()
    said = capsys.readouterr().out
    assert remedy in said and "not [installed]" in said and said.rstrip().split("\n")[-1].startswith("next: ")


@pytest.mark.parametrize("options", [{"model": "no-such"}, {"nodes": ("spvcnn",), "model": "no-such"}])
def test_an_unknown_model_is_refused_before_anything_is_loaded_or_written(tmp_path, options, capsys):
    bag = write_bag(tmp_path / "drive", frames=2)
    with pytest.raises(ModelError, match="no model 'no-such': expected one of"):
        run(bag, tmp_path / "out", offline=True, root=tmp_path / "results", **options)
    assert "loading" not in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]


def test_a_results_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path, capsys):
    bag = write_bag(tmp_path / "drive", frames=2)
    (tmp_path / "file").write_text("")
    (tmp_path / "taken" / "latest").mkdir(parents=True)
    with pytest.raises(OSError, match=r"cannot write results into .*: .*/file is a file, expected a folder"):
        run(bag, offline=True, root=tmp_path / "file" / "results")
    with pytest.raises(OSError, match="latest is not a link: move it away"):
        run(bag, offline=True, root=tmp_path / "taken")
    assert "loading" not in capsys.readouterr().out


def test_the_demo_checks_model_and_folder_before_it_simulates(tmp_path, monkeypatch):
    from perception_nodes.commands import demo

    monkeypatch.setattr(demo, "demo_drive", lambda *row: pytest.fail("it simulated"))
    with pytest.raises(ModelError, match="no model 'no-such'"):
        demo.run(root=tmp_path, model="no-such")
    (tmp_path / "latest").mkdir()
    with pytest.raises(OSError, match="latest is not a link"):
        demo.run(root=tmp_path)


def test_a_contact_sheet_without_a_folder_is_refused_before_it_is_drawn(tmp_path):
    with pytest.raises(SimulateError, match="found no folder .*/absent; make it first"):
        draw_contact_sheet(tmp_path / "absent" / "sheet.png")


def test_replay_says_what_it_loads_and_the_next_command_works(tmp_path, monkeypatch):
    bag = write_bag(tmp_path / "drive", frames=2)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["replay", str(bag), "--points", "/lidar/points", "--offline", "--record", "out"])
    assert done.exit_code == 0, (done.output, done.exception)
    lines = done.output.strip().split("\n")
    assert "loading spvcnn_node …" in lines and lines[-1].endswith(f"view out --with {bag}")
    words = shlex.split(lines[-1].removeprefix("next: "))
    pytest.importorskip("rerun")
    here = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "perception_nodes.cli", *words[1:], "--save", "look.rrd"]
    shown = subprocess.run(command, capture_output=True, text=True, env=here)
    assert shown.returncode == 0 and "next: perception view look.rrd" in shown.stdout, shown.stderr


def test_the_next_command_is_found_where_the_environment_is_not_activated(tmp_path, monkeypatch, capsys):
    from perception_nodes.commands import words

    monkeypatch.setenv("PATH", str(tmp_path))
    words.say_next("view", "a drive")
    said = capsys.readouterr().out.strip()
    assert said.endswith("view 'a drive'")
    first = shlex.split(said.removeprefix("next: "))[0]
    assert Path(first).is_file() or first == "python"


def test_a_recording_without_a_display_is_a_sentence_and_exit_code_1(tmp_path, monkeypatch):
    from perception_nodes.viewer.view import view

    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "a.rrd").write_bytes(b"RRF2")
    with pytest.raises(ViewerError, match="found no display"):
        view(tmp_path / "a.rrd")


def test_the_viewer_shows_a_result_with_the_bag_behind_it(tmp_path, monkeypatch):
    from perception_nodes.bags.reader import BagReader
    from perception_nodes.viewer import view as module

    logged = []

    class Kept:
        def __init__(self, name, save=None, panels=(), **sensors):
            save.write_bytes(b"x")

        def message(self, topic, kind, message, stamp):
            logged.append(topic)

        def close(self):
            pass

    from perception_nodes.bags.typestore import make
    from perception_nodes.bags.writer import BagWriter
    from tests.nodes.cameras import write_camera_bag

    bag = write_camera_bag(tmp_path / "bag", frames=3)
    with BagWriter(tmp_path / "result") as out:
        out.write(
            "/tsm_node/debug/pipeline_latency_ms", make("std_msgs/msg/Float64", data=1.0), BagReader(bag).start_ns
        )
    monkeypatch.setattr(module, "Log", Kept)
    module.view(tmp_path / "result", tmp_path / "look.rrd", beside=bag)
    assert sorted(set(logged)) == ["/camera/front/image/compressed", "/tsm_node/debug/pipeline_latency_ms"]
    assert logged.count("/camera/front/image/compressed") == 3


def test_setup_counts_the_seconds_on_a_terminal():
    code = "import sys; sys.path.insert(0, 'scripts'); import bootstrap as b; "
    code += "sys.exit(b.run_showing_time('setup: x', [sys.executable, '-c', 'import time; time.sleep(1.4)']))"
    master, slave = pty.openpty()
    child = subprocess.Popen([sys.executable, "-c", code], stdout=slave, cwd=Path(__file__).parents[2])
    os.close(slave)
    assert child.wait(30) == 0
    said = os.read(master, 1000).decode()
    os.close(master)
    assert "setup: x: 1 s" in said
