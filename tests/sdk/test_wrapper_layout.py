"""Putting wrappers where they were: at once if the classes are as they were, and otherwise not at all."""

from __future__ import annotations

import gc
import weakref

import openai
import pytest
from conftest import ASK, cheap

from inferencereplay import RecordingNotFound, replay
from inferencereplay.sdk import private, wrappers
from inferencereplay.sdk.wrapper_layout import read_layout


class Base:
    def method(self):
        return "own"

    def second(self):
        return "second"


class Overriding(Base):
    def method(self):
        return "override"


METHODS = [(Base, "method"), (Base, "second"), (Overriding, "second")]
OWN = Base.__dict__["method"]


def ours(wrapped, instance, args, kwargs):
    return f"ours of {wrapped(*args, **kwargs)}"


@pytest.fixture
def layout():
    """What was read of the wrapped classes, after the wrappers were removed."""
    for name in ("method", "second"):
        wrappers.put(Base, name, ours)
    read = read_layout(METHODS)
    for name in ("method", "second"):
        wrappers.remove(Base, name)
    yield read
    for name in ("method", "second"):
        wrappers.remove(Base, name)
    assert Base.__dict__["method"] is OWN


def test_put_and_removed_at_once(layout):
    """The wrappers are there and gone again; what is there already, or is gone already, stays so."""
    for _ in range(2):
        assert layout.put()
        assert layout.put()
        assert (Base().method(), Base().second(), Overriding().method()) == (
            "ours of own",
            "ours of second",
            "override",
        )
        assert layout.remove()
        assert layout.remove()
        assert (Base().method(), Base().second()) == ("own", "second")


def test_wrappers_of_which_some_were_taken_off_are_put_again(layout):
    assert layout.put()
    Base.method = OWN
    assert layout.put()
    assert Base().method() == "ours of own"


def test_a_new_subclass(layout):
    """A subclass may hold anything, so nothing is changed; it does not live longer for the layout."""

    class New(Base):
        pass

    assert not layout.put()
    assert Base.__dict__["method"] is OWN
    wrappers.put(Base, "method", ours)
    read = read_layout(METHODS[:1])
    wrappers.remove(Base, "method")
    gone = weakref.ref(New)
    del New
    gc.collect()
    assert gone() is None
    assert layout.put()
    assert read is not None
    assert not read.put()


def test_a_subclass_of_the_same_place_as_one_that_is_gone():
    """Another class than the one that was there is not taken for it."""

    def make():
        return type("Sub", (Base,), {})

    sub = make()
    wrappers.put(Base, "method", ours)
    read = read_layout(METHODS[:1])
    wrappers.remove(Base, "method")
    del sub
    gc.collect()
    other = make()
    assert read is not None
    assert not read.put()
    del other
    gc.collect()


@pytest.mark.parametrize("is_in_subclass", [False, True])
def test_what_another_library_puts_there(layout, is_in_subclass):
    """Its wrapper stays; to put ours under it is for those who look for the ends of calls."""
    cls = Overriding if is_in_subclass else Base
    held = cls.__dict__["method"]
    cls.method = lambda self: f"theirs of {held(self)}"
    try:
        assert not layout.put()
        assert Base.__dict__["second"].__name__ == "second"
        assert type(Base.__dict__["second"]) is not wrappers.MethodWrapper
        assert read_layout(METHODS[:1]) is None
    finally:
        cls.method = held


def test_a_subclass_that_begins_to_override(layout):
    class Sub(Base):
        pass

    wrappers.put(Base, "method", ours)
    read = read_layout(METHODS[:1])
    wrappers.remove(Base, "method")
    Sub.method = lambda _: "later"
    assert read is not None
    assert not read.put()
    assert Base.__dict__["method"] is OWN
    del Sub
    gc.collect()


def test_wrappers_that_are_gone_are_not_read(layout):
    """Without a wrapper in the class there is nothing to put there again."""
    assert read_layout(METHODS) is None


# Through the blocks of a program.


def ask_in_blocks(server, directory, cls):
    """Record a call, and replay it in two more blocks, whose patches come from the layout; the rest is a miss."""
    with cls(api_key="x", base_url=server.url, **cheap()) as client:
        _ask_in_blocks(server, directory, client)


def _ask_in_blocks(server, directory, client):
    with replay(directory, mode="record"):
        answer = client.chat.completions.create(**ASK)
    seen = len(server.requests)
    for _ in range(2):
        with pytest.raises(RecordingNotFound), replay(directory):
            assert client.chat.completions.create(**ASK) == answer
            client.chat.completions.create(**{**ASK, "model": "other"})
    assert len(server.requests) == seen


def test_subclasses_of_clients_that_come_between_blocks(server, tmp_path):
    """A client's subclass with an own `request`, even of no module, is patched in the next block, as one without is."""
    ask_in_blocks(server, tmp_path / "first", openai.OpenAI)

    class Own(openai.OpenAI):
        def request(self, *args, **kwargs):
            return super().request(*args, **kwargs)

    class Copied(openai.OpenAI):
        request = private.SyncAPIClient.request

    made = {"SyncAPIClient": private.SyncAPIClient}
    exec("def request(self, *args, **kwargs): return SyncAPIClient.request(self, *args, **kwargs)", made)
    Nowhere = type("Nowhere", (openai.OpenAI,), {"request": made["request"]})  # noqa: N806
    for cls in (Own, Copied, Nowhere):
        ask_in_blocks(server, tmp_path / cls.__name__, cls)
    assert Copied.__dict__["request"] is private.SyncAPIClient.__dict__["request"]
    assert type(Copied.request) is not wrappers.MethodWrapper
