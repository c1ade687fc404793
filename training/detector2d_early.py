"""The detector's first layers, which do not learn: by OpenVINO where it is installed, several times torch's speed."""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor, nn

from models.tsm.detector import EARLY, TsmDetector
from models.tsm.shift import ClipTime, run


class EarlyLayers:
    """Frames float32 [B, 3, H, W] -> `TsmDetector.early` of them, for one fixed B and size."""

    def __init__(self, detector: TsmDetector, batch: int, size: tuple[int, int]):
        self._layers = _Early(detector).eval()
        self._compiled = None
        if importlib.util.find_spec("openvino"):
            import openvino

            example = torch.zeros(batch, 3, *size)
            with torch.no_grad():
                graph = openvino.convert_model(self._layers, example_input=example, input=[tuple(example.shape)])
            options = {"INFERENCE_NUM_THREADS": str(torch.get_num_threads()), "PERFORMANCE_HINT": "LATENCY"}
            self._compiled = openvino.compile_model(graph, "CPU", options).create_infer_request()

    @torch.no_grad()
    def __call__(self, frames: Tensor) -> Tensor:
        """See the class."""
        if self._compiled is None:
            return self._layers(frames)
        out = self._compiled.infer([frames.contiguous().numpy()])[0]
        return torch.from_numpy(out.copy()).contiguous(memory_format=torch.channels_last)


class _Early(nn.Module):
    """`TsmDetector.early` without the rest of the detector."""

    def __init__(self, detector: TsmDetector):
        super().__init__()
        self.layers = detector.backbone.features[:EARLY]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = run(layer, x, ClipTime(1))
        return x
