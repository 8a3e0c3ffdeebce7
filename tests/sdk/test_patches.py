"""The patches: on with the first use, off with the last, and nothing else is disturbed."""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import subprocess
import sys
from typing import Any

import openai
import pytest
import wrapt
from conftest import ASK, cheap, completion, plain
from openai._models import FinalRequestOptions
from openai.resources.chat.completions import Completions as Chat
from places import ORIGINALS, PLACES, attributes
from ways import Person

from inferencereplay import RecordingNotFound, replay, unwrap, wrap
from inferencereplay.sdk import patches, private
from inferencereplay.session.garbage import collect


@pytest.fixture(autouse=True)
def _as_it_was():
    collect()
    assert all(now is then for now, then in zip(attributes(), ORIGINALS, strict=True))
    yield
    collect()
    assert all(now is then for now, then in zip(attributes(), ORIGINALS, strict=True))


def test_attributes_are_the_same_objects_after_the_last_exit(tmp_path):
    """Leaving the last block gives back the very functions that were found."""
    with replay(tmp_path):
        assert all(now is not then for now, then in zip(attributes(), ORIGINALS, strict=True))
        with replay(tmp_path, mode="record"):
            inside = attributes()
        assert all(now is then for now, then in zip(attributes(), inside, strict=True))


def test_wrapped_clients_hold_the_patches(client, tmp_path):
    """Unwrap and garbage collection give the patches back, whichever comes first."""
    wrap(client, tmp_path)
    assert attributes()[0] is not ORIGINALS[0]
    wrap(openai.OpenAI(api_key="x", **cheap()), tmp_path)
    collect()
    assert attributes()[0] is not ORIGINALS[0]
    unwrap(client)
    unwrap(client)


def test_what_inspect_says_stays(tmp_path):
    """Signature, name, documentation and being a coroutine function or not are what they were."""

    def told():
        return [
            (
                inspect.iscoroutinefunction(getattr(owner, name)),
                inspect.signature(getattr(owner, name)),
                getattr(owner, name).__doc__,
                getattr(owner, name).__qualname__,
            )
            for owner, name in PLACES
        ]

    made = (openai.OpenAI(api_key="x", **cheap()), openai.AsyncOpenAI(api_key="x", **cheap(is_async=True)))

    def told_of_bound():
        return [
            (inspect.iscoroutinefunction(method), inspect.signature(method), inspect.ismethod(method))
            for one in made
            for method in (one.request, one.chat.completions.create, one.completions.create)
        ]

    before = told(), told_of_bound()
    with replay(tmp_path):
        assert (told(), told_of_bound()) == before


def plainly(calls, owner, name):
    """Wrap as many libraries do: a function in the place of another."""
    inner = getattr(owner, name)

    def outer(self, *args, **kwargs):
        calls.append(name)
        return inner(self, *args, **kwargs)

    return outer


def politely(calls, owner, name):
    """Wrap with functools.wraps."""
    return functools.wraps(owner.__dict__[name])(plainly(calls, owner, name))


def unbound(calls, owner, name):
    """Wrap what stands in the class, and call it as it stands there."""
    inner = owner.__dict__[name]

    def outer(self, *args, **kwargs):
        calls.append(name)
        return inner(self, *args, **kwargs)

    return outer


def with_wrapt(calls, owner, name):
    """Wrap with wrapt."""

    def outer(wrapped, instance, args, kwargs):
        calls.append(name)
        return wrapped(*args, **kwargs)

    return wrapt.FunctionWrapper(owner.__dict__[name], outer)


class Other:
    """Another library that wraps the same methods, and gives back what it found."""

    def __init__(self, way):
        self.way = way
        self.calls = []

    def install(self):
        self.found = attributes()
        for owner, name in PLACES:
            setattr(owner, name, self.way(self.calls, owner, name))
        self.own = attributes()

    def remove(self):
        for (owner, name), found in zip(PLACES, self.found, strict=True):
            setattr(owner, name, found)


def _restore():
    for (owner, name), original in zip(PLACES, ORIGINALS, strict=True):
        setattr(owner, name, original)


@pytest.fixture(params=[plainly, politely, unbound, with_wrapt])
def other(request):
    """Somebody else's patches, made one way after the other."""
    yield Other(request.param)
    _restore()


def test_another_library_inside(driver, server, tmp_path, other):
    """Wrapped and unwrapped inside a block: both see each call, and all is as it was afterwards."""
    with replay(tmp_path, mode="record") as session:
        other.install()
        made = [driver.chat(), driver.chat(stream=True), driver.text()]
        other.remove()
        assert (session.recorded, server.count) == (3, 3)
        assert other.calls.count("create") == 3
    assert all(now is then for now, then in zip(attributes(), ORIGINALS, strict=True))
    with replay(tmp_path) as session:
        other.install()
        assert [driver.chat(), driver.chat(stream=True), driver.text()] == made
        other.remove()
        assert session.hits == 3
    assert server.count == 3


def test_another_library_before(driver, server, tmp_path, other):
    """Wrapped before and unwrapped after: it gets back exactly what it had put there."""
    other.install()
    with replay(tmp_path, mode="record") as session:
        made = driver.chat()
        assert session.recorded == 1
    assert all(now is then for now, then in zip(attributes(), other.own, strict=True))
    with replay(tmp_path):
        assert driver.chat() == made
    assert server.count == 1
    other.remove()


def test_another_library_that_stays_longer(driver, server, tmp_path, other):
    """Wrapped inside and unwrapped after: calls go through, and with the first one everything is given back."""
    with replay(tmp_path, mode="record"):
        other.install()
    assert all(now is then for now, then in zip(attributes(), other.own, strict=True))
    driver.chat()
    assert server.count == 1
    other.remove()
    driver.chat()
    assert all(now is then for now, then in zip(attributes(), ORIGINALS, strict=True))


def test_a_new_session_under_somebodys_patch(driver, server, tmp_path, other):
    """Where a patch stayed over ours, the next session records and answers each call once, and leaves it in place."""
    with replay(tmp_path, mode="record"):
        other.install()
    for _ in range(2):
        with replay(tmp_path, mode="record") as session:
            made = [driver.chat(), driver.chat(stream=True)]
        assert session.recorded == 2
        assert len(list(tmp_path.rglob("*.json"))) == 2
        count = server.count
        with replay(tmp_path) as session:
            assert [driver.chat(), driver.chat(stream=True)] == made
            with pytest.raises(RecordingNotFound):
                driver.chat(n=3)
            assert (session.hits, session.misses) == (2, 1)
            session.missed.clear()
        assert server.count == count
        assert all(now is then for now, then in zip(attributes(), other.own, strict=True))
    other.remove()
    with replay(tmp_path):
        pass
    assert all(now is then for now, then in zip(attributes(), ORIGINALS, strict=True))


def test_a_session_repairs_what_was_taken_off(driver, server, tmp_path):
    """Where somebody put the originals back over our heads, the next block puts the patches on again."""
    with replay(tmp_path, mode="record"):
        driver.chat()
        _restore()
        with replay(tmp_path) as session:
            driver.chat()
        assert session.hits == 1


def test_a_call_of_the_function_in_the_class(client, server, tmp_path):
    """The function as it stands in the class can be called with the object as its first argument."""
    with replay(tmp_path, mode="record"):
        made = Chat.__dict__["create"](client.chat.completions, **ASK)
        assert Chat.create(client.chat.completions, **ASK).id == made.id
    with replay(tmp_path):
        assert Chat.__dict__["create"](client.chat.completions, **ASK) == made


def test_positional_arguments_are_refused_as_live(driver, tmp_path):
    """`create` takes keywords only, with us as without."""
    with pytest.raises(TypeError) as live:
        driver(lambda client: client.chat.completions.create(ASK["messages"], "m"))
    with replay(tmp_path), pytest.raises(TypeError) as ours:
        driver(lambda client: client.chat.completions.create(ASK["messages"], "m"))
    assert str(ours.value) == str(live.value)


def test_methods_that_were_fetched_before_or_after(client, server, tmp_path):
    """A bound method or raw-response object that was kept from before a block, or from inside it, works on."""
    kept = client.chat.completions.create, client.chat.completions.with_raw_response.create
    with replay(tmp_path, mode="record") as session:
        kept[0](**ASK)
        inside = client.chat.completions.create
    assert session.recorded == 1
    with replay(tmp_path) as session:
        kept[0](**ASK)
        kept[1](**ASK)
        inside(**ASK)
    assert (session.hits, server.count) == (3, 1)
    inside(**ASK)
    assert server.count == 2


def test_a_release_in_the_middle_of_an_acquire(tmp_path):
    """A client that is collected while another use begins does not take the patches with it."""
    patches.acquire("one")
    patches.acquire("other")
    patches.release("one")
    assert attributes()[0] is not ORIGINALS[0]
    patches.release("other")


def test_a_module_that_comes_after_the_last_use_is_left_alone():
    """A thread whose import ends when the last use has ended changes nothing."""
    assert not patches._state.install(sys.modules[private.BaseClient.__module__])
    assert attributes() == ORIGINALS


LATE = """
import sys, threading
import openai
from inferencereplay import replay

names = ["openai.resources.completions", "openai.resources.embeddings"]
finders = list(sys.meta_path)
with replay(sys.argv[1]):
    threads = [threading.Thread(target=__import__, args=(name,)) for name in names * 4]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    modules = [sys.modules[name] for name in names]
    places = [(modules[0].Completions, "create"), (modules[1].Embeddings, "create")]
    inside = [owner.__dict__[name] for owner, name in places]
after = [owner.__dict__[name] for owner, name in places]
with replay(sys.argv[1]):
    again = [owner.__dict__[name] for owner, name in places]
print([item is not own for item, own in zip((*inside, *again), after * 2)])
print([owner.__dict__[name] is item for (owner, name), item in zip(places, after)], sys.meta_path == finders)
"""


WAITING = """
import sys, threading, types
from inferencereplay.sdk import patches

about_to_import, imported = threading.Event(), threading.Event()


def importing(module):
    about_to_import.set()
    return [] if imported.wait(30) else sys.exit("waited for ever")


name = "openai.resources.embeddings"
patches._SITES[name], modules = importing, [types.ModuleType(name), sys.modules["openai._base_client"]]
patches._state.users = {1}
first = threading.Thread(target=patches._state.install, args=(modules[0],))
first.start()
about_to_import.wait(30)
second = threading.Thread(target=patches._state.install, args=(modules[1],), daemon=True)
second.start()
second.join(10)
print(second.is_alive())
imported.set()
first.join()
"""


def test_no_lock_is_held_while_the_sdk_imports(tmp_path):
    """What is made for one module of the SDK may import others, which other threads are just about to patch."""
    done = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_modules_that_are_imported_later_are_patched_then(tmp_path):
    """What the SDK imports when it is first used is patched if a session is open then, and given back after it."""
    done = subprocess.run([sys.executable, "-c", LATE, str(tmp_path)], capture_output=True, text=True, check=True)
    patched, given_back = done.stdout.splitlines()
    assert patched == str([True] * 4)
    assert given_back == "[True, True] True"


def test_a_module_of_the_sdk_that_is_imported_in_a_block_is_patched(tmp_path, monkeypatch):
    """Newer versions of the SDK import most of their modules when they are first used."""
    name = "openai.resources.embeddings"
    known = importlib.import_module(name)
    monkeypatch.setattr(sys.modules["openai.resources"], "embeddings", known)
    monkeypatch.setitem(sys.modules, name, known)
    with replay(tmp_path):
        del sys.modules[name]
        imported = importlib.import_module(name)
        assert imported is not known
        assert type(imported.Embeddings.__dict__["create"]).__name__ == "MethodWrapper"
    assert type(imported.Embeddings.__dict__["create"]).__name__ == "function"


def test_a_request_that_the_program_builds_while_recording_is_built(client, tmp_path, caplog):
    """It belongs to no call, and nothing is logged."""
    options = FinalRequestOptions.construct(method="get", url="/models")
    with replay(tmp_path, mode="record"):
        assert client._build_request(options).url.path.endswith("/models")
    assert caplog.messages == []


def test_a_request_that_nobody_can_build_is_made_of_what_is_known():
    """The method and the URL, for errors and raw responses, where a client's own code fails."""

    class Broken(openai.OpenAI):
        def _build_request(self, *_: Any, **__: Any) -> Any:
            raise ValueError

    options = FinalRequestOptions.construct(method="post", url="/chat/completions")
    with Broken(api_key="none", base_url="http://127.0.0.1:9/v1/") as client:
        built = private.http_request(client, options)
    assert (built.method, str(built.url)) == ("POST", "http://127.0.0.1:9/v1/chat/completions")


def test_parse_of_an_unwrapped_client_beside_a_wrapped_one_is_live(server, tmp_path):
    """The patches are there for the wrapped one."""
    server.replies = [plain(completion('{"name": "Ann", "age": 3}'))]
    other = wrap(openai.OpenAI(api_key="none"), tmp_path)

    async def ask() -> Any:
        async with openai.AsyncOpenAI(api_key="none", base_url=server.url) as client:
            return await client.beta.chat.completions.parse(**ASK, response_format=Person)

    made = asyncio.run(ask())
    assert made.choices[0].message.parsed == Person(name="Ann", age=3)
    unwrap(other)
