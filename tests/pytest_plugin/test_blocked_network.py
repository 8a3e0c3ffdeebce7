"""`--inferencereplay-block-network`: what goes round the SDK is kept off the network."""

from __future__ import annotations

import asyncio
import pickle
import socket

import pytest
import trio
from suites import suite, summary

from inferencereplay import NetworkBlocked
from inferencereplay.pytest_plugin.network_guard import NetworkGuard, _audit
from inferencereplay.session.outgoing import sending

pytest_plugins = ["pytester"]
__all__ = ["suite"]
BLOCK = "--inferencereplay-block-network"
ELSEWHERE = ("192.0.2.1", 9)
"""An address that nobody has: RFC 5737 keeps it for documents."""


@pytest.fixture
def guard():
    """A guard that is on duty."""
    guard = NetworkGuard(["Allowed.invalid", "192.0.2.7", "*.pattern.invalid"])
    guard.start()
    yield guard
    guard.stop()


async def connect_by_asyncio(address):
    await asyncio.open_connection(*address)


async def connect_by_trio(address):
    await trio.open_tcp_stream(*address)


def send(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"", address)


WAYS = {
    "create_connection": lambda address: socket.create_connection(address, 1),
    "connect_ex": lambda address: socket.socket().connect_ex(address),
    "datagram": send,
    "asyncio": lambda address: asyncio.run(connect_by_asyncio(address)),
    "trio": lambda address: trio.run(connect_by_trio, address),
    "name": lambda _: socket.getaddrinfo("host.invalid", 80),
    "bytes": lambda _: socket.getaddrinfo(b"host.invalid", 80),
    "old name": lambda _: socket.gethostbyname("host.invalid"),
    "reverse": lambda _: socket.gethostbyaddr("host.invalid"),
}


def leaves(error):
    """Return the errors in groups."""
    return [leaf for inner in getattr(error, "exceptions", ()) for leaf in leaves(inner)] or [error]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_each_way_is_blocked(guard, way):
    """By connection, datagram and look-up, by whatever library; the error names the host, and the way out."""
    with pytest.raises(Exception, match=r"kept off|nursery") as caught:
        WAYS[way](ELSEWHERE)
    (error,) = leaves(caught.value)
    assert isinstance(error, NetworkBlocked)
    assert error.host in ("192.0.2.1", "host.invalid")
    assert str(error).startswith(error.host)
    assert "inferencereplay_allow_hosts" in str(error)
    assert pickle.loads(pickle.dumps(error)).host == error.host
    assert guard.blocked.total() >= 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "a.localhost", ""])
def test_loopback_is_allowed(guard, host):
    """By any of its names and addresses, and so is the look-up of addresses and of this machine's name."""
    guard.check_lookup(host)
    if host and host[0] in "1:":
        guard.check_connection(socket.AF_INET, (host, 80))
    guard.check_lookup("192.0.2.1")
    guard.check_lookup(socket.gethostname())
    guard.check_lookup(None)


def test_a_server_on_loopback_is_reached(guard):
    """Also by asyncio, and a Unix socket is no network."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        socket.create_connection(address).close()

        async def connect():
            _, writer = await asyncio.open_connection("localhost", address[1])
            writer.close()

        asyncio.run(connect())
    guard.check_connection(socket.AF_UNIX, "/tmp/socket")
    assert not guard.blocked


def test_hosts_can_be_allowed(guard, monkeypatch):
    """By name, with the addresses that it has; by address; by pattern. Case does not count."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(2, 1, 6, "", ("192.0.2.99", 0))])
    guard.check_connection(socket.AF_INET, ("192.0.2.7", 80))
    with pytest.raises(NetworkBlocked):
        guard.check_connection(socket.AF_INET, ("192.0.2.99", 80))
    guard.check_lookup("ALLOWED.invalid")
    guard.check_lookup("any.pattern.invalid")
    guard.check_connection(socket.AF_INET, ("192.0.2.99", 80))


def test_an_allowed_name_without_an_address(guard):
    """The program's own look-up fails as it does without a guard."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("allowed.invalid", 80)
    assert not guard.blocked


def test_calls_of_the_sdk_are_let_through(guard):
    """In its context; look-ups in whatever thread, for event loops make them elsewhere."""
    with sending():
        guard.check_connection(socket.AF_INET, ELSEWHERE)
        guard.check_lookup("host.invalid")
    for address in (ELSEWHERE, ("host.invalid", 80)):
        with pytest.raises(NetworkBlocked):
            guard.check_connection(socket.AF_INET, address)


@pytest.mark.parametrize("options", [(BLOCK,), (), pytest.param((BLOCK, "-n1"), marks=pytest.mark.slow)])
def test_a_run_is_kept_off_the_network(suite, options):
    """By option or ini; a failing test names the hosts, and the summary counts them all. The next run is free."""
    suite.ini(inferencereplay_block_network=str(not options).lower())
    suite.write(
        test_a="""
        import socket

        def reach():
            socket.create_connection(("192.0.2.1", 80), 1)

        def test_fails(): reach()

        def test_swallows():
            try:
                reach()
            except Exception:
                pass

        def test_loopback(inferencereplay): ask()
        """
    )
    result = suite.live("--inferencereplay-mode=record-if-missing", *options, failed=1, passed=2)
    result.stdout.fnmatch_lines(["E *NetworkBlocked: 192.0.2.1:80 was kept off the network*", "192.0.2.1:80"])
    assert summary(result)[-1] == "kept off the network: 2 connections: 192.0.2.1:80"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", 9), 1)
    assert not __import__("inferencereplay.pytest_plugin.network_guard", fromlist=["_guards"])._guards


@pytest.mark.parametrize("make", ["ask()", "__import__('asyncio').run(ask_async())"])
def test_recording_reaches_the_server_and_nothing_else_does(suite, monkeypatch, make):
    """The SDK's own calls in a recording mode pass, also where the server's address is no loopback."""
    suite.ini(inferencereplay_block_network="true")
    monkeypatch.setattr("inferencereplay.pytest_plugin.network_guard._is_loopback", lambda _: False)
    monkeypatch.setattr("inferencereplay.pytest_plugin.network_guard._is_local", lambda _: False)
    suite.write(
        test_a=f"""
        import os, urllib.request

        def test_recorded(inferencereplay):
            assert {make}

        def test_round_the_sdk(inferencereplay):
            urllib.request.urlopen(os.environ["OPENAI_BASE_URL"])
        """
    )
    result = suite.record(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*NetworkBlocked: 127.0.0.1*"])


@pytest.mark.parametrize("event", ["socket.connect", "socket.sendto"])
def test_what_python_tells_of(guard, event):
    """A socket is closed if its connection is refused, one for datagrams stays. No tracer sees the call by Python."""
    with socket.socket() as made:
        with pytest.raises(NetworkBlocked):
            _audit(event, (made, ELSEWHERE))
        assert (made.fileno() == -1) is (event == "socket.connect")
    with pytest.raises(NetworkBlocked):
        _audit("socket.getaddrinfo", ("host.invalid", 80))
    _audit("socket.bind", (made, ELSEWHERE))
    _audit("open", ("file",))
    guard.stop()
    guard.stop()
    _audit("socket.getaddrinfo", ("host.invalid", 80))
    assert sorted(guard.blocked) == ["192.0.2.1:9", "host.invalid"]
