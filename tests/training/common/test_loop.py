"""The training loop: schedules in steps and minutes, stopping, checkpoints, resuming, the log; and its command line."""

import json
from dataclasses import dataclass

import pytest
import torch

from models.facts import ModelError
from training.common import command, loop
from training.common.checkpoints import averaged_weights
from training.common.loop import Limits, LoopConfig, Trainer, train
from training.common.processes import Process, hardware
from training.common.trainee import OptimiserConfig, Trainee, decayed_groups


@dataclass(frozen=True)
class Config(LoopConfig):
    optimiser: OptimiserConfig = OptimiserConfig(lr=0.1, warmup=0.0, ema=0.5)
    wanted: float = 3.0


class Line(Trainer):
    """Learns one number. `waits`: calls of `collect` before there are data; `data`: steps for which there are some."""

    def __init__(self, config: Config, waits: int = 0, data: int = 1000):
        torch.manual_seed(config.seed)
        network = torch.nn.Linear(1, 1)
        super().__init__(config, [Trainee("line", network, config.optimiser)], Process())
        self.waits, self.data, self.opened, self.seen = waits, data, 0, []

    def collect(self):
        self.waits -= 1
        return self.waits < 0

    @property
    def exhausted(self):
        return self.step_number >= self.data

    def step(self, progress):
        self.seen.append(progress)
        loss = (self.trainees[0].network(torch.ones(1, 1)) - self.config.wanted).square().mean()
        taken = self.trainees[0].learn(loss, progress)
        return {"line": float(loss.detach()) if taken else float("nan")}

    def validate(self):
        with self.trainees[0].averaged() as network:
            return {"line": {"answer": float(network(torch.ones(1, 1)))}}

    def status(self):
        return {"waits": self.waits}

    def notes(self):
        return {"waited": self.waits}

    def restore(self, notes):
        self.restored = notes["waited"]

    def __enter__(self):
        self.opened += 1
        return self

    def __exit__(self, *_):
        self.opened -= 1


def log(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_schedule_in_steps_takes_exactly_those_and_then_validates(tmp_path):
    made = Line(Config(steps=7), waits=3)
    losses = train(made, tmp_path, Limits(report_every=0.0))
    assert made.seen == [k / 7 for k in range(7)] and len(losses) == 7 and made.opened == 0
    assert losses[-1]["line"] < losses[0]["line"]
    rows = log(tmp_path)
    assert rows[0]["config"]["steps"] == 7 and rows[0]["limits"]["report_every"] == 0.0
    assert [row["step"] for row in rows if "newest" in row] == [1, 2, 3, 4, 5, 6, 7, 7]
    assert sum("validation" in row for row in rows) == 1 and rows[-1]["steps"] == 7
    state, notes = averaged_weights(tmp_path / "line.checkpoint.safetensors")
    assert notes["steps"] == 7 and notes["config"]["wanted"] == 3.0 and notes["hardware"] == hardware()
    assert torch.equal(state["weight"], made.trainees[0].ema["weight"])


def test_a_resumed_run_goes_on_exactly_where_it_was(tmp_path):
    whole = train(Line(Config(steps=6)), tmp_path / "whole")
    first = Line(Config(steps=6), data=2)  # its data end after two steps
    losses = train(first, tmp_path / "part")
    assert not any("validation" in row for row in log(tmp_path / "part"))
    second = Line(Config(steps=6))
    second.resume(tmp_path / "part")
    assert second.step_number == 2 and second.restored == -3
    losses += train(second, tmp_path / "part")
    assert losses == whole
    assert second.cpu_seconds >= first.cpu_seconds > 0


def test_a_schedule_in_minutes_counts_the_time_of_earlier_calls(tmp_path):
    made = Line(Config())
    made.elapsed = 59.0
    assert made.progress(2.0) == pytest.approx(59 / 120)
    made.elapsed = 121.0
    assert train(made, tmp_path, Limits(minutes=2.0)) == []  # the schedule is over
    assert any("validation" in row for row in log(tmp_path))


def test_a_stopped_process_does_not_use_up_its_schedule(tmp_path, monkeypatch):
    clock = {"now": 0.0}
    monkeypatch.setattr(loop.time, "monotonic", lambda: clock["now"])
    made = Line(Config(), data=3)

    def pause():  # an hour passes before each step
        clock["now"] += 3600.0
        return True

    made.collect = pause
    losses = train(made, tmp_path, Limits(minutes=10.0))
    assert len(losses) == 3 and made.elapsed == 3 * loop.LONGEST_STEP


def test_a_call_can_end_before_the_schedule(tmp_path):
    made = Line(Config(steps=10**9))
    train(made, tmp_path, Limits(stop_after=0.002))
    assert 0 < made.step_number < 10**9 and (tmp_path / "line.checkpoint.safetensors").is_file()


def test_no_data_at_all_ends_the_training(tmp_path):
    assert train(Line(Config(steps=5), waits=10**9, data=0), tmp_path) == []


def test_a_step_whose_gradient_is_not_finite_is_skipped_and_counted(tmp_path):
    made = Line(Config(steps=3, wanted=float("inf")))
    before = made.trainees[0].network.weight.clone()
    losses = train(made, tmp_path)
    assert all(row["line"] != row["line"] for row in losses)
    assert made.trainees[0].skipped == 3 and torch.equal(made.trainees[0].network.weight, before)


def test_groups_have_their_own_rate_and_biases_do_not_decay():
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    groups = decayed_groups(network, 0.1, {id(network[0].weight): 0.5})
    assert {(g["rate"], g["weight_decay"]): len(g["params"]) for g in groups} == {
        (0.5, 0.1): 1, (1.0, 0.0): 2, (1.0, 0.1): 1,
    }  # fmt: skip
    trainee = Trainee("two", network, OptimiserConfig(lr=1.0, warmup=0.5), groups=groups)
    trainee.begin(0.25)
    assert {g["rate"]: g["lr"] for g in trainee.optimiser.param_groups} == {0.5: 0.25, 1.0: 0.5}


def run(tmp_path, *arguments, **config):
    parser = command.training_parser("line", "Learns a number.")
    options = parser.parse_args(["--out", str(tmp_path), "--device", "cpu", *arguments])
    made = []

    def make(config, process):
        made.append(Line(config))
        return made[0]

    code = command.launch(make, Config(**config), options)
    return code, made[0] if made else None


def test_the_command_line_goes_over_file_and_defaults(tmp_path):
    (tmp_path / "config.yaml").write_text("wanted: 5\noptimiser: {lr: 0.2}\nsteps: 9\n")
    more = ["--set", "optimiser.lr=0.3", "--steps", "2"]
    code, made = run(tmp_path, "--config", str(tmp_path / "config.yaml"), *more)
    assert code == 0 and made.config == Config(
        steps=2, wanted=5, optimiser=OptimiserConfig(lr=0.3, warmup=0.0, ema=0.5)
    )
    code, again = run(tmp_path, "--resume", steps=4)  # from --out
    assert code == 0 and again.step_number == 4 and again.seen == [0.5, 0.75]


def test_what_cannot_be_trained_is_one_sentence(tmp_path, capsys):
    assert run(tmp_path)[0] == 2
    assert capsys.readouterr().err == "the schedule has no length: give --steps or --minutes\n"
    assert run(tmp_path, "--set", "want=1", steps=1)[0] == 2
    assert "--set has unknown keys want; known: steps" in capsys.readouterr().err
    assert run(tmp_path, "--resume", str(tmp_path / "none"), steps=1)[0] == 2
    assert "expected the --out folder of an earlier run" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, "--speak", "5")
    assert ended.value.code == 2 and "--speak has another name now: type --report-every" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_refused(tmp_path):
    (tmp_path / "line.checkpoint.safetensors").write_bytes(b"not a checkpoint at all")
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        Line(Config(steps=1)).resume(tmp_path)

