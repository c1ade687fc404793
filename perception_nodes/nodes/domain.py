"""A ROS domain of its own for a replay or a measurement: no other node hears it or answers in it."""

import random
import socket
from pathlib import Path

BASE, SPAN = 7400, 250  # DDS: domain d has the UDP ports 7400 + 250 d …
CLAIM = SPAN - 1  # no participant that is counted from 0 to 100 uses this port of a domain
DOMAINS = range(1, 102)  # above 101 the ports of domains are those that Linux gives to any program


class DomainError(RuntimeError):
    """No domain is free."""


class OwnDomain:
    """Holds a domain that nobody used when it was chosen; `number` says which.

    A socket on 127.0.0.1 claims it, so that two processes never choose the same one; `close` gives it back.

    Raises:
        DomainError: all domains are in use.
    """

    def __init__(self) -> None:
        used = used_domains()
        candidates = [domain for domain in DOMAINS if domain not in used]
        random.SystemRandom().shuffle(candidates)
        for domain in candidates:
            claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                claim.bind(("127.0.0.1", BASE + SPAN * domain + CLAIM))
            except OSError:  # claimed a moment ago
                claim.close()
                continue
            self.number, self._claim = domain, claim
            return
        raise DomainError("no ROS domain from 1 to 101 is free on this machine: give one with --domain")

    def close(self) -> None:
        """Gives the domain back; safe to call twice."""
        self._claim.close()


def used_domains() -> set[int]:
    """Domains in whose range of ports some process of this machine listens (Linux; empty elsewhere)."""
    found: set[int] = set()
    for table in ("udp", "udp6"):
        try:
            rows = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        ports = (int(row.split()[1].rsplit(":", 1)[1], 16) for row in rows)
        found |= {(port - BASE) // SPAN for port in ports if port >= BASE}
    return found
