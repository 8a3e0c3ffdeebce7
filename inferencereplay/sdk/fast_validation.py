"""Validators of the SDK's models that take less time than pydantic's own, and accept what lacks a member.

They are made of a model's core schema (https://docs.pydantic.dev/latest/internals/architecture/). A union of models
that differ in the literal `type` is decided by it, while pydantic would try them all: the output of a response has more
than thirty. And a member that a server left out becomes `None`, as the SDK makes it (it calls no factory of defaults),
unless the model is one of a union's, where the SDK may take another one.
"""

from __future__ import annotations

import functools
from typing import Any

from pydantic_core import SchemaValidator

_KEPT = frozenset(("cls", "config", "default", "default_factory", "expected", "metadata", "serialization"))
"""The members of a schema that hold no schemas for validation."""
_ALIAS = "validation_alias"
_IN_UNION = "/in-union"


def make_validator(cls: Any) -> SchemaValidator:
    """Make a validator of a class whose own schema is complete."""
    made: Any = _Rewriting(cls.__pydantic_core_schema__).schema()
    try:
        return SchemaValidator(made, None, False)  # type: ignore[call-arg, unused-ignore]  # noqa: FBT003 - positional
    except TypeError:  # pragma: no cover - before pydantic 2.11, which made every validator anew
        return SchemaValidator(made)


def holds_floats(schema: Any) -> bool:
    """Whether there is a float in a schema, or in what is in it."""
    if isinstance(schema, (list, tuple)):
        return any(map(holds_floats, schema))
    if not isinstance(schema, dict):
        return False
    return schema.get("type") == "float" or any(
        holds_floats(item) for name, item in schema.items() if _holds(schema, name)
    )


def _holds(schema: dict[str, Any], name: str) -> bool:
    """Whether a member of a schema, or of a table of a model's fields, holds schemas for validation."""
    return name not in _KEPT or not isinstance(schema.get("type"), str)  # a field may have any name


class _Rewriting:
    """The rewriting of one schema.

    Args:
        schema: a model's, with the definitions that it refers to.
    """

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._definitions = {item["ref"]: item for item in schema.get("definitions", ())}
        self._renaming: dict[str, bool] = {}

    def schema(self) -> Any:
        """Return the schema, rewritten."""
        if not self._definitions:
            return self._rewrite(self._schema)
        definitions = [
            {**self._rewrite(item, in_union=in_union), "ref": ref + _IN_UNION * in_union}
            for ref, item in self._definitions.items()
            for in_union in (False, True)
        ]
        return {"type": "definitions", "schema": self._rewrite(self._schema["schema"]), "definitions": definitions}

    def _rewrite(self, schema: Any, *, in_union: bool = False) -> Any:
        """Rewrite a schema, or whatever is in one.

        Args:
            schema: which.
            in_union: whether it is of a part of a union, in which nothing may be left out.
        """
        if isinstance(schema, (list, tuple)):
            return type(schema)(self._rewrite(item, in_union=in_union) for item in schema)
        if not isinstance(schema, dict):
            return schema
        kind = schema.get("type")
        in_union = in_union or kind == "union" or (kind == "nullable" and self._has_alias(schema))
        made = {
            name: self._rewrite(item, in_union=in_union) if _holds(schema, name) else item
            for name, item in schema.items()
            if name != "ref"
        }
        if kind == "default" and "default_factory" in made and not in_union:
            return {"type": "default", "schema": made["schema"], "default": None}
        if kind == "definition-ref":
            return {**made, "schema_ref": schema["schema_ref"] + _IN_UNION * in_union}
        if kind == "model-field" and not in_union and _is_required(schema["schema"]):
            return {**made, "schema": {"type": "default", "schema": made["schema"], "default": None}}
        if kind == "model" and not in_union and _is_renaming(schema):
            keep = {
                "type": "no-info",
                "function": functools.partial(_keep_names, frozenset(schema["schema"]["fields"])),
            }
            return {"type": "function-wrap", "function": keep, "schema": made}
        if kind == "union" and (choices := self._by_type(schema["choices"], made["choices"])):
            return {"type": "tagged-union", "discriminator": "type", "choices": choices}
        return made

    def _has_alias(self, schema: Any) -> bool:
        """Whether there is a model with another name for a member in a schema."""
        if isinstance(schema, (list, tuple)):
            return any(map(self._has_alias, schema))
        if not isinstance(schema, dict):
            return False
        if schema.get("type") == "definition-ref":
            return self._is_renaming(schema["schema_ref"])
        return _ALIAS in schema or any(self._has_alias(item) for name, item in schema.items() if _holds(schema, name))

    def _is_renaming(self, ref: str) -> bool:
        """Whether there is one in a definition, or in one that it refers to."""
        if ref not in self._renaming:
            self._renaming[ref] = False  # unless it is found below, for one that refers to itself
            self._renaming[ref] = self._has_alias(self._definitions[ref])
        return self._renaming[ref]

    def _by_type(self, choices: list[Any], made: list[Any]) -> dict[str, Any]:
        """Return the choices of a union by their `type`; nothing if that does not tell them apart."""
        named = [(name, new) for choice, new in zip(choices, made, strict=True) for name in self._types(choice)]
        by_type = dict(named)
        return by_type if len(by_type) == len(named) and all(map(self._types, choices)) else {}

    def _types(self, choice: Any) -> tuple[str, ...]:
        """Return what the member `type` of a model has to be; nothing for any other schema."""
        while isinstance(choice, dict) and choice["type"] == "definition-ref":
            choice = self._definitions[choice["schema_ref"]]
        fields = choice["schema"].get("fields", {}) if isinstance(choice, dict) and choice["type"] == "model" else {}
        field = fields.get("type", {"schema": {"type": ""}})
        if field["schema"]["type"] != "literal" or _ALIAS in field:
            return ()
        return tuple(name for name in field["schema"]["expected"] if isinstance(name, str))


def _is_renaming(schema: Any) -> bool:
    """Whether a model has another name for a member than servers have."""
    return any(_ALIAS in field for field in schema["schema"].get("fields", {}).values())


def _keep_names(names: frozenset[str], value: Any, validate: Any) -> Any:
    """Validate a model, and keep all of a server's members that have not the name of one of the model's."""
    made = validate(value)
    made.__pydantic_fields_set__.difference_update(made.__pydantic_extra__)
    object.__setattr__(made, "__pydantic_extra__", {name: item for name, item in value.items() if name not in names})
    return made


def _is_required(schema: Any) -> bool:
    return schema["type"] != "default" and not schema["type"].startswith("function")
