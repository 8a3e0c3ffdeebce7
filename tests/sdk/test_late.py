"""Objects that are made when somebody looks at them."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from conftest import ASK, completion, plain

from inferencereplay import replay
from inferencereplay.sdk.late import late


class Thing:
    """An object of another library."""

    def __init__(self) -> None:
        self.name, self.size = "thing", 3


LOOKS = {
    "vars": vars,
    "dict": lambda thing: thing.__dict__,
    "dir": dir,
    "class": lambda thing: thing.__class__,
    "instance": lambda thing: (isinstance(thing, Thing), isinstance(thing, int)),
    "attribute": lambda thing: (thing.size, type(thing)),
    "copied": lambda thing: (vars(copy.copy(thing)), type(copy.deepcopy(thing)), type(thing)),
    "pickled": lambda thing: vars(pickle.loads(pickle.dumps(thing))),
    "missing": lambda thing: hasattr(thing, "missing"),
    "name of the class": lambda thing: (type(thing).__name__, type(thing).__module__),
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_first_look_sees_what_a_made_object_shows(look):
    """However somebody looks, the object seems to have been there from the beginning."""
    assert LOOKS[look](late(Thing, Thing, name=lambda: "thing")) == LOOKS[look](Thing())


def test_what_was_set_before_stays():
    """An attribute that a program sets on an unmade object is not overwritten by the making."""
    thing = late(Thing, Thing)
    thing.size = 4
    assert vars(thing) == {"name": "thing", "size": 4}


def test_another_thread_makes_it_meanwhile():
    """An object that was made during its own making stays one of its class with its attributes."""
    made: list[Any] = []

    def make() -> Thing:
        if not made:
            made.append(thing)
            assert thing.name == "thing"
            assert type(thing) is Thing
        return Thing()

    thing = late(Thing, make)
    assert vars(thing) == {"name": "thing", "size": 3}
    assert type(thing) is Thing


def test_a_look_that_began_before_another_thread_made_it():
    """It finds the attribute of the object that is there meanwhile."""
    thing = late(Thing, Thing)
    look: Any = type(thing).__getattr__
    assert thing.size == 3
    assert look(thing, "name") == "thing"


def test_an_http_response_shows_all_it_has(client, server, tmp_path):
    """`vars`, as debuggers ask for, gives what a raw response was read to."""
    server.replies = [plain(completion("Hi"))]

    def ask() -> Any:
        return client.chat.completions.with_raw_response.create(**ASK).http_response

    with replay(tmp_path, mode="record"):
        ask()
    with replay(tmp_path):
        assert {"_content", "_request", "headers", "status_code"} <= vars(ask()).keys()
        assert "method" in vars(ask().request)
        assert ask().__class__ is type(_looked_at(ask()))


def _looked_at(response: Any) -> Any:
    assert response.status_code == 200
    return response
