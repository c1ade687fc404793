"""A declaration that is incomplete is refused with one sentence; inputs and launch arguments follow from it."""

from dataclasses import replace

import pytest

from perception_nodes.config import PipelineConfig, build_config
from perception_nodes.systems import SYSTEMS
from perception_nodes.systems.system import Output, SystemError, check_together
from tests.systems import toy

ANSWER = toy.SYSTEM.answer


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"outputs": ()}, "has no output"),
        ({"outputs": (replace(ANSWER, encode=None),)}, "the output 'answer' has no encoder"),
        ({"outputs": (ANSWER, replace(ANSWER, name="other"))}, "two outputs are on /perception/toy"),
        ({"outputs": (ANSWER, replace(ANSWER, topic="/other"))}, "two outputs are named 'answer'"),
        ({"outputs": (replace(ANSWER, type="String"),)}, "has the type 'String'; expected package/msg/Type"),
        ({"outputs": (replace(ANSWER, recorded=False),)}, "is the answer; it needs a topic and recorded=True"),
        ({"outputs": (replace(ANSWER, topic="/elsewhere"),)}, "reads /perception/toy, which no output has"),
        ({"outputs": (replace(ANSWER, classes=None),)}, "needs a class table, which the output on /perception/toy"),
        ({"config": PipelineConfig}, "its config PipelineConfig is not a FusedConfig, which its inputs need"),
        ({"name": "My Toy"}, "small letters"),
        ({"step": None}, "step is None; a function was expected"),
        ({"recording_overrides": {"model.nmae": 1}}, "there is no parameter 'model.nmae' in ToyConfig"),
    ],
)
def test_an_incomplete_declaration_is_refused_with_one_sentence(change, sentence):
    with pytest.raises(SystemError) as told:
        replace(toy.SYSTEM, **change)
    assert sentence in str(told.value) and "\n" not in str(told.value)


def test_systems_that_take_the_same_name_or_topic_are_refused():
    assert check_together((*SYSTEMS, toy.SYSTEM))
    with pytest.raises(SystemError, match="both have the name 'toy'"):
        check_together((toy.SYSTEM, toy.SYSTEM))
    launch = replace(toy.SYSTEM.launch, plan="twin", switch=replace(toy.SYSTEM.launch.switch, name="twins"))
    with pytest.raises(SystemError, match="both have the topic '/perception/toy'"):
        check_together((toy.SYSTEM, replace(toy.SYSTEM, name="twin", launch=launch)))


def test_the_topics_of_a_node_follow_from_its_inputs():
    config = build_config(toy.ToyConfig, {})
    inputs = toy.SYSTEM.inputs
    assert [stream.name for stream in inputs.streams(config)] == ["points", "front", "left"]
    names = [inputs.topic_of(stream.name, config) for stream in inputs.streams(config)]
    assert names == ["~/input/points", "~/input/front/image", "~/input/left/image"]
    assert inputs.answered(config) == ("points",)
    raw = build_config(toy.ToyConfig, {"input.transport": "raw"})
    assert inputs.streams(raw)[1].kinds == ("sensor_msgs/msg/Image",)


def test_an_output_without_a_topic_keeps_the_nodes_own_name():
    output = Output("debug", "sensor_msgs/msg/Image", lambda answer: None, private="~/debug/{stream}/image")
    assert output.own_name == "~/debug/{stream}/image" and output.topics == ()
    assert ANSWER.own_name == "~/output/answer" and ANSWER.topics == (toy.TOPIC, f"{toy.TOPIC}/classes")
