"""Exported files hold the network: torch's results, open batch, caches that can be fed back, facts beside them."""

import numpy as np
import pytest
import torch
import yaml

from models.facts import ModelError
from models.runtime import available
from models.runtime.agreement import difference
from models.tsm import export
from models.tsm.build import facts_of
from models.tsm.builder import build_tsm
from models.tsm.spec import TsmSpec
from models.tsm.steps import step_network

IMAGE = {"size": [32, 48], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "period_s": 0.2, "fit": "stretch"}
FORMS = [form for form, package in (("onnx", "onnx"), ("openvino", "openvino")) if available()[package]]


def small(mode="online", architecture="tsm"):
    spec = TsmSpec("mobilenetv2", mode, 3, segments=2, width=0.25, architecture=architecture)
    network = build_tsm(spec, seed=3)
    return network, facts_of(spec, f"small-{mode}", ["none", "left", "right"], IMAGE)


def open_file(path):
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()]
        return (lambda arrays: session.run(None, dict(zip(names[0], arrays)))), names
    import openvino

    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = [i.get_any_name() for i in model.inputs], [o.get_any_name() for o in model.outputs]
    return (lambda arrays: list(model(arrays).to_tuple())), names


@pytest.fixture(scope="module", params=FORMS)
def exported(request, tmp_path_factory):
    network, facts = small()
    folder = tmp_path_factory.mktemp(request.param)
    return network, folder, export.export_video(network, facts, request.param, folder)


def test_step_and_clip_are_written_with_their_facts(exported):
    network, folder, written = exported
    assert [e.part for e in written] == ["step", "clip"]
    assert all(e.path.is_file() and e.difference < 1e-4 for e in written)
    told = yaml.safe_load((folder / "small-online.yaml").read_text())
    assert told["classes"] == ["none", "left", "right"] and told["image"] == IMAGE and not told["trained"]
    step = told["files"]["step"]
    assert step["file"] == written[0].path.name and step["inputs"]["frame"] == ["N", 3, 32, 48]
    shapes = [list(s) for s in step_network(network).cache_shapes(32, 48)]
    assert [step["inputs"][name][1:] for name in step["caches"]] == shapes
    assert set(step["caches"].values()) == set(step["outputs"][1:])


def test_a_stream_through_the_step_file_is_the_clip_network_frame_by_frame(exported):
    network, _, written = exported
    run, (inputs, outputs) = open_file(written[0].path)
    clip = torch.randn(2, 4, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = network.frame_logits(clip).numpy()
    caches = [np.zeros((2, *s), np.float32) for s in step_network(network).cache_shapes(32, 48)]
    assert inputs == ["frame", *(f"cache_in_{i}" for i in range(len(caches)))]
    assert outputs == ["logits", *(f"cache_out_{i}" for i in range(len(caches)))]
    for t in range(4):
        logits, *caches = run([clip[:, t].numpy(), *caches])
        assert difference([logits], [expected[:, t]]) < 1e-4


def test_the_clip_file_is_the_clip_network(exported):
    network, _, written = exported
    run, (inputs, outputs) = open_file(written[1].path)
    assert (inputs, outputs) == (["clip"], ["logits"])
    clip = torch.randn(3, 2, 3, 32, 48, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = network(clip).numpy()
    assert difference(run([clip.numpy()]), [expected]) < 1e-4


@pytest.mark.skipif("onnx" not in FORMS, reason="ONNX Runtime is not installed")
def test_networks_that_look_ahead_are_exported_with_a_window(tmp_path):
    network, facts = small("offline")
    written = export.export_video(network, facts, "onnx", tmp_path)
    run, (inputs, _) = open_file(written[0].path)
    assert inputs == ["frame", "cache_in_0"]
    clip = torch.randn(1, 2, 3, 32, 48, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        expected = network(clip).numpy()
    logits, _ = run([clip[:, 1].numpy(), clip[:, 0].numpy()])
    assert difference([logits], [expected]) < 1e-4


def test_what_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    network, facts = small()
    with pytest.raises(ModelError, match="format 'tensorrt' is unknown; known: onnx, openvino"):
        export.export_video(network, facts, "tensorrt", tmp_path)
    with pytest.raises(ModelError, match="only video networks can be exported"):
        export.export_video(torch.nn.Linear(1, 1), facts, "onnx", tmp_path)
    monkeypatch.setitem(export.FORMATS, "onnx", (".onnx", "no_such_package"))
    with pytest.raises(ModelError, match=r"need no_such_package, which is not installed: pip install '.*\[fast\]'"):
        export.export_video(network, facts, "onnx", tmp_path)


@pytest.mark.skipif("onnx" not in FORMS, reason="ONNX Runtime is not installed")
def test_a_file_that_is_not_torchs_is_not_kept(tmp_path, monkeypatch):
    network, facts = small()
    monkeypatch.setattr(export, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(ModelError, match="was removed: its results differ from torch's by"):
        export.export_video(network, facts, "onnx", tmp_path)
    assert not list(tmp_path.glob("*.onnx"))
