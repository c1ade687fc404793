"""Scores styles on held-out worlds and on real pictures, and releases checkpoints.

    python -m training.gan.style_evaluate runs/style_run/style-night.checkpoint.safetensors --pairs runs/style \\
        --real ../shared/data/pandaset_002

A checkpoint's averaged weights are first written to `--out`/<name>. The pictures are restyled by the session that the
node runs. metrics.json, CARD.md and sheet.jpg (pictures of the world only) go beside the weights; `--look FOLDER` gets
a sheet of the real pictures, which are never committed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.facts import WEIGHTS, ModelError, ModelFacts
from models.gan.macs import count_macs
from models.gan.session import StyleSession
from models.gan.styles import PREFIX
from perception_nodes.datasets.picture_file import read_picture
from perception_nodes.simulator.drive import Drive
from perception_nodes.simulator.scenarios import random_scenario
from perception_nodes.viewer.pictures import save, side_by_side, stacked
from training.common.config_files import merged
from training.common.progress import Progress
from training.common.release import Release, provenance, publish
from training.common.seeds import SPLITS
from training.gan.features import LiteFeatures
from training.gan.pairs import HEIGHT, SOURCE, STYLES, WIDTH, Pairs, conditions_of
from training.gan.scores import flicker, paired_scores, set_scores
from training.gan.style import StyleConfig, network_facts
from training.gan.style_card import card

Rgb = NDArray[np.uint8]
DATA = (
    "exact pairs of the embedded driving world (training/gan/pairs.py): the same moment in clear daylight and in the "
    "style, seeds 0 to 899999, 320 x 180 px; no real picture."
)
STREAM_S, SHEET_ROWS, REAL_HEIGHT = 2.0, 5, 270
REAL_LIMIT = 120  # pictures


def facts_of(name: str, notes: dict[str, Any]) -> ModelFacts:
    """Facts of a checkpoint's network, from the config that it was trained with."""
    given = notes.get("config", {})
    config = merged(StyleConfig(), {k: given[k] for k in ("width", "blocks") if k in given}, name)
    return network_facts(config, name.removeprefix(PREFIX))


RELEASE = Release(
    [PREFIX + style for style in STYLES], facts_of, DATA, lambda notes: {"worlds": notes.get("worlds", "not recorded")}
)


def batch(pictures: list[Rgb]) -> Tensor:
    """uint8 [N, 3, H, W]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def score(session: StyleSession, style: str, pairs: Pairs, features: LiteFeatures) -> tuple[dict[str, Any], list[Rgb]]:
    """(scores of the unchanged pictures, of the tone step alone and of the whole style; rows of the sheet)."""
    bar = Progress(f"{PREFIX}{style}", 3 * len(pairs))
    source = [pairs.picture(i) for i in range(len(pairs))]
    target = [pairs.picture(i, style) for i in range(len(pairs))]
    made: dict[str, list[Rgb]] = {"unchanged": source}
    for name, resolution in (("tone_only", 0), ("style", None)):
        session.set(1.0, resolution=resolution)
        made[name] = []
        for picture in source:
            made[name].append(session.step(picture))
            bar.step()
    truth = batch(target)
    scores = {}
    for name, pictures in made.items():
        scores[name] = paired_scores(features, batch(pictures), truth) | set_scores(features, truth, batch(pictures))
    bar.step(len(pairs))
    chosen = np.linspace(0, len(pairs) - 1, SHEET_ROWS).astype(int)
    rows = [
        side_by_side(
            [("clear day", source[i]), (f"{style}, restyled", made["style"][i]), (f"{style}, true", target[i])]
        )
        for i in chosen
    ]
    return scores, rows


def stream_flicker(session: StyleSession, style: str) -> dict[str, float]:
    """flicker of a held-out drive's front camera at its own rate: of the restyled stream, and of the true style's."""
    seed = SPLITS["test"][0]
    scenario = random_scenario(seed)
    streams: dict[str, list[Rgb]] = {}
    for light in (SOURCE, style):
        drawn = replace(scenario, conditions=conditions_of(light, scenario.conditions, seed))
        options: dict[str, Any] = {"image_size": (WIDTH, HEIGHT), "lidar": False, "boxes": False, "threads": 1}
        with Drive(drawn, "nuscenes", seed, seconds=STREAM_S, cameras=("front",), **options) as drive:
            streams[light] = [frame.images["front"].rgb for frame in drive if frame.images]
    session.set(1.0, resolution=None)
    source = batch(streams[SOURCE])
    styled = batch([session.step(rgb) for rgb in streams[SOURCE]])
    return {"style": round(flicker(source, styled), 4), "true": round(flicker(source, batch(streams[style])), 4)}


def score_real(
    session: StyleSession, style: str, pairs: Pairs, folder: Path, features: LiteFeatures
) -> tuple[dict[str, Any], list[Rgb]]:
    """(distance of real pictures to the world's pictures of the style before and after; rows of a sheet)."""
    paths = sorted(folder.rglob("*.jpg"))
    paths = [paths[i] for i in np.linspace(0, len(paths) - 1, min(len(paths), REAL_LIMIT)).astype(int)]
    if len(paths) < 2:
        raise ModelError(f"{folder} holds {len(paths)} JPEG files: expected 2 or more real pictures")
    real = [sized(read_picture(path)) for path in paths]
    bar = Progress(f"{PREFIX}{style}, real", len(real))
    session.set(1.0, resolution=None)
    styled = []
    for picture in real:
        styled.append(session.step(picture))
        bar.step()
    target = batch([pairs.picture(i, style) for i in range(len(pairs))])
    before, after = (set_scores(features, target, batch(pictures)) for pictures in (real, styled))
    rows = [side_by_side([("real", real[i]), (f"{style}, restyled", styled[i])]) for i in range(0, len(real), 15)]
    return {"pictures": len(real), "unchanged": before, "style": after}, rows


def sized(rgb: Rgb) -> Rgb:
    """A picture of REAL_HEIGHT px and 16:9, cut from the middle."""
    import cv2

    height, width = rgb.shape[:2]
    wide = min(width, round(height * 16 / 9))
    high = min(height, round(wide * 9 / 16))
    top, left = (height - high) // 2, (width - wide) // 2
    cut = np.ascontiguousarray(rgb[top : top + high, left : left + wide])
    size = (round(REAL_HEIGHT * 16 / 9), REAL_HEIGHT)
    return np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.gan.style_evaluate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("models", nargs="+", help="checkpoint files, or models' names or folders")
    parser.add_argument("--pairs", type=Path, default=Path("runs/style"))
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--worlds", type=int, help="fewer than there are")
    parser.add_argument("--real", type=Path, help="a folder of real pictures (JPEG), searched through")
    parser.add_argument("--look", type=Path, help="folder for a sheet of the real pictures; not to be committed")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder that gets the models' folders")
    options = parser.parse_args(arguments)
    try:
        pairs = Pairs(options.pairs, options.split, options.worlds)
        features = LiteFeatures()
        for text in options.models:
            facts, training = RELEASE.open(text, options.out)
            _one(facts, training, pairs, features, options, lambda: provenance(
                "training.gan.style_evaluate", arguments, options.split))  # fmt: skip
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _one(
    facts: ModelFacts, training: dict[str, Any], pairs: Pairs, features: LiteFeatures, options: argparse.Namespace,
    made: Callable[[], dict[str, Any]],
) -> None:  # fmt: skip
    style = facts.name.removeprefix(PREFIX)
    session = StyleSession.from_weights(facts.folder, threads=1)
    found, rows = score(session, style, pairs, features)
    network = session.network
    macs = count_macs(network, torch.zeros(1, 3, 256, 704))
    metrics = {
        "world": found | {"pictures": len(pairs), "worlds": len(pairs.worlds)},
        "flicker": stream_flicker(session, style),
        "params": sum(p.numel() for p in network.parameters()),
        "mmacs_704x256": round(macs.true / 1e6),
        "training": training,
        **made(),
    }
    if options.real is not None:
        metrics["real"], real_rows = score_real(session, style, pairs, options.real, features)
        metrics["real"]["source"] = options.real.name
        if options.look is not None:
            options.look.mkdir(parents=True, exist_ok=True)
            save(options.look / f"{facts.name}_real.jpg", stacked(real_rows))
    folder = Path(facts.folder)
    summary = {name: {k: found[name][k] for k in ("psnr", "lpips_lite0", "fid_lite0")} for name in found}
    publish(facts, metrics, summary, card(facts, metrics))
    save(folder / "sheet.jpg", stacked(rows))
    print(f"{folder}: {found['style']['psnr']:.2f} dB, fid_lite0 {found['style']['fid_lite0']:.2f}")


if __name__ == "__main__":
    sys.exit(main())
