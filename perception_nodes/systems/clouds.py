"""Serialised PointCloud2 -> PointCloud with intensities of 0 to 1, for every system that reads a LiDAR."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perception_nodes.messages.cloud_cdr import read_point_cloud2
from perception_nodes.messages.intensity import IntensityScale, ScaleReading, scaled
from perception_nodes.messages.point_cloud import PointCloud, decode_point_cloud2
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs import Note
from perception_nodes.systems.inputs import POINTS
from perception_nodes.systems.system import Decoded, Moment, Prepared


def decode_cloud(stream: str, raw: bytes, max_points: int) -> Decoded:
    """A serialised PointCloud2 -> PointCloud with raw intensities; its points stay in the message's bytes.

    Raises MessageError.
    """
    cloud = decode_point_cloud2(read_point_cloud2(raw), max_points, intensity_scale=1.0)
    notes = tuple(Note(_counter(text), Level.WARN, text, stream) for text in cloud.warnings)
    return Decoded(cloud, notes, {"points": len(cloud)})


def _counter(warning: str) -> str:
    return "empty" if "empty" in warning else "no_intensity" if "intensity" in warning else "capped"


class ScaledIntensities:
    """Clouds with raw intensities -> clouds with intensities of 0 to 1 (see messages/intensity.py).

    config: its `input` is a CloudSettings.
    """

    def __init__(self, config: Any) -> None:
        self._scale = IntensityScale(config.input.full_scale)

    def reset(self) -> None:
        """Another recording may begin."""
        self._scale.reset()

    def __call__(self, moment: Moment) -> Prepared:
        """The moment's cloud with scaled intensities."""
        cloud: PointCloud = moment.values[POINTS]
        if not cloud.has_intensity:
            return Prepared(moment.values, (), {"intensity_scale": "no intensities"})
        reading = self._scale(cloud.intensity, cloud.intensity_kind)
        values = {**moment.values, POINTS: replace(cloud, intensity=scaled(cloud.intensity, reading.scale))}
        return Prepared(values, _notes(reading), {"intensity_scale": reading.state})


def _notes(reading: ScaleReading) -> tuple[Note, ...]:
    notes = []
    if reading.found:
        notes.append(Note("intensity_scales_found", Level.OK, reading.found, POINTS, log=True))
    if reading.warning:
        notes.append(Note("intensity_misfits", Level.WARN, reading.warning, POINTS))
    return tuple(notes)
