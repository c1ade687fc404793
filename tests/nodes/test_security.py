"""Fault 25: the access policy holds what the nodes really use."""

import sys
import xml.etree.ElementTree as ET

import pytest

from perception_nodes.graph import PLANS, config_folder, resolve
from perception_nodes.nodes.compose import ros_arguments
from tests.nodes.bags import write_bag
from tests.nodes.conftest import HeightSession, spvcnn_node

pytestmark = pytest.mark.ros


def policy(node):
    """Allowed names of a node: (published, subscribed, services), absolute."""
    root = ET.parse(config_folder() / "sros2_policy.xml").getroot()
    profile = root.find(f".//enclave[@path='/perception/{node}']/profiles/profile[@node='{node}']")
    assert profile is not None, node

    def names(kind, one, way):
        found = profile.findall(f"{kind}[@{way}='ALLOW']/{one}")
        return {(f.text or "").replace("~", f"/{node}", 1) for f in found}

    return (
        names("topics", "topic", "publish"),
        names("topics", "topic", "subscribe"),
        names("services", "service", "reply"),
    )


def used(stage, node):
    name = node.get_name()
    look = stage.client
    return (
        {t for t, _ in look.get_publisher_names_and_types_by_node(name, "/")},
        {t for t, _ in look.get_subscriber_names_and_types_by_node(name, "/")},
        {s for s, _ in look.get_service_names_and_types_by_node(name, "/")},
    )


def held_by_the_policy(stage, node):
    stage.until(lambda: node.get_name() in stage.client.get_node_names())
    stage.until(lambda: len(used(stage, node)[0]) > 3)
    for found, allowed in zip(used(stage, node), policy(node.get_name())):
        assert found - allowed == set(), node.get_name()


def test_the_policy_covers_the_segmentation_node(stage):

    resolved = resolve(PLANS["spvcnn"], {})[0]
    node = spvcnn_node(
        lambda config: HeightSession(),
        overrides=resolved.parameters,
        cli_args=ros_arguments(resolved),
        use_global_arguments=False,
        context=stage.context,
    )
    held_by_the_policy(stage, stage.add(node))


def test_the_policy_covers_the_player(stage, tmp_path):
    from perception_nodes.nodes.player import PlayerNode

    bag = write_bag(tmp_path / "bag", extra=True)
    overrides = {"bag": str(bag), "playback.paused": True, "playback.rate": 0.0}
    held_by_the_policy(stage, stage.add(PlayerNode(overrides=overrides, context=stage.context)))


def test_the_policy_file_is_what_the_declarations_say():
    from perception_nodes.policy import policy as written

    assert (config_folder() / "sros2_policy.xml").read_text() == written(), "python -m perception_nodes.policy > …"


def test_the_policy_allows_no_wildcard():
    text = (config_folder() / "sros2_policy.xml").read_text()
    assert "*" not in text


BAD_TYPES = ["os/msg/path", "subprocess/msg/Popen", "antigravity/msg/X", "../x/msg/Y", "std_msgs/msg/_x"]


@pytest.mark.parametrize("name", BAD_TYPES)
def test_a_bags_type_names_import_nothing_but_messages(name):
    from perception_nodes.nodes.message_types import find_message_type

    assert find_message_type(name) is None
    assert "antigravity" not in sys.modules
    assert find_message_type("std_msgs/msg/String").__name__ == "String"
