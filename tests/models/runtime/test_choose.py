"""`auto` takes the fastest runtime that means what torch means, measures it once, and keeps what it measured."""

import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from models.facts import ModelError
from models.runtime import available, choose, compile_network, decisions, timing
from models.runtime.agreement import Reference, Task, generated
from models.runtime.candidates import Candidate, build, candidates
from models.runtime.choose import examined
from models.runtime.compiled import Signature
from models.runtime.decisions import Decision, Measured
from tests.models.runtime.nets import NAMES, TinyStep, examples

FP32 = [c for c in candidates("fp32")]
OTHERS = [c for c in FP32 if c.runtime != "torch"]


@pytest.fixture
def measuring(monkeypatch, tmp_path):
    """Measurement with times that the test sets: {runtime: ms}, 9 by default."""
    monkeypatch.delenv("PERCEPTION_RUNTIME")
    monkeypatch.setenv("PERCEPTION_CACHE", str(tmp_path))
    times: dict[str, float] = {}
    seen = []

    def measured(works):
        seen.append(set(works))
        for work in works.values():
            work()
        return {c: times.get(c.runtime, 9.0) for c in works}

    monkeypatch.setattr(timing, "interleaved", measured)
    monkeypatch.setattr(decisions, "load_per_core", lambda: 0.0)
    return times, seen


def tiny(**more):
    return compile_network(TinyStep(), examples(), threads=1, precision="fp32", **{**NAMES, **more})


@pytest.mark.parametrize("fastest", [c.runtime for c in FP32])
def test_the_fastest_is_taken_and_kept(fastest, measuring, monkeypatch):
    times, seen = measuring
    times[fastest] = 1.0
    assert tiny(name="tiny").runtime == fastest
    assert seen == [set(FP32)]
    (kept,) = decisions.known()
    assert (kept.network, kept.threads, kept.chosen) == ("tiny", 1, Candidate(fastest, "fp32"))
    assert [(r.runtime, r.ms) for r in kept.rows] == [(c.runtime, times.get(c.runtime, 9.0)) for c in FP32]
    assert all(r.difference < 1e-4 and not r.refused for r in kept.rows)
    monkeypatch.setattr(timing, "interleaved", lambda works: pytest.fail("measured again"))
    assert tiny().runtime == fastest


def test_a_runtime_whose_results_are_not_torchs_is_not_timed(measuring, monkeypatch):
    times, seen = measuring
    if not OTHERS:
        pytest.skip("only torch is installed")
    wrong = OTHERS[0]
    times[wrong.runtime] = 0.1

    def broken(candidate, *arguments):
        compiled = build(candidate, *arguments)
        if candidate == wrong:
            stream = compiled.stream
            compiled.stream = lambda rows=1: Louder(stream(rows))
        return compiled

    monkeypatch.setattr(choose, "build", broken)
    assert tiny().runtime != wrong.runtime and wrong not in seen[0]
    row = decisions.known()[0].rows[FP32.index(wrong)]
    assert "differ from torch's by" in row.refused and row.ms is None and row.difference > 1e-3


class Louder:
    """A stream whose results are 1 % too large."""

    def __init__(self, stream):
        self.stream = stream

    def reset(self):
        self.stream.reset()

    def step(self, *frames):
        return tuple(1.01 * r for r in self.stream.step(*frames))


class Odd(nn.Module):
    """An operation that only torch has."""

    def forward(self, x):
        return torch.linalg.matrix_exp(x)


def test_what_only_torch_runs_goes_to_torch_without_python_warnings(measuring):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compile_network(Odd(), (torch.rand(1, 4, 4),), threads=1, precision="fp32").runtime == "torch"
    rows = {r.runtime: r for r in decisions.known()[0].rows}
    assert all(rows[c.runtime].refused and rows[c.runtime].ms is None for c in OTHERS)


def test_the_environment_forces_a_runtime_and_skips_the_measurement(measuring, monkeypatch):
    monkeypatch.setattr(timing, "interleaved", lambda works: pytest.fail("measured"))
    monkeypatch.setenv("PERCEPTION_RUNTIME", "torch")
    assert tiny().runtime == "torch"
    monkeypatch.setenv("PERCEPTION_RUNTIME", "torch:bf16")
    network = compile_network(TinyStep(), examples(), threads=1, **NAMES)
    assert (network.runtime, network.precision) == ("torch", "bf16")
    for wrong in ("cuda", "torch:int4"):
        monkeypatch.setenv("PERCEPTION_RUNTIME", wrong)
        with pytest.raises(ModelError, match=f"PERCEPTION_RUNTIME is '{wrong}': expected auto or one of native, "):
            tiny()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 2, "rows": 3}', "\x00\xff"])
def test_a_damaged_file_is_measured_again_and_rewritten(content, measuring):
    times, seen = measuring
    times["torch"] = 1.0
    tiny()
    (path,) = decisions.folder().glob("*.json")
    path.write_text(content)
    assert decisions.known() == []
    assert tiny().runtime == "torch" and len(seen) == 2
    assert decisions.known()[0].chosen.runtime == "torch" and [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_choice_that_does_not_run_any_more_is_measured_again(measuring, monkeypatch, caplog):
    times, seen = measuring
    if not OTHERS:
        pytest.skip("only torch is installed")
    gone = OTHERS[0]
    times[gone.runtime] = 1.0
    tiny()

    def without(candidate, *arguments):
        if candidate == gone:
            raise ModelError("it was removed")
        return build(candidate, *arguments)

    monkeypatch.setattr(choose, "build", without)
    assert tiny().runtime != gone.runtime and len(seen) == 2
    assert "does not run now: it was removed" in caplog.text


def test_a_cache_that_cannot_be_written_costs_the_measurement_alone(measuring, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PERCEPTION_CACHE", str(tmp_path / "file"))
    times, seen = measuring
    times["torch"] = 1.0
    assert [tiny().runtime for _ in range(2)] == ["torch", "torch"] and len(seen) == 2
    assert decisions.known() == []


def decision(ms, runtime="torch"):
    row = Measured(runtime, "fp32", ms, 0.0)
    return Decision("tiny", decisions.processor(), 1, "", Candidate(runtime, "fp32"), (row,))


def test_of_many_that_write_at_once_one_stands_for_all(measuring):
    start, found = threading.Barrier(8), []

    def write(ms):
        start.wait()
        found.append(decisions.keep("key", decision(ms)))

    threads = [threading.Thread(target=write, args=(float(i),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [decisions.load("key")] * 8
    assert [p.name for p in decisions.folder().iterdir()] == ["key.json"]


def test_another_network_other_weights_and_other_threads_are_measured_for_themselves():
    signature = examined(TinyStep(), examples(), NAMES["input_names"], NAMES["output_names"], 2)
    key = decisions.key_of(TinyStep(), signature, 1, "auto")
    assert key == decisions.key_of(TinyStep(), signature, 1, "auto")
    wider = Signature(signature.inputs, signature.outputs, ((1, 3, 12, 24), *signature.shapes[1:]), 2)
    others = [
        decisions.key_of(TinyStep(seed=1), signature, 1, "auto"), decisions.key_of(TinyStep(), signature, 2, "auto"),
        decisions.key_of(TinyStep(), signature, 1, "fp32"), decisions.key_of(TinyStep(), wider, 1, "auto"),
        decisions.key_of(nn.Sequential(TinyStep()), signature, 1, "auto"),
    ]  # fmt: skip
    assert len({key, *others}) == 6


def test_what_was_measured_on_a_busy_machine_is_measured_again_on_a_quiet_one(measuring, monkeypatch):
    times, seen = measuring
    times["torch"] = 1.0
    for load, measured in ((3.0, 1), (2.0, 1), (0.2, 2), (0.2, 2)):
        monkeypatch.setattr(decisions, "load_per_core", lambda load=load: load)
        tiny()
        assert len(seen) == measured
    assert [d.load for d in decisions.known()] == [0.2]


def test_forgotten_is_measured_again(measuring):
    measuring[0]["torch"] = 1.0
    tiny()
    decisions.forget()
    assert decisions.known() == []
    tiny()
    assert len(measuring[1]) == 2


def test_bf16_is_taken_where_it_is_worth_it(monkeypatch):
    rows = [Measured("native", "fp32"), Measured("openvino", "bf16")]
    exact, fast = Candidate("native", "fp32"), Candidate("openvino", "bf16")
    assert choose._decided("n", 2, None, rows, {exact: 10.0, fast: 9.8}, 0.0).chosen == exact
    found = choose._decided("n", 2, None, rows, {exact: 10.0, fast: 9.0}, 0.0)
    assert found.chosen == fast and [r.ms for r in found.rows] == [10.0, 9.0]
    with pytest.raises(ModelError, match="no runtime gives torch's results for n"):
        choose._decided("n", 2, None, rows, {}, 0.0)


class Four(nn.Module):
    """Four numbers of a picture."""

    def forward(self, x):
        return x.mean((2, 3))


def test_bf16_is_judged_by_the_task_and_fp32_by_its_numbers():
    signature = examined(Four(), (torch.zeros(1, 4, 8, 8),), None, None)
    best = Task("best", lambda found, expected: float(np.mean(found[0].argmax(-1) == expected[0].argmax(-1))))
    reference, without = Reference(Four(), signature, best), Reference(Four(), signature)
    off = [e + 0.08 * np.abs(e).max() for e in reference.expected]  # the same best, numbers 8 % off
    assert reference.verdict(off, "bf16").refused == "" and reference.verdict(off, "bf16").agreement == 1.0
    assert "differ from torch's by 8.0e-02" in reference.verdict(off, "fp32").refused
    assert "differ from torch's by 8.0e-02" in without.verdict(off, "bf16").refused
    other = [-e for e in reference.expected]
    assert "best agrees with torch's in 0%" in reference.verdict(other, "bf16").refused
    broken = [e * np.nan for e in reference.expected]
    assert reference.verdict(broken, "bf16").refused == "its results are not all finite"


def test_generated_frames_move_and_differ_from_stream_to_stream():
    frames = generated(np.random.default_rng(0), 3, (1, 3, 32, 48))
    assert all(f.shape == (1, 3, 32, 48) and f.dtype == np.float32 for f in frames)
    moved = np.roll(frames[0], 3, -1)
    assert np.corrcoef(moved.ravel(), frames[1].ravel())[0, 1] > 0.95
    assert not np.array_equal(frames[0], frames[1])


def test_rounds_are_interleaved_and_the_shortest_call_counts(monkeypatch):
    """A machine that is four times slower in one round, a work that is too slow and one that is far too slow."""
    now, calls = [0.0], []
    cost = {"quick": 1.0, "even": 1.2, "slow": 5.0, "hopeless": 20.0}

    def work(name):
        calls.append(name)
        now[0] += cost[name] * (4 if 9 <= len(calls) <= 12 else 1) * 1e-3

    monkeypatch.setattr(timing, "clock", lambda: now[0])
    found = timing.interleaved({name: lambda name=name: work(name) for name in cost}, seconds=0.1)
    assert found == pytest.approx({"quick": 1.0, "even": 1.2, "slow": 5.0, "hopeless": 20.0})
    assert calls[:8] == ["quick", "quick", "even", "even", "slow", "slow", "hopeless", "hopeless"]
    assert (calls.count("hopeless"), calls.count("slow")) == (2, 8)
    assert calls.count("quick") == calls.count("even") >= 2 * timing.LEAST


def test_calls_of_seconds_are_not_repeated(monkeypatch):
    now, calls = [0.0], []

    def work(name):
        calls.append(name)
        now[0] += {"quick": 2.0, "slow": 4.0}[name]

    monkeypatch.setattr(timing, "clock", lambda: now[0])
    found = timing.interleaved({name: lambda name=name: work(name) for name in ("quick", "slow")})
    assert found == {"quick": 2000.0, "slow": 4000.0} and calls == ["quick", "quick", "slow", "slow"]


@pytest.mark.skipif(not available()["openvino"], reason="OpenVINO is not installed")
def test_the_real_measurement_ends_with_a_runtime_that_agrees(monkeypatch, tmp_path):
    monkeypatch.delenv("PERCEPTION_RUNTIME")
    monkeypatch.setenv("PERCEPTION_CACHE", str(tmp_path))
    monkeypatch.setattr(timing, "SECONDS", 0.0)
    network = tiny()
    rows = {(r.runtime, r.precision): r for r in decisions.known()[0].rows}
    chosen = rows[network.runtime, network.precision]
    assert not chosen.refused and chosen.ms > 0 and all(r.ms for r in rows.values() if not r.refused)
