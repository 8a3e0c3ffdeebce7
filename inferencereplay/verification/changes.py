"""What changed between a stored answer and a new one: structure first, letters only as far as the user asks."""

from __future__ import annotations

import fnmatch
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from inferencereplay.catalogue.conversation import parsed, read_conversation
from inferencereplay.catalogue.conversation.parts import Choice, Message, elements, members, string
from inferencereplay.recording.control_characters import visible
from inferencereplay.recording.difference import Difference, differences
from inferencereplay.verification.fields import came_and_went
from inferencereplay.verification.schemas import misfit
from inferencereplay.verification.similarity import text_similarity, vector_similarity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.catalogue.conversation import Conversation, ToolCall
    from inferencereplay.recording.format import Recording, Response
    from inferencereplay.recording.request import JSON

_FIRST_ERROR = 400
_SHORT = 40
"""Characters by which lengths have to differ before their factor counts: `Yes` and `Yes, it is.` are alike."""
_LONGEST = 120
_MOST_LINES = 8
"""Changes of one kind that are told one by one."""


@dataclass(frozen=True)
class Thresholds:
    """What counts as a change beyond structure.

    Attributes:
        similarity: the least similarity of texts and vectors, from 0 (none is needed) to 1 (all words equal).
        length_factor: how many times longer or shorter a text may be.
        ignored_fields: patterns of fields that may come and go.
    """

    similarity: float = 0.0
    length_factor: float = 3.0
    ignored_fields: tuple[str, ...] = ()


class Change(msgspec.Struct, frozen=True):
    """One thing that is not as it was.

    Attributes:
        kind: `status`, `error`, `form`, `end`, `model`, `prompt tokens`, `answers`, `finish reason`, `tool calls`,
            `refusal`, `schema`, `length`, `content`, `fields`, or `text` or `vectors` with their similarity.
        old: what was recorded, for people.
        new: what came now.
    """

    kind: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.old} → {self.new}"


class Speed(msgspec.Struct, frozen=True):
    """How fast an answer came; `None` where it is not known, or was too short to tell.

    Attributes:
        first_token: seconds from the start of the call to the first text of a stream.
        tokens_per_second: of a stream after its first token, of a plain answer as a whole.
        total: seconds from the start of the call to the end of the answer.
    """

    first_token: float | None = None
    tokens_per_second: float | None = None
    total: float | None = None


class Compared(msgspec.Struct, frozen=True):
    """A stored answer beside a new one.

    Attributes:
        changes: what counts as changed, in the order of its weight.
        similarity: of the texts or vectors, the least of all answers; `None` if there are none.
        old: the recorded speed.
        new: the new answer's.
    """

    changes: list[Change]
    similarity: float | None
    old: Speed
    new: Speed


def compare(stored: Recording, new: Response, thresholds: Thresholds) -> Compared:
    """Compare a recording with a new answer to its request; ids, times and arrival times never count.

    Args:
        stored: the recording.
        new: the answer.
        thresholds: what counts.
    """
    old = stored.response
    before = read_conversation(stored)
    after = read_conversation(msgspec.structs.replace(stored, response=new))
    changes = [*_of_kind(old, new, before, after)]
    similarity = None
    if not changes and old.status < _FIRST_ERROR:
        similarity, *sides = _least_similar(old, new, before, after)
        changes += _of_content(stored, old, new, before, after, thresholds)
        if similarity is not None and similarity < thresholds.similarity:
            if before.kind == "embedding":
                changes.append(Change(f"vectors, similarity {similarity:.2f}", *sides))
            else:
                changes.append(Change(f"text, similarity {similarity:.2f}", *_excerpts(*sides)))
    if not any(change.kind in ("status", "form") for change in changes):
        came, went = came_and_went(old, new, thresholds.ignored_fields)
        changes += _limited([Change("fields", "absent", name) for name in came])
        changes += _limited([Change("fields", name, "absent") for name in went])
    return Compared(_shortened(changes), similarity, _speed(before), _speed(after))


def _of_kind(old: Response, new: Response, before: Conversation, after: Conversation) -> Iterator[Change]:
    """Yield changes after which the contents cannot be compared."""
    if old.status != new.status:
        yield Change("status", str(old.status), _with_reason(str(new.status), after.error))
    elif old.is_stream != new.is_stream:
        yield Change("form", *("a stream" if item.is_stream else "a plain answer" for item in (old, new)))
    elif old.end != new.end:
        yield Change("end", old.end, _with_reason(new.end, after.error))
    elif old.status >= _FIRST_ERROR or bool(before.error) != bool(after.error):
        first, second = _error(old, before), _error(new, after)
        if first != second:
            yield Change("error", first, second)


def _with_reason(text: str, reason: str) -> str:
    return f"{text} ({reason})" if reason else text


def _error(response: Response, talk: Conversation) -> str:
    """Return what an error is by its code and its type; their wording may change."""
    body = members(members(parsed(bytes(response.body))).get("error"))
    named = [str(body[name]) for name in ("type", "code") if body.get(name)]
    return " ".join(named) or ("an error" if talk.error else "none")


def _of_content(  # noqa: PLR0913, PLR0917 - both answers, as they are and as they are read
    stored: Recording,
    old: Response,
    new: Response,
    before: Conversation,
    after: Conversation,
    thresholds: Thresholds,
) -> Iterator[Change]:
    body = parsed(bytes(stored.request.body))
    yield from _different("model", _model(old), _model(new))
    yield from _of_prompt(before.usage.input, after.usage.input, thresholds)
    if before.kind in ("embedding", "other"):
        yield from _of_objects(before.summary, after.summary, *(parsed(bytes(item.body)) for item in (old, new)))
    yield from _different("answers", str(len(before.choices)), str(len(after.choices)))
    for first, second in zip(_by_number(before), _by_number(after), strict=False):
        yield from _of_choice(body, first, second, thresholds)
    if old.text is not None or new.text is not None:
        yield from _of_length(old.text or "", new.text or "", thresholds)


def _of_prompt(old: int | None, new: int | None, thresholds: Thresholds) -> Iterator[Change]:
    """Yield a change of the prompt's tokens: the same request has others where a template or a tokenizer changed."""
    is_ignored = any(fnmatch.fnmatchcase("usage.prompt_tokens", pattern) for pattern in thresholds.ignored_fields)
    if old is not None and new is not None and not is_ignored:
        yield from _different("prompt tokens", str(old), str(new))


def _different(kind: str, old: str, new: str) -> Iterator[Change]:
    if old != new:
        yield Change(kind, old or "none", new or "none")


def _of_objects(before: str, after: str, old: JSON, new: JSON) -> Iterator[Change]:
    """Yield what differs in an answer that is no text: its vectors' size, its verdicts, the ids in a list."""
    flags = [[_flags(item) for item in elements(members(body).get("results"))] for body in (old, new)]
    names = [{string(members(item).get("id")) for item in elements(members(body).get("data"))} for body in (old, new)]
    if flags[0] or flags[1]:
        yield from _different("content", *("; ".join(listed) for listed in flags))
    elif all(names) and names != [{""}, {""}]:  # a list has no order that matters
        went, came = sorted(names[0] - names[1]), sorted(names[1] - names[0])
        yield from _limited([Change("content", name, "absent") for name in went])
        yield from _limited([Change("content", "absent", name) for name in came])
    else:
        yield from _different("content", before, after)


def _flags(item: JSON) -> str:
    """Return what a moderation flags."""
    flagged = [name for name, is_flagged in members(members(item).get("categories")).items() if is_flagged is True]
    return ", ".join(sorted(flagged)) or ("flagged" if members(item).get("flagged") is True else "not flagged")


def _by_number(talk: Conversation) -> list[Choice]:
    return sorted(talk.choices, key=lambda choice: choice.number)


def _model(response: Response) -> str:
    """Return the model that answered, which is not always the one that was asked for."""
    bodies = response.chunks if response.is_stream else [response.body]
    for body in map(members, map(parsed, map(bytes, bodies))):
        if named := string(body.get("model")) or string(members(body.get("response")).get("model")):
            return named
    return ""


def _of_choice(body: JSON, first: Choice, second: Choice, thresholds: Thresholds) -> Iterator[Change]:
    yield from _different("finish reason", first.finish_reason, second.finish_reason)
    yield from _limited([*_of_calls(first.message.tool_calls, second.message.tool_calls)])
    refused = ["refused" if _text(choice.message, "refusal") else "answered" for choice in (first, second)]
    yield from _different("refusal", *refused)
    misfits = [misfit(body, choice.message) for choice in (first, second)]
    if bool(misfits[0]) != bool(misfits[1]):
        yield Change("schema", *(f"does not fit ({reason})" if reason else "fits" for reason in misfits))
    yield from _of_length(_text(first.message), _text(second.message), thresholds)


def _text(message: Message, kind: str = "text") -> str:
    return "".join(part.text for part in message.parts if part.kind == kind)


def _of_length(old: str, new: str, thresholds: Thresholds) -> Iterator[Change]:
    shorter, longer = sorted((len(old), len(new)))
    is_beyond = longer > thresholds.length_factor * shorter and longer - shorter > _SHORT
    if is_beyond or (longer and not shorter):
        yield Change("length", *(f"{len(text)} characters" if text else "no text" for text in (old, new)))


def _of_calls(old: tuple[ToolCall, ...], new: tuple[ToolCall, ...]) -> Iterator[Change]:
    """Yield the calls that differ in name or arguments, place by place; ids do not count."""
    for first, second in itertools.zip_longest(old, new):
        if first is None or second is None or first.name != second.name:
            yield Change("tool calls", _call(first), _call(second))
            continue
        before, after = parsed(first.arguments.encode()), parsed(second.arguments.encode())
        if before is None or after is None:  # no JSON
            yield from _different("tool calls", _call(first), _call(second))
            continue
        for item in differences(before, after, first.name):
            recorded, came = _excerpts(item.recorded, item.requested)
            yield Change("tool calls", f"{item.path} {recorded}", came)


def _call(call: ToolCall | None) -> str:
    return "none" if call is None else f"{call.name}({call.arguments})"


def _least_similar(
    old: Response, new: Response, before: Conversation, after: Conversation
) -> tuple[float | None, str, str]:
    """Return the least similarity of two texts or vectors of the answers, and these; `None` if there are none."""
    if before.kind == "embedding":
        cosine = vector_similarity(parsed(bytes(old.body)), parsed(bytes(new.body)))
        return cosine, before.summary, after.summary
    pairs = [
        (_text(first.message), _text(second.message))
        for first, second in zip(_by_number(before), _by_number(after), strict=False)
    ]
    pairs.append((old.text or "", new.text or ""))
    found = [(text_similarity(*pair), *pair) for pair in pairs if any(pair)]
    return min(found, default=(None, "", ""))


def _excerpts(old: JSON, new: JSON) -> list[str]:
    """Return two values for people; of two texts, the place where they part."""
    return str(Difference("", old, new)).removeprefix(": ").split(" → ", 1)


def _limited(changes: list[Change]) -> list[Change]:
    if len(changes) <= _MOST_LINES:
        return changes
    more = len(changes) - _MOST_LINES + 1
    return [*changes[: _MOST_LINES - 1], Change(changes[0].kind, "…", f"{more} more")]


def _shortened(changes: list[Change]) -> list[Change]:
    return [Change(change.kind, _short(change.old), _short(change.new)) for change in changes]


def _short(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def _speed(talk: Conversation) -> Speed:
    timing = talk.timing
    return Speed(timing.first_token, timing.tokens_per_second, timing.total)
