"""A request as a program's own functions and tests see it: its body is parsed when somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.recording.request import Request, parse_json

if TYPE_CHECKING:
    from inferencereplay.recording.request import JSON


class Question(msgspec.Struct, eq=False):
    """A request, as predicates get it.

    Attributes:
        method: the HTTP method.
        path: relative to the base URL, such as `"/chat/completions"`.
        query: the query, by name.
        body: the JSON body as Python objects; `None` without one that can be read.
        model: the body's member `model`; `None` if it is no text.
    """

    request: Request

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.request.method

    @property
    def path(self) -> str:
        """The path relative to the base URL."""
        return self.request.path

    @property
    def query(self) -> dict[str, Any]:
        """The query, by name."""
        return self.request.query

    @property
    def body(self) -> JSON:
        """The JSON body as Python objects; each access makes a new one."""
        try:
            return parse_json(self.request.body)
        except ValueError:  # nested too deeply
            return None

    @property
    def model(self) -> str | None:
        """The body's member `model`."""
        body = self.body
        model = body.get("model") if isinstance(body, dict) else None
        return model if isinstance(model, str) else None
