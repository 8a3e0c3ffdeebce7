"""Other libraries' wrappers around the same methods: what they see does not depend on who came first."""

from __future__ import annotations

import functools
import inspect
import types

import openai
import pytest
import wrapt
from conftest import ASK, Driver
from openai.resources.chat.completions import AsyncCompletions as AsyncChat
from openai.resources.chat.completions import Completions as Chat

from inferencereplay import RecordingNotFound, replay, sdk, wrapping

BASES = {openai.OpenAI: sdk.SyncAPIClient, openai.AsyncOpenAI: sdk.AsyncAPIClient}
PLACES = [*((base, "request") for base in BASES.values()), (Chat, "create"), (AsyncChat, "create")]
ORIGINALS = [owner.__dict__[name] for owner, name in PLACES]


def noting(calls):
    def note(wrapped, instance, args, kwargs):
        calls.append(wrapped.__name__)
        return wrapped(*args, **kwargs)

    return note


class OfTheClient:
    """Wraps the method that the client's class inherits, and leaves what it had found in that class's own dict."""

    def __init__(self):
        self.calls = []

    def install(self):
        self.found = {cls: cls.request for cls in BASES}
        for cls in BASES:
            wrapt.wrap_function_wrapper(openai, f"{cls.__name__}.request", noting(self.calls))

    def remove(self):
        for cls, found in self.found.items():
            cls.request = found


class OfTheResource:
    """Wraps `create`, and takes off whatever wrapper of wrapt's is outermost."""

    def __init__(self):
        self.calls = []

    def install(self):
        for cls in (Chat, AsyncChat):
            wrapt.wrap_function_wrapper(cls.__module__, f"{cls.__name__}.create", noting(self.calls))

    def remove(self):
        for cls in (Chat, AsyncChat):
            if isinstance(cls.create, wrapt.BoundFunctionWrapper):
                cls.create = cls.create.__wrapped__


@pytest.fixture(params=[OfTheClient, OfTheResource])
def other(request):
    """Somebody else's wrappers, as real instrumentors make them."""
    yield request.param()
    for cls in BASES:
        if "request" in cls.__dict__:
            del cls.request
    assert [owner.__dict__[name] for owner, name in PLACES] == ORIGINALS


def use(driver: Driver):
    """Make three calls, on both roads."""
    made = [driver.chat(), driver.chat(stream=True)]
    raw = driver(lambda client: client.chat.completions.with_raw_response.create(**ASK, seed=1))
    return [*made, raw.parse() if not hasattr(raw, "aclose") else raw]


def as_found():
    """Whether the SDK's methods are its own, in the client's classes as well."""
    found = [owner.__dict__[name] for owner, name in PLACES]
    own = [cls.__dict__.get("request", base.__dict__["request"]) for cls, base in BASES.items()]
    return all(now is then for now, then in zip([*found, *own], [*ORIGINALS, *ORIGINALS[:2]], strict=True))


ORDERS = (
    "install enter exit remove",
    "install enter remove exit",
    "enter install exit remove",
    "enter install remove exit",
)


@pytest.mark.parametrize("order", ORDERS)
def test_every_order(driver, server, tmp_path, other, order):
    """Whoever comes first and whoever leaves first: while it is there each of the two sees each call, once."""
    with replay(tmp_path, mode="record"):
        recorded = use(driver)
    block = replay(tmp_path)
    steps = {"enter": block.__enter__, "exit": lambda: block.__exit__(None, None, None)}
    steps.update(install=other.install, remove=other.remove)
    present = set()
    for step in order.split():
        steps[step]()
        present ^= {{"exit": "enter", "remove": "install"}.get(step, step)}
        other.calls.clear()
        count = server.count
        made = use(driver)
        assert server.count - count == (0 if "enter" in present else 3)
        assert len(other.calls) == (3 if "install" in present else 0)
        assert (made[:2] == recorded[:2]) is ("enter" in present)
    assert as_found()


def test_calls_that_make_no_completion(client, server, tmp_path, other):
    """A wrapper that was there first does not let other endpoints through to the network either."""
    other.install()
    with replay(tmp_path, mode="record"):
        made = client.models.list().data
    with replay(tmp_path):
        assert client.models.list().data == made
        assert client.with_options(timeout=3).models.list().data == made
    assert server.count == 1
    other.remove()


def test_what_was_left_behind_before(client, server, tmp_path):
    """Where a client's class was given the SDK's own method, by who had wrapped it once, blocks work as ever."""
    other = OfTheClient()
    other.install()
    other.remove()
    with replay(tmp_path, mode="record") as session:
        made = client.models.list().data
    assert session.recorded == 1
    with replay(tmp_path):
        assert client.models.list().data == made
    assert server.count == 1
    assert as_found()
    del openai.OpenAI.request, openai.AsyncOpenAI.request


def test_closures_on_the_class_of_the_client(client, server, tmp_path, monkeypatch):
    """A wrapper that has the SDK's method in a closure cannot be got under; no call of it goes to the network."""

    @functools.wraps(sdk.SyncAPIClient.request)
    def outer(self, *args, inner=sdk.SyncAPIClient.request, **kwargs):
        return inner(self, *args, **kwargs)

    monkeypatch.setattr(openai.OpenAI, "request", outer, raising=False)
    with replay(tmp_path, mode="record"):
        made = client.models.list().data
    with replay(tmp_path):
        assert client.models.list().data == made
    assert server.count == 1
    assert openai.OpenAI.request is outer


class Careful(openai.OpenAI):
    def request(self, cast_to, options, **kwargs):
        options.json_data["user"] = "somebody"
        return super().request(cast_to, options, **kwargs)


def test_an_override_takes_part(server, tmp_path):
    """A subclass's own `request` is called in replay as well: what it changes is part of the request."""
    with Careful(api_key="sk-test-0123456789abcdef", base_url=server.url, max_retries=0) as client:
        with replay(tmp_path, mode="record") as session:
            made = client.chat.completions.create(**ASK)
        assert session.recorded == 1
        with replay(tmp_path):
            assert client.chat.completions.create(**ASK) == made
    assert [body["user"] for *_, body in server.requests] == ["somebody"]


def test_a_method_in_the_object_takes_part(client, server, tmp_path):
    """A wrapper that was put into the client itself, inside a block, sees each call in replay."""
    seen = []
    with replay(tmp_path, mode="record"):
        made = client.chat.completions.create(**ASK)
    with replay(tmp_path):
        client.request = lambda *args, inner=client.request, **kwargs: seen.append(args) or inner(*args, **kwargs)
        assert client.chat.completions.create(**ASK) == made
    assert (len(seen), server.count) == (1, 1)


def test_what_goes_round_us_is_kept_off_the_network(driver, server, tmp_path):
    """Where a wrapper from before calls the SDK's own method, a replay raises, at once and again on leaving."""

    def call(client):
        client.request = types.MethodType(ORIGINALS[driver.is_async], client)
        return client.chat.completions.create(**ASK)

    with pytest.raises(RecordingNotFound, match="kept off the network"), replay(tmp_path) as session:
        with pytest.raises(RecordingNotFound, match="POST /chat/completions was kept off the network"):
            driver(call)
        assert session.misses == 1
    assert server.count == 0


def test_what_went_round_us_once_is_mended(client, server, tmp_path):
    """Where the SDK's own method was put back over our heads, the call that finds out raises, the next is answered."""
    with replay(tmp_path, mode="record"):
        made = client.models.list().data
    other = OfTheClient()
    other.install()
    with replay(tmp_path) as session:
        other.remove()
        with pytest.raises(RecordingNotFound, match="GET /models was kept off the network"):
            client.models.list()
        assert client.models.list().data == made
        session.missed.clear()
    assert server.count == 1
    assert as_found()
    del openai.OpenAI.request, openai.AsyncOpenAI.request


def test_what_the_first_wrapped_function_says(tmp_path):
    """Whoever looks one step behind a method for a coroutine function, as langsmith does, finds what is there live."""

    def told():
        made = openai.OpenAI(api_key="x"), openai.AsyncOpenAI(api_key="x")
        methods = [method for one in made for method in (one.request, one.chat.completions.create)]
        behind = [getattr(method, "__wrapped__", method) for method in methods]
        return [type(method) for method in methods], [*map(inspect.iscoroutinefunction, [*methods, *behind])]

    before = told()
    with replay(tmp_path):
        assert told() == before


class Base:
    def method(self):
        return "own"


def replaced(wrapped, instance, args, kwargs):
    return f"ours of {wrapped(*args, **kwargs)}"


def test_under_a_bound_wrapper():
    """Where somebody put a bound wrapper of their own into a class, ours goes under the one that it was made by."""
    Base.method = wrapt.FunctionWrapper(Base.__dict__["method"], lambda wrapped, *_: f"theirs of {wrapped()}")
    Base.method = Base.method
    wrapping.put(Base, "method", replaced)
    wrapping.put(Base, "method", replaced)
    assert Base().method() == "theirs of ours of own"
    assert not wrapping.is_outermost(Base(), "method")
    wrapping.take_out(Base, "method")
    assert Base().method() == "theirs of own"
