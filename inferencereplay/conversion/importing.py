"""Import recordings of other recorders."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferencereplay.catalogue.entries import load
from inferencereplay.conversion.cassettes.documents import ending_of
from inferencereplay.conversion.cassettes.exchange import Unconvertible, read_request, read_response
from inferencereplay.conversion.cassettes.interactions import read_cassette
from inferencereplay.errors import InvalidSetting, RecordingCorrupt
from inferencereplay.recording.format import Provenance, stored_request
from inferencereplay.recording.request import NotSerializable
from inferencereplay.session.session import Session
from inferencereplay.store.containment import is_inside
from inferencereplay.store.llama_stack import LlamaStackStore
from inferencereplay.store.location import parse_location
from inferencereplay.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.conversion.cassettes.exchange import Exchange
    from inferencereplay.recording.format import Response
    from inferencereplay.recording.request import Request
    from inferencereplay.store.location import Location


class Taken(NamedTuple):
    """The result for one call.

    Attributes:
        source: the file that holds it.
        call: the method and the URL or path.
        problem: why it was not imported; empty if it was, or if the target has it already.
        is_new: whether it was stored just now.
        is_other: whether the problem is another answer to the same request in the target.
        is_retried: whether it is an attempt that the SDK repeated; the recording of the last one counts them.
    """

    source: str
    call: str
    problem: str = ""
    is_new: bool = False
    is_other: bool = False
    is_retried: bool = False


def import_cassettes(
    source: Path, target: Location, maker: str, *, base_url: str = "", is_apart: bool = False, **settings: Any
) -> Iterator[Taken]:
    """Import the calls of the OpenAI API that cassettes hold, errors of every status among them.

    Equal calls of one cassette become variants. One directory cannot hold equal calls of two cassettes that have
    different answers; the second one is reported.

    Args:
        source: a cassette, or a directory of them.
        target: the directory, or the URL, that gets the recordings.
        maker: `vcr` or `cassetter`.
        base_url: the beginning of the URLs of the wanted calls; empty to recognize them by the form of their URLs.
        is_apart: whether each cassette gets a directory of its own, with its name, inside of `target`.
        settings: `ignore`, `normalize` and `redact` of the sessions that will replay.
    """
    for file in [source] if source.is_file() else sorted(_cassettes(source)):
        name = str(file.relative_to(source)) if source.is_dir() else file.name
        folder = _inner(target, name.removesuffix(ending_of(name))) if is_apart else target
        session = Session(folder, mode="record-if-missing", speed=1, record_errors=True, **settings)
        try:
            _check_inside(file, source)
            yield from _take_all(session, name, list(read_cassette(file, maker)), base_url)
        except Unconvertible as error:
            yield Taken(name, "", str(error))


def _inner(target: Location, name: str) -> Location:
    """Return a directory, or a URL, inside of another one."""
    return target / name if isinstance(target, Path) else parse_location(f"{target}/{Path(name).as_posix()}")


def _take_all(session: Session, name: str, items: list[Exchange | Unconvertible], base_url: str) -> Iterator[Taken]:
    retries = 0
    for item, later in itertools.zip_longest(items, items[1:]):
        if isinstance(item, Unconvertible):
            yield Taken(name, "", str(item))
        elif item.is_retried_by(later):
            retries += 1
            yield Taken(name, str(item), is_retried=True)
        else:
            yield _take_exchange(session, name, item, base_url, retries)
            retries = 0


def _cassettes(source: Path) -> Iterator[Path]:
    return (file for file in source.rglob("*") if ending_of(file.name) and not file.is_dir())


def _check_inside(file: Path, source: Path) -> None:
    """Refuse a link that leads out of the directory: it may have come with somebody's pull request."""
    if file != source and not is_inside(str(file), str(source)):
        reason = f"it is a link that leads out of {source}; put a copy there, or import the file by its own name"
        raise Unconvertible(reason)


def import_llama_stack(source: Path, target: Location, **settings: Any) -> Iterator[Taken]:
    """Import the recordings of llama-stack's recorder that a directory would replay; `target` replays the same.

    Args:
        source: the directory.
        target: the directory that gets the recordings.
        settings: `ignore`, `normalize` and `redact` of the sessions that will replay, and `test_id`.

    Raises:
        InvalidSetting: if it is no directory of llama-stack's recorder.
    """
    store = open_store(source, settings.pop("test_id", None))
    if not isinstance(store, LlamaStackStore):
        message = f"{source} holds no recordings of llama-stack's recorder."
        raise InvalidSetting(message)
    settings["record_errors"] = True  # llama-stack replays the errors that it has kept
    session = Session(target, mode="record-if-missing", speed=1, **settings)
    for name, recording in store.recordings():
        request = stored_request(recording, name)
        yield _take(session, name, request, recording.response, Provenance())
    for name in store.passed_over():
        yield Taken(name, "", _reason(source / name, source))


def _reason(file: Path, source: Path) -> str:
    """Return the reason why a file was passed over."""
    try:
        _check_inside(file, source)
        load(file)
    except (RecordingCorrupt, Unconvertible) as error:
        return str(error).removeprefix(f"{file}: ")
    return "it is no recording of llama-stack's recorder, or was changed meanwhile"


def _take_exchange(session: Session, name: str, item: Exchange, base_url: str, retries: int) -> Taken:
    try:
        request, base = read_request(item, base_url)
        response = read_response(item)
    except Unconvertible as error:
        return Taken(name, str(item), str(error))
    response.retries = retries
    taken = _take(session, name, request, response, Provenance(item.at, "", base))
    return taken._replace(problem=f"{taken.problem}; --separate keeps both") if taken.is_other else taken


def _take(session: Session, name: str, request: Request, response: Response, origin: Provenance) -> Taken:
    call = f"{request.method} {request.path}"
    content = _content(response)
    try:
        pending = session.begin(session.call(request, find_origin=lambda: origin))
    except NotSerializable as error:
        return Taken(name, call, f"its request cannot be stored: {error}")
    reason = pending.keep(response)
    if not reason:
        return Taken(name, call, is_new=True)
    there = session.store.read(pending.request.path, pending.key, pending.number)
    if there is None:
        return Taken(name, call, f"it could not be written: {reason}")
    stored = session.store.sources(pending.request.path, pending.key, pending.number)[0]
    if content == _content(there.response):
        return Taken(name, call)
    return Taken(name, call, f"{stored} has another answer to the same request", is_other=True)


def _content(response: Response) -> tuple[bytes, ...]:
    """Return the content of an answer, without its layout."""
    body = msgspec.json.format(bytes(response.body), indent=-1) if bytes(response.body) else b""
    text = (response.text or "").encode()
    return (b"%d" % response.status, body, text, *map(bytes, response.chunks))
