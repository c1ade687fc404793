"""This process among those that train together: one alone, or several started by torchrun."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from models.errors import ModelError


@dataclass(frozen=True)
class Process:
    """rank of this process, number of processes (`world`), and its device."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")

    @staticmethod
    def start(device: str = "auto") -> Process:
        """Joins the group where torchrun started this process (nccl on GPUs, gloo on CPUs).

        device: "cpu", "cuda" or "auto" (a GPU where there is one).
        """
        world = int(os.environ.get("WORLD_SIZE", "1"))
        cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
        rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
        if world > 1:
            torch.distributed.init_process_group("nccl" if cuda else "gloo")
        return Process(rank, world, torch.device("cuda", local) if cuda else torch.device("cpu"))

    def leave(self) -> None:
        """Leaves the group that `start` joined."""
        if self.world > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    def alone(self, who: str) -> None:
        """Raises ModelError where several processes train. who: what cannot be trained so, a plural or a name."""
        if self.world > 1:
            raise ModelError(f"{who} in one process: call it without torchrun")

    def mean(self, value: float) -> float:
        """The mean of `value` over the processes."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, device=self.device, dtype=torch.float64)
        torch.distributed.all_reduce(shared)
        return float(shared) / self.world

    def any(self, flag: bool) -> bool:
        """True on every process where it is true on one: so all leave a loop at the same step."""
        return self.mean(float(flag)) > 0.0

    def parallel(self, network: torch.nn.Module, broadcast_buffers: bool = True) -> torch.nn.Module:
        """The network, wrapped in DistributedDataParallel where several processes train."""
        if self.world == 1:
            return network
        ids = [self.device.index] if self.device.type == "cuda" else None
        return torch.nn.parallel.DistributedDataParallel(network, device_ids=ids, broadcast_buffers=broadcast_buffers)


def hardware() -> str:
    """This machine in a few words: its GPU, or its processor and number of cores."""
    import platform
    from pathlib import Path

    if torch.cuda.is_available():
        return f"one GPU ({torch.cuda.get_device_name()})"
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores"
