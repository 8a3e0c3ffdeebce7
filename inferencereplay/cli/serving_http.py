"""`serve`: answer programs in any language from recordings, over HTTP."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import shlex
from typing import TYPE_CHECKING, Any

import click

from inferencereplay.cli import options, terminal
from inferencereplay.errors import InferenceReplayError
from inferencereplay.session.settings import Mode, parse_text
from inferencereplay.store.location import is_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from inferencereplay.cli.options import Directories


_EXAMPLE = "Example: inferencereplay serve recordings --port 8000; OPENAI_BASE_URL=http://127.0.0.1:8000/v1 npm test"
_WORKERS = "Processes; each numbers equal requests for itself."
_KEY = "INFERENCEREPLAY_API_KEY"


class _Messages(logging.Handler):
    """Shows warnings of the package."""

    def emit(self, record: logging.LogRecord) -> None:
        for line in record.getMessage().split("\n"):
            terminal.note(line)


@contextlib.contextmanager
def _shown() -> Iterator[None]:
    """Show the warnings of the package meanwhile."""
    log, handler = logging.getLogger("inferencereplay"), _Messages(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _show_profiles(context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    if "list" in names:
        from inferencereplay.server.profiles import PROFILES  # noqa: PLC0415 - only then

        for name, profile in PROFILES.items():
            terminal.show((name, "bold"), f"  {profile.what}")
        context.exit()
    return names


@click.command(epilog=_EXAMPLE)
@options.whole_directory
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 chooses a free one.")
@options.mode
@click.option("--upstream", metavar="URL", help="The base URL that unrecorded requests go to in the other modes.")
@options.session_settings
@click.option("--variants", metavar="ORDER", default="in-order", show_default=True, help="Or: cycle, random.")
@click.option(
    "--match",
    multiple=True,
    metavar="PROFILE",
    is_eager=True,
    callback=_show_profiles,
    help="What a request may differ in; may be repeated. `--match list` lists the profiles.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help=_WORKERS)
@click.option("--api-key", envvar=_KEY, show_envvar=True, metavar="KEY", help="The key that requests have to hold.")
@click.option("--cors", multiple=True, metavar="ORIGIN", help="A web page's origin that may ask; may be repeated.")
@click.option("--fail-on-miss", is_flag=True, help="Exit status 1 if a request was not recorded.")
def serve(directory: Directories, host: str, port: int, workers: int, *, fail_on_miss: bool, **given: Any) -> int:
    """Answer HTTP requests from the recordings of a directory.

    Programs in any language use it as their base URL, with /v1 or without. It ends at an interrupt or SIGTERM, and then
    says what it served. Exit status 1 with --fail-on-miss if a request was not recorded.
    """
    try:
        from inferencereplay.server import serving  # noqa: PLC0415 - the extra may not be installed
        from inferencereplay.server.application import Application, Serving  # noqa: PLC0415 - as above
        from inferencereplay.server.workers import check_workers, serve_in_processes  # noqa: PLC0415 - as above
        from inferencereplay.session.session import Session  # noqa: PLC0415 - only then
    except ImportError as error:
        message = f"`serve` needs the package {error.name}: pip install 'inferencereplay[serve]'"
        raise InferenceReplayError(message) from error
    of_server = {name: given.pop(name) for name in Serving.__annotations__}
    texts = options.texts(given)
    session = Session(directory, **{name: parse_text(name, text, options.flag(name)) for name, text in texts.items()})
    session.command = _command(directory, {**texts, **of_server, "host": host, "port": port})
    check_workers(workers, session.mode)
    application = Application(session, workers, **of_server)
    with serving.listen(host, port) as listening:
        terminal.note(f"Serving {options.shown(directory)} ({session.mode.value}) at {serving.url_of(listening)}")
        if session.mode is Mode.REPLAY and all(is_missing(str(place)) for place in options.places(directory)):
            terminal.note("That directory does not exist. Until it does, each request is a miss.")
        if not (_is_loopback(host) or of_server["api_key"]):
            terminal.note(f"Anyone who reaches {host}:{port} can read the recordings. --api-key asks for a key.")
        with _shown():
            serve_in_processes(application, listening, workers)
    terminal.note(application.metrics.summary())
    return 1 if fail_on_miss and application.metrics.total("misses") else 0


def _command(directory: Directories, given: Mapping[str, Any]) -> Callable[[str], str]:
    """Return what makes the command that records, for the message of a miss."""

    def command(mode: str) -> str:
        upstream = given["upstream"] or "URL"
        named = [word for place in options.places(directory) for word in ("--dir", str(place))]
        place = named if len(named) > 2 else named[1:]  # noqa: PLR2004 - one directory is an argument
        words = ["inferencereplay", "serve", *place, "--mode", mode, "--upstream", upstream, *_as_words(given)]
        return shlex.join(words)

    return command


def _as_words(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options that decide a request's key, and the address."""
    for name in ("ignore", "normalize", "redact", "host", "port"):
        if name in given:
            yield from (options.flag(name), str(given[name]))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
