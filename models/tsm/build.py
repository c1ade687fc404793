"""From facts or a preset to a video network, and strict loading of its weights."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from models.facts import ModelError, ModelFacts
from models.tsm.builder import build_tsm
from models.tsm.presets import EVENTS, JESTER, OFFICIAL_IMAGE, PRESETS, numbered
from models.tsm.spec import TsmSpec

if TYPE_CHECKING:
    from models.tsm.session import TsmSession

NORMALISATION = "RGB of 0..1, minus image.mean, over image.std, per channel"


def preset_facts(preset: str) -> ModelFacts:
    """Facts of an untrained preset; ModelError names the presets."""
    if preset not in PRESETS:
        raise ModelError(f"no preset {preset!r}; known: {', '.join(PRESETS)}")
    found = PRESETS[preset]
    return facts_of(found.spec, f"random:{preset}", found.classes, found.image)


def facts_of(
    spec: TsmSpec, name: str, classes: Sequence[str] | None = None, image: Mapping[str, Any] | None = None
) -> ModelFacts:
    """Facts of a network that is not trained yet.

    classes: names by id (by default the events or Jester's gestures where their number fits) · image: see
    presets.OFFICIAL_IMAGE, which is the default.
    """
    if classes is None:
        classes = {len(EVENTS): EVENTS, len(JESTER): JESTER}.get(spec.num_classes, numbered(spec.num_classes))
    if len(classes) != spec.num_classes:
        raise ModelError(f"{name}: {len(classes)} class names for {spec.num_classes} classes")
    return ModelFacts(
        name=name,
        architecture=spec.architecture,
        network=spec.numbers(),
        classes=tuple({"name": n, "rgb": list(_colour(i, len(classes)))} for i, n in enumerate(classes)),
        normalisation=NORMALISATION,
        image=dict(OFFICIAL_IMAGE if image is None else image),
        trained=False,
    )


def _colour(i: int, count: int) -> tuple[int, int, int]:
    """Distinct hues; grey for the first class ("none")."""
    if i == 0:
        return 128, 128, 128
    r, g, b = colorsys.hsv_to_rgb((i - 1) / max(count - 1, 1), 0.65, 0.95)
    return round(255 * r), round(255 * g), round(255 * b)


def spec_of(facts: ModelFacts) -> TsmSpec:
    """The spec in a model's facts; ModelError where the numbers do not fit."""
    try:
        return TsmSpec(**facts.network, architecture=facts.architecture)
    except (TypeError, ModelError) as error:
        raise ModelError(f"{facts.name}: `network` in its facts does not fit {facts.architecture} ({error})") from None


def build_network(facts: ModelFacts, seed: int | None = None) -> nn.Module:
    """The clip network that `facts` describe, in eval mode; `seed` makes its random weights reproducible."""
    spec = spec_of(facts)
    if len(facts.classes) != spec.num_classes:
        raise ModelError(
            f"{facts.name}: its facts list {len(facts.classes)} classes, its network has {spec.num_classes}; "
            "restore model.yaml from the repository"
        )
    return build_tsm(spec, seed)


def open_session(name: str, runtime: str = "auto", threads: int = 2) -> TsmSession:
    """The session of a model by name or folder, for one camera. Raises ModelError."""
    from models.tsm.session import TsmSession

    return TsmSession.from_weights(name, runtime, threads)
