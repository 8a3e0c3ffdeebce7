"""`@replay(...)` over functions, coroutines, methods and generators."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import operator
import pickle

import anyio
import openai
import pytest
from conftest import ASK, cheap
from ways import DEAD

from inferencereplay import (
    InvalidSetting,
    RecordingNotFound,
    replay,
)
from inferencereplay.session import active

KEY = "OPENAI_API_KEY"


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def said(answer):
    return answer.choices[0].message.content


def chat(client, **changes):
    return client.chat.completions.create(**{**ASK, **changes})


def test_a_decorated_function(recorded, server):
    """Each call of a decorated function is a session of its own; its name and signature stay."""
    directory, answer = recorded
    sessions = []

    @replay(directory)
    def ask(client, text="hi"):
        """Ask."""
        sessions.append(active.session_for(client))
        return chat(client)

    assert (ask.__name__, ask.__doc__, list(inspect.signature(ask).parameters)) == ("ask", "Ask.", ["client", "text"])
    with openai.OpenAI(api_key="x", base_url=DEAD, **cheap()) as client:
        assert ask(client) == ask(client) == answer
    assert sessions[0] is not sessions[1]
    assert [session.hits for session in sessions] == [1, 1]


def test_a_decorated_coroutine_function(recorded):
    """On `async def` the session is open while the coroutine runs, not when it is made."""
    directory, answer = recorded

    @replay(directory)
    async def ask(client):
        await anyio.lowlevel.checkpoint()
        return await chat(client)

    assert inspect.iscoroutinefunction(ask)

    async def main():
        async with openai.AsyncOpenAI(api_key="x", base_url=DEAD, **cheap(is_async=True)) as client:
            waiting = ask(client)
            assert active._open == []
            assert await waiting == answer
            results = []
            async with anyio.create_task_group() as group:
                for _ in range(3):

                    async def one():
                        results.append(await ask(client))

                    group.start_soon(one)
            assert results == [answer] * 3

    for backend in ("asyncio", "trio"):
        anyio.run(main, backend=backend)


def test_decorated_methods(recorded):
    """Methods are decorated, static and class methods on either side of Python's own decorator."""
    directory, answer = recorded

    class Program:
        def __init__(self):
            self.client = openai.OpenAI(api_key="x", base_url=DEAD, **cheap())

        @replay(directory)
        def ask(self):
            return chat(self.client)

        @staticmethod
        @replay(directory)
        def static(client):
            return chat(client)

        @classmethod
        @replay(directory)
        def of_class(cls, client):
            return cls, chat(client)

        @replay(directory)
        @staticmethod
        def static_inside(client):
            return chat(client)

        @replay(directory)
        @classmethod
        def of_class_inside(cls, client):
            return cls, chat(client)

    program = Program()
    client = program.client
    assert program.ask() == Program.ask(program) == answer
    for holder in (program, Program):
        assert holder.static(client) == holder.static_inside(client) == answer
        assert holder.of_class(client) == holder.of_class_inside(client) == (Program, answer)
    client.close()


def test_what_is_not_decorated(tmp_path):
    """A class, an object that cannot be called and a missing pair of parentheses are told when the module is read."""
    for wrong in (Decorated, 3, functools.partialmethod(len), functools.cached_property(len), staticmethod(3)):
        with pytest.raises(InvalidSetting, match="decorates functions and methods, not "):
            replay(tmp_path)(wrong)
    for bare in (chat, staticmethod(chat), classmethod(chat)):
        with pytest.raises(InvalidSetting, match=r"needs parentheses over <.*>: write `@replay\('recordings'\)`"):
            replay(bare)


class Plain:
    """A function of each kind, and the ways to hold one in a class."""

    def function(self, text: str = "hi", /, *rest: int, key: float, **more: object) -> str:
        """Say what it does."""

    async def coroutine(self, text):
        """Say what it does."""

    def generator(self, text):
        yield text

    async def async_generator(self, text):
        yield text

    @staticmethod
    def static(text):
        """Say what it does."""

    @classmethod
    def of_class(cls, text):
        """Say what it does."""


class Decorated:
    """The same functions, decorated."""


NAMES = [name for name in vars(Plain) if not name.startswith("_")]
for name in NAMES:
    setattr(Decorated, name, replay("recordings", mode="live")(vars(Plain)[name]))


@pytest.mark.parametrize("name", NAMES)
def test_what_inspect_says_of_a_decorated_function_stays(name):
    """Signature, kind, names, documentation, source and the type that Python binds are those of the function."""
    asked = (
        inspect.signature,
        inspect.getdoc,
        inspect.getsource,
        inspect.isfunction,
        inspect.ismethod,
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        operator.attrgetter("__module__", "__name__", "__qualname__", "__annotations__"),
    )
    for of in (getattr, lambda cls, name: getattr(cls(), name)):
        plain, decorated = of(Plain, name), of(Decorated, name)
        assert plain is not decorated
        assert [ask(decorated) for ask in asked] == [ask(plain) for ask in asked]


@replay("recordings", mode="live")
def importable():
    """Can be found by its name."""


def test_a_decorated_function_is_pickled_and_copied_as_a_function(monkeypatch):
    """A decorated function, and a bound one, can be sent to another process, and is itself in a copy of its holder."""
    monkeypatch.setattr(Plain, "function", bound := Decorated.__dict__["function"])
    one = Plain()
    assert pickle.loads(pickle.dumps(importable)) is importable
    assert pickle.loads(pickle.dumps(one.function)).__func__ is bound
    for copied in (copy.copy, copy.deepcopy):
        assert copied(importable) is importable
        assert copied(one.function).__func__ is bound


def test_a_decorated_function_tells_a_swallowed_miss(client, tmp_path):
    """The end of a decorated call is the end of a block."""

    @replay(tmp_path)
    def ask():
        try:
            chat(client)
        except RecordingNotFound:
            return "swallowed"

    with pytest.raises(RecordingNotFound):
        ask()


def test_a_decorated_generator(client, recorded, server):
    """A decorated generator's session answers from its first step to its end, in between as well."""
    directory, answer = recorded

    @replay(directory)
    def ask():
        got = []
        try:
            while True:
                try:
                    got.append((yield chat(client)))
                except KeyError as error:
                    got.append(error)
                    if len(got) > 2:
                        return got
        finally:
            assert chat(client) == answer
            got.append("closed")

    assert inspect.isgeneratorfunction(ask)
    made = ask()
    assert active._open == []
    assert next(made) == answer
    assert active._context.get() is None
    assert chat(client) == answer
    assert made.send(1) == answer
    error = KeyError("thrown")
    assert made.throw(error) == answer
    with pytest.raises(StopIteration) as stop:
        made.throw(KeyError("last"))
    assert stop.value.value[:2] == [1, error]
    assert active._open == []
    assert chat(client) != answer
    assert server.count == 2
    half = ask()
    next(half)
    half.close()
    assert list(half) == []

    @replay(directory)
    def short():
        yield from (1, 2)
        return 3

    assert list(short()) == [1, 2]

    @replay(directory)
    def failing():
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(failing())


def test_a_decorated_async_generator(recorded, server):
    """The same for asynchronous generators."""
    directory, answer = recorded
    closed = []

    async def main():
        async with openai.AsyncOpenAI(api_key="x", base_url=server.url, **cheap(is_async=True)) as client:

            @replay(directory)
            async def ask():
                got = []
                try:
                    while True:
                        try:
                            got.append((yield await chat(client)))
                        except KeyError as error:
                            got.append(error)
                            if len(got) > 2:
                                return
                finally:
                    assert await chat(client) == answer
                    closed.append(got)

            assert inspect.isasyncgenfunction(ask)
            made = ask()
            assert await made.__anext__() == answer
            assert active._context.get() is None
            assert await chat(client) == answer
            assert await made.asend(1) == answer
            error = KeyError("thrown")
            assert await made.athrow(error) == answer
            with pytest.raises(StopAsyncIteration):
                await made.athrow(KeyError("last"))
            assert closed.pop()[:2] == [1, error]
            assert active._open == []
            assert await chat(client) != answer
            half = ask()
            await half.__anext__()
            await half.aclose()
            assert len(closed.pop()) == 0
            assert [item async for item in half] == []

    for backend in ("asyncio", "trio"):
        anyio.run(main, backend=backend)


def test_generators_that_take_turns(client, tmp_path):
    """Two decorated generators that are read in turns each have their own session."""
    answers = {}
    for name in ("a", "b"):
        with replay(tmp_path / name, mode="record"):
            answers[name] = chat(client)

    def of(name):
        @replay(tmp_path / name)
        def ask():
            for _ in range(3):
                yield chat(client)

        return ask()

    for one, two in zip(of("a"), of("b"), strict=True):
        assert (one, two) == (answers["a"], answers["b"])


def test_what_a_plain_function_returns_is_covered_to_its_end(recorded, server):
    """A `def` that returns a coroutine or a generator is answered while these run, not only while they are made."""
    directory, answer = recorded

    async def main():
        async with openai.AsyncOpenAI(api_key="x", base_url=server.url, **cheap(is_async=True)) as client:

            @replay(directory)
            def coroutine():
                return chat(client)

            @replay(directory)
            def generator():
                return (item for item in [1, 2])

            @replay(directory)
            def async_generator():
                return (await chat(client) for _ in range(2))

            assert await coroutine() == answer
            assert list(generator()) == [1, 2]
            assert [item async for item in async_generator()] == [answer, answer]

    made = server.count
    anyio.run(main)
    assert server.count == made


def test_a_fixture_of_a_decorated_generator_answers_its_user(client, recorded, server):
    """A context manager made of a decorated generator covers the block under it."""
    directory, answer = recorded

    @contextlib.contextmanager
    @replay(directory)
    def offline():
        yield

    made = server.count
    with offline():
        assert chat(client) == answer
    assert server.count == made


def test_settings_given_as_iterators_hold_for_every_call(client, server, tmp_path):
    """Patterns and paths from a generator are not used up by the first call of a decorated function."""

    @replay(tmp_path, mode="record-if-missing", redact=(item for item in ["hunter[0-9]+"]), ignore=iter(["user"]))
    def ask(text):
        return client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}], user=text)

    ask("pw hunter22")
    ask("pw hunter33")
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*.json"))
    assert b"hunter" not in written
    assert server.count == 1


def test_a_block_inside_a_decorated_generator_stays_over_a_yield(client, tmp_path):
    """What a generator's body opened and has not left answers on, while the generator's own session steps aside."""
    one, two = tmp_path / "one", tmp_path / "two"
    for directory in (one, two):
        with replay(directory, mode="record"):
            client.chat.completions.create(**ASK)

    @replay(one)
    def steps():
        with replay(two):
            yield said(client.chat.completions.create(**ASK))
            yield said(client.chat.completions.create(**ASK))
        yield said(client.chat.completions.create(**ASK))

    assert list(steps()) == ["answer 2", "answer 2", "answer 1"]
