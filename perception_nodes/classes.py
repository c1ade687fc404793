"""The field's class tables: SemanticKITTI's 19 point classes, nuScenes' 10 box and 6 map classes, driving events.

Ids are positions in the tuples. `IGNORE` marks a point without a class (unlabelled, or not finite).
Colours are RGB, 0 to 255. Point-class order is the one that the SPVNAS checkpoints use (car 0 ... traffic-sign 18).
"""

from collections.abc import Sequence
from typing import NamedTuple

IGNORE = 255


class ClassInfo(NamedTuple):
    """One row of a class table."""

    name: str
    rgb: tuple[int, int, int]


POINT_CLASSES: tuple[ClassInfo, ...] = (
    ClassInfo("car", (100, 150, 245)),
    ClassInfo("bicycle", (100, 230, 245)),
    ClassInfo("motorcycle", (30, 60, 150)),
    ClassInfo("truck", (80, 30, 180)),
    ClassInfo("other-vehicle", (0, 0, 255)),
    ClassInfo("person", (255, 30, 30)),
    ClassInfo("bicyclist", (255, 40, 200)),
    ClassInfo("motorcyclist", (150, 30, 90)),
    ClassInfo("road", (255, 0, 255)),
    ClassInfo("parking", (255, 150, 255)),
    ClassInfo("sidewalk", (75, 0, 75)),
    ClassInfo("other-ground", (175, 0, 75)),
    ClassInfo("building", (255, 200, 0)),
    ClassInfo("fence", (255, 120, 50)),
    ClassInfo("vegetation", (0, 175, 0)),
    ClassInfo("trunk", (135, 60, 0)),
    ClassInfo("terrain", (150, 240, 80)),
    ClassInfo("pole", (255, 240, 150)),
    ClassInfo("traffic-sign", (255, 0, 0)),
)

BOX_CLASSES: tuple[ClassInfo, ...] = (
    ClassInfo("car", (255, 158, 0)),
    ClassInfo("truck", (255, 99, 71)),
    ClassInfo("construction_vehicle", (233, 150, 70)),
    ClassInfo("bus", (255, 69, 0)),
    ClassInfo("trailer", (255, 140, 0)),
    ClassInfo("barrier", (112, 128, 144)),
    ClassInfo("motorcycle", (255, 61, 99)),
    ClassInfo("bicycle", (220, 20, 60)),
    ClassInfo("pedestrian", (0, 0, 230)),
    ClassInfo("traffic_cone", (47, 79, 79)),
)

MAP_CLASSES: tuple[ClassInfo, ...] = (
    ClassInfo("drivable_area", (166, 206, 227)),
    ClassInfo("ped_crossing", (251, 154, 153)),
    ClassInfo("walkway", (227, 26, 28)),
    ClassInfo("stop_line", (253, 191, 111)),
    ClassInfo("carpark_area", (255, 127, 0)),
    ClassInfo("divider", (106, 61, 154)),
)

EVENTS: tuple[str, ...] = (
    "none",
    "ego_braking",
    "ego_turning_left",
    "ego_turning_right",
    "lead_vehicle_braking",
    "cut_in_from_left",
    "cut_in_from_right",
    "cut_out",
    "person_crossing_left_to_right",
    "person_crossing_right_to_left",
    "oncoming_vehicle_passing",
    "being_overtaken",
)

GREY = (200, 200, 200)  # of an event that is not in the table
# By the place in EVENTS; mirrored pairs have related colours.
EVENT_COLOURS: tuple[tuple[int, int, int], ...] = (
    (110, 114, 124),
    (230, 60, 60),
    (90, 170, 255),
    (40, 100, 220),
    (255, 150, 40),
    (190, 120, 255),
    (130, 60, 210),
    (90, 220, 200),
    (255, 215, 70),
    (205, 160, 20),
    (120, 210, 90),
    (255, 120, 190),
)


def point_class(name: str) -> int:
    """Id of a point class by name; raises KeyError naming the known ones."""
    for i, info in enumerate(POINT_CLASSES):
        if info.name == name:
            return i
    raise KeyError(f"no point class {name!r}; known: {', '.join(c.name for c in POINT_CLASSES)}")


def event_colour(name: str, rgb: Sequence[int] | None = None) -> tuple[int, int, int]:
    """The colour of an event in pictures: grey for "none", else a fixed one by its place among EVENTS or its `rgb`."""
    if name in EVENTS:
        return EVENT_COLOURS[EVENTS.index(name)]
    return (int(rgb[0]), int(rgb[1]), int(rgb[2])) if rgb is not None else GREY
