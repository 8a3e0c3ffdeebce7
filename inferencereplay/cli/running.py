"""`run`: a program recorded or replayed without a change to its code."""

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
from inferencereplay.session.settings import VARIABLES, parse_mode, parse_speed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inferencereplay.session.settings import Mode

STARTUP = Path(__file__).parents[1] / "startup"
_EXAMPLES = "Examples: inferencereplay run -- python app.py; inferencereplay run --mode record-if-missing -- pytest -q"
_IGNORED = [getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name)]
"""Signals that Python ignores, which the command would inherit: a shell's `yes | head -1` would be told of an error."""


def _read_by(parse: Callable[[str, str], Any]) -> Callable[[click.Context, click.Parameter, str], Any]:
    """Return what reads an option that the environment may give as well, and says where it is wrong."""

    def read(context: click.Context, option: click.Parameter, value: str) -> Any:
        name = option.name or ""
        from_environment = context.get_parameter_source(name) is click.core.ParameterSource.ENVIRONMENT
        return parse(value, VARIABLES[name] if from_environment else f"--{name}")

    return read


@click.command(context_settings={"allow_interspersed_args": False}, epilog=_EXAMPLES)
@click.option(
    "--mode",
    envvar=VARIABLES["mode"],
    default="replay",
    show_default=True,
    show_envvar=True,
    callback=_read_by(parse_mode),
    help="replay, record-if-missing, record or live.",
)
@options.in_directory
@click.option(
    "--speed",
    envvar=VARIABLES["speed"],
    default="inf",
    show_default=True,
    show_envvar=True,
    callback=_read_by(parse_speed),
)
@click.option("--used", type=options.PATH, metavar="FILE", help="Add the names of the used recordings to this file.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(mode: Mode, directory: Path, speed: float, used: Path | None, command: tuple[str, ...]) -> None:
    """Run COMMAND with every OpenAI client in it, and in its child processes, recorded or replayed.

    The command takes the place of this process: its exit status is the command's, and signals reach it. A call that
    was not recorded raises RecordingNotFound in the program; if the program swallows it, its end says so.
    """
    environment = prepare(os.environ, mode=mode, directory=directory, speed=speed, used=used)
    ours = {number: signal.signal(number, signal.SIG_DFL) for number in _IGNORED}
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - what the user asks for
    except OSError as error:
        is_script = command[0].endswith(".py")
        way_out = f". Run it with Python: inferencereplay run -- python {shlex.join(command)}" if is_script else ""
        message = f"{command[0]}: {error.strerror}{way_out}"
        raise click.UsageError(message) from error
    finally:  # this process goes on only if the command could not be started
        for number, handler in ours.items():
            signal.signal(number, handler)


def prepare(
    environment: Mapping[str, str], *, mode: Mode, directory: Path, speed: float, used: Path | None
) -> dict[str, str]:
    """Return the environment that lets a Python program, and its children, be recorded or replayed."""
    made = {**environment, RUN: "1"}
    made[VARIABLES["mode"]] = mode.value
    made[VARIABLES["directory"]] = str(directory.expanduser().absolute())  # children may have other working directories
    made[VARIABLES["speed"]] = str(speed)
    if used is not None:
        made[USED] = str(used.absolute())
    given = environment.get("PYTHONPATH")  # an empty part of it is the working directory
    elsewhere = [place for place in given.split(os.pathsep) if place != str(STARTUP)] if given else []
    made["PYTHONPATH"] = os.pathsep.join([str(STARTUP), *elsewhere])
    return made
