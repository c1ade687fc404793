"""Editing in latent space: directions, cheap previews, projection, the local page over HTTP, the command."""

import json
import threading
from http.client import HTTPConnection
from urllib.request import urlopen

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from models.facts import ModelError
from models.gan.anycost import AnycostGenerator
from models.gan.build import facts_of
from models.gan.editing import EditSession, find_directions, measured
from models.official import save_model
from perception_nodes.cli import app
from perception_nodes.commands.style import parse
from perception_nodes.commands.style_page import StyleServer
from training.gan.projection import project

NUMBERS = {"resolution": 16, "style_dim": 8, "n_mlp": 2, "channel_multiplier": 0.03125, "channel_max": 32}


@pytest.fixture(scope="module")
def session():
    torch.manual_seed(0)
    network = AnycostGenerator(**NUMBERS)
    return EditSession(network, facts_of("gan-anycost", NUMBERS, "toy"))


@pytest.fixture(scope="module")
def folder(session, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "toy"
    save_model(session.network, session.facts, out)
    return out


def test_directions_change_what_they_are_named_after(session):
    assert list(session.directions)[:4] == ["brightness", "contrast", "warmth", "greenness"]
    changes = []
    for seed in range(8):
        ws = session.random(seed)
        dark, bright = (session.final(ws, {"brightness": v}).mean() for v in (-1.0, 1.0))
        changes.append(bright - dark)
    assert np.mean(changes) > 0
    again = find_directions(session.network)
    assert all(torch.allclose(again[name], session.directions[name], atol=1e-4) for name in again)
    gray = measured(torch.zeros(1, 3, 4, 4))
    red = measured(torch.tensor([1.0, 0.0, -1.0])[None, :, None, None].expand(1, 3, 4, 4))
    assert float(gray["warmth"]) == 0 and float(red["warmth"]) == 2 and float(red["brightness"]) == 0


def test_previews_are_small_and_agree_with_the_full_picture_where_nothing_is_left_out(session):
    ws = session.random(3)
    assert session.preview(ws).shape == (8, 8, 3) and session.final(ws).shape == (16, 16, 3)
    full = EditSession(session.network, session.facts, ratio=1.0, resolution=16)
    assert np.array_equal(full.preview(ws, {"warmth": 1.0}), full.final(ws, {"warmth": 1.0}))
    assert full.consistency(ws) > 100 > session.consistency(ws)


def test_unknown_directions_values_and_models_are_refused_in_one_sentence(session):
    ws = session.random(0)
    with pytest.raises(ModelError, match="direction 'age' is unknown: expected one of brightness"):
        session.preview(ws, {"age": 1.0})
    with pytest.raises(ModelError, match="expected a number between -6 and 6"):
        session.final(ws, {"brightness": float("nan")})
    with pytest.raises(ModelError, match="the latent vectors have shape"):
        session.final(ws[:2])
    with pytest.raises(ModelError, match="expected a gan-anycost generator"):
        EditSession.from_weights("random:gan-tone")
    with pytest.raises(ModelError, match="type NAME=NUMBER"):
        parse(["brightness"])
    assert parse(["component 1=-2"]) == {"component 1": -2.0}


def test_projection_comes_closer_to_a_picture_also_for_sub_networks(session):
    network = session.network
    goal = network.synthesis(session.random(5)[None])[-1][0]
    ws, losses = project(network, goal, steps=40, perceptual=0.0)
    assert losses[-1] < 0.5 * losses[0]
    mean = network.spread(session.mean)
    for channels in (None, network.channels(0.5)):
        with torch.no_grad():
            before, after = (
                (network.synthesis(w, channels)[-1][0] - goal).square().mean() for w in (mean, ws[None])
            )
        assert float(after) < float(before)
    # Sums of float32 may differ in their last bits from call to call (oneDNN), and Adam's first steps follow signs.
    first, second = (project(network, goal, steps=3, perceptual=1.0)[1] for _ in range(2))
    assert first == pytest.approx(second, rel=1e-3)
    with pytest.raises(ValueError, match=r"expected \[3, 16, 16\]"):
        project(network, goal[:, :8])


@pytest.fixture()
def server(session):
    with StyleServer(session, session.random(1)) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield found
        found.shutdown()


def test_the_page_serves_sliders_previews_and_finals(server, session):
    with urlopen(server.address, timeout=20) as answer:
        page = answer.read().decode()
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "oninput" in page and "/directions" in page and '"preview"' in page and '"final"' in page
    found = json.loads(urlopen(server.address + "directions", timeout=20).read())
    assert found["names"] == list(session.directions)
    for kind, side in (("preview", 8), ("final", 16)):
        with urlopen(f"{server.address}{kind}?brightness=1.5&component+1=-1", timeout=20) as answer:
            data, took = answer.read(), float(answer.headers["X-Milliseconds"])
        shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        expected = getattr(session, kind)(server.ws, {"brightness": 1.5, "component 1": -1.0})
        assert shown.shape == (side, side, 3) and np.array_equal(shown, expected) and took > 0


def test_the_page_refuses_other_hosts_and_unfit_requests(server):
    assert server.server_address[0] == "127.0.0.1"

    def ask(path, host="127.0.0.1"):
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    assert ask("/preview?age=1") == (400, ask("/preview?age=1")[1]) and "is unknown" in ask("/preview?age=1")[1]
    assert ask("/preview?brightness=much")[0] == 400 and ask("/else")[0] == 404
    assert ask("/", host="evil.example")[0] == 403


def test_the_command_projects_and_edits(folder, tmp_path):
    picture = tmp_path / "in.png"
    cv2.imwrite(str(picture), np.full((40, 60, 3), 90, np.uint8))
    run = CliRunner()
    latent = tmp_path / "latent.npz"
    command = ["style", "project", str(picture), "--model", str(folder), "--out", str(latent), "--steps", "2"]
    result = run.invoke(app, command)
    assert result.exit_code == 0, result.output
    command = ["style", "edit", "--model", str(folder), "--latent", str(latent), "--set", "brightness=1"]
    result = run.invoke(app, [*command, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0 and "MMAC" in result.output and "dB from the final" in result.output
    assert cv2.imread(str(tmp_path / "out" / "final.png")).shape == (16, 16, 3)
    assert cv2.imread(str(tmp_path / "out" / "preview.png")).shape == (8, 8, 3)
    latent.write_text("nothing")
    result = run.invoke(app, command)
    assert result.exit_code != 0 and isinstance(result.exception, ModelError)
