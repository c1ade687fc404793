"""The engines that `benchmarks.sparse` compares. Each one: `index(coords)` builds maps, `compute(maps, feats)` gives
logits [N, classes].
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .sparse_plan import Block, Conv, UNet, convolutions


class Engine(Protocol):
    """index: voxels int32 [N, 4] sorted -> maps. compute: maps, float32 [N, 4] -> float32 [N, classes]."""

    name: str

    def threads(self, count: int) -> None: ...

    def index(self, coords: np.ndarray) -> Any: ...

    def compute(self, maps: Any, feats: np.ndarray) -> np.ndarray: ...


class Ours:
    """models.sparse: the network as one call of the compiled engine; layer by layer in numpy without it."""

    PRECISIONS = {"ours_fp32": "fp32", "ours_bf16": "int16", "ours_int8": "int8"}

    def __init__(self, plan: UNet, name: str) -> None:
        from models.sparse import fused, native

        self.name, self.precision = name, self.PRECISIONS[name]
        self.plan, self.count = plan, 1
        self.fused = fused
        self.packed: dict[int, Any] = {}
        for conv in convolutions(plan):
            # The first layer reads four raw channels: float, and next to nothing of the work.
            kind = "fp32" if conv is plan.stem[0] else self.precision
            self.packed[id(conv)] = fused.pack([conv.kernel], conv.bias, kind)
        for b in [b for stage in plan.up for b in stage[1:]] + [b for stage in plan.down for b in stage[1:]]:
            self._pack_block(b)
        self.program: Any = None
        if native.library() is not None:
            from models.sparse.program import Frame, Program

            outputs = plan.classifier.kernel.shape[2]
            self.program = Program(self._network, plan.stem[0].kernel.shape[1], outputs)
            self.frame = Frame()

    def _pack_block(self, block: Block) -> None:
        outputs = block.first.kernel.shape[2]
        channels = block.first.kernel.shape[1]
        parts = [slice(0, outputs), slice(outputs, channels)] if self._concatenated(block) else [slice(0, channels)]
        pack = self.fused.pack
        self.packed[id(block.first)] = pack([block.first.kernel[:, p] for p in parts], block.first.bias, self.precision)
        if block.shortcut is not None:
            kernels = [block.second.kernel] + [block.shortcut.kernel[:, p] for p in parts]
            bias = block.second.bias + block.shortcut.bias
            self.packed[id(block.second)] = pack(kernels, bias, self.precision)

    def _concatenated(self, block: Block) -> bool:
        return any(block is stage[1] for stage in self.plan.up)

    def threads(self, count: int) -> None:
        from models.sparse import native

        self.count = count
        native.set_threads(count)

    def index(self, coords: np.ndarray) -> Any:
        if self.program is not None:
            from models.sparse.keys import pack

            self.frame.index(self.program, pack(coords), self.count)
            return None
        from models.sparse import build_maps

        maps = build_maps(coords)
        for level in maps.levels[1:]:
            level.up()
        return maps

    def _block(self, block: Block, sources: list[Any], level: Any) -> Any:
        found, n = level.submanifold(3), len(level)
        first = self.packed[id(block.first)]
        hidden = self.fused.convolve(first, [(x, found) for x in sources], n, threads=self.count)
        inputs = [(hidden, found)] + ([(x, None) for x in sources] if block.shortcut else [])
        rest = None if block.shortcut else sources[0]
        return self.fused.convolve(self.packed[id(block.second)], inputs, n, residual=rest, threads=self.count)

    def compute(self, maps: Any, feats: np.ndarray) -> np.ndarray:
        if self.program is not None:
            return self.frame.compute(self.program, feats, self.count)
        return self._network(self.fused.Rows.of(feats), maps)

    def _network(self, x: Any, maps: Any) -> Any:
        plan, levels, run = self.plan, maps.levels, self.fused.convolve
        same = levels[0].submanifold(3)
        for conv in plan.stem:
            kind = self.precision
            x = run(self.packed[id(conv)], [(x, same)], len(levels[0]), out_precision=kind, threads=self.count)
        skips = [x]
        for i, (conv, a, b) in enumerate(plan.down):
            coarse = levels[i + 1]
            x = run(self.packed[id(conv)], [(x, levels[i].down()[1])], len(coarse), threads=self.count)
            x = self._block(b, [self._block(a, [x], coarse)], coarse)
            skips.append(x)
        for i, (conv, a, b) in enumerate(plan.up):
            fine = levels[3 - i]
            x = run(self.packed[id(conv)], [(x, levels[4 - i].up()[1])], len(fine), threads=self.count)
            x = self._block(b, [self._block(a, [x, skips[3 - i]], fine)], fine)
        last = self.packed[id(plan.classifier)]
        logits = run(last, [(x, None)], len(levels[0]), relu=False, out_precision="fp32", threads=self.count)
        return logits.array()


class Torch:
    """Plain torch: maps by bisection, convolution by gather, mm and index_add offset by offset (models.sparse's torch
    engine).
    """

    name = "torch"

    def __init__(self, plan: UNet) -> None:
        import torch

        self.plan, self.torch = plan, torch
        self.weights = {id(c): (torch.from_numpy(c.kernel), torch.from_numpy(c.bias)) for c in convolutions(plan)}

    def threads(self, count: int) -> None:
        self.torch.set_num_threads(count)

    def index(self, coords: np.ndarray) -> Any:
        from models.sparse import index, keys

        levels, same, down = [keys.pack(coords)], [], []
        for _ in range(4):
            parents = np.unique(index.halve_keys(levels[-1]))
            doubled = keys.pack(keys.unpack(parents, (2, 2, 2)))
            down.append(index.search_map(levels[-1], doubled, (2, 2, 2), (1, 1, 1)))
            levels.append(parents)
        same = [index.search_map(k, k, (3, 3, 3), (1, 1, 1), centre=True) for k in levels]
        return same, down, [found.transposed for found in down]

    def compute(self, maps: Any, feats: np.ndarray) -> np.ndarray:
        torch, plan = self.torch, self.plan
        same, down, up = maps

        def conv(c: Conv, x: Any, relu: bool = True) -> Any:
            from models.sparse.torch_backend import convolve

            weight, bias = self.weights[id(c)]
            if c.kind == "point":
                y = torch.addmm(bias, x, weight[0])
            else:
                table = {"same": same, "down": down, "up": up}[c.kind]
                y = convolve(x, weight, table[c.level]).add_(bias)
            return y.relu_() if relu else y

        def block(b: Block, x: Any) -> Any:
            y = conv(b.second, conv(b.first, x), relu=False)
            return y.add_(conv(b.shortcut, x, relu=False) if b.shortcut else x).relu_()

        with torch.inference_mode():
            return self._unet(plan, torch.from_numpy(feats), conv, block).numpy()

    def _unet(self, plan: UNet, x: Any, conv: Any, block: Any) -> Any:
        for c in plan.stem:
            x = conv(c, x)
        skips = [x]
        for c, a, b in plan.down:
            x = block(b, block(a, conv(c, x)))
            skips.append(x)
        for i, (c, a, b) in enumerate(plan.up):
            x = block(b, block(a, self.torch.cat([conv(c, x), skips[3 - i]], dim=1)))
        return conv(plan.classifier, x, relu=False)


class Spconv:
    """spconv (pip) on the CPU, its native algorithm. With more than one thread its results vary from call to call (a
    data race).
    """

    name = "spconv"

    def __init__(self, plan: UNet) -> None:
        import spconv.pytorch as spconv
        import torch

        self.plan, self.torch, self.spconv = plan, torch, spconv
        self.layers: dict[int, tuple[Any, Any]] = {}
        for c in convolutions(plan):
            self.layers[id(c)] = (self._layer(c), torch.from_numpy(c.bias))

    def _layer(self, c: Conv) -> Any:
        torch, spconv = self.torch, self.spconv
        _, channels, outputs = c.kernel.shape
        weight = torch.from_numpy(c.kernel)
        if c.kind == "point":
            return weight[0]
        native = spconv.ConvAlgo.Native
        arguments = {"bias": False, "algo": native}
        if c.kind == "same":
            layer = spconv.SubMConv3d(channels, outputs, 3, indice_key=f"same{c.level}", **arguments)
            # Weights are [out, x, y, z, in] there; ours run x fastest for 3^3 and z fastest for 2^3.
            laid = weight.reshape(3, 3, 3, channels, outputs).permute(4, 2, 1, 0, 3)
        else:
            if c.kind == "down":
                layer = spconv.SparseConv3d(channels, outputs, 2, stride=2, indice_key=f"down{c.level}", **arguments)
            else:
                layer = spconv.SparseInverseConv3d(channels, outputs, 2, indice_key=f"down{c.level}", **arguments)
            laid = weight.reshape(2, 2, 2, channels, outputs).permute(4, 0, 1, 2, 3)
        assert layer.weight.shape == laid.shape, (layer.weight.shape, laid.shape)
        with torch.no_grad():
            layer.weight.copy_(laid)
        return layer.eval()

    def threads(self, count: int) -> None:
        self.torch.set_num_threads(count)

    def index(self, coords: np.ndarray) -> Any:
        """The tensor without maps: spconv builds them inside its first pass; `benchmarks.sparse` takes the difference
        to a second.
        """
        xyz = coords[:, :3] - coords[:, :3].min(0) // 16 * 16
        indices = self.torch.from_numpy(np.ascontiguousarray(np.column_stack([coords[:, 3], xyz]), np.int32))
        shape = (xyz.max(0) // 16 * 16 + 16).tolist()
        return {"indices": indices, "shape": shape, "maps": {}}

    def compute(self, maps: Any, feats: np.ndarray) -> np.ndarray:
        torch = self.torch
        x = self.spconv.SparseConvTensor(torch.from_numpy(feats), maps["indices"], maps["shape"], 1)
        x.indice_dict = maps["maps"]

        def conv(c: Conv, x: Any, relu: bool = True) -> Any:
            layer, bias = self.layers[id(c)]
            if c.kind == "point":
                y = x.replace_feature(torch.addmm(bias, x.features, layer))
            else:
                y = layer(x)
                y = y.replace_feature(y.features.add_(bias))
            return y.replace_feature(y.features.relu_()) if relu else y

        def block(b: Block, x: Any) -> Any:
            y = conv(b.second, conv(b.first, x), relu=False)
            rest = conv(b.shortcut, x, relu=False) if b.shortcut else x
            return y.replace_feature((y.features + rest.features).relu_())

        with torch.inference_mode():
            return self._unet(x, conv, block).features.numpy()

    def _unet(self, x: Any, conv: Any, block: Any) -> Any:
        for c in self.plan.stem:
            x = conv(c, x)
        skips = [x]
        for c, a, b in self.plan.down:
            x = block(b, block(a, conv(c, x)))
            skips.append(x)
        for i, (c, a, b) in enumerate(self.plan.up):
            x = conv(c, x)
            x = x.replace_feature(self.torch.cat([x.features, skips[3 - i].features], dim=1))
            x = block(b, block(a, x))
        return conv(self.plan.classifier, x, relu=False)
