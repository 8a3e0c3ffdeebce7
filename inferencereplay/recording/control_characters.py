"""Control characters made visible, in text of others that goes into messages, logs and summaries.

A terminal obeys them: a server's error text could clear the screen, forge a line of a log, or show letters in another
order than they are in.
"""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0, delete and C1; marks of direction and line breaks of Unicode; halves of characters, which no log can write."""
_CONTROL_IN_LINES = re.compile(_CONTROL.pattern.replace("[\x00-\x1f", "[\x00-\x09\x0b-\x1f"))


def visible(text: str) -> str:
    r"""Return a text in which control characters are escapes, such as `\x1b`; line breaks are too.

    It is for text of others: a server's message, a path, a name. A message of several lines is made of such texts, and
    `visible_lines` is for the whole of it.
    """
    return _CONTROL.sub(_escape, text)


def visible_lines(text: str) -> str:
    """Return a message of several lines, in which control characters except line breaks are escapes."""
    return _CONTROL_IN_LINES.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
