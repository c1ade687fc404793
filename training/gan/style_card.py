"""CARD.md of a style: what it learned from, how close it comes to the true style, where it fails."""

from __future__ import annotations

from typing import Any

from models.facts import ModelFacts
from models.gan.styles import PREFIX
from training.common.card import ending, training_section

LIMITS = """\
- Trained on a simulator only. On real pictures light and colours follow, but nothing is added that colours and their
  neighbourhood do not tell: no head lamps of parked cars, no drops or streaks in new places.
- The mean of many true pictures is learned (no adversarial loss): noise, streaks of rain and small lights come out
  weaker than in the true style.
- Depth is not known to the network: fog is guessed from the picture's content.
- For testing perception, not for looking at, and not for safety functions."""
ROWS = (("unchanged", "clear day, unchanged"), ("tone_only", "tone step alone"), ("style", "whole style"))


def card(facts: ModelFacts, metrics: dict[str, Any]) -> str:
    """The text, markdown."""
    style, spec, world = facts.name.removeprefix(PREFIX), facts.network, metrics["world"]
    lines = [
        f"# {facts.name}",
        "",
        f"Clear day to {style}: a tone step (3-D look-up tables, mixed for each picture) with a residual of",
        f"{spec['width']} channels and {spec['blocks']} blocks at a quarter of the resolution.",
        f"{metrics['params']:,} parameters, {metrics['mmacs_704x256']} MMACs at 704 x 256 px. Licence {facts.licence}.",
        "",
        "![clear day, restyled, true](sheet.jpg)",
        "",
        *training_section(facts, metrics["training"]),
        f"## Held-out worlds ({world['worlds']} worlds, {world['pictures']} pictures)",
        "",
        "Compared with the true picture of the same moment. The features are EfficientNet-Lite0's",
        "(training/gan/scores.py); the figures cannot be compared with published FID, KID and LPIPS.",
        "",
        "| | PSNR, dB | lpips_lite0 | fid_lite0 | kid_lite0 |",
        "|---|---|---|---|---|",
        *[
            f"| {title} | {world[key]['psnr']:.2f} | {world[key]['lpips_lite0']:.4f} | {world[key]['fid_lite0']:.2f} | "
            f"{world[key]['kid_lite0']:.4f} |"
            for key, title in ROWS
        ],
        "",
        f"Flicker (change between pictures beyond the source's, in 255ths): {metrics['flicker']['style']:.2f};",
        f"the true style's own: {metrics['flicker']['true']:.2f}.",
        "",
        *_real(metrics.get("real"), style),
        ending(LIMITS, metrics),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _real(real: dict[str, Any] | None, style: str) -> list[str]:
    if real is None:
        return []
    before, after = real["unchanged"], real["style"]
    return [
        f"## Real pictures ({real['pictures']} of {real['source']}, never trained on)",
        "",
        f"Distance to the world's pictures of {style}. Part of it is the difference between real and simulated",
        "streets.",
        "",
        "| | fid_lite0 | kid_lite0 |",
        "|---|---|---|",
        f"| unchanged | {before['fid_lite0']:.2f} | {before['kid_lite0']:.4f} |",
        f"| restyled | {after['fid_lite0']:.2f} | {after['kid_lite0']:.4f} |",
        "",
    ]
