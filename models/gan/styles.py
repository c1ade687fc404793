"""Styles by name: `night` is the model `style-night` of models/weights; a model's own name or folder works too."""

from __future__ import annotations

from models.facts import RANDOM, ModelError, list_models, load_facts

PREFIX, LIDAR = "style-", "-lidar"  # beginning of a style's model; ending where it is for a LiDAR


def trained_styles() -> list[str]:
    """Short names of the styles in models/weights, sorted."""
    names = [name for name in list_models() if name.startswith(PREFIX) and not name.endswith(LIDAR)]
    return [name.removeprefix(PREFIX) for name in names]


def lidar_model(style: str) -> str | None:
    """The model that restyles a LiDAR's sweeps in this style; None where light and weather leave them as they are."""
    name = f"{PREFIX}{style}{LIDAR}"
    return name if name in list_models() else None


def style_model(style: str) -> str:
    """The model of a style: what `load_network` takes. Raises ModelError, which names the styles at hand."""
    if style in trained_styles():
        return PREFIX + style
    if not style.startswith(RANDOM):
        try:
            load_facts(style)
        except ModelError:
            known = ", ".join(trained_styles()) or "none yet"
            raise ModelError(
                f"no style {style!r}: trained styles are {known}; or give the folder of a picture-to-picture model"
            ) from None
    return style
