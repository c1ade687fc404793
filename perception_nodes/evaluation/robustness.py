"""What a change of the input does to a stack: scores and agreement of each variant beside the original, as one report.

`metrics.json` of `perception robustness`:

    {"original": {"scores": …, "latency_ms": {node: {"p50", "p99"}}},
     "styles": {"night": {"scores": …, "change": …, "agreement": {topic: {"mean", "messages"}}, "latency_ms": …,
                          "style_ms": {"p50", …}, "cloud_ms", "pictures", "clouds", "damaged"}}}

`scores` has every score (a number with a fraction) of `perception evaluate` by its dotted name, also those by class and
range; it is empty without ground truth. `change` is the score minus the original's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perception_nodes.evaluation.segmentation import NO_DATA

TEMPLATE = Path(__file__).with_name("robustness.html.j2")
HEADLINES = 40  # scores in the first table; the others are in the details
DETAIL = (".iou.", ".ap.", ".ap50.", ".by_", "classes", "confusion", "stamps_apart")


@dataclass
class Variant:
    """The stack on one variant of a drive.

    scores: dotted name -> value · latency_ms: node -> percentiles · agreement: topic -> mean, messages · worst: (file,
    caption) of the pictures that agree least · style_ms, cloud_ms: percentiles of the restyling of a picture, of a
    cloud · report: file of the variant's own report.
    """

    name: str
    scores: Mapping[str, float]
    latency_ms: Mapping[str, Mapping[str, float]]
    agreement: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    worst: Sequence[tuple[str, str]] = ()
    style_ms: Mapping[str, float] | str = NO_DATA
    cloud_ms: Mapping[str, float] | str = NO_DATA
    pictures: int = 0
    clouds: int = 0
    damaged: int = 0
    report: str = ""


def flat_scores(metrics: Mapping[str, Any], keys: Sequence[str]) -> dict[str, float]:
    """Every score below `keys` of a metrics.json by its dotted name; counts (whole numbers) and words are left out."""
    found: dict[str, float] = {}

    def walk(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, part in value.items():
                walk(f"{name}.{key}", part)
        elif isinstance(value, float):
            found[name] = value

    for key in keys:
        if key in metrics:
            walk(key, metrics[key])
    return found


def as_metrics(original: Variant, styled: Sequence[Variant]) -> dict[str, Any]:
    """metrics.json, see above."""
    return {
        "original": {"scores": dict(original.scores), "latency_ms": dict(original.latency_ms)},
        "styles": {
            variant.name: {
                "scores": dict(variant.scores),
                "change": {k: v - original.scores[k] for k, v in variant.scores.items() if k in original.scores},
                "agreement": dict(variant.agreement),
                "latency_ms": dict(variant.latency_ms),
                "style_ms": variant.style_ms,
                "cloud_ms": variant.cloud_ms,
                "pictures": variant.pictures,
                "clouds": variant.clouds,
                "damaged": variant.damaged,
            }
            for variant in styled
        },
    }


def is_detail(name: str) -> bool:
    """Whether a score is of one class, range or beam pattern."""
    return any(part in f"{name}." for part in DETAIL)


def write_report(folder: Path, bag: str, original: Variant, styled: Sequence[Variant], notes: Sequence[str]) -> Path:
    """folder/report.html; returns its path. notes: sentences at the top."""
    import jinja2

    names = [name for name in original.scores]
    headlines = [name for name in names if not is_detail(name)][:HEADLINES]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(TEMPLATE.read_text()).render(
        bag=bag,
        original=original,
        styled=styled,
        notes=notes,
        headlines=headlines,
        details=[name for name in names if name not in headlines],
        topics=sorted({topic for variant in styled for topic in variant.agreement}),
        nodes=sorted(original.latency_ms),
        no_data=NO_DATA,
    )
    path = folder / "report.html"
    path.write_text(page)
    return path
