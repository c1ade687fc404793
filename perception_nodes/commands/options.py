"""Options of a command that belong to the systems: one for each launch argument of their declarations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import typer

from perception_nodes.config import ConfigError
from perception_nodes.launch_values import convert
from perception_nodes.systems import SYSTEMS
from perception_nodes.systems.launch import Argument

TYPES: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool}
F = TypeVar("F", bound=Callable[..., None])


def plain(text: str) -> str:
    """A help text without markup: typer hands it to rich, which would take [x] for a style."""
    return text.replace("[", r"\[")


def system_options() -> dict[str, Argument]:
    """Name -> argument of every system."""
    return {argument.name: argument for system in SYSTEMS for argument in system.launch.options().values()}


def with_system_options(command: F) -> F:
    """A typer command that ends in `**options`: typer sees an option for every argument of the systems there."""
    signature = inspect.signature(command, eval_str=True)
    parameters = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    for argument in system_options().values():
        kind = TYPES[argument.kind]
        words = argument.description[:1].upper() + argument.description[1:]
        choices = f" ({', '.join(argument.choices)})" if argument.choices else ""
        parameters.append(
            inspect.Parameter(
                argument.name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=Annotated[kind, typer.Option(help=plain(f"{words}{choices}."))],
                default=kind(argument.default),
            )
        )
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def chosen_options(settings: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE texts -> options of the systems by argument. Raises ConfigError for an unknown name or a bad value."""
    known, found = system_options(), {}
    for text in settings:
        name, given, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not given or name not in known:
            raise ConfigError(f"--set {text}: expected NAME=VALUE with a name of {', '.join(sorted(known))}")
        found[name] = convert(known[name], value.strip())
    return found
