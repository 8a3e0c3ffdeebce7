"""`run`: record or replay a program without a change to its code."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferencereplay.cli import options
from inferencereplay.environment import USED
from inferencereplay.session.misses import RUN
from inferencereplay.session.settings import DEFAULT, VARIABLES, Mode, join_layers, parse_text, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inferencereplay.cli.options import Directories

STARTUP = Path(__file__).parents[1] / "startup"
_EXAMPLES = "Examples: inferencereplay run -- python app.py; inferencereplay run --mode record-if-missing -- pytest -q"
_RELATIVE = ("write_to", "prefetch")
"""Settings that name a place relative to the working directory."""
_IGNORED = [getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name)]
"""Signals that Python ignores. The command would inherit that, and `yes | head -1` in a shell would report an error."""


@click.command(context_settings={"allow_interspersed_args": False}, epilog=_EXAMPLES)
@options.mode
@options.to_directory
@options.session_settings
@options.faults
@click.option("--used", type=options.PATH, metavar="FILE", help="Add the names of the used recordings to this file.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(directory: Directories, used: Path | None, command: tuple[str, ...], **given: Any) -> None:
    """Record or replay the OpenAI calls of COMMAND.

    Every OpenAI client in the command and in its child processes is covered, with no change to the program. The command
    takes the place of this process: its exit status is the command's, and signals reach it. A call that was not
    recorded raises RecordingNotFound in the program; if the program swallows it, a message says so at its end.
    """
    settings = options.texts(given)
    is_default = not options.is_given("directory")
    environment = prepare(os.environ, directory=directory, settings=settings, used=used, is_default=is_default)
    ours = {number: signal.signal(number, signal.SIG_DFL) for number in _IGNORED}
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - the user asks for it
    except OSError as error:
        is_script = command[0].endswith(".py")
        way_out = f". Run it with Python: inferencereplay run -- python {shlex.join(command)}" if is_script else ""
        message = f"{command[0]}: {error.strerror}{way_out}"
        raise click.UsageError(message) from error
    finally:  # this process goes on only if the command could not be started
        for number, handler in ours.items():
            signal.signal(number, handler)


def _as_options(settings: Mapping[str, str]) -> Iterator[str]:
    """Yield the options that the command for recording repeats; it has a mode of its own."""
    for name, text in settings.items():
        if name in ("record_errors", "keep_uploads", "keep_equal"):
            yield options.flag(name if text == "true" else f"no_{name}")
        elif name != "mode":
            yield from (options.flag(name), *(text.split(",") if name == "pace" else [text]))


def _anywhere(name: str, text: str, directory: Directories) -> str:
    """Return the text of a setting for processes whose working directory may be another one."""
    if name == "write_to":
        return str(resolve(directory, {name: parse_text(name, text, VARIABLES[name])}).write_to)
    return str(Path(text).expanduser().absolute()) if name == "prefetch" else text


def prepare(
    environment: Mapping[str, str],
    *,
    directory: Directories,
    settings: Mapping[str, str],
    used: Path | None,
    is_default: bool = False,
) -> dict[str, str]:
    """Return the environment in which a Python program, and its children, are recorded or replayed.

    Args:
        environment: that of this process.
        directory: where the recordings live.
        settings: texts by the names of settings; the environment's own are kept for the rest.
        used: the file that gets the names of the used recordings.
        is_default: whether nobody has named the directory; pytest's tests with recordings then keep their own.
    """
    made = {VARIABLES["mode"]: Mode.REPLAY.value, **environment}
    made[VARIABLES["directory"]] = join_layers(str(place.absolute()) for place in options.places(directory))
    settings = {name: _anywhere(name, text, directory) for name, text in settings.items()}
    made |= {VARIABLES[name]: text for name, text in settings.items()}
    for name in _RELATIVE:
        if name not in settings and (text := environment.get(VARIABLES[name])):
            made[VARIABLES[name]] = _anywhere(name, text, directory)
    made[RUN] = shlex.join(_as_options(settings)) or "1"
    made.pop(DEFAULT, None)
    if is_default:
        made[DEFAULT] = made[VARIABLES["directory"]]
    if used is not None:
        made[USED] = str(used.absolute())
    given_path = environment.get("PYTHONPATH")  # an empty part of it is the working directory
    elsewhere = [place for place in given_path.split(os.pathsep) if place != str(STARTUP)] if given_path else []
    made["PYTHONPATH"] = os.pathsep.join([str(STARTUP), *elsewhere])
    return made
