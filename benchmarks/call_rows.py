"""Rows of the comparison in which one call is made again and again."""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from comparison import told
from measuring import measure
from reporting import Cell
from scenes import EMBEDDINGS, LARGE, SMALL, STREAM, asking
from ways_of_calling import WAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comparison import Comparison

COPIES = 120
"""Calls that one turn makes at most; recordings that answer once are there so often."""


class Scene(NamedTuple):
    """Something that is called.

    Attributes:
        warm: calls at the beginning of a turn that are not measured.
        rounds: of a full run.
        quick: rounds of a quick one.
    """

    name: str
    what: str
    make: Callable[[Any], Callable[[], Any]]
    warm: int
    rounds: int
    quick: int


def _asked(**arguments: Any) -> Callable[[Any], Callable[[], Any]]:
    return functools.partial(asking, arguments=arguments)


def _langchain(method: str) -> Callable[[Any], Callable[[], Any]]:
    """Return what makes a call of LangChain's, over a client's own connection."""

    def make(client: Any) -> Callable[[], Any]:
        from langchain_openai import ChatOpenAI  # noqa: PLC0415 - two seconds to import

        model = ChatOpenAI(
            model="gpt-4o",
            api_key=client.api_key,
            base_url=str(client.base_url),
            http_client=client._client,  # noqa: SLF001 - to be over the same transport
            max_retries=0,
        )
        if method == "invoke":
            return lambda: model.invoke("Say hello").content
        return lambda: [piece.content for piece in model.stream("Say hello")]

    return make


SCENES = (
    Scene("small_chat", "small chat, again and again", _asked(**SMALL), 20, 60, 8),
    Scene("large_chat", "60 messages + 20 tools, again and again", _asked(**LARGE), 4, 30, 3),
    Scene("stream_200", "stream of 200 chunks, again and again", _asked(**STREAM), 3, 30, 3),
    Scene("stream_2000", "stream of 2,000 chunks", _asked(**{**STREAM, "model": "chunks-2000"}), 1, 9, 1),
    Scene("embeddings", "embeddings of 100 inputs, again and again", _asked(**EMBEDDINGS), 3, 20, 2),
    *(Scene(way.name, way.what, way.make, *((1, 20, 2) if way.is_long else (10, 40, 5))) for way in WAYS),
    Scene("langchain_invoke", "LangChain `invoke`", _langchain("invoke"), 10, 30, 5),
    Scene("langchain_stream", "LangChain `stream`, 200 chunks", _langchain("stream"), 1, 20, 2),
)
TITLES = {scene.name: scene.what for scene in SCENES}


def record(run: Comparison) -> None:
    """Record each scene, and keep what the server answers without any contender."""
    for scene in SCENES:
        run.live[scene.name] = scene.make(run.plain)()
        run.record(scene.name, scene.make)


def compare(run: Comparison) -> list[Cell]:
    """Measure the scenes."""
    return [cell for scene in SCENES for cell in _compare(run, scene)]


def _compare(run: Comparison, scene: Scene) -> list[Cell]:
    failed, able = run.failed(scene.name), {}
    for name, contender in run.contenders.items():
        turn = _Turn(run, scene, name)
        if name not in failed and (reason := _check(turn, run.live[scene.name])):
            failed[name] = reason
        if name not in failed:
            able[name] = turn
            contender.repeat(run.directory(scene.name, name), COPIES)
    calls, around = ({name: getattr(turn, what) for name, turn in able.items()} for what in ("call", "taken"))
    medians = measure(calls, scene.quick if run.is_quick else scene.rounds, warm=scene.warm, around=around)
    print(f"{scene.what}: {medians}", file=sys.stderr)
    cells = [Cell(scene.name, name, None, reason) for name, reason in failed.items()]
    return cells + [Cell(scene.name, name, micros, "") for name, micros in medians.items()]


class _Turn:
    """A contender's turn: its context, and the call within."""

    def __init__(self, run: Comparison, scene: Scene, name: str) -> None:
        self._replaying = run.contenders[name].replaying
        self._directory = run.directory(scene.name, name)
        self._client = run.clients[name]
        self._make = scene.make
        self._calls: list[Callable[[], Any]] = []

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        with self._replaying(self._directory):
            self._calls.append(self._make(self._client.copy()))
            try:
                yield
            finally:
                self._calls.pop()

    def call(self) -> Any:
        return self._calls[-1]()


def _check(turn: _Turn, live: Any) -> str:
    try:
        with turn.taken():
            answer = turn.call()
    except Exception as error:  # noqa: BLE001 - whatever others raise
        return told(error)
    return "" if answer == live else "its answer is not what the server gave"
