"""`perception convert …`: data sets, videos and pictures to bags. Each command imports its converter when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from perception_nodes.commands.options import plain

convert_app = typer.Typer(help="Data sets in official layouts, videos, pictures to bags.", no_args_is_help=True)
OutPath = Annotated[Path, typer.Argument(help="The bag to write; it must not exist yet.")]


def say_converted(converted: Any, bag: Path) -> None:
    """What a converter wrote, and the next command."""
    from perception_nodes.commands.words import say_next

    print(converted.summary())
    say_next("replay", bag)


@convert_app.command("kitti-raw")
def convert_kitti_raw(
    src: Path,
    out: OutPath,
    drive: Annotated[str | None, typer.Option(help="Which drive, by a part of its name, if there are several.")] = None,
) -> None:
    """KITTI raw (date folder, or one …_sync drive) to a bag."""
    from perception_nodes.datasets.convert import convert_kitti_raw as convert

    say_converted(convert(src, out, drive), out)


@convert_app.command("semantickitti")
def convert_semantickitti(
    src: Path,
    out: OutPath,
    sequence: Annotated[str | None, typer.Option(help="Which of sequences/NN, if there are several.")] = None,
) -> None:
    """SemanticKITTI (the folder that holds sequences/, or one sequence) to a bag with ground truth."""
    from perception_nodes.datasets.convert import convert_semantickitti as convert

    say_converted(convert(src, out, sequence), out)


@convert_app.command("nuscenes")
def convert_nuscenes(
    src: Path,
    out: OutPath,
    scene: Annotated[str | None, typer.Option(help="Which scene of the tables, if there are several.")] = None,
) -> None:
    """nuScenes (v1.0-*/ tables, or a folder with one keyframe) to a bag with ground-truth boxes and map."""
    from perception_nodes.datasets.convert_keyframes import convert_nuscenes as convert

    say_converted(convert(src, out, scene), out)


@convert_app.command("pandaset")
def convert_pandaset(src: Path, out: OutPath) -> None:
    """A PandaSet sequence in the plain layout (calibration.json, frames/) to a bag with ground truth."""
    from perception_nodes.datasets.convert_pandaset import convert_pandaset as convert

    say_converted(convert(src, out), out)


@convert_app.command("argoverse2")
def convert_argoverse2(src: Path, out: OutPath) -> None:
    """An Argoverse 2 log (official feather files, or annotations.json and sweeps/) to a bag with ground truth."""
    from perception_nodes.datasets.convert_keyframes import convert_argoverse2 as convert

    say_converted(convert(src, out), out)


Camera = Annotated[str, typer.Option(help="Name of the camera in topic and frame.")]
Encoding = Annotated[str, typer.Option(help="jpeg or png (CompressedImage); rgb8, bgr8 or mono8 (Image).")]
Topic = Annotated[
    str, typer.Option(help=plain("Topic of the pictures (default: /camera/<camera>/image[/compressed])."))
]
Width = Annotated[int | None, typer.Option(help="Reduce wider pictures to this width, px.")]
Quality = Annotated[int, typer.Option(min=1, max=100, help="Of JPEG.")]


@convert_app.command("video")
def convert_video(
    file: Annotated[Path, typer.Argument(help="A video file.")],
    out: OutPath,
    fps: Annotated[float | None, typer.Option(help="Skip frames to reach this rate, per second.")] = None,
    camera: Camera = "front",
    encoding: Encoding = "jpeg",
    topic: Topic = "",
    width: Width = None,
    quality: Quality = 95,
) -> None:
    """A video file (mp4, avi, …) to a bag of one camera."""
    from perception_nodes.datasets.convert_video import PictureOut
    from perception_nodes.datasets.convert_video import convert_video as convert

    say_converted(convert(file, out, PictureOut(camera, encoding, topic, width, quality), fps), out)


@convert_app.command("images")
def convert_images(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures, in the order of their numbers.")],
    out: OutPath,
    fps: Annotated[float, typer.Option(help="Pictures per second; the files have no times.")] = 10.0,
    camera: Camera = "front",
    encoding: Encoding = "jpeg",
    topic: Topic = "",
    width: Width = None,
    quality: Quality = 95,
) -> None:
    """A folder of pictures (jpg, png, …) to a bag of one camera."""
    from perception_nodes.datasets.convert_video import PictureOut
    from perception_nodes.datasets.convert_video import convert_images as convert

    say_converted(convert(folder, out, PictureOut(camera, encoding, topic, width, quality), fps), out)
