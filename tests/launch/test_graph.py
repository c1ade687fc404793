"""The graph, and the launch files and the composed start that read it."""

import importlib.util
import sys
import types
from pathlib import Path

import pytest
import yaml

from perception_nodes.config import ConfigError, build_config, parameters_of
from perception_nodes.graph import PLANS, Ref, config_folder, resolve
from perception_nodes.nodes.compose import node_file, process_command, read_stack
from perception_nodes.nodes.config import NODE_CONFIGS

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = {"replay": {"bag": "drive"}}


@pytest.mark.parametrize("name", sorted(NODE_CONFIGS))
def test_each_nodes_yaml_holds_every_parameter_with_its_default(name):
    given = node_file(config_folder() / f"{name}.yaml")
    config = build_config(NODE_CONFIGS[name], given, name)
    assert config == NODE_CONFIGS[name]()
    assert set(given) == {p.name for p in parameters_of(NODE_CONFIGS[name])}


@pytest.mark.parametrize("name", sorted(PLANS))
def test_every_plan_resolves_to_parameters_that_exist(name):
    for node in resolve(PLANS[name], REQUIRED.get(name, {})):
        given = {k: v for k, v in node.parameters.items() if k != "use_sim_time"}
        build_config(NODE_CONFIGS[node.name], given, node.name)
        assert node.config.is_file()
        assert process_command(node)[2] == f"perception_nodes.nodes.{node.name}"


def test_the_simulator_starts_only_where_it_is_asked_for():
    assert [n.name for n in resolve(PLANS["perception"], {})] == ["spvcnn_node"]
    nodes = resolve(PLANS["perception"], {"simulate": "true"})
    assert [n.name for n in nodes] == ["spvcnn_node", "simulator_node"]
    assert nodes[0].parameters["use_sim_time"] is True
    nodes = resolve(PLANS["perception"], {"events": "true", "image": "/cam", "camera": "roof"})
    assert [n.name for n in nodes] == ["spvcnn_node", "tsm_node"]
    assert nodes[1].remaps["~/input/image"] == "/cam" and nodes[1].parameters["cameras"] == ["roof"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"speed": "1"}, "has no argument 'speed'; known: bag, rate"),
        ({}, "needs bag:="),
        ({"bag": "x", "rate": "fast"}, "rate:=fast: expected float"),
        ({"bag": "x", "precision": "int4"}, "expected auto or fp32 or int16 or int8 or bf16"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, sentence):
    with pytest.raises(ConfigError, match=sentence):
        resolve(PLANS["replay"], arguments)


def test_the_default_stack_file_is_valid():
    assert [n.name for n in read_stack()] == ["spvcnn_node", "simulator_node"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("plan: perception\nnodes: {}", "no key 'nodes'; known: plan, arguments, parameters"),
        ("plan: lidar", "no plan 'lidar'; known: spvcnn"),
        ("parameters: {gan_node: {}}", "no node 'gan_node'"),
        ("parameters: {spvcnn_node: {modle.name: x}}", "did you mean 'model.name'"),
        ("parameters: {spvcnn_node: {latency.warn_ms: soon}}", "latency.warn_ms"),
        ("- a", "found list"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_bad_stack_file_is_one_sentence(tmp_path, content, sentence):
    (tmp_path / "stack.yaml").write_text(content)
    with pytest.raises(ConfigError) as told:
        read_stack(tmp_path / "stack.yaml")
    assert sentence in str(told.value)


def test_no_stack_file_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        read_stack(tmp_path / "absent.yaml")


class Recorded:
    """Stands for any class of launch and launch_ros: it keeps what it was built with."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


@pytest.fixture
def launch_ros(monkeypatch):
    """Where ROS's launch is not installed: a record of what the launch files would build."""
    try:
        import launch_ros  # noqa: F401

        pytest.skip("the real launch_ros is here: see test_launch_files_build_with_launch_ros")
    except ImportError:
        pass
    names = {
        "launch": ["LaunchDescription"],
        "launch.actions": ["DeclareLaunchArgument", "Shutdown"],
        "launch.conditions": ["IfCondition"],
        "launch.substitutions": ["LaunchConfiguration"],
        "launch_ros": [],
        "launch_ros.actions": ["LifecycleNode"],
        "launch_ros.parameter_descriptions": ["ParameterValue"],
    }
    for module, classes in names.items():
        made = types.ModuleType(module)
        for name in classes:
            setattr(made, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module, made)


def description(name):
    path = ROOT / "launch" / f"{name}.launch.py"
    spec = importlib.util.spec_from_file_location(f"launch_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


@pytest.mark.parametrize("name", sorted(PLANS))
def test_launch_files_declare_the_plans_arguments_and_nodes(launch_ros, name):
    plan = PLANS[name]
    entities = description(name).args[0]
    declared = [e for e in entities if type(e).__name__ == "DeclareLaunchArgument"]
    nodes = [e for e in entities if type(e).__name__ == "LifecycleNode"]
    assert [d.args[0] for d in declared] == [*(a.name for a in plan.arguments), "autostart"]
    assert all(len(d.kwargs["description"]) > 5 for d in declared)
    assert sum("default_value" not in d.kwargs for d in declared) == len(REQUIRED.get(name, {}))
    for built, planned in zip(nodes, plan.nodes, strict=True):
        assert built.kwargs["executable"] == built.kwargs["name"] == planned.name
        file, parameters = built.kwargs["parameters"]
        assert Path(file).is_file() and set(parameters) == {*planned.parameters, "autostart"}
        for key, value in planned.parameters.items():
            if isinstance(value, Ref):
                assert parameters[key].args[0].args == (value.argument,)
        assert dict(built.kwargs["remappings"]).keys() == planned.remaps.keys()


@pytest.mark.parametrize("name", sorted(PLANS))
def test_launch_files_build_with_launch_ros(name):
    pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed (it is part of a ROS 2 distribution)")
    built = description(name)
    assert [a.name for a in built.get_launch_arguments()] == [*(a.name for a in PLANS[name].arguments), "autostart"]


def test_launch_files_are_one_per_plan():
    assert {p.name.split(".")[0] for p in (ROOT / "launch").glob("*.launch.py")} == set(PLANS)


def test_executables_are_entry_points():
    text = (ROOT / "setup.py").read_text()
    assert all(f'"{name}"' in text for name in NODE_CONFIGS)


def test_rviz_shows_the_stacks_topics():
    shown = yaml.safe_load((ROOT / "rviz" / "perception.rviz").read_text())
    displays = shown["Visualization Manager"]["Displays"]
    topics = {d["Topic"]["Value"] for d in displays if isinstance(d.get("Topic"), dict)}
    assert {"/lidar/points", "/perception/visualization", "/perception/filtered", "/ground_truth/markers"} <= topics
    assert {"/perception/events/markers", "/tsm_node/debug/image"} <= topics


@pytest.mark.parametrize("name", sorted(NODE_CONFIGS))
def test_each_nodes_page_has_every_parameter_and_autowares_sections(name):
    page = (ROOT / "docs" / "nodes" / f"{name}.md").read_text()
    assert [p.name for p in parameters_of(NODE_CONFIGS[name]) if f"`{p.name}`" not in page] == []
    sections = (
        "Purpose",
        "Inner workings",
        "Inputs / Outputs",
        "Parameters",
        "Assumptions / Known limits",
        "Error detection",
    )
    assert [s for s in sections if f"## {s}" not in page] == []
