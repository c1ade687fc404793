"""The super network's training: steps, stages of shrinking, warm start, resuming, recalibration, gradients of several
processes; and the sources of sweeps that every training may take."""

import argparse
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.facts import ModelError
from models.spvcnn.presets import LITE_WIDTHS
from models.spvcnn.subnet import Subnet
from tests.training.street import street
from training.common.config_files import load_yaml_config
from training.segmentation.batch_norms import recalibrate
from training.segmentation.sources import Iterated, add_source_options, recorded, training_sweeps
from training.segmentation.supernet import SupernetConfig, SupernetTrainer, average_gradients, load_supernet, spec_for
from training.segmentation.sweep_buffer import compact
from training.segmentation.sweep_wire import write_sweep
from training.segmentation.trainer import Trainer
from training.segmentation.validation import run

CPU = torch.device("cpu")
TINY = SupernetConfig(batch=2, capacity=4, bf16=False, recalibration=1)


def trainer(config=TINY, start=None) -> SupernetTrainer:
    torch.manual_seed(0)
    made = SupernetTrainer(config, start=start)
    for seed in range(3):
        made.buffer.add(street(seed, 400))
    return made


def test_sub_networks_learn_together_and_resume_on_the_same_draws(tmp_path):
    made = trainer()
    losses = [made.step(0.5) for _ in range(4)]
    assert set(losses[0]) == {"largest", "drawn"} and losses[-1]["largest"] < losses[0]["largest"] - 0.1
    made.save(tmp_path)
    expected = []
    for _ in range(2):
        losses = made.step(0.6)
        expected.append((losses, made.subnet))
    again = trainer()
    again.resume(tmp_path)
    again.buffer.counts = made.buffer.counts.clone()
    found = []
    for _ in range(2):
        losses = again.step(0.6)
        found.append((losses, again.subnet))
    assert found == expected
    scores = again.scores([("hand", compact(street(9, 400), CPU))])
    assert set(scores) == {"largest", "smallest"} and 0.0 <= scores["smallest"]["miou"] <= 1.0
    network, space = load_supernet(tmp_path / "supernet.checkpoint.safetensors")
    assert space == "lite" and network.subnet == network.space.largest()


def test_depth_shrinks_only_after_the_full_stage():
    made = trainer()
    assert all(made.draw(0.1).depths == (2,) * 8 for _ in range(5))
    assert min(min(made.draw(0.9).depths) for _ in range(5)) == 1


def test_without_sandwich_only_the_drawn_sub_network_is_taught():
    made = trainer(replace(TINY, sandwich=False))
    before = {k: v.clone() for k, v in made.network.state_dict().items()}
    assert set(made.step(0.9)) == {"drawn"}
    subnet = made.subnet
    assert subnet is not None
    key = "downsample.3.feature.layers.0.net.layers.0.net.bn.bn.running_mean"
    after, middle = made.network.state_dict()[key], subnet.stages[3].middles[0]
    assert torch.equal(after[middle:], before[key][middle:]) and not torch.equal(after[:middle], before[key][:middle])


def test_a_start_from_spvcnn_is_as_good_as_spvcnn(tmp_path):
    from training.segmentation.trainer import TrainConfig

    torch.manual_seed(0)
    spvcnn = Trainer(("spvcnn-lite",), TrainConfig(batch=2, capacity=4, bf16=False))
    for seed in range(3):
        spvcnn.buffer.add(street(seed, 400))
    for _ in range(3):
        spvcnn.step(0.3)
    spvcnn.save(tmp_path)
    made = trainer(start=str(tmp_path / "spvcnn-lite.checkpoint.safetensors"))
    data = spvcnn.batch()
    with spvcnn.trainees[0].averaged() as network, torch.no_grad():
        expected = run(network, network, data)
    made.network.eval()
    made.network.select(Subnet.of_spvcnn(LITE_WIDTHS))
    with torch.no_grad():
        torch.testing.assert_close(run(made.network, made.network, data), expected, atol=1e-3, rtol=1e-3)
    with pytest.raises(ModelError, match="a super network starts from an SPVCNN"):
        trainer(start="random:minkunet-lite")
    with pytest.raises(ModelError, match="search space 'none' is unknown; known: official"):
        trainer(replace(TINY, space="none"))


def test_recalibration_gives_the_statistics_of_the_batches_and_nothing_else():
    made = trainer()
    plain = made.network.extract(made.network.space.smallest())
    data = [made.batch(), made.batch()]
    weights = {k: v.clone() for k, v in plain.named_parameters()}
    recalibrate(plain, data)
    assert not any(m.training for m in plain.modules())
    assert all(torch.equal(v, weights[k]) for k, v in plain.named_parameters())
    norm = plain.stem[1]
    with torch.no_grad():
        means = [plain.stem[0](d.x).feats.mean(0) for d in data]
    torch.testing.assert_close(norm.running_mean, (means[0] + means[1]) / 2, atol=1e-4, rtol=1e-3)
    assert norm.momentum == 0.1
    # the super network's own batch norms, sliced, measured in place give the same sub-network
    made.network.select(made.network.space.smallest())
    recalibrate(made.network, data)
    with torch.no_grad():
        same = run(made.network, made.network, data[0])
        torch.testing.assert_close(run(plain, plain, data[0]), same, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_gradients_are_averaged_over_processes_that_taught_different_parts(tmp_path):
    """Two processes by gloo: what one left out counts as zero, what both left out keeps no gradient."""
    torch.multiprocessing.spawn(_average, (str(tmp_path / "store"),), nprocs=2)


def _average(rank: int, store: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    layers = torch.nn.ModuleList([torch.nn.Linear(2, 1, bias=False) for _ in range(3)])
    layers[0].weight.grad = torch.full((1, 2), 2.0 + rank)
    if rank == 1:
        layers[1].weight.grad = torch.full((1, 2), 4.0)
    average_gradients(layers, 2)
    assert layers[0].weight.grad.tolist() == [[2.5, 2.5]]
    assert layers[1].weight.grad is not None and layers[1].weight.grad.tolist() == [[2.0, 2.0]]
    assert layers[2].weight.grad is None
    torch.distributed.destroy_process_group()


def test_the_configs_in_the_repository_load():
    for name in ("spvnas", "spvnas_cpu"):
        config = load_yaml_config(SupernetConfig(), f"config/training/{name}.yaml")
        assert config.space == "lite" and spec_for(config.space).subnet is not None
    assert spec_for("official").features == ("x", "y", "z", "intensity")


def test_recorded_sweeps_are_a_source(tmp_path):
    with (tmp_path / "a.sweeps").open("wb") as file:
        for seed in range(5):
            write_sweep(file, street(seed, 200))
    whole = (tmp_path / "a.sweeps").read_bytes()
    (tmp_path / "b.bin").write_bytes(whole[:-100])  # its writer was ended
    assert [s.seed for s in recorded([tmp_path])] == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    assert [s.seed for s in recorded([tmp_path / "a.sweeps"], part=1, parts=2)] == [1, 3]
    source = Iterated(recorded([tmp_path / "a.sweeps"]), burst=3)
    taken = [source.take() for _ in range(8)]
    assert [s.seed if s else None for s in taken] == [0, 1, 2, None, 3, 4, None, None]
    assert source.finished and source.received == 5
    (tmp_path / "c.bin").write_bytes(b"no sweeps at all, but long enough to be a header")
    for path, said in ((tmp_path / "absent", "no sweeps at"), (tmp_path / "c.bin", "holds no sweeps")):
        with pytest.raises(ModelError, match=said):
            list(recorded([path]))
    parser = argparse.ArgumentParser()
    add_source_options(parser)
    made = trainer()
    with training_sweeps(made, parser.parse_args(["--sweeps", str(tmp_path / "a.sweeps")])) as given:
        first = given.take()
        assert first is not None
        np.testing.assert_array_equal(first.xyz, street(0, 200).xyz)


def test_a_network_learns_from_a_teacher():
    from training.segmentation.teacher import Teacher, distance
    from training.segmentation.trainer import TrainConfig

    torch.manual_seed(0)
    pupil = Trainer(("spvnas-lite",), TrainConfig(batch=2, capacity=4, bf16=False, distil=1.0))
    for seed in range(3):
        pupil.buffer.add(street(seed, 400))
    pupil.teacher = Teacher("random:spvcnn-lite", pupil.spec, CPU)
    data = pupil.batch()
    taught = pupil.teacher(data)
    assert taught.shape == (len(data.x), 19) and float(distance(taught, taught)) == pytest.approx(0.0, abs=1e-6)
    losses = [pupil.step(0.1)["spvnas-lite"] for _ in range(6)]
    assert losses[-1] < losses[0]
    with pytest.raises(ModelError, match="takes other voxels or features"):
        Teacher("random:spvcnn-cr0.5", pupil.spec, CPU)
