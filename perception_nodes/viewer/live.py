"""A rerun viewer of our own, as a child process bound to this machine (127.0.0.1) only, and ended with us."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perception_nodes.children import start_child
from perception_nodes.viewer.log import INSTALL, Log, ViewerError
from perception_nodes.viewer.panel import Panel

BIND = "127.0.0.1"
CLOSED_S = 3.0  # for the port to be free after the viewer's end


class LiveViewer:
    """Starts a viewer and hands out a `log` that streams to it; `close` ends both.

    With a display a window opens; without one (`window=False`) the viewer is served to a browser on 127.0.0.1.
    memory: limit of the viewer ("1GB"), which then drops the oldest data; "": rerun's own limit. sensors: `calibration`
    and `cameras` of `Log`.
    Raises ViewerError if rerun is absent or the viewer does not come up within `timeout_s`.
    """

    def __init__(
        self,
        name: str,
        window: bool | None = None,
        timeout_s: float = 20.0,
        panels: Sequence[Panel] = (),
        memory: str = "",
        **sensors: Any,
    ) -> None:
        window = has_display() if window is None else window
        self.port, web_port = free_port(), free_port()
        arguments = ["--bind", BIND, "--port", str(self.port)]
        if memory:
            arguments += ["--memory-limit", memory, "--server-memory-limit", memory]
        if not window:
            arguments += ["--serve-web", "--web-viewer-port", str(web_port)]
            print(f"viewer: http://{BIND}:{web_port}?url=rerun%2Bhttp%3A%2F%2F{BIND}%3A{self.port}%2Fproxy", flush=True)
        try:
            self._process = start_child(
                [*viewer_program(), *arguments],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us: the viewer is ended when its log is written out
            )
            self._wait(timeout_s)
            self.log = Log(name, connect=f"rerun+http://{BIND}:{self.port}/proxy", panels=panels, **sensors)
        except BaseException:
            self.close()
            raise

    def _wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ViewerError(f"the rerun viewer ended at once (exit code {self._process.returncode}): {INSTALL}")
            if answers(self.port):
                return
            time.sleep(0.1)
        raise ViewerError(f"the rerun viewer did not listen on {BIND}:{self.port} within {timeout_s:g} s; try --save")

    @property
    def running(self) -> bool:
        """False once the viewer's process has ended, such as after its window was closed."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the stream and the viewer process; then nothing answers on its port any more."""
        try:
            if hasattr(self, "log"):
                self.log.close()
        finally:
            if hasattr(self, "_process"):
                self._end()

    def _end(self) -> None:
        for end in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, end)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(3)
        deadline = time.monotonic() + CLOSED_S
        while answers(self.port) and time.monotonic() < deadline:
            time.sleep(0.02)


def viewer_program() -> list[str]:
    """The viewer itself. `python -m rerun` would start it as a child of its own, which outlives a wrapper that is
    killed."""
    found = importlib.util.find_spec("rerun_cli")
    for folder in (found.submodule_search_locations or []) if found else []:
        program = Path(folder) / "rerun"
        if os.access(program, os.X_OK):
            return [str(program)]
    return [sys.executable, "-m", "rerun"]


def has_display() -> bool:
    """Whether a window can be opened here."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def answers(port: int) -> bool:
    """Whether something listens on a TCP port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((BIND, port)) == 0


def free_port() -> int:
    """A TCP port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind((BIND, 0))
        return int(probe.getsockname()[1])
