"""The fallback that is always there: the module itself, in channels_last, without gradients."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from models.runtime.compiled import Array, Compiled, Signature

if TYPE_CHECKING:
    from torch import Tensor, nn


class TorchCompiled(Compiled):
    """A module in torch. A copy is kept where the layout of its weights changes; the caller's module stays as it is."""

    runtime = "torch"

    def __init__(self, module: nn.Module, signature: Signature, threads: int, precision: str):
        import torch

        super().__init__(signature, threads, precision)
        self._module: Any = copy.deepcopy(module).eval().requires_grad_(False)
        for parameter in self._module.parameters():
            if parameter.ndim == 4:  # Module.to(memory_format=…) refuses networks with kernels over time
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def run(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """See Compiled."""
        import torch

        before = torch.get_num_threads()
        if before != self.threads:
            torch.set_num_threads(self.threads)
        try:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
                found = self._module(*(self._laid_out(torch.from_numpy(a)) for a in arrays))
        finally:
            if before != self.threads:
                torch.set_num_threads(before)
        found = (found,) if isinstance(found, torch.Tensor) else found
        # contiguous() of a view that happens to be contiguous would be a view of the caller's arrays or of the module's
        return tuple(t.float().clone(memory_format=torch.contiguous_format).numpy() for t in found)

    @staticmethod
    def _laid_out(tensor: Tensor) -> Tensor:
        import torch

        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    def describe(self) -> str:
        """See Compiled."""
        import torch

        return f"torch {torch.__version__}, {self.precision}, {self.threads} threads"
