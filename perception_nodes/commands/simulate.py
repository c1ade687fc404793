"""`perception simulate`: a drive into a bag, live, or on a contact sheet."""

from __future__ import annotations

from pathlib import Path

from perception_nodes.commands.words import say_next


class SimulateError(ValueError):
    """What was asked for cannot be simulated; the message says what can."""


def run(
    *,
    scenario: str,
    rig: str,
    seed: int,
    seconds: float,
    out: Path | None,
    live: bool,
    network: bool,
    cameras: bool,
    lidar: bool,
    image_width: int,
    compensate: bool | None,
    storage: str,
    compress: bool,
    contact_sheet: Path | None,
    show_list: bool,
) -> int:
    """Do what the options ask for, the first of: list, contact sheet, live, bag. Returns the exit code."""
    if show_list:
        return print_scenarios()
    if contact_sheet is not None:
        draw_contact_sheet(contact_sheet)
        return 0
    check_names(scenario, rig)
    if live:
        from perception_nodes.nodes.environment import isolate_environment
        from perception_nodes.nodes.simulator_node import main

        if not network:
            isolate_environment()
        corrected = {None: "auto", True: "always", False: "never"}[compensate]
        arguments = [f"scenario:={scenario}", f"rig:={rig}", f"seed:={seed}", f"cameras:={str(cameras).lower()}"]
        arguments.append(f"compensate:={corrected}")
        return main(["--ros-args", *(a for argument in arguments for a in ("-p", argument))])
    if out is None:
        raise SimulateError("nothing to do: give --out BAG, --live, --contact-sheet PNG or --list")
    if not cameras and not lidar:
        raise SimulateError("found --no-cameras and --no-lidar: a drive without a sensor has nothing to record")
    from perception_nodes.simulator.record import simulate

    path = simulate(
        scenario, rig, seed, seconds, out,
        cameras=cameras, lidar=lidar, image_width=image_width, compensate=compensate, storage=storage,
        compress=compress,
    )  # fmt: skip
    print(f"wrote {path}")
    say_next("replay", path)
    return 0


def draw_contact_sheet(file: Path) -> None:
    """Draw the sheet with a progress bar. Raises SimulateError before the work where the file cannot be written."""
    from rich.progress import Progress

    from perception_nodes.simulator.contact_sheet import contact_sheet

    if not file.absolute().parent.is_dir():
        raise SimulateError(f"cannot write {file}: found no folder {file.parent}; make it first")
    with Progress() as bar:
        task = bar.add_task("drawing", total=None)
        contact_sheet(
            file, progress=lambda done, total, what: bar.update(task, completed=done, total=total, description=what)
        )
    print(f"wrote {file}")
    say_next("simulate", "--list")


def check_names(scenario: str, rig: str) -> None:
    """Raise SimulateError, naming what there is, for an unknown scenario or rig."""
    from perception_nodes.simulator.rigs import RIGS
    from perception_nodes.simulator.scenarios import SCENARIOS

    if scenario not in (*SCENARIOS, "random"):
        raise SimulateError(f"found --scenario {scenario}, expected random or one of: {', '.join(SCENARIOS)}")
    if rig not in RIGS:
        raise SimulateError(f"found --rig {rig}, expected one of: {', '.join(RIGS)}")


def print_scenarios() -> int:
    """The named scenarios as a table."""
    from rich.console import Console
    from rich.table import Table

    from perception_nodes.simulator.scenarios import SCENARIOS

    table = Table("scenario", "what happens", "light", "weather")
    for name, scenario in SCENARIOS.items():
        table.add_row(name, scenario.description, scenario.conditions.daytime, scenario.conditions.weather)
    Console().print(table)
    say_next("simulate", "--scenario", next(iter(SCENARIOS)), "--out", "drive")
    return 0
