"""Keeps what goes round the SDK off the network, by an audit hook: Python tells it each connection and look-up.

It sees the sockets of Python itself, so those of asyncio and trio as well. It does not see what child processes do, nor
event loops and drivers written in C with sockets of their own, such as uvloop's. (pytest-socket, the usual library for
this, replaces `socket.socket` for single tests, and cannot tell the SDK's own calls from others.)
"""

from __future__ import annotations

import contextlib
import fnmatch
import ipaddress
import socket
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import NetworkBlocked
from inferencereplay.session.outgoing import is_any_under_way, is_sending

if TYPE_CHECKING:
    from collections.abc import Iterable

_CONNECTIONS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_WAY_OUT = (
    "was kept off the network: inferencereplay_block_network lets loopback through, and calls of the OpenAI SDK that "
    "are recorded or live. Replace what calls it in the test, or name the host in the ini option "
    "inferencereplay_allow_hosts."
)


class NetworkGuard:
    """Lets through what is allowed, and refuses the rest.

    Args:
        allowed: names and addresses of hosts, and patterns such as `*.internal`.

    Attributes:
        blocked: how often a host was refused, by its name or address.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self.blocked: Counter[str] = Counter()
        self._allowed = tuple(name.lower() for name in allowed)
        self._addresses: set[str] = set()
        self._own = threading.local()

    def start(self) -> None:
        """Begin; Python keeps the hook for as long as the process lives, and it does nothing without guards."""
        if not _hooked:
            sys.addaudithook(_audit)
            _hooked.append(True)
        _guards.append(self)

    def stop(self) -> None:
        """End."""
        if self in _guards:
            _guards.remove(self)

    def check_connection(self, family: int, address: Any) -> None:
        """Refuse a connection, or a datagram.

        Raises:
            NetworkBlocked: if it leaves this machine.
        """
        if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple) or is_sending():
            return
        host = _text(address[0])
        if not _is_address(host):
            self.check_lookup(host)
        elif not (_is_loopback(host) or host in self._addresses or self._is_allowed(host)):
            self._refuse(host, f"{host}:{address[1]}")

    def check_lookup(self, host: Any) -> None:
        """Refuse the look-up of a name.

        Raises:
            NetworkBlocked: if a server would have to be asked for it.
        """
        name = _text(host)
        if getattr(self._own, "looks_up", False) or is_any_under_way() or _is_local(name):
            return
        if not self._is_allowed(name):
            self._refuse(name, name)
        self._own.looks_up = True
        try:
            with contextlib.suppress(OSError):  # the program's own look-up will fail alike
                self._addresses.update(str(found[4][0]) for found in socket.getaddrinfo(name, None))
        finally:
            self._own.looks_up = False

    def _is_allowed(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in self._allowed)

    def _refuse(self, host: str, shown: str) -> None:
        self.blocked[shown] += 1
        message = f"{shown} {_WAY_OUT}"
        raise NetworkBlocked(message, host=host)


_guards: list[NetworkGuard] = []
_hooked: list[bool] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not _guards or not event.startswith("socket."):
        return
    if event in _CONNECTIONS:
        try:
            _guards[-1].check_connection(args[0].family, args[1])
        except NetworkBlocked:
            if event == _CONNECTIONS[0]:
                args[0].close()  # the standard library does so after an OSError only
            raise
    elif event in _LOOKUPS:
        _guards[-1].check_lookup(args[0])


def _text(host: Any) -> str:
    return host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else str(host or "")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def _is_local(name: str) -> bool:
    """Whether no server is asked for a name: it is an address, this machine's name, or `localhost`."""
    bare = name.lower().rstrip(".")
    return (
        not bare
        or _is_address(name)
        or bare in ("localhost", socket.gethostname().lower())
        or (bare.endswith(".localhost"))
    )
