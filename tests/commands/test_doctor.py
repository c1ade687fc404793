"""The doctor's table of runtimes: what was measured, what was chosen, what was refused and why; and its repetition."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from models import facts
from models.runtime import decisions
from models.runtime.candidates import Candidate
from models.runtime.decisions import Decision, Measured
from perception_nodes.commands.doctor import measure_runtimes, runtime_table


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PERCEPTION_CACHE", str(tmp_path))


def told():
    out = io.StringIO()
    Console(file=out, width=200).print(runtime_table())
    return out.getvalue()


def keep(network):
    rows = (
        Measured("native", "fp32", 3.456, 1e-6, 1.0), Measured("openvino", "bf16", 2.5, 5.3e-2, 0.875),
        Measured("onnx", "fp32", refused="has no GridSample"),
    )  # fmt: skip
    decision = Decision(network, decisions.processor(), 2, "top-1", Candidate("native", "fp32"), rows)
    decisions.keep(network, decision)


def test_every_candidate_has_a_line_with_its_figures():
    keep("tiny")
    lines = [line for line in told().splitlines() if "tiny" in line]
    assert [[cell.strip() for cell in line.split("│")[3:-1]] for line in lines] == [
        ["native fp32", "3.46", "1.0e-06", "top-1 100%", "yes"],
        ["openvino bf16", "2.50", "5.3e-02", "top-1 88%", ""],
        ["onnx fp32", "", "", "", "has no GridSample"],
    ]


def test_where_nothing_was_measured_it_says_what_to_type():
    said = " ".join(told().split())
    assert "none yet; a network is measured at its first use, or by `perception doctor --measure`" in said


def test_measuring_again_forgets_and_opens_every_dense_network(monkeypatch):
    keep("old")
    opened = []
    families = {"dense": SimpleNamespace(open_session=opened.append), "sparse": SimpleNamespace()}
    monkeypatch.setattr(facts, "list_models", lambda: ["dense", "sparse"])
    monkeypatch.setattr(facts, "load_facts", lambda name: name)
    monkeypatch.setattr(facts, "family_of", families.get)
    measure_runtimes()
    assert opened == ["dense"] and decisions.known() == []
