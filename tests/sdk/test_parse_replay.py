"""`parse` on the fast path: a class's JSON schema is made once, and anew when what it is made of changes."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal

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
    chats = client.chat.completions
    return chats.parse if hasattr(chats, "parse") else client.beta.chat.completions.parse
