"""One network in training: optimiser, schedule, running average of its weights, checkpoints that can be resumed."""

from __future__ import annotations

import json
import math
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

    def learn(self, loss: Tensor, progress: float) -> bool:
        """One step down `loss`; a loss or gradient that is not finite is skipped. True where the step was taken."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.lr * one_cycle(progress, self.config.warmup)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        if not bool(torch.isfinite(norm)):
            self.skipped += 1
            self.optimiser.zero_grad(set_to_none=True)
            return False
        self.optimiser.step()
        self.step_count += 1
        self._average()
        return True

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema, (1 + self.step_count) / (10 + self.step_count))
        own = self.network.state_dict()
        floats = [k for k, v in own.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.ema[k] for k in floats], [own[k] for k in floats], 1.0 - decay)
        for key, value in own.items():
            if not value.is_floating_point():
                self.ema[key].copy_(value)

    def save(self, path: Path, notes: dict[str, Any]) -> None:
        """Weights, running average and optimiser in one safetensors file, replaced in one move."""
        from safetensors.torch import save_file

        tensors = {f"model.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.items()}
        for i, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{k}": v for k, v in state.items()}
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        notes = dict(notes, steps=self.step_count, skipped=self.skipped)
        part = path.with_suffix(".part")
        save_file(tensors, str(part), metadata={"notes": json.dumps(notes)})
        part.replace(path)

    def load(self, path: Path) -> dict[str, Any]:
        """Continues from `save`; returns the notes. Raises ModelError where the file belongs to another network."""
        from safetensors import safe_open

        with safe_open(str(path), "pt") as file:
            notes = json.loads((file.metadata() or {}).get("notes", "{}"))
            tensors = {k: file.get_tensor(k) for k in file.keys()}
        model = {k[6:]: v for k, v in tensors.items() if k.startswith("model.")}
        own = self.network.state_dict()
        if set(model) != set(own) or any(model[k].shape != own[k].shape for k in own):
            raise ModelError(
                f"{path} holds another network than {self.name}; start without --resume, or give the right folder"
            )
        self.network.load_state_dict(model)
        for key, value in tensors.items():
            if key.startswith("ema."):
                self.ema[key[4:]].copy_(value)
        states: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, i, name = key.split(".", 2)
                states.setdefault(int(i), {})[name] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": states})
        self.step_count, self.skipped = int(notes.get("steps", 0)), int(notes.get("skipped", 0))
        return notes

    def release(self, path: Path, notes: dict[str, Any]) -> None:
        """Writes the averaged weights alone."""
        from safetensors.torch import save_file

        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in self.ema.items()}
        save_file(tensors, str(path), metadata={"notes": json.dumps(notes)})
