"""Run a client three times: at a server, at `inferencereplay serve` while it records, and offline at the recordings.

Each time it has to see the same. `python tests/clients/with_curl.py` prints a line for each thing that was compared.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.append(str(Path(__file__).parents[1] / "frameworks"))
from facts import facts
from fake_server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "sk-test-0123456789abcdef"
"""What clients have for a key. It must not be in any recording."""


KEPT = ("content-type", "x-request-id", "openai-processing-ms", "x-ratelimit-remaining-requests")
"""Headers that recordings keep."""


class Counts(NamedTuple):
    """What the server says at its end."""

    requests: int
    hits: int
    misses: int
    recorded: int


class Serving:
    """A running `inferencereplay serve`.

    Attributes:
        url: the base URL, which ends in `/v1`.
        counts: once it has ended.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.counts = Counts(0, 0, 0, 0)
        assert process.stderr is not None
        first = process.stderr.readline()
        found = re.search(r"at (http://\S+)$", first)
        assert found, first + process.stderr.read()
        self.url = found[1]

    def end(self) -> None:
        """End it as an operating system does, and read what it counted."""
        self._process.terminate()
        _, said = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, said
        self.counts = Counts(*map(int, re.findall(r"(\d+) (?:requests?|hits?|misses|miss|recorded)", said)[-4:]))


@contextlib.contextmanager
def serving(directory: Path, *options: str) -> Iterator[Serving]:
    """Serve a directory at a free port, until the block ends."""
    command = (sys.executable, "-m", "inferencereplay", "serve", str(directory), "--port", "0", *options)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        server = Serving(process)
        yield server
        server.end()
    finally:
        process.kill()
        process.wait()


def compare(name: str, client: Callable[[str], dict[str, Any]]) -> None:
    """Run a client three times and make sure that it sees the same each time.

    Args:
        name: of the client, for people.
        client: takes a base URL, and returns what it saw, by the name of what it did.
    """
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, "recordings")
        upstream = FakeServer()
        live = facts(client(upstream.url))
        upstream.number = 0
        with serving(directory, "--mode", "record", "--upstream", upstream.url) as server:
            recorded = facts(client(server.url))
        upstream.stop()
        assert server.counts.recorded, server.counts
        with serving(directory, "--fail-on-miss") as server:
            replayed = facts(client(server.url))
        assert KEY not in "".join(file.read_text() for file in directory.rglob("*.json"))
    _check_equal("recorded", live, recorded)
    _check_equal("replayed", live, replayed)
    assert server.counts.misses == 0, server.counts
    for what in live:
        print(f"{name}: {what}: equal live, recorded and replayed")
    print(f"{name}: {len(live)} of {len(live)}, {server.counts.hits} requests answered offline")


def _check_equal(when: str, live: dict[str, Any], other: dict[str, Any]) -> None:
    for what, expected in live.items():
        shown, wanted = json.dumps(other.get(what), indent=1), json.dumps(expected, indent=1)
        assert shown == wanted, f"{what} is another one {when}:\n{shown}\n{'-' * 9} live:\n{wanted}"


def miss(name: str, client: Callable[[str], Any]) -> None:
    """Make sure that a request without a recording is one request, and that the client shows why it failed.

    Args:
        name: of the client, for people.
        client: takes a base URL, makes one call, and returns the status and the message that its user sees.
    """
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        status, message = client(server.url)
    assert "was not recorded in" in message, message
    assert server.counts.misses == 1, server.counts
    print(f"{name}: a request that was not recorded: status {status}, not repeated, with the reason")
