"""CARD.md of a released model: what it was trained on, how it scores, where it fails."""

from __future__ import annotations

from typing import Any

from models.facts import ModelFacts
from perception_nodes.evaluation.segmentation import common_words
from training.common.card import ending, training_section

LIMITS = """\
- Trained on a simulator only. Real streets hold things that it does not; the table of real data says how far that goes.
- The simulated LiDARs' echo power and intensities were tuned to the statistics of these same real sweeps, which were
  also looked at between trainings: no label of theirs was learned from, but the real scores are on the kind side.
- Intensities of other sensors differ; the network has seen gains, exponents and sweeps without intensity, but no
  sensor's true calibration.
- Made for a LiDAR 1.5 to 2.3 m above level ground, upright; points beyond 102.4 m get no label.
- parking and other-ground mean what SemanticKITTI's annotators meant, which geometry hardly shows.
- Not for safety functions."""


def card(facts: ModelFacts, metrics: dict[str, Any]) -> str:
    """The text, markdown."""
    training, sim = metrics.get("training", {}), metrics["sim"]
    kind = {"spvcnn": "SPVCNN", "minkunet": "MinkUNet", "spvnas": "SPVNAS"}[facts.architecture]
    lines = [
        f"# {facts.name}",
        "",
        f"{kind}, widths {list(facts.network['channels'])}, voxels of {facts.voxel_size} m,",
        f"{len(facts.classes)} classes of SemanticKITTI. Licence {facts.licence}.",
        "",
        *training_section(facts, training),
        f"## Held-out simulated worlds (mIoU {sim['miou']:.3f})",
        "",
        f"{metrics['worlds']} worlds of the untouched split `{metrics['split']}`, seeds from {metrics['seed']}, "
        f"{metrics['sweeps']} sweeps, each known rig as built. By beam pattern: "
        + ", ".join(f"{name} {value:.3f}" for name, value in sim["by_pattern"].items())
        + ".",
        "",
    ]
    lines += _twin(metrics)
    lines += _searched(metrics)
    lines += class_table(facts, metrics)
    lines += ["", *box_table(metrics.get("real", {}).get("boxes", {}))]
    return "\n".join([*lines, ending(LIMITS, metrics)])


def _twin(metrics: dict[str, Any]) -> list[str]:
    """MinkUNet's score, with how long both were trained: a comparison of unequal trainings says so."""
    twin, same = metrics.get("minkunet"), metrics.get("trained_as_minkunet")
    if twin is None:
        return []
    steps = twin["training"].get("steps")
    lines = [
        f"MinkUNet of equal multiply-accumulates, {steps} steps, same test sweeps: mIoU {twin['sim']['miou']:.3f}."
    ]
    if same is not None:
        lines.append(
            f"SPVCNN trained on the very same batches for the same {same['training'].get('steps')} steps: "
            f"mIoU {same['sim']['miou']:.3f}. The weights released here were trained longer, alone."
        )
    elif steps != metrics.get("training", {}).get("steps"):
        lines.append("The two were not trained equally long: no comparison of the architectures.")
    return [*lines, ""]


def _searched(metrics: dict[str, Any]) -> list[str]:
    """How a sub-network was found, and SPVCNN's score and latency beside its own."""
    lines: list[str] = []
    if "search" in metrics:
        lines += [f"- {key}: {value}" for key, value in metrics["search"].items()]
        lines = ["Found by training/segmentation/supernet_search.py (docs/spvnas.md):", "", *lines, ""]
    if "spvcnn" in metrics:
        rival, real = metrics["spvcnn"], metrics["spvcnn"].get("real", {})
        steps = [m["training"].get("steps") for m in (rival, metrics)]
        quoted = f"SemanticKITTI, {common_words(real)}: {real.get('miou10', 'no data')}"
        lines += [
            f"spvcnn-lite on the same sweeps, after a last training of {steps[0]} steps (this network: {steps[1]}):",
            f"mIoU {rival['sim']['miou']:.3f} simulated; {quoted}.",
            "Both had been trained before: what began each last training is in the cards.",
            "",
        ]
    if "latency" in metrics:
        lines += [
            "A whole step, the same sweeps given to each model in turn: compare the models, no more",
            "(training/segmentation/latency_compare.py).",
            "",
        ]
        lines += ["| model | sweep | points | CPU ms, one thread | median ms, two threads |", "|---|---|---|---|---|"]
        for name, sweeps in metrics["latency"].items():
            lines += [
                f"| {name} | {sweep} | {row['points']} | {row['cpu_ms']} | {row['wall_ms']} |"
                for sweep, row in sweeps.items()
            ]
        lines.append("")
    return lines


def class_table(facts: ModelFacts, metrics: dict[str, Any]) -> list[str]:
    sim, real = metrics["sim"]["iou"], metrics.get("real", {}).get("iou", {})
    lines = ["| class | IoU, simulated | IoU, SemanticKITTI |", "|---|---|---|"]
    for name in facts.class_names:
        cells = [f"{table[name]:.3f}" if name in table else "no data" for table in (sim, real)]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    if real:
        told = metrics["real"]
        means = f"mIoU over {common_words(told)} {told['miou10']}, over all present {told['miou']}"
        lines += ["", f"SemanticKITTI: {means}."]
    return lines


def box_table(boxes: dict[str, Any]) -> list[str]:
    if not boxes:
        return []
    lines = ["Points inside annotated boxes of real sweeps, and the share given a class of the right kind;"]
    lines += ["`outside`: share of that kind's labels that lie in no box.", ""]
    lines += ["| data | kind | points | right | outside |", "|---|---|---|---|---|"]
    for data, kinds in boxes.items():
        for kind, row in kinds.items():
            lines.append(f"| {data} | {kind} | {row['points']} | {row['right']} | {row['outside']} |")
    return [*lines, ""]
