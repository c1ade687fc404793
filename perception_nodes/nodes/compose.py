"""`perception up`: a plan of graph.py as one process (or several), without ros2 launch."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from models.yaml_file import YamlError, read_yaml
from perception_nodes.children import start_child
from perception_nodes.config import ConfigError, build_config
from perception_nodes.graph import PLANS, ResolvedNode, config_folder, resolve
from perception_nodes.nodes.config import NODE_CONFIGS
from perception_nodes.nodes.main import StopRequest, catch_signals, run

KEYS = ("plan", "arguments", "parameters")
GRACE_S = 8.0
EVERY_NODE = ("/clock", "/parameter_events", "/rosout", "/diagnostics")
ASIDE = ("/transition_event", "/classes")


def read_stack(path: str | Path | None = None) -> list[ResolvedNode]:
    """The nodes of a stack file (config/perception.yaml by default).

    The file holds `plan` (a name of graph.PLANS), `arguments` of that plan, and `parameters`: node -> dotted name ->
    value, on top of the node's own YAML.

    Raises:
        ConfigError: no file, no YAML, an unknown key, plan, argument, node or parameter: named, with what is known.
    """
    file = Path(path) if path is not None else config_folder() / "perception.yaml"
    content = _read_yaml(file)
    unknown = sorted(map(str, set(content) - set(KEYS)))
    if unknown:
        raise ConfigError(f"{file}: no key {unknown[0]!r}; known: {', '.join(KEYS)}")
    name = content.get("plan", "perception")
    if not isinstance(name, str) or name not in PLANS:
        raise ConfigError(f"{file}: no plan {str(name)[:80]!r}; known: {', '.join(PLANS)}")
    nodes = resolve(PLANS[name], _table(file, "arguments", content.get("arguments")))
    extra = _table(file, "parameters", content.get("parameters"))
    for node_name, values in extra.items():
        _table(file, f"parameters of {node_name}", values)
        if node_name not in [n.name for n in nodes]:
            raise ConfigError(
                f"{file}: no node {node_name!r} in plan {name}; known: {', '.join(n.name for n in nodes)}"
            )
    for node in nodes:
        node.parameters.update(extra.get(node.name) or {})
        given = {k: v for k, v in (node_file(node.config) | node.parameters).items() if k != "use_sim_time"}
        build_config(NODE_CONFIGS[node.name], given, node.name)
    return nodes


def _table(file: Path, what: str, value: Any) -> dict[str, Any]:
    """A table of the stack file; an absent one is empty."""
    if value is not None and not isinstance(value, dict):
        raise ConfigError(f"{file}: {what} is a {type(value).__name__}; expected keys and values")
    return value or {}


def node_file(path: Path) -> dict[str, Any]:
    """Dotted parameters of a node's ROS parameter file."""
    content = _read_yaml(path)
    tree = next(iter(content.values()), None) if len(content) == 1 else None
    if not isinstance(tree, dict) or set(tree) != {"ros__parameters"}:
        raise ConfigError(f"{path}: expected one node (or /**) with ros__parameters")
    return dict(_dotted(tree["ros__parameters"]))


def _dotted(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        found += _dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + str(key), value)]
    return found


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml(path)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except YamlError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def start(nodes: Sequence[ResolvedNode], composed: bool = True) -> int:
    """Starts nodes (in one process, or one each) and waits for SIGINT, SIGTERM or the end of a node.

    Returns:
        Exit code: 0 after a clean end.
    """
    print(f"loading {', '.join(node.name for node in nodes)} …", flush=True)
    if composed:
        return run([_factory(node) for node in nodes], args=[], started=say_what_runs)
    return _processes(nodes)


def say_what_runs(nodes: Sequence[Any]) -> None:
    """One line a node: the topics that it reads and writes."""
    for node in nodes:
        reads, writes = topics_of(node)
        parts = [f"{verb} {', '.join(topics)}" for verb, topics in (("reads", reads), ("writes", writes)) if topics]
        print(f"{node.get_name()} {'; '.join(parts) or 'has no topic open yet'}", flush=True)
    print("running; Ctrl-C ends it", flush=True)


def topics_of(node: Any) -> tuple[list[str], list[str]]:
    """Topics that a node reads and writes, without those of every node, class tables and debug topics."""
    reads = {subscription.topic_name for subscription in node.subscriptions} - set(EVERY_NODE)
    system = getattr(node, "system", None)
    if system is not None and node.worker is not None:  # a topic without a publisher has no subscription yet
        streams = system.inputs.streams(node.config)
        reads |= {node.resolve_topic_name(system.inputs.topic_of(s.name, node.config)) for s in streams}
    writes = {publisher.topic_name for publisher in node.publishers} - set(EVERY_NODE)
    writes = {topic for topic in writes if not topic.endswith(ASIDE) and "/debug/" not in topic}
    return sorted(reads), sorted(writes)


def ros_arguments(node: ResolvedNode) -> list[str]:
    """`--ros-args …` that give a node its name, parameter file and remaps."""
    rules = [part for old, new in node.remaps.items() for part in ("-r", f"{old}:={new}")]
    where = ["-r", f"__ns:=/{node.namespace.strip('/')}"] if node.namespace.strip("/") else []
    return ["--ros-args", "--params-file", str(node.config), *where, *rules]


def process_command(node: ResolvedNode) -> list[str]:
    """Command line that starts a node in a process of its own."""
    given = [part for k, v in node.parameters.items() for part in ("-p", f"{k}:={_yaml(v)}")]
    return [sys.executable, "-m", f"perception_nodes.nodes.{node.name}", *ros_arguments(node), *given]


def _factory(node: ResolvedNode) -> Callable[..., Any]:
    def make(**kwargs: Any) -> Any:
        import importlib

        module = importlib.import_module(f"perception_nodes.nodes.{node.name}")
        arguments = {"cli_args": ros_arguments(node), "use_global_arguments": False}
        return module.make_node(overrides=node.parameters, **arguments, **kwargs)

    return make


def _processes(nodes: Sequence[ResolvedNode]) -> int:
    """One child per node; the first to end ends all, and none is left."""
    stop = StopRequest()
    if threading.current_thread() is threading.main_thread():
        catch_signals(stop)
    children: list[subprocess.Popen[bytes]] = []
    try:
        for node in nodes:
            children.append(start_child(process_command(node)))
        while not stop.wait(0.2):
            for child in children:
                if (code := child.poll()) is not None:
                    stop(code)
    finally:
        for child in children:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
        for child in children:
            try:
                child.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
    return stop.code


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).splitlines()[0].strip()
