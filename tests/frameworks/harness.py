"""Records and replays what a framework can do, and compares all that its user can see.

A framework is added by one script, `with_<name>.py`; the session `frameworks(<name>)` of nox is made of it. At its
head stand its requirements, as PEP 723 has them, and beneath `[tool.frameworks]` the older versions of the SDK on which
it runs as well; then

    suite = Suite("langchain-openai")                # the distribution whose version is told

    def chat(url):                                   # makes the framework's object: before or inside `with replay`
        return ChatOpenAI(model="gpt-4o-mini", base_url=url, api_key=KEY)

    @suite.capability("plain", chat)
    def plain(model):                                # uses it, and returns what a user sees; see `facts`
        return model.invoke("Hello")

    @suite.capability("async", chat)
    async def async_(model):
        return await model.ainvoke("Hello")

    @suite.check("threads")                          # whatever is no capability, with the server at hand
    def threads(server):
        assert ...

    suite.lacks("audio", "the framework has no …")   # listed with its reason

    @suite.bypass("its own client", chat)            # calls HTTP without the SDK, so that we never see it
    def bypassing(model):
        return model.invoke("Hello")

    suite.main()

Each capability runs

1. live;
2. recorded, its object made inside `with replay(directory, mode="record")`, and the server's answers numbered as
   before: it must see what it saw live;
3. recorded into another directory, its object made before the `with`, and the answers numbered otherwise: it must see
   something else, or what is compared could not tell one answer from another;
4. with the server gone, replayed from both directories, the object made before and inside: it must see what it saw
   while that was recorded;
5. replayed from a directory in which there is nothing: that it was not recorded must reach its user, be it within an
   error of the framework's.

The session's counts have to fit the requests that the server got, in replay nothing may connect to anywhere, and every
recording has to be used. Of what bypasses the SDK it is checked that it does: its requests reach the server, in
`replay` as well, and no session counts them. A row is printed for each capability; the exit status is 1 if one is `no`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import inspect
import json
import os
import platform
import sys
import tempfile
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facts import differences, facts
from fake_server import FakeServer

from inferencereplay import replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferencereplay import Session

KEY = "sk-frameworks-0123456789abcdef"
MODEL = "gpt-4o-mini"
RESULTS = Path(__file__).with_name("results")
MOST_SHOWN = 12
"""Differences that are printed."""
NOT_RECORDED = "was not recorded in"
"""What a miss says."""
MOST_FRAMES = 4
"""Frames of an error that are printed."""


class DifferenceError(Exception):
    """A capability that is not what it was live."""


@dataclass
class Row:
    """What became of one capability.

    Attributes:
        outcome: whether it was recorded and replayed as it was live: `yes` or `no`; `lacking` if the framework has no
            such thing; `bypasses` if the framework does it without the SDK, as expected.
        detail: why, unless it is `yes`.
    """

    capability: str
    outcome: str
    detail: str = ""


@dataclass
class _Capability:
    name: str
    make: Callable[[str], Any]
    use: Callable[[Any], Any]
    root: Path
    is_bypass: bool = False
    is_keyless: bool = False
    is_check: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)
    """Facts by the name of the directory that they were recorded into."""


class Suite:
    """The capabilities of one framework.

    Args:
        distribution: the name by which it is installed.
    """

    def __init__(self, distribution: str) -> None:
        self._distribution = distribution
        self._capabilities: list[_Capability] = []
        self._rows: dict[str, Row] = {}
        self._temporary = tempfile.TemporaryDirectory()
        self._loop = asyncio.new_event_loop()
        self._server = FakeServer()
        self._connections: list[Any] | None = None
        sys.addaudithook(self._listen)

    def capability(
        self, name: str, make: Callable[[str], Any], *, is_keyless: bool = False, ignore: str | None = None
    ) -> Callable[[Callable[[Any], Any]], Any]:
        """Decorate a function, or coroutine function, that uses what `make` makes of the server's URL.

        It returns what its user sees. If it raises, the capability has failed. The name is made of words that the
        overview of docs/frameworks.md counts, see `table.COLUMNS`, and of others.

        Args:
            name: what is told.
            make: makes the framework's object of the server's URL.
            is_keyless: whether `make` leaves the API key to the environment; there is one live, and none in replay.
            ignore: the member of the request that the framework fills at random, for `replay(ignore=...)`.
        """

        def decorate(use: Callable[[Any], Any]) -> Callable[[Any], Any]:
            one = self._add(name, make, use, Row(name, "yes"))
            one.is_keyless, one.settings = is_keyless, {"ignore": ignore} if ignore else {}
            return use

        return decorate

    def bypass(self, name: str, make: Callable[[str], Any]) -> Callable[[Callable[[Any], Any]], Any]:
        """Do the same with what reaches HTTP without the SDK."""

        def decorate(use: Callable[[Any], Any]) -> Callable[[Any], Any]:
            self._add(name, make, use, Row(name, "bypasses", "does not use the SDK"))
            return use

        return decorate

    def check(self, name: str) -> Callable[[Callable[[FakeServer], Any]], Any]:
        """Decorate a function, or coroutine function, of the running server that raises if something is not right."""

        def decorate(function: Callable[[FakeServer], Any]) -> Callable[[FakeServer], Any]:
            self._add(name, str, function, Row(name, "yes")).is_check = True
            return function

        return decorate

    def lacks(self, name: str, reason: str) -> None:
        """List a capability that the framework does not have, or that cannot be recorded."""
        self._rows[name] = Row(name, "lacking", reason)

    def main(self) -> None:
        """Run all, tell what came of it, and exit."""
        parser = argparse.ArgumentParser(description=f"Record and replay what {self._distribution} can do.")
        parser.add_argument("--save", action="store_true", help="keep the result for docs/frameworks.md")
        parser.add_argument("--name", default=self._distribution, help="the name by which it is kept")
        parser.add_argument("--only", help="run the capabilities whose name contains this")
        options = parser.parse_args()
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "INFERENCEREPLAY_MODE", "INFERENCEREPLAY_DIR"):
            os.environ.pop(name, None)
        capabilities = [one for one in self._capabilities if (options.only or "") in one.name]
        asyncio.set_event_loop(self._loop)
        for one in capabilities:
            with self._judging(one), _environment_key(is_set=one.is_keyless):
                (self._bypass if one.is_bypass else self._check if one.is_check else self._record)(one)
        self._server.stop()
        for one in capabilities:
            with self._judging(one):
                self._replay(one)
        self._tell({one.name for one in capabilities}, save_as=options.name if options.save else None)

    def _add(self, name: str, make: Callable[[str], Any], use: Callable[[Any], Any], row: Row) -> _Capability:
        if name in self._rows:
            raise ValueError(f"{name!r} is there twice")
        root = Path(self._temporary.name) / str(len(self._capabilities))
        self._capabilities.append(_Capability(name, make, use, root, is_bypass=row.outcome == "bypasses"))
        self._rows[name] = row
        return self._capabilities[-1]

    # What is done with a capability.

    @contextlib.contextmanager
    def _judging(self, one: _Capability) -> Iterator[None]:
        row = self._rows[one.name]
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            traceback.print_exc(-MOST_FRAMES)
            if row.outcome != "no":  # the first error counts
                row.outcome, row.detail = "no", f"{type(error).__name__}: {error}"

    def _record(self, one: _Capability) -> None:
        self._server.number = 0
        live = self._see(one, one.make(self._server.url))
        for directory, number in (("inside", 0), ("before", 1000)):
            self._server.number = number
            before = len(self._server.requests)
            made = one.make(self._server.url) if directory == "before" else None
            with replay(one.root / directory, mode="record", **one.settings) as session:
                made = one.make(self._server.url) if directory == "inside" else made
                one.seen[directory] = self._see(one, made)
            _check_counts(session, recorded=len(self._server.requests) - before)
        _check_equal("recorded", live, one.seen["inside"])
        if not differences(one.seen["inside"], one.seen["before"]):
            raise DifferenceError("what is compared does not tell one answer from another")

    def _check(self, one: _Capability) -> None:
        self._see(one, self._server)

    def _bypass(self, one: _Capability) -> None:
        for mode in ("record", "replay"):
            before = len(self._server.requests)
            with replay(one.root, mode=mode) as session:
                self._see(one, one.make(self._server.url))
            if len(self._server.requests) == before:
                raise DifferenceError(f"it called nobody, mode={mode!r}")
            if session.hits or session.misses or session.recorded:
                raise DifferenceError("it uses the SDK: make it a capability")

    def _replay(self, one: _Capability) -> None:
        for directory, seen in one.seen.items():
            for place in ("inside",) if one.is_keyless else ("before", "inside"):
                made = one.make(self._server.url) if place == "before" else None
                with self._offline(), replay(one.root / directory, **one.settings) as session:
                    made = one.make(self._server.url) if place == "inside" else made
                    replayed = self._see(one, made)
                _check_equal(f"recorded {directory}, replayed {place}", seen, replayed)
                _check_counts(session, hits=len(list((one.root / directory).rglob("*.json"))))
                if session.unused():
                    raise DifferenceError(f"not used: {session.unused()}")
        if one.seen:
            self._miss(one)

    def _miss(self, one: _Capability) -> None:
        try:
            with self._offline(), replay(one.root / "nothing", **one.settings):
                self._see(one, one.make(self._server.url))
        except Exception as error:
            if NOT_RECORDED not in _messages(error):
                raise
        else:
            raise DifferenceError("nothing was recorded, and nobody says so")

    @contextlib.contextmanager
    def _offline(self) -> Iterator[None]:
        """See that nothing connects to anywhere."""
        self._connections = []
        try:
            yield
        finally:
            connections, self._connections = self._connections, None
        if connections:
            raise DifferenceError(f"connected in replay: {connections}")

    def _see(self, one: _Capability, made: Any) -> Any:
        value = one.use(made)
        return facts(self._loop.run_until_complete(value) if inspect.isawaitable(value) else value)

    def _listen(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note every attempt to reach another process, or another host's name, in replay."""
        if self._connections is not None and event in ("socket.connect", "socket.getaddrinfo"):
            self._connections.append((event, arguments[1] if event == "socket.connect" else arguments[0]))

    # What is told.

    def _tell(self, names: set[str], *, save_as: str | None) -> None:
        rows = [row for row in self._rows.values() if row.outcome == "lacking" or row.capability in names]
        told = {
            "framework": self._distribution,
            "version": importlib.metadata.version(self._distribution),
            "openai": importlib.metadata.version("openai"),
            "python": platform.python_version(),
            "rows": [asdict(row) for row in rows],
        }
        head = f"{told['framework']} {told['version']}  openai {told['openai']}"
        for row in rows:
            print(f"{head}  {row.capability:<58} {row.outcome:<8} {row.detail.partition(chr(10))[0]}")
        print(json.dumps(told))
        if save_as:
            RESULTS.mkdir(exist_ok=True)
            text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
            (RESULTS / f"{save_as}.json").write_text(text, "utf-8")
        self._temporary.cleanup()
        sys.exit(not rows or any(row.outcome == "no" for row in rows))


@contextlib.contextmanager
def _environment_key(*, is_set: bool) -> Iterator[None]:
    if is_set:
        os.environ["OPENAI_API_KEY"] = KEY
    try:
        yield
    finally:
        os.environ.pop("OPENAI_API_KEY", None)


def _messages(error: BaseException | None) -> str:
    """Return what an error says, and what the ones behind it say."""
    return "" if error is None else f"{error}\n{_messages(error.__cause__ or error.__context__)}"


def _check_equal(what: str, expected: Any, seen: Any) -> None:
    lines = differences(expected, seen)
    if lines:
        shown = "\n".join(lines[:MOST_SHOWN])
        raise DifferenceError(f"{what}: {len(lines)} differences\n{shown}")


def _check_counts(session: Session, *, hits: int = 0, recorded: int = 0) -> None:
    counts = {"hits": session.hits, "misses": session.misses, "recorded": session.recorded}
    expected = {"hits": hits, "misses": 0, "recorded": recorded}
    if counts != expected or not hits + recorded:
        raise DifferenceError(f"the session counts {counts}, where {expected} was expected")
