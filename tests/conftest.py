"""A real HTTP server on loopback, and one way to make a call with every kind of client."""

from __future__ import annotations

import _thread
import atexit
import contextlib
import functools
import gc
import http.server
import importlib.util
import inspect
import json
import os
import shutil
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import openai
import pytest
from hypothesis import settings

from inferencereplay import environment, replay
from inferencereplay.cli import main
from inferencereplay.sdk import patches
from inferencereplay.session import active, garbage
from inferencereplay.session.settings import VARIABLES
from inferencereplay.session.supervision import supervisors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HAS_RESPONSES = hasattr(openai.types, "responses")
"""Whether this version of the SDK has the Responses API, which is newer than its WebSockets."""
collect_ignore = (
    []
    if HAS_RESPONSES
    else [
        *("sdk/test_responses.py", "stubs/test_stubs_of_responses.py"),
        *("sdk/test_websockets.py", "sdk/test_replayed_connection.py", "sdk/test_connection_audio.py"),
        *("sdk/test_connection_contents.py", "session/test_equal_connections.py", "server/test_websocket_replies.py"),
        *("faults/test_connection_faults.py", "faults/test_injected_into_connections.py"),
    ]
)
if importlib.util.find_spec("openai._send_queue") is None:  # openai before 2.54
    collect_ignore.append("sdk/test_reconnects.py")
settings.register_profile("steady", derandomize=True, deadline=None)  # a loaded machine is no fault of the code
settings.load_profile("steady")  # a commit is good or bad by itself; `--hypothesis-profile=default` searches anew
TESTS = Path(__file__).parent
LATE = (
    *("pytest_plugin/test_pytest_plugin.py", "pytest_plugin/test_pytest_plugin_runs.py", "cli/test_cli_running.py"),
    *("test_docs.py", "test_examples.py", "test_frameworks.py", "test_benchmarks.py", "test_comparison.py", "faults/"),
)
"""Where tests start programs."""
EXAMPLES = Path(__file__).parents[1] / "examples" / "recordings"
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0.5}
"""The arguments of a small chat."""


def pytest_configure(config: pytest.Config) -> None:
    """Let coverage follow into the processes that run tests, and no further: those of the tests would be slow."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
            os.environ.pop(name, None)
    supervisors.clear()  # the tests are about programs that no test runner watches, but for those that run pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the quick tests first: those that start no programs."""

    def rank(item: pytest.Item) -> tuple[bool, bool]:
        path = item.path.relative_to(TESTS).as_posix()
        return item.get_closest_marker("slow") is not None, path.startswith(LATE)

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Keep the garbage collector, which every recording block asks, from looking through the tests themselves."""
    gc.collect()
    gc.freeze()


@dataclass
class Reply:
    """What the server answers: a body at once, or pieces, each after a pause in seconds.

    Attributes:
        is_cut: whether the connection breaks after the last piece, in the middle of the body.
        reason: the phrase after the status, if it is not the usual one.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    body: bytes = b"{}"
    pieces: list[tuple[float, bytes]] | None = None
    is_cut: bool = False
    reason: str | None = None


def completion(text: str, **more: Any) -> dict[str, Any]:
    """Return a chat completion as a server sends it, with a field that the SDK does not know and one that is null."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "m",
        "choices": [choice],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        "x_unknown": {"a": [1, None, ""]},
        **more,
    }


def chunk(text: str | None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk of a streamed chat as a server sends it."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish, "logprobs": None}
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


def event(data: Any) -> bytes:
    """Return one server-sent event."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def sse(*data: Any, pause: float = 0.0, is_done: bool = True, is_cut: bool = False) -> Reply:
    """Return a streamed reply, an event a piece, closed by `[DONE]` if `is_done`."""
    pieces = [(pause, event(item)) for item in data]
    if is_done:
        pieces.append((0.0, event(b"[DONE]")))
    return Reply(headers={"content-type": "text/event-stream"}, pieces=pieces, is_cut=is_cut)


def plain(data: Any, status: int = 200, **headers: str) -> Reply:
    """Return a JSON reply."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"content-type": "application/json", **named}, json.dumps(data).encode())


def _read_body(handler: Any) -> bytes:
    if handler.headers.get("transfer-encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("content-length", 0)))
    pieces = []
    while size := int(handler.rfile.readline(), 16):
        pieces.append(handler.rfile.read(size + 2)[:-2])
    handler.rfile.readline()
    return b"".join(pieces)


class _HTTPServer(http.server.ThreadingHTTPServer):
    """Answers in threads that the threading module knows nothing of: they are neither traced nor waited for."""

    def process_request(self, request: Any, client_address: Any) -> None:
        _thread.start_new_thread(self.process_request_thread, (request, client_address))


class Server:
    """A server whose answers are numbered, so that no two are alike, unless a test says what to answer.

    Attributes:
        url: the base URL for a client.
        requests: method, path, headers and body of each request so far.
        replies: what to answer next; when it is empty, the numbered answers go on.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.replies: list[Reply] = []
        self._count = 0
        self._lock = threading.Lock()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def log_message(self, *_: Any) -> None:
                """Stay silent."""

            def handle(self) -> None:
                try:
                    super().handle()
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def finish(self) -> None:
                for file in (self.wfile, self.rfile):
                    with contextlib.suppress(OSError):  # what was left to send is not wanted
                        file.close()

            def do_POST(self) -> None:
                server._answer(self)

            do_GET = do_DELETE = do_PUT = do_PATCH = do_POST

        self._http = _HTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def count(self) -> int:
        return len(self.requests)

    def renumber(self, *replies: Reply) -> None:
        """Begin again with these replies, so that request ids repeat."""
        self._count, self.replies = 0, list(replies)

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _answer(self, handler: Any) -> None:
        raw = _read_body(handler)
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw
        with self._lock:
            self.requests.append((handler.command, handler.path, dict(handler.headers), body))
            self._count += 1
            reply = self.replies.pop(0) if self.replies else self._numbered(handler.path, body, handler.command)
        handler.send_response(reply.status, reply.reason)
        for name, value in {"x-request-id": f"req_{self._count}", **reply.headers, "set-cookie": "sid=c00kie"}.items():
            handler.send_header(name, value)
        if reply.pieces is None:
            handler.send_header("content-length", str(len(reply.body) + reply.is_cut))
            handler.end_headers()
            handler.wfile.write(reply.body)
            handler.close_connection = handler.close_connection or reply.is_cut
        else:
            self._stream(handler, reply)
        handler.wfile.flush()

    def _stream(self, handler: Any, reply: Reply) -> None:
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for pause, piece in reply.pieces or ():
            handler.wfile.flush()
            time.sleep(pause)
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            handler.wfile.flush()
        if reply.is_cut:
            handler.close_connection = True
        else:
            handler.wfile.write(b"0\r\n\r\n")

    def _numbered(self, path: str, body: Any, _: str) -> Reply:
        text = f"answer {self._count}"
        is_stream = isinstance(body, dict) and body.get("stream")
        if path.startswith("/v1/chat/completions") or "/deployments/" in path:
            return sse(chunk(text), chunk(" and more"), chunk(None, "stop")) if is_stream else plain(completion(text))
        if path.startswith("/v1/completions"):
            choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}
            made = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}
            return sse(made, made) if is_stream else plain(made)
        if path.startswith("/v1/embeddings"):
            made = {"object": "embedding", "index": 0, "embedding": [0.25, -1.0, self._count]}
            return plain(
                {"object": "list", "model": "m", "data": [made], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
            )
        if path.startswith("/v1/models"):
            return plain({"object": "list", "data": [{"id": text, "object": "model", "created": 1, "owned_by": "x"}]})
        return plain({"error": {"message": f"no {path} here", "type": "invalid_request_error"}}, 404)


@pytest.fixture
def nothing_is_left():
    """Make sure that no session is open after a test, no patch is in use, and no key is in the environment."""
    yield
    garbage.collect()
    assert active._open == []
    assert not patches._state.users
    assert "OPENAI_API_KEY" not in os.environ


@pytest.fixture
def recorded(client, tmp_path):
    """Record one chat; return the directory and the answer."""
    with replay(tmp_path, mode="record"):
        return tmp_path, client.chat.completions.create(**ASK)


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve for one test."""
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Server, openai.OpenAI]]:
    """Serve for all generated requests of a module, and make a client of it."""
    server = Server()
    with openai.OpenAI(api_key="sk-test-0123456789abcdef", base_url=server.url, max_retries=0, **cheap()) as client:
        yield server, client
    server.stop()


def cheap(*, is_async: bool = False) -> dict[str, Any]:
    """Return options for a client that loads no certificates, which takes 70 ms."""
    make = openai.DefaultAsyncHttpxClient if is_async else openai.DefaultHttpxClient
    return {"http_client": make(verify=False)}


def run_to_the_end(main: Callable[[], Any], backend: str) -> Any:
    """Run an asynchronous function, and wait for the threads of its loop, which keep what it raised until they end."""
    before = threading.enumerate()
    try:
        return anyio.run(main, backend=backend)
    finally:
        for thread in threading.enumerate():
            if thread.name.startswith("AnyIO") and thread not in before:
                thread.join(5)


@dataclass
class Driver:
    """Makes a call with a sync client, or with an async one on asyncio or trio; the test is the same.

    `driver(lambda client: client.chat.completions.create(...))` makes a client, makes the call, reads a stream to its
    end (a list of chunks comes back), closes the client.
    """

    kind: str
    url: str

    @property
    def is_async(self) -> bool:
        return self.kind != "sync"

    def __call__(self, call: Callable[[Any], Any], **options: Any) -> Any:
        options = {"api_key": "sk-test-0123456789abcdef", "base_url": self.url, "max_retries": 0, **options}
        options = {**cheap(is_async=self.is_async), **options}
        if not self.is_async:
            with openai.OpenAI(**options) as client:
                made = call(client)
                return list(made) if isinstance(made, openai.Stream) else made

        async def run() -> Any:
            async with openai.AsyncOpenAI(**options) as client:
                made = call(client)
                made = await made if inspect.isawaitable(made) else made
                return [item async for item in made] if isinstance(made, openai.AsyncStream) else made

        return run_to_the_end(run, self.kind)

    def chat(self, **changes: Any) -> Any:
        """Make a small chat, changed as said."""
        return self(lambda client: client.chat.completions.create(**{**ASK, **changes}))

    def text(self, **changes: Any) -> Any:
        """Make a small text completion."""
        return self(lambda client: client.completions.create(**{"model": "m", "prompt": "Once", **changes}))


@pytest.fixture(params=["sync", "asyncio", "trio"])
def driver(request: pytest.FixtureRequest, server: Server) -> Driver:
    """Make calls to `server` with each kind of client in turn."""
    return Driver(request.param, server.url)


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Serve directories over HTTP, until the test ends."""
    from served import serving_of  # noqa: PLC0415 - it needs the extra `serve`

    from inferencereplay.server import app  # noqa: PLC0415 - as above

    with contextlib.ExitStack() as stack:
        yield lambda directory, **options: stack.enter_context(serving_of(app(directory, **options)))


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    """Make a synchronous client of `server`."""
    with openai.OpenAI(api_key="sk-test-0123456789abcdef", base_url=server.url, max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def moto() -> Iterator[Any]:
    """Serve S3 in a process of its own."""
    from object_servers import Moto  # noqa: PLC0415 - it needs moto

    moto = Moto()
    yield moto
    moto.stop()


@pytest.fixture
def no_stores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Begin without stores, and with an empty cache; forget those of the test."""
    from inferencereplay.object_stores import opening_urls  # noqa: PLC0415 - few tests need it
    from inferencereplay.store import at_hand  # noqa: PLC0415 - as above

    for name in [name for name in os.environ if name.startswith(("AWS_", "INFERENCEREPLAY_CACHE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("INFERENCEREPLAY_CACHE", str(tmp_path / "cache"))
    opening_urls._states.clear()
    yield
    opening_urls._states.clear()
    opening_urls._open.cache_clear()
    at_hand.opened.clear()


@pytest.fixture
def bucket(moto: Any, no_stores: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a bucket; return the URL of recordings in it."""
    from object_servers import s3_settings  # noqa: PLC0415 - as above

    for name, value in s3_settings(moto.url).items():
        monkeypatch.setenv(name, value)
    return f"s3://{moto.bucket()}/team/recordings"


@pytest.fixture
def proxy(moto: Any, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Put a proxy that fails on demand before S3."""
    from object_servers import Proxy  # noqa: PLC0415 - as above

    proxy = Proxy(moto.url)
    monkeypatch.setenv("AWS_ENDPOINT", proxy.url)
    yield proxy
    proxy.stop()


@pytest.fixture
def serve_files(no_stores: None) -> Iterator[Callable[[Path], str]]:
    """Serve a directory as a web server does; return its URL."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    with contextlib.ExitStack() as stack:

        def serve(directory: Path) -> str:
            server = _HTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(directory)))
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield serve


@pytest.fixture(params=[os.environ["OBJECT_STORE_URL"]] if "OBJECT_STORE_URL" in os.environ else ["memory", "s3"])
def store_url(request: pytest.FixtureRequest, no_stores: None) -> str:
    """Return the URL of an empty store of each kind, or of the one that the environment names."""
    if request.param == "s3":
        return str(request.getfixturevalue("bucket"))
    base = "memory://" if request.param == "memory" else request.param
    return f"{base}/{uuid.uuid4().hex}"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the machine has set out of the tests."""
    for name in (*VARIABLES.values(), "INFERENCEREPLAY_RUN", "INFERENCEREPLAY_USED"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@dataclass
class Done:
    """What a command of ours came to."""

    status: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run a command of the command line in this process, as in a pipe."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> Done:
        status = main([str(argument) for argument in arguments])
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Make a directory with the story (a stream) and the capital (a plain answer) of the examples."""
    for name in ("story", "capitals"):
        shutil.copytree(EXAMPLES / name, tmp_path / "shelf", dirs_exist_ok=True)
    return tmp_path / "shelf"


@pytest.fixture
def ended(monkeypatch):
    """Note what the environment's session would do at the end of the process, and give everything back."""
    registered, register = [], atexit.register

    def note(job, *arguments, **named):
        if job is environment.finish:
            registered.append((job, *arguments))
            return job
        return register(job, *arguments, **named)

    monkeypatch.setattr("atexit.register", note)
    yield registered
    active.set_for_process(None)
    from inferencereplay.sdk import patches  # noqa: PLC0415

    for _, session, *_ in registered:
        patches.release(session)
