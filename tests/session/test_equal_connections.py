"""Connections that equal the recorded ones but for what varies by nature leave their files as they are."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import openai
import pytest
from conftest import cheap, completion, plain
from sockets import KEY, NOBODY, connected, event, replayed, run, serving
from ways import facts, settle

from inferencereplay import replay
from inferencereplay.session import equal_answers
from inferencereplay.session.equal_answers import HeldAnswers

KINDS = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture(autouse=True)
def _held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an empty memory of answers."""
    monkeypatch.setattr(equal_answers, "_of_process", HeldAnswers())


@pytest.fixture
def sockets():
    """Serve WebSockets on loopback whose ids, times and limits are new in each connection."""
    with serving() as served:
        served.talk = Talk()
        yield served


class Talk:
    """What the server says; `word` is what it answers."""

    def __init__(self) -> None:
        self.word, self.sound, self._numbers = "Hello", b"", itertools.count(1)

    def __call__(self, socket: Any) -> None:
        number = next(self._numbers)
        session = {"id": f"sess_{number}", "type": "realtime", "object": "realtime.session", "expires_at": number}
        socket.send(event("session.created", session=session, event_id=f"event_{number}"))
        for _ in socket:
            shared = {"response_id": f"resp_{number}", "item_id": f"item_{number}", "output_index": 0}
            socket.send(event("response.output_text.delta", delta=self.word, content_index=0, **shared))
            if self.sound:
                sound = base64.b64encode(self.sound).decode()
                socket.send(event("response.output_audio.delta", delta=sound, content_index=0, **shared))
            limits = [{"name": "tokens", "remaining": 100 - number, "reset_seconds": number / 7}]
            socket.send(event("rate_limits.updated", rate_limits=limits))
            socket.send(event("response.done", response={"id": f"resp_{number}", "object": "realtime.response"}))


async def way(client: Any) -> Any:
    async with connected(client) as connection:
        heard = [await settle(connection.recv())]
        await settle(connection.send({"type": "response.create"}))
        while heard[-1].type != "response.done":
            heard.append(await settle(connection.recv()))
    return facts(heard)


def record(sockets: Any, directory: Any, *, is_async: bool = False, **options: Any) -> Any:
    with replay(directory, mode="record", **options) as session:
        live = run(way, sockets.url, is_async=is_async)
    return live, session


def contents(directory: Any) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.rglob("*.*")}


@KINDS
def test_a_connection_that_is_equal_leaves_its_file(sockets, tmp_path, is_async):
    """To the byte, and its side file too; the session counts it as unchanged."""
    sockets.talk.sound = bytes(90_000)
    first, session = record(sockets, tmp_path, is_async=is_async)
    before = contents(tmp_path)
    assert (session.recorded, session.unchanged, len(before)) == (1, 0, 2)
    live, session = record(sockets, tmp_path, is_async=is_async)
    assert live != first
    assert (session.recorded, session.unchanged) == (0, 1)
    assert contents(tmp_path) == before
    assert replayed(way, tmp_path, is_async=is_async) == first


@pytest.mark.parametrize("what", ["word", "sound", "keep_equal"])
def test_a_connection_that_differs_is_replaced(sockets, tmp_path, what):
    """In what the server says or in its sounds; `keep_equal=False` replaces every one."""
    sockets.talk.sound = bytes(90_000)
    record(sockets, tmp_path)
    if what == "word":
        sockets.talk.word = "Bye"
    elif what == "sound":
        sockets.talk.sound = bytes(89_999) + b"x"
    live, session = record(sockets, tmp_path, **({"keep_equal": False} if what == "keep_equal" else {}))
    assert (session.recorded, session.unchanged, len(contents(tmp_path))) == (1, 0, 2)
    assert replayed(way, tmp_path, is_async=False) == live


@pytest.mark.parametrize("is_over_http", [True, False])
def test_an_id_that_is_sent_back_is_that_of_the_recording(server, sockets, tmp_path, is_over_http):
    """By a later request, or in a later connection; the connection that it is from is stored after all."""

    def go(url: str, http: str) -> str:
        identity: list[str] = []

        async def first(client: Any) -> None:
            async with connected(client) as connection:
                identity.append((await settle(connection.recv())).session.id)
                await settle(connection.send({"type": "response.create"}))
                while (await settle(connection.recv())).type != "response.done":
                    pass

        async def second(client: Any) -> None:
            async with connected(client) as connection:
                await settle(connection.recv())
                await settle(
                    connection.send({"type": "response.create", "response": {"metadata": {"of": identity[0]}}})
                )

        run(first, url, is_async=False)
        if is_over_http:
            with openai.OpenAI(api_key=KEY, base_url=http, max_retries=0, **cheap()) as client:
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": identity[0]}])
        else:
            run(second, url, is_async=False)
        return identity[0]

    server.replies = [plain(completion("a")), plain(completion("b"))]
    for attempt in range(2):
        with replay(tmp_path, mode="record"):
            live = go(sockets.url, server.url)
        if not attempt:
            (later,) = [*tmp_path.rglob("*~2.json"), *tmp_path.rglob("completions/*.json")]
            later.unlink()
    with replay(tmp_path) as session:
        assert go(NOBODY, "http://127.0.0.1:9") == live
    assert session.misses == 0
