"""`parse` on the fast path: a class's JSON schema is made once, and anew when what it is made of changes."""

from __future__ import annotations

import enum
import functools
from typing import Annotated, Any, Literal

import openai
import pydantic
import pytest
from conftest import ASK, completion, plain
from ways import Person

from inferencereplay import RecordingNotFound, replay
from inferencereplay.sdk import parse_replay
from inferencereplay.sdk.schema_facts import schema_facts

ANN = plain(completion('{"name": "Ann", "age": 3}'))


class Colour(enum.Enum):
    """What is seen."""

    RED = "red"


def make(doc: str = "Somebody.") -> Any:
    """Make a class with another in it."""

    class Inner(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(json_schema_extra={"examples": [{"kind": "a"}]})
        colour: Colour = Colour.RED
        kind: Literal["a", "b"] = "a"

    class Outer(pydantic.BaseModel):
        __doc__ = doc
        name: str = pydantic.Field(description="of a person", json_schema_extra={"examples": ["Ann"]})
        age: int
        inner: Inner | None = None
        more: list[Inner] = []

    return Outer, Inner


def rebuild(outer: Any, _: Any) -> None:
    outer.model_fields["name"].description = "other"
    outer.model_rebuild(force=True)


CHANGES = {
    "documentation": lambda outer, _: setattr(outer, "__doc__", "Other."),
    "of the inner one": lambda _, inner: setattr(inner, "__doc__", "Other."),
    "name": lambda outer, _: setattr(outer, "__name__", "Other"),
    "examples in its settings": lambda _, inner: inner.model_config["json_schema_extra"]["examples"].append({}),
    "examples of a member": lambda outer, _: outer.model_fields["name"].json_schema_extra["examples"].append("Bob"),
    "a default": lambda outer, _: outer.model_fields["more"].default.append({"kind": "b"}),
    "settings": lambda _, inner: inner.model_config.update(title="Other"),
    "rebuilt": rebuild,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_class_is_seen(change):
    """Whatever the JSON schema is made of is compared, in the class and in those of its members."""
    outer, inner = make()
    facts, before = schema_facts(outer), outer.model_json_schema()
    assert facts.are_unchanged()
    CHANGES[change](outer, inner)
    assert outer.model_json_schema() != before
    assert not facts.are_unchanged()


class Hooked(str):
    """A type that says what its JSON schema is."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: Any) -> Any:
        return handler(str)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        return {**handler(schema), "title": "now"}


class Says(pydantic.BaseModel):
    name: str

    @classmethod
    def model_json_schema(cls, *given: Any, **more: Any) -> Any:
        return super().model_json_schema(*given, **more)


class Set(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(json_schema_extra=lambda schema: schema.update(title="now"))


class Field(pydantic.BaseModel):
    name: str = pydantic.Field(json_schema_extra=lambda schema: schema.update(title="now"))


class Typed(pydantic.BaseModel):
    name: Hooked


class Noted(pydantic.BaseModel):
    name: Annotated[str, pydantic.WithJsonSchema({"type": "string"}), pydantic.AfterValidator(str)]


class Inside(pydantic.BaseModel):
    one: list[Says]


@pytest.mark.parametrize("cls", [Says, Set, Field, Typed, Inside])
def test_a_class_with_code_for_its_schema_is_left_to_the_sdk(client, server, tmp_path, cls):
    """Its code may give another schema each time, so that nothing is kept of it; it is replayed all the same."""
    assert schema_facts(cls) is None
    server.replies = [plain(completion('{"name": "Ann", "one": []}'))]
    parse = _parse_of(client)
    with replay(tmp_path, mode="record"):
        live = parse(**ASK, response_format=cls)
    with replay(tmp_path):
        assert parse(**ASK, response_format=cls) == live


def test_what_pydantic_adds_by_itself_is_no_code_of_the_class():
    """Annotations of pydantic's own make the same schema each time."""
    assert schema_facts(Noted) is not None


def test_nothing_is_answered_by_a_schema_of_before(client, server, tmp_path):
    """After a change of the class its request is another one, and a change back makes it the one of before."""
    cls, _ = make()
    server.replies = [ANN]
    parse = _parse_of(client)
    with replay(tmp_path, mode="record"):
        live = parse(**ASK, response_format=cls)
    with replay(tmp_path):
        assert parse(**ASK, response_format=cls) == live
        cls.__doc__ = "Other."
    with pytest.raises(RecordingNotFound, match="description"), replay(tmp_path):
        parse(**ASK, response_format=cls)
    cls.__doc__ = "Somebody."
    with replay(tmp_path):
        assert parse(**ASK, response_format=cls) == live


def test_few_classes_are_kept(client, server, tmp_path, monkeypatch):
    """A program that makes a class for each call does not fill the memory with them."""
    kept = []
    make_one = parse_replay.Templates._make
    monkeypatch.setattr(parse_replay, "MOST_KEPT", 2)
    monkeypatch.setattr(
        parse_replay.Templates, "_make", lambda own, *given: (kept.append(len(own._kept)), make_one(own, *given))[1]
    )
    made = [make(f"Number {number}.")[0] for number in range(5)]
    server.replies = [ANN] * 5
    with replay(tmp_path, mode="record"):
        live = [_parse_of(client)(**ASK, response_format=cls) for cls in made]
    with replay(tmp_path):
        parse = _parse_of(client)
        assert [parse(**ASK, response_format=cls) for cls in made] == live
    assert all(count <= 2 for count in kept)


def test_what_the_sdk_refuses_it_refuses_in_replay(client, tmp_path):
    """A class that it cannot make a schema of is its error."""

    class Unnamed(pydantic.BaseModel):
        value: object
        call: Any = None
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    Unnamed.model_json_schema = None
    with pytest.raises(TypeError), replay(tmp_path):
        _parse_of(client)(**ASK, response_format=Unnamed)


def test_a_class_that_equals_nothing_is_parsed_by_the_sdk(client, server, tmp_path):
    """Where it cannot be told whether the short way is right, it is not taken."""

    class Unequal(Person):
        __hash__ = None

        def __eq__(self, _: object) -> bool:
            return False

    server.replies = [ANN]
    parse = _parse_of(client)
    with replay(tmp_path, mode="record"):
        parse(**ASK, response_format=Unequal)
    with replay(tmp_path):
        made = [parse(**ASK, response_format=Unequal).choices[0].message.parsed for _ in range(3)]
    assert [item.name for item in made] == ["Ann"] * 3


def _parse_of(client: Any) -> Any:
    """Return what calls `parse`, looked up at each call: one that was bound before a block is not the patched one."""
    chats = client.chat.completions if hasattr(client.chat.completions, "parse") else client.beta.chat.completions
    return lambda **given: chats.parse(**given)  # noqa: PLW0108 - it would be bound now


REFUSED = {"type": "refusal", "refusal": "No."}
SAID = {"type": "output_text", "text": '{"name": "Ann", "age": 3}', "annotations": []}


def _response(*parts: Any) -> Any:
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [*parts]}
    more = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return plain({"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": [message], **more})


def test_an_answer_without_a_choice_before_others(client, server, tmp_path):
    """The classes of the parts of an answer are learned when there is such a part."""
    server.replies = [plain({**completion(""), "choices": []}), ANN, ANN]
    parse = _parse_of(client)

    class Asked(Person):
        pass

    def ask() -> Any:
        return [parse(model="m", messages=[{"role": "user", "content": text}], response_format=Asked) for text in "abc"]

    with replay(tmp_path, mode="record"):
        live = ask()
    with replay(tmp_path):
        assert ask() == live


if hasattr(openai.OpenAI, "responses"):

    @pytest.mark.parametrize("first", [REFUSED, SAID], ids=["refused", "said"])
    def test_a_refusal_and_text_in_any_order(client, server, tmp_path, first):
        """What an answer holds does not depend on what those before held."""

        class Asked(Person):
            pass

        server.replies = [_response(first), _response(REFUSED), _response(SAID), _response(SAID, REFUSED)]

        def ask() -> Any:
            return [client.responses.parse(model="m", input=text, text_format=Asked) for text in "abcd"]

        with replay(tmp_path, mode="record"):
            live = ask()
        with replay(tmp_path):
            made = ask()
        assert made == live
        assert [item.output_parsed for item in made] == [item.output_parsed for item in live]
        assert made[2].output_parsed == Asked(name="Ann", age=3)


def test_an_unusual_answer_leaves_what_was_learned(client, server, tmp_path):
    """Answers with calls of tools, that ended early or have no list of choices, are the SDK's to parse."""
    called = completion('{"name": "Ann", "age": 3}')
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    called["choices"][0]["message"]["tool_calls"] = [call]

    class Asked(Person):
        pass

    server.replies = [plain(called), ANN, plain(called), ANN, plain({**completion(""), "choices": None})]
    parse = _parse_of(client)

    def ask() -> Any:
        made: list[Any] = []
        for text in "abcde":
            try:
                made.append(parse(model="m", messages=[{"role": "user", "content": text}], response_format=Asked))
            except TypeError as error:
                made.append(str(error))
        return made

    with replay(tmp_path, mode="record"):
        live = ask()
    with replay(tmp_path):
        assert ask() == live


def test_a_schema_may_hold_partial_functions_of_pydantic_s():
    """Such a function makes the same schema each time, a program's own may not."""
    pydantics = functools.partial(pydantic.BaseModel.__get_pydantic_json_schema__)
    assert schema_facts(_with_function(pydantics)) is not None
    assert schema_facts(_with_function(functools.partial(make))) is None


def _with_function(function: Any) -> Any:
    class Held(pydantic.BaseModel):
        name: str

    Held.__pydantic_core_schema__["schema"]["fields"]["name"]["metadata"] = {"pydantic_js_functions": [function]}
    return Held
