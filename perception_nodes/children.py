"""Child processes that end with us, and signals that end a command as an exception does. No ROS."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

PR_SET_PDEATHSIG = 1  # Linux: the signal that a process gets when its parent ends, however that ends


def start_child(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """A child process that gets SIGTERM when this process ends, `kill -9` included (on Linux).

    Start it from a thread that lives as long as the process: the kernel counts the end of that thread.
    """
    return subprocess.Popen(command, preexec_fn=_dies_with_parent(), **options)


def _dies_with_parent() -> Callable[[], None] | None:
    """What a child runs before its program; None where the system has no parent-death signal."""
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it ended in between
            os._exit(1)

    return ask


class Ended(SystemExit):
    """A signal asked this command to end: context managers undo what is half-done, then the process exits."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = signal.Signals(number).name


def end_cleanly_on_signals() -> None:
    """SIGTERM and SIGHUP raise `Ended` in the main thread, once; later ones are ignored while things are undone."""
    numbers = (signal.SIGTERM, signal.SIGHUP)

    def end(number: int, frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)

        def again(_number: int, _frame: FrameType | None) -> None:
            """An exception raised in a compiler's callback is lost: it is raised again unless it is being handled."""
            error = sys.exc_info()[1]
            while error is not None and not isinstance(error, Ended):
                error = error.__context__
            if error is None:
                raise Ended(number)

        signal.signal(signal.SIGALRM, again)
        signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
        raise Ended(number)

    for each in numbers:
        if signal.getsignal(each) != signal.SIG_IGN:  # nohup
            signal.signal(each, end)
