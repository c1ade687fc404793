"""No command opens a connection off this machine: OpenVINO's analytics stay off."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

WATCHED = """
import sys
calls = []
def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple) and not arguments[1][0].startswith("127."):
        calls.append(arguments[1])
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "localhost", "127.0.0.1"):
        calls.append(arguments[0])
sys.addaudithook(watch)
from models.runtime import describe
from models.runtime.openvino_runtime import bf16
describe(); bf16()
import openvino.tools.ovc.telemetry_utils as telemetry
import time; time.sleep(1.0)
print([name for name in sys.modules if name.startswith("openvino_telemetry.")], calls, telemetry.tm.__name__)
"""


def test_importing_openvino_reports_nothing():
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed: pip install 'perception_nodes[fast]'")
    done = subprocess.run([sys.executable, "-c", WATCHED], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split("\n")[0] == "[] [] openvino.tools.ovc.telemetry_stub", done.stdout + done.stderr


def test_openvino_is_imported_in_one_place():
    found = [
        str(path.relative_to(ROOT))
        for folder in ("models", "perception_nodes", "training", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if "import openvino as" in path.read_text() or "\n    import openvino\n" in path.read_text()
    ]
    assert found == ["models/runtime/openvino_import.py"]
