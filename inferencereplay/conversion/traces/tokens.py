"""How many tokens a recorded call sent and received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.catalogue.conversation import Conversation, Message
    from inferencereplay.catalogue.entries import Entry

MOST = 100_000_000
"""Tokens of a text; a count that is larger, or negative, is no count."""


class Tokens(NamedTuple):
    """The numbers of tokens of a request and of its answer."""

    input: int
    output: int


def count(entry: Entry, tokenizer: Callable[[str], Any] | None) -> tuple[Tokens, str]:
    """Return the server's counts; what it did not count is counted by the tokenizer, if there is one.

    Args:
        entry: the call.
        tokenizer: returns the tokens of a text, as anything that has a length, or their number. What a server's chat
            template adds to the texts is not counted.

    Returns:
        The counts, and why the call has none; empty if it has.

    Raises:
        InvalidSetting: if the tokenizer fails, or returns no number.
    """
    talk = entry.conversation
    if talk.error:
        return Tokens(0, 0), "errors"
    if talk.kind == "embedding" or not talk.choices:
        return Tokens(0, 0), "no generated text"
    read, written = _checked(talk.usage.input), _checked(talk.usage.output)
    if tokenizer is not None and read is None:
        read = _apply(tokenizer, prompt(talk))
    if tokenizer is not None and written is None:
        written = sum(_apply(tokenizer, _text(choice.message)) for choice in talk.choices)
    if read is None or written is None:
        return Tokens(0, 0), "without a count of tokens"
    return Tokens(read, written), ""


def _checked(number: int | None) -> int | None:
    return number if number is not None and 0 <= number <= MOST else None


def prompt(talk: Conversation) -> str:
    """Return the texts of a request, the tools first, as chat templates have them."""
    tools = [f"{tool.name}\n{tool.description}\n{tool.parameters}" for tool in talk.tools]
    return "\n".join([*tools, *(f"{message.role}\n{_text(message)}" for message in talk.messages)])


def _text(message: Message) -> str:
    calls = [f"{call.name}({call.arguments})" for call in message.tool_calls]
    return "\n".join(text for text in (message.reasoning, message.text, *calls) if text)


def _apply(tokenizer: Callable[[str], Any], text: str) -> int:
    try:
        made = tokenizer(text)
        found = made if isinstance(made, int) else len(made)
    except Exception as error:
        message = f"--tokenizer failed: {error!r}. It has to return the tokens of a text, or their number."
        raise InvalidSetting(message) from error
    return min(max(found, 0), MOST)
