"""Whether a directory of recordings is in order: readable, at its address, without secrets, without gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inferencereplay.catalogue import Entry, Unreadable
from inferencereplay.difference import differences
from inferencereplay.errors import RecordingCorrupt
from inferencereplay.recording import check_request
from inferencereplay.request import parse_json
from inferencereplay.upkeep import numbering

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inferencereplay.catalogue import Catalogue
    from inferencereplay.redact import Redactor
    from inferencereplay.request import JSON

_MOST_PLACES = 5


class Problem(NamedTuple):
    """What is wrong with a file.

    Attributes:
        name: the file, relative to the directory.
        kind: `unreadable`, `key`, `secret` or `gap`.
        message: for people; it holds nothing secret.
    """

    name: str
    kind: str
    message: str


def check(catalogue: Catalogue, redactor: Redactor) -> Iterator[tuple[str, list[Problem]]]:
    """Yield each file with its problems, and then each address at which a variant is missing.

    Args:
        catalogue: the directory.
        redactor: knows what is secret.
    """
    names = []
    for item in catalogue.scan():
        names.append(item.name)
        if isinstance(item, Unreadable):
            yield item.name, [Problem(item.name, "unreadable", item.reason)]
        else:
            yield item.name, [*_key_problems(catalogue, item), *_secret_problems(item, redactor)]
    if catalogue.store.is_writable:
        yield from _gaps(names)


def _key_problems(catalogue: Catalogue, entry: Entry) -> Iterator[Problem]:
    """Look whether the request gives the key, and whether the file stands where that key belongs."""
    if not catalogue.store.is_writable:
        return  # llama-stack's files have names of their own
    try:
        request = entry.request
        check_request(entry.recording, request, request.key, entry.name)
    except RecordingCorrupt as error:
        yield Problem(entry.name, "key", f"{error} Or file it anew: inferencereplay rekey.")
        return
    (expected,) = catalogue.store.sources(request.path, request.key, numbering.split(entry.name)[1])
    there = numbering.place(entry.name, expected)
    if there != entry.name:
        message = f"{entry.name}: it belongs to {there}, where nobody finds it. File it anew: inferencereplay rekey."
        yield Problem(entry.name, "key", message)


def _secret_problems(entry: Entry, redactor: Redactor) -> Iterator[Problem]:
    places = list(_secrets(entry, redactor))
    if places:
        shown = ", ".join(places[:_MOST_PLACES]) + (", …" if len(places) > _MOST_PLACES else "")
        message = f"{entry.name}: what looks like a secret stands at {shown}. Revoke it, and record the call again."
        yield Problem(entry.name, "secret", message)


def _secrets(entry: Entry, redactor: Redactor) -> Iterator[str]:
    """Yield the JSON paths at which something secret stands."""
    request, response = entry.recording.request, entry.recording.response
    if redactor.text(request.path) != request.path:
        yield "request.path"
    if redactor.query(request.query) != request.query:
        yield "request.query"
    yield from _within("request.body", bytes(request.body), redactor)
    yield from _within("response.headers", msgspec.json.encode(response.headers), redactor)
    yield from _within("response.body", bytes(response.body), redactor)
    if response.text is not None and redactor.text(response.text) != response.text:
        yield "response.text"
    if response.failure and redactor.text(response.failure.message) != response.failure.message:
        yield "response.failure.message"
    for index, chunk in enumerate(response.chunks):
        yield from _within(f"response.chunks[{index}]", bytes(chunk), redactor)


def _within(place: str, raw: bytes, redactor: Redactor) -> Iterator[str]:
    if not raw or redactor.json(raw) == raw:
        return
    value: JSON = parse_json(raw)
    yield from (item.path for item in differences(value, redactor.value(value), place))


def _gaps(names: Iterable[str]) -> Iterator[tuple[str, list[Problem]]]:
    for address, numbers in numbering.collect(names).items():
        missing = sorted(set(range(1, numbers[-1] + 1)) - set(numbers))
        if missing:
            name = numbering.join(address, missing[0])
            message = f"{name}: variant {missing[0]} is missing, and there is a variant {numbers[-1]}."
            yield name, [Problem(name, "gap", f"{message} Close the gap: inferencereplay rekey.")]
