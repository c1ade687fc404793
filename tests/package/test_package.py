"""The package is a valid ROS 2 package and a valid pip package, and both find every executable."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODES = ("spvcnn_node", "player_node", "simulator_node")


def test_package_xml_is_valid_and_agrees_with_setup_py():
    catkin = pytest.importorskip("catkin_pkg.package")
    package = catkin.parse_package(str(ROOT / "package.xml"))
    package.validate()
    setup = (ROOT / "setup.py").read_text()
    assert re.search(r'version="([^"]+)"', setup).group(1) == package.version
    assert package.get_build_type() == "ament_python"
    needed = {d.name for d in package.exec_depends}
    assert {"rclpy", "launch", "launch_ros"} <= needed
    keys = {
        "torch": "python3-torch", "numpy": "python3-numpy", "numba": "python3-numba", "scipy": "python3-scipy",
        "opencv-python-headless": "python3-opencv", "rosbags": "python3-rosbags-pip", "pydantic": "python3-pydantic",
        "simplejpeg": "python3-simplejpeg-pip", "typer": "python3-typer", "rich": "python3-rich",
        "PyYAML": "python3-yaml", "jinja2": "python3-jinja2", "safetensors": "",  # rosdep has none: by pip
    }  # fmt: skip
    required = setup[setup.index("install_requires") : setup.index("extras_require")]
    names = re.findall(r'"([A-Za-z-]+)>=', required)
    assert {keys[name] for name in names} - {""} <= needed
    assert "safetensors" in (ROOT / "docs" / "deployment.md").read_text()


def test_package_xml_names_the_message_packages_that_are_used_and_no_others():
    catkin = pytest.importorskip("catkin_pkg.package")
    needed = {d.name for d in catkin.parse_package(str(ROOT / "package.xml")).exec_depends}
    sources = [path.read_text() for path in (ROOT / "perception_nodes").rglob("*.py")]
    imported = {name for text in sources for name in re.findall(r"^\s*from (\w+)\.(?:msg|srv) import", text, re.M)}
    named = {name for text in sources for name in re.findall(r"[\"'](\w+)/msg/\w+", text)}
    assert imported <= needed and {"std_srvs", "rcl_interfaces"} <= imported
    declared = {name for name in needed if name.endswith(("_msgs", "_interfaces", "_srvs"))}
    assert declared <= imported | named, "declared and never used"


def test_every_executable_of_setup_py_can_be_imported_without_starting_ros():
    for node in NODES:
        assert (ROOT / "perception_nodes" / "nodes" / f"{node}.py").is_file()


@pytest.mark.slow  # builds the C extensions: minutes beside other load
@pytest.mark.timeout(1200)
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_colcon_builds_the_ament_layout_and_finds_every_executable(tmp_path):
    colcon = Path(sys.executable).with_name("colcon")
    if not colcon.exists():
        pytest.skip(f"{colcon} is absent; type: pip install colcon-core colcon-ros")
    source = tmp_path / "src" / "perception_nodes"
    source.mkdir(parents=True)
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    for name in filter(None, names):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "bags/", "docs/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    environment = {
        **os.environ,
        "PATH": f"{colcon.parent}:{os.environ['PATH']}",
        "COLCON_LOG_PATH": str(tmp_path / "log"),
    }
    done = subprocess.run(
        [colcon, "build", "--base-paths", "src"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    prefix = tmp_path / "install" / "perception_nodes"
    for node in NODES:
        assert os.access(prefix / "lib" / "perception_nodes" / node, os.X_OK), node
    share = prefix / "share" / "perception_nodes"
    assert (share / "package.xml").is_file()
    assert (prefix / "share" / "ament_index" / "resource_index" / "packages" / "perception_nodes").is_file()
    for folder in ("launch", "config", "rviz"):
        assert {p.name for p in (ROOT / folder).glob("*") if p.is_file()} <= {
            p.name for p in (share / folder).glob("*")
        }


def test_the_command_line_answers_help_at_once_without_heavy_imports():
    code = (
        "import sys; sys.argv = ['perception', '--help']\n"
        "from perception_nodes import cli\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'rclpy', 'numba', 'rerun', 'cv2', 'rosbags'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert "HEAVY []" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "no/such/bag"],
        ["replay", "no/such/bag", "--offline"],
        ["view", "no/such/bag"],
        ["convert", "kitti-raw", "no/such", "out"],
    ],
)
def test_a_missing_input_is_one_sentence_and_a_failing_exit_code(arguments, tmp_path):
    perception = Path(sys.executable).with_name("perception")
    if not perception.exists():
        pytest.skip("the package is not installed; type: make setup")
    done = subprocess.run([perception, *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "no/such" in done.stderr and "Traceback" not in done.stderr and done.stderr.count("\n") <= 2
    assert not list(tmp_path.iterdir())
