"""Whether a stored request can be asked again, and why not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from inferencereplay.catalogue.conversation.parts import members
from inferencereplay.errors import RecordingCorrupt
from inferencereplay.redaction.redactor import REDACTED
from inferencereplay.session.recorder import REPEATABLE

if TYPE_CHECKING:
    from inferencereplay.catalogue.entries import Entry
    from inferencereplay.recording.request import JSON

_ASKING = ("/chat/completions", "/completions", "/responses", "/embeddings", "/moderations")
"""The endpoints that answer a POST and change nothing on the server; Azure's paths end alike."""
_UPLOADING = re.compile(
    r".*(/audio/(transcriptions|translations)|/images/(edits|variations)|/files|/uploads/.*/parts|/videos)"
)
"""The endpoints to which files are uploaded."""
_HELD = {
    "previous_response_id": "it goes on from an answer that the server held",
    "conversation": "it goes on with a conversation that the server held",
    "background": "it runs in the background, and its first answer is no answer yet",
}
"""Members of a body that depend on what only the server of that time had."""
_NAME_IT = "(name the server to ask: --base-url)"
_FIRST_ERROR = 400


class Target(NamedTuple):
    """The server that is asked.

    Attributes:
        base_url: such as `https://api.openai.com/v1`.
        is_given: whether the user named it for these recordings. Otherwise requests that were recorded elsewhere stay
            unasked: what was said to one server is no other server's business.
    """

    base_url: str
    is_given: bool


def why_not(entry: Entry, target: Target) -> str:
    """Return why a request cannot be asked again, for people; empty if it can.

    Args:
        entry: the recording.
        target: the server.
    """
    return _request_problem(entry) or _answer_problem(entry) or ("" if target.is_given else _away(entry, target))


def _request_problem(entry: Entry) -> str:
    try:
        request = entry.request
    except RecordingCorrupt as error:
        return str(error)
    if not _is_below(request.path):
        return "its path leads elsewhere"
    if request.key != entry.key:  # of a llama-stack file it is made of the request
        return "its request was edited (file it anew: inferencereplay rekey)"
    if REDACTED.encode() in request.body or REDACTED in f"{request.path}{request.query}":
        return "a secret was taken out of its request"
    if entry.recording.response.frames is not None:
        return "it is a connection over which both sides sent frames (a WebSocket)"
    if request.method != "GET" and not (request.method == "POST" and request.path.endswith(_ASKING)):
        is_upload = len(entry.recording.request.form) > 0 or _UPLOADING.fullmatch(request.path)
        return "a file was uploaded with it" if is_upload else "it may change something on the server"
    if b'"file_id"' in request.body and _names_file(entry.body):
        return "it names a file that was uploaded to the server"
    return next((reason for name, reason in _HELD.items() if members(entry.body).get(name)), "")


def _is_below(path: str) -> bool:
    """Whether a path leads to a place below the base URL, however a server reads it: the key goes there."""
    steps = re.split(r"[/\\]", unquote(path))
    is_path = path.startswith("/") and not path.startswith("//")
    return is_path and not any(mark in path for mark in "?#") and not {".", ".."} & {*steps}


def _names_file(value: JSON) -> bool:
    """Whether a file's id is somewhere; the same name in the JSON schema of a tool has an object, not a text."""
    if isinstance(value, dict):
        return isinstance(value.get("file_id"), str) or any(map(_names_file, value.values()))
    return isinstance(value, list) and any(map(_names_file, value))


def _answer_problem(entry: Entry) -> str:
    response = entry.recording.response
    if response.binary is not None:
        return "its answer is bytes in a side file"
    if response.end == "closed":
        return "its program left the answer before the end, so that nothing whole can be compared"
    if response.failure or response.status == 0:
        return "its answer is a connection that failed"
    if response.status >= _FIRST_ERROR and response.status not in REPEATABLE:
        return f"its answer is an error that passes ({response.status})"
    return ""


def _away(entry: Entry, target: Target) -> str:
    server = entry.recording.recorded.base_url
    if "api-version" in entry.request.query:
        return f"it is for Azure {_NAME_IT}"
    if server.rstrip("/") == target.base_url.rstrip("/"):
        return ""
    where = f"it was recorded from {server}" if server else "it does not say which server it was recorded from"
    return f"{where} {_NAME_IT}"
