"""`serve`: answer programs in any language from recordings, over HTTP."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import click

from inferencereplay.cli import options, terminal
from inferencereplay.errors import InferenceReplayError

if TYPE_CHECKING:
    from pathlib import Path

_EXAMPLE = "Example: inferencereplay serve recordings --port 8000; OPENAI_BASE_URL=http://127.0.0.1:8000/v1 npm test"


@click.command(epilog=_EXAMPLE)
@options.whole_directory
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 chooses a free one.")
@click.option("--speed", metavar="NUMBER", help="1 is the recorded pace, 10 ten times faster, inf does not wait.")
@click.option("--fail-on-miss", is_flag=True, help="Exit status 1 if a request was not recorded.")
def serve(directory: Path, host: str, port: int, *, fail_on_miss: bool, **given: Any) -> int:
    """Answer HTTP requests from the recordings of a directory.

    Clients use it as their base URL, with /v1 or without. It ends at an interrupt or SIGTERM. Exit status 1 with
    --fail-on-miss if a request was not recorded.
    """
    try:
        from inferencereplay import server  # noqa: PLC0415 - the extra may not be installed
        from inferencereplay.server import serving  # noqa: PLC0415 - as above
    except ImportError as error:
        message = f"`serve` needs the package {error.name}: pip install 'inferencereplay[serve]'"
        raise InferenceReplayError(message) from error
    application = server.app(directory, **{name: value for name, value in given.items() if value is not None})
    with serving.listen(host, port) as listening:
        terminal.note(f"Serving {directory} at {serving.url_of(listening)}")
        if not _is_loopback(host):
            terminal.note(f"Anyone who reaches {host}:{port} can read the recordings.")
        serving.serve(application, listening)
    return 1 if fail_on_miss and application.metrics.total("misses") else 0


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
