"""What every command says: that it works, and which command to type next."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def program() -> str:
    """How this shell finds us: `perception`, or the path of a virtual environment that is not activated."""
    if shutil.which("perception"):
        return "perception"
    beside = Path(sys.executable).with_name("perception")
    if not beside.is_file():
        return "python -m perception_nodes.cli"
    here = Path.cwd()
    return shlex.quote(str(beside.relative_to(here) if beside.is_relative_to(here) else beside))


def say_next(*arguments: object) -> None:
    """Prints the command to type next."""
    print(f"next: {program()} {shlex.join(str(argument) for argument in arguments)}", flush=True)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Says what is under way: a spinner on a terminal, a line elsewhere; on stderr."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        print(f"{what} …", file=sys.stderr, flush=True)
        yield
        return
    with console.status(what, spinner="dots"):
        yield
