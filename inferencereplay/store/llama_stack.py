"""The llama-stack (now ogx) test recorder's directories, replayed as they are.

One of its files holds a call's keyword arguments, not what went on the wire, and the objects that came back as
`{"__type__": class name, "__data__": JSON}`; older ones hold the bare JSON. Which path was called is told by the class
name, or by the arguments where there is none, for the file's own `endpoint` is not to be trusted. Source:
`llama_stack/testing/api_recorder.py` and `exception_utils.py` in github.com/llamastack/llama-stack.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import re
import threading
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

import msgspec

from inferencereplay.errors import StoreError
from inferencereplay.recording import VERSION, Failure, RecordedRequest, Recording, Response, corrupt, encode
from inferencereplay.request import NotPlain, Request, canonical_json, parse_json, parse_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from inferencereplay.errors import RecordingCorrupt
    from inferencereplay.request import JSON

log = logging.getLogger("inferencereplay")

MOST_NAMED = 20
"""Files that the warning names."""
_CHAT, _COMPLETIONS, _EMBEDDINGS = "/chat/completions", "/completions", "/embeddings"
_MODELS, _MODERATIONS, _RESPONSES = "/models", "/moderations", "/responses"
_PATHS = {
    "litellm.types.utils.EmbeddingResponse": _EMBEDDINGS,
    "litellm.types.utils.ModelResponse": _CHAT,
    "litellm.types.utils.ModelResponseStream": _CHAT,
    "litellm.types.utils.TextCompletionResponse": _COMPLETIONS,
    "openai.types.chat.chat_completion.ChatCompletion": _CHAT,
    "openai.types.chat.chat_completion_chunk.ChatCompletionChunk": _CHAT,
    "openai.types.chat.parsed_chat_completion.ParsedChatCompletion": _CHAT,
    "openai.types.completion.Completion": _COMPLETIONS,
    "openai.types.create_embedding_response.CreateEmbeddingResponse": _EMBEDDINGS,
    "openai.types.model.Model": _MODELS,
    "openai.types.moderation_create_response.ModerationCreateResponse": _MODERATIONS,
    "openai.types.responses.parsed_response.ParsedResponse": _RESPONSES,
    "openai.types.responses.response.Response": _RESPONSES,
}
_EVENT = re.compile(r"openai\.types\.responses\.response_\w+_event\.\w+")
_STATUSES = {
    "BadRequestError": 400,
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "ConflictError": 409,
    "UnprocessableEntityError": 422,
    "RateLimitError": 429,
    "InternalServerError": 500,
}
_FAILURES = ("APIConnectionError", "APITimeoutError")
_OPTIONS = frozenset(("extra_body", "extra_headers", "extra_query", "timeout"))
"""Keyword arguments that tell the SDK how to send; not members of the body."""
_OK, _FIRST_ERROR, _LAST_ERROR = 200, 400, 599
_JSON = {"content-type": "application/json"}
_EVENTS = {"content-type": "text/event-stream"}


class _Call(msgspec.Struct):
    body: msgspec.Raw
    url: str = ""


class _Error(msgspec.Struct):
    type: str
    message: str | None = None
    category: str | None = None
    provider: str | None = None
    status_code: int | None = None
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Result(msgspec.Struct):
    body: msgspec.Raw = msgspec.Raw(b"null")
    is_streaming: bool = False
    is_exception: bool = False
    exception_data: _Error | None = None


class _File(msgspec.Struct):
    request: _Call
    response: _Result
    test_id: str | None = None


class _Event(msgspec.Struct):
    type: str


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[msgspec.Raw]


class _Kept(NamedTuple):
    """What one file says, in our words."""

    request: Request
    response: Response
    test_id: str | None


class _Entry(NamedTuple):
    """The files that hold the variants of one key or, for a list of models, the one answer between them."""

    path: str
    names: tuple[str, ...]


class _Foreign(Exception):  # noqa: N818 - a signal inside this module
    """The file cannot be understood."""


_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_file = msgspec.json.Decoder(_File).decode


class LlamaStackStore:
    """Recordings of the llama-stack test recorder, to be replayed only.

    The index (names and keys, no contents) is built on first use. A file that cannot be understood is passed over,
    and one warning names them all.

    Args:
        directory: nested folders belong to it, links that lead out of it do not.
        test_id: take the recordings of this test where a request has some, else those of no test. Lists of models
            are shared by all tests, as they are in llama-stack.
    """

    is_writable = False

    def __init__(self, directory: Path, test_id: str | None = None) -> None:
        self.directory = str(directory)
        self._test_id = test_id
        self._lock = threading.Lock()
        self._index: dict[str, _Entry] | None = None

    def get(self, path: str, key: str, variant: int) -> bytes | None:
        """Return a recording in our own format, or `None` if there is none.

        Raises:
            RecordingCorrupt: if a file vanished or changed since the index was built.
        """
        kept = [self._again(name, key) for name in self.sources(path, key, variant)]
        if not kept:
            return None
        request = kept[0].request
        response = _union([item.response for item in kept]) if path == _MODELS else kept[0].response
        held = RecordedRequest(request.method, path, msgspec.Raw(request.body), request.query)
        return encode(Recording(VERSION, key, held, response))

    def stamp(self, path: str, key: str, variant: int) -> tuple[object, ...] | None:
        """Return what the files have another of after every change, or `None` if there are none."""
        stamps = tuple(self._stamp(name) for name in self.sources(path, key, variant))
        return stamps or None

    def _stamp(self, name: str) -> tuple[int, int, int] | None:
        try:
            found = os.stat(os.path.join(self.directory, name))  # noqa: PTH116, PTH118
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def put(self, path: str, key: str, variant: int, data: bytes, *, replace: bool) -> bool:  # noqa: ARG002
        """Refuse, by a `StoreError`."""
        raise self._read_only()

    def delete(self, path: str, key: str, variant: int) -> None:  # noqa: ARG002
        """Refuse, by a `StoreError`."""
        raise self._read_only()

    def sources(self, path: str, key: str, variant: int) -> tuple[str, ...]:
        """Return the names, relative to the directory, of the files that a recording comes from."""
        entry = self._entries().get(key)
        if entry is None or entry.path != path or variant < 1:
            return ()
        if path == _MODELS:
            return entry.names if variant == 1 else ()
        return entry.names[variant - 1 : variant]

    def list(self) -> Iterator[str]:
        """Yield the names of all recordings, relative to the directory; with a `test_id`, of those it can take."""
        yield from sorted({name for entry in self._entries().values() for name in entry.names})

    def newest(self, path: str, limit: int) -> Iterator[tuple[str, JSON]]:
        """Yield name and request body of the recordings of `path`, newest first, at most `limit`."""
        names = {name for entry in self._entries().values() if entry.path == path for name in entry.names}
        for name in heapq.nlargest(limit, sorted(names), key=self._age):
            try:
                kept = self._read(name)
            except _Foreign:
                continue
            yield name, parse_json(kept.request.body)

    # The index.

    def _entries(self) -> dict[str, _Entry]:
        with self._lock:
            if self._index is None:
                self._index = self._build()
            return self._index

    def _build(self) -> dict[str, _Entry]:
        found: dict[str, tuple[str, dict[str, str | None]]] = {}
        passed_over = []
        for name in sorted(_walk(self.directory)):
            try:
                kept = self._read(name)
            except _Foreign:
                passed_over.append(name)
                continue
            for request in _answered(kept.request):
                found.setdefault(request.key, (request.path, {}))[1][name] = kept.test_id
        if passed_over:
            self._warn(passed_over)
        entries = {key: _Entry(path, self._chosen(path, tests)) for key, (path, tests) in found.items()}
        return {key: entry for key, entry in entries.items() if entry.names}

    def _chosen(self, path: str, tests: dict[str, str | None]) -> tuple[str, ...]:
        if self._test_id is None or path == _MODELS:
            return tuple(tests)
        own = tuple(name for name, test in tests.items() if test == self._test_id)
        return own or tuple(name for name, test in tests.items() if test is None)

    def _warn(self, names: Sequence[str]) -> None:
        named = ", ".join(map(repr, names[:MOST_NAMED]))
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        log.warning("%s: passed over what is no recording of llama-stack: %s%s", self.directory, named, more)

    # Its files.

    def _read(self, name: str) -> _Kept:
        file = self._full(name)
        if not _is_inside(file, self.directory):
            raise _Foreign
        try:
            with open(file, "rb") as opened:  # noqa: PTH123
                return _understand(opened.read())
        except OSError as error:
            raise _Foreign from error

    def _again(self, name: str, key: str) -> _Kept:
        """Read a file that the index knows, and make sure that it is still the same request's."""
        try:
            kept = self._read(name)
        except _Foreign as error:
            raise self._changed(name, "it was changed or removed, and cannot be read any more") from error
        for request in _answered(kept.request):
            if request.key == key:
                return kept._replace(request=request)
        raise self._changed(name, "it was changed, and holds another request now")

    def _changed(self, name: str, reason: str) -> RecordingCorrupt:
        mend = "Restore it from version control, or open the directory anew"
        return corrupt(self._full(name), "$", reason, mend)

    def _age(self, name: str) -> int:
        try:
            return os.stat(self._full(name)).st_mtime_ns  # noqa: PTH116
        except OSError:
            return 0

    def _full(self, name: str) -> str:
        return os.path.join(self.directory, name)  # noqa: PTH118

    def _read_only(self) -> StoreError:
        message = f"{self.directory} is llama-stack's, and can only be replayed. Record into another directory."
        return StoreError(message)


def is_llama_stack(data: bytes) -> bool:
    """Whether a file's content looks like the llama-stack recorder's; `False` for whatever cannot be read."""
    try:
        top = _members(data)
        request = _members(top["request"])
        _members(top["response"])
    except (KeyError, ValueError, RecursionError, msgspec.DecodeError):
        return False
    return "inferencereplay" not in top and "body" in request and not request.keys().isdisjoint(("endpoint", "url"))


def _walk(directory: str) -> Iterator[str]:
    """Yield the names of all JSON files, and of the folders that cannot be looked into."""
    unreadable: list[OSError] = []
    for folder, _, files in os.walk(directory, onerror=unreadable.append):
        paths = (os.path.join(folder, file) for file in files if file.endswith(".json"))  # noqa: PTH118
        yield from (os.path.relpath(path, directory) for path in paths)
    yield from (os.path.relpath(error.filename, directory) for error in unreadable)


def _is_inside(file: str, directory: str) -> bool:
    """Whether it is a regular file (a pipe would block) of that directory, even if by way of a link."""
    if not os.path.isfile(file):  # noqa: PTH113
        return False
    root = os.path.join(os.path.realpath(directory), "")  # noqa: PTH118
    return not os.path.islink(file) or os.path.realpath(file).startswith(root)  # noqa: PTH114


def _understand(data: bytes) -> _Kept:
    """Read one of their files.

    Raises:
        _Foreign: whatever is wrong with it.
    """
    try:
        data.decode()  # for msgspec does not look into strings that it only passes on
        if not is_llama_stack(data):
            raise _Foreign
        file = _file(data)
        arguments = parse_json(bytes(file.request.body))
        arguments = _object({} if arguments is None else arguments)
        elements = [_unwrapped(element) for element in _elements(file.response.body)]
        path = _path(elements[0][0] if elements else "", arguments, file.request.url)
        request = _request(path, arguments)
        response = _response(path, file.response, [data for _, data in elements])
        if path != _MODELS and response.status == _OK and response.is_stream != bool(arguments.get("stream")):
            raise _Foreign  # whoever asked for a stream would get none, or the other way round
    except (KeyError, ValueError, RecursionError, NotPlain, msgspec.DecodeError) as error:
        raise _Foreign from error
    return _Kept(request, response, file.test_id)


def _path(kind: str, arguments: Mapping[str, JSON], url: str) -> str:
    """Tell the path by the class of what came back or, without one, by the arguments.

    Of the URL only the last part is looked at, and only where the arguments leave a choice.
    """
    if kind:
        path = _RESPONSES if _EVENT.fullmatch(kind) else _PATHS[kind]
    elif "messages" in arguments:
        path = _CHAT
    elif "input" in arguments:
        path = {name: name for name in (_EMBEDDINGS, _MODERATIONS, _RESPONSES)}["/" + url.rpartition("/")[2]]
    elif "prompt" in arguments:
        path = _COMPLETIONS
    elif arguments.keys() <= _OPTIONS:
        path = _MODELS
    else:
        raise _Foreign
    return path


def _request(path: str, arguments: Mapping[str, JSON]) -> Request:
    """Make of keyword arguments what the SDK sends for them."""
    pairs = [pair for name, value in _option(arguments, "extra_query").items() for pair in _pairs(name, value)]
    query = parse_query(urlencode(pairs))
    if path == _MODELS:
        return Request("GET", path, b"null", query)
    body = {name: value for name, value in arguments.items() if name not in _OPTIONS}
    if path == _EMBEDDINGS:
        body.setdefault("encoding_format", "base64")  # the SDK asks for it by itself, and gives floats
    return Request("POST", path, canonical_json({**body, **_option(arguments, "extra_body")}), query)


def _answered(request: Request) -> tuple[Request, ...]:
    """Return the requests that a file answers: a list of models has a part in the union of all lists as well."""
    if request.path == _MODELS and request.query:
        return request, Request(request.method, request.path, request.body)
    return (request,)


def _option(arguments: Mapping[str, JSON], name: str) -> dict[str, JSON]:
    value = arguments.get(name)
    return {} if value is None else _object(value)


def _object(value: JSON) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise _Foreign
    return value


def _pairs(name: str, value: JSON) -> Iterator[tuple[str, str]]:
    """Flatten a query's value as the SDK does, see `openai/_qs.py`."""
    if isinstance(value, dict):
        for part, item in value.items():
            yield from _pairs(f"{name}[{part}]", item)
    elif isinstance(value, list):
        for item in value:
            yield from _pairs(f"{name}[]", item)
    elif isinstance(value, bool):
        yield name, str(value).lower()
    elif value is not None:
        yield name, str(value)


def _elements(body: msgspec.Raw) -> list[msgspec.Raw]:
    text = bytes(body)
    if text.startswith(b"["):
        return msgspec.json.decode(text, type=list[msgspec.Raw])
    return [] if text == b"null" else [body]


def _unwrapped(element: msgspec.Raw) -> tuple[str, msgspec.Raw]:
    """Return an object's class name, empty where it has none, and its JSON on one line."""
    members = _members(element)
    kind = msgspec.json.decode(members["__type__"], type=str) if "__type__" in members else ""
    data = members["__data__"] if kind else element
    _members(data)
    return kind, msgspec.Raw(msgspec.json.format(bytes(data), indent=-1))


def _response(path: str, result: _Result, elements: list[msgspec.Raw]) -> Response:
    if result.is_exception or result.exception_data is not None:
        return _failed(result.exception_data, elements)
    is_list = bytes(result.body).startswith(b"[")
    if is_list != (result.is_streaming or path == _MODELS) or not (is_list or elements):
        raise _Foreign
    if path == _MODELS:
        return _listing(elements)
    if not result.is_streaming:
        return Response(headers=_JSON, body=elements[0])
    if path == _RESPONSES:
        events: list[str | None] = [msgspec.json.decode(element, type=_Event).type for element in elements]
        return Response(headers=_EVENTS, end="done", sentinel=False, events=events, chunks=elements)
    return Response(headers=_EVENTS, end="done", chunks=elements)


def _failed(error: _Error | None, elements: list[msgspec.Raw]) -> Response:
    """Make the answer that the SDK turns into the error; `elements` are what came of a stream before it."""
    if error is None or error.category == "llama_stack":
        raise _Foreign
    if error.type in _FAILURES:
        failure = Failure(error.type, error.message or "")
        if not elements:
            return Response(status=0, failure=failure)
        return Response(headers=_EVENTS, end="error", failure=failure, chunks=elements)
    if elements or (error.type not in _STATUSES and error.provider not in (None, "openai")):
        raise _Foreign
    status = _STATUSES[error.type] if error.status_code is None else error.status_code
    if not _FIRST_ERROR <= status <= _LAST_ERROR:
        raise _Foreign
    body = msgspec.json.format(bytes(error.body), indent=-1)
    if body.startswith(b"{"):
        body = b'{"error":' + body + b"}"  # the SDK takes it off again
    return Response(status=status, headers=_JSON, body=msgspec.Raw(body))


def _listing(elements: Iterable[msgspec.Raw]) -> Response:
    """Make a list of models, the first of each id."""
    models: dict[str, bytes] = {}
    for element in elements:
        models.setdefault(msgspec.json.decode(element, type=_Model).id, bytes(element))
    return Response(headers=_JSON, body=msgspec.Raw(b'{"object":"list","data":[' + b",".join(models.values()) + b"]}"))


def _union(responses: Sequence[Response]) -> Response:
    """Make one list of many; an error counts where there is no list."""
    lists = [msgspec.json.decode(item.body, type=_Models).data for item in responses if item.status == _OK]
    return _listing(itertools.chain.from_iterable(lists)) if lists else responses[0]
