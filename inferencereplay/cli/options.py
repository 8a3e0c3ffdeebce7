"""Options and arguments that several commands share."""

from __future__ import annotations

import datetime
import functools
import importlib
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.catalogue.filtering import Filter
from inferencereplay.cli.terminal import note
from inferencereplay.errors import InvalidSetting
from inferencereplay.normalizers import is_pattern
from inferencereplay.session.age import read_duration
from inferencereplay.session.settings import (
    DEFAULT_DIRECTORY,
    VARIABLES,
    parse_layers,
    parse_text,
    read_variable,
    split_layers,
)
from inferencereplay.store.location import is_missing, parse_location

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inferencereplay.store.location import Location

    Directories = Location | tuple[Location, ...]

_Command = Any

IGNORE_HELP = "A path into the body that does not count, such as metadata.run_id; may be repeated."
NORMALIZERS_HELP = "What varies and does not count: uuids, timestamps, …; may be repeated."
NORMALIZE_HELP = "The same, or a function from body to body, as module:function; may be repeated."
REDACT_HELP = "What is secret besides the known tokens, as in the session."
PATH = click.Path(path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON.")
redacting = click.option("--redact", multiple=True, metavar="REGEX", help=REDACT_HELP)


class Age(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # not generic before click 8.4
    """A duration such as `30d`."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime.timedelta:
        """Read a duration."""
        found = read_duration(str(value))
        if found is None:
            self.fail(f"{value!r} is no duration. Give a number with s, m, h, d or w, such as 30d.", param, ctx)
        return found


class Number(click.FloatRange):
    """A number in a range; NaN, which is below and above nothing, is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a number."""
        found: float = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is no number.", param, ctx)
        return found


class Moment(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # not generic before click 8.4
    """A date, a date with a time, or how long ago."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime.datetime:
        """Read a date; without a zone it is local time."""
        text = str(value)
        try:
            if (age := read_duration(text)) is not None:
                return datetime.datetime.now(datetime.timezone.utc) - age
            return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no date. Give 2026-11-01, 2026-11-01T10:30, or how long ago: 7d.", param, ctx)


def ago(age: datetime.timedelta) -> datetime.datetime:
    """Return the moment that long ago, or the earliest one of the calendar."""
    try:
        return datetime.datetime.now(datetime.timezone.utc) - age
    except OverflowError:
        return datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)


class Place(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # not generic before click 8.4
    """A directory of recordings, or the URL of an object store."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Location:
        """Read a path, with its tilde, or a URL."""
        try:
            return parse_location(value, "--dir" if isinstance(param, click.Option) else "DIR")
        except InvalidSetting as error:
            self.fail(str(error), param, ctx)

    def split_envvar_value(self, rv: str) -> tuple[str, ...]:
        """Split the directories of a variable."""
        return split_layers(rv)


PLACE = Place()
_REFERENCES = ("reference", "file", "first", "second")
"""The arguments that name a recording by its file, wherever that is."""
FOUND = Path("tests") / DEFAULT_DIRECTORY
"""The directory that is read if no other one is named and the default one does not exist."""


def before_command(
    context: click.Context, parameter: click.Parameter, directories: tuple[Location, ...]
) -> Directories | None:
    """Return what an option `--dir` names: one place, or a tuple; what is before the command if it is not given."""
    given = _before(context)
    if given and context.get_parameter_source(parameter.name or "") is not ParameterSource.COMMANDLINE:
        directories = given
    return parse_layers(directories, "--dir") if directories else None


def is_given(name: str) -> bool:
    """Whether the user has given an option of the current command, before it, or by its variable."""
    context = click.get_current_context()
    is_default = context.get_parameter_source(name) is ParameterSource.DEFAULT
    return not is_default or bool(context.find_root().params.get(name))


def to_directory(command: _Command) -> _Command:
    """Add the option `--dir` of a command that writes; the command gets it as `directory`, see `before_command`."""
    return click.option(
        *("-d", "--dir", "directory"),
        type=PLACE,
        multiple=True,
        metavar="DIR|URL",
        envvar=VARIABLES["directory"],
        default=(DEFAULT_DIRECTORY,),
        callback=before_command,
        show_default=DEFAULT_DIRECTORY,
        show_envvar=True,
        help="The recordings: a directory or a URL. Several are layers, which are looked up in order.",
    )(command)


def in_directory(command: Callable[..., Any]) -> _Command:
    """Add the option `--dir` of a command that reads; `tests/recordings` is found where there is no default one."""

    @functools.wraps(command)
    def chosen(directory: Directories, folder: Location | None = None, **options: Any) -> Any:
        names_file = any(os.path.isfile(options.get(name) or "") for name in _REFERENCES)  # noqa: PTH113
        is_named = names_file or options.get("test") is not None  # whose map has the directories
        return command(directory=folder or (directory if is_named else found(directory)), **options)

    return to_directory(chosen)


def found(directory: Directories) -> Directories:
    """Return the directory to read, which is `tests/recordings` where there is no default one, and say so."""
    context = click.get_current_context()
    is_named = context.get_parameter_source("directory") is not ParameterSource.DEFAULT or bool(_before(context))
    is_default = not is_named and directory == Path(DEFAULT_DIRECTORY)
    if not is_default or not is_missing(str(directory)) or not FOUND.is_dir():
        return directory
    note(f"There is no {directory} here: reading {FOUND}.")
    return FOUND


def _before(context: click.Context) -> tuple[Location, ...]:
    """Return the directories that are named before the command."""
    found: tuple[Location, ...] = context.find_root().params.get("directory") or ()
    return found


def whole_directory(command: Callable[..., Any]) -> _Command:
    """Let the directory be named as an argument as well, the last one."""
    return click.argument("folder", metavar="[DIR]", required=False, type=PLACE)(in_directory(command))


def places(directory: Directories) -> tuple[Location, ...]:
    """Return the directories as a tuple."""
    return directory if isinstance(directory, tuple) else (directory,)


def shown(directory: Directories) -> str:
    """Return the directories for people."""
    return ", ".join(map(str, places(directory)))


def filtered(command: Callable[..., Any]) -> _Command:
    """Add the options of a `Filter`; the command gets it as `wanted`."""

    @functools.wraps(command)
    def chosen(
        model: str,
        path: str,
        since: datetime.datetime | None,
        until: datetime.datetime | None,
        text: str,
        **options: Any,
    ) -> Any:
        return command(wanted=Filter(model, path, since, until, text), **options)

    for option in (
        click.option("--text", default="", metavar="WORDS", help="Words of the request or of the answer."),
        click.option("--until", type=Moment(), help="Recorded before this date."),
        click.option("--since", type=Moment(), help="Recorded at this date or later; 7d: in the last 7 days."),
        click.option("--path", default="", metavar="PART", help="A part of the path, or a pattern: '*/embeddings'."),
        click.option("--model", default="", metavar="PART", help="A part of the model's name, or a pattern: 'gpt-4*'."),
    ):
        chosen = option(chosen)
    return chosen


def flag(name: str) -> str:
    """Return the option of a setting."""
    return f"--{name.replace('_', '-')}"


def setting(name: str, help_: str, **more: Any) -> Callable[[Any], Any]:
    """Add the option of a setting that is inherited from the environment where the option is not given."""
    given = (
        f"{flag(name)}/{flag(f'no_{name}')}" if name in ("record_errors", "keep_uploads", "keep_equal") else flag(name)
    )
    return click.option(given, help=f"{help_}  [env var: {VARIABLES[name]}]", default=None, **more)


faults = setting("faults", "Failures to inject, such as 'status(429, times=2); cut(after=3)'.", metavar="FAULTS")
mode = setting("mode", "replay (the default), record-if-missing, record or live.", metavar="MODE")
_SESSION = (
    setting("speed", "1 is the recorded pace, 10 ten times faster, inf (the default) no wait.", metavar="NUMBER"),
    setting("pace", "The pace of recordings without timing, in seconds.", nargs=2, type=float, metavar="FIRST BETWEEN"),
    setting("ignore", IGNORE_HELP, multiple=True, metavar="PATH"),
    setting("normalize", NORMALIZERS_HELP, multiple=True, metavar="NAME"),
    setting("redact", REDACT_HELP, metavar="REGEX"),
    setting("record_errors", "Store errors of every status, also 429 and 5xx."),
    setting("keep_uploads", "Store the contents of files that the program sends, not only their digests."),
    setting("keep_equal", "Leave a file as it is if the new answer equals it but for ids and times (the default)."),
    setting("max_age", "The age from which on recordings have expired, such as 30d.", metavar="AGE"),
    setting("on_expiry", "What becomes of their calls: warn (the default), error, record.", metavar="WHAT"),
    setting("exhausted", "After the last recording of a request: repeat (the default), error, record.", metavar="WHAT"),
    setting("test_id", "Which of llama-stack's recordings of one request to replay.", metavar="ID"),
    setting(
        "live", "A path that goes to the network, such as /embeddings; may be repeated.", multiple=True, metavar="PATH"
    ),
    setting("only", "A path that does not, while all others do; may be repeated.", multiple=True, metavar="PATH"),
    setting("prefetch", "A file of names: those in an object store are fetched together at first.", metavar="FILE"),
    setting(
        "write_to", "Which of several directories gets the recordings: its number, from 0, or its name.", metavar="DIR"
    ),
)


def keep_recordings(directory: Directories, output: Path) -> None:
    """Make sure that a file to be written replaces none of a directory's recordings.

    Raises:
        click.BadParameter: if it is one.
    """
    file = output.resolve()
    for root in [place.resolve() for place in places(directory) if isinstance(place, Path)]:
        if file.is_relative_to(root) and file.relative_to(root).as_posix() in Catalogue(root).names():
            message = f"{output} is a recording. Give another file."
            raise click.BadParameter(message, param_hint="--output")


def session_settings(command: _Command) -> _Command:
    """Add the options of a session's settings but for its mode and directory."""
    for option in reversed(_SESSION):
        command = option(command)
    return command


def texts(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that options give, as texts; those of the environment are looked at too."""
    found = {}
    for name, value in given.items():
        if value is None or value == ():
            read_variable(name)
            continue
        parts = value if isinstance(value, tuple) else (value,)
        found[name] = ",".join(str(part).lower() if isinstance(part, bool) else str(part) for part in parts)
        parse_text(name, found[name], flag(name))
    return found


def of_a_request(command: Callable[..., Any]) -> _Command:
    """Add the settings that decide a request's key; the command gets them as `settings`."""

    @functools.wraps(command)
    def chosen(ignore: tuple[str, ...], normalize: tuple[str, ...], redact: tuple[str, ...], **options: Any) -> Any:
        functions = [
            name if ":" not in name or is_pattern(name) else function(name, "--normalize") for name in normalize
        ]
        settings = {"ignore": ignore, "redact": redact, "normalize": functions or None}
        return command(settings=settings, **options)

    for option in (
        redacting,
        click.option("--normalize", multiple=True, metavar="NAME", help=NORMALIZE_HELP),
        click.option("--ignore", multiple=True, metavar="PATH", help=IGNORE_HELP),
    ):
        chosen = option(chosen)
    return chosen


def function(name: str, option: str) -> Callable[[Any], Any]:
    """Import a function of the user's, of one argument, that an option names; the working directory is on the path."""
    module, _, attribute = name.partition(":")
    sys.path.insert(0, "")
    try:
        found = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        reason = error if isinstance(error, (ImportError, AttributeError)) else repr(error)
        message = f"{name!r} cannot be imported: {reason}. Give module:function."
        raise click.BadParameter(message, param_hint=option) from error
    finally:
        sys.path.remove("")
    if not callable(found):
        message = f"{name!r} is no function."
        raise click.BadParameter(message, param_hint=option)

    def apply(value: Any) -> Any:
        try:
            return found(value)
        except SystemExit as error:
            message = "it ends the program"
            raise RuntimeError(message) from error

    return apply
