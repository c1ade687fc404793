"""Our own kernels: the temporal shift costs nothing, because convolutions read their first channels from the caches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from models.facts import ModelError
from models.runtime import native
from models.runtime.arrange import packed, padded, stem_of
from models.runtime.compiled import Array, Compiled, Signature, Stream
from models.runtime.lower import Unsupported, lower
from models.runtime.workspace import Workspace

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCHES = 4  # kept ready


class NativeCompiled(Compiled):
    """A network in our kernels; one input and one output beside the caches."""

    runtime = "native"

    def __init__(
        self, module: nn.Module, examples: tuple[Tensor, ...], signature: Signature, threads: int, precision: str
    ):
        if native.absence():
            raise ModelError(f"runtime native is not there: {native.absence()}")
        super().__init__(signature, threads, precision)
        self.layout = native.layout(precision)
        self.lowered = lower(module, examples)
        caches, outputs = self.lowered.inputs[1:], self.lowered.outputs[1:]
        if [(c.channels, c.height, c.width) for c in caches] != [
            (o.channels, o.rows.height, o.rows.width) for o in outputs
        ]:
            raise Unsupported("native kernels take one frame and caches, and give one result and the next caches")
        memory, stem = native.Memory(), stem_of(self.lowered)
        self.weights = {
            layer: (memory.keep(weights), memory.keep(padded(layer.bias, self.layout)))
            for layer in self.lowered.layers
            if (weights := packed(layer, self.layout, layer is stem)) is not None and layer.bias is not None
        }
        self._workspaces: OrderedDict[int, Workspace] = OrderedDict()
        self._kept(signature.shapes[0][0])

    def workspace(self, batch: int) -> Workspace:
        """A new workspace for a batch; its caches are zero."""
        return Workspace(self.lowered, self.weights, self.layout, self.threads, batch)

    def _kept(self, batch: int) -> Workspace:
        """The workspace of calls with this batch; the least recently used is forgotten."""
        if batch in self._workspaces:
            self._workspaces.move_to_end(batch)
        else:
            self._workspaces[batch] = self.workspace(batch)
            if len(self._workspaces) > BATCHES:
                self._workspaces.popitem(last=False)
        return self._workspaces[batch]

    def run(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """See Compiled."""
        workspace = self._kept(arrays[0].shape[0])
        workspace.load(arrays[1:])
        first = workspace.step(arrays[0]).copy()
        return (first, *workspace.caches())

    def describe(self) -> str:
        """See Compiled."""
        level = native.level() if self.precision == "bf16" else min(native.level(), native.AVX512)
        emulated = level == native.PLAIN or (self.precision == "bf16" and level < native.AVX512_BF16)
        found = "plain C" if emulated else native.NAMES[level]
        return f"native kernels ({found}), {self.precision}, {self.threads} threads"

    def stream(self, rows: int = 1) -> Stream:
        """See Compiled."""
        return NativeStream(self, rows)


class NativeStream(Stream):
    """Caches as rows of channels, overwritten in place. Where only some rows step, each goes through the workspace of
    one row: its caches are copied there and back (0.1 MB for MobileNetV2)."""

    compiled: NativeCompiled

    def allocate(self) -> None:
        """See Stream."""
        self._all = self.compiled.workspace(self.rows)
        self._one = self._all if self.rows == 1 else self.compiled.workspace(1)

    def step_all(self, frames: tuple[Array, ...]) -> None:
        """See Stream."""
        self._results = (self._all.step(frames[0]),)

    def step_row(self, frames: tuple[Array, ...], row: int) -> None:
        """See Stream."""
        self._all.give_row(row, self._one)
        result = self._one.step(frames[0][row : row + 1])
        self._all.take_row(row, self._one)
        self.keep((result,), row)

    def reset_row(self, row: int) -> None:
        """See Stream."""
        self._all.reset_row(row)

    @property
    def caches(self) -> tuple[Array, ...]:
        """See Stream."""
        return self._all.caches()

    def load(self, caches: Sequence[NDArray[Any]]) -> None:
        """See Stream."""
        self.check_caches(caches)
        self._all.load(caches)
