"""Generators and discriminators of image translation: official layouts, elastic widths, published sizes."""

import random

import pytest
import torch

from models.gan.cyclegan import build_cyclegan
from models.gan.macs import count_macs, count_parameters
from models.gan.patchgan import NLayerDiscriminator, PixelDiscriminator
from models.gan.plain import PlainDiscriminator, PlainGenerator
from models.gan.resnet import MobileResnetGenerator, ResnetGenerator, SubMobileResnetGenerator
from models.gan.resnet_config import PUBLISHED, SEARCH_SPACES, config_name, parse_config, sample_config
from models.gan.resnet_supernet import SuperMobileResnetGenerator
from models.gan.unet import UnetGenerator

PICTURE = torch.zeros(1, 3, 256, 256)


@pytest.mark.parametrize(
    "task, parameters, giga",
    [
        ("horse2zebra", 0.357, 2.525),
        ("horse2zebra-fast", 0.355, 2.618),
        ("edges2shoes", 0.822, 4.962),
        ("edges2shoes-fast", 0.703, 4.832),
        ("cityscapes", 0.781, 5.560),
        ("map2sat", 0.746, 4.653),
    ],
)
def test_published_students_have_their_published_size(task, parameters, giga):
    with torch.device("meta"):
        network = SubMobileResnetGenerator(config=task)
    assert count_parameters(network) / 1e6 == pytest.approx(parameters, abs=5e-4)
    assert count_macs(network, PICTURE).official / 1e9 == pytest.approx(giga, abs=5e-4)


def test_teacher_size_in_both_mac_conventions():
    with torch.device("meta"):
        network = ResnetGenerator()
    found = count_macs(network, PICTURE)
    assert count_parameters(network) == 11_378_179
    assert (round(found.official / 1e9, 2), round(found.true / 1e9, 2)) == (56.80, 49.55)


def test_macs_by_hand_on_one_layer_each():
    conv, up = torch.nn.Conv2d(3, 5, 3, padding=1), torch.nn.ConvTranspose2d(4, 6, 3, 2, 1, 1)
    assert count_macs(conv, torch.zeros(2, 3, 8, 10)).true == 2 * 5 * 80 * 27
    found = count_macs(up, torch.zeros(1, 4, 8, 8))
    assert (found.true, found.official) == (4 * 64 * 6 * 9, 6 * 256 * 4 * 9)
    assert count_macs(torch.nn.Conv2d(4, 4, 3, groups=4, padding=1), torch.zeros(1, 4, 8, 8)).official == 4 * 64 * 9
    assert count_macs(torch.nn.Linear(7, 3), torch.zeros(5, 7)).true == 105


def test_students_are_the_supernet_at_their_widths():
    torch.manual_seed(0)
    supernet = SuperMobileResnetGenerator(ngf=16, n_blocks=9).eval()
    x, dice = torch.randn(1, 3, 20, 24), random.Random(3)
    with torch.inference_mode():
        for _ in range(3):
            config = sample_config(((16, 12, 8, 5),) * 8, dice)
            supernet.select(config)
            student = supernet.extract(config)
            assert torch.equal(supernet(x), student(x))
            assert student.config == config
    whole = MobileResnetGenerator(ngf=16)
    whole.load_state_dict(supernet.state_dict())
    supernet.select("16_16_16_16_16_16_16_16")
    x = x.clamp(-1, 1)  # the mobile generator does not clamp, the super network does
    assert torch.equal(supernet(x), whole.eval()(x))


def test_supernet_with_batch_norm_slices_its_statistics():
    supernet = SuperMobileResnetGenerator(ngf=8, n_blocks=3, norm="batch")
    supernet.select((4,) * 8)
    before = supernet.model[2].running_mean[4:].clone()
    supernet(torch.randn(2, 3, 16, 16))
    after = supernet.model[2].running_mean
    assert torch.equal(after[4:], before) and after[:4].abs().sum() > 0
    supernet.eval()
    x = torch.randn(1, 3, 16, 16)
    assert torch.allclose(supernet(x), supernet.extract((4,) * 8)(x), atol=1e-6)


def test_only_the_parts_of_the_chosen_widths_get_gradients():
    supernet = SuperMobileResnetGenerator(ngf=8, n_blocks=3)
    supernet.select((4,) * 8)
    supernet(torch.randn(1, 3, 16, 16)).square().mean().backward()
    gradient = supernet.model[4].weight.grad
    assert gradient[:8, :4].abs().sum() > 0
    assert gradient[8:].abs().sum() == 0 and gradient[:, 4:].abs().sum() == 0


def test_configs_are_read_and_wrong_ones_refused():
    assert parse_config("16_16_32_16_32_32_16_16") == PUBLISHED["horse2zebra"] == parse_config("horse2zebra")
    assert config_name(PUBLISHED["map2sat"]) == "32_32_48_32_48_32_16_16"
    assert parse_config((16, 16, 32, 16, 24, 24)) == (16, 16, 32, 16, 24, 24)
    assert [len(s) for s in SEARCH_SPACES.values()] == [8, 8, 8, 8]
    for wrong in ("zebra2horse", "1_2_3", "16_16_32_16_32_32_16_0"):
        with pytest.raises(ValueError, match="expected"):
            parse_config(wrong)
    with pytest.raises(ValueError, match="width 64"):
        SuperMobileResnetGenerator(ngf=48).select((64,) * 8)


def test_unet_and_patchgans_have_their_published_size():
    assert count_parameters(UnetGenerator()) == 54_413_955
    assert count_parameters(NLayerDiscriminator(6)) == 2_768_705
    assert count_parameters(NLayerDiscriminator(3, norm="instance")) == 2_764_737
    assert NLayerDiscriminator(6)(torch.zeros(1, 6, 256, 256)).shape == (1, 1, 30, 30)
    assert PixelDiscriminator(6, 8)(torch.zeros(1, 6, 16, 16)).shape == (1, 1, 16, 16)


def test_unet_keys_and_sizes():
    network = UnetGenerator(num_downs=5, ngf=4)
    keys = set(network.state_dict())
    inner = "model.model.1.model.3.model.3.model.3.model."
    assert {"model.model.0.weight", "model.model.3.bias"} <= keys
    assert {inner + "1.weight", inner + "3.weight", inner + "4.weight"} <= keys
    assert network(torch.zeros(1, 3, 32, 64)).shape == (1, 3, 32, 64)
    with pytest.raises(ValueError, match="multiples of 32"):
        network(torch.zeros(1, 3, 40, 64))


def test_patch_scores_see_70_pixels():
    network = NLayerDiscriminator(1, 4, norm="none").eval()
    x = torch.zeros(1, 1, 128, 128, requires_grad=True)
    network(x)[0, 0, 7, 7].backward()
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_cycle_goes_there_and_back():
    model = build_cyclegan(ngf=4, ndf=4, n_blocks=1).eval()
    a, b = torch.randn(1, 3, 16, 16), torch.randn(1, 3, 16, 16)
    found = model(a, b)
    assert torch.equal(found.fake_b, model.netG_A(a)) and torch.equal(found.cycled_a, model.netG_B(found.fake_b))
    assert torch.equal(found.fake_a, model.netG_B(b)) and torch.equal(found.cycled_b, model.netG_A(found.fake_a))


@pytest.mark.parametrize("classes", [0, 3])
def test_plain_gan_learns_the_mean_colour_of_its_classes(classes):
    torch.manual_seed(0)
    generator, discriminator = PlainGenerator(8, 8, 8, classes), PlainDiscriminator(8, 8, classes)
    optimisers = [torch.optim.Adam(n.parameters(), 2e-3, (0.5, 0.9)) for n in (discriminator, generator)]
    colours = torch.tensor([[0.6, -0.6, 0.0], [-0.6, 0.6, 0.6], [0.0, 0.5, -0.5]])[: max(classes, 1)]
    soft = torch.nn.functional.softplus
    for _ in range(150):
        y = torch.arange(24) % max(classes, 1)
        labels = y if classes else None
        real = colours[y][:, :, None, None].expand(-1, -1, 8, 8) + 0.1 * torch.randn(24, 3, 8, 8)
        fake = generator(torch.randn(24, 8), labels)
        for optimiser in optimisers:
            if optimiser is optimisers[0]:
                loss = soft(discriminator(fake.detach(), labels)) + soft(-discriminator(real, labels))
            else:
                loss = soft(-discriminator(fake, labels))
            optimiser.zero_grad()
            loss.mean().backward()
            optimiser.step()
    generator.eval()
    y = torch.arange(3 * 16) % max(classes, 1)
    with torch.inference_mode():
        found = generator(torch.randn(48, 8), y if classes else None)
    means = torch.stack([found[y == c].mean((0, 2, 3)) for c in range(max(classes, 1))])
    assert (means - colours).abs().max() < 0.35
    with pytest.raises(ValueError, match="classes"):
        generator(torch.randn(1, 8), None if classes else torch.zeros(1, dtype=torch.long))
