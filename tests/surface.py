"""The SDK's whole surface: every public method of its resources, with minimal arguments and an answer of its type.

Nothing here knows an endpoint by name. Arguments are made of the annotations, and answers of the type that the method
hands to `request`, so that a new release of the SDK is met without a change.
"""

from __future__ import annotations

import collections
import datetime
import enum
import functools
import importlib
import inspect
import json
import logging
import pkgutil
import sys
import tempfile
import threading
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import openai
import openai.resources
import pydantic
import typing_extensions
from conftest import Reply, Server, cheap
from openai import _resource
from ways import entered, facts, items, settle
from websockets.sync import server as sockets

from inferencereplay import NotRecordable, RecordingNotFound, replay
from inferencereplay.redaction.redactor import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOUND = bytes(range(256)) * 8
"""The content of a binary answer: it is no text."""
FINAL = ("completed", "succeeded", "processed", "failed", "ended", "cancelled")
"""The states at which the SDK's helpers stop asking."""
HERE = str(Path(__file__).parent / "startup")
MOST_DEEP = 6
_UNIONS = (Union, getattr(types, "UnionType", Union))


@dataclass(frozen=True)
class Method:
    """One public method of a resource.

    Attributes:
        cls: the resource.
        name: of the method.
        is_stream: whether it is asked for a stream.
    """

    cls: type
    name: str
    is_stream: bool = False

    def __str__(self) -> str:
        place = self.cls.__module__.removeprefix("openai.resources.")
        return f"{place}.{self.cls.__name__}.{self.name}{'(stream=True)' * self.is_stream}"


@functools.cache
def resources(*, is_async: bool = False) -> tuple[type, ...]:
    """Return all classes of resources, of all modules."""
    for module in pkgutil.walk_packages(openai.resources.__path__, "openai.resources."):
        importlib.import_module(module.name)
    found: set[type] = set()
    waiting: list[type] = [_resource.AsyncAPIResource if is_async else _resource.SyncAPIResource]
    while waiting:
        below = waiting.pop().__subclasses__()
        waiting += below
        found.update(cls for cls in below if cls.__module__.startswith("openai.resources."))
    return tuple(sorted(found, key=lambda cls: (cls.__module__, cls.__name__)))


def methods(cls: type) -> list[Method]:
    """Return the public methods of a resource, one that may stream twice."""
    made = []
    for name, value in vars(cls).items():
        if inspect.isfunction(value) and not name.startswith("_"):
            made.append(Method(cls, name))
            if "stream" in inspect.signature(value).parameters:
                made.append(Method(cls, name, is_stream=True))
    return made


# Arguments.

OWN: dict[str, dict[str, Any]] = {
    "prepare_directory": {"directory": HERE, "path": HERE, "local_path": HERE, "source": HERE},
    "upload": {"path": "/workspace/x", "destination": "/workspace/x"},
    "upload_file_chunked": {"file": __file__},
}
"""Arguments of helpers that look at more than the type."""


def arguments(method: Method) -> dict[str, Any]:
    """Make the arguments without which a method cannot be called."""
    function = inspect.unwrap(getattr(method.cls, method.name))
    hints = _hints(function)
    made: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        is_needed = parameter.default is parameter.empty or _is_needed(method, name)
        if is_needed and name != "self" and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            made[name] = value_of(hints.get(name, str), name)
            if made[name] is None and parameter.default is not parameter.empty:
                del made[name]
    made.update({name: value for name, value in OWN.get(method.name, {}).items() if name in made})
    if method.is_stream:
        made["stream"] = True
    return made


def _is_needed(method: Method, name: str) -> bool:
    """Whether the SDK demands an argument in one of the forms of a method that it writes down (`overload`)."""
    overloads = typing_extensions.get_overloads(getattr(method.cls, method.name))
    forms = [inspect.signature(form).parameters for form in overloads]
    return name != "stream" and bool(forms) and name in forms[0] and forms[0][name].default is inspect.Parameter.empty


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    module = inspect.getmodule(function)
    names = {**vars(typing), **vars(module), "httpx": types.SimpleNamespace(Timeout=float)}
    hints = {}
    for name, text in function.__annotations__.items():
        try:
            hints[name] = eval(text, names) if isinstance(text, str) else text
        except Exception:  # noqa: BLE001 - a type that is imported for the type checker only
            hints[name] = str
    return hints


def value_of(kind: Any, name: str = "", depth: int = 0) -> Any:  # noqa: C901, PLR0912 - one case a kind of type
    """Make a small value of a type."""
    if isinstance(kind, typing.TypeVar) or get_origin(kind) is type or kind is None:
        return None
    if kind is int and name == "in_progress":
        return 0
    if kind in (Any, object) or isinstance(kind, str):
        return f"a-{name}" if name else "x"
    if isinstance(kind, typing.ForwardRef):
        return "x"
    origin, inner = get_origin(kind), get_args(kind)
    if origin in _UNIONS and bytes in inner:
        return ("small.wav", b"RIFF\x00\xff" + name.encode(), "audio/wav")
    if origin in (typing.Annotated, typing_extensions.Annotated, typing_extensions.Required, typing.Final):
        return value_of(inner[0], name, depth)
    if origin in (typing_extensions.NotRequired, typing_extensions.ReadOnly):
        return value_of(inner[0], name, depth)
    if origin is Literal:
        return next((item for item in FINAL if item in inner), inner[0])
    if origin in _UNIONS:
        return value_of(_simplest(inner), name, depth)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is type(None):
        return None
    if origin in (list, tuple, set) or (
        inspect.isclass(origin) and issubclass(origin, typing.Iterable) and len(inner) == 1
    ):
        is_models = inspect.isclass(inner[0]) and issubclass(inner[0], pydantic.BaseModel)
        return [] if (is_models and depth > 1) or depth > MOST_DEEP else [value_of(inner[0], name, depth + 1)]
    if origin is dict or (inspect.isclass(origin) and issubclass(origin, typing.Mapping)):
        return {}
    if typing_extensions.is_typeddict(kind):
        return _members(kind, depth)
    if inspect.isclass(kind) and issubclass(kind, pydantic.BaseModel):
        return example(kind, depth)
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        return next(iter(kind)).value
    return value_of(kind.__value__, name, depth) if hasattr(kind, "__value__") else "x"


_PLAIN: dict[Any, Any] = {
    str: "x",
    int: 1,
    float: 0.5,
    bool: True,
    bytes: b"RIFF\x00\xff",
    dict: {},
    list: [],
    datetime.datetime: "2026-01-02T03:04:05Z",
    datetime.date: "2026-01-02",
}


def _simplest(kinds: tuple[Any, ...]) -> Any:
    """Return the kind of a union of which a value is made with least."""
    given = [
        kind for kind in kinds if kind is not type(None) and "Omit" not in str(kind) and "NotGiven" not in str(kind)
    ]
    created = [kind for kind in given if "Created" in getattr(kind, "__name__", "")]
    texts = [kind for kind in given if kind is str or get_origin(kind) is Literal]
    return (texts or created or given or [type(None)])[0]


def _members(kind: Any, depth: int) -> dict[str, Any]:
    if depth > MOST_DEEP:
        return {}
    hints = typing_extensions.get_type_hints(kind, include_extras=True)
    needed = [name for name in hints if name in kind.__required_keys__]
    return {name: value_of(hints[name], name, depth + 1) for name in needed}


# Answers.


def example(model: Any, depth: int = 0) -> dict[str, Any]:
    """Make the JSON of an answer: the members that it has to have."""
    if depth > MOST_DEEP:
        return {}
    made = {}
    for name, field in model.model_fields.items():
        if field.is_required() and name not in ("error", "last_error"):
            made[field.alias or name] = value_of(field.annotation, name, depth + 1)
    return made


class Asked(BaseException):
    """What a method hands to `request`."""

    def __init__(self, cast_to: Any, options: Any, chunk: Any) -> None:
        self.cast_to, self.options, self.chunk = cast_to, options, chunk


def _ask(_: Any, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None, **__: Any) -> Any:
    raise Asked(cast_to, options, get_args(stream_cls)[0] if stream else None)


def _ask_for_list(client: Any, model: Any, page: Any, options: Any) -> Any:
    raise Asked(page[model] if not get_args(page) else page, options, None)


Probe = type("Probe", (openai.OpenAI,), {"request": _ask})


def reply_to(asked: Asked) -> Reply:
    """Make a reply of the type that a method asks for."""
    if asked.chunk is not None:
        data = json.dumps(value_of(asked.chunk))
        pieces = [(0.0, f"event: x\ndata: {data}\n\n".encode()), (0.0, b"data: [DONE]\n\n")]
        return Reply(headers={"content-type": "text/event-stream"}, pieces=pieces)
    if getattr(asked.cast_to, "__name__", "") == "HttpxBinaryResponseContent":
        return Reply(headers={"content-type": "audio/mpeg"}, body=SOUND)
    if asked.cast_to is str:
        return Reply(headers={"content-type": "text/plain"}, body=b"1\n00:00 --> 00:01\nHello")
    if asked.cast_to is type(None):
        return Reply(204, headers={}, body=b"")
    # A recording has no secrets: the answer has none from the beginning, so that the three are equal.
    return Reply(body=json.dumps(Redactor().value(value_of(asked.cast_to))).encode())


class SurfaceServer(Server):
    """Answers each path by what its method asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[tuple[str, str, bool], Reply] = {}
        self.first: dict[Method, Reply] = {}
        with Probe(api_key="none", base_url=self.url, **cheap()) as probe:
            for cls in resources():
                for method in methods(cls):
                    self._learn(method, probe)
        self._sockets = sockets.serve(self._talk, "127.0.0.1", 0)
        self._listener = threading.Thread(target=self._sockets.serve_forever)
        self._listener.start()

    @property
    def socket_url(self) -> str:
        """The base URL of WebSocket connections."""
        return f"ws://127.0.0.1:{self._sockets.socket.getsockname()[1]}/v1"

    def _talk(self, socket: Any) -> None:
        """Answer a WebSocket connection with two events, and close it."""
        self._count += 1
        socket.send('{"type": "session.created", "event_id": "1", "session": {"id": "s"}}')
        socket.send('{"type": "error", "event_id": "2", "error": {"type": "t", "message": "no"}}')

    def stop(self) -> None:
        """Stop both servers."""
        self._sockets.shutdown()
        self._listener.join()
        super().stop()

    def _learn(self, method: Method, probe: Any) -> None:
        try:
            made = getattr(method.cls(probe), method.name)(**arguments(method))
            made.__enter__() if hasattr(made, "__enter__") else None
        except Asked as asked:
            place = asked.options.method.upper(), "/v1/" + asked.options.url.lstrip("/"), asked.chunk is not None
            self.first[method] = reply = reply_to(asked)
            self.known.setdefault(place, reply)
        except Exception:  # noqa: BLE001 - a method that makes no request with such arguments; see `call`
            pass

    def begin(self, method: Method) -> None:
        """Answer the first request by what a method asks for: two methods may ask the same path for other types."""
        self.renumber(*([self.first[method]] if method in self.first else []))

    def _numbered(self, path: str, body: Any, method: str) -> Reply:
        is_stream = isinstance(body, dict) and body.get("stream") is True
        is_stream = is_stream or "stream=true" in path or (isinstance(body, bytes) and b'"stream"\r\n\r\ntrue' in body)
        place = method, path.partition("?")[0]
        return self.known.get((*place, is_stream)) or self.known.get((*place, not is_stream)) or Reply(404)


async def call(client: Any, method: Method) -> Any:
    """Call a method, read the answer to its end, and say what it was."""
    made = await settle(getattr(method.cls(client), method.name)(**arguments(method)))
    if isinstance(made, pydantic.BaseModel) or (not hasattr(made, "__enter__") and not hasattr(made, "__aenter__")):
        return type(made), await _content(made)
    async with entered(made) as stream:
        return type(made), [(type(event), event) for event in await items(stream)]


async def _content(made: Any) -> Any:
    """Say what a method has returned."""
    if hasattr(made, "iter_bytes"):
        return made.read()
    return facts(list(made.data) if hasattr(made, "get_next_page") else made)


# The outcome.


def outcome(client: Any, method: Method, way: Callable[[Any, Method], Any] = call) -> Any:
    """Return what a method of a synchronous client returns, or the error that it raises."""
    try:
        way(client, method).send(None)
    except StopIteration as stop:
        return stop.value
    except RecordingNotFound:
        raise
    except Exception as error:  # noqa: BLE001 - it is to be the same in a replay
        return type(error), str(error)
    raise AssertionError("a synchronous client does not wait")


def verdict(server: SurfaceServer, client: Any, method: Method, directory: Path) -> str:
    """Call a method live, recorded and replayed.

    Returns:
        `local` if it makes no request, `equal` if all three are, else what differs or why it is refused.
    """
    server.begin(method)
    before = server.count
    live = outcome(client, method)
    is_local = server.count == before and method.name != "connect"
    server.begin(method)
    with replay(directory, mode="record", record_errors=True):
        recorded = outcome(client, method)
    before = server.count
    try:
        with replay(directory):
            replayed = outcome(client, method)
    except NotRecordable as error:
        return f"refused: {str(error).partition('recordable: ')[2]}"
    except RecordingNotFound as error:
        return f"missed: {error}"
    if is_local:
        return "local"
    if server.count != before:
        return "a request was made in replay"
    return "equal" if live == recorded == replayed else f"different: {live!r}, {recorded!r}, {replayed!r}"


def client_of(server: SurfaceServer) -> openai.OpenAI:
    """Make a client that may use every resource."""
    more = {"admin_api_key": "sk-admin-0123456789abcdef", "websocket_base_url": server.socket_url}
    known = {name: value for name, value in more.items() if name in inspect.signature(openai.OpenAI).parameters}
    options = {"api_key": "sk-test-0123456789abcdef", "base_url": server.url, "max_retries": 0, **known}
    return openai.OpenAI(**options, **cheap())


def verdicts() -> Iterator[tuple[Method, str]]:
    """Yield each method and what becomes of it."""
    server = SurfaceServer()
    with client_of(server) as client, tempfile.TemporaryDirectory() as folder:
        for number, method in enumerate(method for cls in resources() for method in methods(cls)):
            yield method, verdict(server, client, method, Path(folder) / str(number))
    server.stop()


def main() -> None:
    """Print a count."""
    logging.disable()
    counts: collections.Counter[str] = collections.Counter()
    for method, told in verdicts():
        kind = told.partition(":")[0]
        counts[kind] += 1
        if kind not in ("equal", "local"):
            sys.stdout.write(f"{method} {told[:300]}\n")
    sys.stdout.write(f"openai {openai.__version__}: {counts.total()} ways of calling: {dict(counts)}\n")


if __name__ == "__main__":
    main()
