"""Serialised PointCloud2 in another weather: the same message with the same points in the same order.

A lost echo has no finite coordinates any more (NaN, as drivers send firings without a return); an echo from the air has
moved along its ray. Every other byte stays.
"""

from __future__ import annotations

import numpy as np

from models.gan.range_session import RangeStyleSession
from perception_nodes.messages.cloud_cdr import read_point_cloud2
from perception_nodes.messages.intensity import IntensityScale, scaled
from perception_nodes.messages.point_cloud import INTENSITY_NAMES, decode_point_cloud2


class CloudStyler:
    """One LiDAR style for the topics of a bag; a topic's full scale of intensities is found from its first clouds."""

    def __init__(self, session: RangeStyleSession) -> None:
        self.session = session
        self._scales: dict[str, IntensityScale] = {}

    def __call__(self, topic: str, raw: bytes) -> bytes:
        """A restyled message. Raises MessageError."""
        out = bytearray(raw)
        cloud = decode_point_cloud2(read_point_cloud2(out), intensity_scale=1.0)  # type: ignore[arg-type]
        if not len(cloud):
            return raw
        scale: float | None = 1.0
        if cloud.has_intensity:
            scale = self._scales.setdefault(topic, IntensityScale())(cloud.intensity, cloud.intensity_kind).scale
        before = scaled(cloud.intensity, scale)
        found = self.session.step(cloud.xyz, before, cloud.stamp_ns)
        changed = found.fate != 0
        for i, axis in enumerate("xyz"):
            cloud.source.column(axis)[changed] = found.xyz[changed, i]
        name = next((n for n in INTENSITY_NAMES if n in cloud.source.fields), None)
        if name is not None and scale is not None:
            column = cloud.source.column(name)
            values = found.intensity * np.float32(scale)
            if column.dtype.kind != "f":
                values = np.rint(values)
            kept = np.isfinite(values)
            column[kept] = values[kept].astype(column.dtype)
        return bytes(out)
