"""The detector as a session: pixels of the given picture, cameras apart, restarts, streaming equal to the clip."""

import numpy as np
import pytest
import torch

from models.facts import ModelError
from models.tsm.detector_boxes import ImageBoxes, best_boxes, pairwise_iou, suppress
from models.tsm.detector_build import build_network, preset_facts
from models.tsm.detector_session import VideoDetector
from models.tsm.preprocess import ImageFacts, Preprocessor

PERIOD = 200_000_000  # ns


@pytest.fixture(scope="module")
def network():
    torch.set_num_threads(1)
    network = build_network(preset_facts("tsm-detector-lite"), seed=1)
    with torch.no_grad():  # scores of an untrained head lie below every threshold
        network.head.score.bias.zero_()
        network.head.score.weight.mul_(20)
    return network


def opened(network, **options):
    return VideoDetector(network, preset_facts("tsm-detector-lite"), "torch", 1, **options)


@pytest.fixture
def frames():
    rng = np.random.default_rng(4)
    return [rng.integers(0, 256, (120, 300, 3), dtype=np.uint8) for _ in range(4)]


def same(a, b):
    return len(a) == len(b) and np.array_equal(a.box, b.box) and np.array_equal(a.score, b.score)


def test_steps_equal_the_clip_and_boxes_are_in_the_given_pictures_pixels(network, frames):
    detector = opened(network)
    prepare = Preprocessor(ImageFacts.of(preset_facts("tsm-detector-lite").image))
    clip = torch.from_numpy(np.stack([prepare(f) for f in frames]))[None]
    with torch.no_grad():
        logits, codes = network(clip)
    from models.tsm.detector import STRIDES
    from models.tsm.detector_head import decode, places

    boxes = decode(codes, places(192, 384, STRIDES)).numpy()
    for t, frame in enumerate(frames):
        found = detector.step(frame)
        box, label, score = best_boxes(boxes[t], logits[t].sigmoid().numpy())
        box = np.clip(box * np.array([300 / 384, 120 / 192] * 2), 0, [300, 120, 300, 120])
        assert np.allclose(found.box, box, atol=1e-2) and np.array_equal(found.label, label) and len(found)
        assert np.allclose(found.score, score, atol=1e-5)
        assert found.category == tuple(detector.facts.class_names[i] for i in label)
        assert not found.warm  # eight shifted layers look back farther than this


def test_cameras_have_pasts_of_their_own(network, frames):
    alone, together = opened(network), opened(network, cameras=2)
    for i in range(3):
        both = together.step({"left": frames[i], "right": frames[3 - i]})
        assert same(both["left"], alone.step(frames[i]))
    with pytest.raises(ValueError, match="open it with cameras=3"):
        together.step({"rear": frames[0]})


def test_it_starts_again_after_a_gap_a_jump_back_another_size_and_a_reset(network, frames):
    fresh = opened(network).step(frames[1], 0)
    again = {
        "gap": lambda d: d.step(frames[1], 10 * PERIOD),
        "jump": lambda d: d.step(frames[1], -10 * PERIOD),
        "reset": lambda d: (d.reset(), d.step(frames[1], PERIOD))[1],
    }
    for action in again.values():
        detector = opened(network)
        detector.step(frames[0], 0)
        assert same(action(detector), fresh)
    detector = opened(network)
    detector.step(frames[0], 0)
    assert not same(detector.step(frames[1], PERIOD), fresh)
    small = frames[2][:60]
    assert same(detector.step(small, 2 * PERIOD), opened(network).step(small, 0))


def test_frames_faster_than_those_of_training_repeat_the_answer(network, frames):
    detector = opened(network)
    first = detector.step(frames[0], 0)
    held = detector.step(frames[1], PERIOD // 2)
    assert held.box is first.box and held.held and not first.held  # the same answer, and said to be so
    after = detector.step(frames[1], PERIOD)
    assert after.box is not first.box and not after.held


def test_a_short_recording_that_loops_starts_again(network, frames):
    detector, fresh = opened(network), opened(network)
    last = [detector.step(f, i * PERIOD) for i, f in enumerate(frames[:3])][-1]
    assert all(detector.step(frames[0], stamp).box is last.box for stamp in (0, 1))
    assert same(detector.step(frames[0], 2), fresh.step(frames[0], 0))


def test_wrong_pictures_are_refused_and_change_nothing(network, frames):
    detector, other = opened(network), opened(network)
    detector.step(frames[0]), other.step(frames[0])
    for wrong in (frames[0][..., :2], frames[0].astype(np.float32), frames[0][:0]):
        with pytest.raises(ValueError, match="expected uint8 RGB"):
            detector.step(wrong)
    assert same(detector.step(frames[1]), other.step(frames[1]))


def test_another_kind_of_network_is_refused_in_one_sentence():
    with pytest.raises(ModelError, match="no video detector"):
        VideoDetector.from_weights("random:tsn-events")


def test_the_node_opens_it_and_reads_its_answers(frames):
    from perception_nodes.systems.tsm.declaration import open_detector
    from perception_nodes.systems.tsm.video import box_colours

    detector = open_detector("random:tsm-detector-lite", "torch", 1)
    found = detector.step({"front": frames[0]}, {"front": 0})["front"]
    assert found.box.shape == (len(found.score), 4) and len(found.category) == len(found.score)
    assert set(box_colours(detector)) == {"car", "truck", "bus", "two-wheeler", "person"}


def test_suppression_keeps_the_best_of_a_class_and_all_classes():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [20, 0, 30, 10]], np.float32)
    kept = suppress(boxes, np.array([0.5, 0.9, 0.8, 0.1]), np.array([0, 0, 1, 0]))
    assert kept.tolist() == [1, 2, 3]


def test_best_boxes_are_sorted_and_limited():
    boxes = np.stack([np.arange(50) * 20, np.zeros(50), np.arange(50) * 20 + 10, np.full(50, 10)], 1).astype(np.float32)
    scores = np.linspace(0, 1, 50, dtype=np.float32)[:, None]
    _, label, score = best_boxes(boxes, scores, min_score=0.5, most=5)
    assert score.tolist() == sorted(score.tolist(), reverse=True) and len(score) == 5 and not label.any()
    assert len(best_boxes(boxes, scores * 0)[2]) == 0


def test_overlap_of_known_boxes():
    a = np.array([[0, 0, 2, 2], [0, 0, 0, 0]], float)
    b = np.array([[1, 0, 3, 2], [0, 0, 2, 2], [5, 5, 6, 6]], float)
    assert np.allclose(pairwise_iou(a, b), [[1 / 3, 1, 0], [0, 0, 0]])


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="2 categories"):
        ImageBoxes(np.zeros((1, 4), np.float32), np.zeros(1, np.int64), np.zeros(1, np.float32), ("car", "bus"))
