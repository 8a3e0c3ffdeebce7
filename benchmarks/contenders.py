"""Ways to replay calls of the SDK, ours among them, each with its own recorder, its own files and its own matching.

A contender records from a real server and replays what it wrote. What one of them cannot do raises here, and the
comparison shows why.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import json
import re
from typing import TYPE_CHECKING, Any, Protocol

import openai
import scenes
from openai.resources.chat.completions import Completions
from openai.resources.embeddings import Embeddings

from inferencereplay import replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

_NUMBER = re.compile(r"(?<=number)([\s\\]+)00000000")
"""What tells the requests of a directory of many apart, see `scenes.numbered`; YAML breaks lines where it likes."""


class Contender(Protocol):
    """One way to replay.

    Attributes:
        name: with its version.
        note: what has to be known to read its figures.
    """

    name: str
    note: str

    def recording(self, directory: Path) -> AbstractContextManager[Any]:
        """Record the calls that are made meanwhile."""
        ...

    def replaying(self, directory: Path) -> AbstractContextManager[Any]:
        """Replay them meanwhile."""
        ...

    def multiply(self, directory: Path, numbers: range) -> None:
        """Make of a recording of `numbered(…, 0)` those of other numbers.

        Raises:
            NoRecordingsError: if there are none.
        """
        ...

    def repeat(self, directory: Path, count: int) -> None:
        """Have the recording answer so many calls, where one answers once."""
        ...


class NoRecordingsError(Exception):
    """A contender has nothing that could be multiplied; the message says why."""


def _version(package: str) -> str:
    return f"{package} {importlib.metadata.version(package)}"


def _numbered(text: str, numbers: range) -> Iterator[str]:
    """Yield a recording's text with each number in the place of the first."""
    assert _NUMBER.search(text), "the recording's layout is another"
    parts = _NUMBER.split(text)  # every second one is the space before a number
    for number in numbers:
        yield f"{number:08}".join(a + b for a, b in zip(parts[::2], [*parts[1::2], ""], strict=True))


class Ours:
    """This package."""

    note = "a file a recording, read and decoded once for as long as it stays as it is"

    def __init__(self) -> None:
        self.name = _version("inferencereplay")

    def recording(self, directory: Path) -> AbstractContextManager[Any]:
        return replay(directory, mode="record")

    def replaying(self, directory: Path) -> AbstractContextManager[Any]:
        return replay(directory)

    def multiply(self, directory: Path, numbers: range) -> None:
        (file,) = directory.rglob("*.json")
        scenes.multiply(file, numbers)

    def repeat(self, directory: Path, count: int) -> None:
        """Nothing has to be done."""


class InMemory:
    """The SDK over an in-memory transport: what is below every contender that works on HTTP."""

    name = "SDK, in-memory transport"
    note = "replays nothing: the same answers without network, files and matching"

    def recording(self, directory: Path) -> AbstractContextManager[Any]:  # noqa: ARG002 - as the others
        return contextlib.nullcontext()

    def replaying(self, directory: Path) -> AbstractContextManager[Any]:  # noqa: ARG002 - as the others
        return contextlib.nullcontext()

    def multiply(self, directory: Path, numbers: range) -> None:  # noqa: ARG002 - as the others
        raise NoRecordingsError("it has no recordings")

    def repeat(self, directory: Path, count: int) -> None:
        """Nothing has to be done."""


class Yaml:
    """VCR.py and cassetter: one YAML file of all recordings, which is loaded when it is opened."""

    def __init__(self, package: str, note: str, first: str, last: str) -> None:
        self.name = _version(package)
        self.note = note
        self._first = first
        self._last = last

    def multiply(self, directory: Path, numbers: range) -> None:
        file = directory / "cassette.yaml"
        head, first, rest = file.read_text("utf-8").partition(self._first)
        one, last, tail = (first + rest).partition(self._last) if self._last else (first + rest, "", "")
        with file.open("w", encoding="utf-8") as opened:
            opened.write(head)
            opened.writelines(_numbered(one, numbers))
            opened.write(last + tail)

    def repeat(self, directory: Path, count: int) -> None:
        """Nothing has to be done."""


class VCR(Yaml):
    """VCR.py, which matches by body too, as it has to for an API with one URL."""

    def __init__(self) -> None:
        note = "matches method, URI and body; its files are YAML, as it makes them unless told otherwise"
        super().__init__("vcrpy", note, "- request:", "version: 1")

    def recording(self, directory: Path) -> AbstractContextManager[Any]:
        return self._use(directory, "all")

    def replaying(self, directory: Path) -> AbstractContextManager[Any]:
        return self._use(directory, "none")

    def _use(self, directory: Path, mode: str) -> Any:
        vcr = importlib.import_module("vcr")
        matched = ("method", "uri", "body")
        file = str(directory / "cassette.yaml")
        return vcr.use_cassette(file, record_mode=mode, match_on=matched, allow_playback_repeats=True)


class Cassetter(Yaml):
    """Cassetter, whose matching and files are Rust's."""

    def __init__(self) -> None:
        super().__init__("cassetter", "matches method, URI and JSON body", "- request:", "")

    def recording(self, directory: Path) -> AbstractContextManager[Any]:
        return self._use(directory, "all")

    def replaying(self, directory: Path) -> AbstractContextManager[Any]:
        return self._use(directory, "none")

    def _use(self, directory: Path, mode: str) -> Any:
        cassetter = importlib.import_module("cassetter")
        matched = ["method", "uri", "json_body"]
        return cassetter.use_cassette(directory / "cassette.yaml", record_mode=mode, match_on=matched)


class LLMCassette:
    """llm-cassette, which patches `create` and matches in the order of recording."""

    note = "made for openai 1.x; each recording answers once, in the order of recording"

    def __init__(self) -> None:
        self.name = _version("llm-cassette")

    def recording(self, directory: Path) -> AbstractContextManager[Any]:
        return self._use(directory, "record")

    def replaying(self, directory: Path) -> AbstractContextManager[Any]:
        return self._use(directory, "replay")

    def _use(self, directory: Path, mode: str) -> Any:
        importlib.import_module("llm_cassette.openai").install()
        return importlib.import_module("llm_cassette").cassette(directory / "cassette.jsonl", mode=mode)

    def multiply(self, directory: Path, numbers: range) -> None:
        head, one = self._lines(directory)
        self._write(directory, head, _numbered(one, numbers))

    def repeat(self, directory: Path, count: int) -> None:
        head, one = self._lines(directory)
        self._write(directory, head, (one for _ in range(count)))

    def _lines(self, directory: Path) -> tuple[str, str]:
        head, *events = (directory / "cassette.jsonl").read_text("utf-8").splitlines(keepends=True)
        if len(events) != 1:
            raise NoRecordingsError("it does not record this call")
        return head, events[0]

    def _write(self, directory: Path, head: str, events: Iterator[str]) -> None:
        with (directory / "cassette.jsonl").open("w", encoding="utf-8") as opened:
            opened.write(head)
            opened.writelines(events)


class Respx:
    """respx by way of pytest-httpx2: a mock, whose routes are written by hand, here from what was answered live."""

    note = "a mock without recordings: the routes are made of the live answers; matches method, URI and JSON body"

    def __init__(self) -> None:
        self.name = f"{_version('respx')}, {_version('pytest-httpx2')}"

    @contextlib.contextmanager
    def recording(self, directory: Path) -> Iterator[None]:
        """Keep what is answered, as a person would who writes a mock."""
        transport = scenes.http.HTTPTransport
        live = transport.handle_request

        def handle(own: Any, request: Any) -> Any:
            response = live(own, request)
            content = response.read()
            response.stream = scenes.http.ByteStream(content)
            kept = {"method": request.method, "url": str(request.url), "body": json.loads(request.content or b"null")}
            kept |= {"status": response.status_code, "text": content.decode()}
            kept["headers"] = {name: response.headers[name] for name in ("content-type", "x-request-id")}
            (directory / "route.json").write_text(json.dumps(kept), "utf-8")
            return response

        transport.handle_request = handle
        try:
            yield
        finally:
            transport.handle_request = live

    @contextlib.contextmanager
    def replaying(self, directory: Path) -> Iterator[None]:
        importlib.import_module("pytest_httpx2._plugin")  # makes the mocker known
        respx = importlib.import_module("respx")
        kept = json.loads((directory / "route.json").read_text("utf-8"))
        with respx.mock(using="httpcore2", assert_all_called=False) as router:
            asked = {} if kept["body"] is None else {"json": kept["body"]}
            route = router.request(kept["method"], kept["url"], **asked)
            route.respond(kept["status"], headers=kept["headers"], content=kept["text"].encode())
            yield

    def multiply(self, directory: Path, numbers: range) -> None:  # noqa: ARG002 - as the others
        raise NoRecordingsError("it has no recordings: every route is written by hand")

    def repeat(self, directory: Path, count: int) -> None:
        """Nothing has to be done."""


class CreateLevel:
    """What llama-stack's test recorder does: `create` patched, arguments hashed, a JSON file a call, read each time.

    Written after `llama_stack/testing/api_recorder.py` in github.com/llamastack/llama-stack: a response is kept as
    `{"__type__": class, "__data__": model_dump}` and comes back by `model_validate`.
    """

    name = "create-level dict (as llama-stack)"
    note = "patches `create`, hashes its arguments, reads a JSON file for each call"

    def recording(self, directory: Path) -> AbstractContextManager[Any]:
        return self._patched(lambda create: lambda own, **given: self._record(directory, create, own, given))

    def replaying(self, directory: Path) -> AbstractContextManager[Any]:
        return self._patched(lambda _: lambda _own, **given: self._replay(directory, given))

    @contextlib.contextmanager
    def _patched(self, make: Callable[[Any], Any]) -> Iterator[None]:
        before = {owner: owner.create for owner in (Completions, Embeddings)}
        for owner, create in before.items():
            owner.create = make(create)
        try:
            yield
        finally:
            for owner, create in before.items():
                owner.create = create

    def _record(self, directory: Path, create: Any, own: Any, given: dict[str, Any]) -> Any:
        made = create(own, **given)
        is_stream = bool(given.get("stream"))
        kept = list(made) if is_stream else [made]
        body = [
            {"__type__": f"{type(item).__module__}.{type(item).__qualname__}", "__data__": item.model_dump(mode="json")}
            for item in kept
        ]
        response = {"body": body if is_stream else body[0], "is_streaming": is_stream}
        text = json.dumps({"request": {"body": given}, "response": response}, indent=2)
        self._file(directory, given).write_text(text, "utf-8")
        return iter(kept) if is_stream else made

    def _replay(self, directory: Path, given: dict[str, Any]) -> Any:
        try:
            kept = json.loads(self._file(directory, given).read_text("utf-8"))["response"]
        except FileNotFoundError as error:
            message = f"Recording not found for request hash: {error.filename}\nModel: {given['model']}"
            raise RuntimeError(message) from None
        if kept["is_streaming"]:
            return (self._built(item) for item in kept["body"])
        return self._built(kept["body"])

    def _built(self, item: dict[str, Any]) -> Any:
        module, _, name = item["__type__"].rpartition(".")
        return getattr(importlib.import_module(module), name).model_validate(item["__data__"])

    def _file(self, directory: Path, given: dict[str, Any]) -> Path:
        return directory / f"{hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()}.json"

    def multiply(self, directory: Path, numbers: range) -> None:
        (file,) = directory.iterdir()
        text = file.read_text("utf-8")
        for made in _numbered(text, numbers):
            self._file(directory, json.loads(made)["request"]["body"]).write_text(made, "utf-8")

    def repeat(self, directory: Path, count: int) -> None:
        """Nothing has to be done."""


CONTENDERS: dict[str, Callable[[], Contender]] = {
    "sdk": InMemory,
    "ours": Ours,
    "vcr": VCR,
    "cassetter": Cassetter,
    "llm_cassette": LLMCassette,
    "respx": Respx,
    "create_level": CreateLevel,
}


def client(name: str, url: str) -> openai.OpenAI:
    """Make a contender's client: the SDK's usual one, but for the one whose answers come from memory."""
    if name == "sdk":
        return scenes.client()
    return openai.OpenAI(api_key="sk-benchmark-0123456789", base_url=url, max_retries=0)
