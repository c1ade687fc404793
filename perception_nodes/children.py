"""Child processes that end with us, and signals that end a command as an exception does. No ROS."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

COMPILED_CALLERS = ("<frozen importlib", f"{os.sep}llvmlite{os.sep}")  # in names of files of Python frames
RETRY_S = 0.05  # between two tries to raise a signal's exception
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
    """SIGTERM and SIGHUP raise `Ended` in the main thread, once; later ones are ignored while things are undone.

    SIGINT raises KeyboardInterrupt; a block that it ends without ending the command stands in `until_interrupted`. All
    three wait for the end of an import or of a call from LLVM.
    """
    numbers = (signal.SIGTERM, signal.SIGHUP)

    def end(number: int, frame: FrameType | None) -> None:
        if _in_compiled_caller(frame):
            signal.signal(signal.SIGALRM, lambda _, later: end(number, later))
            signal.setitimer(signal.ITIMER_REAL, RETRY_S)
            return
        if number != signal.SIGINT:
            for each in numbers:
                signal.signal(each, signal.SIG_IGN)

        def again(_number: int, later: FrameType | None) -> None:
            """A library may lose the exception: it is raised again unless it is being handled."""
            error = sys.exc_info()[1]
            while error is not None and not isinstance(error, (Ended, KeyboardInterrupt)):
                error = error.__context__
            if error is None and not _in_compiled_caller(later):
                raise _exception_of(number)

        signal.signal(signal.SIGALRM, again)
        signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
        raise _exception_of(number)

    for each in (*numbers, signal.SIGINT):
        if signal.getsignal(each) != signal.SIG_IGN:  # nohup; a shell's background
            signal.signal(each, end)


@contextmanager
def until_interrupted() -> Iterator[None]:
    """A block that Ctrl-C ends, and nothing but the block."""
    try:
        yield
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)  # it has arrived: it is not to be raised again


def _exception_of(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Ended(number)


def _in_compiled_caller(frame: FrameType | None) -> bool:
    """Whether compiled code that takes no exception may have called this frame: a module's start-up in C++ aborts the
    process on one, LLVM's callbacks lose it."""
    while frame is not None:
        if any(part in frame.f_code.co_filename for part in COMPILED_CALLERS):
            return True
        frame = frame.f_back
    return False
