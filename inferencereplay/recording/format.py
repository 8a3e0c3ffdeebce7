"""The file format: one request with one response.

`docs/format.md` describes it for people; a file is decoded straight into these structs. JSON that came from a
server is kept as the bytes that came (`msgspec.Raw`), so that nothing of it is lost or rewritten.
"""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Any

import msgspec

from inferencereplay.errors import RecordingCorrupt
from inferencereplay.recording import frames as websocket
from inferencereplay.recording.control_characters import visible
from inferencereplay.recording.request import NotSerializable, Request, canonical_json, is_surely_canonical, parse_json
from inferencereplay.recording.side_file import ENDING, SideFile

VERSION = 1
NEWER_VERSION = 2
"""The version of files that an older reader would misread: with frames, a form, content that is no JSON, side files."""
VERSIONS = (VERSION, NEWER_VERSION)
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
"""A time that a person may have edited; the limit keeps a slip from making a replay wait for years."""
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
REDIRECTS = frozenset((301, 302, 303, 307, 308))
"""The statuses that an HTTP library follows."""
Bytes = Annotated[int, msgspec.Meta(ge=0)]
MOST_INDENT = 16
LARGE = 4 * 1024
"""Bytes of a request's body from which on a comparison is faster than reading it."""
LARGE_PART = 0.5
"""Part of the file that the body has then: the rest is copied."""
ENCODINGS = ("", "utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
"""The encodings of JSON that a text may name; a file may not have any codec of Python's run."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_REASON = re.compile(r"[\t\x20-\x7e]*")
_POSITION = re.compile(r"\(byte (\d+)\)|at `(\$[^`]*)`")
_CONFLICT = re.compile(rb"^(?:<{7}|={7}|>{7}|\|{7})(?: |\r?$)", re.MULTILINE)
"""The marks that git leaves in a file."""


class Provenance(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a recording comes from; for people, not for matching."""

    at: str = ""
    openai: str = ""
    base_url: str = ""

    @property
    def moment(self) -> datetime.datetime | None:
        """When the request was sent (UTC), or `None` if the file does not say it."""
        if not self.at:
            return None
        try:
            at = datetime.datetime.fromisoformat(self.at.replace("Z", "+00:00"))
            return at.replace(tzinfo=at.tzinfo or datetime.timezone.utc).astimezone(datetime.timezone.utc)
        except (ValueError, OverflowError):
            return None


class RecordedRequest(msgspec.Struct):
    """The request as the file has it.

    Attributes:
        method: upper case.
        path: relative to the base URL.
        body: the body, whatever it is.
        query: name to value.
        form: the same as the body if that is a form.
        content: the same as the body if that is other content than JSON.
        uploads: the contents of the files of a form, if they are kept.
    """

    method: str
    path: str
    body: msgspec.Raw = msgspec.Raw(b"null")
    query: dict[str, Any] = {}
    form: msgspec.Raw = msgspec.Raw(b"")
    content: msgspec.Raw = msgspec.Raw(b"")
    uploads: list[SideFile] = []

    @property
    def kind(self) -> str:
        """What the body is, as in `Request`."""
        return "form" if len(self.form) else "content" if len(self.content) else "body"


class Cause(msgspec.Struct, omit_defaults=True):
    """An exception that led to a failure.

    Attributes:
        type: its class by name, after the package's name if it is no builtin.
        message: its text.
        is_context: whether it was only being handled when the next one was raised, and not named as its cause.
    """

    type: str
    message: str = ""
    is_context: bool = msgspec.field(default=False, name="context")


class Failure(msgspec.Struct, omit_defaults=True):
    """An exception that broke the connection.

    Attributes:
        type: its class by name: the HTTP library's, a builtin, or, if it is neither, the SDK's.
        message: its text.
        causes: the exceptions that led to it, the nearest first.
    """

    type: str
    message: str = ""
    causes: list[Cause] = []


class Redirect(msgspec.Struct):
    """An answer that sent the client on to another URL: its status and the headers on the allow-list."""

    status: Count
    headers: dict[str, str]


class Response(msgspec.Struct, omit_defaults=True):
    """The answer of the server.

    Attributes:
        status: the HTTP status; 0 if the connection failed before there was one.
        headers: names in lower case; the ones on the allow-list.
        reason: the phrase after the status, if it is not the usual one.
        redirects: the answers that led to this one, in order.
        downloaded: bytes that the HTTP library counted, if a replay would count others.
        elapsed: seconds from the start of the call to the end of a plain answer.
        end: of a stream: `done`, `closed` (the caller left) or `error` (the connection broke); `closed` also of a plain
            answer that its caller did not read to the end.
        sentinel: whether a stream closed with `data: [DONE]`.
        left: seconds from the start of the call to the moment when its caller left, if `end` is `closed`.
        failure: what broke the connection.
        offsets: seconds from the start of the call to each chunk; empty where they are not known.
        events: the names of a stream's events, `None` where one had none; empty where none had.
        verbatim: the indices of chunks that are not JSON; `chunks` holds them as JSON strings.
        text: a plain answer that is no JSON, or JSON that is not in UTF-8.
        encoding: the encoding of `text`, if it is not the charset that the content type names.
        body: a plain answer that is JSON.
        indent: how the server laid it out, as `msgspec.json.format` counts: -1 without spaces, 0 on one line.
        leading: white space before the JSON.
        trailing: white space after it.
        chunks: the events' data.
        rest: the bytes after the chunks, from the first event on that is not UTF-8.
        binary: a plain answer that is neither JSON nor text, or that the SDK gives out as bytes; if `end` is `closed`,
            the bytes of it that had come when its caller left.
        base64: the images and sounds in the body or the chunks that are long, in whose place there are the endings of
            these side files.
        pieces: the sizes of its parts, each of which arrived at one of `offsets`; empty if it was read as a whole.
        retries: how often the SDK tried again before this answer came.
        frames: what both sides of a WebSocket connection sent; `offsets` and `end` are the connection's then, and
            `elapsed` is the time that it took to open.
        audio: what was taken out of the frames; see `frame_audio`.
    """

    status: int = 200
    headers: dict[str, str] = {}
    reason: str | None = None
    redirects: tuple[Redirect, ...] = ()
    downloaded: Bytes | None = None
    elapsed: Seconds | None = None
    end: str = ""
    sentinel: bool = True
    left: Seconds | None = None
    failure: Failure | None = None
    offsets: list[Seconds] = []
    events: list[str | None] = []
    verbatim: list[int] = []
    text: str | None = None
    encoding: str = ""
    body: msgspec.Raw = msgspec.Raw(b"")
    indent: int = -1
    leading: str = ""
    trailing: str = ""
    chunks: list[msgspec.Raw] = []
    rest: bytes = b""
    binary: SideFile | None = None
    pieces: list[Annotated[int, msgspec.Meta(ge=1)]] = []
    base64: list[SideFile] = []
    retries: Count = 0
    frames: list[websocket.Frame] | None = None
    audio: SideFile | None = None

    @property
    def is_stream(self) -> bool:
        """Whether the server sent events, or the answer was left before its end."""
        return bool(self.end)

    @property
    def arrivals(self) -> int:
        """How many chunks came, or frames went either way."""
        return len(self.chunks) if self.frames is None else len(self.frames)

    @property
    def is_unanswered(self) -> bool:
        """Whether the caller left before there was an answer."""
        return self.status == 0 and self.end == "closed"

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete."""
        return self.end in ("", "done") and self.failure is None


class Recording(msgspec.Struct):
    """One request with one response."""

    inferencereplay: int
    key: str
    request: RecordedRequest
    response: Response
    recorded: Provenance = Provenance()

    @property
    def side_files(self) -> list[SideFile]:
        """The side files that it names."""
        one = filter(None, (self.response.binary, self.response.audio))
        return [*self.request.uploads, *one, *self.response.base64]


class _Around(msgspec.Struct):
    """A recording without its request."""

    inferencereplay: int
    key: str
    response: Response
    recorded: Provenance = Provenance()
    request: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Versioned(msgspec.Struct):
    """What any version of the format has."""

    inferencereplay: int


_decoder = msgspec.json.Decoder(Recording)
_around_decoder = msgspec.json.Decoder(_Around)
_version_decoder = msgspec.json.Decoder(_Versioned)


def decode(data: bytes, name: str) -> Recording:
    """Read a recording.

    Args:
        data: the file's content.
        name: the file, for messages.

    Raises:
        RecordingCorrupt: if it is torn, foreign, of a newer version, in a merge conflict, or contradicts itself.
    """
    try:
        if not data.isascii():  # which spares a copy of most files
            data.decode()  # msgspec does not look at what it leaves raw
        recording = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _check_version(_version_of(data), name)
        _check_conflict(data, name)
        reason = _POSITION.sub("", str(error)).rstrip(" -")
        raise corrupt(name, _position(error, data), f"it cannot be read as a recording ({reason})") from error
    if recording.inferencereplay != VERSION:
        _check_version(recording.inferencereplay, name)
        held = recording.request
        held.body = held.form if len(held.form) else held.content if len(held.content) else held.body
    _check(recording, name)
    return recording


def _check_side_files(recording: Recording, name: str) -> None:
    """No name may lead elsewhere than beside the recording."""
    if recording.inferencereplay == VERSION:
        raise corrupt(name, "$.inferencereplay", f"a recording of format {VERSION} has no side files")
    for side in recording.side_files:
        if not ENDING.fullmatch(side.ending) or not _DIGEST.fullmatch(side.sha256):
            raise corrupt(name, "$", f"{side.ending!r} is not the ending of a side file, or its SHA-256 is none")


def is_whole(data: bytes) -> bool:
    """Whether a file's content is a recording of a complete answer."""
    try:
        return decode(data, "").response.is_whole
    except RecordingCorrupt:
        return False


def _position(error: Exception, data: bytes) -> str:
    found = _POSITION.search(str(error))
    if found:
        return f"byte {found[1]}" if found[1] else found[2]
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start}"
    return "$" if isinstance(error, msgspec.ValidationError) else f"byte {len(data)}"


def _version_of(data: bytes) -> int:
    """Return the version of a file that cannot be decoded, which may be because its format is newer."""
    try:
        return _version_decoder.decode(data).inferencereplay
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return VERSION


def _check_conflict(data: bytes, name: str) -> None:
    if mark := _CONFLICT.search(data):
        line = data.count(b"\n", 0, mark.start()) + 1
        mend = "With git: `git checkout --ours FILE`, or --theirs, and `git add FILE`; once committed, record it again"
        raise corrupt(name, f"line {line}", "merge conflict; take either side", mend)


def _check_version(version: int, name: str) -> None:
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        reason = f"it is of format {version}, and this version of inferencereplay reads the formats {known}"
        raise corrupt(name, "$.inferencereplay", reason, "Upgrade inferencereplay, or record it again")


def _check(recording: Recording, name: str) -> None:
    """Make sure that a recording does not contradict itself."""
    response = recording.response
    if response.binary or response.base64 or response.audio or recording.request.uploads:
        _check_side_files(recording, name)
    if not _is_simple(response):
        _check_parts(response, name)


def _is_simple(response: Response) -> bool:
    """Whether it is a plain answer of JSON, of which only what every server sends is in the file."""
    return (
        len(response.body) > 0
        and 100 <= response.status <= 999  # noqa: PLR2004
        and not (response.end or response.chunks or response.rest or response.offsets or response.events)
        and not (response.verbatim or response.failure or response.redirects or response.leading or response.trailing)
        and response.text is None
        and response.reason is None
        and response.indent == -1
        and not response.encoding
        and response.frames is None
    )


def _check_parts(response: Response, name: str) -> None:
    count = len(response.chunks) or len(response.pieces)
    if response.end not in ("", "done", "closed", "error"):
        raise corrupt(name, "$.response.end", f"{response.end!r} is none of 'done', 'closed' and 'error'")
    if (response.end == "error") != (response.is_stream and response.failure is not None):
        reason = "a stream has a 'failure' if, and only if, it ended with 'error'"
        raise corrupt(name, "$.response.failure", reason)
    if (response.chunks or response.rest) and not response.end:
        raise corrupt(name, "$.response.end", "a stream has to say how it ended")
    if response.frames is not None:
        _check_frames(response, response.frames, name)
    elif response.offsets and len(response.offsets) != count:
        raise corrupt(name, "$.response.offsets", f"{len(response.offsets)} offsets for {count} chunks")
    if response.events and len(response.events) != count:
        raise corrupt(name, "$.response.events", f"{len(response.events)} names for {count} chunks")
    for index in response.verbatim:
        if not 0 <= index < count or not _is_text(response.chunks[index]):
            raise corrupt(name, "$.response.verbatim", f"chunk {index} is no JSON string")
    has_none = response.is_unanswered or (response.failure is not None and not response.is_stream)
    if not 0 <= response.status <= 999 or (response.status < 100 and not has_none):  # noqa: PLR2004
        raise corrupt(name, "$.response.status", f"{response.status} is no HTTP status")
    _check_content(response, name)
    _check_details(response, name)


def _check_frames(response: Response, frames: list[websocket.Frame], name: str) -> None:
    for position, reason in websocket.problems(frames, response.offsets, response.end):
        raise corrupt(name, position, reason)
    if not response.end or response.chunks or response.rest or response.events:
        raise corrupt(name, "$.response.frames", "frames have an 'end', and no chunks")


def _check_details(response: Response, name: str) -> None:
    if response.pieces and (response.binary is None or sum(response.pieces) != response.binary.length):
        raise corrupt(name, "$.response.pieces", "they are not as long as the content")
    if response.indent != -1 or response.leading or response.trailing or response.encoding:
        _check_layout(response, name)
    if response.reason is not None and not _REASON.fullmatch(response.reason):
        raise corrupt(name, "$.response.reason", f"{response.reason!r} is not a reason phrase of HTTP")
    for redirect in response.redirects:
        if redirect.status not in REDIRECTS or "location" not in redirect.headers:
            raise corrupt(name, "$.response.redirects", "a redirect has a status of 301 to 308 and a location")


def _check_layout(response: Response, name: str) -> None:
    if not -1 <= response.indent <= MOST_INDENT:
        raise corrupt(name, "$.response.indent", f"{response.indent} is not in the range -1 to {MOST_INDENT}")
    for member, spaces in (("leading", response.leading), ("trailing", response.trailing)):
        if spaces.strip(" \t\r\n"):
            raise corrupt(name, f"$.response.{member}", f"{spaces!r} is not white space")
    if response.encoding not in ENCODINGS:
        reason = f"{response.encoding!r} is not one of {', '.join(ENCODINGS[1:])}"
        raise corrupt(name, "$.response.encoding", reason)


def _is_text(raw: msgspec.Raw) -> bool:
    try:
        msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError:  # half a surrogate pair, which no server can have sent
        return False
    return True


def _check_content(response: Response, name: str) -> None:
    """A member that is misspelt would otherwise pass for an empty answer."""
    is_left = response.end == "closed" and response.binary is not None and not (response.chunks or response.rest)
    held = (response.end != "") + (response.text is not None) + (len(response.body) > 0) + (response.binary is not None)
    held -= is_left  # the bytes up to the moment when the caller left
    if held > 1 or (held == 0 and response.failure is None):
        wanted = "one of 'body', 'text', 'binary', and 'chunks' with 'end'"
        raise corrupt(name, "$.response", f"an answer has {wanted}, and this one has {held or 'none'} of them")


def corrupt(name: str, position: str, reason: str, mend: str = "") -> RecordingCorrupt:
    """Make the error for a file that cannot be used."""
    mend = mend or "Restore it from version control, or delete it and record it again"
    message = f"{visible(name)}: {visible(reason)}, at {visible(position)}. {mend}."
    return RecordingCorrupt(message, path=name, position=position)


def decode_for(request: Request, key: str, data: bytes, name: str) -> Recording:
    """Read a recording, and make sure that it is one of `request`, as its name says.

    Args:
        request: the request.
        key: the request's.
        data: the file's content.
        name: the file, for messages.

    Raises:
        RecordingCorrupt: see `decode`; also if the request in the file was edited, or the file has the name of another
            request.
    """
    is_large = len(request.body) >= max(LARGE, len(data) * LARGE_PART)
    recording = _decode_around(request, data, name) if is_large else None
    if recording is None:
        recording = decode(data, name)
        check_request(recording, request, key, name)
    elif recording.key != key:
        _check_slowly(recording, key, name)
    return recording


def _decode_around(request: Request, data: bytes, name: str) -> Recording | None:
    """Read a file that holds `request` just as we write it: those bytes are compared, and not read.

    `None` for any other file.
    """
    held = recorded_request(request)
    start = end = data.find(_REQUEST_BEGIN)
    for text in (_REQUEST_BEGIN, *_request_parts(held), _REQUEST_END + b",\n"):  # a copy of all takes longer
        if not data.startswith(text, end):
            return None
        end += len(text)
    rest = data[:start] + data[end:]
    try:
        if not rest.isascii():
            rest.decode()
        around = _around_decoder.decode(rest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if around.request is not msgspec.UNSET or around.inferencereplay not in VERSIONS:
        return None
    recording = Recording(around.inferencereplay, around.key, held, around.response, around.recorded)
    _check(recording, name)
    return recording


def check_request(recording: Recording, request: Request, key: str, name: str) -> None:
    """Make sure that `recording` is one of `request`, as its name says.

    Raises:
        RecordingCorrupt: if the request in the file was edited, or the file has the name of another request.
    """
    held = recording.request
    if (
        recording.key == key
        and held.path == request.path
        and held.method == request.method
        and held.query == request.query
        and held.kind == request.kind
        and msgspec.json.format(held.body, indent=-1) == request.body
    ):
        return
    _check_slowly(recording, key, name)


def _check_slowly(recording: Recording, key: str, name: str) -> None:
    """Check a request by its key alone: the same request may be laid out in many ways."""
    found = stored_request(recording, name).key
    again = "Undo the change, file it anew with `inferencereplay rekey`, or delete the file and record it again"
    if found != recording.key:
        reason = f"its request does not belong to its key: it hashes to {found[:12]}…, the key is {recording.key[:12]}…"
        raise corrupt(name, "$.request", reason, again)
    if found != key:
        raise corrupt(name, "$.key", f"its name is that of {key[:12]}…, and it holds {found[:12]}…", again)


def stored_request(recording: Recording, name: str) -> Request:
    """Return the request that a file holds.

    Raises:
        RecordingCorrupt: if its body cannot be read.
    """
    held = recording.request
    as_written = Request(held.method, held.path, msgspec.json.format(held.body, indent=-1), held.query, held.kind)
    if as_written.key == recording.key and is_surely_canonical(as_written.body):  # as we store it
        return as_written
    try:
        body = canonical_json(parse_json(bytes(held.body)))
    except (ValueError, NotSerializable) as error:
        raise corrupt(name, f"$.request.{held.kind}", f"its request cannot be read ({error})") from error
    return Request(held.method, held.path, body, held.query, held.kind)


def recorded_request(request: Request) -> RecordedRequest:
    """Return a request as a file has it."""
    body = msgspec.Raw(request.body)
    held = RecordedRequest(request.method, request.path, body, request.query)
    if request.kind != "body":
        setattr(held, request.kind, body)
    return held


def encode(recording: Recording) -> bytes:
    """Write a recording as a file for people: JSON indented by two, a chunk a line, each kind of timing on one line."""
    request, response = recording.request, recording.response
    is_newer = request.kind != "body" or response.frames is not None or recording.side_files
    lines = [
        b'  "inferencereplay": %d' % (NEWER_VERSION if is_newer else VERSION),
        b'  "key": ' + _json(recording.key),
        b'  "recorded": ' + _json(recording.recorded),
        b"".join((_REQUEST_BEGIN, *_request_parts(request), _REQUEST_END)),
        b'  "response": {\n    ' + b",\n    ".join(_response_members(response)) + b"\n  }",
    ]
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


_REQUEST_BEGIN, _REQUEST_END = b'  "request": {\n    ', b"\n  }"


def _request_parts(request: RecordedRequest) -> tuple[bytes, bytes]:
    members = [b'"method": ' + _json(request.method), b'"path": ' + _json(request.path)]
    if request.query:
        members.append(b'"query": ' + _json(request.query))
    if request.uploads:
        members.append(b'"uploads": ' + _json(request.uploads))
    return b",\n    ".join(members) + b',\n    "%b": ' % request.kind.encode(), lay_out(request.body)


def _response_members(response: Response) -> list[bytes]:
    members = [b'"status": %d' % response.status, b'"headers": ' + _json(response.headers)]
    if response.reason is not None:
        members.append(b'"reason": ' + _json(response.reason))
    if response.redirects:
        members.append(b'"redirects": ' + _json(response.redirects))
    if response.downloaded is not None:
        members.append(b'"downloaded": %d' % response.downloaded)
    if response.retries:
        members.append(b'"retries": %d' % response.retries)
    if response.end:
        members.append(b'"end": ' + _json(response.end))
        if not response.sentinel:
            members.append(b'"sentinel": false')
    if response.left is not None:
        members.append(b'"left": %.6f' % response.left)
    if response.failure:
        members.append(b'"failure": ' + _json(response.failure))
    if response.frames is not None:
        return members + _connection_members(response, response.frames)
    is_stream = response.end and response.binary is None
    return members + (_stream_members(response) if is_stream else _plain_members(response))


def _connection_members(response: Response, frames: list[websocket.Frame]) -> list[bytes]:
    members = [b'"elapsed": %.6f' % response.elapsed] if response.elapsed is not None else []
    members += _offsets_member(response)
    if response.audio is not None:
        members.append(b'"audio": ' + _json(response.audio))
    lines = b",\n".join(b"      " + websocket.encode(frame) for frame in frames)
    members.append(b'"frames": [\n' + lines + b"\n    ]" if lines else b'"frames": []')
    return members


def _plain_members(response: Response) -> list[bytes]:
    members = []
    if response.elapsed is not None:
        members.append(b'"elapsed": %.6f' % response.elapsed)
    if response.binary is not None:
        members.append(b'"binary": ' + _json(response.binary))
        if response.pieces:
            members += _offsets_member(response)
            members.append(b'"pieces": ' + _json(response.pieces))
    if response.text is not None:
        members.append(b'"text": ' + _json(response.text))
        if response.encoding:
            members.append(b'"encoding": ' + _json(response.encoding))
    if bytes(response.body):
        members += _base64_member(response)
        if response.indent != -1:
            members.append(b'"indent": %d' % response.indent)
        if response.leading:
            members.append(b'"leading": ' + _json(response.leading))
        if response.trailing:
            members.append(b'"trailing": ' + _json(response.trailing))
        members.append(b'"body": ' + lay_out(response.body))
    return members


def _stream_members(response: Response) -> list[bytes]:
    members = _offsets_member(response)
    if response.events:
        members.append(b'"events": ' + _json(response.events))
    if response.verbatim:
        members.append(b'"verbatim": ' + _json(response.verbatim))
    members += _base64_member(response)
    chunks = b",\n      ".join(response.chunks)
    members.append(b'"chunks": [\n      ' + chunks + b"\n    ]" if chunks else b'"chunks": []')
    if response.rest:
        members.append(b'"rest": ' + _json(response.rest))
    return members


def _base64_member(response: Response) -> list[bytes]:
    return [b'"base64": ' + _json(response.base64)] if response.base64 else []


def _offsets_member(response: Response) -> list[bytes]:
    if not response.offsets:
        return []
    offsets = b", ".join([b"%.6f"] * len(response.offsets)) % (*response.offsets,)
    return [b'"offsets": [' + offsets + b"]"]


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=0)


def lay_out(raw: msgspec.Raw | bytes) -> bytes:
    """Lay JSON out for people as the `body` of a file, which is indented by two and four more."""
    around = msgspec.json.format(b"[[%b]]" % raw, indent=2)  # to indent all lines afterwards takes longer
    return around[len(_OUTER) : -len(b"\n  ]\n]")]


_OUTER = b"[\n  [\n    "
