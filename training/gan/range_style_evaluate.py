"""Scores LiDAR styles on the sweeps of held-out worlds, and releases checkpoints.

    python -m training.gan.range_style_evaluate runs/style_lidar/*.checkpoint.safetensors --pairs runs/style

Each clear sweep is restyled by the session that the command and the tests use, and compared with the true sweep of the
same moment: shares of lost echoes and of echoes from the air, by range, and the mean intensity of what stays.
metrics.json and CARD.md go beside the weights.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.facts import WEIGHTS, ModelError, ModelFacts
from models.gan.range_session import RangeStyleSession
from models.gan.range_style import AIR, LOST, STAY
from models.gan.styles import LIDAR, PREFIX
from training.common.card import ending, training_section
from training.common.config_files import merged
from training.common.progress import Progress
from training.common.release import Release, provenance, publish
from training.gan.pairs import LIDAR_STYLES, Pairs
from training.gan.range_style import Batch, RangeStyleConfig, network_facts

RANGES = ((0.0, 15.0), (15.0, 30.0), (30.0, 60.0), (60.0, 120.0))  # m
DATA = (
    "exact pairs of the embedded driving world (training/gan/pairs.py): the same firings in clear air and in the "
    "weather, sensors of nuScenes and KITTI, seeds 0 to 899999; no real sweep."
)
LIMITS = """\
- Trained on the simulator's model of rain and fog (attenuation, wet surfaces, echoes from the air), not on real
  weather.
- The strength of the weather is the mean of the training worlds'; `strength` lowers it.
- Echoes of firings that came back empty from clear air are unknown to a cloud, so none are added there.
- The sensor is taken to stand at the origin of the cloud, without other returns than one a firing."""


def facts_of(name: str, notes: dict[str, Any]) -> ModelFacts:
    """Facts of a checkpoint's network, from the config that it was trained with."""
    given = notes.get("config", {})
    config = merged(RangeStyleConfig(), {k: given[k] for k in ("width",) if k in given}, name)
    return network_facts(config, name.removeprefix(PREFIX).removesuffix(LIDAR))


RELEASE = Release(
    [f"{PREFIX}{style}{LIDAR}" for style in LIDAR_STYLES], facts_of, DATA, lambda notes: {"worlds": notes["worlds"]}
)


def rays(columns: int, rings: int) -> NDArray[np.float32]:
    """Unit directions float32 [columns, rings, 3] of a turning sensor, rings from -25 to 5 degrees."""
    azimuth = np.linspace(-np.pi, np.pi, columns, endpoint=False)[:, None]
    elevation = np.radians(np.linspace(-25.0, 5.0, rings))[None]
    parts = (np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation + 0 * azimuth))
    return np.stack(parts, -1).astype(np.float32)


def score(session: RangeStyleSession, style: str, pairs: Pairs) -> dict[str, Any]:
    """Shares over all echoes of the clear sweeps, true and restyled, by range; mean intensities."""
    which = 1 + LIDAR_STYLES.index(style)
    fates: dict[str, list[NDArray]] = {"true": [], "style": []}
    ranges, intensities = [], np.zeros((3, 2))
    bar = Progress(f"{PREFIX}{style}{LIDAR}", len(pairs.worlds))
    for number, sweeps in enumerate(pairs.sweeps()):
        for moment in range(len(sweeps.range)):
            clear, weather = ((sweeps.range[moment, k], sweeps.intensity[moment, k]) for k in (0, which))
            seen = clear[0] > 0
            truth = Batch(*(torch.from_numpy(image[seen]) for image in (*clear, *weather))).fate.numpy()
            xyz = (rays(*clear[0].shape) * clear[0][..., None])[seen]
            found = session.step(xyz, clear[1][seen], seed=1000 * number + moment)
            for name, fate in (("true", truth), ("style", found.fate)):
                fates[name].append(fate)
            ranges.append(clear[0][seen])
            for row, values, keep in (
                (0, clear[1][seen], found.fate == STAY),
                (1, found.intensity, found.fate == STAY),
                (2, weather[1][seen], truth == STAY),
            ):
                intensities[row] += values[keep].sum(), keep.sum()
        bar.step()
    distance = np.concatenate(ranges)
    shares = {name: _shares(np.concatenate(fate), distance) for name, fate in fates.items()}
    means = intensities[:, 0] / np.maximum(intensities[:, 1], 1)
    return shares | {"intensity": dict(zip(("clear", "style", "true"), (round(float(m), 4) for m in means)))}


def _shares(fate: NDArray, distance: NDArray[np.float32]) -> dict[str, Any]:
    parts = {"all": np.ones(len(fate), bool)}
    parts |= {f"{low:.0f}-{high:.0f} m": (distance >= low) & (distance < high) for low, high in RANGES}
    return {
        name: {"lost": round(float((fate[part] == LOST).mean()), 4), "air": round(float((fate[part] == AIR).mean()), 4)}
        for name, part in parts.items()
        if part.any()
    }


def card(facts: ModelFacts, metrics: dict[str, Any]) -> str:
    """The text, markdown."""
    style, found = facts.name.removeprefix(PREFIX).removesuffix(LIDAR), metrics["world"]
    brightness = found["intensity"]
    lines = [
        f"# {facts.name}",
        "",
        f"LiDAR sweeps from clear air to {style}: which echoes are lost, which come from the air, how intensities",
        "change, by a network that looks at range and intensity of each echo.",
        f"{metrics['params']:,} parameters. Licence {facts.licence}.",
        "",
        *training_section(facts, metrics["training"]),
        f"## Held-out worlds ({metrics['worlds']} worlds)",
        "",
        "Share of the clear sweep's echoes.",
        "",
        "| range | lost, true | lost, restyled | from the air, true | from the air, restyled |",
        "|---|---|---|---|---|",
        *[
            f"| {name} | {row['lost']:.3f} | {found['style'][name]['lost']:.3f} | {row['air']:.3f} | "
            f"{found['style'][name]['air']:.3f} |"
            for name, row in found["true"].items()
        ],
        "",
        f"Mean intensity of the echoes that stay: clear {brightness['clear']:.3f}, restyled {brightness['style']:.3f},",
        f"true {brightness['true']:.3f}.",
        "",
        ending(LIMITS, metrics),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.gan.range_style_evaluate", description=__doc__)
    parser.add_argument("models", nargs="+", help="checkpoint files, or models' names or folders")
    parser.add_argument("--pairs", type=Path, default=Path("runs/style"))
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder that gets the models' folders")
    options = parser.parse_args(arguments)
    try:
        pairs = Pairs(options.pairs, options.split)
        for text in options.models:
            facts, training = RELEASE.open(text, options.out)
            session = RangeStyleSession.from_weights(facts.folder)
            found = score(session, facts.name.removeprefix(PREFIX).removesuffix(LIDAR), pairs)
            params = sum(p.numel() for p in session.network.parameters())
            metrics = {"world": found, "worlds": len(pairs.worlds), "params": params, "training": training,
                       **provenance("training.gan.range_style_evaluate", arguments, options.split)}  # fmt: skip
            summary = {name: found[name]["all"] for name in ("true", "style")}
            publish(facts, metrics, summary, card(facts, metrics))
            print(f"{facts.folder}: lost {summary['style']['lost']:.3f}, true {summary['true']['lost']:.3f}")
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
