"""What the network must know of a sensor beyond one cloud: the full scale of its intensities."""

from __future__ import annotations

from dataclasses import replace

from perception_nodes.messages.intensity import IntensityScale, ScaleReading, scaled
from perception_nodes.messages.point_cloud import PointCloud
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs import Note
from perception_nodes.systems.inputs import POINTS
from perception_nodes.systems.spvcnn.config import SpvcnnConfig
from perception_nodes.systems.system import Moment, Prepared


class SensorPreparation:
    """Clouds with raw intensities -> clouds with intensities of 0 to 1 (see messages/intensity.py)."""

    def __init__(self, config: SpvcnnConfig) -> None:
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
