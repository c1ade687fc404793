"""pix2pix, CycleGAN and SPADE learn on toy pictures, resume exactly and refuse unfit data."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.facts import ModelError
from tests.training.gan.toy import PROCESS, pack, resumes_exactly
from training.common.loop import train
from training.gan.__main__ import main
from training.gan.cycle import CycleConfig, CycleTrainer
from training.gan.packs import drawn, read_pack, to_float
from training.gan.paired import Pix2pixConfig, Pix2pixTrainer, SpadeConfig, SpadeTrainer
from training.gan.settings import DiffAugment, GanOptimiser

FAST = GanOptimiser(lr=2e-3, ema=0.9)
PIX2PIX = Pix2pixConfig(
    steps=30, threads=0, ngf=4, blocks=1, ndf=4, layers=1, batch=4, optimiser=FAST, discriminator=FAST, flip=False
)
CYCLE = CycleConfig(steps=20, threads=0, ngf=4, blocks=1, ndf=4, layers=1, pool=2, optimiser=FAST, discriminator=FAST)
SPADE = SpadeConfig(
    steps=25, threads=0, ngf=4, ndf=4, batch=4, perceptual=0.0, optimiser=replace(FAST, betas=(0.0, 0.9)), flip=False
)


def test_pix2pix_learns_to_invert_pictures(tmp_path):
    data = pack(tmp_path, ("a", "b"))
    trainer = Pix2pixTrainer(PIX2PIX, PROCESS, data)
    losses = train(trainer, tmp_path / "run")
    first, last = (np.mean([step["l1"] for step in part]) for part in (losses[:3], losses[-3:]))
    assert len(losses) == 30 and last < 0.6 * first


def test_pix2pix_validates_with_named_scores_and_resumes_exactly(tmp_path):
    data = pack(tmp_path, ("a", "b"))
    config = replace(PIX2PIX, dropout=0.5, augment=DiffAugment("color,translation"), flip=True)
    assert resumes_exactly(lambda: Pix2pixTrainer(config, PROCESS, data, data.first(4)), tmp_path / "run")
    scores = Pix2pixTrainer(config, PROCESS, data, data.first(4)).validate()[config.name]
    assert {"psnr", "lpips_lite0", "fid_lite0", "kid_lite0"} <= set(scores)


def test_spade_learns_colours_of_classes_and_resumes_exactly(tmp_path):
    data = pack(tmp_path, ("labels", "pictures"), height=32, width=32)
    trainer = SpadeTrainer(SPADE, PROCESS, data)
    losses = train(trainer, tmp_path / "run")
    assert np.mean([s["l1"] for s in losses[-3:]]) < 0.75 * losses[0]["l1"]
    short = replace(SPADE, augment=DiffAugment("translation,cutout"))
    assert resumes_exactly(lambda: SpadeTrainer(short, PROCESS, data), tmp_path / "short", steps=2)


def test_cyclegan_learns_cycles_and_resumes_exactly_with_its_history(tmp_path):
    data = pack(tmp_path, ("a", "b"), paired=False)
    losses = train(CycleTrainer(CYCLE, PROCESS, data), tmp_path / "run")
    assert np.mean([s["cycle"] for s in losses[-3:]]) < 0.8 * losses[0]["cycle"]
    assert resumes_exactly(lambda: CycleTrainer(CYCLE, PROCESS, data), tmp_path / "again")


@pytest.mark.parametrize("where", ["both", "real", "fake", "discriminator", "none"])
def test_diffaugment_and_its_naive_variants_augment_what_they_say(where):
    torch.manual_seed(0)
    x, switch = torch.rand(2, 3, 8, 8), DiffAugment("color", where)
    changed = [
        not torch.equal(y, x) for y in (switch.real(x), switch.fake(x), switch.fake(x, generator_step=True))
    ]
    expected = {"both": [1, 1, 1], "real": [1, 0, 0], "fake": [0, 1, 1], "discriminator": [1, 1, 0], "none": [0, 0, 0]}
    assert changed == [bool(e) for e in expected[where]]


def test_a_condition_is_augmented_like_its_picture():
    torch.manual_seed(0)
    x = torch.rand(2, 3, 8, 8)
    both = DiffAugment("color,translation,cutout").real(x, x)
    assert torch.equal(both[:, :3], both[:, 3:]) and not torch.equal(both[:, :3], x)
    maps = F.one_hot(torch.randint(2, (2, 8, 8)), 2).permute(0, 3, 1, 2).float()
    moved = DiffAugment("color,translation").real(x, maps)
    assert set(moved[:, :2].unique().tolist()) <= {0.0, 1.0}
    with pytest.raises(ValueError, match="expected one of both, none, real"):
        DiffAugment("color", "sometimes").check()


def test_entries_are_drawn_and_mirrored_alike():
    a = torch.arange(4 * 3 * 2 * 4, dtype=torch.uint8).reshape(4, 3, 2, 4)
    one, other = drawn((a, a[:, 0]), 64, torch.Generator().manual_seed(0), flip=True)
    assert torch.equal(one[:, 0], other)
    first = {tuple(p[0, 0].tolist()) for p in one}
    assert first == {tuple(r) for p in a for r in (p[0, 0].tolist(), p[0, 0].flip(0).tolist())}
    assert to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_unfit_data_are_refused_in_one_sentence(tmp_path, capsys):
    with pytest.raises(ModelError, match="no pack .*training.gan.gather"):
        read_pack(tmp_path / "absent.npz", ("a", "b"))
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(ModelError, match="cannot be read as a pack"):
        read_pack(tmp_path / "text.npz", ("a",))
    pack(tmp_path, ("a", "b"), "sides.npz", paired=False)
    with pytest.raises(ModelError, match="unpaired sides: train `cyclegan`"):
        read_pack(tmp_path / "sides.npz", ("a", "b"), paired=True)
    with pytest.raises(ModelError, match="expected labels, pictures"):
        read_pack(tmp_path / "sides.npz", ("labels", "pictures"))
    odd = pack(tmp_path, ("a", "b"), "odd.npz", height=18)
    with pytest.raises(ModelError, match="18 x 16 px: expected multiples of 4"):
        Pix2pixTrainer(PIX2PIX, PROCESS, odd)
    command = ["pix2pix", "--data", str(tmp_path / "absent.npz"), "--out", str(tmp_path / "out"), "--steps", "1"]
    assert main(command) == 2 and "no pack" in capsys.readouterr().err


def test_the_command_trains_and_goes_on(tmp_path, capsys):
    pack(tmp_path, ("a", "b"))
    command = ["pix2pix", "--data", str(tmp_path / "pack.npz"), "--out", str(tmp_path / "run"), "--set", "ngf=4"]
    command += ["--set", "blocks=1", "--set", "ndf=4", "--set", "layers=1", "--set", "name=toy"]
    assert main([*command, "--steps", "2"]) == 0
    assert main([*command, "--steps", "3", "--resume"]) == 0
    assert (tmp_path / "run" / "toy.checkpoint.safetensors").is_file() and "3/3" in capsys.readouterr().out


def test_the_pix2pix_start_depends_on_its_seed_alone(tmp_path):
    data = pack(tmp_path, ("a", "b"))
    one, other = (Pix2pixTrainer(PIX2PIX, PROCESS, data).g.network.state_dict() for _ in range(2))
    assert all(torch.equal(one[k], other[k]) for k in one)
    weights = torch.cat([v.flatten() for k, v in one.items() if k.endswith("weight")])
    assert float(weights.std()) == pytest.approx(0.02, rel=0.1)
