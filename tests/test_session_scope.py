"""Entering and leaving a block: interrupted at any point, and with an SDK that was imported anew."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import openai
import pytest
from programs import offline, output

from inferencereplay import api, replay, session_scope
from inferencereplay.sdk import import_watcher, patches, private, wrappers
from inferencereplay.session import active

EXAMPLES = Path(__file__).parents[1] / "examples" / "recordings"
CAPITAL = {
    "model": "SmolLM2-135M-Instruct.Q4_1",
    "messages": [{"role": "user", "content": "What is the capital of France? Answer with its name only."}],
    "temperature": 0,
}
FILES = [module.__file__ for module in (api, session_scope, active, patches, wrappers, import_watcher)]


def attributes():
    chat = openai.resources.chat.completions
    owners = [(private.SyncAPIClient, "request"), (openai.OpenAI, "__init__"), (chat.Completions, "create")]
    return [owner.__dict__[name] for owner, name in owners]


@pytest.mark.slow
def test_an_interrupt_on_entering_or_leaving_leaves_nothing(tmp_path):
    """Wherever Python looks for a signal on the way in and out, Ctrl-C leaves no patch and no open session.

    It looks when a function begins, and after a call of one written in C. The one place that no code of ours can
    guard is the beginning of `__exit__` itself.
    """
    before, finders = attributes(), list(sys.meta_path)

    def enter_and_leave(number):
        """Interrupt at the place with this number; say whether there are as many."""
        left = iter(range(number))

        def interrupt(frame, event, _):
            is_ours = frame.f_code.co_filename in FILES and frame.f_code is not replay.__exit__.__code__
            if is_ours and event in ("call", "c_return") and next(left, None) is None:
                sys.setprofile(None)
                raise KeyboardInterrupt

        block = replay(tmp_path)
        sys.setprofile(interrupt)
        try:
            with block:
                pass
        except KeyboardInterrupt:
            return True
        finally:
            sys.setprofile(None)
        return False

    number = 0
    while enter_and_leave(number):
        assert not patches._state.users, number
        assert active._open == [], number
        assert active._innermost_open() is None, number
        assert attributes() == before, number
        assert sys.meta_path == finders, number
        number += 1
    assert number > 50


PURGED = """
import sys
from inferencereplay import replay, unwrap, wrap


def imported_anew():
    for name in [name for name in sys.modules if name.partition(".")[0] == "openai"]:
        del sys.modules[name]
    import openai

    return openai


def counted(client, session):
    before = session.hits
    client.chat.completions.create(**ask)
    client.chat.completions.with_raw_response.create(**ask)
    return session.hits - before


def made(**key):
    return imported_anew().OpenAI(base_url="http://127.0.0.1:9", max_retries=0, **key)


ask = ASK
first = made(api_key="x")
with replay("recordings") as session:
    print("first", counted(first, session))
second = wrap(made(api_key="x"), "recordings")
with replay("recordings") as session:
    print("before the block", counted(first, session), counted(second, session))
    third = made()
    print("inside the block", counted(first, session), counted(second, session), counted(third, session))
    with replay("recordings") as inner:
        print("nested", counted(third, inner))
print("wrapped", second.chat.completions.create(**ask).object)
unwrap(second)
for client in (second, third):
    try:
        client.chat.completions.create(**ask)
    except Exception as error:
        print("live", type(error).__name__)
print([finder for finder in sys.meta_path if "Watcher" in str(finder)])
"""


def test_an_sdk_that_is_imported_anew_is_patched(tmp_path):
    """Test isolation may remove `openai` from `sys.modules`: old and new clients are answered, and none goes live."""
    shutil.copytree(EXAMPLES / "capitals", tmp_path / "recordings")
    (tmp_path / "purged.py").write_text(PURGED.replace("ASK", repr(CAPITAL)), "utf-8")
    assert output(offline(tmp_path / "purged.py", tmp_path), cwd=tmp_path).splitlines() == [
        "first 2",
        "before the block 2 2",
        "inside the block 2 2 2",
        "nested 2",
        "wrapped chat.completion",
        *["live AssertionError"] * 2,
        "[]",
    ]
