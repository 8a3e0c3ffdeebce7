"""`calibrate`: run a program twice, and find the settings under which both runs ask the same."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferencereplay.calibration.findings import compare
from inferencereplay.calibration.proposal import Proposal
from inferencereplay.calibration.recorded_run import Asked, read_run
from inferencereplay.catalogue.entries import Catalogue, Unreadable
from inferencereplay.catalogue.layered import open_catalogue
from inferencereplay.cli import options, terminal
from inferencereplay.cli.calibration_results import line_of, plain, show
from inferencereplay.cli.running import prepare
from inferencereplay.errors import InferenceReplayError, InvalidSetting
from inferencereplay.normalizers import split_names
from inferencereplay.session.settings import CALIBRATION, VARIABLES
from inferencereplay.store.opening_files import open_files
from inferencereplay.upkeep.copying import FAILED, Copying

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inferencereplay.cli.options import Directories

_EXAMPLE = (
    "Examples: inferencereplay calibrate -- python app.py; inferencereplay calibrate -d tests/recordings -- pytest"
)


@click.command(context_settings={"allow_interspersed_args": False}, epilog=_EXAMPLE)
@click.option(
    *("-d", "--dir", "directory"),
    type=options.PLACE,
    multiple=True,
    metavar="DIR|URL",
    callback=options.before_command,
    help="Recordings that answer what they can, so that only the rest is asked. Nothing in it is changed.",
)
@click.option(
    "--keep",
    type=options.PATH,
    metavar="FOLDER",
    help="Keep the recordings of the runs there, in run-1 and run-2, instead of removing them.",
)
@options.setting("ignore", options.IGNORE_HELP, multiple=True, metavar="PATH")
@options.setting("normalize", options.NORMALIZERS_HELP, multiple=True, metavar="NAME")
@options.setting("redact", options.REDACT_HELP, metavar="REGEX")
@options.setting("live", "A path that is not recorded, such as /embeddings; may be repeated.", multiple=True)
@options.setting("only", "A path that is recorded, while all others are not; may be repeated.", multiple=True)
@options.as_json
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def calibrate(
    directory: Directories | None, keep: Path | None, command: tuple[str, ...], *, is_json: bool, **given: Any
) -> int:
    """Find what varies from run to run in the requests of COMMAND.

    COMMAND is run twice, and its calls are answered live: each run costs what the program costs. They are recorded into
    temporary directories, whatever directories and modes the program names itself. Then the two runs are compared: the
    settings are printed under which their requests are equal, and what these let through besides. What COMMAND prints
    goes to standard error. Exit status 1 if some requests stay different under the settings.
    """
    settings = options.texts({"mode": "record-if-missing", **given})
    known = open_catalogue(options.places(directory)) if directory is not None else None
    foreign = [part.directory for part in known.parts if part.store.is_foreign] if known else []
    if foreign:
        message = f"{foreign[0]} is llama-stack's, and cannot be added to. Import it first, and give that directory."
        raise InvalidSetting(message)
    with _workplace(keep) as place:
        old = frozenset(name for part in known.parts for name in part.names()) if known else frozenset()
        runs = []
        for number in (1, 2):
            folder = place / f"run-{number}"
            _fill(folder, known)
            terminal.note(f"Run {number} of 2: {line_of(command)}")
            _run(command, folder, settings, is_known=known is not None)
            runs.append(_read(Catalogue(folder), old, f"reading run {number}"))
            if not runs[0]:
                raise InferenceReplayError(_nothing_asked(command, is_known=known is not None))
        asked = _read(known, frozenset(), "reading") if known else []
        found = compare(*runs, given=_base(settings), directory=str(place), progress=terminal.progress, known=asked)
        if is_json:
            terminal.show_json(plain(command, runs, found))
        else:
            show(command, runs, found)
    return 0 if found.is_calibrated else 1


# The runs.


@contextlib.contextmanager
def _workplace(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="inferencereplay-") as made:
            yield Path(made)
        return
    place = keep.expanduser().absolute()
    taken = [place / f"run-{number}" for number in (1, 2) if os.path.lexists(place / f"run-{number}")]
    if taken:
        message = f"{taken[0]} is there already. Give another folder, or remove it."
        raise click.BadParameter(message, param_hint="--keep")
    place.mkdir(parents=True, exist_ok=True)
    yield place


def _fill(folder: Path, known: Catalogue | None) -> None:
    """Make the directory of a run, with copies of known recordings; of layers, the one before answers a request."""
    folder.mkdir()
    for part in known.parts if known else ():
        copying = Copying(part.files, open_files(folder))
        plan = copying.plan()
        for copied in terminal.progress(copying.run(plan), sum(map(len, plan)), "copying"):
            if copied.outcome == FAILED:
                terminal.note(copied.reason)


def _run(command: tuple[str, ...], folder: Path, settings: Mapping[str, str], *, is_known: bool) -> None:
    """Run the program once.

    Raises:
        click.UsageError: if it cannot be started.
        InferenceReplayError: if it fails.
    """
    again = {} if is_known else {"exhausted": "record"}  # an equal call is asked again, as the program would
    environment = prepare(os.environ, directory=folder, settings={**settings, **again}, used=None)
    environment[CALIBRATION] = str(folder)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        done = subprocess.run(command, env=environment, stdout=_standard_error(), check=False)  # noqa: S603 - the user asks for it
    except OSError as error:
        is_script = command[0].endswith(".py")
        way_out = f". Run it with Python: inferencereplay calibrate -- python {line_of(command)}" if is_script else ""
        message = f"{command[0]}: {error.strerror}{way_out}"
        raise click.UsageError(message) from error
    if done.returncode:
        how = f"exit status {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        way_out = f"inferencereplay calibrate -- sh -c {shlex.quote(f'{line_of(command)}; true')}"
        message = (
            f"{line_of(command)} failed ({how}), and what it asked may not be all. Mend it first; to compare "
            f"two runs all the same:\n  {way_out}"
        )
        raise InferenceReplayError(message)


def _standard_error() -> int | None:
    """Return where the program prints to: a result on standard output is ours alone."""
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError):  # a stream without a file, as in tests
        return subprocess.DEVNULL


def _read(catalogue: Catalogue, old: frozenset[str], what: str) -> list[Asked]:
    names = [name for name in catalogue.names() if name not in old]
    found = []
    for item in read_run(terminal.progress(catalogue.scan(names), len(names), what)):
        if isinstance(item, Unreadable):
            terminal.note(item.reason)
        else:
            found.append(item)
    return found


def _nothing_asked(command: tuple[str, ...], *, is_known: bool) -> str:
    if is_known:
        return f"{line_of(command)} made no call that the given recordings do not answer: there is nothing to find."
    return (
        f"{line_of(command)} made no call with the openai package that was recorded. It has to be run by a Python "
        "that has openai and inferencereplay, and not with -I, -E or -S."
    )


def _base(settings: Mapping[str, str]) -> Proposal:
    """Return the settings that the runs had already."""
    given = [settings.get(name) or os.environ.get(VARIABLES[name], "") for name in ("ignore", "normalize")]
    ignore, normalize = (tuple(filter(None, split_names(text))) for text in given)
    return Proposal(ignore, normalize)
