"""Any model of the SDK's is built as the SDK builds it, whatever a server sends or leaves out."""

from __future__ import annotations

import importlib
import json
import pkgutil
import random
import types
from typing import Annotated, Any, Literal, Optional, Union, get_args, get_origin

import openai
import pydantic
import pytest
from openai.types import ModerationCreateResponse

from inferencereplay.sdk import private
from inferencereplay.sdk.fast_validation import make_validator
from inferencereplay.sdk.model_builder import AnyModelBuilder

DEEPEST = 5
"""Models in one another, beyond which lists are empty and members are left out."""
PARTS = 24
"""Tests of all classes, so that none takes long; most of them run where there is time."""


def classes() -> list[Any]:
    """Return the models of the SDK's types, without those that only a program can make a model of."""
    found = {}
    for module in pkgutil.walk_packages(openai.types.__path__, "openai.types."):
        if "beta" not in module.name and "webhooks" not in module.name:
            for value in vars(importlib.import_module(module.name)).values():
                if private.is_model(value) and not value.__pydantic_generic_metadata__["parameters"]:
                    found[value.__module__, value.__qualname__] = value
    return [found[name] for name in sorted(found)]


class Sender:
    """Sends what fits a type, or nearly does."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._odd = self._random.choice((0.0, 0.0, 0.05))

    def model(self, cls: Any, depth: int = 0) -> Any:
        made = {}
        for name, field in cls.model_fields.items():
            if self._random.random() < 0.1 or (depth > DEEPEST and not field.is_required()):
                continue
            made[field.alias or name] = self.value(field.annotation, depth)
        if self._random.random() < 0.2:
            made["x_unknown"] = self._random.choice((1, {"a": [1.0, None]}, "x"))
        return made

    def value(self, kind: Any, depth: int) -> Any:
        if self._random.random() < self._odd:
            return self._random.choice((None, "x", 3, [], {}, 2**60, "1", True))
        origin, args = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self.value(args[0], depth)
        if origin is Literal:
            return self._random.choice(args)
        if origin in (Union, types.UnionType):
            return self.value(self._random.choice(args), depth)
        if origin is list or kind is list:
            count = self._random.choice((0, 1, 2)) if depth <= DEEPEST else 0
            return [self.value((args or (str,))[0], depth) for _ in range(count)]
        if origin is dict or kind is dict:
            return {"a": self.value(args[1] if args else object, depth)}
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            return self.model(kind, depth + 1)
        plain: dict[Any, Any] = {
            str: ("", "text", "2024-01-02T03:04:05Z"),
            int: (0, 7, 2**54),
            float: (0, 1.5, -3, 2**54, 0.1234567890123456789),
            bool: (True, False),
            type(None): (None,),
        }
        return self._random.choice(plain.get(kind, (1, "x", [1.0], {"a": None})))


def seen(value: Any) -> Any:
    """Say what a model is, with all that is in it."""
    if isinstance(value, pydantic.BaseModel):
        names = value.model_fields_set & type(value).model_fields.keys()
        members = {name: seen(item) for name, item in vars(value).items()}
        return type(value), names, members, list(members), seen(value.__pydantic_extra__), value.__pydantic_private__
    if isinstance(value, dict):
        return {name: seen(item) for name, item in value.items()}
    return [seen(item) for item in value] if isinstance(value, list) else (type(value), value)


@pytest.mark.parametrize("part", [0, 1, *(pytest.param(part, marks=pytest.mark.slow) for part in range(2, PARTS))])
def test_every_model_is_the_sdks(part):
    """Complete or not, with unknown members, members of other names, and now and then a value of another type."""
    for cls in classes()[part::PARTS]:
        build = AnyModelBuilder(cls)
        for seed in range(6):
            raw = json.dumps(Sender(seed).model(cls)).encode()
            assert seen(build(raw)) == seen(private.construct(cls, json.loads(raw))), (cls, raw)


def test_what_is_left_out_takes_no_longer_way(monkeypatch):
    """A model without a member that the SDK demands is validated all the same, and so is one with other names."""
    monkeypatch.setattr(private, "construct", None)
    categories = {"self-harm": True, "sexual/minors": False, "hate": False}
    data = {"id": "m", "results": [{"categories": categories, "category_scores": {"hate": 0.5}}]}
    made = AnyModelBuilder(ModerationCreateResponse)(json.dumps(data).encode())
    first = made.results[0]
    assert (made.model, first.flagged, first.categories.self_harm, first.categories.violence) == (
        None,
        None,
        True,
        None,
    )
    assert first.categories.model_extra == {"self-harm": True, "sexual/minors": False}


def test_a_union_is_decided_by_type():
    """Of a part of a union whose type is known, only that one is tried, and one that names none is refused."""
    if hasattr(openai.types, "responses"):
        cls = openai.types.responses.ResponseOutputMessage
        cls.model_rebuild()
        validate = make_validator(cls).validate_python
        with pytest.raises(pydantic.ValidationError) as caught:
            validate({"id": "a", "role": "assistant", "type": "message", "content": [{"type": "output_text"}]})
        assert all(error["loc"][:3] == ("content", 0, "output_text") for error in caught.value.errors())


class Renamed(openai.BaseModel):
    """Has another name for a member."""

    from_: int = pydantic.Field(alias="from")
    to: int


class Holder(openai.BaseModel):
    """Has such a model in every place."""

    one: Renamed
    many: list[Renamed]
    perhaps: Optional[Renamed] = None  # noqa: UP045 - as the SDK writes it
    either: Union[Renamed, str, None] = None  # noqa: UP007 - the same
    named: Optional[dict[str, Renamed]] = None  # noqa: UP045 - the same
    listed: dict[str, Renamed]


@pytest.mark.parametrize("one", [{"from": 1, "to": 2}, {"from": 1}, {"from_": 1, "to": 2}, {"to": 2, "x": [1]}, {}])
def test_other_names_are_kept_where_the_sdk_keeps_them(one):
    """It does so where it constructs a model, and not where it validates one of several types."""
    for data in (
        {"one": one},
        {"many": [one]},
        {"perhaps": one},
        {"either": one},
        {"named": {"a": one}},
        {"listed": {"a": one}},
    ):
        raw = json.dumps(data).encode()
        assert seen(AnyModelBuilder(Holder)(raw)) == seen(private.construct(Holder, data)), data


class _Renamed(openai.BaseModel):
    api_model_a: int = pydantic.Field(alias="model_a")


class _Odd(openai.BaseModel):
    metadata: _Renamed
    default: _Renamed | None = None
    table: dict[str, str] = pydantic.Field(default_factory=dict)


def test_a_field_may_have_any_name_and_a_default_that_is_made():
    """One called `metadata` is as any other one; the SDK calls no factory for what a server leaves out."""
    sent = {"metadata": {"model_a": 1}}
    built, made = AnyModelBuilder(_Odd)(json.dumps(sent).encode()), private.construct(_Odd, sent)
    assert built == made
    assert (built.table, built.metadata.model_extra) == (None, {"model_a": 1})
