"""The text of a recorded request's body, cut out of a file without reading the rest of it."""

from __future__ import annotations

from inferencereplay.recording.format import VERSION

_START = b'{\n  "inferencereplay": %d,\n' % VERSION
_BODY = b'\n    "body": '
_AFTER = b'\n  },\n  "response": {'


def body_text(data: bytes) -> bytes | None:
    """Cut the text of the request's body out of a file, as `lay_out` lays it out; no string in JSON holds a line break.

    Args:
        data: the beginning of the file's content.

    Returns:
        `None` if the body is not whole in `data`, or the file is laid out in another way.
    """
    begin = data.find(_BODY) + len(_BODY)
    end = data.find(_AFTER, begin)
    return data[begin:end] if end > 0 and begin >= len(_BODY) and data.startswith(_START) else None
