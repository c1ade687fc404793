"""Every runtime gives torch's results, keeps caches, takes other batches, and says clearly what it cannot do."""

import numpy as np
import pytest
import torch
from torch import nn

from models.facts import ModelError
from models.runtime import RUNTIMES, available, candidates, compile_network, describe, native
from models.runtime.agreement import difference
from tests.models.runtime.nets import NAMES, TinyStep, examples

HERE = [name for name, version in available().items() if version]


def torch_results(module, inputs):
    with torch.inference_mode():
        return [t.numpy() for t in module(*inputs)]


@pytest.fixture(scope="module", params=HERE)
def compiled(request):
    module = TinyStep()
    return module, compile_network(module, examples(), request.param, threads=1, precision="fp32", **NAMES)


def test_results_are_torchs(compiled):
    module, network = compiled
    inputs = examples(seed=5)
    found = network(*(i.numpy() for i in inputs))
    assert all(f.dtype == np.float32 for f in found)
    assert difference(found, torch_results(module, inputs)) < 1e-4


@pytest.mark.parametrize("batch", [1, 3, 6])
def test_any_batch_runs_in_the_same_network(compiled, batch):
    module, network = compiled
    inputs = examples(batch, seed=batch)
    found = network(*(i.numpy() for i in inputs))
    assert [f.shape[0] for f in found] == [batch] * 3
    assert difference(found, torch_results(module, inputs)) < 1e-4


def test_results_stay_the_callers(compiled):
    _, network = compiled
    first = network(*(i.numpy() for i in examples(seed=1)))
    kept = [f.copy() for f in first]
    network(*(i.numpy() for i in examples(seed=2)))
    assert all(np.array_equal(a, b) for a, b in zip(first, kept))


def test_results_may_be_the_next_inputs(compiled):
    module, network = compiled
    frames = [examples(seed=s)[0] for s in range(4)]
    _, *ours = examples(seed=9)
    theirs = [c.numpy() for c in ours]
    for frame in frames:
        expected = torch_results(module, (frame, *ours))
        found = network(frame.numpy(), *theirs)
        assert difference(found, expected) < 1e-4
        ours, theirs = [torch.from_numpy(e) for e in expected[1:]], found[1:]


def test_foreign_layouts_and_types_are_taken(compiled):
    module, network = compiled
    inputs = examples(seed=3)
    frame = np.asfortranarray(inputs[0].numpy().astype(np.float64))
    found = network(frame, *(i.numpy() for i in inputs[1:]))
    assert difference(found, torch_results(module, inputs)) < 1e-4


def test_a_stream_is_the_explicit_step_repeated(compiled):
    module, network = compiled
    stream = network.stream(2)
    caches = [torch.zeros(2, c, 12, 20) for c in (1, 2)]
    for s in range(4):
        frame = examples(2, seed=s)[0]
        expected = torch_results(module, (frame, *caches))
        assert difference(stream.step(frame.numpy()), expected[:1]) < 1e-4
        caches = [torch.from_numpy(e) for e in expected[1:]]
        assert difference(stream.caches, expected[1:]) < 1e-4
    assert stream.cache_bytes == 4 * 2 * 3 * 12 * 20


def test_a_stream_forgets_one_row_and_goes_on_from_given_caches(compiled):
    module, network = compiled
    stream = network.stream(2)
    stream.step(examples(2)[0].numpy())
    stream.reset(1)
    assert all(c[0].any() and not c[1].any() for c in stream.caches)
    given = [i.numpy() for i in examples(2, seed=8)[1:]]
    stream.load(given)
    frame = examples(2, seed=4)[0]
    expected = torch_results(module, (frame, *map(torch.from_numpy, given)))
    assert difference(stream.step(frame.numpy()), expected[:1]) < 1e-4
    stream.reset()
    assert not any(c.any() for c in stream.caches)
    with pytest.raises(ValueError, match="caches of shapes"):
        stream.load(given[:1])


def test_rows_of_a_stream_step_apart_and_together(compiled):
    """Rows 0 and 2 step, then 1, then all: every row is the explicit step of its own frames."""
    module, network = compiled
    stream = network.stream(3)
    frames = [examples(3, seed=s)[0] for s in range(4)]
    caches = [[torch.zeros(1, c, 12, 20) for c in (1, 2)] for _ in range(3)]
    for frame, rows in zip(frames, ([2, 0], [1], None, [1, 2, 0])):
        given = frame.numpy().copy()
        for row in set(range(3)) - set(rows or range(3)):
            given[row] = np.nan  # rows that do not step are not read
        (found,) = stream.step(given, rows=rows)
        for row in rows or range(3):
            logits, *caches[row] = module(frame[row : row + 1], *caches[row])
            assert difference([found[row]], [logits[0].detach().numpy()]) < 1e-4
    for i, cache in enumerate(stream.caches):
        assert difference([cache], [torch.cat([caches[row][i] for row in range(3)]).detach().numpy()]) < 1e-4


@pytest.mark.parametrize("rows", [[3], [-1], [0, 0]])
def test_rows_that_do_not_exist_or_come_twice_are_refused(compiled, rows):
    stream = compiled[1].stream(3)
    stream.step(examples(3)[0].numpy())
    before = stream.caches
    with pytest.raises(ValueError, match="expected different rows of 0 to 2"):
        stream.step(examples(3)[0].numpy(), rows=rows)
    with pytest.raises(ValueError, match=r"frame: found arrays of shapes .* expected \(\(3, 3, 12, 20\),\)"):
        stream.step(examples(2)[0].numpy(), rows=[0])
    assert all(np.array_equal(a, b) for a, b in zip(before, stream.caches))


def test_wrong_arrays_are_refused_by_name(compiled):
    _, network = compiled
    frame, first, second = (i.numpy() for i in examples())
    with pytest.raises(ValueError, match="2 arrays, expected 3: frame, cache_in_0, cache_in_1"):
        network(frame, first)
    with pytest.raises(ValueError, match=r"cache_in_0 has shape \(1, 1, 6, 20\), expected Nx1x12x20"):
        network(frame, first[:, :, :6], second)
    with pytest.raises(ValueError, match="batches differ: frame 1, cache_in_0 2"):
        network(frame, np.repeat(first, 2, 0), second)


def test_it_says_what_it_is(compiled):
    _, network = compiled
    assert network.runtime in HERE
    assert "1 threads" in network.describe() and network.precision in network.describe()


def test_torch_leaves_module_and_thread_count_as_they_were():
    module = TinyStep()
    before, weights = torch.get_num_threads(), module.last.weight
    network = compile_network(module, examples(), "torch", threads=before + 1)
    network(*(i.numpy() for i in examples()))
    assert torch.get_num_threads() == before
    assert module.last.weight is weights and weights.requires_grad and weights.is_contiguous()


def test_our_kernels_run_in_bf16_only_where_the_processor_has_it(monkeypatch):
    if not native.level():
        pytest.skip("the dense kernels are not built here")
    here = "bf16" if native.level() == native.AVX512_BF16 else "fp32"
    assert compile_network(TinyStep(), examples(), "native").precision == here
    monkeypatch.setattr(native, "level", lambda: native.AVX2)
    assert compile_network(TinyStep(), examples(), "native").precision == "fp32"
    with pytest.raises(ModelError, match="no AVX-512 BF16 for runtime native: take precision fp32"):
        compile_network(TinyStep(), examples(), "native", precision="bf16")


class Odd(nn.Module):
    """An operation that ONNX does not have."""

    def forward(self, x):
        return torch.linalg.matrix_exp(x)


def test_a_network_that_a_runtime_cannot_run_is_refused_with_the_runtimes_name():
    square = (torch.rand(1, 4, 4),)
    for name in HERE[:-1]:
        with pytest.raises(ModelError, match="native kernels" if name == "native" else f"{name} cannot run Odd"):
            compile_network(Odd(), square, name)


def test_wrong_wishes_are_refused(monkeypatch):
    with pytest.raises(ModelError, match="runtime 'tensorrt' is unknown; known: auto, "):
        compile_network(TinyStep(), examples(), "tensorrt")
    with pytest.raises(ModelError, match="precision 'int4' is unknown"):
        compile_network(TinyStep(), examples(), precision="int4")
    with pytest.raises(ModelError, match="threads is 0"):
        compile_network(TinyStep(), examples(), threads=0)
    with pytest.raises(ModelError, match="2 input names for 3 inputs"):
        compile_network(TinyStep(), examples(), "torch", input_names=["a", "b"])
    monkeypatch.setattr(candidates, "available", lambda: dict.fromkeys(RUNTIMES, ""))
    with pytest.raises(ModelError, match=r"openvino is not installed: pip install 'perception_nodes\[fast\]'"):
        compile_network(TinyStep(), examples(), "openvino")


def test_caches_that_do_not_come_back_are_refused():
    class OnlyState(nn.Module):
        def forward(self, x):
            return x * 2, x * 3

    for count in (1, 2):
        with pytest.raises(ModelError, match=f"{count} caches of a network with inputs input0"):
            compile_network(OnlyState(), (torch.rand(1, 3),), "torch", caches=count)

    class Grows(nn.Module):
        def forward(self, x, cache):
            return x, torch.cat((cache, x), 1)

    with pytest.raises(ModelError, match="equal shapes"):
        compile_network(Grows(), (torch.rand(1, 3), torch.rand(1, 3)), "torch", caches=1)


def test_bf16_is_taken_only_where_the_processor_has_it():
    pytest.importorskip("openvino")
    from models.runtime.openvino_runtime import bf16

    network = compile_network(TinyStep(), examples(), "openvino", threads=1)
    assert network.precision == ("bf16" if bf16() else "fp32")
    if "onnx" in HERE:
        with pytest.raises(ModelError, match="no bf16"):
            compile_network(TinyStep(), examples(), "onnx", precision="bf16")


def test_torch_runs_in_bf16_where_told_to():
    module = TinyStep()
    network = compile_network(module, examples(), "torch", threads=1, precision="bf16")
    found = network(*(i.numpy() for i in examples(seed=2)))
    assert difference(found, torch_results(module, examples(seed=2))) < 5e-2


def test_the_description_names_every_runtime():
    assert all(name in describe() for name in RUNTIMES)


def test_openvino_gets_crops_in_place_of_splits():
    openvino = pytest.importorskip("openvino")
    from models.runtime.graph import to_onnx
    from models.runtime.openvino_runtime import crop_by_padding

    network = compile_network(TinyStep(), examples(), "torch", **NAMES)
    model = openvino.Core().read_model(to_onnx(TinyStep(), examples(), network.signature))
    model.reshape(dict(zip(NAMES["input_names"], ([1, 3, 12, 20], [1, 1, 12, 20], [1, 2, 12, 20]))))
    assert crop_by_padding(model) == 2
    kinds = [node.get_type_name() for node in model.get_ops()]
    assert kinds.count("Pad") == 2
