"""Our kernels against torch, layer by layer in odd sizes; what they have no layer for is refused by name."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.runtime import arrange, native
from models.runtime.agreement import difference
from models.runtime.compiled import Signature
from models.runtime.lower import Unsupported, lower
from models.runtime.native_runtime import NativeCompiled
from tests.models.runtime.nets import TinyStep, examples

pytestmark = pytest.mark.skipif(not native.level(), reason="the dense kernels are not built here")


class Layers(nn.Module):
    """Every layer that the kernels have; `k`, `stride` and `same` are those of its middle."""

    def __init__(self, k=3, stride=1, same=False, channels=20):
        super().__init__()
        self.k, self.stride, self.same = k, stride, same
        self.stem = nn.Conv2d(3, channels, 7, 2, 3, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.pool = nn.MaxPool2d(3, 2, 1)
        pad = 0 if same else k // 2
        self.depthwise = nn.Conv2d(channels, channels, k, stride, pad, groups=channels)
        self.dense = nn.Conv2d(channels, channels, k, stride, pad)
        self.side = nn.Conv2d(channels, channels, 1, 1)
        self.classifier = nn.Linear(channels, 7)

    def forward(self, x):
        x = self.pool(torch.relu(self.norm(self.stem(x))))
        y = F.pad(x, (1, self.k - 2, 0, self.k - 1)) if self.same else x
        z = F.relu6(self.depthwise(y))
        z = torch.relu(self.side(z) + self.dense(y))  # the later convolution takes the sum
        return self.classifier(z.mean((2, 3)))


WITHIN = {"fp32": 2e-5, "bf16": 2e-2}  # of torch's results in float, over the largest of them


def compiled(module, inputs, threads, precision):
    """Straight from our kernels, so that bf16 runs on any processor: in plain C where it has no instructions for it."""
    names = [f"i{i}" for i in range(len(inputs))]
    with torch.inference_mode():
        outputs = module.eval()(*inputs)
    many = 1 if isinstance(outputs, torch.Tensor) else len(outputs)
    signature = Signature(
        tuple(names), tuple(f"o{i}" for i in range(many)), tuple(tuple(i.shape) for i in inputs), len(inputs) - 1
    )
    return NativeCompiled(module, inputs, signature, threads, precision)


def check(module, inputs, threads=1, precision="fp32"):
    network = compiled(module, inputs, threads, precision)
    with torch.inference_mode():
        expected = module(*inputs)
    expected = [expected] if isinstance(expected, torch.Tensor) else expected
    found = network(*(i.numpy() for i in inputs))
    assert difference(found, [e.numpy() for e in expected]) < WITHIN[precision]
    return found


@pytest.fixture(params=["fp32", "bf16", "bf16 in plain C"])
def precision(request, monkeypatch):
    if request.param == "bf16" and native.level() != native.AVX512_BF16:
        pytest.skip("this processor has no AVX-512 BF16")
    if request.param == "bf16 in plain C":
        monkeypatch.setattr(native, "level", lambda: native.PLAIN)
    return request.param.split()[0]


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("same", [False, True])
def test_layers_are_torchs(k, stride, same, precision):
    torch.manual_seed(0)
    check(Layers(k, stride, same), (torch.randn(2, 3, 61, 83),), precision=precision)


@pytest.mark.parametrize("channels", [8, 17, 33, 50])
def test_any_number_of_channels(channels, precision):
    torch.manual_seed(channels)
    check(Layers(channels=channels), (torch.randn(1, 3, 40, 36),), precision=precision)


class Tiles(nn.Module):
    """3 x 3 convolutions that run in tiles, one with a residual."""

    def __init__(self):
        super().__init__()
        self.stem, self.first, self.second = nn.Conv2d(3, 32, 1), nn.Conv2d(32, 48, 3), nn.Conv2d(48, 48, 3, 1, 1)

    def forward(self, x):
        y = torch.relu(self.first(self.stem(x)))
        return torch.relu(y + self.second(y))


@pytest.mark.parametrize("size", [(3, 3), (4, 7), (17, 12), (40, 41)])
@pytest.mark.parametrize("threads", [1, 2])
def test_tiles_are_torchs(size, threads, precision):
    torch.manual_seed(2)
    check(Tiles(), (torch.randn(2, 3, *size),), threads, precision)


class Inverted(nn.Module):
    """An inverted residual block behind a shift, after a stem that runs as one with the layers behind it."""

    def __init__(self, k, stride, channels=20, size=(37, 30)):
        super().__init__()
        self.shape, self.stride = (5, size[0], size[1]), stride
        self.stem = nn.Conv2d(3, 40, 3, 2, 1)
        self.spread, self.narrow = nn.Conv2d(40, 40, 3, 1, 1, groups=40), nn.Conv2d(40, channels, 1)
        self.expand = nn.Conv2d(channels, 50, 1)
        self.depthwise = nn.Conv2d(50, 50, k, stride, k // 2, groups=50)
        self.project = nn.Conv2d(50, channels, 1)

    def forward(self, frame, cache):
        x = self.narrow(F.relu6(self.spread(torch.relu(self.stem(frame)))))
        y = F.relu6(self.expand(torch.cat([cache, x[:, 5:]], 1)))
        y = self.project(F.relu6(self.depthwise(y)))
        return (x + y if self.stride == 1 else y), x[:, :5]


@pytest.mark.parametrize("k", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(37, 30), (20, 9), (2, 1)])
def test_blocks_that_run_as_one_are_torchs(k, stride, size, precision, monkeypatch):
    monkeypatch.setattr(arrange, "FUSED_BYTES", 0)
    torch.manual_seed(3)
    module = Inverted(k, stride, size=size)
    inputs = (torch.randn(2, 3, 2 * size[0], 2 * size[1]), torch.randn(2, 5, *size))
    monkeypatch.setattr(arrange, "MOST_TWICE", 1e9)
    assert arrange.fused(lower(module, inputs), 3, native.layout(precision)) == {0: 2, 3: 5}
    one, three = check(module, inputs, 1, precision), check(module, inputs, 3, precision)
    assert all(np.array_equal(a, b) for a, b in zip(one, three))
    monkeypatch.setattr(arrange, "FUSED_BYTES", 1 << 40)
    assert all(np.array_equal(a, b) for a, b in zip(one, check(module, inputs, 1, precision)))


def test_blocks_run_as_one_only_where_every_thread_gets_a_part(monkeypatch):
    monkeypatch.setattr(arrange, "FUSED_BYTES", 0)
    module = Inverted(5, 1, size=(56, 56))
    lowered = lower(module, (torch.randn(1, 3, 112, 112), torch.randn(1, 5, 56, 56)))
    assert [arrange.strip(lowered.layers[i], 2) for i in (1, 4)] == [14, 28]
    assert [arrange.fused(lowered, threads, native.FP32) for threads in (1, 2)] == [{0: 2, 3: 5}] * 2
    assert arrange.fused(lowered, 8, native.FP32) == {}


def test_large_depthwise_kernels_are_refused():
    with pytest.raises(Unsupported, match="17"):
        lower(nn.Conv2d(8, 8, 17, groups=8).eval(), (torch.rand(1, 8, 20, 20),))


def test_threads_do_not_change_a_bit(precision):
    torch.manual_seed(1)
    module, inputs = Layers(), (torch.randn(1, 3, 96, 96),)
    (one,), (three,) = check(module, inputs, 1, precision), check(module, inputs, 3, precision)
    assert np.array_equal(one, three)


def test_a_shift_of_odd_channels_and_its_caches(precision):
    """Five channels from the cache and fifteen from the frame: pairs of bf16 end inside a row."""
    torch.manual_seed(4)
    module, frames = Inverted(3, 1, size=(9, 11)), torch.randn(3, 1, 3, 18, 22)
    network = compiled(module, (frames[0], torch.zeros(1, 5, 9, 11)), 2, precision)
    stream, cache = network.stream(), torch.zeros(1, 5, 9, 11)
    for frame in frames:
        with torch.inference_mode():
            expected, cache = module(frame, cache)
        (found,) = stream.step(frame.numpy())
        assert difference([found, *stream.caches], [expected.numpy(), cache.numpy()]) < WITHIN[precision]
    again = network.stream()
    again.load(stream.caches)
    assert np.array_equal(again.step(frames[0].numpy())[0], stream.step(frames[0].numpy())[0])


def test_rows_that_step_alone_are_the_rows_that_step_together(precision):
    torch.manual_seed(4)
    module, frames = Inverted(3, 1, size=(9, 11)), torch.randn(4, 3, 3, 18, 22).numpy()
    network = compiled(module, (torch.zeros(1, 3, 18, 22), torch.zeros(1, 5, 9, 11)), 1, precision)
    together, alone = network.stream(3), network.stream(3)
    for frame in frames:
        expected = together.step(frame)[0].copy()
        for row in (1, 0, 2):
            assert np.array_equal(alone.step(frame, rows=[row])[0][row], expected[row])
    assert all(np.array_equal(a, b) for a, b in zip(together.caches, alone.caches))


def test_bf16_is_rounded_to_the_nearest_even():
    exact = np.array([1.0, -2.5, 0.0, np.inf, -np.inf, 1 + 2**-7], np.float32)
    assert np.array_equal(native.from_bf16(native.to_bf16(exact)), exact)
    ties = np.array([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20], np.float32)
    assert native.from_bf16(native.to_bf16(ties)).tolist() == [1.0, 1 + 2**-6, 1 + 2**-7]
    assert np.isnan(native.from_bf16(native.to_bf16(np.array([np.nan], np.float32)))).all()


def test_the_shift_is_no_layer():
    """A convolution behind a shift reads its first channels from the cache: there is nothing in between."""
    lowered = lower(TinyStep(), examples())
    assert [layer.kind for layer in lowered.layers] == [
        "convolve", "convolve", "depthwise", "convolve", "convolve", "mean", "convolve",
    ]  # fmt: skip
    expand, last = lowered.layers[1], lowered.layers[4]
    assert [v.channels for v in expand.inputs] == [1, 7] and expand.inputs[0].rows is lowered.inputs[1]
    assert [v.channels for v in last.inputs] == [2, 6] and last.inputs[0].rows is lowered.inputs[2]
    assert lowered.layers[3].residual is lowered.layers[0].out


class Sigmoid(nn.Module):
    def forward(self, x):
        return torch.sigmoid(x)


class Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1, groups=2)

    def forward(self, x):
        return self.conv(x)


class SumOfInputs(nn.Module):
    def forward(self, x):
        return x + x


@pytest.mark.parametrize(
    ("module", "said"),
    [(Sigmoid(), "aten::sigmoid"), (Grouped(), "grouped"), (SumOfInputs(), "add to the result of a convolution only")],
)
def test_what_has_no_layer_is_named(module, said):
    with pytest.raises(Unsupported, match=said):
        lower(module, (torch.rand(1, 4, 8, 8),))


def test_clips_go_to_another_runtime():
    with pytest.raises(Unsupported, match="frames"):
        lower(nn.Conv3d(3, 4, 1), (torch.rand(1, 3, 2, 8, 8),))
