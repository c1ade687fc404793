"""`perception export MODEL`: a network as ONNX or OpenVINO files for other programs."""

from __future__ import annotations

from pathlib import Path

from perception_nodes.commands.words import say_next, working


def run(model: str, form: str, out: Path | None) -> None:
    """Write, read again, compare with torch; print a line per file. Raises ModelError."""
    from models.facts import ModelError, load_network
    from models.tsm.export import FORMATS, export_video
    from models.tsm.network import VideoNetwork

    with working(f"loading {model}"):
        network, facts = load_network(model)
    if not isinstance(network, VideoNetwork):
        raise ModelError(
            f"{facts.name} is a {facts.architecture} network: found no frames to feed, expected a video network "
            "(`perception weights list` shows the models)"
        )
    folder = Path("export") / facts.name.replace("random:", "random-") if out is None else out
    with working(f"writing {form} files into {folder} and comparing them with torch"):
        files = export_video(network, facts, form, folder)
    for file in files:
        size = sum(p.stat().st_size for p in file.path.parent.glob(f"{file.path.stem}.*")) / 1e6
        print(f"{file.part}: {file.path} ({size:.1f} MB), largest relative difference from torch {file.difference:.1e}")
    print(f"facts: {folder / (facts.name.replace('random:', 'random-') + '.yaml')}")
    say_next("export", model, "--format", next(other for other in FORMATS if other != form))
