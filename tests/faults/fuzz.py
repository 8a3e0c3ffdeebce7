"""A fuzzer of recordings: each mutated file is replayed by both paths, through the real SDK, under guard.

    python tests/faults/fuzz.py 100000        # so many files; prints what became of them as JSON
    python tests/faults/fuzz.py 1 4711        # one file again, by its number

A file passes if what comes of it, on each path, is the SDK's object, or an error of ours with its facts, or the error
that the SDK itself raises for the very bytes. The guard sees every file that is opened and every module that is looked
for; a file that takes longer than `LONGEST` ends the process with its traceback.
"""

from __future__ import annotations

import collections
import encodings
import faulthandler
import functools
import importlib
import inspect
import json
import logging
import os
import pkgutil
import random
import resource
import shutil
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import openai
from mutation import mutate

from inferencereplay import IncompleteRecording, InferenceReplayError, RecordingCorrupt, RecordingNotFound, replay
from inferencereplay.recording.format import Response, decode
from inferencereplay.sdk import private
from inferencereplay.sdk.http_replay import build_response
from inferencereplay.store.llama_stack_file import UnsupportedFile, parse

sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import ASK, Reply, Server, cheap, chunk, completion, event, plain, sse
from ways import error_facts, facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GIVEN = [Path(__file__).parents[1] / "recordings" / "llama_stack"]
if "LLAMA_STACK_RECORDINGS" in os.environ:  # more of them, which are not part of this repository
    GIVEN.append(Path(os.environ["LLAMA_STACK_RECORDINGS"]))
LONGEST = 60
"""Seconds for one file, which takes some milliseconds, on however busy a machine."""
MEMORY = 64, 8_000_000
"""What a file may take at most: so many times its size, and bytes besides."""
MOST_MEMORY = 2 * 1024**3
"""Bytes of address space of the process; what the measurement does not see, in C and Rust, is bounded by it."""
MEASURED = 20
"""Of so many files the memory of one is measured, for that is slow."""
_KEY = "sk-test-0123456789abcdef"


class Case(NamedTuple):
    """A good file, where it stands, and the call that it answers."""

    name: str
    data: bytes
    call: Callable[[Any], Any]


# Good files.


def _post(path: str, body: Any) -> Callable[[Any], Any]:
    return lambda client: client.post(path, body=body, cast_to=object)


def _chat(**changes: Any) -> Callable[[Any], Any]:
    return lambda client: client.chat.completions.create(**{**ASK, **changes})


def _text(**changes: Any) -> Callable[[Any], Any]:
    return lambda client: client.completions.create(**{"model": "m", "prompt": "Once", **changes})


def _first_of(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Leave a stream after its first chunk."""

    def made(client: Any) -> None:
        with call(client) as stream:
            next(iter(stream))

    return made


def own_cases() -> list[Case]:
    """Record one file of each kind."""
    named = [(0.0, b"event: a.b\n" + event(chunk("x"))), (0.0, event(chunk(None, "stop")))]
    events = {"content-type": "text/event-stream"}
    tools = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    tool = completion("x")
    tool["choices"][0]["message"].update(content=None, tool_calls=tools)
    kinds = [
        (_chat(), plain(completion("Äh 😀"))),
        (_chat(n=2), plain(tool)),
        (_chat(n=3), Reply(body=json.dumps(completion("x"), indent=2).encode())),
        (_chat(n=4), Reply(headers={"content-type": "text/plain; charset=latin-1"}, body=b"no JSON, \xe4h")),
        (_chat(n=5), plain({"error": {"message": "no", "code": "c", "param": "p", "type": "t"}}, 404)),
        (_chat(n=6, extra_query={"a": ["1", "2"]}), plain(completion("x"), openai_version="1")),
        (_chat(stream=True), sse(chunk("Ä"), chunk("b", x_unknown=1), chunk(None, "stop"))),
        (_chat(stream=True, n=2), Reply(headers=events, pieces=named)),
        (_chat(stream=True, n=3), sse(chunk("a"), b"no JSON", is_done=False)),
        (_chat(stream=True, n=4), sse(chunk("a"), is_done=False, is_cut=True)),
        (_chat(stream=True, n=5), sse(chunk("a"), {"error": {"message": "no"}})),
        (_chat(stream=True, n=6), sse(chunk("a"), chunk("b"), chunk("c"))),
        (_text(), None),
        (_text(stream=True), None),
        (lambda client: client.embeddings.create(model="m", input="a"), None),
        (lambda client: client.models.list(), None),
    ]
    with tempfile.TemporaryDirectory() as folder:
        return [_recorded(call, reply, Path(folder, str(number))) for number, (call, reply) in enumerate(kinds)]


def _recorded(call: Callable[[Any], Any], reply: Reply | None, folder: Path) -> Case:
    server = Server()
    server.replies = [reply] if reply else []
    taken = (
        _first_of(call) if reply and "c" in str(reply.pieces and reply.pieces[-2:]) and folder.name == "11" else call
    )
    with replay(folder, mode="record", record_errors=True), client_of(server.url) as client:
        _outcome(taken, client)
    server.stop()
    (file,) = folder.rglob("*.json")
    return Case(str(file.relative_to(folder)), file.read_bytes(), call)


def given_cases() -> list[Case]:
    """Return the given files of llama-stack's recorder."""
    return [_given(file) for folder in GIVEN for file in sorted(folder.rglob("*.json"))]


def _given(file: Path) -> Case:
    request = json.loads(file.read_text())["request"]
    body = {name: value for name, value in (request["body"] or {}).items() if name not in ("extra_headers", "timeout")}
    for path, name in (("chat.completions", "messages"), ("completions", "prompt"), ("embeddings", "input")):
        if name in body and not (name == "input" and "embeddings" not in request.get("url", "")):
            return Case(file.name, file.read_bytes(), _method(path, body))
    if "input" in body:
        return Case(file.name, file.read_bytes(), _post("/" + request["url"].rpartition("/")[2], body))
    return Case(file.name, file.read_bytes(), lambda client: client.models.list())


def _method(path: str, body: dict[str, Any]) -> Callable[[Any], Any]:
    def call(client: Any) -> Any:
        resource = client
        for name in path.split("."):
            resource = getattr(resource, name)
        known = inspect.signature(resource.create).parameters.keys()
        extra = {name: value for name, value in body.items() if name not in known}
        return resource.create(
            **{name: value for name, value in body.items() if name in known and name != "extra_body"},
            extra_body={**extra, **body.get("extra_body", {})} or None,
        )

    return call


# What comes of a call.


def client_of(url: str, **options: Any) -> openai.OpenAI:
    """Make a client that loads no certificates."""
    return openai.OpenAI(**{"api_key": _KEY, "base_url": url, "max_retries": 0, **cheap(), **options})


def _outcome(call: Callable[[Any], Any], client: Any) -> tuple[list[Any], Exception | None]:
    """Return all that a call gives, and the error that it ends with."""
    got: list[Any] = []
    try:
        made = call(client)
        if isinstance(made, openai.Stream):
            got.extend(facts(item) for item in made)
        else:
            got.append(facts(made))
    except Exception as error:  # noqa: BLE001 - whichever it is, it is judged below
        return got, error
    return got, None


async def _parsed(raw: Any) -> Any:
    return (await raw).parse()


class RawClient:
    """A client whose calls ask for the raw response, and so take the SDK path."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name == "create":
            raw = self._client.with_raw_response.create

            @functools.wraps(found)
            def create(**arguments: Any) -> Any:
                made = raw(**arguments)
                return _parsed(made) if inspect.isawaitable(made) else made.parse()

            return create
        return found if callable(found) else RawClient(found)


# The guard.


class Guard:
    """Notes what a process opens, imports and connects to, for as long as it is on.

    Attributes:
        inside: the directory that may be read, ending in a separator; `None` while the guard is off.
        known: the modules that the SDK looks for because of good files, such as numpy.
        seen: what was noted.
    """

    def __init__(self) -> None:
        self.inside: str | None = None
        self.known = {"numpy"}
        self.seen: list[str] = []
        self._folder = Path()
        sys.addaudithook(self._see)

    def _see(self, name: str, arguments: tuple[Any, ...]) -> None:
        if self.inside is None:
            return
        if name == "open" and not self._is_inside(arguments[0], arguments[2]):
            self.seen.append(f"open {arguments[0]!r}")
        elif name == "import" and arguments[0] not in self.known and not arguments[0].startswith("encodings."):
            # A character set's name is looked for among Python's codecs, and nowhere else; all are loaded here.
            self.seen.append(f"import {arguments[0]}")
        elif name in ("socket.connect", "subprocess.Popen", "os.system", "os.exec", "pickle.find_class"):
            self.seen.append(f"{name} {arguments!r}"[:200])

    def _is_inside(self, path: Any, flags: int) -> bool:
        if isinstance(path, int) or self.inside is None:
            return True
        path = Path(self._folder, os.fsdecode(path))  # a name alone is one in the folder that was opened last
        if path.is_dir():
            self._folder = path
        folder, name = os.path.split(path)
        real = f"{os.path.realpath(folder)}/{name}"
        return (real if flags & os.O_NOFOLLOW else os.path.realpath(real)).startswith(self.inside)


def load_all_codecs() -> None:
    """Import what a character set's name could, so that any other import is seen."""
    for module in pkgutil.iter_modules(encodings.__path__):
        try:
            importlib.import_module(f"encodings.{module.name}")
        except ImportError:  # another operating system's
            continue


# Judging.


class Fuzzer:
    """Replays mutated files and counts what came of them.

    Attributes:
        counts: by kind of outcome.
        faults: what must not have happened.
    """

    def __init__(self, folder: Path) -> None:
        load_all_codecs()
        logging.getLogger("inferencereplay").setLevel(logging.CRITICAL)
        self.counts: collections.Counter[str] = collections.Counter()
        self.faults: list[str] = []
        self._root = Path(os.path.realpath(folder))
        self.cases = [*own_cases(), *given_cases()]
        self._all = [case.data for case in self.cases]
        self._guard = Guard()
        with client_of("http://127.0.0.1:9/v1") as client:  # what is imported late is imported now
            for case in self.cases:
                told = self._roads(case, client)
                self._guard.known |= {text[7:] for text in told if text.startswith("import ")}
        self.counts.clear()

    def run(self, numbers: Iterator[int] | range) -> None:
        """Replay the files of these numbers."""
        with client_of("http://127.0.0.1:9/v1") as client:
            for number in numbers:
                draw = random.Random(number)
                case = draw.choice(self.cases)
                data = mutate(draw, case.data, self._all)
                self.replay(case._replace(data=data), client, str(number), is_measured=number % MEASURED == 0)

    def replay(self, case: Case, client: Any, label: str, *, is_measured: bool = False) -> None:
        """Replay one file by both paths, under guard, and judge what comes of it."""
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        modules = set(sys.modules)
        if is_measured:
            tracemalloc.start()
        try:
            told = self._roads(case, client)
            peak = tracemalloc.get_traced_memory()[1] if is_measured else 0
        finally:
            if is_measured:
                tracemalloc.stop()
            faulthandler.cancel_dump_traceback_later()
        told += [f"imported {name}" for name in set(sys.modules) - modules if not name.startswith("encodings.")]
        if peak > MEMORY[0] * len(case.data) + MEMORY[1]:
            told.append(f"took {peak:,} bytes for a file of {len(case.data):,}")
        self.faults += [f"{label} ({case.name}): {text}" for text in told]

    def _roads(self, case: Case, client: Any) -> list[str]:
        folder = self._root / "recordings"
        file = folder / case.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(case.data)
        self._guard.inside, self._guard.seen = f"{folder}/", []
        try:
            fast, _ = self._replayed(folder, case.call, client), self._missed(folder, client)
            parsed = self._replayed(folder, case.call, RawClient(client))
        finally:
            self._guard.inside = None
        told = [*self._guard.seen]
        for outcome in (fast, parsed):
            told += self._judge(outcome, case, client)
        if _comparable(fast) != _comparable(parsed):
            told.append(f"the paths differ: {_shown(fast)} / {_shown(parsed)}")
        shutil.rmtree(folder)
        return told

    def _replayed(self, folder: Path, call: Callable[[Any], Any], client: Any) -> tuple[list[Any], Exception | None]:
        try:
            with replay(folder) as session:
                outcome = _outcome(call, client)
                session.unused()
                session.missed.clear()
        except Exception as error:  # noqa: BLE001 - as above
            return [], error
        return outcome

    def _missed(self, folder: Path, client: Any) -> None:
        """Ask for what is not there: the mutated file is looked at to say what differs."""
        _, error = self._replayed(folder, _chat(n=99, messages=[{"role": "user", "content": [[[{}]]]}]), client)
        if type(error) is not RecordingNotFound:
            self._guard.seen.append(f"a miss gave {error!r}")

    def _judge(self, outcome: tuple[list[Any], Exception | None], case: Case, client: Any) -> list[str]:
        error = outcome[1]
        kind = "object" if error is None else type(error).__name__
        self.counts[kind] += 1
        if isinstance(error, RecordingCorrupt):
            return [] if error.path.endswith(case.name) and error.position else [f"no facts: {error!r}"]
        if isinstance(error, (IncompleteRecording, RecordingNotFound)):
            return [] if error.path else [f"no facts: {error!r}"]
        if error is None or (isinstance(error, openai.OpenAIError) and not isinstance(error, InferenceReplayError)):
            return []
        self.counts["as the SDK itself"] += 1
        live = _of_the_sdk(case, client)
        if error_facts(error)[:2] == (live and error_facts(live)[:2]):
            return []
        return [f"{error!r}"[:300] + f", where the SDK itself gives {live!r}"[:300]]


def _of_the_sdk(case: Case, client: Any) -> Exception | None:
    """Return the error that the SDK raises, without us, for a server that answers the bytes of our own file."""
    library = private.http_library(client)

    def answer(request: Any) -> Any:
        return build_response(_response(case), library, request, None, case.name)

    transport = library.Client(transport=library.MockTransport(answer))
    with client_of("http://127.0.0.1:9/v1", http_client=transport) as live:
        return _outcome(case.call, live)[1]


def _response(case: Case) -> Response:
    try:
        return parse(case.data).response
    except UnsupportedFile:
        return decode(case.data, case.name).response


def _comparable(outcome: tuple[list[Any], Exception | None]) -> Any:
    """Return what two paths must have in common, in a form in which NaN is like itself and sets have an order."""
    got, error = outcome
    return repr(_in_order(got)), error and error_facts(error)[:2]


def _in_order(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return [_in_order(item) for item in value] if isinstance(value, (list, tuple)) else value


def _shown(outcome: tuple[list[Any], Exception | None]) -> str:
    return repr(outcome)[:400]


def main(arguments: list[str]) -> int:
    """Run as the module's docstring says."""
    files, first = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(Path(folder))
        fuzzer.run(range(first, first + files))
    print(json.dumps({"files": files, "outcomes": fuzzer.counts, "faults": fuzzer.faults[:50]}))  # noqa: T201
    return bool(fuzzer.faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
