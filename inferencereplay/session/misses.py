"""The message for a request that was not recorded."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferencereplay.errors import RecordingNotFound, StoreError
from inferencereplay.recording.control_characters import visible, visible_lines
from inferencereplay.recording.difference import nearest
from inferencereplay.recording.request import parse_json
from inferencereplay.session.moved_recordings import find as find_moved
from inferencereplay.store.interface import layers_of, located_in, written_of
from inferencereplay.store.location import is_missing, is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferencereplay.recording.request import Request
    from inferencereplay.redaction.redactor import Redactor
    from inferencereplay.session.call import Call
    from inferencereplay.session.near_requests import NearRequests
    from inferencereplay.store.interface import Store

RUN = "INFERENCEREPLAY_RUN"
"""The variable that `inferencereplay run` sets for the program that it starts: its other options, or 1."""
RANDOM = "prompt_cache_key"
"""A member of the body that frameworks fill at random, such as openai-agents for the official base URL."""
program: list[str] = []
"""The command line that messages name; empty for this process's own. A child process names its parent's."""
LONGEST_COMMAND = 200
"""Characters of a command line that are shown."""


def explain(  # noqa: PLR0913 - facts for a message
    request: Request,
    near_requests: NearRequests,
    redactor: Redactor,
    *,
    used_up: str | None,
    skipped: str,
    exhausted: str,
    own_mode: str | None,
    command: Callable[[str], str] | None,
) -> RecordingNotFound:
    """Make the error for a request that was not recorded.

    Args:
        request: redacted.
        near_requests: finds recordings that are like it, in the store where it was looked for.
        redactor: removes secrets from the message.
        used_up: the first of the request's recordings, if it has any and all are used up.
        skipped: the transient answer to this request that was not stored; empty without one.
        exhausted: the setting, which the message names for a request whose recordings are used up.
        own_mode: the mode that the program gave as an argument; `None` if it gave none.
        command: returns the command that records it in a given mode, if the session has one.
    """
    store = near_requests.store
    key, directory = request.key, store.directory
    near, obstacle = None, ""
    try:
        near = _nearest(request, near_requests, redactor)
    except (ValueError, RecursionError, StoreError) as deep:
        obstacle = str(deep)
    lines = [visible(f"{request.method} {request.path} was not recorded in {directory} (key {key[:12]}…).")]
    layers = layers_of(store)
    if all(is_missing(layer.directory) for layer in layers):
        lines.append("That directory does not exist." if len(layers) == 1 else "None of these directories exists.")
    elif used_up:
        lines.append(f"Its recordings, the first of which is {used_up}, are used up (exhausted={exhausted!r}).")
    elif skipped:
        lines.append(f"It was called, but {skipped} is transient and was not stored (record_errors=True stores it).")
    elif obstacle:
        lines.append(f"It cannot be compared with the recordings of that path: {obstacle}.")
    else:
        lines += _nearness(near)
    local = [layer.directory for layer in layers if not is_url(layer.directory)]
    moved = find_moved(local[0], request.path, key) if local and not used_up else []
    if places := [place for place in moved if place not in local]:
        lines.append(visible(f"It is recorded in {_listed(places)}: was the directory moved? Give that one."))
    mode = "record" if used_up and exhausted != "record" else "record-if-missing"
    if near and near.is_edited:
        place = visible(shlex.quote(located_in(store, near.name)[0].directory))
        lines.append(f"To file it under its key, run\n  inferencereplay rekey {place}")
    else:
        lines.append(way_to_record(store, mode, redactor, own_mode, command))
    text = visible_lines(redactor.text("\n".join(lines)))
    error = RecordingNotFound(text, method=request.method, path=request.path, key=key, directory=directory)
    if near:
        error.nearest, error.differences, error.is_edited = near.name, near.differences, near.is_edited
    return error


def explain_message(  # noqa: PLR0913 - facts for a message
    call: Call,
    name: str,
    reason: str,
    differences: tuple[str, ...],
    *,
    store: Store,
    own_mode: str | None,
    command: Callable[[str], str] | None,
) -> RecordingNotFound:
    """Make the error for a message of a WebSocket connection that was not recorded.

    Args:
        call: the connection.
        name: the file that is being replayed.
        reason: what was not recorded.
        differences: those to the recorded message, a line each, without secrets.
        store: where the file lives.
        own_mode: as `explain` has it.
        command: as `explain` has it.
    """
    lines = [f"{call.line}: {visible(name)} is replayed, and {reason}", *(f"  {line}" for line in differences)]
    lines.append(way_to_record(store, "record", call.redactor, own_mode, command))
    text = visible_lines(call.redactor.text("\n".join(lines)))
    facts: dict[str, Any] = {
        "method": call.request.method,
        "path": call.path,
        "key": call.redacted.key,
        "directory": store.directory,
    }
    return RecordingNotFound(text, **facts, nearest=name, differences=differences)


def explain_bypass(line: str, *, is_call: bool) -> str:
    """Return the message for a request that bypassed the session.

    Args:
        line: its method and path.
        is_call: whether the SDK makes the request for a call of its own.
    """
    reason = (
        "another library's wrapper around this client's `request`, older than the session, calls the SDK's own "
        "method. Install that wrapper inside the block."
        if is_call
        else "the program builds the request with the client's `_build_request`, and such a request belongs to no "
        "call. Make the call with the client's methods, or build the request outside of the block."
    )
    return f"{line} was kept off the network, but cannot be answered: {reason}"


def _command_line(redactor: Redactor) -> str:
    """Return the program's command line; before it is cut, for half a secret is not found any more."""
    return visible(redactor.text(shlex.join(program or sys.orig_argv)))


class _Near(NamedTuple):
    """A recorded request: the name of its file, how it differs, and the normalizers that would make the two equal.

    `is_edited` says that nothing differs, and that its file has the name of another request.
    """

    name: str
    differences: tuple[str, ...]
    normalizers: tuple[str, ...] = ()
    is_edited: bool = False


def _nearest(request: Request, near_requests: NearRequests, redactor: Redactor) -> _Near | None:
    """Return the recorded request that differs least, without secrets.

    It is redacted before the two are compared: a line shows only a part of a text, and half a secret is not found.
    """
    from inferencereplay.normalizers import that_make_equal  # noqa: PLC0415 - for a miss only

    asked, bodies = parse_json(request.body), dict(near_requests.find(request))
    while found := nearest(asked, bodies.items()):
        name, lines = found
        body = bodies.pop(name)
        with contextlib.suppress(RecursionError):  # one that is nested too deeply for redaction is passed over
            safe = body if redactor.is_clean(msgspec.json.encode(body)) else redactor.value(body)
            if safe is not body:
                name, lines = nearest(asked, [(name, safe)]) or found
            if lines:
                return _Near(name, lines, that_make_equal(safe, asked))
            return _Near(name, lines, is_edited=near_requests.is_edited(request, name))
    return None


def _nearness(near: _Near | None) -> Iterator[str]:
    if near is None:
        yield "There is no recording of that path."
    elif near.differences:
        yield f"The nearest recording is {near.name}; it differs (recorded → requested) in"
        yield from (f"  {line}" for line in near.differences)
        yield from _ways_to_match(near)
    elif near.is_edited:
        yield f"{near.name} holds this very request under another key: it was edited, or redacted otherwise."
    else:
        yield f"The nearest recording is {near.name}; it differs in the method or the query only."


def _ways_to_match(near: _Near) -> Iterator[str]:
    if all(line.startswith(RANDOM) for line in near.differences):
        yield f"Frameworks make {RANDOM} anew in each run. Set ignore={RANDOM!r}, in recording and replay."
    elif near.normalizers:
        listed = ", ".join(map(repr, near.normalizers))
        yield f"The two would be equal with normalize=[{listed}], in recording and replay."


def way_to_record(
    store: Store, mode: str, redactor: Redactor, own_mode: str | None, known: Callable[[str], str] | None
) -> str:
    """Return the command that records a request in a mode; the arguments are those of `explain`."""
    return _mend(store, mode, own_mode, _command_line(redactor), known)


def _mend(store: Store, mode: str, own_mode: str | None, line: str, known: Callable[[str], str] | None) -> str:
    if written_of(store).is_foreign:
        return f"It is a directory of llama-stack's recorder. To record it, give another directory and mode={mode!r}."
    if known:
        return f"To record it, run\n  {known(mode)}"
    if place := _interactive():
        change = f"change mode={own_mode!r} to mode={mode!r}" if own_mode else f"say mode={mode!r}"
        return f"To record it, {change} {place}, and run that again."
    command = line if len(line) < LONGEST_COMMAND else line[:LONGEST_COMMAND] + " …"
    if own_mode:
        return f"To record it, change mode={own_mode!r} to mode={mode!r}, and run\n  {command}"
    if run := os.environ.get(RUN):
        options = "" if run == "1" else f"{run} "
        places = " ".join(f"--dir {shlex.quote(layer.directory)}" for layer in layers_of(store))
        return f"To record it, run\n  inferencereplay run --mode {mode} {places} {options}-- {command}"
    return f"To record it, run\n  INFERENCEREPLAY_MODE={mode} {command}"


def _interactive() -> str:
    """Return where the code of a notebook, or of an interactive prompt, says its mode; empty for any other program."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if hasattr(shell, "kernel") or any("kernel_launcher" in part for part in program):
        return "in the cell"
    return "where the session begins" if hasattr(sys, "ps1") else ""


def _listed(places: list[str]) -> str:
    """Name directories, those below the working directory by their path from there."""
    with contextlib.suppress(OSError):  # there is no working directory any more
        here = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118 - as it was spelled
        places = [place.removeprefix(here) for place in places]
    return " and in ".join(places)
