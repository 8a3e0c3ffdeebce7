"""What pydantic makes a class's JSON schema of, to know whether it would make the same again."""

from __future__ import annotations

import copy
import functools
from typing import Any, NamedTuple

import pydantic

_EXTRA = "json_schema_extra"
_HOOKS = ("model_json_schema", "__get_pydantic_json_schema__")
_NO_SCHEMAS = ("cls", "config", "default", "metadata")
_FUNCTIONS = ("pydantic_js_functions", "pydantic_js_annotation_functions")


class SchemaFacts(NamedTuple):
    """The facts of a class and of those in its fields, each as it was.

    Attributes:
        schema: the class's core schema, which is another one after `model_rebuild`.
        classes: each with its name, its docstring and its settings.
        mutable: what the program may change in its place, such as examples and defaults, each with a copy.
    """

    cls: Any
    schema: Any
    classes: tuple[tuple[Any, Any, Any, Any], ...]
    mutable: tuple[tuple[Any, Any], ...]

    def are_unchanged(self) -> bool:
        """Whether the class and those in its fields are still so."""
        if self.cls.__pydantic_core_schema__ is not self.schema or any(now != was for now, was in self.mutable):
            return False
        return all(
            cls.__name__ is name and cls.__doc__ is doc and getattr(cls, "model_config", None) == config
            for cls, name, doc, config in self.classes
        )


def schema_facts(cls: Any) -> SchemaFacts | None:
    """Return the facts of a pydantic class; `None` if it has code of its own that makes JSON schemas."""
    cls.model_rebuild()
    schema = cls.__pydantic_core_schema__
    found: dict[int, Any] = {}
    mutable: list[Any] = []
    if not _collect(schema, found, mutable):
        return None
    classes = tuple((one, one.__name__, one.__doc__, _config(one)) for one in found.values())
    return SchemaFacts(cls, schema, classes, tuple((item, copy.deepcopy(item)) for item in mutable))


def _config(cls: Any) -> Any:
    config = getattr(cls, "model_config", None)
    return {**config, _EXTRA: copy.deepcopy(config[_EXTRA])} if config and _EXTRA in config else copy.copy(config)


def _collect(schema: Any, found: dict[int, Any], mutable: list[Any]) -> bool:
    """Add the classes in a schema, and what may change in its place, to those that were found.

    Return `False` if a class makes JSON schemas by itself.
    """
    if isinstance(schema, (list, tuple)):
        return all(_collect(item, found, mutable) for item in schema)
    if not isinstance(schema, dict):
        return True
    cls = schema.get("cls")
    if isinstance(cls, type):
        found[id(cls)] = cls
    if (isinstance(cls, type) and not _is_plain(cls)) or not _is_fixed(schema.get("metadata") or {}):
        return False
    mutable += filter(_is_mutable, (schema.get("default"), *(schema.get("metadata") or {}).values()))
    return all(_collect(item, found, mutable) for name, item in schema.items() if name not in _NO_SCHEMAS)


def _is_mutable(value: Any) -> bool:
    return isinstance(value, (dict, list, set, pydantic.BaseModel))


def _is_plain(cls: Any) -> bool:
    """Whether a class leaves its JSON schema to pydantic."""
    if callable(_extra(getattr(cls, "model_config", None))):
        return False
    own = [getattr(cls, name, None) for name in _HOOKS]
    usual = [getattr(pydantic.BaseModel, name) for name in _HOOKS]
    if not issubclass(cls, pydantic.BaseModel):
        return own[1] is None
    return all(getattr(one, "__func__", one) is other.__func__ for one, other in zip(own, usual, strict=True))


def _extra(config: Any) -> Any:
    return config.get(_EXTRA) if isinstance(config, dict) else None


def _is_fixed(metadata: Any) -> bool:
    """Whether the metadata of a schema hold no function but pydantic's own."""
    if callable(metadata.get("pydantic_js_extra")):
        return False
    functions = [function for name in _FUNCTIONS for function in metadata.get(name) or ()]
    return all(map(_is_pydantic_s, functions))


def _is_pydantic_s(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__module__", "")).partition(".")[0] == "pydantic"
