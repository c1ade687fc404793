"""The session: every camera its own past, restarts judged from stamps, frame by frame what the clip network says."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.facts import ModelError, list_models, load_facts
from models.runtime import available
from models.tsm.build import facts_of
from models.tsm.builder import build_tsm
from models.tsm.policy import CachePolicy, Move
from models.tsm.session import TsmSession
from models.tsm.spec import TsmSpec
from tests.tsm.lively import enliven

IMAGE = {"size": [32, 48], "mean": [0.5] * 3, "std": [0.25] * 3, "period_s": 0.1, "fit": "stretch"}
SPEC = TsmSpec("mobilenetv2", "online", 12, width=0.25)
NETWORK = enliven(build_tsm(SPEC, 0))
FACTS = facts_of(SPEC, "tiny", image=IMAGE)
TENTH = 100_000_000  # ns


def session(cameras: int = 1, **settings) -> TsmSession:
    return TsmSession(NETWORK, FACTS, runtime="torch", threads=1, cameras=cameras, **settings)


def frames(count: int, seed: int = 0, size=(32, 48)) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]


def as_clip(pictures: list[np.ndarray]) -> torch.Tensor:
    """What the pictures are to the network: [1, T, 3, H, W]."""
    x = (np.stack(pictures).astype(np.float32) / 255 - 0.5) / 0.25
    return torch.from_numpy(x.transpose(0, 3, 1, 2)[None].copy())


def test_frame_by_frame_it_says_what_the_clip_network_says():
    pictures, one = frames(7), session()
    found = np.stack([one.step(p, i * TENTH).logits for i, p in enumerate(pictures)])
    with torch.inference_mode():
        expected = NETWORK.frame_logits(as_clip(pictures))[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_scores_are_a_softmax_and_the_label_its_best():
    found = session().step(frames(1)[0])
    assert found.scores.dtype == np.float32 and found.scores.shape == (12,)
    assert found.scores.sum() == pytest.approx(1, abs=1e-5) and found.label == found.scores.argmax()


def test_warm_once_no_zero_of_the_start_has_influence():
    one = session()
    warm = [one.step(p).warm for p in frames(13)]
    assert one.warm_after == 11 and warm == [False] * 10 + [True] * 3


@pytest.mark.parametrize("how", ["reset", "gap", "jump_back", "resized", "all"])
def test_a_restart_gives_the_answers_of_a_first_frame(how):
    one, pictures = session(), frames(5)
    first = [one.step(p, i * TENTH) for i, p in enumerate(pictures)]
    assert first[0].move is Move.FIRST and first[1].move is Move.NEXT
    again, start, move = pictures, 5 * TENTH, Move.FIRST
    if how == "reset":
        one.reset("camera")
    elif how == "all":
        one.reset()
    elif how == "gap":
        start, move = 4 * TENTH + 6 * TENTH, Move.GAP
    elif how == "jump_back":
        start, move = 0, Move.JUMP_BACK
    else:
        move = Move.RESIZED
        again = [np.repeat(np.repeat(p, 2, 0), 2, 1) for p in pictures]  # shrinks to the same picture
    second = [one.step(p, start + i * TENTH) for i, p in enumerate(again)]
    assert second[0].move is move
    assert all(np.array_equal(a.logits, b.logits) for a, b in zip(first, second))
    assert not any(found.warm for found in second)


def test_looping_a_recording_gives_the_same_answers_each_loop():
    one, pictures = session(), frames(8)
    loops = [[one.step(p, i * TENTH).scores for i, p in enumerate(pictures)] for _ in range(3)]
    assert all(np.array_equal(a, b) for loop in loops[1:] for a, b in zip(loops[0], loop))


def test_frames_faster_than_in_training_duplicates_and_latecomers_are_held():
    one, pictures = session(), frames(6)
    one.step(pictures[0], 0)
    second = one.step(pictures[1], TENTH)
    for stamp, move in ((TENTH, Move.LATE), (TENTH - 20_000_000, Move.LATE), (TENTH + 50_000_000, Move.EARLY)):
        held = one.step(pictures[2], stamp)
        assert held.move is move and held.move.held and np.array_equal(held.scores, second.scores)
    third = one.step(pictures[3], 2 * TENTH)
    other = session()
    expected = [other.step(p) for p in (pictures[0], pictures[1], pictures[3])][-1]
    assert third.move is Move.NEXT and np.array_equal(third.logits, expected.logits)


def test_a_recording_of_a_few_frames_that_is_looped_starts_again():
    one, pictures = session(), frames(4)
    first = [one.step(p, i * TENTH) for i, p in enumerate(pictures)]
    second = [one.step(p, i * TENTH) for i, p in enumerate(pictures)]
    assert [s.move for s in second] == [Move.LATE, Move.LATE, Move.JUMP_BACK, Move.NEXT]
    assert np.array_equal(second[2].logits, session().step(pictures[2]).logits) and not second[3].warm
    assert np.array_equal(second[1].scores, first[3].scores)


def test_a_dropped_frame_is_no_gap():
    one, pictures = session(), frames(3)
    moves = [one.step(p, stamp).move for p, stamp in zip(pictures, (0, TENTH, 3 * TENTH))]
    assert moves == [Move.FIRST, Move.NEXT, Move.NEXT]


def test_cameras_in_a_batch_say_what_they_say_alone():
    views = {name: frames(5, seed) for seed, name in enumerate(("front", "left", "rear"))}
    many = session(3)
    alone = {name: session() for name in views}
    for i in range(5):
        found = many.step({name: pictures[i] for name, pictures in views.items()}, i * TENTH)
        assert list(found) == list(views)
        for name, pictures in views.items():
            expected = alone[name].step(pictures[i], i * TENTH).logits
            np.testing.assert_allclose(found[name].logits, expected, atol=1e-5 * np.abs(expected).max())


def test_a_camera_that_misses_a_step_or_restarts_leaves_the_others_alone():
    views = {name: frames(6, seed) for seed, name in enumerate(("a", "b"))}
    two, only_a, only_b = session(2), session(), session()
    for i in range(6):
        here = {"a": views["a"][i]} if i == 2 else {name: v[i] for name, v in views.items()}
        if i == 4:
            two.reset("b")
            only_b.reset()
        found = two.step(here, {name: i * TENTH for name in here})
        expected = only_a.step(views["a"][i], i * TENTH).logits
        np.testing.assert_allclose(found["a"].logits, expected, atol=1e-5 * np.abs(expected).max())
        if "b" in here:
            expected = only_b.step(views["b"][i], i * TENTH).logits
            np.testing.assert_allclose(found["b"].logits, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("runtime", [name for name, version in available().items() if version and name != "torch"])
def test_every_runtime_keeps_the_cameras_caches_as_torch_does(runtime):
    """Both cameras, one alone, a reset of one, both again: row by row the answers of torch."""
    views = {name: frames(5, seed) for seed, name in enumerate(("a", "b"))}
    here = TsmSession(NETWORK, FACTS, runtime=runtime, threads=1, cameras=2)
    torchs = session(2)
    within = 1e-4 if here._network.precision == "fp32" else 5e-2
    for i in range(5):
        given = {"b": views["b"][i]} if i == 2 else {name: v[i] for name, v in views.items()}
        if i == 3:
            here.reset("a")
            torchs.reset("a")
        found, expected = here.step(given, i * TENTH), torchs.step(given, i * TENTH)
        for name in given:
            scale = np.abs(expected[name].logits).max()
            np.testing.assert_allclose(found[name].logits, expected[name].logits, rtol=0, atol=within * scale)


def test_explicit_caches_give_the_same_and_leave_the_cameras_alone():
    one, pictures = session(), frames(4)
    expected = [one.step(p) for p in pictures]
    caches, other = one.zero_caches(), session()
    for p, e in zip(pictures, expected):
        found, caches = other.step_caches(p, caches)
        np.testing.assert_allclose(found.logits, e.logits, atol=1e-5 * np.abs(e.logits).max())
    assert other.step(pictures[0]).move is Move.FIRST
    with pytest.raises(ValueError, match="see zero_caches"):
        other.step_caches(pictures[0], caches[1:])


def test_cache_memory_is_that_of_all_cameras():
    assert session(3).cache_bytes == 3 * session().cache_bytes
    assert session().cache_bytes == sum(c.nbytes for c in session().zero_caches()) > 0


def test_history_averages_logits_and_is_forgotten_at_a_restart():
    plain, smooth, pictures = session(), session(history=3), frames(5)
    logits = [plain.step(p).logits for p in pictures]
    found = [smooth.step(p).logits for p in pictures]
    np.testing.assert_allclose(found[4], np.mean(logits[2:5], 0), rtol=1e-5, atol=1e-6)
    smooth.reset()
    np.testing.assert_array_equal(smooth.step(pictures[0]).logits, logits[0])


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((32, 48), np.uint8), np.zeros((32, 48, 4), np.uint8), np.zeros((32, 48, 3), np.float32),
        np.zeros((0, 48, 3), np.uint8), [[1, 2, 3]],
    ],
)  # fmt: skip
def test_wrong_frames_are_one_sentence_and_change_nothing(bad):
    one, pictures = session(2), frames(2)
    one.step({"a": pictures[0]}, 0)
    with pytest.raises(ValueError, match=r"expected uint8 RGB \[H, W, 3\]"):
        one.step({"a": pictures[1], "b": bad}, TENTH)
    other = session()
    expected = [other.step(p).logits for p in pictures][-1]
    np.testing.assert_array_equal(one.step({"a": pictures[1]}, TENTH)["a"].logits, expected)


def test_a_camera_too_many_is_one_sentence():
    one = session()
    one.step({"front": frames(1)[0]})
    with pytest.raises(ValueError, match="'rear' is one more than the session has room for .1; known: front.; open"):
        one.step({"rear": frames(1)[0]})


def test_after_an_error_in_the_network_the_camera_starts_again():
    one, pictures = session(), frames(3)
    first = one.step(pictures[0], 0)
    compiled = one._stream.compiled
    whole, compiled.run = compiled.run, None
    with pytest.raises(TypeError):
        one.step(pictures[1], TENTH)
    compiled.run = whole
    again = one.step(pictures[0], 2 * TENTH)
    assert again.move is Move.FIRST and np.array_equal(again.logits, first.logits)


def test_settings_that_do_not_fit_are_one_sentence():
    for settings, said in (
        ({"cameras": 0}, "cameras is 0: expected 1 or more"),
        ({"history": 0}, "history is 0: expected 1 or more"),
    ):
        with pytest.raises(ModelError, match=said):
            session(**settings)
    with pytest.raises(ModelError, match="runtime 'cuda' is unknown"):
        TsmSession(NETWORK, FACTS, runtime="cuda")
    with pytest.raises(ModelError, match="tiny: `image` in its facts is None"):
        TsmSession(NETWORK, replace(FACTS, image=None), runtime="torch")
    with pytest.raises(ModelError, match="random:spvcnn-lite is a spvcnn network, no video network"):
        TsmSession.from_weights("random:spvcnn-lite")


def test_stamps_are_judged_by_the_period_of_training():
    policy = CachePolicy(0.1)
    judged = {0.1: "next", 0.5: "next", 0.51: "gap", 0.07: "early", 0.0: "late", -0.3: "late", -0.4: "jump_back"}
    for step, move in judged.items():
        assert policy.judge(10**18, 10**18 + round(step * 1e9)) is Move(move), step
    assert policy.judge(None, 5) is Move.FIRST
    free = CachePolicy(0.0)  # unknown period: only order counts
    assert [free.judge(0, s).value for s in (1, 10**12, 0, -(10**8), -(2 * 10**9))] == [
        "next", "next", "late", "late", "jump_back",
    ]  # fmt: skip


def test_two_streams_see_the_flow_of_their_own_camera():
    spec = TsmSpec("mobilenetv2", "none", 12, width=0.25, segments=3, architecture="tsm-two-stream", in_channels=13)
    network = enliven(build_tsm(spec, 0))
    facts = facts_of(spec, "two", image=dict(IMAGE, size=[64, 64]))
    one = TsmSession(network, facts, runtime="torch", threads=1)
    rng = np.random.default_rng(0)
    base = np.kron(rng.integers(0, 256, (12, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    still = [one.step(base[:64, :64]).logits for _ in range(4)][-1]
    one.reset()
    moving = [one.step(base[:64, 4 * i : 64 + 4 * i]).logits for i in (3, 2, 1, 0)][-1]  # ends on the same picture
    assert not np.allclose(still, moving, atol=1e-3)
    with pytest.raises(ValueError, match="sees flow, which caches do not hold"):
        one.step_caches(base[:64, :64], one.zero_caches())


def test_networks_that_look_ahead_stream_as_a_window_of_their_last_frames():
    spec = TsmSpec("mobilenetv2", "none", 12, width=0.25, segments=3, architecture="tsm-i3d")
    network = enliven(build_tsm(spec, 0))
    one, pictures = TsmSession(network, facts_of(spec, "deep", image=IMAGE), "torch", 1), frames(4)
    found = [one.step(p, i * TENTH) for i, p in enumerate(pictures)]
    with torch.inference_mode():
        expected = network(as_clip(pictures[1:]))[0].numpy()
    np.testing.assert_allclose(found[3].logits, expected, atol=1e-5 * np.abs(expected).max())
    assert [f.warm for f in found] == [False, False, True, True]


@pytest.mark.parametrize("name", [n for n in list_models() if load_facts(n).architecture in ("tsm", "tsn", "tsm-lstm")])
def test_every_network_that_is_shipped_for_events_answers(name):
    session = TsmSession.from_weights(name, "torch", threads=1)
    answer = session.step(np.zeros((*session.image.size, 3), np.uint8))
    assert answer.scores.shape == (len(session.facts.classes),) and np.isfinite(answer.scores).all()
