"""Whether an answer fits the JSON schemas of its request: that of its format, and those of the tools it calls."""

from __future__ import annotations

import functools
import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from inferencereplay.catalogue.conversation.parts import elements, members, parsed, string
from inferencereplay.errors import InvalidSetting

if TYPE_CHECKING:
    from inferencereplay.catalogue.conversation import Message
    from inferencereplay.recording.request import JSON

_LONGEST = 160


def schema_of(body: JSON) -> JSON:
    """Return the JSON schema that a request wants its answer to fit; `True`, any JSON; `None`, none."""
    body = members(body)
    asked = members(body.get("response_format")) or members(members(body.get("text")).get("format"))
    kind = string(asked.get("type"))
    if kind == "json_schema":
        return asked.get("schema", members(asked.get("json_schema")).get("schema"))
    return True if kind == "json_object" else None


def tool_schemas(body: JSON) -> dict[str, Any]:
    """Return the JSON schemas of a request's tools, by name."""
    tools = [members(tool) for tool in elements(members(body).get("tools"))]
    inner = [members(tool.get("function")) or tool for tool in tools]
    return {string(tool.get("name")): tool["parameters"] for tool in inner if members(tool.get("parameters"))}


def need_library(body: JSON) -> bool:
    """Whether the answer to a request can be checked with the library only."""
    return isinstance(schema_of(body), dict) or bool(tool_schemas(body))


def check_library() -> None:
    """Make sure that the library is there.

    Raises:
        InvalidSetting: if it is not.
    """
    if find_spec("jsonschema") is None:
        message = "Some requests have JSON schemas. To check their answers: pip install 'inferencereplay[verify]'"
        raise InvalidSetting(message)


def misfit(body: JSON, message: Message) -> str:
    """Return why an answer does not fit the schemas of its request, for people; empty if it does.

    Args:
        body: of the request.
        message: the answer; a refusal has no format to fit.
    """
    schema = schema_of(body)
    text = "".join(part.text for part in message.parts if part.kind == "text")
    if schema is not None and text and (reason := _misfit(json.dumps(schema), text)):
        return reason
    schemas = tool_schemas(body)
    for call in message.tool_calls:
        if call.name in schemas and (reason := _misfit(json.dumps(schemas[call.name]), call.arguments)):
            return f"{call.name}: {reason}"
    return ""


def _misfit(schema: str, text: str) -> str:
    value = parsed(text.encode("utf-8", "replace"))
    if value is None and text.strip() != "null":
        return "it is no JSON"
    if schema == "true":
        return ""
    from jsonschema.exceptions import SchemaError, ValidationError  # noqa: PLC0415 - the extra may not be installed
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 - as above

    try:
        _validator(schema).validate(value)
    except ValidationError as error:
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
        return f"${where}: {error.message}"[:_LONGEST]
    except (SchemaError, Unresolvable, RecursionError) as error:
        return f"its schema cannot be used ({type(error).__name__})"
    return ""


@functools.lru_cache(256)
def _validator(schema: str) -> Any:
    """Make a validator that fetches nothing from the network, whatever a schema refers to."""
    from jsonschema.validators import Draft202012Validator, validator_for  # noqa: PLC0415 - as above
    from referencing import Registry  # noqa: PLC0415 - as above

    value = json.loads(schema)
    made = validator_for(value, default=Draft202012Validator)
    made.check_schema(value)
    return made(value, registry=Registry())
