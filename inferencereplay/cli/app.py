"""The group of commands, and the messages and exit statuses of their errors."""

from __future__ import annotations

import logging
import os
import re
import sys
from typing import TYPE_CHECKING

import click

import inferencereplay
from inferencereplay.cli import options
from inferencereplay.cli.asking_why import why
from inferencereplay.cli.calibrating import calibrate
from inferencereplay.cli.comparing import diff
from inferencereplay.cli.converting import export, import_
from inferencereplay.cli.copying_files import copy
from inferencereplay.cli.git_calls import git_merge, git_textconv
from inferencereplay.cli.git_setup import git_setup
from inferencereplay.cli.listing import list_, stats
from inferencereplay.cli.reporting import report
from inferencereplay.cli.running import run as run_command
from inferencereplay.cli.serving_http import serve
from inferencereplay.cli.showing import play, show
from inferencereplay.cli.terminal import note, open_streams, silence
from inferencereplay.cli.tidying import check, prune, rekey
from inferencereplay.cli.verifying import refresh, verify
from inferencereplay.cli.writing import new
from inferencereplay.errors import InferenceReplayError

if TYPE_CHECKING:
    from inferencereplay.store.location import Location

_FAILED = 2
_BREAKS = re.compile(r"\s*\n\s*")
"""The separator of the choices that click lists."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(inferencereplay.__version__, "-V", "--version", prog_name="inferencereplay")
@click.option(
    *("-d", "--dir", "directory"),
    type=options.PLACE,
    multiple=True,
    metavar="DIR|URL",
    help="The directory or URL of the recordings, for commands that have one; also after the command.",
)
@click.pass_context
def group(context: click.Context, directory: tuple[Location, ...]) -> None:
    """Record the calls of an OpenAI client once; replay them offline.

    Exit status: 0 for success, 1 if a command found something wrong, different or missing, 2 if it could not do its
    work. Name a recording by the first digits of its key, or by its file.
    """
    command = group.commands.get(context.invoked_subcommand or "")
    if directory and command and all(option.name != "directory" for option in command.params):
        message = f"{command.name} has no option --dir. See '{context.command_path} {command.name} --help'."
        raise click.UsageError(message)


for _command in (
    list_,
    show,
    play,
    diff,
    why,
    run_command,
    calibrate,
    check,
    stats,
    prune,
    rekey,
    copy,
    import_,
    export,
    new,
    report,
    serve,
    verify,
    refresh,
    git_setup,
    git_merge,
    git_textconv,
):
    group.add_command(_command)


def run(arguments: list[str]) -> int:
    """Run a command and return its exit status."""
    logging.getLogger("inferencereplay").addHandler(
        logging.NullHandler()
    )  # the commands print what the user has to know
    open_streams()
    try:
        with group.make_context("inferencereplay", arguments) as context:  # `main` would end the process
            status = group.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:  # its message is the help
        _note_lines(error.format_message())
        return _FAILED
    except click.UsageError as error:
        return _report_usage(error)
    except BrokenPipeError:
        silence(sys.stdout)  # the reader of the rows has left
        return 0
    except InferenceReplayError as error:
        _note_lines(f"Error: {error}")
        return _FAILED
    except OSError as error:
        place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        note(f"Error: {place}{error.strerror}.")
        return _FAILED
    return status if isinstance(status, int) else 0


def _note_lines(text: str) -> None:
    for line in text.split("\n"):
        note(line)


def _report_usage(error: click.UsageError) -> int:
    for line in (error.ctx.get_usage(), f"Try '{error.ctx.command_path} --help'.") if error.ctx else ():
        note(line)
    note(f"Error: {_BREAKS.sub(' ', error.format_message())}")
    return _FAILED
