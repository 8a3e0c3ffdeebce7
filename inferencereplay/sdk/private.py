"""The names of the `openai` package that are not public: every use of one is here.

They were read in, and tested with, openai 1.40, 1.109, 2.54 and 3.54.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import json
import operator
import sys
import types
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import openai
import pydantic
from openai import _base_client, _legacy_response, _models, _response, _streaming, _types, _utils
from openai._constants import OVERRIDE_CAST_TO_HEADER, RAW_RESPONSE_HEADER

from inferencereplay.errors import InferenceReplayError
from inferencereplay.recording.format import Failure, Provenance
from inferencereplay.recording.request import JSON, NotSerializable, Request, canonical_json, parse_json, parse_query
from inferencereplay.redaction.header_secrets import header_secrets, holds_secret, literals_of
from inferencereplay.redaction.redactor import Redactor, secret_values

try:
    from openai._utils._json import openapi_dumps as _dumps
except ImportError:  # pragma: no cover - before openai 2.20: what httpx did with `json=`

    def _dumps(obj: Any) -> bytes:
        return json.dumps(obj, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

VERSION: str = openai.__version__
base_module = _base_client
BaseClient = _base_client.BaseClient
BaseModel = openai.BaseModel
SyncAPIClient = _base_client.SyncAPIClient
AsyncAPIClient = _base_client.AsyncAPIClient
SSEDecoder = _streaming.SSEDecoder
UNSET: tuple[type, ...] = (openai.NotGiven, getattr(openai, "Omit", openai.NotGiven), _types.Omit)
"""The types of arguments that were not given."""
_UNSET_TYPES = frozenset(UNSET)
NOT_BODY = frozenset(("extra_headers", "extra_query", "extra_body", "timeout"))
"""The arguments of `create` that are not part of the body."""
_CREDENTIALS = (
    "api_key",
    "admin_api_key",
    "organization",
    "project",
    "webhook_secret",
    "_azure_ad_token",
    "azure_ad_token",
    "_api_key",
)
HELD_CONTENT = "_content"
"""Where a response of an HTTP library holds its content, once that was read."""
BytesContent = _legacy_response.HttpxBinaryResponseContent
"""The class of an answer that is bytes."""
_RAW_HEADER = RAW_RESPONSE_HEADER.lower()
_RAW_HEADERS = frozenset((_RAW_HEADER, OVERRIDE_CAST_TO_HEADER.lower()))
_RAW_LENGTHS = frozenset(map(len, _RAW_HEADERS))
_FOREIGN_ANSWERS: tuple[type[Exception], ...] = (openai.OAuthError,) if hasattr(openai, "OAuthError") else ()
_STREAM_MAPS_ERRORS = hasattr(_streaming, "request_exceptions")
_make_options = _models.FinalRequestOptions.construct
_PROCESS_PARAMETERS = inspect.signature(SyncAPIClient._process_response).parameters
_BUILD_PARAMETERS = inspect.signature(SyncAPIClient._build_request).parameters


def is_client(client: object) -> bool:
    """Whether it is a client of the `openai` package, of a subclass, or of an import of the package before this one."""
    names = {(cls.__module__, cls.__qualname__) for cls in type(client).__mro__}
    return any((cls.__module__, cls.__qualname__) in names for cls in (SyncAPIClient, AsyncAPIClient))


def module_client() -> Any:
    """Return the client behind `openai.chat.completions.create` and its like."""
    return openai._load_client()  # type: ignore[attr-defined, unused-ignore]


def http_library(client: Any) -> Any:
    """Return the HTTP library under a client, the module `httpx2` or `httpx`."""
    return _library(type(client._client))  # type: ignore[arg-type, unused-ignore]  # classes can be hashed


def event_hooks(client: Any) -> dict[str, list[Any]]:
    """Return the hooks of the HTTP client under a client."""
    hooks: dict[str, list[Any]] = client._client.event_hooks
    return hooks


def is_sent(error: Exception, client: Any) -> bool:
    """Whether an exception comes out of the HTTP client under a client, not out of the SDK around it."""
    library = http_library(client)
    codes = (library.Client.send.__code__, library.AsyncClient.send.__code__)
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code not in codes:
        trace = trace.tb_next
    return trace is not None


def default_http_library() -> Any:
    """Return the HTTP library under a client that is given none, the module `httpx2` or `httpx`."""
    return _library(openai.DefaultHttpxClient)


@functools.cache
def _library(http_client: type) -> Any:
    for base in http_client.__mro__:
        root = base.__module__.partition(".")[0]
        if root in ("httpx", "httpx2"):
            return sys.modules[root]
    return sys.modules["httpx2" if hasattr(_base_client, "httpx2") else "httpx"]


# Requests.


def read_request(client: Any, options: Any) -> Request:
    """Return what the SDK would send for `options`.

    Args:
        client: of the call; without one, what it adds to the query is left out.
        options: the request options.

    Raises:
        TypeError: and whatever else the SDK raises for a body that cannot be sent.
    """
    with contextlib.suppress(NotSerializable):
        return read_plain_request(client, options)
    body = options.json_data
    if options.extra_json is not None:
        body = _given({**(body or {}), **options.extra_json})
    text = b"null" if body is None or isinstance(body, UNSET) else _dumps(body)
    path, query = target(client, options)
    return Request(options.method.upper(), path, canonical_json(parse_json(text)), query)


def read_plain_request(client: Any, options: Any) -> Request:
    """Return the same in less time, for a body that is JSON already.

    Raises:
        NotSerializable: for any other.
    """
    body = options.json_data
    if options.extra_json is not None:
        body = _given({**(body or {}), **options.extra_json})
    path, query = target(client, options)
    return Request(options.method.upper(), path, canonical_json(None if type(body) in _UNSET_TYPES else body), query)


class OptionsRead(msgspec.Struct):
    """What `read_request` and `secrets` need of a request's options, and nothing as large as an upload."""

    method: str
    url: str
    json_data: Any
    extra_json: Any
    params: Any
    headers: Any


_facts_of = operator.attrgetter(*OptionsRead.__struct_fields__)


def without_files(options: Any) -> Any:
    """Return what `read_request` and `secrets` need of a request's options: mostly the options, which hold no more."""
    if type(options.json_data) is dict and getattr(options, "files", None) is None:
        return options
    kept = OptionsRead(*_facts_of(options))
    if isinstance(kept.json_data, bytes):
        kept.json_data = None
    return kept


def target(client: Any, options: Any) -> tuple[str, dict[str, Any]]:
    """Return the path and the query of a request."""
    url = options.url
    if client is not None and not (":" in url or "?" in url or options.params or client.default_query):
        return "/" + url.lstrip("/"), {}
    base = "" if client is None else str(client.base_url)
    if "://" in url:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        foreign = f"{host}{urlunsplit(('', '', parts.path, parts.query, ''))}"
        url = url[len(base) :] if url.startswith(base) else foreign
    path, _, fixed = url.partition("?")
    added = {} if client is None else read_query(client, options.params)
    return "/" + path.lstrip("/"), {**parse_query(fixed), **added}


def read_query(client: Any, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the query that the SDK would send."""
    merged = _given({**client.default_query, **(params or {})})
    return parse_query(client.qs.stringify(merged)) if merged else {}


def _given(mapping: dict[str, Any]) -> dict[str, Any]:
    if _UNSET_TYPES.isdisjoint(map(type, mapping.values())):
        return mapping
    return {name: value for name, value in mapping.items() if not isinstance(value, UNSET)}


def convert(value: object) -> JSON:
    """Turn a model of the SDK's, such as an earlier answer's message, into what the SDK makes of it.

    Raises:
        NotSerializable: for any other object.
    """
    if isinstance(value, pydantic.BaseModel) and type(value).__module__.startswith("openai."):
        return _utils.maybe_transform(value, object)
    raise NotSerializable(type(value))


def sends_json(options: Any) -> bool:
    """Whether a request sends JSON or no body."""
    return not (options.files or plain_content(options) is not None)


def plain_content(options: Any) -> Any:
    """Return the body of a request that sends neither JSON nor a form; `None` for one that does."""
    content = getattr(options, "content", None)
    return options.json_data if content is None and isinstance(options.json_data, bytes) else content


def returns_bytes(cast_to: Any) -> bool:
    """Whether the SDK gives out an answer as bytes, instead of parsing it."""
    return getattr(cast_to, "__name__", "") == "HttpxBinaryResponseContent"


def is_custom(options: Any) -> bool:
    """Whether a call gives the class of its raw response."""
    return header(options, OVERRIDE_CAST_TO_HEADER) is not None


def unsent_request(client: Any, options: Any) -> Any:
    """Build the HTTP request that the SDK would send, to read its body.

    Raises:
        Exception: whatever the SDK and its HTTP library raise for what they cannot send.
    """
    given = _sent_headers(options)
    try:
        return client._build_request(_with_headers(options, _Own(given)))
    except Exception:  # noqa: BLE001 - it may need credentials; what is wrong with the body is told again
        return client._build_request(_with_headers(options, _Own({"Authorization": _types.Omit(), **given})))


def with_files(options: Any, instead: Mapping[int, Any]) -> Any:
    """Copy options with other objects in the place of some files.

    Args:
        options: the SDK's request options; they are returned as they are if there is nothing to change.
        instead: the new objects, by the `id` of the old ones.
    """
    if not instead:
        return options
    made = _copy(options)
    items = options.files.items() if isinstance(options.files, Mapping) else options.files
    made.files = [(name, _replaced(file, instead)) for name, file in items]
    return made


def _replaced(file: Any, instead: Mapping[int, Any]) -> Any:
    if isinstance(file, tuple):
        return (file[0], instead.get(id(file[1]), file[1]), *file[2:])
    return instead.get(id(file), file)


def header(options: Any, name: str) -> Any:
    """Return one of a call's own headers, or `None`.

    Raises:
        AttributeError: for headers that are no mapping, which the SDK refuses too.
        TypeError: the same, for those of which no mapping can be made.
        ValueError: the same.
    """
    headers = options.headers
    if isinstance(headers, UNSET) or not headers:
        return None
    if not isinstance(headers, Mapping):
        dict(headers)  # the SDK does this first, which raises for some, and has no use for the others
    return next((value for given, value in headers.items() if given.lower() == name.lower()), None)


def raw_mode(options: Any) -> str | None:
    """Return how a call asks for its answer: `"true"`, `"stream"` or `None` for parsed."""
    value: str | None = header(options, RAW_RESPONSE_HEADER)
    return value


class Asked(str):
    """A header's value that asks the SDK for a raw response on our behalf.

    It is recognised by its type. Another library's patch may copy the headers, and passes their values on.
    """

    __slots__ = ()


class _Own(dict[str, Any]):
    """Headers of a request that is built on our behalf, and sent nowhere."""


def ask(options: Any, mode: str) -> Any:
    """Copy `options` so that the SDK returns the response as it is: read (`"true"`) or unread (`"stream"`)."""
    return _with_headers(options, {**_headers(options), RAW_RESPONSE_HEADER: Asked(mode)})


def _headers(options: Any) -> dict[str, Any]:
    return {} if isinstance(options.headers, UNSET) else options.headers


def _sent_headers(options: Any) -> dict[str, Any]:
    """Return the headers of a call that are sent: the class that the SDK notes among them is not."""
    return {name: value for name, value in _headers(options).items() if name != OVERRIDE_CAST_TO_HEADER}


def _with_headers(options: Any, headers: dict[str, Any]) -> Any:
    made = _copy(options)
    made.headers = headers
    return made


def _copy(options: Any) -> Any:
    return options.copy() if not hasattr(options, "model_copy") else options.model_copy()


def is_asked(options: Any) -> bool:
    """Whether these options are ours, from `ask`."""
    return type(raw_mode(options)) is Asked


def is_own(options: Any) -> bool:
    """Whether these options are ours, from `http_request`."""
    return type(options.headers) is _Own


def is_requesting() -> bool:
    """Whether a caller of this function is the SDK's `request`."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if frame.f_globals.get("__name__") == _base_client.__name__ and code.co_name in ("request", "_request"):
            return True
        frame = frame.f_back
    return False


def asked_mode(headers: Any) -> Any:
    """Return how `extra_headers` ask for an answer: as `raw_mode` does, or `False` for any way that is not so plain."""
    if not isinstance(headers, Mapping):  # which the SDK refuses
        return False
    mode: Any = None
    for name, value in headers.items():
        if len(name) in _RAW_LENGTHS and name.lower() in _RAW_HEADERS:
            is_plain = mode is None and name.lower() == _RAW_HEADER and type(value) is str
            mode = value if is_plain else False
    return mode


def are_modes(headers: Any) -> bool:
    """Whether `extra_headers` say no more than how they ask for an answer."""
    return not headers or (isinstance(headers, Mapping) and all(name.lower() in _RAW_HEADERS for name in headers))


def mode_of(options: Any) -> Any:
    """Return the same of a call's options."""
    headers = options.headers
    return asked_mode(headers) if type(headers) not in _UNSET_TYPES and headers else None


# Responses.


def http_response(raw: Any) -> Any:
    """Return the HTTP response inside what the SDK returns for `ask`."""
    return getattr(raw, "http_response", raw)


def is_response(response: Any) -> bool:
    """Whether it is an HTTP response."""
    return hasattr(response, "status_code") and hasattr(response, "request")


def _has_request(outcome: Any) -> bool:
    """Whether an outcome of a call holds its request, which only the SDK's errors do."""
    return isinstance(outcome, openai.APIError) or not isinstance(outcome, Exception)


def restore(outcome: Any, options: Any) -> None:
    """Undo what `ask` did to the headers in the request of a response, or of an error of the SDK."""
    if not _has_request(outcome):
        return
    mode = raw_mode(options)
    if mode is None:
        outcome.request.headers.pop(RAW_RESPONSE_HEADER, None)
    else:
        outcome.request.headers[RAW_RESPONSE_HEADER] = mode


def is_async(client: Any) -> bool:
    """Whether the methods of a client are coroutine functions."""
    return isinstance(client, AsyncAPIClient)


def raw_response(mode: str | None, parsed: Any, *, client: Any, cast_to: Any, **more: Any) -> Any:
    """Make the SDK's raw response.

    Args:
        mode: how the call asked for it.
        parsed: what its method `parse` returns; `None` if the SDK is to parse it.
        client: whose call it is.
        cast_to: the type of the answer.
        more: the other arguments of its class.
    """
    cls: Any = _legacy_response.LegacyAPIResponse
    if mode != "true":
        cls = _response.AsyncAPIResponse if is_async(client) else _response.APIResponse
    made = cls(client=client, cast_to=cast_to, **more)
    if parsed is not None:
        made._parsed_by_type[cast_to] = parsed
    return made


_STREAM_PARAMETERS = inspect.signature(openai.Stream.__init__).parameters


def build_stream(cls: Any, chunk: Any, response: Any, client: Any, options: Any) -> Any:
    """Make the SDK's stream over an unread response."""
    extra = {"options": options} if "options" in _STREAM_PARAMETERS else {}
    return cls(cast_to=chunk, response=response, client=client, **extra)


def process(call: Any, response: Any, retries_taken: int = 0) -> Any:
    """Let the SDK parse a response as the call asked for; a coroutine for an async client."""
    extra = {"retries_taken": retries_taken} if "retries_taken" in _PROCESS_PARAMETERS else {}
    cast_to = (
        call.client._maybe_override_cast_to(call.cast_to, call.options) if is_custom(call.options) else call.cast_to
    )
    return call.client._process_response(
        cast_to=cast_to,
        options=call.options,
        response=response,
        stream=call.stream,
        stream_cls=call.stream_cls,
        **extra,
    )


def is_foreign_answer(error: Exception) -> bool:
    """Whether an error is the answer to another request than the call's, such as one for a token."""
    return isinstance(error, _FOREIGN_ANSWERS)


def retries_taken(outcome: Any) -> int:
    """Return how often the SDK retried before a raw response or an error came; 0 in versions that do not count."""
    if not _has_request(outcome):
        return 0
    count: int | None = getattr(outcome, "retries_taken", None)
    if count is not None:
        return count
    told = http_response(outcome).request.headers.get("x-stainless-retry-count", "")
    return int(told) if told.isascii() and told.isdigit() else 0


def status_error(client: Any, response: Any) -> openai.APIStatusError:
    """Make the error that the SDK raises for a response."""
    error: openai.APIStatusError = client._make_status_error_from_response(response)
    return error


def http_request(client: Any, options: Any, retries_taken: int = 0) -> Any:
    """Build the HTTP request that the SDK would send; without its headers if the SDK needs credentials for them."""
    given = _sent_headers(options)
    extra = {"retries_taken": retries_taken} if retries_taken and "retries_taken" in _BUILD_PARAMETERS else {}
    for headers in (given, {"Authorization": _types.Omit(), **given}):  # omitting it says that none are needed
        with contextlib.suppress(Exception):  # what needs credentials differs from version to version
            return client._build_request(_with_headers(options, _Own(headers)), **extra)
    mode = raw_mode(options)
    url = str(client.base_url) + options.url.lstrip("/")
    return http_library(client).Request(
        options.method.upper(), url, headers={} if mode is None else {RAW_RESPONSE_HEADER: mode}
    )


class _Captured(BaseException):
    """Options on their way to `request`."""

    def __init__(self, options: Any) -> None:
        self.options = options


def _capture(_: Any, options: Any, **__: Any) -> Any:
    raise _Captured(options)


def options_of(method: Any, resource: Any, arguments: dict[str, Any]) -> Any:
    """Return the options that a method of a resource hands to `request`, by running it as far as that.

    Args:
        method: bound; the SDK's own function in it runs, and no other library's wrapper of it.
        resource: whose method it is.
        arguments: of the call.
    """
    function = inspect.unwrap(method)
    owner = AsyncAPIClient if is_async(resource._client) else SyncAPIClient
    post = functools.partial(inspect.unwrap(owner.post), types.SimpleNamespace(request=_capture))
    probe = types.SimpleNamespace(**{**vars(resource), "_post": post})
    try:
        getattr(function, "__func__", function)(probe, **arguments).send(None)  # a coroutine of an async resource
    except _Captured as captured:
        return captured.options


_POST_ARGUMENTS = frozenset(("body", "cast_to", "options", "stream", "stream_cls"))


class PostOptions:
    """Of the options that `post` makes of its arguments, those by which a recording is looked up: a tenth of the time.

    Args:
        path: as it is given to `post`.
        arguments: the keyword arguments of `post`.
    """

    method = "post"
    files = extra_json = content = None
    headers: Any = openai.NOT_GIVEN
    params: Any = MappingProxyType({})
    post_parser: Any = openai.NOT_GIVEN

    def __init__(self, path: str, arguments: Mapping[str, Any]) -> None:
        vars(self).update(arguments.get("options") or {}, url=path, json_data=arguments.get("body"))


def is_plain_post(args: tuple[Any, ...], arguments: Mapping[str, Any]) -> bool:
    """Whether a call of `post` sends JSON, and no more than `PostOptions` holds."""
    return len(args) == 1 and arguments.keys() <= _POST_ARGUMENTS and "cast_to" in arguments


def posted_options(client: Any, path: str, arguments: dict[str, Any]) -> Any:
    """Return the options that `post` of a client hands to `request`, by running it as far as that."""
    owner = AsyncAPIClient if is_async(client) else SyncAPIClient
    try:
        inspect.unwrap(owner.post)(types.SimpleNamespace(request=_capture), path, **arguments).send(None)
    except _Captured as captured:
        return captured.options


def unchanged_options(client: Any, request: Request, read: Callable[[], Any]) -> Any:
    """Return the options of a call, though the program may have changed since what it had handed to the call.

    Args:
        client: whose call it is.
        request: what the call sent.
        read: returns the options as they are now.
    """
    made = None
    with contextlib.suppress(Exception):  # whatever the program has done to its objects
        made = read()
        if read_request(client, made).body == request.body:
            return made
    options = _make_options(method=request.method.lower(), url=request.path) if made is None else _copy(made)
    options.json_data, options.extra_json = parse_json(request.body), None
    return options


class LateOptions:
    """The SDK's options of a call, which are read when somebody asks for one of them."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read = read
        self._made: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = self._read()
        return getattr(self._made, name)


def request_parts(client: Any, request: Request) -> dict[str, Callable[[], Any]]:
    """Return what makes the attributes of a call's HTTP request that can be had without building it."""
    cls = type(client)
    is_own = cls._build_request is BaseClient._build_request and cls._prepare_url is BaseClient._prepare_url
    if request.query or client.default_query or client._client.params or not is_own:
        return {}
    url, base = http_library(client).URL, client.base_url
    return {"url": lambda: _join(url, str(base), request.path), "method": lambda: request.method}


@functools.lru_cache(1_000)
def _join(url: Any, base: str, path: str) -> Any:
    """Do what the SDK's `_prepare_url` does."""
    made = url(base)
    return url(str(made.copy_with(raw_path=made.raw_path + url(path).raw_path.lstrip(b"/"))))


class _Seconds(int):
    """0 for who sleeps by it, and seconds for who shows it: the SDK does both with the time before it tries again."""

    seconds: float = 0.0

    def __float__(self) -> float:
        return self.seconds


def make_sender(client: Any, send: Callable[..., Any], note_delay: Callable[[float], object]) -> Any:
    """Copy a client, so that its `request` sends with a function of ours, and neither sleeps nor fetches a token.

    Args:
        client: the client, which is not changed.
        send: is called with the HTTP request and `stream=`; a coroutine function for an async client.
        note_delay: is called with the seconds that the SDK would sleep before it tries again.
    """
    made = copy.copy(client)

    def delay(*args: Any, **kwargs: Any) -> _Seconds:
        waited = _Seconds()
        waited.seconds = client._calculate_retry_timeout(*args, **kwargs)
        note_delay(waited.seconds)
        return waited

    is_async = isinstance(client, AsyncAPIClient)
    changes = {
        "_client": types.SimpleNamespace(send=send),
        "_send_request": send,
        "_build_request": functools.partial(http_request, client),
        "_prepare_options": _returned if is_async else _return,
        "_prepare_request": _returned if is_async else _return,
        "_custom_auth": lambda _: None,
        "_calculate_retry_timeout": delay,
    }
    vars(made).update(changes)
    # The module-level client of openai 1 has a property for the HTTP client, which would send for real.
    hidden = {name: new for name, new in changes.items() if isinstance(getattr(type(client), name, None), property)}
    if hidden:
        made.__class__ = type(type(client).__name__, (type(client),), hidden)
    return made


def _return(given: Any) -> Any:
    return given


async def _returned(given: Any) -> Any:
    return given


def timeouts_of(request: Any) -> Mapping[str, float | None]:
    """Return a client's time-outs for an HTTP request, in seconds, by `connect`, `read`, `write` and `pool`."""
    found: Mapping[str, float | None] = request.extensions.get("timeout", {})
    return found


@contextlib.contextmanager
def mapped_errors(request: Any) -> Iterator[None]:
    """Raise the errors of an HTTP client as the SDK does.

    Raises:
        APITimeoutError: for a time-out of the HTTP library.
        APIConnectionError: for its other errors.
    """
    try:
        yield
    except _timeouts() as error:
        raise openai.APITimeoutError(request=request) from error
    except (openai.OpenAIError, InferenceReplayError):
        raise
    except _connection_errors() as error:
        raise openai.APIConnectionError(request=request) from error


def connection_error(failure: Failure, request: Any) -> openai.APIConnectionError:
    """Make the SDK's error for a failure that is no exception of the HTTP library's, nor a builtin."""
    if "Timeout" in failure.type:
        return openai.APITimeoutError(request=request)
    return openai.APIConnectionError(message=failure.message or "Connection error.", request=request)


def _timeouts() -> tuple[type[Exception], ...]:
    return tuple(module.TimeoutException for module in _http_modules())


def _connection_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that the SDK makes connection errors of; older versions do so with all."""
    known = getattr(_base_client, "request_exceptions", None)
    errors: tuple[type[Exception], ...] = known() if known else (Exception,)
    return errors


def _http_modules() -> list[Any]:
    return [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]


def close_error(response: Any, library: Any) -> Exception:
    """Make the error that reading on from a stream raises after it was closed."""
    cause: Exception = library.ReadError("the stream was closed", request=response.request)
    if _STREAM_MAPS_ERRORS:
        error = openai.APIConnectionError(request=response.request)
        error.__cause__ = error.__context__ = cause
        return error
    return cause  # pragma: no cover - before openai 3


def is_model(cls: Any) -> bool:
    """Whether answers of a type are objects of a model class of the SDK's, made without code of the class's own."""
    return inspect.isclass(cls) and issubclass(cls, openai.BaseModel) and not hasattr(cls, "build")


def parser(options: Any) -> Any:
    """Return what makes the answer of a call of its model; `None` if the model is the answer."""
    return None if isinstance(options.post_parser, UNSET) else options.post_parser


def has_plain_events(options: Any) -> bool:
    """Whether the SDK makes an event of a stream of its data alone."""
    is_synthesized = getattr(options, "synthesize_event_and_data", None)
    return not is_synthesized and getattr(options, "stream_mode", "legacy") == "legacy"


def construct(cls: Any, data: JSON) -> Any:
    """Build a model as the SDK does, whatever the server left out."""
    return _models.construct_type(type_=cls, value=data)


_HAS_REQUEST_IDS = hasattr(_models, "add_request_id")


def set_request_id(model: Any, headers: Mapping[str, str]) -> None:
    """Give a model its `_request_id`, if this version of the SDK does.

    It does what the SDK's `add_request_id` does, without pydantic's `__setattr__`, which is slow and ends here too.
    """
    if _HAS_REQUEST_IDS:  # pragma: no branch - the oldest versions have none
        object.__setattr__(model, "_request_id", headers.get("x-request-id"))


def checks_strictly(client: Any) -> bool:
    """Whether a client refuses answers that do not fit their type."""
    return bool(client._strict_response_validation)


def default_encoding_format(create: Callable[..., Any]) -> str | None:
    """Return the format of embeddings that this version of the SDK asks for by itself; it depends on other packages.

    Args:
        create: the method of `Embeddings`.
    """
    asked: dict[str, Any] = {}
    probe = types.SimpleNamespace(_post=lambda _, *, body, **__: asked.update(body))
    inspect.unwrap(create)(probe, input="", model="")  # no tracer is to see a call that nobody makes
    return asked.get("encoding_format")


# WebSockets.

WEBSOCKET_MODULES = (
    "openai.resources.beta.realtime.realtime",
    "openai.resources.beta.responses.responses",
    "openai.resources.live.forks",
    "openai.resources.live.live",
    "openai.resources.live.sideband",
    "openai.resources.realtime.realtime",
    "openai.resources.realtime.translations.translations",
    "openai.resources.responses.responses",
)
"""Where connections are made, in any version of the SDK."""
_MANAGER = "ConnectionManager"


def connection_managers(module: Any) -> list[type]:
    """Return the classes that open a module's connections, in `__enter__` or `__aenter__`, also called `enter`."""
    return [value for name, value in vars(module).items() if name.endswith(_MANAGER) and isinstance(value, type)]


def connecting_methods(manager: type) -> tuple[str, ...]:
    """Return the names of the methods of a class that open a connection."""
    own = ("_connect_ws",) if "_connect_ws" in manager.__dict__ else ("__enter__", "__aenter__", "enter")
    return tuple(name for name in own if name in manager.__dict__)


def manager_client(manager: Any) -> Any:
    """Return the client that a connection is made for."""
    return getattr(manager, _client_attribute(manager))


def _client_attribute(manager: Any) -> str:
    owner = next(cls for cls in type(manager).__mro__ if cls.__module__ in WEBSOCKET_MODULES)
    return f"_{owner.__name__}__client"


@contextlib.contextmanager
def without_tokens(manager: Any) -> Iterator[None]:
    """Let the object that opens a connection fetch no token meanwhile: no function of the program's is called."""
    client = manager_client(manager)
    made = copy.copy(client)
    back, nothing = (_returned, _nothing_async) if is_async(client) else (_return, _nothing)
    vars(made).update(
        _refresh_api_key=functools.partial(back, client.api_key), _get_azure_ad_token=nothing, _prepare_options=back
    )
    setattr(manager, _client_attribute(manager), made)
    try:
        yield
    finally:
        setattr(manager, _client_attribute(manager), client)


def _nothing() -> None:
    """Stand for a function that returns a token."""


async def _nothing_async() -> None:
    """Stand for a coroutine function that returns a token."""


def connection_request(client: Any, method: str, uri: str) -> Request:
    """Return the request of a WebSocket connection, with its path relative to the client's base URL.

    Args:
        client: whose connection it is.
        method: the method in recordings.
        uri: the server's, with path and query.
    """
    parts = urlsplit(uri)
    base = urlsplit(str(client.websocket_base_url or client.base_url)).path.rstrip("/")
    path = parts.path[len(base) :] if parts.path.startswith(f"{base}/") else parts.path
    return Request(method, path, b"null", parse_query(parts.query))


# The secrets and the server of a client.


def secrets(client: Any, options: Any = None) -> tuple[str, ...]:
    """Return the secrets of a client and of a call: keys, organisation, project, values of secret headers."""
    values = [getattr(client, name, None) for name in _CREDENTIALS]
    values += [_password(url) for url in (_base_url(client), str(getattr(options, "url", "")))]
    values += _queried(client, options)
    values += [cookie.value for cookie in client._client.cookies.jar]
    values += header_secrets(_decoded(client._client.headers))
    for headers in (getattr(client, "_custom_headers", None), getattr(options, "headers", None)):
        values += header_secrets(headers.items() if isinstance(headers, Mapping) else ())
    return literals_of(values)


def _decoded(headers: Any) -> Iterable[tuple[str, str]]:
    """Decode those of the HTTP library's headers that may hold a secret, which are few."""
    secret = [pair for pair in headers.raw if holds_secret(pair[0])]
    return type(headers)(secret).items() if secret else ()


def secrets_sent(outcome: Any, known: Redactor) -> tuple[str, ...]:
    """Return the secrets in the headers that a live call sent, such as a token that was fetched for it.

    Args:
        outcome: the response, or an error.
        known: knows the client's secrets, which most calls send and nothing else.
    """
    if not _has_request(outcome):
        return ()
    sent = _decoded(outcome.request.headers)
    return literals_of(header_secrets(item for item in sent if not known.knows(item[1].removeprefix("Bearer "))))


def _queried(client: Any, options: Any) -> list[str]:
    """Return the secrets in a query, which the answer may repeat."""
    fixed, params = getattr(options, "url", "").partition("?")[2], getattr(options, "params", None)
    if not (fixed or params or client.default_query):
        return []
    return secret_values({**parse_query(fixed), **read_query(client, params)})


def origin(client: Any) -> Provenance:
    """Return where a client's recordings come from."""
    return Provenance("", VERSION, without_credentials(_base_url(client)))


_base_urls: dict[int, tuple[Any, str]] = {}
"""The base URLs of clients and their texts, which the HTTP library makes anew each time, by `id`."""
_MOST_BASE_URLS = 100


def _base_url(client: Any) -> str:
    """Return a client's base URL as text."""
    url = client.base_url
    held = _base_urls.get(id(url))
    if held is None or held[0] is not url:
        if len(_base_urls) >= _MOST_BASE_URLS:
            _base_urls.clear()
        held = _base_urls[id(url)] = url, str(url)
    return held[1]


@functools.lru_cache(maxsize=100)
def _password(url: str) -> str | None:
    return urlsplit(url).password


@functools.lru_cache(maxsize=100)
def without_credentials(url: str) -> str:
    """Return a base URL as recordings hold it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
