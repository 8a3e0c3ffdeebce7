"""The fast path of `parse`: what the SDK makes of a pydantic class is made once for the class.

That is the JSON schema in the request, which takes longer than the rest of a call, and the classes of the answer.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import openai
import pydantic

from inferencereplay.sdk import fast_replay, private
from inferencereplay.sdk.answers import OK, Way
from inferencereplay.sdk.fast_replay import may_replay
from inferencereplay.sdk.schema_facts import SchemaFacts, schema_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inferencereplay.recording.format import Response
    from inferencereplay.sdk.fast_replay import Choice, Endpoint
    from inferencereplay.session.session import Session

MOST_KEPT = 64
"""Classes that are kept at a time; a program may make a new one for each call."""
_UNCOVERED = ("tools", "text", "stream", "parse_as")
"""Arguments whose meaning depends on more than the class."""
_KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("response_format", {"model": "", "messages": []}),
    ("text_format", {"model": "", "input": ""}),
)
"""The argument in which `parse` of chats, and of responses, is given a class; and the least that either needs."""


class _UnknownClass(Exception):  # noqa: N818 - it never leaves this module
    """A part of an answer is of a class that no answer before has had."""


class _Classes(dict[type, Any]):
    """The classes of an answer and what is in it, by the classes of the plain one."""

    def __missing__(self, cls: type) -> Any:
        raise _UnknownClass(cls)


class Template(NamedTuple):
    """What the SDK makes of a class.

    Attributes:
        added: members of the request, which take the place of the class.
        parser: makes the answer of the plain one.
        facts: what the JSON schema was made of.
        cls: the class.
        classes: of the answer and what is in it, by the classes of the plain one; empty until there was one.
    """

    added: dict[str, Any]
    parser: Callable[[Any], Any]
    facts: SchemaFacts
    cls: Any
    classes: _Classes

    def answer(self, endpoint: Endpoint, response: Response) -> Any:
        """Return what the SDK makes of a plain answer.

        Raises:
            Exception: whatever the SDK's parser, or the class, raises for it.
        """
        raw = bytes(response.body)
        plain = endpoint.build_model.strictly(raw)
        made = None if plain is None else self._quickly(plain)
        if made is None:
            plain = endpoint.build_model(raw)
            made = self.parser(plain)
            self._learn(plain, made)
        private.set_request_id(made, response.headers)
        return made

    def _learn(self, plain: Any, made: Any) -> None:
        """Note the classes of an answer, if they are all that the SDK changes of such a one."""
        new = {one: other for one, other in _pairs(plain, made).items() if one not in self.classes}
        if new:
            self.classes.update(new)
            if not _is_same(self._quickly(plain), made):
                for one in new:
                    self.classes.pop(one, None)  # another thread may have done it

    def _quickly(self, plain: Any) -> Any:
        """Make the answer of a plain one, if it is of the usual kind; `None` otherwise."""
        if type(plain) not in self.classes:
            return None
        is_chat = hasattr(plain, "choices")
        parts = plain.choices if is_chat else plain.output
        try:
            return None if parts is None else self._chat(plain) if is_chat else self._response(plain)
        except _UnknownClass:
            return None

    def _chat(self, plain: Any) -> Any:
        choices = []
        for choice in plain.choices:
            message = choice.message
            if message is None or message.tool_calls or choice.finish_reason in ("length", "content_filter"):
                return None
            text = message.content
            parsed = self.cls.model_validate_json(text) if text and not message.refusal else None
            said = self._recast(message, parsed=parsed, tool_calls=None)
            choices.append(self._recast(choice, message=said))
        return self._recast(plain, choices=choices)

    def _response(self, plain: Any) -> Any:
        output = []
        for item in plain.output:
            if item.type == "message":
                if getattr(item, "phase", None) is not None or type(item) not in self.classes:
                    return None
                output.append(self._recast(item, content=[self._content(part) for part in item.content]))
            elif item.type == "reasoning":
                output.append(item)
            else:
                return None
        return self._recast(plain, output=output)

    def _content(self, part: Any) -> Any:
        if part.type != "output_text":
            return part
        return self._recast(part, parsed=self.cls.model_validate_json(part.text))

    def _recast(self, plain: Any, **changed: Any) -> Any:
        """Make an object of the answer's class with the members of a plain one, but for those that changed."""
        cls = self.classes[type(plain)]
        made, held = cls.__new__(cls), {**vars(plain), **changed}
        fields: Any = cls.__pydantic_fields__
        unknown = {name: item for name, item in plain.__pydantic_extra__.items() if name not in changed}
        values = {name: held[name] if name in held else field.get_default() for name, field in fields.items()}
        object.__setattr__(made, "__dict__", values)
        object.__setattr__(made, "__pydantic_private__", None)
        object.__setattr__(made, "__pydantic_extra__", unknown)
        object.__setattr__(made, "__pydantic_fields_set__", {*plain.__pydantic_fields_set__, *changed} & fields.keys())
        return made


def _pairs(plain: Any, made: Any) -> dict[type, Any]:
    """Return the classes of an answer's parts by those of the plain one's."""
    parts = [(plain, made)]
    for parent, child, inner in (("choices", "message", None), ("output", None, "content")):
        for one, other in zip(getattr(plain, parent, None) or (), getattr(made, parent, None) or (), strict=False):
            parts.append((one, other))
            if child is not None:
                parts.append((getattr(one, child), getattr(other, child)))
            if inner is not None:
                parts += zip(getattr(one, inner, None) or (), getattr(other, inner, None) or (), strict=False)
    return {type(one): type(other) for one, other in parts}


def _is_same(ours: Any, made: Any) -> bool:
    """Whether two answers are equal in all that can be seen of them."""
    if ours is None or ours != made or type(ours) is not type(made):
        return False
    one, other = ((item.model_dump(warnings=False), item.to_dict(warnings=False)) for item in (ours, made))
    return bool(one == other)


class Templates:
    """The templates of one `parse` method of the SDK's.

    Args:
        method: the method.
    """

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method
        self._argument, self._minimal = _KINDS["text_format" in inspect.signature(method).parameters]
        self._kept: dict[Any, Template] = {}

    def read(self, resource: Any, arguments: Mapping[str, Any]) -> tuple[Template, dict[str, Any]] | None:
        """Return the template of a call's class, and the arguments of the `create` that sends the same.

        `None` if the call is not for the fast path.
        """
        cls = arguments.get(self._argument)
        if not (isinstance(cls, type) and issubclass(cls, pydantic.BaseModel)) or self._is_special(arguments):
            return None
        template = self._kept.get(cls)
        if template is None or not template.facts.are_unchanged():
            template = self._make(resource, cls)
        if template is None:
            return None
        rest = {name: value for name, value in arguments.items() if name != self._argument}
        return template, {**rest, **template.added}

    def _is_special(self, arguments: Mapping[str, Any]) -> bool:
        """Whether what the SDK makes of a call depends on more than the class."""
        if any(not isinstance(arguments.get(name, openai.NOT_GIVEN), private.UNSET) for name in _UNCOVERED):
            return True
        headers = arguments.get("extra_headers")
        if headers and private.asked_mode(headers) is not None:
            return True
        if self._argument == "response_format":
            return False
        items = arguments.get("input")
        return bool(arguments.get("extra_body")) or (isinstance(items, list) and any(map(_is_update, items)))

    def _make(self, resource: Any, cls: Any) -> Template | None:
        """Let the SDK make what it makes of a class; `None` if that may change from call to call."""
        try:
            facts = schema_facts(cls)
            options = private.options_of(self._method, resource, {**self._minimal, self._argument: cls})
        except Exception:  # noqa: BLE001 - the SDK meets it again, in the call itself
            return None
        parser = private.parser(options)
        if facts is None or parser is None:  # the oldest versions parse by themselves
            return None
        added = {name: value for name, value in options.json_data.items() if name not in self._minimal}
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        template = self._kept[cls] = Template(added, parser, facts, cls, _Classes())
        return template


def _is_update(item: Any) -> bool:
    """Whether an item of a response's input says how to read the answer."""
    return isinstance(item, dict) and item.get("type") == "configuration_update"


class Found(NamedTuple):
    """The recording that answers a call of `parse`.

    Attributes:
        choice: the recording.
        way: in which it is asked for: plainly.
        template: of the call's class.
    """

    choice: Choice
    way: Way
    template: Template

    @property
    def recorded(self) -> Response:
        """The recorded answer."""
        return self.choice.play.recording.response

    async def read_async(self) -> None:
        """Read nothing: the whole answer is in the recording."""

    def answer(self, session: Session, client: Any, read_options: Callable[[], Any]) -> Any:
        """Return what the SDK returns.

        Raises:
            Exception: whatever the SDK raises for the answer.
        """
        if self.recorded.status != OK:
            return self.way.answer(session, client, self.choice, read_options)
        return self.template.answer(self.way.endpoint, self.recorded)


def choose(
    endpoint: Endpoint, templates: Templates, session: Session, resource: Any, arguments: dict[str, Any]
) -> Found | None:
    """Choose the recording that answers a call of `parse`, or `None` if the call is not for the fast path.

    Raises:
        RecordingCorrupt: if the file that should answer cannot be used.
    """
    if not may_replay(session, resource._client):  # noqa: SLF001
        return None
    read = templates.read(resource, arguments)
    if read is None:
        return None
    (template, sent), way = read, Way(endpoint, None, is_stream=False)
    choice = fast_replay.choose(session, resource._client, endpoint, sent, way.covers)  # noqa: SLF001
    return None if choice is None else Found(choice, way, template)
