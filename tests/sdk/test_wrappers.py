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

from inferencereplay import RecordingNotFound, replay, unwrap, wrap
from inferencereplay.sdk import private, wrappers
from inferencereplay.session.garbage import collect

BASES = {openai.OpenAI: private.SyncAPIClient, openai.AsyncOpenAI: private.AsyncAPIClient}
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
    """Somebody else's wrappers, as real instrumentors make them, where nothing of other tests is left."""
    collect()
    yield request.param()
    for cls in BASES:
        if "request" in cls.__dict__:
            del cls.request
    assert [owner.__dict__[name] for owner, name in PLACES] == ORIGINALS


def use(driver: Driver):
    """Make three calls, on both paths."""
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

    @functools.wraps(private.SyncAPIClient.request)
    def outer(self, *args, inner=private.SyncAPIClient.request, **kwargs):
        return inner(self, *args, **kwargs)

    monkeypatch.setattr(openai.OpenAI, "request", outer, raising=False)
    with replay(tmp_path, mode="record"):
        made = client.models.list().data
    with replay(tmp_path):
        assert client.models.list().data == made
    assert server.count == 1
    assert openai.OpenAI.request is outer


def closed_over(calls, function):
    """Wrap in a closure, as sentry does with `create`."""

    def outer(*args, **kwargs):
        calls.append(function.__name__)
        return function(*args, **kwargs)

    return outer


def like(calls, function):
    """Do so and look like it, as logfire does with the `request` of the client's class."""
    return functools.wraps(function)(closed_over(calls, function))


@pytest.mark.parametrize("wrap_up", [closed_over, like])
@pytest.mark.parametrize(
    ("owners", "name"), [((Chat, AsyncChat), "create"), (BASES.values(), "request"), (BASES, "request")]
)
def test_closures_from_before_see_each_call(driver, server, tmp_path, monkeypatch, wrap_up, owners, name):
    """What a closure sees is the same live, recorded and replayed, and its cell gets back what was in it."""
    calls, found = [], []
    for owner in owners:
        inner = getattr(owner, name)
        monkeypatch.setattr(owner, name, wrap_up(calls, inner), raising=False)
        found.append((owner, owner.__dict__[name], inner))
    seen, made = [], []
    for mode in ("live", "record", "replay"):
        calls.clear()
        with replay(tmp_path, mode=mode):
            made.append(use(driver))
        seen.append(len(calls))
    assert seen == [3] * 3
    assert made[2][:2] == made[1][:2]
    assert server.count == 6
    for owner, wrapper, inner in found:
        assert owner.__dict__[name] is wrapper
        assert inner in [cell.cell_contents for cell in wrapper.__closure__]


def test_no_wrapper_sees_a_call_that_nobody_made():
    """What we ask the SDK ourselves, about `embeddings.create`, is not seen by others' wrappers."""
    calls, create = [], openai.resources.Embeddings.create
    wrapper = wrapt.FunctionWrapper(create, noting(calls))
    assert private.default_encoding_format(wrapper) == private.default_encoding_format(create)
    assert calls == []


@pytest.mark.parametrize("mode", ["replay", "record"])
def test_a_method_in_the_object_from_before(driver, server, tmp_path, monkeypatch, mode):
    """A wrapper that was put into the client itself, before the block, sees each call, and keeps what it had."""
    calls = []

    def call(client):
        with monkeypatch.context() as before:  # as if the block had not begun
            for (owner, name), original in zip(PLACES, ORIGINALS, strict=True):
                before.setattr(owner, name, original)
            client.request = closed_over(calls, client.request)
        return client.chat.completions.create(**ASK)

    with replay(tmp_path, mode="record"):
        made = driver.chat()
    with replay(tmp_path, mode=mode) as session:
        again = driver(call)
    assert (len(calls), session.hits + session.recorded) == (1, 1)
    assert (again == made) is (mode == "replay")
    assert server.count == (1 if mode == "replay" else 2)


def test_an_object_gets_back_what_it_had(client, server, tmp_path):
    """A client's own wrapper is around the SDK's method again after the block, and after `unwrap`."""
    calls = []
    client.request = closed_over(calls, client.request)
    (held,) = [cell for cell in client.request.__closure__ if callable(cell.cell_contents)]
    own = held.cell_contents
    with replay(tmp_path, mode="record") as session:
        made = client.chat.completions.create(**ASK)
        assert held.cell_contents != own
    assert session.recorded == 1
    assert held.cell_contents == own
    wrap(client, tmp_path)
    assert held.cell_contents != own
    assert client.chat.completions.create(**ASK) == made
    unwrap(client)
    assert held.cell_contents == own
    assert (len(calls), server.count) == (2, 1)


def test_a_method_that_was_put_into_its_own_object(client, server, tmp_path):
    """The SDK's bound method in the client's own attributes gives way to ours for the block, and is there after it."""
    client.request = own = client.request
    with replay(tmp_path, mode="record") as session:
        made = client.chat.completions.create(**ASK)
    with replay(tmp_path):
        assert client.chat.completions.create(**ASK) == made
    assert (session.recorded, server.count) == (1, 1)
    assert vars(client)["request"] == own


def test_a_call_that_went_round_while_recording_is_told(client, server, tmp_path, caplog):
    """A client's own wrapper from before hides its first call from the recorder, which says so; the next is kept."""
    client.request = closed_over([], client.request)
    with replay(tmp_path, mode="record") as session:
        client.models.list()
        client.models.list()
        with pytest.raises(openai.NotFoundError):
            client.post("/upload", cast_to=object, files={"file": b"x"})
    assert (session.recorded, server.count) == (2, 3)
    told = [record.getMessage() for record in caplog.records if record.name == "inferencereplay"]
    assert [text[:34] for text in told] == ["GET /models was not recorded: anot"]


def test_a_mock_in_place_of_a_method_answers(client, server, tmp_path, monkeypatch):
    """Where a test has put something of its own in place of `create`, that answers, and gets what it gets live."""
    given = []

    class Canned:
        def __call__(self, *args, **kwargs):
            given.append((args, kwargs))
            return "canned"

    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    monkeypatch.setattr(Chat, "create", Canned())
    with replay(tmp_path):
        assert client.chat.completions.create(**ASK) == "canned"
    assert (given, server.count) == ([((), ASK)], 1)


def test_what_cannot_be_looked_into_takes_part(client, server, tmp_path, monkeypatch):
    """A wrapper that changes the arguments, and that ours cannot get under, is called in replay as well."""
    with replay(tmp_path, mode="record"):
        plain = client.chat.completions.create(**ASK)
    monkeypatch.setattr(Chat, "create", functools.partialmethod(Chat.__dict__["create"], user="somebody"))
    with replay(tmp_path, mode="record-if-missing"):
        named = client.chat.completions.create(**ASK)
    assert named != plain
    with replay(tmp_path):
        assert client.chat.completions.create(**ASK) == named
    assert server.count == 2


def test_what_stands_in_for_request_gets_what_it_gets_live(client, server, tmp_path, monkeypatch):
    """Something in place of `request` that takes no object is not given one by us either."""
    given = []

    class Canned:
        def __call__(self, *args, **kwargs):
            given.append(args[0])
            return "canned"

    monkeypatch.setattr(private.SyncAPIClient, "request", Canned())
    assert client.post("/x", cast_to=str, files={"a": b"b"}) == "canned"
    with replay(tmp_path, mode="record"):
        assert client.post("/x", cast_to=str, files={"a": b"b"}) == "canned"
    assert (given, server.count) == ([str, str], 0)


def test_a_wrapper_around_a_stand_in_gets_its_object(client, server, tmp_path, monkeypatch):
    """A wrapper of wrapt's that goes under ours, for the SDK's method is not in it, is bound as ever."""
    given = []

    def note(wrapped, instance, args, kwargs):
        given.append(instance)
        return wrapped(*args, **kwargs)

    stand_in = wrapt.FunctionWrapper(lambda self, cast_to, options, **_: "canned", note)
    monkeypatch.setattr(private.SyncAPIClient, "request", stand_in)
    with replay(tmp_path, mode="record"):
        assert client.post("/x", cast_to=str, files={"a": b"b"}) == "canned"
    assert (given, server.count) == ([client], 0)


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
    """Where a wrapper that cannot be looked into calls the SDK's own method, a replay raises, and again on leaving."""

    def call(client):
        client.request = functools.partial(ORIGINALS[driver.is_async], client)
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


def test_the_patches_are_of_wrapt(tmp_path):
    """What a class gives out is our wrapper itself; what an object gives out is not equal to the SDK's method."""
    with replay(tmp_path):
        for owner, name in PLACES:
            assert isinstance(getattr(owner, name), wrapt.FunctionWrapper)
            assert getattr(owner, name) is owner.__dict__[name]
        with openai.OpenAI(api_key="x") as client:
            chat = client.chat.completions
            assert chat.create == chat.create != types.MethodType(ORIGINALS[2], chat)


def test_a_wrapper_taken_off_by_others_is_found(driver, server, tmp_path):
    """Where another library takes ours for its own and puts its `__wrapped__` back, calls are answered, and seen.

    Ours is there again with the next block, and the SDK as it was after the last.
    """

    def take_off(places):
        for owner, name in places:
            setattr(owner, name, owner.__dict__[name].__wrapped__)

    with replay(tmp_path, mode="record"):
        recorded = use(driver)
    with replay(tmp_path):
        take_off(PLACES)
        with replay(tmp_path):
            assert all(type(owner.__dict__[name]) is wrappers.MethodWrapper for owner, name in PLACES)
            assert use(driver)[:2] == recorded[:2]
        take_off(PLACES[2:])
        assert use(driver)[:2] == recorded[:2]
    assert server.count == 3
    assert as_found()


class Base:
    def method(self):
        return "own"


def replaced(wrapped, instance, args, kwargs):
    return f"ours of {wrapped(*args, **kwargs)}"


def test_under_a_bound_wrapper():
    """Where somebody put a bound wrapper of their own into a class, ours goes under the one that it was made by."""
    Base.method = wrapt.FunctionWrapper(Base.__dict__["method"], lambda wrapped, *_: f"theirs of {wrapped()}")
    Base.method = Base.method
    wrappers.put(Base, "method", replaced)
    wrappers.put(Base, "method", replaced)
    assert Base().method() == "theirs of ours of own"
    assert not wrappers.are_outermost(Base(), "method")
    wrappers.remove(Base, "method")
    assert Base().method() == "theirs of own"


def test_wrappers_that_hold_each_other():
    """Closures that lead in a circle are each looked at once."""

    def first(self):
        return "first" if second else None

    def second(self):
        return "second" if first else None

    class Round:
        method = first

    wrappers.put(Round, "method", replaced)
    assert Round().method() == "ours of first"
    wrappers.remove(Round, "method")
    assert Round.method is first


def test_a_wrapper_that_looks_the_method_up_again(driver, server, tmp_path, monkeypatch):
    """Ours stands over it and under it; a call is recorded and answered once."""
    for owner, base in BASES.items():
        inner = owner.request

        def outer(self, *args, base=base, **kwargs):
            return base.request(self, *args, **kwargs)

        monkeypatch.setattr(owner, "request", functools.wraps(inner)(outer), raising=False)
    with replay(tmp_path, mode="record") as session:
        made = driver.chat()
    with replay(tmp_path):
        assert driver.chat() == made
    assert (session.recorded, server.count) == (1, 1)


def test_a_wrapper_that_was_put_over_ours_with_the_original_inside_is_left_alone():
    """A library that saved the method before ours came, and wraps that, is left as it is when ours goes."""

    class Sdk:
        def method(self):
            return "original"

    foreign = wrapt.FunctionWrapper(Sdk.method, lambda wrapped, *_: f"theirs of {wrapped()}")
    wrappers.put(Sdk, "method", replaced)
    Sdk.method = foreign
    wrappers.remove(Sdk, "method")
    assert Sdk.__dict__["method"] is foreign
    assert Sdk().method() == "theirs of original"
