"""What the network must know of a sensor beyond one cloud: the full scale of its intensities, and where it stands."""

from __future__ import annotations

from dataclasses import replace

from perception_nodes.calibration.sensor_place import SensorPlace, place_sensor
from perception_nodes.messages.intensity import IntensityScale, ScaleReading, scaled
from perception_nodes.messages.point_cloud import PointCloud
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs import Note
from perception_nodes.systems.inputs import POINTS
from perception_nodes.systems.spvcnn.config import SpvcnnConfig
from perception_nodes.systems.system import Moment, Prepared


class SensorPreparation:
    """Clouds with raw intensities -> clouds with intensities of 0 to 1 (see messages/intensity.py) and their sensor's
    place (see calibration/sensor_place.py)."""

    def __init__(self, config: SpvcnnConfig) -> None:
        self._scale = IntensityScale(config.input.full_scale)
        self._sensor_frame = config.input.sensor_frame
        self._place: tuple[tuple[str, int], SensorPlace] | None = None  # (frame, version of the calibration), place

    def reset(self) -> None:
        """Another recording may begin."""
        self._scale.reset()

    def __call__(self, moment: Moment) -> Prepared:
        """The moment's cloud with scaled intensities, and where its sensor stands."""
        cloud: PointCloud = moment.values[POINTS]
        place = self._placed(moment, cloud.frame_id)
        figures: dict[str, int | float | str] = {"sensor": place.state}
        if place.height_m is not None:
            figures["sensor_height_m"] = place.height_m
        notes = [Note("unplaced_clouds", Level.WARN, place.warning, POINTS)] if place.warning else []
        cloud = replace(cloud, sensor=place.position)
        if cloud.has_intensity:
            reading = self._scale(cloud.intensity, cloud.intensity_kind)
            cloud = replace(cloud, intensity=scaled(cloud.intensity, reading.scale))
            notes += _notes(reading)
        figures["intensity_scale"] = reading.state if cloud.has_intensity else "no intensities"
        return Prepared({**moment.values, POINTS: cloud}, tuple(notes), figures)

    def _placed(self, moment: Moment, frame: str) -> SensorPlace:
        """The sensor's place, looked up anew when the frame or the calibration changes."""
        assert moment.calibration is not None  # Inputs(calibrated=True)
        key = (frame, moment.calibration.version)
        if self._place is None or self._place[0] != key:
            self._place = (key, place_sensor(moment.calibration, frame, self._sensor_frame))
        return self._place[1]


def _notes(reading: ScaleReading) -> tuple[Note, ...]:
    notes = []
    if reading.found:
        notes.append(Note("intensity_scales_found", Level.OK, reading.found, POINTS, log=True))
    if reading.warning:
        notes.append(Note("intensity_misfits", Level.WARN, reading.warning, POINTS))
    return tuple(notes)
