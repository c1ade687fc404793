"""gan: off the driving path, identity at strength 0, settings change without a pause, bad ones get one sentence."""

import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from models.facts import ModelError
from models.gan.build import build_network, facts_of
from models.gan.session import StyleSession
from perception_nodes.bags.reader import BagReader
from perception_nodes.config import ConfigError, build_config
from perception_nodes.messages.image import CameraImage, decode_image
from perception_nodes.systems import gan
from perception_nodes.systems.gan.config import GanConfig
from perception_nodes.systems.gan.styler import StylePicture, Styler
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import SystemRun, find_runs
from tests.nodes.cameras import write_camera_bag

TONE = "random:gan-tone-residual"


class Counted(StyleSession):
    """A style whose pictures are darker by `by`; its step takes `takes` ms on the clock that it reports."""

    def __init__(self, by=40, takes=1.0, network=None):
        facts = facts_of("gan-tone-residual", network or {"width": 8, "blocks": 1}, "dark")
        super().__init__(build_network(facts, seed=0), facts, runtime="torch", threads=1)
        self.by, self.takes, self.prepared, self.settings = by, takes, [], []

    def prepare(self, size, channel_ratio=1.0, resolution=None):
        self.prepared.append((size, channel_ratio, resolution))

    def step(self, rgb):
        self.settings.append((self.channel_ratio, self.resolution))
        self.seconds = 1e-3 * (self.takes(self) if callable(self.takes) else self.takes)
        return np.clip(rgb.astype(int) - round(self.by * self.strength), 0, 255).astype(np.uint8)


def config(**values):
    return build_config(GanConfig, {"style.name": TONE, "model.runtime": "torch", **values})


def picture(settings, level=100, size=(64, 96)):
    rgb = np.full((*size, 3), level, np.uint8)
    return StylePicture(CameraImage(rgb, "camera_front", 5, "rgb8"), b"raw", "sensor_msgs/msg/Image", settings.style)


def styler(session, **values):
    return Styler(config(**values), lambda name, given: session)


def test_a_replay_leaves_it_out_unless_it_is_named(tmp_path):
    with BagReader(write_camera_bag(tmp_path / "bag")) as reader:
        assert "gan" not in [run.system.name for run in find_runs(reader)]
        assert [run.system.name for run in find_runs(reader, ["gan"])] == ["gan"]


def test_strength_0_sends_the_inputs_own_messages(tmp_path):
    bag = write_camera_bag(tmp_path / "bag", frames=3)
    run = SystemRun(
        gan.SYSTEM, {"front": "/camera/front/image/compressed"},
        {"style.name": TONE, "style.strength": 0.0, "model.runtime": "torch"}, every_output=True,
    )  # fmt: skip
    offline(bag, tmp_path / "out", [run])
    with BagReader(bag) as before, BagReader(tmp_path / "out") as after:
        sent = [raw for *_, raw in before.messages()]
        assert [raw for *_, raw in after.messages(["/gan_node/output/image/compressed"])] == sent
        decoded = [decode_image(before.decode(raw, "sensor_msgs/msg/CompressedImage")).rgb for raw in sent]
        for (_, kind, _, raw), rgb in zip(after.messages(["/gan_node/output/image"]), decoded, strict=True):
            assert np.array_equal(decode_image(after.decode(raw, kind)).rgb, rgb)
        rows = [json.loads(after.decode(raw, kind).data) for _, kind, _, raw in after.messages(["/perception/style"])]
    assert [row["style"] for row in rows] == [""] * 3 and rows[0]["frame_id"] == "camera_front"


def test_a_strength_between_mixes_and_says_so():
    work = styler(Counted())
    found = work.step({"front": picture(config(**{"style.strength": 0.5}))}).pictures["front"]
    assert found.rgb[0, 0, 0] == 80 and (found.strength, found.setting, found.style) == (0.5, (1.0, None), TONE)


def test_a_new_resolution_is_prepared_beside_and_then_used():
    session = Counted()
    work = styler(session)
    first, small = config(), config(**{"style.resolution": 32})
    work.step({"front": picture(first)})
    work.step({"front": picture(small)})
    work._preparing[2].result()
    work.step({"front": picture(small)})
    assert session.settings == [(1.0, None), (1.0, None), (1.0, 32)] and session.prepared == [((64, 96), 1.0, 32)]


def test_a_new_style_is_loaded_beside_and_a_bad_one_is_refused_while_the_old_goes_on():
    sessions, gate = {TONE: Counted(40), "random:gan-tone": Counted(90)}, threading.Event()

    def load(name, given):
        if name != TONE:
            gate.wait(10)
        if name == "random:gan-resnet9":
            raise ModelError("its weights are missing")
        return sessions[name]

    work = Styler(config(), load)
    other = config(**{"style.name": "random:gan-tone"})
    assert work.step({"front": picture(other)}).pictures["front"].style == TONE
    gate.set()
    work._coming[1].result()
    assert work.step({"front": picture(other)}).pictures["front"].rgb[0, 0, 0] == 10
    bad = config(**{"style.name": "random:gan-resnet9"})
    work.step({"front": picture(bad)})
    work._coming[1].exception()
    result = work.step({"front": picture(bad)})
    assert result.pictures["front"].style == "random:gan-tone"
    assert [note.sentence for note in result.notes] == [
        "style random:gan-resnet9 is not used, random:gan-tone goes on: its weights are missing"
    ]


def test_a_setting_that_the_style_does_not_have_is_refused_in_one_sentence():
    work = styler(Counted())
    work.step({"front": picture(config())})
    result = work.step({"front": picture(config(**{"style.channel_ratio": 0.5}))})
    assert "has one width only; leave it at 1; the settings before go on" in result.notes[0].sentence
    assert result.pictures["front"].setting == (1.0, None)
    with pytest.raises(ModelError, match="has one width only"):
        styler(Counted(), **{"style.channel_ratio": 0.5})


def run_with_budget(takes, budget, frames=60, **values):
    session = Counted(takes=takes)
    work = styler(session)
    wanted, notes, styles = config(**{"style.budget_ms": budget, **values}), [], []
    for _ in range(frames):
        result = work.step({"front": picture(wanted, size=(256, 352))})
        notes += result.notes
        styles.append(result.pictures["front"].style)
        if work._preparing is not None:
            work._preparing[2].result()
    return session, notes, styles


def test_a_budget_lowers_the_resolution_until_the_steps_keep_it():
    def cost(session):
        return 40.0 * ((session.resolution or 256) / 256) ** 2

    session, notes, styles = run_with_budget(cost, 15.0)
    assert session.settings[-1] == (1.0, 128) and notes == [] and set(styles) == {TONE}


def test_a_budget_that_nothing_keeps_is_said_and_the_original_is_sent_only_where_asked_for():
    session, notes, styles = run_with_budget(5.0, 1.0)
    assert session.settings[-1] == (1.0, 0) and set(styles) == {TONE}
    assert notes[0].sentence == (
        f"no setting of style {TONE} keeps 1 ms: the cheapest takes 5.0 ms; the cheapest setting goes on. "
        "Set style.budget_ms to 6 or more, or 0"
    )
    _, notes, styles = run_with_budget(5.0, 1.0, **{"style.over_budget": "original"})
    assert styles[-1] == "" and "original pictures are sent" in notes[0].sentence


def test_an_unknown_style_is_refused_with_those_that_are_there():
    with pytest.raises(ConfigError, match="no style 'snow': trained styles are .*night"):
        build_config(GanConfig, {"style.name": "snow"})


def test_pictures_of_one_style_are_drawn_with_a_warning_where_it_is_untrained():
    from perception_nodes.systems.gan.outputs import encode_comparison

    work = styler(Counted())
    shown = picture(config())
    result = work.step({"front": shown})
    answer = SimpleNamespace(
        result=result, moment=SimpleNamespace(values={"front": shown}), stream="front", session=work, config=config()
    )
    rgb = decode_image(SimpleNamespace(**encode_comparison(answer) | {"header": HEADER})).rgb.astype(int)
    assert rgb.shape == (64 + 26, 2 * 96 + 8, 3) and (rgb[..., 0] - rgb[..., 1] > 80).any()


HEADER = SimpleNamespace(frame_id="camera_front", stamp=SimpleNamespace(sec=0, nanosec=5))
