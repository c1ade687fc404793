"""GAN Compression from a teacher to a released student on toy pictures."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.facts import ModelError, load_network
from models.gan.resnet_supernet import SuperMobileResnetGenerator
from tests.training.gan.toy import PROCESS, pack, resumes_exactly
from training.common.loop import train
from training.gan import compression_search, release, teacher
from training.gan.compression import CYCLE_STUDENT, PAIRED_STUDENT, SPADE_STUDENT, CompressionTrainer
from training.gan.paired import Pix2pixConfig, Pix2pixTrainer, SpadeConfig, SpadeTrainer
from training.gan.settings import GanOptimiser
from training.gan.width_space import WidthSpace
from training.segmentation.evolution import EvolutionConfig

FAST = GanOptimiser(lr=2e-3, ema=0.9)
SMALL = {"steps": 8, "threads": 0, "ndf": 4, "layers": 1, "batch": 2, "optimiser": FAST, "discriminator": FAST}
SPACE = ((8, 4),) * 2 + ((8,),) * 5 + ((8, 4),)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """(folder, pack of pairs): a teacher's model folder is `folder`/teacher, its run `folder`/run."""
    folder = tmp_path_factory.mktemp("teacher")
    data = pack(folder, ("a", "b"))
    config = Pix2pixConfig(ngf=8, blocks=3, name="teacher", loss="lsgan", **SMALL)
    train(Pix2pixTrainer(config, PROCESS, data), folder / "run")
    release.released(folder / "run" / "teacher.checkpoint.safetensors", folder)
    return folder, data


@pytest.fixture(autouse=True)
def small_space(monkeypatch):
    from models.gan import resnet_config, spade_generator

    monkeypatch.setitem(resnet_config.SEARCH_SPACES, "toy", SPACE)
    monkeypatch.setitem(spade_generator.SPADE_SEARCH_SPACES, "toy", SPACE)


def student(taught, **changes):
    folder, data = taught
    judge = str(folder / "run" / "teacher-discriminator.checkpoint.safetensors")
    config = replace(PAIRED_STUDENT, teacher=str(folder / "teacher"), judge=judge, ngf=8, space="toy", **SMALL)
    return CompressionTrainer(replace(config, **changes), PROCESS, data, data.first(4))


def test_the_super_network_learns_from_its_teacher_and_resumes_exactly(taught, tmp_path):
    trainer = student(taught)
    begun = trainer.d.network.state_dict()["model.0.weight"].clone()
    losses = train(trainer, tmp_path / "super")
    assert np.mean([s["l1"] for s in losses[-3:]]) < losses[0]["l1"]
    from training.common.checkpoints import averaged_weights

    kept = averaged_weights(taught[0] / "run" / "teacher-discriminator.checkpoint.safetensors")[0]
    assert torch.equal(begun, kept["model.0.weight"])
    assert {k.split()[-1] for k in trainer.validate()} == {"maximum", "minimum"}
    assert resumes_exactly(lambda: student(taught), tmp_path / "again", steps=2)


def test_features_and_outputs_of_the_teacher_decide_the_loss(taught):
    trainer = student(taught, reconstruction=0.0, distill=1.0)
    trainer.step(0.0)
    assert float(trainer._distance.detach()) > 0
    maps = trainer.maps.maps[0].weight
    assert maps.grad is not None and float(maps.grad.abs().sum()) > 0
    assert all(p.grad is None for p in trainer.plan.teacher.network.parameters())
    assert trainer.maps.layers == ("model.9", "model.10", "model.11", "model.12")


def test_search_fine_tuning_and_release_give_a_small_student(taught, tmp_path, capsys):
    folder, data = taught
    run = tmp_path / "super"
    trainer = student(taught)
    trainer.step(0.0)
    run.mkdir()
    trainer.save(run)
    checkpoint, packed = str(run / "student-pix2pix.checkpoint.safetensors"), str(folder / "pack.npz")
    command = [checkpoint, "--data", packed, "--held", packed, "--out", str(tmp_path / "search"), "--space", "toy"]
    command += ["--pictures", "3", "--population", "3", "--generations", "1", "--threads", "1"]
    assert compression_search.main([*command, "--gmacs", "1e-9"]) == 2
    assert "no sub-network keeps the budget" in capsys.readouterr().err
    network, _, _ = teacher.super_network(checkpoint)
    cost = compression_search.gmacs_of(network, torch.zeros(1, 3, 16, 16))
    budget = 0.8 * cost((8,) * 8)
    assert compression_search.main([*command, "--gmacs", str(budget)]) == 0
    found = json.loads((tmp_path / "search" / "search.json").read_text())
    assert (tmp_path / "search" / "search.png").stat().st_size > 1000
    assert all(row["cost"] <= budget for row in found["candidates"])
    fids = [row["fid_lite0"] for row in found["candidates"]]
    assert fids == sorted(fids) and found["largest"] == pytest.approx(cost((8,) * 8), rel=0.02)

    widths = found["candidates"][0]["widths"]
    part = student(taught, start=checkpoint, widths=widths, name="toy-student")
    expected = teacher.super_network(checkpoint)[0].extract(widths)
    x = torch.rand(1, 3, 16, 16)
    assert torch.allclose(part.g.network.eval()(x), expected.eval()(x), atol=1e-6)
    train(part, tmp_path / "part")
    out = tmp_path / "weights"
    command = [str(tmp_path / "part" / "toy-student.checkpoint.safetensors"), "--held", packed, "--out", str(out)]
    assert release.main([*command, "--teacher", str(folder / "teacher"), "--runtimes", "torch", "--threads", "1"]) == 0
    network, facts = load_network(out / "toy-student")
    metrics = json.loads((out / "toy-student" / "metrics.json").read_text())
    assert facts.network["config"] == widths and facts.trained and "toy" in facts.training_data
    assert metrics["scores"]["gmacs"] < metrics["teacher"]["gmacs"] and "fid_lite0" in facts.metrics
    assert "samples.jpg" in (out / "toy-student" / "CARD.md").read_text()
    assert (out / "toy-student" / "samples.jpg").stat().st_size > 500


def test_students_of_unpaired_and_of_spade_teachers_learn_too(taught, tmp_path):
    folder, data = taught
    unpaired = replace(CYCLE_STUDENT, teacher=str(folder / "teacher"), ngf=8, space="toy", **SMALL)
    trainer = CompressionTrainer(unpaired, PROCESS, data, paired=False)
    assert trainer.d.network.model[0].in_channels == 3
    before = torch.cat([p.flatten() for p in trainer.g.network.parameters()]).clone()
    assert all(np.isfinite(list(trainer.step(0.0).values())))
    assert not torch.equal(before, torch.cat([p.flatten() for p in trainer.g.network.parameters()]))

    maps = pack(tmp_path, ("labels", "pictures"), "maps.npz", height=64, width=64, count=4)
    small = {"steps": 2, "threads": 0, "batch": 2, "perceptual": 0.0}
    spade = SpadeConfig(ngf=8, ndf=4, name="spade-teacher", **small)
    train(SpadeTrainer(spade, PROCESS, maps), tmp_path / "spade")
    release.released(tmp_path / "spade" / "spade-teacher.checkpoint.safetensors", tmp_path)
    config = replace(SPADE_STUDENT, teacher=str(tmp_path / "spade-teacher"), ngf=8, ndf=4, space="toy", **small)
    trainer = CompressionTrainer(config, PROCESS, maps, maps.first(2))
    train(trainer, tmp_path / "spade-super")
    checkpoint = str(tmp_path / "spade-super" / "student-spade.checkpoint.safetensors")
    part = CompressionTrainer(replace(config, start=checkpoint, widths="4_8_8_8_8_8_8_4"), PROCESS, maps)
    assert all(np.isfinite(list(part.step(0.0).values())))
    with pytest.raises(ModelError, match="its pack|the pack holds"):
        CompressionTrainer(config, PROCESS, data)


def test_what_cannot_be_compressed_is_refused_in_one_sentence(taught, tmp_path):
    with pytest.raises(ModelError, match="no teacher was given"):
        student(taught, teacher="")
    with pytest.raises(ModelError, match="expected one of gan-resnet"):
        student(taught, teacher="random:gan-tone")
    with pytest.raises(ModelError, match="widths without a super network"):
        student(taught, widths="4_4_4_4_4_4_4_4")
    with pytest.raises(ModelError, match="has width 8: ngf is 4"):
        student(taught, ngf=4)
    with pytest.raises(ModelError, match="expected a super network"):
        teacher.super_network(taught[0] / "run" / "teacher.checkpoint.safetensors")


def test_small_spaces_are_searched_whole_and_large_ones_by_evolution():
    space = WidthSpace(((1, 2, 3), (1, 2)))
    assert len(space) == 6 and space.largest() == (3, 2) and space.contains((3, 1)) and not space.contains((4, 1))
    found = compression_search.search(space, lambda p: -abs(sum(p) - 4), sum, 4, EvolutionConfig(3, 1, 2))
    assert len(found) == 5 and found[0].fitness == 0 and all(c.origin == "all" for c in found)
    found = compression_search.search(
        space, lambda p: float(sum(p)), sum, 4, EvolutionConfig(3, 4, 2, 0.5), exhaustive=2
    )
    assert sum(found[0].subnet) == 4 and {c.origin for c in found} > {"random"}
    with pytest.raises(ModelError, match="the smallest costs 2"):
        compression_search.search(space, sum, sum, 1, EvolutionConfig(3, 1, 2))


def test_a_latency_is_measured_on_the_compiled_network():
    network = SuperMobileResnetGenerator(ngf=8, n_blocks=3)
    cost = compression_search.latency_of(network, torch.zeros(1, 3, 16, 16), "torch", 1)
    assert 0 < cost((4,) * 8) < 1000
