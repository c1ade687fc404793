"""The transformer decoder of TransFusion (Bai et al., CVPR 2022): queries look at each other and at the BEV map."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PositionEmbedding(nn.Module):
    """A learned embedding of places: two 1x1 convolutions."""

    def __init__(self, channels: int):
        super().__init__()
        self.position_embedding_head = nn.Sequential(
            nn.Conv1d(2, channels, 1), nn.BatchNorm1d(channels), nn.ReLU(inplace=True), nn.Conv1d(channels, channels, 1)
        )

    def forward(self, places: Tensor) -> Tensor:
        """places [B, P, 2], cells -> [B, P, channels]."""
        return self.position_embedding_head(places.transpose(1, 2)).transpose(1, 2)


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention, feed-forward; layer norms behind the shortcuts. Unlike DETR's, the values carry
    the position embeddings too.
    """

    def __init__(self, channels: int, heads: int, hidden: int, dropout: float = 0.1):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(channels, heads, dropout, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(channels, heads, dropout, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))
        self.dropout = nn.Dropout(dropout)
        self.self_posembed, self.cross_posembed = PositionEmbedding(channels), PositionEmbedding(channels)

    def forward(self, query: Tensor, key: Tensor, query_place: Tensor, key_place: Tensor) -> Tensor:
        """query [B, Q, C], key [B, K, C], their places [B, Q, 2] and [B, K, 2] in cells -> [B, Q, C]."""
        place = self.self_posembed(query_place)
        both = query + place
        query = self.norm1(query + self.dropout(self.self_attn(both, both, both, need_weights=False)[0]))
        seen = key + self.cross_posembed(key_place)
        found = self.multihead_attn(query + place, seen, seen, need_weights=False)[0]
        query = self.norm2(query + self.dropout(found))
        return self.norm3(query + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(query))))))
