"""Recordings that are not at the address of their request, filed anew.

A request that was edited by hand, or another `ignore`, `normalize` or `redact`, makes another key. Nothing is
overwritten, and a file is removed only when its content is at the new address; an interrupted move is finished the next
time. Of several commands in one directory each waits for the end of the one before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inferencereplay.catalogue.entries import Unreadable
from inferencereplay.errors import InvalidSetting, RecordingCorrupt, StoreError
from inferencereplay.recording.control_characters import visible
from inferencereplay.recording.format import VERSION, Recording, corrupt, encode, recorded_request
from inferencereplay.recording.request import NotSerializable
from inferencereplay.upkeep import beside, numbering

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator

    from inferencereplay.catalogue.entries import Catalogue, Entry
    from inferencereplay.recording.request import Request
    from inferencereplay.session.session import Session
    from inferencereplay.store.files import Files


class Move(NamedTuple):
    """One file that moves, or cannot.

    Attributes:
        name: the file.
        target: its new name; empty if that is not known.
        problem: the reason why it stays; empty if it moves.
    """

    name: str
    target: str
    problem: str = ""


class _Planned(NamedTuple):
    """A file, its old key and its new one, and the address of that; no content, for there are many."""

    name: str
    at: datetime.datetime
    key: str
    new_key: str
    address: str

    @property
    def source(self) -> str:
        return numbering.split(self.name)[0]

    @property
    def number(self) -> int:
        return numbering.split(self.name)[1]


class _Step(NamedTuple):
    """A file on its way to a number of its new address, and its present name if it had to make room."""

    item: _Planned
    number: int
    aside: str = ""

    @property
    def target(self) -> str:
        return numbering.join(self.item.address, self.number)

    @property
    def is_due(self) -> bool:
        return self.target != self.item.name or self.item.key != self.item.new_key


def rekey(catalogue: Catalogue, session: Session, *, is_dry: bool, has_room: bool = False) -> Iterator[Move]:
    """Move every file to the address of its request, and yield each that moved or could not; see `Move`.

    Args:
        catalogue: the directory.
        session: of the same directory; its `ignore`, `normalize` and `redact` make the new requests.
        is_dry: whether to move nothing.
        has_room: whether recordings whose requests are one now become its variants; else the later ones stay.

    Raises:
        InvalidSetting: if the directory is llama-stack's or only a folder of a directory of recordings, or `normalize`
            fails.
        StoreError: if a file cannot be written; files that were moved before are in their new places.
    """
    if catalogue.store.is_foreign:
        message = f"{catalogue.directory} is llama-stack's, whose files have no keys of ours. Import it first."
        raise InvalidSetting(message)
    with catalogue.files.locked():
        yield from _rekey(catalogue, session, is_dry=is_dry, has_room=has_room)


def _rekey(catalogue: Catalogue, session: Session, *, is_dry: bool, has_room: bool) -> Iterator[Move]:
    planned, problems = _plan(catalogue, session)
    yield from problems
    steps, late = _assign(planned, has_room=has_room)
    for item, targets in late:
        yield _settle(catalogue, session, item, targets, is_dry=is_dry)
    free, blocked = _sort(catalogue, steps)
    yield from blocked
    if is_dry:
        yield from (Move(step.item.name, step.target) for step in free)
    else:
        yield from _carry_out(catalogue, session, free)
        yield from _close_gaps(catalogue)


def _plan(catalogue: Catalogue, session: Session) -> tuple[list[_Planned], list[Move]]:
    """Read all files; return the earliest recorded first."""
    planned, problems = [], []
    for item in catalogue.scan():
        if isinstance(item, Unreadable):
            problems.append(
                Move(item.name, "", visible(item.reason.removeprefix(f"{catalogue.full_name(item.name)}: ")))
            )
            continue
        try:
            request = _request(item, session)
        except RecordingCorrupt as error:
            problems.append(Move(item.name, "", visible(str(error).removeprefix(f"{item.name}: "))))
            continue
        (first,) = catalogue.store.sources(request.path, request.key, 1)
        if root := numbering.outer(catalogue.directory, item.name, first):
            message = f"{catalogue.directory} is a folder of the recordings in {root}: give that directory."
            raise InvalidSetting(message)
        address = numbering.split(numbering.place(item.name, first))[0]
        planned.append(_Planned(item.name, item.date, item.key, request.key, address))
    # Variants that were recorded within a second keep their order.
    return sorted(planned, key=lambda item: (item.at, item.source, item.number)), problems


def _request(entry: Entry, session: Session) -> Request:
    try:
        return session.call(entry.request).redacted
    except NotSerializable as error:
        raise corrupt(entry.name, "$.request.body", f"its request cannot be filed ({error})") from error


def _assign(planned: list[_Planned], *, has_room: bool) -> tuple[list[_Step], list[tuple[_Planned, list[str]]]]:
    """Give each file a number at its new address.

    An address belongs to the files that are there already, else to the variants of the file that was recorded first.
    Files without a number are returned apart, each with the old or new names of the owners of its address.
    """
    claimants: dict[str, list[_Planned]] = {}
    for item in planned:
        claimants.setdefault(item.address, []).append(item)
    steps, late = [], []
    for address, items in claimants.items():
        is_home = any(item.source == address for item in items)
        owner = address if is_home else items[0].source
        owners = sorted((item for item in items if item.source == owner), key=lambda item: item.number)
        own = [_Step(item, item.number if is_home else place) for place, item in enumerate(owners, 1)]
        steps += own
        later = [item for item in items if item.source != owner]
        if has_room:
            steps += [_Step(item, number) for number, item in enumerate(later, own[-1].number + 1)]
        else:
            late += [(item, [step.target for step in own]) for item in later]
    return [step for step in steps if step.is_due], late


def _settle(catalogue: Catalogue, session: Session, item: _Planned, targets: list[str], *, is_dry: bool) -> Move:
    """Finish the move of a file whose very content is at its new address already; any other collides."""
    data = _filed(catalogue, session, item.name)
    for target in targets:
        if _content(catalogue.files, target) == data:
            if not is_dry:
                beside.remove(catalogue.files, item.name)
            return Move(item.name, target)
    return Move(item.name, targets[0], visible(f"{targets[0]} is a recording of a request that is the same now"))


def _content(files: Files, name: str) -> bytes | None:
    try:
        found = files.read(name, follows_links=False)
    except OSError:
        return None
    return None if found is None else found.data


def _sort(catalogue: Catalogue, steps: list[_Step]) -> tuple[list[_Step], list[Move]]:
    """Tell the steps that can be made from those to a place that another file occupies and does not leave."""
    blocked: list[Move] = []
    leaving = {step.item.name: step for step in steps}
    while True:
        stuck = [step for step in leaving.values() if step.target not in leaving and _exists(catalogue, step.target)]
        if not stuck:
            return [*leaving.values()], blocked
        for step in stuck:
            del leaving[step.item.name]
            blocked.append(_in_the_way(step))


def _in_the_way(step: _Step) -> Move:
    message = f"{step.target} occupies its place, and cannot be filed anew itself"
    return Move(step.item.name, step.target, visible(message))


def _exists(catalogue: Catalogue, name: str) -> bool:
    return catalogue.files.state(name) is not None


def _carry_out(catalogue: Catalogue, session: Session, steps: list[_Step]) -> Iterator[Move]:
    """Move files until none can be moved any more: one file may occupy the place of another one."""
    waiting = steps
    while waiting:
        stuck = []
        for step in waiting:
            if _moves(catalogue, session, step):
                yield Move(step.item.name, step.target)
            else:
                stuck.append(step)
        if len(stuck) == len(waiting):
            if stuck[0].aside:  # another process has taken the place meanwhile
                yield from map(_in_the_way, stuck)
                return
            stuck = [*stuck[1:], _put_aside(catalogue, session, stuck[0])]
        waiting = stuck


def _moves(catalogue: Catalogue, session: Session, step: _Step) -> bool:
    try:
        return _write(catalogue, session, step)
    except OSError as error:
        message = (
            f"{step.item.name} could not be filed anew: {error.strerror or error}. It is where it was. Files that "
            "were moved before are in their new places. Remove the cause, and run the command again."
        )
        raise StoreError(visible(message)) from error


def _put_aside(catalogue: Catalogue, session: Session, step: _Step) -> _Step:
    """Move a file out of the way, past the last variant, where several files go each to the place of the next one."""
    waiting = step._replace(number=step.number + 1)
    while not _moves(catalogue, session, waiting):
        waiting = waiting._replace(number=waiting.number + 1)
    return step._replace(aside=waiting.target)


def _filed(catalogue: Catalogue, session: Session, name: str) -> bytes:
    """Return the content of a file with its new request."""
    entry = catalogue.read(name)
    request = _request(entry, session)
    held = recorded_request(request)
    held.uploads = entry.recording.request.uploads
    return encode(Recording(VERSION, request.key, held, entry.recording.response, entry.recording.recorded))


def _write(catalogue: Catalogue, session: Session, step: _Step) -> bool:
    """Write a file at its new address and remove the old one; a file whose name stays is replaced whole."""
    name = step.aside or step.item.name
    data = _filed(catalogue, session, name)
    if step.target == name:
        catalogue.files.replace(name, data)
        return True
    beside.copy_sides(catalogue.files, name, step.target)
    if not catalogue.files.add(step.target, data, like=name):
        return False
    beside.remove(catalogue.files, name)
    return True


def _close_gaps(catalogue: Catalogue) -> Iterator[Move]:
    for address, numbers in numbering.collect(catalogue.names()).items():
        if numbers[-1] != len(numbers):
            yield from (Move(*names) for names in numbering.close_gaps(catalogue.files, address, numbers))
