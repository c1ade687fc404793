"""One network in training: optimiser, schedule of the learning rate, running average of its weights, its checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.facts import ModelError
from training.common.checkpoints import CHECKPOINT, OPTIMISER, read, write


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with a one-cycle schedule.

    lr: peak of the learning rate · warmup: share of the schedule spent rising · clip: largest gradient norm · ema:
    decay of the running average per step.
    """

    lr: float = 4e-3
    weight_decay: float = 0.02
    warmup: float = 0.06
    clip: float = 5.0
    ema: float = 0.998

    def optimiser(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimiser of these parameter groups."""
        return torch.optim.AdamW(groups, lr=self.lr)

    def factor(self, progress: float) -> float:
        """Learning rate at progress 0..1, as a multiple of `lr`."""
        return one_cycle(progress, self.warmup)


def one_cycle(progress: float, warmup: float) -> float:
    """Multiple of the peak rate at progress 0..1: linear up, then a half cosine down to 1/200."""
    if progress < warmup:
        return max(progress / warmup, 0.02)
    along = min((progress - warmup) / max(1.0 - warmup, 1e-9), 1.0)
    return 0.005 + 0.995 * 0.5 * (1.0 + math.cos(math.pi * along))


def decayed_groups(network: nn.Module, weight_decay: float, rates: Mapping[int, float] = {}) -> list[dict[str, Any]]:
    """Parameter groups of everything that learns: biases and batch norms are not decayed.

    rates: multiples of the learning rate by `id(parameter)`, 1 where not named; each group has its own as "rate".
    """
    found: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            found.setdefault((rates.get(id(parameter), 1.0), parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "rate": rate, "weight_decay": weight_decay if decays else 0.0}
        for (rate, decays), parameters in found.items()
    ]


class Trainee:
    """A network with its optimiser; `ema` is a state dict that follows its weights slowly and is what gets released.

    wrapped: the network in DistributedDataParallel, where several processes train · groups: parameter groups, each
    with a "rate" (multiple of the learning rate) where it has its own; default: `decayed_groups` · auxiliary: layers
    that serve the training alone; they are kept in checkpoints and never released.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        config: OptimiserConfig,
        wrapped: nn.Module | None = None,
        groups: Sequence[dict[str, Any]] | None = None,
        auxiliary: nn.Module | None = None,
    ):
        self.name, self.network, self.config, self.auxiliary = name, network, config, auxiliary
        self.forward: nn.Module = wrapped or network
        learned = network if auxiliary is None else nn.ModuleList([network, auxiliary])
        self.optimiser = config.optimiser(list(groups or decayed_groups(learned, config.weight_decay)))
        self.ema = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self.step_count, self.skipped = 0, 0

    def learn(self, loss: Tensor, progress: float) -> bool:
        """One step down `loss`; a loss or gradient that is not finite is skipped. True where the step was taken."""
        self.begin(progress)
        loss.backward()
        return self.finish()

    def begin(self, progress: float) -> None:
        """Before the gradients of a step: learning rate of this place in the schedule, old gradients gone."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.lr * group.get("rate", 1.0) * self.config.factor(progress)
        self.optimiser.zero_grad(set_to_none=True)

    def finish(self) -> bool:
        """After them: the step itself, unless a gradient is not finite. True where it was taken."""
        learned = [p for group in self.optimiser.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(learned, self.config.clip)
        if not bool(torch.isfinite(norm)):
            self.skipped += 1
            self.optimiser.zero_grad(set_to_none=True)
            return False
        self.optimiser.step()
        self.step_count += 1
        self._average()
        return True

    def restart(self, state: Mapping[str, Tensor], source: str) -> None:
        """Takes weights, and their running average, from `state`. Raises ModelError where they do not fit."""
        if not _fits(state, self.network):
            raise ModelError(f"the weights of {source} do not fit {self.name}: another network")
        self.network.load_state_dict(dict(state))
        self.ema = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The network with its averaged weights, in eval mode, for the time of a `with`; then as it was."""
        own = {k: v.clone() for k, v in self.network.state_dict().items()}
        modes = {module: module.training for module in self.network.modules()}
        self.network.load_state_dict(self.ema)
        self.network.eval()
        try:
            yield self.network
        finally:
            self.network.load_state_dict(own)
            for module, training in modes.items():
                module.training = training

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema, (1 + self.step_count) / (10 + self.step_count))
        own = self.network.state_dict()
        floats = [k for k, v in own.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.ema[k] for k in floats], [own[k] for k in floats], 1.0 - decay)
        for key, value in own.items():
            if not value.is_floating_point():
                self.ema[key].copy_(value)

    def save(self, folder: Path, notes: dict[str, Any]) -> None:
        """`<name>.checkpoint.safetensors` (weights and running average) and `<name>.optimiser.safetensors`."""
        tensors = {f"model.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.items()}
        if self.auxiliary is not None:
            tensors |= {f"aside.{k}": v for k, v in self.auxiliary.state_dict().items()}
        states = self.optimiser.state_dict()["state"]
        moments = {f"{i}.{k}": v for i, state in states.items() for k, v in state.items()}
        notes = dict(notes, steps=self.step_count, skipped=self.skipped)
        write(folder / f"{self.name}{OPTIMISER}", moments, {"steps": self.step_count})
        write(folder / f"{self.name}{CHECKPOINT}", tensors, notes)

    def load(self, folder: Path) -> dict[str, Any]:
        """Continues from `save`; returns the notes. Raises ModelError where a file is missing or of another network."""
        path = folder / f"{self.name}{CHECKPOINT}"
        tensors, notes = read(path)
        model = {k[6:]: v for k, v in tensors.items() if k.startswith("model.")}
        if not _fits(model, self.network):
            raise ModelError(f"{path} holds another network than {self.name}; give the folder of a run of {self.name}")
        moments, told = read(folder / f"{self.name}{OPTIMISER}")
        if told.get("steps") != notes.get("steps"):
            raise ModelError(
                f"{folder}: checkpoint and optimiser of {self.name} are of different steps; copy both files"
            )
        auxiliary = {k[6:]: v for k, v in tensors.items() if k.startswith("aside.")}
        if bool(auxiliary) != (self.auxiliary is not None):
            had = "with" if auxiliary else "without"
            raise ModelError(f"{path} was trained {had} auxiliary layers; set the config's extra losses alike")
        self.network.load_state_dict(model)
        if self.auxiliary is not None:
            self.auxiliary.load_state_dict(auxiliary)
        for key, value in tensors.items():
            if key.startswith("ema."):
                self.ema[key[4:]].copy_(value)
        states: dict[int, dict[str, Tensor]] = {}
        for key, value in moments.items():
            i, name = key.split(".", 1)
            states.setdefault(int(i), {})[name] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": states})
        self.step_count, self.skipped = int(notes.get("steps", 0)), int(notes.get("skipped", 0))
        return notes


def _fits(state: Mapping[str, Tensor], network: nn.Module) -> bool:
    own = network.state_dict()
    return set(state) == set(own) and all(state[k].shape == own[k].shape for k in own)
