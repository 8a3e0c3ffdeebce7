"""Which calls a session lets through to the network: the settings `live` and `only`."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, cast

from inferencereplay.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from inferencereplay.session.call import Call
    from inferencereplay.session.question import Question

Chosen = tuple[Any, ...]
"""Paths, patterns of paths, and predicates."""


def parse_selection(given: Any, source: str) -> Chosen:
    """Read paths, patterns such as `"/models/*"`, and predicates, one or several.

    Raises:
        InvalidSetting: for anything else.
    """
    is_one = isinstance(given, str) or callable(given)
    try:
        chosen = (given,) if is_one else tuple(cast("Iterable[Any]", given))
    except TypeError:
        chosen = (given,)  # refused below
    for item in chosen:
        if not (callable(item) or (isinstance(item, str) and item.startswith("/"))):
            message = (
                f"{source}={item!r} selects no calls. Give paths that begin with a slash, such as '/embeddings' or "
                "'/models/*', or a function that gets the request and returns whether it is meant."
            )
            raise InvalidSetting(message)
    return chosen


def parse_paths(text: str, source: str) -> Chosen:
    """Read paths from a text, in which commas separate them.

    Raises:
        InvalidSetting: for a text that is no path.
    """
    return parse_selection(tuple(part.strip() for part in text.split(",")), source)


class Selection:
    """Which calls are let through.

    Args:
        live: those that are.
        only: those that are not, if there are any: all others are let through.
    """

    def __init__(self, live: Chosen, only: Chosen) -> None:
        self._live = live
        self._only = only

    def lets_through(self, call: Call) -> bool:
        """Whether a call goes to the network whatever is recorded.

        Raises:
            InvalidSetting: if a predicate fails.
        """
        from inferencereplay.session.question import Question  # noqa: PLC0415 - the settings need no msgspec

        question = Question(call.request if call.sent is None else call.sent)
        is_live = any(_applies(item, question, call, "live") for item in self._live)
        return is_live or bool(self._only and not any(_applies(item, question, call, "only") for item in self._only))


def _applies(item: str | Callable[[Question], object], question: Question, call: Call, source: str) -> bool:
    if isinstance(item, str):
        path = question.path.partition("?")[0]
        return fnmatchcase(path, item) or path.startswith(f"{item.rstrip('/')}/")
    try:
        return bool(item(question))
    except Exception as error:
        message = f"{source}= failed for {call.line}: {error!r}. It gets the request, and returns whether it is meant."
        raise InvalidSetting(call.redactor.text(message)) from error
