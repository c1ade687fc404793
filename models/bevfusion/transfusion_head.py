"""TransFusion's detection head (Bai et al., CVPR 2022): queries at the peaks of a class heatmap, refined by attention.

BEV rows are x, columns are y. Labels are positions in the model's class list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.bevfusion.blocks import ConvModule
from models.bevfusion.box_coder import BoxCoder
from models.bevfusion.prediction_heads import BOX_HEADS, PredictionHeads
from models.bevfusion.query_decoder import DecoderLayer

NO_SUPPRESSION = (8, 9)  # nuScenes: pedestrians and traffic cones stand closer than a cell apart


class Queries(NamedTuple):
    """What the decoder layers found for every query.

    layers: per decoder layer center [B, 2, Q] (cells), height [B, 1, Q], dim [B, 3, Q], rot [B, 2, Q] (sin, cos), vel
    [B, 2, Q], heatmap [B, classes, Q] (logits) · labels [B, Q], class of the heatmap peak · peak_scores [B, classes,
    Q], heatmap at the query's place, zero where it is not a peak · heatmap [B, classes, X, Y], logits.
    """

    layers: list[dict[str, Tensor]]
    labels: Tensor
    peak_scores: Tensor
    heatmap: Tensor


class TransFusionHead(nn.Module):
    """in_channels: of the decoder's BEV map · channels, heads, hidden: of the transformer · queries: boxes per sample ·
    layers: decoder layers · peak_size: side of the window in which a peak is the largest, cells.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        coder: BoxCoder,
        queries: int = 200,
        channels: int = 128,
        heads: int = 8,
        hidden: int = 256,
        layers: int = 1,
        peak_size: int = 3,
        no_suppression: Sequence[int] = NO_SUPPRESSION,
    ):
        super().__init__()
        self.coder, self.queries, self.classes, self.peak_size = coder, queries, classes, peak_size
        self.no_suppression = [c for c in no_suppression if c < classes]
        self.shared_conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.heatmap_head = nn.Sequential(ConvModule(channels, channels, 3), nn.Conv2d(channels, classes, 3, padding=1))
        self.class_encoding = nn.Conv1d(classes, channels, 1)
        self.decoder = nn.ModuleList(DecoderLayer(channels, heads, hidden) for _ in range(layers))
        outputs = {"center": (2, 2), **BOX_HEADS, "heatmap": (classes, 2)}
        self.prediction_heads = nn.ModuleList(PredictionHeads(channels, outputs) for _ in range(layers))
        for parameter in self.decoder.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def dense(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, in_channels, X, Y] -> (features [B, channels, X, Y], heatmap logits [B, classes, X, Y])."""
        feats = self.shared_conv(x)
        return feats, self.heatmap_head(feats)

    def peaks(self, heatmap: Tensor) -> Tensor:
        """Probabilities [B, classes, X, Y] with everything zeroed that is not the largest of its window. A border of
        half a window has no peaks; classes in `no_suppression` keep every cell.
        """
        edge = self.peak_size // 2
        largest = F.pad(F.max_pool2d(heatmap, self.peak_size, stride=1), (edge, edge, edge, edge))
        free = self.no_suppression
        largest[:, free] = heatmap[:, free]
        return heatmap * (heatmap == largest)

    def query(self, feats: Tensor, heatmap: Tensor) -> Queries:
        """What `dense` returned -> the refined queries, best peak first."""
        batch, channels, rows, columns = feats.shape
        flat = feats.flatten(2)
        scores = self.peaks(heatmap.detach().sigmoid()).flatten(2)  # [B, classes, X * Y]
        best = scores.flatten(1).topk(min(self.queries, scores[0].numel())).indices
        labels, cell = best // scores.shape[2], best % scores.shape[2]
        one_hot = F.one_hot(labels, self.classes).transpose(1, 2).to(flat.dtype)
        query = flat.gather(2, cell[:, None].expand(-1, channels, -1)) + self.class_encoding(one_hot)
        grid = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        places = (torch.stack(grid, -1).view(1, -1, 2) + 0.5).to(flat)  # cell centres, in cells
        place = places[0][cell]  # [B, Q, 2]
        query, layers = query.transpose(1, 2), []
        for layer, head in zip(self.decoder, self.prediction_heads):
            query = layer(query, flat.transpose(1, 2), place, places.expand(batch, -1, -1))
            found = head(query.transpose(1, 2))
            found["center"] = found["center"] + place.transpose(1, 2)
            place = found["center"].detach().transpose(1, 2)
            layers.append(found)
        at_query = scores.gather(2, cell[:, None].expand(-1, self.classes, -1))
        return Queries(layers, labels, at_query, heatmap)

    def forward(self, x: Tensor) -> Queries:
        """x [B, in_channels, X, Y] -> the refined queries."""
        return self.query(*self.dense(x))

    def decode(self, found: Queries) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Per sample (boxes [N, 9] in rows of `box_coder`, scores [N], labels [N]). A score is the product of the last
        layer's class probability and the heatmap peak, for the peak's class.
        """
        last = found.layers[-1]
        one_hot = F.one_hot(found.labels, self.classes).transpose(1, 2)
        best = (last["heatmap"].sigmoid() * found.peak_scores * one_hot).max(1)
        boxes = self.coder.decode(*(last[name] for name in ("center", "height", "dim", "rot", "vel")))
        out = []
        for b in range(len(boxes)):
            kept = self.coder.keep(boxes[b], best.values[b])
            out.append((boxes[b][kept], best.values[b][kept], best.indices[b][kept]))
        return out
