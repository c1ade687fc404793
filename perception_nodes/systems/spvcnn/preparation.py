"""What the network must know of a sensor beyond one cloud: the full scale of its intensities, and where it stands."""

from __future__ import annotations

from dataclasses import replace

from perception_nodes.calibration.sensor_place import SensorPlace, place_sensor
from perception_nodes.messages.point_cloud import PointCloud
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs import Note
from perception_nodes.systems.clouds import ScaledIntensities
from perception_nodes.systems.inputs import POINTS
from perception_nodes.systems.spvcnn.config import SpvcnnConfig
from perception_nodes.systems.system import Moment, Prepared


class SensorPreparation(ScaledIntensities):
    """Clouds with raw intensities -> clouds with intensities of 0 to 1 (see messages/intensity.py) and their sensor's
    place (see calibration/sensor_place.py)."""

    def __init__(self, config: SpvcnnConfig) -> None:
        super().__init__(config)
        self._sensor_frame = config.input.sensor_frame
        self._place: tuple[tuple[str, int], SensorPlace] | None = None  # (frame, version of the calibration), place

    def __call__(self, moment: Moment) -> Prepared:
        """The moment's cloud with scaled intensities, and where its sensor stands."""
        scaled = super().__call__(moment)
        cloud: PointCloud = scaled.values[POINTS]
        place = self._placed(moment, cloud.frame_id)
        figures: dict[str, int | float | str] = {"sensor": place.state, **scaled.figures}
        if place.height_m is not None:
            figures["sensor_height_m"] = place.height_m
        notes = [Note("unplaced_clouds", Level.WARN, place.warning, POINTS)] if place.warning else []
        values = {**scaled.values, POINTS: replace(cloud, sensor=place.position)}
        return Prepared(values, (*notes, *scaled.notes), figures)

    def _placed(self, moment: Moment, frame: str) -> SensorPlace:
        """The sensor's place, looked up anew when the frame or the calibration changes."""
        assert moment.calibration is not None  # Inputs(calibrated=True)
        key = (frame, moment.calibration.version)
        if self._place is None or self._place[0] != key:
            self._place = (key, place_sensor(moment.calibration, frame, self._sensor_frame))
        return self._place[1]
