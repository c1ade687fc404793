"""Releasing a model: averaged weights of a checkpoint as a model folder, then metrics.json and CARD.md beside them.

    models/weights/<name>/   weights.safetensors, model.yaml (facts with a summary of the scores), metrics.json, CARD.md
"""

from __future__ import annotations

import datetime
import json
import shlex
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from models.facts import ModelError, ModelFacts, family_of, load_facts, save_facts
from models.official import save_model
from models.state import load_weights
from training.common.checkpoints import CHECKPOINT, averaged_weights, name_in
from training.common.seeds import SPLITS

Training = dict[str, Any]  # what is known of a training, for the card


@dataclass(frozen=True)
class Release:
    """How a room's checkpoints become models.

    known: names of networks that it releases · facts: (name, notes of the checkpoint) -> facts · data: what the
    networks learned from, a sentence · training: notes -> what the card says of the training · finish: called with
    the network and its facts before they are written (e.g. calibration); what it returns goes into the card.
    """

    known: Collection[str]
    facts: Callable[[str, dict[str, Any]], ModelFacts]
    data: str
    training: Callable[[dict[str, Any]], Training] = lambda notes: {}
    finish: Callable[[nn.Module, ModelFacts], Training] = lambda network, facts: {}

    def __call__(self, checkpoint: Path, out: Path) -> tuple[ModelFacts, Training]:
        """Writes a checkpoint's averaged weights into `out`/<name>: (facts, what is known of the training).

        Raises ModelError for an unknown name, an unreadable file, or weights that do not fit.
        """
        name = name_in(checkpoint)
        if name not in self.known:
            raise ModelError(f"{checkpoint}: {name!r} is not known here; known: {', '.join(self.known)}")
        state, notes = averaged_weights(checkpoint)
        facts = replace(self.facts(name, notes), trained=True, training_data=self.data)
        network = family_of(facts).build_network(facts)
        load_weights(network, state, str(checkpoint))
        training = {
            "minutes": round(float(notes.get("elapsed", 0.0)) / 60, 1),
            "steps": notes.get("steps"),
            "hardware": notes.get("hardware", "not recorded"),
            **self.training(notes),
            **self.finish(network, facts),
        }
        return save_model(network, facts, out / name), training

    def open(self, text: str, out: Path) -> tuple[ModelFacts, Training]:
        """A checkpoint file, released into `out`; or a model's name or folder, with what was known before."""
        if text.endswith(CHECKPOINT):
            return self(Path(text), out)
        facts = load_facts(text)
        return facts, kept_metrics(facts).get("training", {})


def kept_metrics(facts: ModelFacts) -> dict[str, Any]:
    """The metrics.json of an earlier evaluation; {} where there is none."""
    try:
        return json.loads((Path(facts.folder) / "metrics.json").read_text())
    except (OSError, ValueError):
        return {}


def provenance(program: str, arguments: Sequence[str] | None, split: str = "test") -> dict[str, Any]:
    """How scores were made: command, seed of the first world, split, date."""
    command = f"python -m {program} {shlex.join(sys.argv[1:] if arguments is None else arguments)}"
    return {"command": command, "seed": SPLITS[split][0], "split": split, "date": datetime.date.today().isoformat()}


def publish(facts: ModelFacts, metrics: dict[str, Any], summary: dict[str, Any], card: str) -> None:
    """Writes metrics.json, CARD.md and the summary in model.yaml of a model folder."""
    folder = Path(facts.folder)
    save_facts(replace(facts, metrics=summary), folder)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    (folder / "CARD.md").write_text(card)
