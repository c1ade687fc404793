"""One network in training: optimiser, schedule, running average of its weights, checkpoints that can be resumed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.facts import ModelError


@dataclass(frozen=True)
class OptimiserConfig:
    """lr: peak of the one-cycle schedule · warmup: share of the budget spent rising · clip: largest gradient norm ·
    ema: decay of the running average per step."""

    lr: float = 4e-3
    weight_decay: float = 0.02
    warmup: float = 0.06
    clip: float = 5.0
    ema: float = 0.998


def one_cycle(progress: float, warmup: float) -> float:
    """Factor of the peak rate at progress 0..1: linear up, then a half cosine down to 1/200."""
    if progress < warmup:
        return max(progress / warmup, 0.02)
    along = min((progress - warmup) / max(1.0 - warmup, 1e-9), 1.0)
    return 0.005 + 0.995 * 0.5 * (1.0 + math.cos(math.pi * along))


class Trainee:
    """A network with AdamW; `ema` is a state dict that follows its weights slowly and is what gets released."""

    def __init__(self, name: str, network: nn.Module, config: OptimiserConfig, wrapped: nn.Module | None = None):
        self.name, self.network, self.config = name, network, config
        self.forward: nn.Module = wrapped or network  # DistributedDataParallel where several processes train
        decay = [p for p in network.parameters() if p.ndim > 1]
        plain = [p for p in network.parameters() if p.ndim <= 1]  # biases and batch norms are not decayed
        groups = [{"params": decay, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=config.lr)
        self.ema = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self.step_count, self.skipped = 0, 0

    aside: nn.Module | None = None  # layers that serve the training alone: kept in checkpoints, never released

    def learn(self, loss: Tensor, progress: float) -> bool:
        """One step down `loss`; a loss or gradient that is not finite is skipped. True where the step was taken."""
        self.begin(progress)
        loss.backward()
        return self.finish()

    def begin(self, progress: float) -> None:
        """Before the gradients of a step: learning rate of this place in the schedule, old gradients gone."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.lr * one_cycle(progress, self.config.warmup)
        self.optimiser.zero_grad(set_to_none=True)

    def finish(self) -> bool:
        """After them: the step itself, unless a gradient is not finite. True where it was taken."""
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
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
        own = self.network.state_dict()
        if set(state) != set(own) or any(state[k].shape != own[k].shape for k in own):
            raise ModelError(f"the weights of {source} do not fit {self.name}: another network")
        self.network.load_state_dict(dict(state))
        self.ema = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The network with its averaged weights, in eval mode, for the time of a `with`."""
        own = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.ema)
        self.network.eval()
        try:
            yield self.network
        finally:
            self.network.load_state_dict(own)

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
        if self.aside is not None:
            tensors |= {f"aside.{k}": v for k, v in self.aside.state_dict().items()}
        states = self.optimiser.state_dict()["state"]
        moments = {f"{i}.{k}": v for i, state in states.items() for k, v in state.items()}
        notes = dict(notes, steps=self.step_count, skipped=self.skipped)
        _write(folder / f"{self.name}.optimiser.safetensors", moments, {"steps": self.step_count})
        _write(folder / f"{self.name}.checkpoint.safetensors", tensors, notes)

    def load(self, folder: Path) -> dict[str, Any]:
        """Continues from `save`; returns the notes. Raises ModelError where a file is missing or of another network."""
        path = folder / f"{self.name}.checkpoint.safetensors"
        tensors, notes = read(path)
        model = {k[6:]: v for k, v in tensors.items() if k.startswith("model.")}
        own = self.network.state_dict()
        if set(model) != set(own) or any(model[k].shape != own[k].shape for k in own):
            raise ModelError(f"{path} holds another network than {self.name}; give the folder of a run of {self.name}")
        moments, told = read(folder / f"{self.name}.optimiser.safetensors")
        if told.get("steps") != notes.get("steps"):
            raise ModelError(
                f"{folder}: checkpoint and optimiser of {self.name} are of different steps; copy both files"
            )
        aside = {k[6:]: v for k, v in tensors.items() if k.startswith("aside.")}
        if bool(aside) != (self.aside is not None):
            raise ModelError(f"{path} was trained {'with' if aside else 'without'} an extra lesson; set motion alike")
        self.network.load_state_dict(model)
        if self.aside is not None:
            self.aside.load_state_dict(aside)
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


def _write(path: Path, tensors: dict[str, Tensor], notes: dict[str, Any]) -> None:
    """A safetensors file with notes, replaced in one move."""
    from safetensors.torch import save_file

    part = path.with_suffix(".part")
    whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    save_file(whole, str(part), metadata={"notes": json.dumps(notes)})
    part.replace(path)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, notes) of a checkpoint file. Raises ModelError where there is none."""
    from safetensors import safe_open

    if not path.is_file():
        raise ModelError(f"no {path}: expected the --out folder of an earlier run with the same --arch")
    with safe_open(str(path), "pt") as file:
        notes = json.loads((file.metadata() or {}).get("notes", "{}"))
        return {k: file.get_tensor(k) for k in file.keys()}, notes


def averaged_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(state dict of the running average, notes) of a checkpoint: what gets released."""
    tensors, notes = read(path)
    return {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")}, notes
