"""Other recorders' recordings, taken over into our format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferencereplay.catalogue.entries import load
from inferencereplay.conversion.cassettes.documents import KINDS
from inferencereplay.conversion.cassettes.exchange import Unconvertible, read_request, read_response
from inferencereplay.conversion.cassettes.reading import read_cassette
from inferencereplay.errors import InvalidSetting, RecordingCorrupt
from inferencereplay.recording.format import Provenance, stored_request
from inferencereplay.recording.request import NotSerializable
from inferencereplay.session.session import Session
from inferencereplay.store.containment import is_inside
from inferencereplay.store.llama_stack import LlamaStackStore
from inferencereplay.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inferencereplay.conversion.cassettes.exchange import Exchange
    from inferencereplay.recording.format import Response
    from inferencereplay.recording.request import Request


class Taken(NamedTuple):
    """What became of one call.

    Attributes:
        source: the file that it stood in.
        call: what was called.
        problem: why it was not taken over; empty if it was, or if it was there already.
        is_new: whether it was stored just now.
        is_other: whether the problem is that another answer to the same request is there.
    """

    source: str
    call: str
    problem: str = ""
    is_new: bool = False
    is_other: bool = False


def import_cassettes(
    source: Path, target: Path, maker: str, *, base_url: str = "", is_apart: bool = False, **settings: Any
) -> Iterator[Taken]:
    """Take over the calls of the OpenAI API that cassettes hold.

    Equal calls of one cassette become variants. Equal calls of two cassettes that were answered differently cannot
    stand in one directory; the second one is reported.

    Args:
        source: a cassette, or a directory of them.
        target: the directory that gets the recordings.
        maker: `vcr` or `cassetter`.
        base_url: of the calls that count; empty to tell them by the form of their URLs.
        is_apart: whether each cassette gets a directory of its own, named like it, inside of `target`.
        settings: of the sessions that will replay: `ignore`, `normalize`, `redact`, and `record_errors`.
    """
    for file in [source] if source.is_file() else sorted(_cassettes(source)):
        name = str(file.relative_to(source)) if source.is_dir() else file.name
        folder = target / name[: -len(file.suffix)] if is_apart else target
        session = Session(folder, mode="record-if-missing", speed=1, **settings)
        try:
            _check_inside(file, source)
            for item in read_cassette(file, maker):
                yield _take_exchange(session, name, item, base_url)
        except Unconvertible as error:
            yield Taken(name, "", str(error))


def _cassettes(source: Path) -> Iterator[Path]:
    return (file for file in source.rglob("*") if file.suffix in KINDS and not file.is_dir())


def _check_inside(file: Path, source: Path) -> None:
    """Read no file through a link out of the directory, which may have come with somebody's pull request."""
    if file != source and not is_inside(str(file), str(source)):
        reason = f"it is a link that leads out of {source}; put a copy there, or import the file by its own name"
        raise Unconvertible(reason)


def import_llama_stack(source: Path, target: Path, **settings: Any) -> Iterator[Taken]:
    """Take over what a directory of llama-stack's recorder would replay, so that it replays alike from `target`.

    Args:
        source: the directory.
        target: the directory that gets the recordings.
        settings: as for `import_cassettes`, and `test_id`.

    Raises:
        InvalidSetting: if it is no directory of llama-stack's.
    """
    store = open_store(source, settings.pop("test_id", None))
    if not isinstance(store, LlamaStackStore):
        message = f"{source} holds no recordings of llama-stack's recorder."
        raise InvalidSetting(message)
    settings["record_errors"] = True  # what they kept, they replay
    session = Session(target, mode="record-if-missing", speed=1, **settings)
    for name, recording in store.recordings():
        request = stored_request(recording, name)
        yield _take(session, name, request, recording.response, Provenance())
    for name in store.passed_over():
        yield Taken(name, "", _reason(source / name, source))


def _reason(file: Path, source: Path) -> str:
    """Say why a file was passed over."""
    try:
        _check_inside(file, source)
        load(file)
    except (RecordingCorrupt, Unconvertible) as error:
        return str(error).removeprefix(f"{file}: ")
    return "it is none of llama-stack's recorder, or was changed meanwhile"


def _take_exchange(session: Session, name: str, item: Exchange | Unconvertible, base_url: str) -> Taken:
    if isinstance(item, Unconvertible):
        return Taken(name, "", str(item))
    try:
        request, base = read_request(item, base_url)
        response = read_response(item)
    except Unconvertible as error:
        return Taken(name, str(item), str(error))
    if not session.recorder.stores_status(response.status):
        problem = f"an error that passes (status {response.status}) is not kept; --record-errors keeps it"
        return Taken(name, str(item), problem)
    taken = _take(session, name, request, response, Provenance(item.at, "", base))
    return taken._replace(problem=f"{taken.problem}; --separate keeps both") if taken.is_other else taken


def _take(session: Session, name: str, request: Request, response: Response, origin: Provenance) -> Taken:
    call = f"{request.method} {request.path}"
    content = _content(response)
    try:
        pending = session.begin(session.call(request, find_origin=lambda: origin))
    except NotSerializable as error:
        return Taken(name, call, f"its request cannot be filed: {error}")
    reason = pending.keep(response)
    if not reason:
        return Taken(name, call, is_new=True)
    there = session.store.read(pending.request.path, pending.key, pending.number)
    if there is None:
        return Taken(name, call, f"it could not be written: {reason}")
    stored = session.store.sources(pending.request.path, pending.key, pending.number)[0]
    if content == _content(there.response):
        return Taken(name, call)
    return Taken(name, call, f"{stored} is there and has another answer to the same request", is_other=True)


def _content(response: Response) -> tuple[bytes, ...]:
    """Return what an answer says, whatever its layout."""
    body = msgspec.json.format(bytes(response.body), indent=-1) if bytes(response.body) else b""
    text = (response.text or "").encode()
    return (b"%d" % response.status, body, text, *map(bytes, response.chunks))
