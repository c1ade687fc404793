"""What a node's process does once so that no frame pauses."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, threading
from perception_nodes.nodes.steady import keep_memory
keep_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def frame():
    return [bytes([1]) * 3_000_000 for _ in range(4)]
def work():
    frame(), frame()
    before = faults()
    for _ in range(20):
        frame()
    print(faults() - before)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_the_memory_of_a_frame_is_used_again_by_the_next():
    said = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert int(said.stdout) < 200  # 60 000 pages otherwise


def test_what_was_loaded_is_no_garbage():
    code = "import gc; from perception_nodes.nodes.steady import freeze_objects; freeze_objects(); "
    said = subprocess.run([sys.executable, "-c", code + "print(gc.get_freeze_count())"], capture_output=True, text=True)
    assert int(said.stdout) > 1000, said.stderr
