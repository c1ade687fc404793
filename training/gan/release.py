"""Releases a trained generator: model folder, scores on a held-out pack, sample sheet, card.

    python -m training.gan.release runs/night/NAME.checkpoint.safetensors --held TEST_PACK --out models/weights \\
        [--teacher MODEL] [--note "one sentence"]

    models/weights/NAME/   weights.safetensors, model.yaml, metrics.json, CARD.md, samples.jpg

A generator of pairs is scored with psnr, lpips_lite0, fid_lite0 and kid_lite0, one without pairs or from latent vectors
with the last two; of AnyCost every resolution and channel ratio is scored. --teacher: its scores, multiply-accumulates
and latency stand beside those of the student.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models.facts import ModelError, ModelFacts, load_network
from models.gan.build import facts_of
from models.gan.macs import count_macs, count_parameters
from models.gan.spade_input import one_hot
from training.common.card import ending
from training.common.checkpoints import name_in
from training.common.release import Release, provenance, publish
from training.gan.compression_search import milliseconds
from training.gan.features import LiteFeatures
from training.gan.latent_release import ARCHITECTURES as LATENT
from training.gan.latent_release import generated, latent_metrics, sub_network_table
from training.gan.packs import Pack, read_pack, to_float
from training.gan.paired import translated
from training.gan.scores import paired_scores, set_scores
from training.gan.sheet import save_sheet

SHOWN_SCORES = ("psnr", "lpips_lite0", "fid_lite0", "kid_lite0", "parameters", "gmacs")
SHOWN, COLUMNS, SCORED = 4, 8, 96  # rows of the sheet, columns of generated pictures, pictures that are scored
LIMITS = """- Scores come from EfficientNet-Lite0's features. They cannot be compared with published FID or KID.
- The network was trained on pictures of the simulated driving world only; on real pictures it may fail.
- It may change the colour of traffic lights. Do not use restyled pictures to drive."""


def released(checkpoint: Path, out: Path) -> tuple[ModelFacts, dict[str, Any]]:
    """(facts of the written model folder, notes of the training). ModelError for a file without facts."""
    notes_of: dict[str, Any] = {}

    def facts(name: str, notes: dict[str, Any]) -> ModelFacts:
        if "architecture" not in notes:
            raise ModelError(f"{checkpoint} has no facts: it was not written by python -m training.gan")
        notes_of.update(notes)
        return facts_of(notes["architecture"], notes["network"], name)

    found, training = Release((name_in(checkpoint),), facts, "to be told")(checkpoint, out)
    return found, {**training, "data": notes_of["data"], "config": notes_of["config"]}


def conditions(facts: ModelFacts, held: Pack) -> tuple[Tensor, Tensor]:
    """(inputs of the network float, true pictures uint8) of a held-out pack."""
    if "spade" in facts.architecture:
        return one_hot(held["labels"].long(), len(held.facts["label_names"]), dontcare=True), held["pictures"]
    return to_float(held["a"]), held["b"]


def measured(network: nn.Module, given: Tensor, truth: Tensor, paired: bool, options: Any) -> dict[str, Any]:
    """Scores, size, multiply-accumulates and latency of a network on held-out entries. options: of the command line."""
    features, output = LiteFeatures(), translated(network, given)
    scores = (paired_scores(features, output, truth) if paired else {}) | set_scores(features, truth, output)
    macs = count_macs(network, given[:1])
    return scores | {
        "parameters": count_parameters(network), "gmacs": round(macs.true / 1e9, 4),
        "gmacs_official": round(macs.official / 1e9, 4),
        "ms": {r: round(milliseconds(network, given[:1], r, options.threads), 2) for r in options.runtimes},
        "input": list(given.shape[1:]), "pictures": len(given),
    }  # fmt: skip


def card(facts: ModelFacts, training: dict[str, Any], metrics: dict[str, Any], note: str) -> str:
    """CARD.md of a released generator."""
    rows = {"this model": metrics["scores"], **({"teacher": metrics["teacher"]} if "teacher" in metrics else {})}
    columns = [k for k in SHOWN_SCORES if k in metrics["scores"]]
    lines = [f"# {facts.name}", "", note or f"A {facts.architecture} generator.", "", "![samples](samples.jpg)", ""]
    effort = f"{training.get('steps')} steps, {training.get('minutes')} minutes on {training.get('hardware')}"
    lines += [f"Trained on: {training['data']}. {effort}.", ""]
    lines += [f"| | {' | '.join(columns)} | ms ({metrics['threads']} threads) |", "|---" * (len(columns) + 2) + "|"]
    for name, scores in rows.items():
        ms = next(iter(scores.get("ms", {}).values()), "")
        lines.append(f"| {name} | {' | '.join(str(scores.get(c, '')) for c in columns)} | {ms} |")
    lines += ["", f"{metrics['scores']['pictures']} held-out pictures of {metrics['held']}.", ""]
    lines += sub_network_table(metrics.get("sub_networks", [])) if "sub_networks" in metrics else []
    return "\n".join(lines) + "\n" + ending(LIMITS, metrics)


def _translation(
    facts: ModelFacts, network: nn.Module, held: Pack, options: Any
) -> tuple[dict[str, Any], list[Tensor]]:
    """(scores, columns of the sheet: input, output, the teacher's, truth) of a generator from picture to picture."""
    given, truth = conditions(facts, held)
    paired = bool(held.facts.get("paired"))
    metrics = {"scores": measured(network, given, truth, paired, options)}
    shown = [translated(network, given[:SHOWN])]
    if given.shape[1] == 3:
        shown.insert(0, given[:SHOWN])
    if options.teacher:
        teacher = load_network(options.teacher)[0]
        metrics["teacher"] = measured(teacher, given, truth, paired, options)
        shown.append(translated(teacher, given[:SHOWN]))
    return metrics, [*shown, truth[:SHOWN]]


def main(arguments: list[str] | None = None) -> int:
    """Command line; 2 where something is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m training.gan.release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("checkpoint", type=Path)
    add("--held", type=Path, required=True, help="pack that neither the training nor the search saw")
    add("--out", type=Path, required=True, help="folder of model folders, for example models/weights")
    add("--teacher", help="model to compare with")
    add("--note", default="", help="the card's first sentence")
    add("--threads", type=int, default=2, help="of a latency")
    add("--runtimes", nargs="+", default=["auto", "torch"], help="that latencies are measured in")
    options = parser.parse_args(arguments)
    try:
        facts, training = released(options.checkpoint, options.out)
        latent = facts.architecture in LATENT
        needed = ("pictures",) if latent else ("labels", "pictures") if "spade" in facts.architecture else ("a", "b")
        held, network = read_pack(options.held, needed).first(SCORED), load_network(facts.folder)[0]
        metrics: dict[str, Any] = {"threads": options.threads, "held": held.facts.get("source", str(options.held))}
        if latent:
            metrics |= latent_metrics(network, held, options)
            shown = list(generated(network, SHOWN * COLUMNS).split(SHOWN))
        else:
            found, shown = _translation(facts, network, held, options)
            metrics |= found
    except (ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    save_sheet(Path(facts.folder) / "samples.jpg", shown)
    metrics |= {"training": training, **provenance("training.gan.release", arguments)}
    summary = {k: v for k, v in metrics["scores"].items() if isinstance(v, (int, float))}
    facts = ModelFacts(**{**vars(facts), "training_data": training["data"]})
    publish(facts, metrics, summary, card(facts, training, metrics, options.note))
    print(f"{facts.folder}: {summary}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
