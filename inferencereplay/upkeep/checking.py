"""Whether a directory of recordings is in order: readable, at its address, without secrets, without gaps."""

from __future__ import annotations

import contextlib
import functools
import itertools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

import msgspec

from inferencereplay.catalogue.entries import Entry, Unreadable
from inferencereplay.catalogue.processes import portions
from inferencereplay.errors import RecordingCorrupt, StoreError
from inferencereplay.recording.control_characters import visible
from inferencereplay.recording.difference import differences
from inferencereplay.recording.format import check_request
from inferencereplay.recording.frames import encode as encode_frame
from inferencereplay.recording.request import parse_json
from inferencereplay.redaction.payloads import is_clean, redact_response
from inferencereplay.session.age import age_of, shown
from inferencereplay.session.safe_content import without_secrets
from inferencereplay.upkeep import beside, numbering

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Iterator, Sequence

    from inferencereplay.catalogue.entries import Catalogue
    from inferencereplay.catalogue.processes import Spread
    from inferencereplay.recording.format import Recording, Response
    from inferencereplay.recording.request import JSON
    from inferencereplay.redaction.redactor import Redactor

_MOST_PLACES = 5


class Problem(NamedTuple):
    """A fault of a file.

    Attributes:
        name: the file, relative to the directory.
        kind: `unreadable`, `key`, `side file`, `secret`, `gap`, `orphan` or `expired`; or `no date`, which is no fault.
        message: for people; it holds nothing secret.
    """

    name: str
    kind: str
    message: str


NO_DATE = "no date"


def check(
    catalogue: Catalogue, redactor: Redactor, spread: Spread = map, max_age: datetime.timedelta | None = None
) -> Iterator[tuple[str, list[Problem]]]:
    """Yield each file with its problems, and then each address at which a variant is missing.

    Args:
        catalogue: the directory.
        redactor: finds secrets.
        spread: spreads the work over processes.
        max_age: the age from which on recordings have expired.
    """
    for part in catalogue.parts:
        names = [*part.names()]
        found = itertools.chain.from_iterable(
            spread(functools.partial(_check, part, redactor, max_age), portions(names))
        )
        if not part.store.is_foreign:
            found = itertools.chain(found, _gaps(names), _orphans(part))
        yield from found if part is catalogue else (_of_layer(part, item) for item in found)


def _of_layer(part: Catalogue, item: tuple[str, list[Problem]]) -> tuple[str, list[Problem]]:
    """Name the layer of a file, at the beginning of the messages too."""
    name, problems = item
    full = part.full_name(name)
    return full, [
        problem._replace(
            name=full,
            message=visible(full) + problem.message[len(visible(name)) :]
            if problem.message.startswith(f"{visible(name)}:")
            else problem.message,
        )
        for problem in problems
    ]


def _check(
    catalogue: Catalogue, redactor: Redactor, max_age: datetime.timedelta | None, names: Sequence[str]
) -> list[tuple[str, list[Problem]]]:
    """Return some files with their problems, also from another process."""
    checked = []
    for item in catalogue.scan(names):
        if isinstance(item, Unreadable):
            problems = [Problem(item.name, "unreadable", item.reason)]
        else:
            problems = [*_key_problems(catalogue, item), *_side_problems(item), *_secret_problems(item, redactor)]
            problems += [] if max_age is None else _age_problems(item, max_age)
        checked.append((item.name, [found._replace(message=visible(found.message)) for found in problems]))
    return checked


def _key_problems(catalogue: Catalogue, entry: Entry) -> Iterator[Problem]:
    """Compare the key with the request, and the place of the file with the key."""
    if catalogue.store.is_foreign:
        return  # llama-stack's files have names of their own
    try:
        request = entry.request
        key = request.key
        if key != entry.key:
            check_request(entry.recording, request, key, entry.name)
    except RecordingCorrupt as error:
        yield Problem(entry.name, "key", str(error))
        return
    (expected,) = catalogue.store.sources(request.path, key, entry.variant)
    if expected == entry.name:
        return
    root = numbering.outer(catalogue.directory, entry.name, expected)
    name = entry.name if root is None else Path(catalogue.directory, entry.name).relative_to(root).as_posix()
    there = numbering.place(name, expected)
    if there != name:
        message = f"{entry.name}: its place is {there}, no session finds it here. File it anew: inferencereplay rekey"
        message += f" {shlex.quote(str(root))}." if root else "."
        yield Problem(entry.name, "key", message)


def _age_problems(entry: Entry, max_age: datetime.timedelta) -> list[Problem]:
    age = age_of(entry.recording)
    if age is None:
        return [Problem(entry.name, NO_DATE, f"{entry.name}: it does not say when it was recorded.")]
    if age <= max_age:
        return []
    return [Problem(entry.name, "expired", f"{entry.name}: it is {shown(age)} old. Record it again.")]


def _side_problems(entry: Entry) -> Iterator[Problem]:
    """Compare side files with their digests."""
    for side in entry.recording.side_files:
        try:
            side.check()
        except (RecordingCorrupt, StoreError) as error:  # noqa: PERF203 - each by itself
            yield Problem(entry.name, "side file", f"{entry.name}: {str(error).partition(': ')[2]}")


def _orphans(catalogue: Catalogue) -> Iterator[tuple[str, list[Problem]]]:
    for name in beside.orphans(catalogue.files):
        message = f"{name}: no recording names this side file. Delete it."
        yield name, [Problem(name, "orphan", visible(message))]


def _secret_problems(entry: Entry, redactor: Redactor) -> Iterator[Problem]:
    try:
        places = list(_secrets(entry.recording, redactor))
    except (ValueError, RecursionError) as error:  # half a surrogate pair, a number beyond all bounds, depth
        message = f"{entry.name}: it cannot be searched for secrets ({redactor.text(str(error))})."
        yield Problem(entry.name, "unreadable", message)
        return
    if places:
        shown = ", ".join(places[:_MOST_PLACES]) + (", …" if len(places) > _MOST_PLACES else "")
        message = f"{entry.name}: there seems to be a secret at {redactor.text(shown)}."
        yield Problem(entry.name, "secret", f"{message} Revoke it, and record the call again.")


def _secrets(recording: Recording, redactor: Redactor) -> Iterator[str]:
    """Yield the JSON paths of values that the recorder would have redacted."""
    request, base_url = recording.request, recording.recorded.base_url and unquote(recording.recorded.base_url)
    if redactor.text(base_url) != base_url:
        yield "recorded.base_url"
    if not recording.side_files and is_clean(request, recording.response, redactor):
        return
    if redactor.text(request.path) != request.path:
        yield "request.path"
    if redactor.query(request.query) != request.query:
        yield "request.query"
    yield from _within("request.body", bytes(request.body), redactor)
    hidden = msgspec.structs.replace(recording.response)
    redact_response(hidden, redactor)
    if hidden != recording.response:
        yield from (item.path for item in differences(_plain(recording.response), _plain(hidden), "response"))
    for side in recording.side_files:
        with contextlib.suppress(RecordingCorrupt, StoreError):  # which is another problem
            if without_secrets(side, redactor, "") is not side:
                yield f"its side file {side.ending}"


def _within(place: str, raw: bytes, redactor: Redactor) -> Iterator[str]:
    if redactor.json(raw) != raw:
        value: JSON = parse_json(raw)
        yield from (item.path for item in differences(value, redactor.value(value), place))


def _plain(response: Response) -> JSON:
    """Return an answer as JSON, with the names of the file's members."""
    own = {"body": None, "chunks": None, "frames": None}
    plain: dict[str, JSON] = msgspec.to_builtins({**msgspec.structs.asdict(response), **own})
    body = bytes(response.body)
    return plain | {
        "body": parse_json(body) if body else None,
        "chunks": [*map(parse_json, map(bytes, response.chunks))],
        "frames": [*map(parse_json, map(encode_frame, response.frames or ()))],
    }


def _gaps(names: Iterable[str]) -> Iterator[tuple[str, list[Problem]]]:
    for address, numbers in _variants([*names]).items():
        missing = next((place for place, number in enumerate(numbers, 1) if place != number), None)
        if missing:
            name = numbering.join(address, missing)
            message = f"{name}: variant {missing} is missing, and there is a variant {numbers[-1]}."
            yield name, [Problem(name, "gap", visible(f"{message} Close the gap: inferencereplay rekey."))]


def _variants(names: list[str]) -> dict[str, list[int]]:
    """Return the numbers of each address that has more than the first variant, in order."""
    further = numbering.collect(name for name in names if "~" in name)
    firsts = further.keys() & {name.removesuffix(".json") for name in names}
    return {address: [1, *numbers] if address in firsts else numbers for address, numbers in further.items()}
