"""`why`: compare a request with its nearest recording."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferencereplay.catalogue.file_content import UnusableFile, interpret, read_file
from inferencereplay.catalogue.layered import open_catalogue
from inferencereplay.cli import options, terminal
from inferencereplay.errors import RecordingCorrupt, UnknownRecording
from inferencereplay.recording.format import stored_request
from inferencereplay.recording.request import NotSerializable, Request, canonical_json, parse_json
from inferencereplay.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.catalogue.entries import Entry
    from inferencereplay.cli.options import Directories
    from inferencereplay.recording.request import JSON

_PATHS = {"messages": "/chat/completions", "prompt": "/completions"}


@click.command(epilog="Example: inferencereplay why request.json --path /chat/completions")
@click.argument("file", metavar="REQUEST.json|KEY|FILE")
@options.whole_directory
@options.of_a_request
@click.option("--path", help="The request's path, if the body does not show it.")
def why(file: str, directory: Directories, path: str | None, settings: dict[str, Any]) -> int:
    """Show which recording answers a request, or why none does.

    If there is none, the differences from the nearest recording are listed. The file holds a request's body as JSON, or
    a recording; - is standard input. Exit status 1 if there is none.
    """
    catalogue = open_catalogue(directory)
    session = Session(directory, mode="replay", speed=1, **settings)
    try:
        call = session.call(read_request(catalogue.find, file, path))
        found = session.find(call)
    except NotSerializable as error:
        message = f"{file} holds a request that cannot be looked up: {error}."
        raise click.UsageError(message) from error
    if found is not None:
        terminal.show((terminal.name(found.name), "bold green"))
        terminal.show((f"answers {call.line} (key {found.key[:12]}…)", "dim"))
        return 0
    miss = session.miss(call)
    place = options.shown(directory)
    terminal.show(("No recording", "bold red"), f" of {miss.method} {miss.path} (key {miss.key[:12]}…) in {place}")
    if miss.nearest and miss.is_edited:
        terminal.show(
            (terminal.name(miss.nearest), "bold"), " holds this very request under another key. It was edited:"
        )
        part, _ = catalogue.locate(miss.nearest)
        terminal.show(f"file it anew by: inferencereplay rekey {shlex.quote(str(part.directory))}")
    elif miss.nearest:
        how = "it differs (recorded → requested) in" if miss.differences else "it differs in method or query only"
        terminal.show("The nearest is ", (terminal.name(miss.nearest), "bold"), f"; {how}")
        for line in miss.differences:
            terminal.show(f"  {terminal.name(line)}")
    return 1


def read_request(find: Callable[[str], Entry], name: str, path: str | None) -> Request:
    """Read the request of a recording, or a body whose members show the path."""
    if name != "-" and not Path(name).exists():
        return _request_of(find, name)
    data = sys.stdin.buffer.read() if name == "-" else _content(name)
    try:
        return stored_request(interpret(data, name), name)
    except RecordingCorrupt:
        body = _body(data, name)
        if body.keys() & {"response", "inferencereplay"}:  # it is a damaged recording
            raise
    known = path or next((place for member, place in _PATHS.items() if member in body), None)
    if known is None:
        message = f"{name} does not show its path. Give it by --path, such as --path /embeddings."
        raise click.UsageError(message)
    return Request("POST", "/" + known.strip("/"), canonical_json(body))


def _request_of(find: Callable[[str], Entry], reference: str) -> Request:
    try:
        return find(reference).request
    except UnknownRecording as error:
        error.args = (f"There is no file {reference!r}. {error}",)
        raise


def _content(name: str) -> bytes:
    try:
        return read_file(Path(name))[0]
    except UnusableFile as error:
        message = f"{name}: {error}."
        raise click.UsageError(message) from error


def _body(data: bytes, name: str) -> dict[str, JSON]:
    try:
        body = parse_json(data)
    except ValueError as error:
        message = f"{name} is neither a recording nor a request's body: {error}."
        raise click.UsageError(message) from error
    if not isinstance(body, dict):
        message = f"{name} is neither a recording nor a request's body as a JSON object."
        raise click.UsageError(message)
    return body
