"""Two machines on one network, made of network namespaces (root and iproute2; elsewhere the tests are skipped)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

ADDRESSES = ("10.77.0.1", "10.77.0.2")


class Hosts:
    """`start(0, code)` and `start(1, code)` run Python on the first and the second machine."""

    def __init__(self, names: tuple[str, str]) -> None:
        self._names = names
        self._children: list[subprocess.Popen[str]] = []

    def start(self, host: int, *command: str, **environment: str) -> Any:
        """A child with its output in a pipe; its environment holds no DDS setting but those given."""
        # Each machine has a shared memory of its own.
        own = f'mount --bind /dev/shm/{self._names[host]} /dev/shm && exec "$0" "$@"'
        inside = ["ip", "netns", "exec", self._names[host], "unshare", "--mount", "sh", "-c", own, sys.executable]
        child = subprocess.Popen(
            [*inside, *command],
            env=clean_environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._children.append(child)
        return child

    def close(self) -> None:
        for child in self._children:
            if child.poll() is None:
                os.killpg(child.pid, 9)
            child.communicate()


def clean_environment(**given: str) -> dict[str, str]:
    """This process's environment without its DDS settings."""
    prefixes = ("ROS_", "FASTDDS_", "FASTRTPS_", "RMW_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(prefixes) or k == "ROS_DISTRO"}
    return kept | {"OMP_NUM_THREADS": "1"} | given


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Skips where there is no root or no iproute2."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2 (apt-get install iproute2)")
    names, links = (f"pn{os.getpid()}a", f"pn{os.getpid()}b"), (f"pn{os.getpid()}x", f"pn{os.getpid()}y")

    def ip(*arguments: str) -> None:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")

    hosts = Hosts(names)
    try:
        try:
            for name in names:
                ip("netns", "add", name)
                os.mkdir(f"/dev/shm/{name}")
            ip("link", "add", links[0], "netns", names[0], "type", "veth", "peer", "name", links[1], "netns", names[1])
            for name, link, address in zip(names, links, ADDRESSES):
                ip("-n", name, "addr", "add", f"{address}/24", "dev", link)
                ip("-n", name, "link", "set", "lo", "up")
                ip("-n", name, "link", "set", link, "up")
                ip("-n", name, "route", "add", "224.0.0.0/4", "dev", link)
        except OSError as error:  # a container without the right to make them
            pytest.skip(f"no network namespaces here: {error}")
        yield hosts
    finally:
        hosts.close()
        for name in names:
            with suppress(OSError):
                ip("netns", "delete", name)
            shutil.rmtree(f"/dev/shm/{name}", ignore_errors=True)
