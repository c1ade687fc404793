"""`perception weights …`: list, verify and import models."""

from __future__ import annotations

from pathlib import Path

from perception_nodes.commands.words import say_next, working


def show() -> None:
    """Print the models at hand: architecture, voxel size, size, scores."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from models.facts import list_models, load_facts

    table = Table("model", "architecture", "voxel", "MB", "metrics", "trained on")
    for name in list_models():
        facts = load_facts(name)
        size = facts.weights_path.stat().st_size / 1e6 if facts.weights_path.is_file() else 0.0
        figures = {k: v for k, v in facts.metrics.items() if isinstance(v, (int, float))}
        metrics = ", ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items())
        row = (name, facts.architecture, f"{facts.voxel_size:g} m", f"{size:.1f}", metrics, facts.training_data)
        table.add_row(*map(escape, row))
    Console().print(table)
    say_next("weights", "verify")


def verify(name: str | None) -> int:
    """Verify one model or all; prints a line each, returns 1 if one is damaged."""
    from models.facts import ModelError, list_models
    from models.facts import verify as check

    failed = 0
    for model in [name] if name else list_models():
        try:
            check(model)
            print(f"{model}: whole")
        except ModelError as error:
            failed = 1
            print(f"{model}: {error}")
    if not failed:
        say_next("demo")
    return failed


def import_checkpoint(checkpoint: Path, out: Path, architecture: str, config: Path | None = None) -> None:
    """Write an official checkpoint as a model folder; raises ModelError with what was found and expected."""
    with working(f"reading {checkpoint}"):
        if architecture == "tsm":
            from models.tsm.official import convert as convert_tsm

            facts = convert_tsm(checkpoint, out)
        else:
            from models.official import convert

            facts = convert(checkpoint, out, architecture, config)
    print(f"{facts.name}: wrote {facts.weights_path} and model.yaml")
    say_next("weights", "verify", out)
