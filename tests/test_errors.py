"""The tree of errors."""

from __future__ import annotations

import copy
import pickle

import pytest

from inferencereplay import errors
from inferencereplay.errors import (
    AmbiguousRecording,
    IncompleteRecording,
    InferenceReplayError,
    InvalidClient,
    InvalidSetting,
    NetworkBlocked,
    NotRecordable,
    RecordingCorrupt,
    RecordingExpired,
    RecordingNotFound,
    StoreError,
    UnknownRecording,
    UnusedStub,
)

MISS = {
    "method": "POST",
    "path": "/chat/completions",
    "key": "6c1f" * 16,
    "directory": "recordings",
    "nearest": "chat/completions/6c1f.json",
    "differences": ("model: m → n",),
    "is_edited": True,
}
ERRORS = [
    (RecordingNotFound("message", **MISS), LookupError, MISS),
    (NotRecordable("message", **MISS), RecordingNotFound, MISS),
    (
        RecordingExpired("message", recording="a.json", age=9.0, **MISS),
        RecordingNotFound,
        {**MISS, "recording": "a.json", "age": 9.0},
    ),
    (UnknownRecording("message"), LookupError, {}),
    (AmbiguousRecording("message", candidates=("a.json",)), UnknownRecording, {"candidates": ("a.json",)}),
    (
        RecordingCorrupt("message", path="a.json", position="byte 3"),
        ValueError,
        {"path": "a.json", "position": "byte 3"},
    ),
    (IncompleteRecording("message", path="a.json", chunks=2), EOFError, {"path": "a.json", "chunks": 2}),
    (InvalidSetting("message"), ValueError, {}),
    (InvalidClient("message"), TypeError, {}),
    (UnusedStub("message", stubs=("<Stub 1>",)), AssertionError, {"stubs": ("<Stub 1>",)}),
    (NetworkBlocked("message", host="192.0.2.1"), RuntimeError, {"host": "192.0.2.1"}),
    (StoreError("message"), OSError, {}),
]
by_name = pytest.mark.parametrize(("error", "builtin", "facts"), ERRORS, ids=lambda item: type(item).__name__)


@by_name
def test_an_error_is_ours_and_the_builtin_it_is_a_case_of(error, builtin, facts):
    """`except InferenceReplayError` catches every error, and so does the builtin that fits."""
    assert isinstance(error, InferenceReplayError)
    assert isinstance(error, builtin)


@by_name
@pytest.mark.parametrize("travel", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy], ids=["pickle", "copy"])
def test_an_error_arrives_whole(error, builtin, facts, travel):
    """What comes out of a worker process has the same class, message and facts."""
    arrived = travel(error)
    assert type(arrived) is type(error)
    assert str(arrived) == "message"
    assert vars(arrived) == facts


def test_the_facts_may_be_left_out():
    """An error can be made of a message alone."""
    assert vars(RecordingNotFound("message")) == {
        **dict.fromkeys(MISS, ""),
        "nearest": None,
        "differences": (),
        "is_edited": False,
    }
    assert vars(RecordingCorrupt("message")) == {"path": "", "position": ""}
    assert vars(IncompleteRecording("message")) == {"path": "", "chunks": 0}


def test_the_docstring_draws_every_error():
    """The tree at the top of the module names each class of it."""
    classes = [name for name, item in vars(errors).items() if isinstance(item, type)]
    assert {type(error).__name__ for error, _, _ in ERRORS} == set(classes) - {"InferenceReplayError"}
    assert [name for name in classes if f"{name}" not in errors.__doc__] == []


def test_an_error_shows_its_facts():
    """Its `repr`, as in a log or a debugger: the first line of the message, and the facts that it has."""
    error = RecordingNotFound("POST /chat/completions was not recorded.\nThe nearest …", method="POST", key="6c1f")
    error.add_note("a note") if hasattr(error, "add_note") else None
    assert repr(error) == "RecordingNotFound('POST /chat/completions was not recorded.…', method='POST', key='6c1f')"
    assert repr(StoreError("no directory")) == "StoreError('no directory')"
    assert repr(IncompleteRecording("a", chunks=2)) == "IncompleteRecording('a', chunks=2)"
