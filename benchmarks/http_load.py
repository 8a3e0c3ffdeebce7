"""Load on a local HTTP server: requests one after the other on some connections, and streams side by side.

How late an event comes is told by the kernel's stamp of its arrival (SO_TIMESTAMPNS), where there is one: the client
itself may be busy.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIMESTAMP = 35
"""SO_TIMESTAMPNS, and the type of its message."""
_TICKS = os.sysconf("SC_CLK_TCK")
_HEADERS = {
    "host": "localhost",
    "authorization": "Bearer sk-000000000000000000000000",
    "accept": "application/json",
    "content-type": "application/json",
    "user-agent": "OpenAI/Python 3.57.0",
    "x-stainless-lang": "python",
    "x-stainless-package-version": "3.57.0",
}
END = b"data: [DONE]"


class Lateness(NamedTuple):
    """How late events were, in milliseconds."""

    events: int
    least: float
    p50: float
    p99: float
    most: float


def request(body: Any) -> bytes:
    """Return a chat as it is sent."""
    content = json.dumps(body).encode()
    lines = [f"{name}: {value}" for name, value in {**_HEADERS, "content-length": len(content)}.items()]
    return "\r\n".join(["POST /v1/chat/completions HTTP/1.1", *lines, "", ""]).encode() + content


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(process: int) -> float:
    """Return the memory that a process holds, in MB."""
    (line,) = (line for line in Path(f"/proc/{process}/status").read_text("ascii").split("\n") if "VmRSS" in line)
    return int(line.split()[1]) / 1024


@contextlib.contextmanager
def connections(port: int, count: int) -> Iterator[tuple[list[socket.socket], select.epoll]]:
    """Open connections, and a poll of them."""
    opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    poll = select.epoll()
    for item in opened:
        item.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        item.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        poll.register(item, select.EPOLLIN)
    try:
        yield opened, poll
    finally:
        poll.close()
        for item in opened:
            item.close()


def answer_size(item: socket.socket, sent: bytes) -> int:
    """Return the bytes of a plain answer; they are the same each time."""
    item.sendall(sent)
    got = b""
    while b"\r\n\r\n" not in got:
        got += item.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    if found:
        size = len(head) + 4 + int(found[1])
        while len(got) < size:
            got += item.recv(65536)
        return size
    while not got.endswith(b"0\r\n\r\n"):
        got += item.recv(65536)
    return len(head) + 4 + len(body)


def ask(port: int, body: Any, count: int, width: int) -> float:
    """Make plain requests, one after the other on each connection; return the seconds that they took."""
    sent = request(body)
    with connections(port, width) as (opened, poll):
        size = answer_size(opened[0], sent)
        left = {item.fileno(): (item, size) for item in opened}
        done, start = 0, time.perf_counter()
        for item in opened:
            item.send(sent)
        while done < count:
            for number, _ in poll.poll():
                item, rest = left[number]
                rest -= len(item.recv(65536))
                if not rest:
                    rest, done = size, done + 1
                    item.send(sent)
                left[number] = item, rest
        return time.perf_counter() - start


def read_streams(port: int, body: Any, count: int, width: int) -> float:
    """Read streams that do not wait, one after the other on each connection; return the seconds that they took."""
    sent = request(body)
    with connections(port, width) as (opened, poll):
        items = {item.fileno(): item for item in opened}
        tails = dict.fromkeys(items, b"")
        begun, done, start = width, 0, time.perf_counter()
        for item in opened:
            item.send(sent)
        while done < count:
            for number, _ in poll.poll():
                got = tails[number] + items[number].recv(1 << 20)
                tails[number] = got[-40:]
                if END in got:  # the rest of the frame comes with it, or is read with the next answer
                    done += 1
                    tails[number] = b""
                    if begun < count:
                        begun += 1
                        items[number].send(sent)
        return time.perf_counter() - start


def time_streams(port: int, body: Any, width: int, due: list[float], watch: Any) -> Lateness:
    """Read streams side by side and return how late their events were.

    Args:
        port: of the server.
        body: of the request.
        width: how many streams.
        due: seconds from the request to each event.
        watch: is called now and then.
    """
    sent, late = request(body), []
    with connections(port, width) as (opened, poll):
        items = {item.fileno(): item for item in opened}
        begun, seen, is_open = {}, dict.fromkeys(items, 0), width
        for item in opened:
            begun[item.fileno()] = time.time()
            item.send(sent)
        looked = 0.0
        while is_open:
            for number, _ in poll.poll(1):
                got, messages, *_ = items[number].recvmsg(1 << 16, 64)
                now = _stamp(messages) - begun[number]
                count = min(got.count(b"data: {"), len(due) - seen[number])
                late += [now - due[seen[number] + index] for index in range(count)]
                seen[number] += count
                if not got or END in got:
                    is_open -= 1
                    poll.unregister(number)
            if time.perf_counter() - looked > 1:
                looked = time.perf_counter()
                watch()
    late.sort()
    picked = [late[int(len(late) * share)] for share in (0, 0.5, 0.99)]
    return Lateness(len(late), *(value * 1000 for value in (*picked, late[-1])))


def _stamp(messages: Any) -> float:
    for level, kind, data in messages:
        if level == socket.SOL_SOCKET and kind == _TIMESTAMP:
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            return seconds + nanoseconds / 1e9
    return time.time()
