"""How many tokens a recorded call sent and received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.catalogue.conversation import Conversation, Message

MOST = 100_000_000
"""Tokens of a text; a count that is larger, or negative, is no count."""


class Tokens(NamedTuple):
    """The numbers of tokens of a request and of its answer; `None` where they are not known."""

    input: int | None
    output: int | None


def count(talk: Conversation, tokenizer: Callable[[str], Any] | None) -> Tokens:
    """Return the server's counts; what it did not count is counted by the tokenizer, if there is one.

    Args:
        talk: the call.
        tokenizer: returns the tokens of a text, as anything that has a length, or their number. What a server's chat
            template adds to the texts is not counted.

    Raises:
        InvalidSetting: if the tokenizer fails, or returns no number.
    """
    read, written = _checked(talk.usage.input), _checked(talk.usage.output)
    if tokenizer is not None and read is None:
        read = _apply(tokenizer, prompt(talk))
    if tokenizer is not None and written is None:
        written = sum(_apply(tokenizer, _text(choice.message)) for choice in talk.choices)
    return Tokens(read, written)


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
