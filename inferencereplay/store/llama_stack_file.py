"""One file of the llama-stack (now ogx) test recorder, parsed.

A file holds a call's keyword arguments, not what went on the wire, and the objects that came back as
`{"__type__": class name, "__data__": JSON}`; older ones hold the bare JSON. The path that was called follows from the
class name, or from the arguments where there is none, for the file's own `endpoint` is not to be trusted. Source:
`llama_stack/testing/api_recorder.py` and `exception_utils.py` in github.com/llamastack/llama-stack.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

import msgspec

from inferencereplay.recording.format import Failure, Response
from inferencereplay.recording.request import NotSerializable, Request, canonical_json, parse_json, parse_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from inferencereplay.recording.request import JSON

_CHAT, _COMPLETIONS, _EMBEDDINGS = "/chat/completions", "/completions", "/embeddings"
MODELS, _MODERATIONS, _RESPONSES = "/models", "/moderations", "/responses"
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
    "openai.types.model.Model": MODELS,
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
"""Keyword arguments about the way of sending; they are not members of the body."""
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


class Kept(NamedTuple):
    """The content of one file, as a request and a response of ours."""

    request: Request
    response: Response
    test_id: str | None


class UnsupportedFile(Exception):  # noqa: N818 - a signal between two modules
    """The file cannot be parsed."""


_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_file = msgspec.json.Decoder(_File).decode


def is_llama_stack(data: bytes) -> bool:
    """Whether a file's content looks like the llama-stack recorder's; `False` for whatever cannot be read."""
    try:
        top = _members(data)
        request = _members(top["request"])
        _members(top["response"])
    except (KeyError, ValueError, RecursionError, msgspec.DecodeError):
        return False
    return "inferencereplay" not in top and "body" in request and not request.keys().isdisjoint(("endpoint", "url"))


def parse(data: bytes) -> Kept:
    """Parse the content of one file.

    Raises:
        UnsupportedFile: if it cannot be parsed, whatever the reason.
    """
    try:
        data.decode()  # for msgspec does not look into strings that it only passes on
        if not is_llama_stack(data):
            raise UnsupportedFile
        file = _file(data)
        arguments = parse_json(bytes(file.request.body))
        arguments = _object({} if arguments is None else arguments)
        elements = [_unwrapped(element) for element in _elements(file.response.body)]
        path = _path(elements[0][0] if elements else "", arguments, file.request.url)
        request = _request(path, arguments)
        response = _response(path, file.response, [data for _, data in elements])
        if path != MODELS and response.status == _OK and response.is_stream != bool(arguments.get("stream")):
            raise UnsupportedFile  # a call for a stream would get none, or the other way round
    except (KeyError, ValueError, RecursionError, NotSerializable, msgspec.DecodeError) as error:
        raise UnsupportedFile from error
    return Kept(request, response, file.test_id)


def _path(kind: str, arguments: Mapping[str, JSON], url: str) -> str:
    """Return the path, which follows from the class of the answer or, without one, from the arguments.

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
        path = MODELS
    else:
        raise UnsupportedFile
    return path


def _request(path: str, arguments: Mapping[str, JSON]) -> Request:
    """Make of keyword arguments what the SDK sends for them."""
    pairs = [pair for name, value in _option(arguments, "extra_query").items() for pair in _pairs(name, value)]
    query = parse_query(urlencode(pairs))
    if path == MODELS:
        return Request("GET", path, b"null", query)
    body = {name: value for name, value in arguments.items() if name not in _OPTIONS}
    if path == _EMBEDDINGS:
        body.setdefault("encoding_format", "base64")  # the SDK asks for it by itself, and gives floats
    return Request("POST", path, canonical_json({**body, **_option(arguments, "extra_body")}), query)


def answered(request: Request) -> tuple[Request, ...]:
    """Return the requests that a file answers.

    A list of models has a part in the union of all lists as well; embeddings answer what each version of the SDK sends
    for the same arguments.
    """
    if request.path == MODELS and request.query:
        return request, Request(request.method, request.path, request.body)
    if request.path == _EMBEDDINGS:  # where a package is missing, old versions of the SDK do not ask for base64
        body = parse_json(request.body)
        if body.pop("encoding_format") == "base64":
            return request, Request(request.method, request.path, canonical_json(body), request.query)
    return (request,)


def _option(arguments: Mapping[str, JSON], name: str) -> dict[str, JSON]:
    value = arguments.get(name)
    return {} if value is None else _object(value)


def _object(value: JSON) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise UnsupportedFile
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
    if is_list != (result.is_streaming or path == MODELS) or not (is_list or elements):
        raise UnsupportedFile
    if path == MODELS:
        return _listing(elements)
    if not result.is_streaming:
        return Response(headers=_JSON, body=elements[0])
    if path == _RESPONSES:
        events: list[str | None] = [msgspec.json.decode(element, type=_Event).type for element in elements]
        return Response(headers=_EVENTS, end="done", sentinel=False, events=events, chunks=elements)
    return Response(headers=_EVENTS, end="done", chunks=elements)


def _failed(error: _Error | None, elements: list[msgspec.Raw]) -> Response:
    """Make the answer that the SDK turns into the error; `elements` are the chunks of a stream before it."""
    if error is None or error.category == "llama_stack":
        raise UnsupportedFile
    if error.type in _FAILURES:
        failure = Failure(error.type, error.message or "")
        if not elements:
            return Response(status=0, failure=failure)
        return Response(headers=_EVENTS, end="error", failure=failure, chunks=elements)
    if elements or (error.type not in _STATUSES and error.provider not in (None, "openai")):
        raise UnsupportedFile
    status = _STATUSES[error.type] if error.status_code is None else error.status_code
    if not _FIRST_ERROR <= status <= _LAST_ERROR:
        raise UnsupportedFile
    body = msgspec.json.format(bytes(error.body), indent=-1)
    if body.startswith(b"{"):
        body = b'{"error":' + body + b"}"  # the SDK unwraps it
    return Response(status=status, headers=_JSON, body=msgspec.Raw(body))


def _listing(elements: Iterable[msgspec.Raw]) -> Response:
    """Make a list of models, the first of each id."""
    models: dict[str, bytes] = {}
    for element in elements:
        models.setdefault(msgspec.json.decode(element, type=_Model).id, bytes(element))
    return Response(headers=_JSON, body=msgspec.Raw(b'{"object":"list","data":[' + b",".join(models.values()) + b"]}"))


def union(responses: Sequence[Response]) -> Response:
    """Make one list of many; an error counts where there is no list."""
    lists = [msgspec.json.decode(item.body, type=_Models).data for item in responses if item.status == _OK]
    return _listing(itertools.chain.from_iterable(lists)) if lists else responses[0]
