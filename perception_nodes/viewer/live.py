"""A rerun viewer of our own, as a child process bound to this machine (127.0.0.1) only, and ended with us."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from perception_nodes.viewer.log import INSTALL, Log, ViewerError
from perception_nodes.viewer.panel import Panel

BIND = "127.0.0.1"


class LiveViewer:
    """Starts a viewer and hands out a `log` that streams to it; `close` ends both.

    With a display a window opens; without one (`window=False`) the viewer is served to a browser on 127.0.0.1.
    Raises ViewerError if rerun is absent or the viewer does not come up within `timeout_s`.
    """

    def __init__(
        self, name: str, window: bool | None = None, timeout_s: float = 20.0, panels: Sequence[Panel] = ()
    ) -> None:
        window = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) if window is None else window
        self.port, web_port = free_port(), free_port()
        arguments = ["--bind", BIND, "--port", str(self.port)]
        if not window:
            arguments += ["--serve-web", "--web-viewer-port", str(web_port)]
            print(f"viewer: http://{BIND}:{web_port}?url=rerun%2Bhttp%3A%2F%2F{BIND}%3A{self.port}%2Fproxy", flush=True)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rerun", *arguments],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # rerun's python wrapper starts the real viewer: both are ended together
            )
            self._wait(timeout_s)
            self.log = Log(name, connect=f"rerun+http://{BIND}:{self.port}/proxy", panels=panels)
        except BaseException:
            self.close()
            raise

    def _wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ViewerError(f"the rerun viewer ended at once (exit code {self._process.returncode}): {INSTALL}")
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex((BIND, self.port)) == 0:
                    return
            time.sleep(0.1)
        raise ViewerError(f"the rerun viewer did not listen on {BIND}:{self.port} within {timeout_s:g} s; try --save")

    def close(self) -> None:
        """End the stream and the viewer process."""
        if hasattr(self, "log"):
            self.log.close()
        if hasattr(self, "_process"):
            for end in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, end)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(3)


def free_port() -> int:
    """A TCP port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind((BIND, 0))
        return int(probe.getsockname()[1])
