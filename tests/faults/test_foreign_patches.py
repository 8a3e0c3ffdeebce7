"""The patches under random interleavings: whoever wraps, unwraps, enters, leaves, copies and patches, in any order.

A model of what DESIGN and README promise says which session answers each call: the innermost block of the thread's
context, else the newest one open in the process, else the client's own, else none. Each session's recordings have a
text of their own, so that an answer tells whose it is.
"""

from __future__ import annotations

import concurrent.futures
import functools
from pathlib import Path
from typing import Any

import openai
import pytest
import wrapt
from conftest import ASK, Server, cheap, completion, plain
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from length import times
from places import ORIGINALS, PLACES, attributes

from inferencereplay import Session, replay, unwrap, wrap
from inferencereplay.sdk import patches, private

SESSIONS, CLIENTS, THREADS = 3, 3, 2
LIVE = "live"


def _as_found() -> bool:
    return all(now is then for now, then in zip(attributes(), ORIGINALS, strict=True))


def _plainly(function: Any) -> Any:
    def outer(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    return outer


def _politely(function: Any) -> Any:
    return functools.wraps(function)(_plainly(function))


def _with_wrapt(function: Any) -> Any:
    return wrapt.FunctionWrapper(function, lambda wrapped, instance, args, kwargs: wrapped(*args, **kwargs))


class Patched:
    """Another library's patches of one method, in one of the ways in which libraries do it."""

    def __init__(self, place: int, way: Any) -> None:
        self.owner, self.name = PLACES[place]
        self.found = self.owner.__dict__[self.name]
        self.own = way(self.found)
        setattr(self.owner, self.name, self.own)

    @property
    def is_on_top(self) -> bool:
        return self.owner.__dict__[self.name] is self.own

    def remove(self) -> None:
        setattr(self.owner, self.name, self.found)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return a server that says `live`, and a directory for each session in which its own name is recorded."""
    server = Server()
    folders = []
    for number in range(SESSIONS):
        folders.append(tmp_path_factory.mktemp("session"))
        server.replies = [plain(completion(str(number)))]
        with replay(folders[-1], mode="record"), _client(server.url) as client:
            client.chat.completions.create(**ASK)
    server._numbered = lambda path, body, method: plain(completion(LIVE))
    yield server.url, folders
    server.stop()


def _client(url: str) -> openai.OpenAI:
    return openai.OpenAI(api_key="sk-test-0123456789abcdef", base_url=url, max_retries=0, **cheap())


threads = st.integers(0, THREADS - 1)
numbers = st.integers(0, SESSIONS - 1)
clients = st.integers(0, 7)


class Interleaving(RuleBasedStateMachine):
    """What programs and libraries do, in any order, and what may be expected of it."""

    where: Any
    """The server's URL and the folders."""

    @initialize()
    def begin(self) -> None:
        url, folders = self.where
        self.sessions = [Session(folder, mode="replay") for folder in folders]
        self.clients: list[Any] = [_client(url) for _ in range(CLIENTS)]
        self.own: list[int | None] = [None] * CLIENTS
        self.threads = [concurrent.futures.ThreadPoolExecutor(1) for _ in range(THREADS)]
        self.blocks: list[tuple[int, int, Any]] = []  # thread, session, block; in the order in which they were entered
        self.patches: list[Patched] = []
        self.has_been_patched = False

    def _run(self, thread: int, function: Any) -> Any:
        return self.threads[thread].submit(function).result()

    def _expected(self, thread: int, client: int) -> str:
        inner = [session for where, session, _ in self.blocks if where == thread]
        own = [session for session in [self.own[client]] if session is not None]
        newest = [session for _, session, _ in self.blocks]
        found = (inner or own or newest or [None])[-1]
        return LIVE if found is None else str(found)

    @rule(client=clients, session=numbers)
    def wrap(self, client: int, session: int) -> None:
        client %= len(self.clients)
        assert wrap(self.clients[client], self.sessions[session]) is self.clients[client]
        self.own[client] = session

    @rule(client=clients)
    def unwrap(self, client: int) -> None:
        client %= len(self.clients)
        unwrap(self.clients[client])
        self.own[client] = None

    @precondition(lambda self: len(self.clients) < 8)
    @rule(client=clients, way=st.sampled_from(["copy", "with_options"]))
    def copy(self, client: int, way: str) -> None:
        client %= len(self.clients)
        self.clients.append(getattr(self.clients[client], way)(timeout=5))
        self.own.append(self.own[client])

    @rule(thread=threads, session=numbers)
    def enter(self, thread: int, session: int) -> None:
        block = replay(self.sessions[session])
        self._run(thread, block.__enter__)
        self.blocks.append((thread, session, block))

    @precondition(lambda self: self.blocks)
    @rule(which=st.integers(0, 20), thread=threads, data=st.booleans())
    def leave(self, which: int, thread: int, data: bool) -> None:
        where, _, block = self.blocks.pop(which % len(self.blocks))
        self._run(thread if data else where, lambda: block.__exit__(None, None, None))

    @rule(thread=threads, client=clients, is_raw=st.booleans())
    def call(self, thread: int, client: int, is_raw: bool) -> None:
        client %= len(self.clients)
        chat = self.clients[client].chat.completions

        def ask() -> Any:
            return chat.with_raw_response.create(**ASK).parse() if is_raw else chat.create(**ASK)

        said = self._run(thread, ask).choices[0].message.content
        assert said == self._expected(thread, client)

    @rule(place=st.sampled_from([0, 2]), way=st.sampled_from([_plainly, _politely, _with_wrapt]))
    def patch(self, place: int, way: Any) -> None:
        self.patches.append(Patched(place, way))
        self.has_been_patched = True

    @precondition(lambda self: any(patch.is_on_top for patch in self.patches))
    @rule(which=st.integers(0, 20))
    def unpatch(self, which: int) -> None:
        on_top = [patch for patch in self.patches if patch.is_on_top]
        patch = on_top[which % len(on_top)]
        patch.remove()
        self.patches.remove(patch)

    @invariant()
    def nothing_stays_without_use(self) -> None:
        """Where nobody uses us, and nobody who patched over us put our wrapper back, the SDK is as it was."""
        if not (self.blocks or any(own is not None for own in self.own)):
            assert not patches._state.users
            assert self.has_been_patched or _as_found()

    def teardown(self) -> None:
        for where, _, block in reversed(self.blocks):
            self._run(where, lambda block=block: block.__exit__(None, None, None))
        for patch in reversed(self.patches):
            patch.remove()
        for client in self.clients:
            unwrap(client)
        if self.has_been_patched:  # what somebody put back after our last exit is taken off by the first call
            assert self.clients[0].chat.completions.create(**ASK).choices[0].message.content == LIVE
        for client in self.clients[:CLIENTS]:
            client.close()
        for thread in self.threads:
            thread.shutdown()
        try:
            assert not patches._state.users
            assert _as_found()
        finally:
            for (owner, name), original in zip(PLACES, ORIGINALS, strict=True):
                setattr(owner, name, original)


def test_interleavings(recorded):
    """No call is answered by the wrong session, and after the last use the SDK is as it was found."""

    class Here(Interleaving):
        where = recorded

    case = Here.TestCase
    case.settings = settings(
        max_examples=times(25, 2_000), stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
    case("runTest").runTest()


def test_a_foreign_patch_that_rebuilds_headers(recorded, tmp_path):
    """A patch between our layers that copies a call's headers into a plain dict does not make it be recorded twice."""
    url, _ = recorded
    with replay(tmp_path, mode="record"):
        pass
    original = private.SyncAPIClient.request

    with replay(tmp_path, mode="record") as outer:
        inner = private.SyncAPIClient.__dict__["request"]

        def rebuilding(self: Any, cast_to: Any, options: Any, **kwargs: Any) -> Any:
            options = options.model_copy() if hasattr(options, "model_copy") else options.copy()
            options.headers = dict(options.headers) if isinstance(options.headers, dict) else options.headers
            return inner(self, cast_to, options, **kwargs)

        private.SyncAPIClient.request = rebuilding
        try:
            with replay(tmp_path, mode="record") as session, _client(url) as client:
                client.chat.completions.create(**ASK)
        finally:
            private.SyncAPIClient.request = inner
    assert (outer.recorded, session.recorded) == (0, 1)
    assert len(list(Path(tmp_path).rglob("*.json"))) == 1
    assert private.SyncAPIClient.request is original
