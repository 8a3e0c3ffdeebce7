"""The body of a request that is no JSON: read once, described, and still sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.recording.request import NotSerializable, Request, canonical_json
from inferencereplay.sdk import private
from inferencereplay.sdk.body_description import BodyDescription

if TYPE_CHECKING:
    from inferencereplay.recording.request import JSON
    from inferencereplay.recording.side_file import SideFile


class ReadBody(NamedTuple):
    """A body that was read.

    Attributes:
        request: what the SDK would send.
        options: the SDK's options of the call, which send the same.
        uploads: the contents of the files, if they are kept.
    """

    request: Request
    options: Any
    uploads: list[SideFile]


def read_body(client: Any, options: Any, *, keeps: bool) -> ReadBody:
    """Read the body of a request that sends no JSON.

    Args:
        client: of the call.
        options: the SDK's request options.
        keeps: whether the contents of files are kept.

    Raises:
        NotSerializable: if it is content that nobody can read twice.
        Exception: whatever the SDK and its HTTP library raise for what they cannot send.
    """
    reading = BodyDescription(keeps=keeps)
    sent = private.unsent_request(client, options)
    try:
        body, kind = _describe(reading, sent, options)
    except NotSerializable:
        raise
    except Exception:
        with private.mapped_errors(sent):  # live, it comes while the request is being sent
            raise
    path, query = private.target(client, options)
    request = Request(options.method.upper(), path, canonical_json(body), query, kind)
    return ReadBody(request, private.with_files(options, reading.instead), reading.uploads)


def _describe(reading: BodyDescription, sent: Any, options: Any) -> tuple[JSON, str]:
    """Describe the body of an HTTP request, and say what it is, as in `Request`."""
    fields = getattr(sent.stream, "fields", None)
    if fields is not None:
        return reading.form(fields), "form"
    return reading.content(private.plain_content(options), sent.headers.get("content-type", "")), "content"
