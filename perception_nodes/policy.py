"""The SROS2 policy of the stack, from the declarations: `python -m perception_nodes.policy > config/sros2_policy.xml`.

Every node may use its own topics and services, and nothing else. No wildcards: a topic that is remapped, or a bag with
other topics, needs its name in the file.
"""

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

from perception_nodes.classes import MAP_CLASSES
from perception_nodes.streaming.stopwatch import TIMING
from perception_nodes.systems import SYSTEMS
from perception_nodes.systems.launch import CAMERAS, POINTS_TOPIC, camera_info_topic, image_topic
from perception_nodes.systems.system import System

LIFECYCLE = ("change_state", "get_state", "get_available_states", "get_available_transitions", "get_transition_graph")
PARAMETERS = (
    "describe_parameters",
    "get_parameter_types",
    "get_parameters",
    "list_parameters",
    "set_parameters",
    "set_parameters_atomically",
    "get_type_description",
)
SERVICES = (*LIFECYCLE, *PARAMETERS)
PUBLISHED_BY_ALL = ("/rosout", "/parameter_events", "/diagnostics", "~/transition_event")
READ_BY_ALL = ("/clock", "/parameter_events")
PICTURES = tuple(image_topic(camera) for camera in CAMERAS)
INFOS = tuple(camera_info_topic(camera) for camera in CAMERAS)
TRUTH = (
    *(f"/ground_truth/{name}{table}" for name in ("segmentation", "boxes", "events") for table in ("", "/classes")),
    "/ground_truth/boxes/attributes",
    "/ground_truth/markers",
    *(f"/ground_truth/map/{info.name}" for info in MAP_CLASSES),
    "/ground_truth/map/shapes",
)
SENSORS = (
    POINTS_TOPIC,
    "/odometry",
    "/tf",
    "/tf_static",
    *PICTURES,
    *INFOS,
)
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!-- SROS2 policy of the stack: every node may use its own topics and services, and nothing else.
     Written by: python -m perception_nodes.policy. Use it with: ros2 security create_keystore KEYS;
     ros2 security generate_artifacts -k KEYS -p config/sros2_policy.xml
     A topic that is remapped, or a bag with other topics, needs its name here. -->
<policy version="0.2.0">
  <enclaves>
"""
TAIL = "  </enclaves>\n</policy>\n"


def policy(systems: Sequence[System] = SYSTEMS) -> str:
    """The policy's XML."""
    recorded = [t for s in systems for output in s.outputs if output.recorded for t in output.topics]
    answers = [system.answer.topic for system in systems]
    parts = [_enclave(system.node_name, published(system), subscribed(system)) for system in systems]
    parts += [
        _enclave(
            "player_node",
            ["/clock", f"{POINTS_TOPIC}/classes", *SENSORS, *TRUTH],
            answers,
            ("pause", "resume", "step"),
        ),
        _enclave("simulator_node", ["/clock", *SENSORS, *TRUTH], []),
        _enclave("recorder", [], [*recorded, "/diagnostics"]),
    ]
    return HEAD + "".join(parts) + TAIL


def published(system: System) -> list[str]:
    """What a system's node publishes: its outputs by the stack's names, and its timing."""
    topics = [topic for output in system.outputs for topic in output.topics]
    for output in system.outputs:
        if not output.topic and "{stream}" in output.own_name:
            topics.append(output.own_name.replace("{stream}/", ""))
            topics += [output.own_name.format(stream=camera) for camera in CAMERAS]
        elif not output.topic:
            topics.append(output.own_name)
    return [*topics, *(f"~/{name}" for name in TIMING)]


def subscribed(system: System) -> list[str]:
    """What a system's node reads."""
    places = ("/tf_static", "/tf", *INFOS) if system.inputs.cameras else ("/tf_static",)
    calibration = places if system.inputs.calibrated else ()
    pictures = PICTURES if system.inputs.cameras else ()
    return [*([POINTS_TOPIC] if system.inputs.cloud else []), *pictures, *calibration]


def _enclave(node: str, publish: Iterable[str], subscribe: Iterable[str], services: Iterable[str] = ()) -> str:
    rows = [
        f'    <enclave path="/perception/{node}">',
        "      <profiles>",
        f'        <profile ns="/" node="{node}">',
        *_list("services", "service", "reply", [f"~/{name}" for name in (*SERVICES, *services)]),
        *_list("topics", "topic", "publish", [*PUBLISHED_BY_ALL, *publish]),
        *_list("topics", "topic", "subscribe", [*READ_BY_ALL, *subscribe]),
        "        </profile>",
        "      </profiles>",
        "    </enclave>",
    ]
    return "".join(f"{row}\n" for row in rows)


def _list(kind: str, one: str, way: str, names: Iterable[str]) -> list[str]:
    return [
        f'          <{kind} {way}="ALLOW">',
        *(f"            <{one}>{escape(name)}</{one}>" for name in dict.fromkeys(names)),
        f"          </{kind}>",
    ]


if __name__ == "__main__":
    print(policy(), end="")
