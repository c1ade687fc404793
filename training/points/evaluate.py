"""Scores the street networks on dense grids on held-out crops, held-out worlds and real sweeps; releases checkpoints.

    python -m training.points.evaluate runs/points/*.checkpoint.safetensors --worlds 5
    python -m training.points.evaluate pvcnn-lite

A checkpoint's averaged weights are first written to `--out`/<name>. Then every network labels the same test crops, and
the very sweeps (simulated and real) that the whole-sweep networks are scored on, square by square. metrics.json and
CARD.md go beside its weights.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.facts import WEIGHTS, ModelError, ModelFacts, load_network
from models.pvcnn.build import PRESETS, facts_of
from models.pvcnn.macs import count_macs
from models.pvcnn.session import PointSession
from perception_nodes.classes import IGNORE, POINT_CLASSES
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.semantickitti import find_sequences, open_sequence
from perception_nodes.evaluation.segmentation import common_mean, common_words
from training.common.card import ending, training_section
from training.common.checkpoints import CHECKPOINT
from training.common.progress import Progress
from training.common.release import Release, kept_metrics, provenance, publish
from training.points import batches as point_batches
from training.points.street_crops import Crop, crops_of, load
from training.points.trainer import CLASSES, NETWORKS
from training.segmentation.card import LIMITS, box_table, class_table
from training.segmentation.confusion import confusion, iou, mean_iou
from training.segmentation.evaluate import evaluate
from training.segmentation.held_out import digest, read_world, world_files

DATA = (
    "crops of sweeps of the embedded driving world (perception_nodes/simulator), seeds 0 to 31, nuScenes', KITTI's and "
    "VLP-16's beam patterns and random ones; no real data."
)


OWN_LIMITS = "- Sees 8 m at a time: large things are judged by their parts.\n"


def _training(notes: dict[str, Any]) -> dict[str, Any]:
    config = notes.get("config", {})
    return {
        "crops a step": config.get("batch"),
        "points a crop": config.get("points"),
        "crops to draw from": notes.get("crops"),
        "CPU minutes": round(float(notes.get("cpu_seconds", 0.0)) / 60, 1),
        "threads": config.get("threads"),
        "config": "config/training/pvcnn.yaml",
    }


RELEASE = Release(NETWORKS, lambda name, notes: facts_of(PRESETS[name], name), DATA, _training)


def real_crops(data: Path, per_sweep: int = 24) -> list[Crop]:
    """Crops of SemanticKITTI's labelled sweeps below `data`, the same at every call; empty where there are none."""
    rng = np.random.default_rng(0)
    found: list[Crop] = []
    try:
        for sequence in map(open_sequence, find_sequences(data / "semantickitti")):
            for number in sequence.labels:
                points = sequence.sweep(number)
                label, _ = sequence.label(number, len(points))
                xyz, intensity = np.ascontiguousarray(points[:, :3]), np.ascontiguousarray(points[:, 3])
                found += crops_of(xyz, intensity, label, per_sweep, rng, sweep=number, pattern="semantickitti")
    except DatasetError:
        return []
    return found


@torch.inference_mode()
def crop_scores(network: Any, crops: list[Crop], points: int, show: Any) -> dict[str, Any]:
    """mIoU over the classes present, miou10 and miou10_classes (see `common_mean`), accuracy, IoU by class, mIoU by
    pattern on one undisturbed square of every crop."""
    matrices: dict[str, torch.Tensor] = {}
    for number, crop in enumerate(crops):
        show()
        found = point_batches.sample(crop, points, np.random.default_rng(number), point_batches.NONE)
        if found is None:
            continue
        predicted = network(torch.from_numpy(found[0])[None]).argmax(1)[0]
        matrix = confusion(predicted, torch.from_numpy(found[1].astype(np.int64)), CLASSES, IGNORE)
        matrices[crop.pattern] = matrices.get(crop.pattern, torch.zeros_like(matrix)) + matrix
    total = sum(matrices.values(), torch.zeros(CLASSES, CLASSES, dtype=torch.long))
    values = {c.name: round(float(v), 4) for c, v in zip(POINT_CLASSES, iou(total)) if v == v}
    return {
        "miou": round(mean_iou(total), 4),
        **common_mean(values, digits=4),
        "accuracy": round(float(total.diagonal().sum() / total.sum()), 4),
        "iou": values,
        "by_pattern": {name: round(mean_iou(matrix), 4) for name, matrix in sorted(matrices.items())},
        "crops": len(crops),
        "points": int(total.sum()),
    }


def card(facts: ModelFacts, metrics: dict[str, Any]) -> str:
    """CARD.md, markdown."""
    training, crops = metrics["training"], metrics["crops"]
    kind = {"pvcnn-s3dis": "PVCNN", "pointnet": "PointNet", "voxel-unet": "A dense voxel U-Net"}[facts.architecture]
    grid = f"voxels of {facts.voxel_size:.2g} m at the finest" if facts.voxel_size else "no voxels"
    lines = [
        f"# {facts.name}",
        "",
        (
            f"{kind}, {metrics['parameters']} parameters, {metrics['macs']['crop'] / 1e9:.3f} GMAC for a crop of "
            f"{metrics['macs']['points']} points, {grid};"
        ),
        f"{len(facts.classes)} classes of SemanticKITTI, squares of 8 m. Licence {facts.licence}.",
        "One of three networks of equal multiply-accumulates that were trained on the same batches (pvcnn-lite,",
        "pointnet-lite, voxel-lite): made to be compared. To label whole sweeps take spvcnn-lite or spvnas-lite.",
        "",
        *training_section(facts, training),
        "## Held-out simulated worlds",
        "",
        f"{crops['crops']} crops of the untouched split `test`: mIoU {crops['miou']:.3f}, accuracy "
        f"{crops['accuracy']:.3f}. By beam pattern: "
        + ", ".join(f"{name} {value:.3f}" for name, value in crops["by_pattern"].items())
        + ".",
        "",
        *_whole_sweeps(facts, metrics),
        ending(OWN_LIMITS + LIMITS.replace("upright; points beyond 102.4 m get no label.", "upright."), metrics),
    ]
    return "\n".join(lines)


def _whole_sweeps(facts: ModelFacts, metrics: dict[str, Any]) -> list[str]:
    """The card's part on real crops and whole sweeps."""
    lines: list[str] = []
    if "crops_real" in metrics:
        real = metrics["crops_real"]
        text = f"{real['crops']} crops of real sweeps (SemanticKITTI): mIoU over {common_words(real)} {real['miou10']}"
        lines += [text + f", accuracy {real['accuracy']:.3f}.", ""]
    if "sim" not in metrics:
        given = {"sim": metrics["crops"], "real": metrics.get("crops_real", {})}
        return [*lines, "Not scored on whole sweeps: the table is of crops.", "", *class_table(facts, given), ""]
    sim = metrics["sim"]
    text = f"All points of the {metrics['sweeps']} test sweeps (those of spvcnn-lite's card), square by square: "
    text += f"mIoU {sim['miou']:.3f}. By beam pattern: "
    text += ", ".join(f"{name} {value:.3f}" for name, value in sim["by_pattern"].items())
    lines += [f"{text}. The table is of whole sweeps.", ""]
    return [*lines, *class_table(facts, metrics), "", *box_table(metrics.get("real", {}).get("boxes", {}))]


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.points.evaluate", description=__doc__.split("\n")[0])
    known = f"names, model folders, or <name>{CHECKPOINT} files (released to --out)"
    parser.add_argument("models", nargs="+", help=known)
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of model folders")
    parser.add_argument("--crops", type=Path, default=Path("runs/crops"))
    parser.add_argument("--worlds", type=int, default=5, help="test worlds, three rigs each")
    parser.add_argument("--moments", type=int, default=2, help="sweeps of each rig in each world")
    parser.add_argument("--cache", type=Path, default=Path("runs/test_sweeps"))
    parser.add_argument("--real", type=Path, default=Path("../shared/data"), help="folder of real sweeps")
    parser.add_argument("--points", type=int, default=2048, help="most points of one pass")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--crops-only", action="store_true", help="keep earlier scores on whole sweeps, make none")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        for text in options.models:
            _one(text, options, arguments)
    except (ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _one(text: str, options: argparse.Namespace, arguments: list[str] | None) -> None:
    """Scores one model and writes metrics.json, CARD.md and the summary in model.yaml."""
    facts, training = RELEASE.open(text, options.out)
    folder, earlier = Path(facts.folder), kept_metrics(facts)
    session = PointSession.from_weights(folder, options.points, options.threads)
    network, _ = load_network(folder)
    files = list(world_files(options.cache, options.worlds, options.moments))
    sweeps = sum(1 for path in files for _ in read_world(path))
    scores: dict[str, Any] = {}
    for key, held in (("crops", load(options.crops, "test")), ("crops_real", real_crops(options.real))):
        if held:
            bar = Progress(f"{facts.name}: {key}", len(held))
            scores[key] = crop_scores(session.network, held, options.points, bar.step)
    if not options.crops_only:
        bar = Progress(f"{facts.name} ({session.engine})", sweeps)
        scores |= evaluate(session, files, options.real, bar.step)[0]
    elif earlier.get("sweeps_sha256") == digest(files):
        scores |= {key: earlier[key] for key in ("sim", "real") if key in earlier}
    metrics: dict[str, Any] = {
        **scores,
        "parameters": sum(p.numel() for p in network.parameters()),
        "macs": {
            "points": options.points,
            "crop": sum(count_macs(network, torch.rand(1, len(facts.features), options.points)).values()),
        },
        "engine": session.engine,
        "training": training,
        **provenance("training.points.evaluate", arguments),
        "worlds": options.worlds,
        "sweeps": sweeps,
        "sweeps_sha256": digest(files),
    }
    told = {"crop_miou": ("crops", "miou"), "sim_miou": ("sim", "miou"), "real_miou10": ("real", "miou10")}
    told["real_miou10_classes"] = ("real", "miou10_classes")
    brief = {name: scores[part][key] for name, (part, key) in told.items() if key in scores.get(part, {})}
    publish(facts, metrics, brief, card(facts, metrics))
    print(f"{facts.name}: {brief}")


if __name__ == "__main__":
    sys.exit(main())
