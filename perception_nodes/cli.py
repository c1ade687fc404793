"""`perception …`: thin; every command imports what it runs when it runs, so that --help answers at once."""

from __future__ import annotations

import os
import signal
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from perception_nodes.children import Ended, end_cleanly_on_signals
from perception_nodes.commands.convert import convert_app
from perception_nodes.commands.options import with_system_options

OURS = ("perception_nodes", "models", "training", "benchmarks")


class Commands(TyperGroup):
    """Commands that Ctrl-C ends with our sentence; click would print "Aborted." alone."""

    def invoke(self, context: Any) -> Any:
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            raise Ended(signal.SIGINT) from None


app = typer.Typer(
    cls=Commands,
    help="Streaming perception for vehicles on plain CPU cores.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
weights_app = typer.Typer(
    help="The trained models: list and check them, import others.", no_args_is_help=True
)
style_app = typer.Typer(help="Pictures in a generator's latent space: project, edit.", no_args_is_help=True)
app.add_typer(convert_app, name="convert")
app.add_typer(weights_app, name="weights")
app.add_typer(style_app, name="style")

BagPath = Annotated[Path, typer.Argument(help="A rosbag2 folder, or a single .mcap or .db3 file.")]
Network = Annotated[
    bool, typer.Option("--network", help="Use this shell's DDS settings; without it, this machine only.")
]


class Storage(str, Enum):
    """rosbag2 storage plugins."""

    mcap = "mcap"
    sqlite3 = "sqlite3"


class ExportFormat(str, Enum):
    """Files that a network can be written as."""

    onnx = "onnx"
    openvino = "openvino"


@app.command()
def demo(
    seconds: Annotated[float, typer.Option(help="Length of the drive, s.")] = 8.0,
    out: Annotated[Path, typer.Option(help="Where results/<stamp>/ goes.")] = Path("results"),
    model: Annotated[
        str | None, typer.Option(help="Network of the LiDAR's node: a model of models/weights, or a folder.")
    ] = None,
) -> None:
    """Replay a held-out simulated drive over DDS through the trained networks, score it, draw it."""
    from perception_nodes.commands.demo import run

    run(seconds=seconds, root=out, model=model)


@app.command()
def up(
    config: Annotated[Path | None, typer.Option(help="The stack's YAML (default: config/perception.yaml).")] = None,
    composed: Annotated[bool, typer.Option(help="All nodes in one process.")] = True,
    view: Annotated[bool, typer.Option(help="Show what the nodes read and write live in rerun.")] = False,
    network: Network = False,
) -> None:
    """Start the stack without ros2 launch (pip machines); Ctrl-C ends it."""
    from perception_nodes.commands.up import run

    raise typer.Exit(run(config, composed=composed, network=network, view=view))


@app.command()
@with_system_options
def replay(
    bag: BagPath,
    record: Annotated[Path | None, typer.Option(help="Record the outputs into this new bag.")] = None,
    rate: Annotated[
        float, typer.Option(help="1: real time, messages may be dropped; 0: each waits for the last one's answer.")
    ] = 0.0,
    start: Annotated[float, typer.Option(help="Seconds of the bag to skip.")] = 0.0,
    duration: Annotated[float | None, typer.Option(help="Seconds of the bag to play.")] = None,
    points: Annotated[
        str, typer.Option(help="Topic of the clouds; default: /lidar/points, else the bag's only PointCloud2 topic.")
    ] = "",
    nodes: Annotated[str, typer.Option(help="Names a,b,… of systems; default: all that the bag has input for.")] = "",
    cameras: Annotated[str, typer.Option(help="Cameras a,b,…; default: front, else the first.")] = "",
    offline: Annotated[bool, typer.Option(help="Without ROS, as fast as possible; the outputs are equal.")] = False,
    view: Annotated[bool, typer.Option(help="Show the replay live in rerun.")] = False,
    report: Annotated[bool, typer.Option(help="Score and draw what was recorded, into results/.")] = True,
    network: Network = False,
    domain: Annotated[
        int | None, typer.Option(help="ROS domain; default: a free one (with --network: this shell's ROS_DOMAIN_ID).")
    ] = None,
    **options: Any,
) -> None:
    """Replay a bag through its nodes over DDS; record, score and draw."""
    from perception_nodes.commands.replay import run

    run(
        bag, record, rate=rate, start=start, duration=duration, nodes=split(nodes), cameras=split(cameras),
        points=points, offline=offline, view=view, report=report, network=network, domain=domain, **options,
    )  # fmt: skip


def split(names: str) -> tuple[str, ...]:
    """ "a, b" -> ("a", "b")."""
    return tuple(name.strip() for name in names.split(",") if name.strip())


@app.command()
def robustness(
    bag: BagPath,
    styles: Annotated[str, typer.Option(help="Styles a,b,… of the trained ones, or model folders.")] = "night,rain,fog",
    strength: Annotated[float, typer.Option(help="0: the picture itself; 1: the style.")] = 1.0,
    nodes: Annotated[
        str, typer.Option(help="Names a,b,… of systems; default: all that read a camera of the bag.")
    ] = "",
    cameras: Annotated[str, typer.Option(help="Cameras a,b,…; default: as for replay.")] = "",
    start: Annotated[float, typer.Option(help="Seconds of the bag to skip.")] = 0.0,
    duration: Annotated[float | None, typer.Option(help="Seconds of the bag to use.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Folder to keep the restyled bags in.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads of the style's network.")] = 2,
    root: Annotated[Path, typer.Option(help="Where results/<stamp>/ goes.")] = Path("results"),
    set_: Annotated[
        list[str], typer.Option("--set", help="An option of replay as NAME=VALUE, such as detector=tsm-detector-lite.")
    ] = [],  # noqa: B006
) -> None:
    """Restyle a bag's cameras (night, rain, fog), run the stack on each version, report what changes."""
    from perception_nodes.commands.options import chosen_options
    from perception_nodes.commands.robustness import run

    run(
        bag, split(styles), strength=strength, nodes=split(nodes), cameras=split(cameras), start=start,
        duration=duration, keep=keep, threads=threads, root=root, **chosen_options(set_),
    )  # fmt: skip


@app.command()
def evaluate(
    output: Annotated[Path, typer.Argument(help="The bag with recorded outputs (perception replay --record).")],
    truth: Annotated[Path | None, typer.Option(help="The bag that was replayed, with its ground truth.")] = None,
    root: Annotated[Path, typer.Option(help="Where results/<stamp>/ goes.")] = Path("results"),
    pictures: Annotated[int, typer.Option(help="How many sweeps to draw.")] = 6,
) -> None:
    """Score recorded outputs without ROS: metrics.json and report.html with pictures."""
    from perception_nodes.commands.words import say_next
    from perception_nodes.evaluation.show import print_metrics
    from perception_nodes.systems import SCORERS
    from perception_nodes.systems.evaluate import evaluate as score

    print_metrics(score(output, truth, root, pictures), SCORERS)
    say_next(*("view", output, *(("--with", truth) if truth is not None else ())))


@app.command()
def simulate(
    scenario: Annotated[str, typer.Option(help="A scenario's name, or 'random'; --list shows them.")] = "random",
    rig: Annotated[str, typer.Option(help="nuscenes, kitti or vlp16.")] = "kitti",
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    seconds: Annotated[float, typer.Option(help="Length of the drive, s.")] = 10.0,
    out: Annotated[Path | None, typer.Option(help="The bag to write.")] = None,
    live: Annotated[
        bool, typer.Option(help="Stream it as simulator_node instead, with /clock, TF and ground truth.")
    ] = False,
    network: Network = False,
    cameras: Annotated[bool, typer.Option(help="Render the cameras.")] = True,
    lidar: Annotated[bool, typer.Option(help="Cast the LiDAR.")] = True,
    image_width: Annotated[int, typer.Option(help="Width of the camera images, pixels.")] = 704,
    compensate: Annotated[
        bool | None,
        typer.Option(help="Correct sweeps for the vehicle's motion; by default as the rig's data set has them."),
    ] = None,
    storage: Annotated[Storage, typer.Option(help="Format of the bag.")] = Storage.mcap,
    compress: Annotated[bool, typer.Option(help="Compress the bag with zstd.")] = False,
    contact_sheet: Annotated[
        Path | None, typer.Option(help="Draw every scenario, weather and sensor into this PNG.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name the scenarios.")] = False,
) -> None:
    """Drive through the embedded world: into a bag, or live."""
    from perception_nodes.commands.simulate import run

    code = run(
        scenario=scenario, rig=rig, seed=seed, seconds=seconds, out=out, live=live, network=network,
        cameras=cameras, lidar=lidar, image_width=image_width, compensate=compensate,
        storage=storage.value, compress=compress,
        contact_sheet=contact_sheet, show_list=list_,
    )  # fmt: skip
    raise typer.Exit(code)


@weights_app.command("list")
def weights_list() -> None:
    """The models at hand, with what they are and how they scored."""
    from perception_nodes.commands.weights import show

    show()


@weights_app.command("verify")
def weights_verify(name: Annotated[str | None, typer.Argument(help="One model (default: all).")] = None) -> None:
    """Compare every weights file with the hash in its model.yaml."""
    from perception_nodes.commands.weights import verify

    raise typer.Exit(verify(name))


@weights_app.command("import")
def weights_import(
    checkpoint: Annotated[
        Path, typer.Argument(help="A released SPVNAS, PVCNN, TSM, BEVFusion or GAN checkpoint (torch file).")
    ],
    out: Annotated[
        Path | None, typer.Argument(help="The model folder to write (default: the file's name without its ending).")
    ] = None,
    architecture: Annotated[
        str,
        typer.Option(
            help="minkunet, spvcnn, spvnas, pvcnn-{s3dis,shapenet}, tsm, bevfusion, gan; auto: bevfusion or gan where "
            "the file has their keys, else spvcnn."
        ),
    ] = "auto",
    config: Annotated[Path | None, typer.Option(help="JSON beside it: SPVNAS's net.config, SPADE's sizes.")] = None,
) -> None:
    """Turn an official checkpoint into a model folder (safetensors + model.yaml). Never unpickles code."""
    from perception_nodes.commands.weights import import_checkpoint

    import_checkpoint(checkpoint, out or Path(checkpoint.name.split(".")[0]), architecture, config)


@style_app.command("project")
def style_project(
    picture: Annotated[Path, typer.Argument(help="A picture; its middle is cut to a square.")],
    model: Annotated[str, typer.Option(help="A gan-anycost model of models/weights, or a folder.")],
    out: Annotated[Path, typer.Option(help="The latent vectors to write (.npz), and a picture beside them.")],
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 150,
) -> None:
    """Find the latent vectors whose picture is closest to a given one."""
    from perception_nodes.commands.style import project

    project(picture, model, out, steps)


@style_app.command("edit")
def style_edit(
    model: Annotated[str, typer.Option(help="A gan-anycost model of models/weights, or a folder.")],
    latent: Annotated[Path | None, typer.Option(help="Latent vectors of `perception style project`.")] = None,
    seed: Annotated[int, typer.Option(help="Without --latent: a random picture by its number.")] = 0,
    values: Annotated[list[str] | None, typer.Option("--set", help="NAME=NUMBER in standard deviations.")] = None,
    out: Annotated[Path, typer.Option(help="Where preview.png and final.png go.")] = Path("edited"),
    page: Annotated[bool, typer.Option("--page", help="Serve a page with sliders on 127.0.0.1 instead.")] = False,
    port: Annotated[int, typer.Option(help="Of the page; 0: a free one.")] = 0,
) -> None:
    """Edit a generated or projected picture: a cheap preview and the full picture."""
    from perception_nodes.commands.style import edit

    edit(model, latent, seed, values or [], out, page, port)


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="A model of models/weights, a model folder, or random:<preset>.")],
    format_: Annotated[ExportFormat, typer.Option("--format", help="What to write.")] = ExportFormat.onnx,
    out: Annotated[Path | None, typer.Option(help="The folder to write into (default: export/<model>).")] = None,
) -> None:
    """A video network as files for other programs: step with caches in and out, clip, facts; compared with torch."""
    from perception_nodes.commands.export import run

    run(model, format_.value, out)


@app.command()
def view(
    file: Annotated[Path, typer.Argument(help="A bag (inputs or recorded outputs) or an .rrd file.")],
    save: Annotated[Path | None, typer.Option(help="Write an .rrd file instead of opening the viewer.")] = None,
    with_: Annotated[
        Path | None, typer.Option("--with", help="Show this bag, too: the cameras and clouds behind recorded outputs.")
    ] = None,
) -> None:
    """Look at a bag in rerun: labelled cloud, camera, latency."""
    from perception_nodes.systems import PANELS
    from perception_nodes.viewer.view import view as show

    show(file, save, PANELS, with_)


@app.command()
def doctor(
    measure: Annotated[bool, typer.Option("--measure", help="Measure the runtimes of dense networks again.")] = False,
) -> None:
    """What is installed, what will be used and why, what is missing and how to get it."""
    from perception_nodes.commands.doctor import examine

    raise typer.Exit(examine(measure))


def main() -> None:
    """Console entry point: our own errors and missing files become one sentence and exit code 1."""
    end_cleanly_on_signals()
    try:
        app(prog_name="perception")
    except Ended as ended:
        signal.setitimer(signal.ITIMER_REAL, 0)
        name = "Ctrl-C" if ended.name == "SIGINT" else ended.name
        print(f"perception: ended by {name}; what was half-written is removed", file=sys.stderr)
        sys.exit(ended.code)
    except Exception as error:
        module = type(error).__module__.split(".")[0]
        told = module in OURS or isinstance(error, (OSError, ImportError))
        if not told or os.environ.get("PERCEPTION_TRACEBACK"):
            raise
        print(f"perception: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.exit(130)


if __name__ == "__main__":
    main()
