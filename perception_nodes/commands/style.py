"""`perception style …`: put a picture into a generator's latent space, and edit it there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.errors import ModelError
from perception_nodes.children import until_interrupted
from perception_nodes.commands.words import say_next

if TYPE_CHECKING:
    from torch import Tensor

    from models.gan.editing import EditSession


def project(picture: Path, model: str, out: Path, steps: int) -> None:
    """Writes the latent vectors of a picture as `out` (.npz) and the generator's picture of them beside it. Raises
    ModelError for a picture that cannot be read or another kind of model."""
    import torch

    from models.gan.editing import EditSession
    from training.gan.picture_files import fitted, read_picture
    from training.gan.projection import project as find

    session = EditSession.from_weights(model)
    side = session.network.resolution
    target = fitted(read_picture(picture), side, side).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
    ws, losses = find(session.network, torch.from_numpy(np.ascontiguousarray(target)), steps, show=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as file:
        np.savez(file, w=ws.numpy(), sha256=np.array(session.facts.sha256))
    _write(out.with_suffix(".png"), session.final(ws))
    print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}; {_told(session, ws, {})}; wrote {out}, {out.with_suffix('.png')}")
    say_next("style", "edit", "--model", model, "--latent", out, "--page")


def edit(model: str, latent: Path | None, seed: int, values: list[str], out: Path, page: bool, port: int) -> None:
    """Writes preview.png and final.png of an edited picture into `out`, or serves the page until Ctrl-C."""
    from models.gan.editing import EditSession

    session = EditSession.from_weights(model)
    ws = _latent(session, latent) if latent else session.random(seed)
    if page:
        return _serve(session, ws, port)
    edits = parse(values)
    previewed, final = session.preview(ws, edits), session.final(ws, edits)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "preview.png", previewed)
    _write(out / "final.png", final)
    print(f"{_told(session, ws, edits)}; wrote {out / 'preview.png'}, {out / 'final.png'}")
    print(f"directions: {', '.join(session.directions)}")
    return None


def parse(values: list[str]) -> dict[str, float]:
    """{"brightness": 1.5} of ["brightness=1.5"]. ModelError for other text."""
    found = {}
    for text in values:
        name, _, value = text.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            name = ""
        if not name:
            raise ModelError(f"--set {text} is not readable: type NAME=NUMBER, for example brightness=1.5")
    return found


def _latent(session: EditSession, path: Path) -> Tensor:
    import torch

    try:
        with np.load(path, allow_pickle=False) as file:
            w, sha256 = file["w"], str(file["sha256"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ModelError(f"{path} holds no latent vectors ({error}); make it with `perception style project`") from None
    if sha256 != session.facts.sha256:
        raise ModelError(f"{path} was projected with other weights than {session.facts.name}'s: project it again")
    return torch.from_numpy(np.asarray(w, np.float32))


def _told(session: EditSession, ws: Any, edits: dict[str, float]) -> str:
    from models.gan.macs import count_macs

    given, network = ws[None], session.network
    full, cheap = (
        count_macs(network, given, input_is_w=True, **o).true / 1e6
        for o in ({}, {"channels": session.channels, "resolution": session.resolution})
    )
    return f"preview {cheap:.0f} of {full:.0f} MMAC, {session.consistency(ws, edits):.1f} dB from the final picture"


def _serve(session: EditSession, ws: Tensor, port: int) -> None:
    from perception_nodes.commands.style_page import StyleServer

    try:
        server = StyleServer(session, ws, port)
    except OSError as error:
        raise ModelError(f"port {port} cannot be used ({error}); give another: --port 0 takes a free one") from None
    print(f"{server.address} (Ctrl-C ends it)", flush=True)
    with server:
        with until_interrupted():
            server.serve_forever()
        print()


def _write(path: Path, rgb: Any) -> None:
    import cv2

    cv2.imwrite(str(path), rgb[:, :, ::-1])
