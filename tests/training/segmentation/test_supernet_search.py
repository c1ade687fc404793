"""The search: budgets kept, resumed on the same trajectory, the best found on a landscape that is known; predicted
latencies; the picture; the whole program on a hand-made street."""

import json
import random

import numpy as np
import pytest
import torch

from models.facts import ModelError, load_network
from models.sparse import native
from models.spvcnn.inference import Predictor
from models.spvcnn.search_space import LITE, OFFICIAL
from models.spvcnn.spvnas import SPVNAS
from models.spvcnn.subnet import Subnet
from tests.sparse.clouds import sweep
from tests.training.street import street
from training.common.seeds import VAL
from training.segmentation.evolution import Candidate, EvolutionConfig, evolve, frontier
from training.segmentation.latency_table import LatencyTable, calls, correlation, rows
from training.segmentation.search_plot import HEIGHT, WIDTH, draw_search, save_search
from training.segmentation.supernet import SupernetConfig, SupernetTrainer
from training.segmentation.supernet_search import main
from training.segmentation.sweep_wire import write_sweep

SMALL = EvolutionConfig(population=12, generations=6, parents=4, seed=3)


def size(subnet: Subnet) -> float:
    return float(sum(subnet.channels) + sum(s.transition + sum(s.middles) for s in subnet.stages))


def taste(subnet: Subnet) -> float:
    """Wants wide low-resolution stages of depth 1."""
    return subnet.channels[4] + subnet.channels[5] - 20.0 * sum(d - 1 for d in subnet.depths)


def test_a_search_keeps_its_budget_and_finds_better_than_its_first_draws():
    budget = 0.8 * size(LITE.largest())
    ranking = evolve(LITE, taste, size, budget, SMALL)
    assert len(ranking) == len({c.subnet for c in ranking}) == 12 * 7 and all(size(c.subnet) <= budget for c in ranking)
    first = max(c.fitness for c in ranking if c.generation == 0)
    assert ranking[0].fitness > first and ranking[0].generation > 0
    assert {c.origin for c in ranking} == {"random", "mutation", "crossover"}
    assert [c.fitness for c in ranking] == sorted((c.fitness for c in ranking), reverse=True)
    assert evolve(LITE, taste, size, budget, SMALL) == ranking


def test_published_numbers_are_the_defaults():
    config = EvolutionConfig()
    assert (config.population, config.generations, config.parents, config.mutation, config.mutants) == (
        50,
        20,
        20,
        0.1,
        0.5,
    )


def test_a_budget_that_nothing_keeps_is_said():
    with pytest.raises(ModelError, match="no new sub-network within the budget of 10 .* the smallest costs"):
        evolve(LITE, taste, size, 10.0, SMALL)


def test_given_sub_networks_begin_the_first_generation():
    start = [LITE.smallest(), LITE.largest()]
    ranking = evolve(LITE, taste, size, size(LITE.smallest()) * 2, SMALL, start)
    assert [c.subnet for c in ranking if c.origin == "start"] == [LITE.smallest()]


def voxels() -> np.ndarray:
    from models.spvcnn.quantise import Quantiser

    xyz = sweep(0)[:6000].astype(np.float32)
    return Quantiser(0.1, None)(xyz, np.zeros(len(xyz), np.float32)).coords.copy()


@pytest.mark.skipif(native.library() is None, reason="the extension was not built")
@pytest.mark.parametrize("precision", ["fp32", "int16"])
def test_the_table_lists_exactly_the_calls_that_the_engine_makes(monkeypatch, precision):
    from models.sparse import fused

    subnet, seen = LITE.sample(random.Random(7)), []
    for name, kind in (("convolve", "conv"), ("interpolate", "spread"), ("point_mean", "mean")):
        real = getattr(fused, name)

        def counted(*args, kind=kind, real=real, **kwargs):
            out = real(*args, **kwargs)
            what = args[0]
            terms = [x.channels for x, _ in args[1]] if kind == "conv" else [what.channels]
            seen.append((kind, terms, out.channels, what.precision if kind != "mean" else "fp32", out.precision))
            return out

        monkeypatch.setattr(fused, name, counted)
    coords = voxels()
    network = SPVNAS(19, **subnet.numbers(), in_channels=8).eval()
    Predictor(network, precision, 1)(np.zeros((len(coords), 8), np.float32), coords)
    listed = [(c.kind, [w for w, _ in c.inputs], c.outputs, c.weights, c.out) for c in calls(subnet, 8, 19, precision)]
    assert listed == seen


@pytest.mark.skipif(native.library() is None, reason="the extension was not built")
def test_latencies_are_measured_once_kept_and_ordered_like_whole_networks(tmp_path):
    table = LatencyTable([voxels()], path=tmp_path / "table.json")
    small, large = table.milliseconds(LITE.smallest()), table.milliseconds(LITE.largest())
    assert 0 < small < large
    kept = LatencyTable([voxels()], path=tmp_path / "table.json")
    assert kept.table == table.table and kept.milliseconds(LITE.largest()) == large
    (predicted, measured), (_, smaller) = table.verify([LITE.largest(), LITE.smallest()])
    assert smaller < measured and predicted == large and 0.3 < predicted / measured < 3
    assert LatencyTable([voxels()[:100]], path=tmp_path / "table.json").table == {}  # other sweeps, other times
    assert rows(np.random.default_rng(0), 5, 8, "int16").precision == "int16"
    assert correlation([(1, 2), (2, 4), (3, 6)]) == pytest.approx(1.0)
    with pytest.raises(ModelError, match="at least one sweep"):
        LatencyTable([])


def candidates() -> list[Candidate]:
    rng = random.Random(0)
    subnets = [LITE.sample(rng) for _ in range(30)]
    return [Candidate(p, 0.2 + 0.01 * (i % 7), 50.0 + i, i // 10, "random") for i, p in enumerate(subnets)]


def test_the_frontier_holds_what_nothing_beats():
    front = frontier(candidates())
    assert [c.cost for c in front] == [50 + i for i in range(7)]


def test_the_picture_shows_every_candidate(tmp_path):
    picture = draw_search(candidates(), {"spvcnn-lite": (95.0, 0.3)}, "ms", "A search")
    assert picture.shape == (HEIGHT, WIDTH, 3) and picture.dtype == np.uint8
    for colour in ((70, 130, 180), (220, 90, 30)):  # first and last generation
        assert (picture == colour).all(2).sum() > 200
    save_search(tmp_path / "deep" / "search.png", candidates()[:1], {}, "GMAC", "One")
    assert (tmp_path / "deep" / "search.png").stat().st_size > 1000


@pytest.fixture
def trained(tmp_path):
    """A super network after two steps, validation sweeps and recorded training sweeps."""
    torch.manual_seed(0)
    trainer = SupernetTrainer(SupernetConfig(batch=2, capacity=4, bf16=False, sandwich=False))
    with (tmp_path / "train.sweeps").open("wb") as file:
        for seed in range(3):
            trainer.buffer.add(street(seed, 400))
            write_sweep(file, street(seed, 400))
    for _ in range(2):
        trainer.step(0.5)
    trainer.save(tmp_path)
    (tmp_path / "cache").mkdir()
    with (tmp_path / "cache" / f"world_{VAL[0]}_1.sweeps").open("wb") as file:
        write_sweep(file, street(9, 400))
    return tmp_path


def test_the_program_from_checkpoint_to_winner_and_on_again(trained, shared, capsys):
    command = [
        str(trained / "supernet.checkpoint.safetensors"), "--out", str(trained / "search"), "--calibrate",
        str(trained / "train.sweeps"), "--cache", str(trained / "cache"), "--worlds", "1", "--population", "2",
        "--generations", "1", "--parents", "1", "--recalibration", "1", "--check", "0", "--budget", "macs", "--than",
        "random:spvcnn-lite", "--share", "0.95", "--real", str(shared / "data"),
    ]  # fmt: skip
    assert main(command) == 0
    lines = (trained / "search" / "candidates.jsonl").read_text().splitlines()
    told = json.loads((trained / "search" / "winner.json").read_text())
    assert len(lines) == told["candidates"] == 4
    subnet = Subnet.from_config(told["config"])
    assert subnet == Subnet.from_numbers(**told["plan"])
    best = max(json.loads(line)["miou"] for line in lines)
    assert told["miou"] == best and (trained / "search" / "search.png").is_file()
    network, facts = load_network(trained / "search" / "winner")
    assert facts.architecture == "spvnas" and network.subnet == subnet
    before = (trained / "search" / "candidates.jsonl").read_bytes()
    assert main(command) == 0  # everything is known: the same trajectory, nothing scored again
    assert (trained / "search" / "candidates.jsonl").read_bytes() == before
    assert json.loads((trained / "search" / "winner.json").read_text()) == told
    assert "winner: mIoU" in capsys.readouterr().out
    assert main([*command[:-1], "/none"]) == 2
    assert "no real sweeps at /none" in capsys.readouterr().err


def test_official_space_is_searched_by_macs_alone():
    subnet = OFFICIAL.sample(random.Random(0))
    assert list(calls(subnet, 4, 19, "fp32"))[0].key() == "conv L0 4same->32 fp32:fp32"
