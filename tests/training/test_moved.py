"""Old commands are refused by name: one sentence with the new command, exit code 2."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from training.moved import MOVED, refuse_old_command

ROOT = Path(__file__).resolve().parents[2]


def test_an_old_command_names_the_new_one():
    done = subprocess.run(
        [sys.executable, "-m", "training.spvcnn", "--minutes", "1"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "training.spvcnn has moved: type `python -m training.segmentation` instead.\n"


@pytest.mark.parametrize("old", MOVED)
def test_every_new_command_exists_and_no_old_one_does(old):
    assert find_spec(f"training.{old}") is None
    spec = find_spec(f"training.{MOVED[old]}")
    assert spec is not None
    room = Path(spec.submodule_search_locations[0]) / "__main__.py" if spec.submodule_search_locations else None
    source = (room or Path(spec.origin)).read_text()
    assert room is not None or '__name__ == "__main__"' in source


def test_other_programs_are_left_alone():
    refuse_old_command(["python", "-m", "training.segmentation"])
    refuse_old_command(["python", "-m", "pytest", "-m", "training.spvcnn"])
    refuse_old_command(["python", "training.spvcnn"])
    refuse_old_command(["python", "-m"])
