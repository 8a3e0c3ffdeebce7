"""A server on loopback that answers as OpenAI's does; see `answers` for what."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
from typing import Any

import answers


class _HTTPServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 200  # connections of a burst


class FakeServer:
    """Chat completions, the Responses API and embeddings, plain and streamed.

    Attributes:
        url: the base URL for a client.
        requests: method, path and body of each request so far.
        number: of the latest answer; a harness sets it so that two runs get equal answers, or different ones.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.number = 0
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                server._connections.add(self.connection)

            def log_message(self, *_: Any) -> None:
                """Stay silent."""

            def handle(self) -> None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    super().handle()

            def do_POST(self) -> None:
                server._answer(self)

            do_GET = do_POST

        self._http = _HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def stop(self) -> None:
        """Be gone: nothing listens any more, and no connection that a client has kept is served."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        body = json.loads(raw) if raw else {}
        path = handler.path.partition("?")[0]
        with self._lock:
            self.requests.append((handler.command, path, body))
            self.number += 1
            number = self.number
        if body.get("model") == answers.NO_MODEL:
            told = {"message": f"There is no such model ({number}).", "type": "invalid_request_error", "param": "model"}
            self._send(handler, number, 404, json.dumps({"error": {**told, "code": "model_not_found"}}).encode())
        elif body.get("stream"):
            self._stream(handler, number, _events(path, body, number))
        else:
            status, made = _plain(path, body, number)
            self._send(handler, number, status, json.dumps(made).encode())

    def _send(self, handler: http.server.BaseHTTPRequestHandler, number: int, status: int, content: bytes) -> None:
        self._head(handler, number, status, "application/json")
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _stream(self, handler: http.server.BaseHTTPRequestHandler, number: int, events: list[bytes]) -> None:
        self._head(handler, number, 200, "text/event-stream; charset=utf-8")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for event in events:
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
        handler.wfile.write(b"0\r\n\r\n")

    def _head(self, handler: http.server.BaseHTTPRequestHandler, number: int, status: int, kind: str) -> None:
        handler.send_response(status)
        handler.send_header("content-type", kind)
        handler.send_header("x-request-id", f"req_{number}")
        handler.send_header("openai-processing-ms", str(number))
        handler.send_header("x-ratelimit-remaining-requests", str(10_000 - number))


def _plain(path: str, body: Any, number: int) -> tuple[int, Any]:
    if not body:
        return 404, {"error": {"message": f"nothing was sent to {path}", "type": "invalid_request_error", "code": None}}
    if path.endswith("/chat/completions"):
        return 200, answers.chat(body, number)
    if path.endswith("/responses"):
        return 200, answers.response(body, number)
    if path.endswith("/embeddings"):
        return 200, answers.embeddings(body, number)
    return 404, {"error": {"message": f"there is no {path}", "type": "invalid_request_error", "code": None}}


def _events(path: str, body: Any, number: int) -> list[bytes]:
    if path.endswith("/responses"):
        return [
            f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            for event in answers.response_events(body, number)
        ]
    chunks = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in answers.chat_chunks(body, number)]
    return [*chunks, b"data: [DONE]\n\n"]
