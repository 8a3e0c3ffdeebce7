"""Object stores on loopback: moto's S3 server, and a proxy in front of it that fails on demand."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOTO = """
import logging, sys, threading
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer
put, lock = S3Response.put_object, threading.Lock()
def put_one_by_one(response):  # moto looks at a condition, and stores later: now and then two writers win
    with lock:
        return put(response)
S3Response.put_object = put_one_by_one
logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
KEY, SECRET = "AKIATESTTESTTESTTEST", "a-secret-access-key-that-nobody-may-see"


class Moto:
    """moto's S3 server, in a process of its own.

    Attributes:
        url: its endpoint.
    """

    def __init__(self) -> None:
        command = [sys.executable, "-W", "ignore", "-c", MOTO]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self._buckets = 0

    def bucket(self) -> str:
        """Make a bucket and return its name."""
        self._buckets += 1
        name = f"bucket-{os.getpid()}-{self._buckets}"
        with urlopen(Request(f"{self.url}/{name}", method="PUT")):
            return name

    def stop(self) -> None:
        self._process.communicate()


def s3_settings(endpoint: str) -> dict[str, str]:
    """Return the variables by which obstore finds a server; a request fails within seconds."""
    return {
        "AWS_ENDPOINT": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }


@dataclass
class Fault:
    """What happens to some requests.

    Attributes:
        method: of the requests, or `""` for any.
        part: of their path.
        status: is answered in place of the server's answer; 0 for none.
        code: of the error, as S3 tells it.
        is_landed: whether the request reaches the server all the same.
        delay: seconds before it goes on.
        is_cut: whether the connection breaks before the answer, or within its body.
        keeps: bytes of the body that come before it breaks.
        times: how many requests it happens to.
    """

    method: str = ""
    part: str = ""
    status: int = 0
    code: str = "InternalError"
    is_landed: bool = False
    delay: float = 0.0
    is_cut: bool = False
    keeps: int | None = None
    times: int = 1_000_000


@dataclass
class Proxy:
    """Passes requests on to a server, but for those that meet a fault.

    Attributes:
        target: the server's endpoint.
        faults: what happens to requests; the first that matches counts.
        dropped: headers that are not passed on.
        seen: method and path of all requests.
        most: the most connections at once.
        busiest: the most requests at once whose answers had not begun.
    """

    target: str
    faults: list[Fault] = field(default_factory=list)
    dropped: tuple[str, ...] = ()
    seen: list[tuple[str, str]] = field(default_factory=list)
    change: Callable[[str, bytes], bytes] | None = None
    most: int = 0
    busiest: int = 0

    def __post_init__(self) -> None:
        proxy, self._open, self._busy, self._lock = self, set(), 0, threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: Any) -> None:
                """Stay silent."""

            def handle(self) -> None:
                with proxy._lock:
                    proxy._open.add(self.connection)
                    proxy.most = max(proxy.most, len(proxy._open))
                try:
                    with contextlib.suppress(OSError):
                        super().handle()
                finally:
                    with proxy._lock:
                        proxy._open.discard(self.connection)

            def finish(self) -> None:
                with contextlib.suppress(OSError):
                    super().finish()

            def do_GET(self) -> None:
                proxy._pass(self)

            do_PUT = do_POST = do_DELETE = do_HEAD = do_PROPFIND = do_GET

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        with self._lock:
            opened = [*self._open]
        for connection in opened:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def count(self, method: str, part: str = "") -> int:
        """Return how many requests of a method there were."""
        return sum(method == seen and part in path for seen, path in self.seen)

    def _fault(self, method: str, path: str) -> Fault:
        with self._lock:
            self.seen.append((method, path))
            for fault in self.faults:
                if fault.times and fault.method in ("", method) and fault.part in path:
                    fault.times -= 1
                    return fault
        return Fault()

    def _pass(self, handler: Any) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        fault = self._fault(handler.command, handler.path)
        is_passed = fault.is_landed or not (fault.status or (fault.is_cut and fault.keeps is None))
        with self._counted():  # not while the answer is sent: the client may have it, and ask again, before that ends
            time.sleep(fault.delay)
            status, headers, data = self._ask(handler, body) if is_passed else (0, {}, b"")
        if fault.status:
            status, headers = fault.status, {"content-type": "application/xml"}
            data = f"<Error><Code>{fault.code}</Code><Message>{SECRET}</Message></Error>".encode()
        if self.change is not None:
            status, data = 200, self.change(handler.path, data)
        if fault.is_cut and fault.keeps is None:
            handler.close_connection = True
            return
        handler.send_response(status)
        length = headers.pop("content-length", str(len(data))) if handler.command == "HEAD" else str(len(data))
        for name, value in {**headers, "content-length": length}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data[: fault.keeps] if fault.is_cut else data)
        handler.close_connection = handler.close_connection or fault.is_cut

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1

    def _ask(self, handler: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        host, _, port = self.target.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in self.dropped}
        try:
            connection.request(handler.command, handler.path, body, headers)
            answer = connection.getresponse()
            passed = ("content-type", "content-length", "etag", "last-modified", "x-amz-version-id")
            found = {name.lower(): value for name, value in answer.getheaders() if name.lower() in passed}
            data = answer.read()
            if handler.command != "HEAD":
                found.pop("content-length", None)
            return answer.status, found, data
        finally:
            connection.close()
