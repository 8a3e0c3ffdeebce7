"""`new`: a recording whose answer a person writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import msgspec

from inferencereplay.catalogue.layered import open_catalogue
from inferencereplay.cli import options, terminal
from inferencereplay.cli.asking_why import read_request
from inferencereplay.errors import InvalidSetting
from inferencereplay.pacing.pacer import Pace
from inferencereplay.recording.format import Provenance
from inferencereplay.recording.request import Request, canonical_json, parse_json
from inferencereplay.session.session import Session
from inferencereplay.stubs.arguments import CHAT, EMBEDDINGS, RESPONSES, TEXT
from inferencereplay.stubs.stub import Stub

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferencereplay.cli.options import Directories

_PATHS = {"chat": CHAT, "completion": TEXT, "response": RESPONSES, "embedding": EMBEDDINGS}
_EPILOG = "Example: inferencereplay new chat --model gpt-4o --user 'Capital of Italy?' --text Rome"
_NO_REQUEST = "Give the request: --model and --user, or a file with its body, or a recording (--request)."


@click.command("new", epilog=_EPILOG)
@click.argument("kind", type=click.Choice([*_PATHS]), metavar="|".join(_PATHS))
@options.to_directory
@options.of_a_request
@click.option("--text", help="The answer.")
@click.option("--chunk", "chunks", multiple=True, help="A piece of the answer, as a stream has it; may be repeated.")
@click.option("--tool-call", "calls", nargs=2, multiple=True, metavar="NAME JSON", help="A tool call; may be repeated.")
@click.option("--refusal", help="The text of a refusal.")
@click.option("--vector", metavar="SIZE|NUMBERS", help="An embedding: numbers with commas, or a size.")
@click.option("--error", type=int, metavar="STATUS", help="The HTTP status of an error.")
@click.option("--message", help="The error's message.")
@click.option("--code", help="The error's code, such as context_length_exceeded.")
@click.option("--finish-reason", metavar="REASON", help="stop, length, tool_calls or content_filter.")
@click.option("--usage", nargs=2, type=int, metavar="PROMPT ANSWER", help="The tokens of the prompt and of the answer.")
@click.option("--pace", nargs=2, type=float, metavar="FIRST BETWEEN", help="The times of the chunks, in seconds.")
@click.option("--model", help="The model of the request.")
@click.option("--system", help="The system message of the request.")
@click.option("--user", help="The user's message of the request, the prompt, or the input.")
@click.option("--stream", "is_stream", is_flag=True, help="The request asks for a stream.")
@click.option("--request", "file", metavar="FILE|KEY", help="A file with the request's body, or a recording; -: stdin.")
@click.option("--variant", "is_variant", is_flag=True, help="Add a variant if the request has a recording already.")
def new(kind: str, *, directory: Directories, settings: dict[str, Any], is_variant: bool, **given: Any) -> int:
    """Make a recording of an answer that you write.

    The request has to be the one that the program makes, in every member: take it from a file or from another recording
    (--request), unless it is as simple as --model, --system, --user and --stream make it. The file that is made can be
    edited. Nothing is overwritten.
    """
    request = _request(kind, directory, given)
    content = {**_content(given), "on": _PATHS[kind]}
    session = Session(directory, mode="record-if-missing", exhausted="record", record_errors=True, **settings)
    call = session.call(request, find_origin=lambda: Provenance(base_url=""))
    stub = Stub(1, content)
    if not stub.matches(request.path, request.method, parse_json(request.body)):
        message = f"The request is one of {request.path}, and not of {_PATHS[kind]}."
        raise click.UsageError(message)
    while play := session.play(call):
        if not is_variant:
            message = f"{play.name} is a recording of this request already. Edit it, or add a variant with --variant."
            raise InvalidSetting(message)
    pending = session.begin(call)
    if reason := pending.keep(stub.response_to_save(stub.answer(request))):
        message = f"The recording was not stored: {reason}."
        raise InvalidSetting(message)
    terminal.show(terminal.name(session.store.sources(pending.request.path, pending.key, pending.number)[0]))
    return 0


def _request(kind: str, directory: Directories, given: Mapping[str, Any]) -> Request:
    """Make the request that the options describe."""
    is_made = any(given[name] is not None for name in ("model", "system", "user"))
    if is_made == (given["file"] is not None):
        raise click.UsageError(_NO_REQUEST)
    if is_made:
        request = Request("POST", _PATHS[kind], canonical_json(_body(kind, given)))
    else:
        request = read_request(lambda name: open_catalogue(directory).find(name), given["file"], _PATHS[kind])
    if not given["is_stream"]:
        return request
    return msgspec.structs.replace(request, body=canonical_json({**parse_json(request.body), "stream": True}))


def _body(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    model, system, user = given["model"], given["system"], given["user"]
    if model is None or user is None or (system is not None and kind in ("completion", "embedding")):
        raise click.UsageError(_NO_REQUEST)
    if kind == "chat":
        first = [] if system is None else [{"role": "system", "content": system}]
        return {"model": model, "messages": [*first, {"role": "user", "content": user}]}
    if kind == "completion":
        return {"model": model, "prompt": user}
    if kind == "embedding":
        return {"model": model, "input": user, "encoding_format": "base64"}  # which the SDK asks for by itself
    return {"model": model, "input": user} | ({} if system is None else {"instructions": system})


def _content(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the stub."""
    names = ("text", "refusal", "error", "message", "code", "finish_reason", "usage")
    content = {name: given[name] for name in names if given[name] is not None}
    if given["chunks"]:
        content["chunks"] = given["chunks"]
    if given["calls"]:
        content["tool_calls"] = given["calls"]
    if given["pace"] is not None:
        content["pace"] = Pace(*given["pace"])
    if given["vector"] is not None:
        content["vector"] = _vector(given["vector"])
    return content


def _vector(text: str) -> Any:
    try:
        return json.loads(text) if "," not in text else [float(number) for number in text.strip("[] ").split(",")]
    except ValueError as error:
        message = f"{text!r} is neither numbers with commas nor a size."
        raise click.BadParameter(message, param_hint="--vector") from error
