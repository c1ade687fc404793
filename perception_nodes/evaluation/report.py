"""report.html: the pictures and the scores of a results folder, one self-contained page (styles and charts inline)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from perception_nodes.evaluation.scorer import Scorer
from perception_nodes.evaluation.segmentation import NO_DATA

TEMPLATE = Path(__file__).with_name("report.html.j2")


def write(
    folder: Path, metrics: dict, pictures: list[tuple[str, str]], replay: dict, scorers: Iterable[Scorer] = ()
) -> Path:
    """Write folder/report.html from metrics.json's dict and (file, caption) pairs; returns its path.

    scorers: each one with a part in `metrics` gives its cards and its section.
    """
    import jinja2
    from markupsafe import Markup

    parts = jinja2.FileSystemLoader(TEMPLATE.parent)  # what several sections share
    environment = jinja2.Environment(loader=parts, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    cards, sections = [], []
    for scorer in scorers:
        part = metrics.get(scorer.key)
        if not part:
            continue
        cards += scorer.cards(part)
        if scorer.template is not None:
            template = environment.from_string(scorer.template.read_text())
            sections.append(Markup(template.render(metrics=part, no_data=NO_DATA, **scorer.context(part))))
    page = environment.from_string(TEMPLATE.read_text()).render(
        title=folder.name,
        metrics=metrics,
        pictures=pictures,
        replay=replay,
        cards=cards,
        sections=sections,
        nodes=metrics.get("latency", {}).get("nodes", {}),
        no_data=NO_DATA,
    )
    path = folder / "report.html"
    path.write_text(page)
    return path
