"""States of random generators in checkpoints, so that a resumed run draws what the interrupted one would have."""

from __future__ import annotations

from collections.abc import Mapping

import torch

Generator = torch.Generator | str  # "cpu" and "cuda": torch's own generators, which dropout draws from


def states_of(generators: Mapping[str, Generator]) -> dict[str, str]:
    """Each generator's state as hexadecimal text."""
    return {name: _state(generator).hex() for name, generator in generators.items()}


def restore(generators: Mapping[str, Generator], states: Mapping[str, str], fresh: int | None = None) -> None:
    """Sets generators to what `states_of` gave.

    fresh: a seed to start them from instead, for processes other than the one whose states were kept. A state of
    another kind of device is replaced by a fresh one too.
    """
    for name, generator in generators.items():
        state = torch.frombuffer(bytearray.fromhex(states[name]), dtype=torch.uint8)
        if fresh is None and len(state) == len(_state(generator)):
            _set(generator, state)
        elif isinstance(generator, torch.Generator):
            generator.manual_seed(fresh or 0)
        else:
            torch.manual_seed(fresh or 0)


def _state(generator: Generator) -> bytes:
    if isinstance(generator, torch.Generator):
        state = generator.get_state()
    else:
        state = torch.cuda.get_rng_state() if generator == "cuda" else torch.get_rng_state()
    return state.numpy().tobytes()


def _set(generator: Generator, state: torch.Tensor) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif generator == "cuda":
        torch.cuda.set_rng_state(state)
    else:
        torch.set_rng_state(state)
