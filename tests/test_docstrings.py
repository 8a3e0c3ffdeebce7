"""The reference that the docstrings are: each public name has one, and what its examples show is so."""

from __future__ import annotations

import asyncio
import doctest
import inspect
import pydoc
import shutil
from pathlib import Path

import openai
import pytest

import inferencereplay
from inferencereplay import errors, report
from inferencereplay.catalogue import conversation, entries
from inferencereplay.pacing import pacer, timing

ROOT = Path(__file__).parents[1]
MODULES = [inferencereplay, entries, conversation, errors, pacer, report, timing]
"""Where the documents tell people to import from."""
ASK = {
    "model": "SmolLM2-135M-Instruct.Q4_1",
    "messages": [{"role": "user", "content": "What is the capital of France? Answer with its name only."}],
    "temperature": 0,
}
NAMES = {"ask": ASK, "asyncio": asyncio, "OpenAI": openai.OpenAI, "AsyncOpenAI": openai.AsyncOpenAI}
NAMES |= {name: getattr(inferencereplay, name) for name in inferencereplay.__all__}


def public(module):
    """Return what a module offers of its own: by `__all__`, or all that is defined there and not private."""
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
    ]
    return {name: getattr(module, name) for name in names if not name.startswith("_")}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_each_public_name_says_what_it_is(module):
    """So does each public method; the arguments and attributes of classes are in the docstring of the class."""
    for name, value in public(module).items():
        assert value.__doc__, name
        assert not value.__doc__.startswith(f"{name}("), f"{name} has the docstring that Python makes"
        if inspect.isclass(value):
            own = {part: item for part, item in vars(value).items() if not part.startswith("_") and callable(item)}
            assert not [part for part, item in own.items() if not item.__doc__], name


@pytest.mark.parametrize("name", ["Mode", "Pace", "RecordingNotFound", "Session", "replay", "unwrap", "wrap"])
def test_what_people_use_has_an_example(name):
    """Whoever asks for help sees how it is used."""
    assert ">>> " in pydoc.render_doc(getattr(inferencereplay, name), renderer=pydoc.plaintext)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples(module, tmp_path, monkeypatch):
    """They run offline and without a key in a folder with a recording, and print what they show."""
    shutil.copytree(ROOT / "examples" / "recordings" / "capitals", tmp_path / "recordings")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    runner, told = doctest.DocTestRunner(), []
    for name, value in public(module).items():
        names = {**NAMES, **public(module)}
        for test in doctest.DocTestFinder(recurse=inspect.isclass(value)).find(value, name, globs=names):
            runner.run(test, out=told.append)
    assert runner.failures == 0, "".join(told)


def test_help_on_the_package():
    """It begins with what the package does, and names what can be imported."""
    text = pydoc.render_doc(inferencereplay, renderer=pydoc.plaintext)
    assert "Record the calls of an OpenAI client once" in text
    for name in inferencereplay.__all__:
        assert name in text
