"""The video detector: frame by frame equals the clip, its twin has the same parameters, boxes are read as written."""

import pytest
import torch

from models.facts import ModelError, load_network
from models.tsm.detector import DetectorSpec, DetectorStep, TsmDetector
from models.tsm.detector_build import PRESETS, build_network, facts_of, preset_facts
from models.tsm.detector_head import decode, places

HEIGHT, WIDTH = 64, 96


@pytest.fixture(scope="module")
def detector():
    torch.set_num_threads(1)
    return build_network(preset_facts("tsm-detector-lite"), seed=1)


@pytest.fixture(scope="module")
def clip():
    return torch.rand((2, 4, 3, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(3)) * 2 - 1


@torch.no_grad()
def test_streaming_equals_the_clip_frame_by_frame(detector, clip):
    logits, codes = detector(clip)
    logits, codes = logits.unflatten(0, (2, 4)), codes.unflatten(0, (2, 4))
    caches = detector.zero_caches(HEIGHT, WIDTH, batch=2)
    for t in range(4):
        a, b, caches = detector.step(clip[:, t], caches)
        assert torch.allclose(a, logits[:, t], atol=1e-5) and torch.allclose(b, codes[:, t], atol=1e-5)


@torch.no_grad()
def test_the_past_matters_with_shift_and_not_without(clip):
    for name, differs in (("tsm-detector-lite", True), ("tsn-detector-lite", False)):
        network = build_network(preset_facts(name), seed=1)
        changed = clip.clone()
        changed[:, 0] = -changed[:, 0]
        a, b = network(clip)[1].unflatten(0, (2, 4))[:, 1], network(changed)[1].unflatten(0, (2, 4))[:, 1]
        assert (not torch.allclose(a, b, atol=1e-6)) == differs
        future = clip.clone()
        future[:, 3] = 0
        first = [network(c)[1].unflatten(0, (2, 4))[:, :3] for c in (clip, future)]
        assert torch.equal(*first)


def test_the_twins_have_the_same_parameters_and_caches_only_with_shift(detector):
    twin = build_network(preset_facts("tsn-detector-lite"), seed=1)
    own = {k.replace(".net.", "."): v for k, v in detector.state_dict().items()}
    assert own.keys() == twin.state_dict().keys()
    assert all(torch.equal(own[k], v) for k, v in twin.state_dict().items())
    assert twin.cache_shapes(HEIGHT, WIDTH) == []
    shapes = detector.cache_shapes(192, 384)
    assert detector.depth == len(shapes) == 8 and shapes[0] == (5, 24, 48) and shapes[-1] == (24, 6, 12)


@torch.no_grad()
def test_folded_batch_norms_compute_what_they_did_before(clip):
    from models.tsm.builder import build_backbone
    from models.tsm.shift import ClipTime
    from models.tsm.spec import TsmSpec

    torch.manual_seed(5)
    plain = build_backbone(TsmSpec("efficientnet-lite0", "none", architecture="tsn")).eval()
    for module in plain.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2.0)
            module.weight.uniform_(0.5, 1.5)
    detector = TsmDetector(DetectorSpec(mode="none"), plain.state_dict()).eval()
    frames = clip.flatten(0, 1)
    expected = plain.stages(frames, ClipTime(1))
    found = detector.backbone.stages(detector.early(frames), ClipTime(1), 4)
    for a, b in zip(expected, found):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-3 * float(a.abs().max()))


@torch.no_grad()
def test_the_step_for_runtimes_gives_scores_and_decoded_boxes(detector, clip):
    step = DetectorStep(detector, HEIGHT, WIDTH)
    caches = detector.zero_caches(HEIGHT, WIDTH)
    frame = clip[:1, 0]
    scores, boxes, *kept = step(frame, *caches)
    logits, codes, expected = detector.step(frame, caches)
    assert torch.equal(scores, logits.sigmoid()) and len(kept) == len(expected)
    assert torch.equal(boxes, decode(codes, places(HEIGHT, WIDTH, (8, 16, 32))))


def test_places_lie_in_the_middle_of_their_cells_level_by_level():
    where = places(64, 96, (8, 16, 32))
    assert len(where) == 8 * 12 + 4 * 6 + 2 * 3
    assert where[0].tolist() == [4, 4, 8] and where[13].tolist() == [12, 12, 8]
    assert where[96].tolist() == [8, 8, 16] and where[-1].tolist() == [80, 48, 32]


def test_codes_are_centre_offsets_and_log_sizes_in_strides():
    where = torch.tensor([[20.0, 12.0, 8.0]])
    code = torch.tensor([[0.5, -1.0, torch.tensor(2.0).log(), torch.tensor(3.0).log()]])
    assert torch.allclose(decode(code, where), torch.tensor([[16.0, -8.0, 32.0, 16.0]]))
    assert torch.isfinite(decode(torch.full((1, 4), 1e9), where)).all()


def test_wrong_numbers_and_shapes_are_refused_with_what_to_do(detector):
    with pytest.raises(ModelError, match="known: efficientnet-lite0"):
        DetectorSpec(backbone="resnet50")
    with pytest.raises(ModelError, match="looks at no future"):
        DetectorSpec(mode="offline")
    with pytest.raises(ModelError, match="expected a whole number"):
        DetectorSpec(width=0)
    with pytest.raises(ModelError, match="5"):
        facts_of(DetectorSpec(num_classes=7), "seven")
    with pytest.raises(ValueError, match=r"expected \[N, T, 3, H, W\]"):
        detector(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="multiples of 32"):
        detector(torch.zeros(1, 1, 3, 60, 64))
    with pytest.raises(ValueError, match="zero_caches"):
        detector.step(torch.zeros(1, 3, 64, 64), ())


def test_presets_load_by_name():
    network, facts = load_network("random:tsm-detector-lite")
    assert facts.class_names == ("car", "truck", "bus", "two-wheeler", "person") and not facts.trained
    assert network.spec == PRESETS["tsm-detector-lite"] and facts.image["size"] == [192, 384]
