"""A real HTTP server in a process of its own, whose streams pause between chunks or do not.

The model's name says how: `pause-10-5` waits 10 ms before the first of 10 chunks and 5 ms before each further one; any
other gets what `answers.answer` says, without a pause.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import answers

if TYPE_CHECKING:
    from collections.abc import Iterator

PAUSED = 10
"""Chunks of a stream with pauses."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def _answer(self, asked: dict[str, Any]) -> None:
        if self.path.endswith("/audio/speech"):
            self._speak(asked["model"])
            return
        status, kind, pieces = answers.answer(self.path, asked)
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("x-request-id", answers.REQUEST_ID)
        if kind == "application/json":
            self.send_header("content-length", str(len(pieces[0])))
            self.end_headers()
            self.wfile.write(pieces[0])
            return
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        first, between = _pauses(asked["model"])
        for number, piece in enumerate(pieces[:PAUSED] + pieces[-1:] if first else pieces):
            if first:
                time.sleep(between if number else first)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _speak(self, model: str) -> None:
        """Send 10 MB, a tenth of a megabyte at a time."""
        content = answers.sound()
        self.send_response(200)
        self.send_header("content-type", "audio/mpeg")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        size, (_, between) = len(content) // 100, _pauses(model)
        for start in range(0, len(content), size):
            time.sleep(between)
            self.wfile.write(content[start : start + size])


def _pauses(model: str) -> tuple[float, float]:
    kind, *milliseconds = model.split("-")
    if kind != "pause":
        return 0.0, 0.0
    first, between = milliseconds
    return float(first) / 1000, float(between) / 1000


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Run the server meanwhile, and give its base URL."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.kill()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Stay silent: clients close at `[DONE]`, before the body ends."""


def _serve() -> None:
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()  # until whoever started it is gone


if __name__ == "__main__":
    _serve()
