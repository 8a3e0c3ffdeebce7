"""Which module imports which: a reader meets nothing before it is explained."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import inferencereplay

PACKAGE = Path(inferencereplay.__file__).parent
ORDER = (
    *("locks", "dropped", "errors", "request", "recording", "forms", "names", "redact", "pieces"),
    *("store.inside", "store.lock", "store.life", "store.directory"),
    *("store.llama_stack_file", "store.llama_stack", "store"),
    *("settings", "turns", "pacing", "timing", "difference", "misses", "reader", "variants", "run", "run_variants"),
    *("hiding", "keeping", "session"),
    *("active", "sdk", "building", "sse", "wire", "tape", "typed", "calls", "wrapping", "watching", "patching"),
    *("using", "decorating", "api"),
    *("conversation.parts", "conversation.asked", "conversation.answered", "conversation.streamed", "conversation"),
    "catalogue",
    *("conversion", "conversion.cassettes", "conversion.cassettes.exchange", "conversion.cassettes.documents"),
    *("conversion.cassettes.reading", "conversion.importing", "conversion.exporting"),
    *("upkeep", "upkeep.numbering", "upkeep.checking", "upkeep.pruning", "upkeep.rekeying"),
    *("totals", "ambient", "startup", "startup.sitecustomize"),
    *("report.shortened", "report.described", "report.totals", "report.budget", "report.assemble", "report"),
    *("pytest_plugin.options", "pytest_plugin.tally", "pytest_plugin.unused", "pytest_plugin.summary"),
    *("pytest_plugin.units", "pytest_plugin.state", "pytest_plugin"),
    "",
    *("cli.terminal", "cli.options", "cli.listing", "cli.showing", "cli.comparing", "cli.tidying", "cli.converting"),
    *("cli.running", "cli.reporting", "cli.app", "cli", "__main__"),
)
"""Each module imports only what stands before it; the command line comes after the package itself."""


def name_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(source: str) -> set[str]:
    """Return the modules of the package that `source` imports, those for the type checker among them."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "an import that is not absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner.partition(".")[2] in ORDER else node.module)
    return {name.partition(".")[2] for name in found if name.split(".")[0] == "inferencereplay"}


MODULES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def test_every_module_has_its_place():
    """A new module is put into the order before it is used, and one that is gone is taken out."""
    assert sorted(MODULES) == sorted(ORDER)


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_one_way(name):
    """No module imports one that stands after it, or itself."""
    before = ORDER[: ORDER.index(name)]
    assert imported(MODULES[name].read_text("utf-8")) - set(before) == set()


def test_an_arrow_the_other_way_would_be_seen():
    """Every way to write an import is read, inside a function too."""
    source = """
from __future__ import annotations
import json, inferencereplay.api
from inferencereplay import sdk, recording as files, __version__
def function():
    from inferencereplay.store.directory import DirectoryStore
    if TYPE_CHECKING:
        from inferencereplay.store import Store, llama_stack
"""
    assert imported(source) == {"api", "sdk", "recording", "", "store.directory", "store", "store.llama_stack"}


@pytest.mark.parametrize("statement", ["import inferencereplay", "from inferencereplay import InvalidSetting"])
def test_importing_the_package_is_cheap(statement):
    """Neither the SDK nor what it brings, nor a test runner, is imported before it is needed."""
    heavy = ("openai", "pytest", "msgspec", "pydantic", "anyio", "httpx", "httpx2", "wrapt")
    code = f"import sys; {statement}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", inferencereplay.__all__)
def test_every_public_name_is_there(name):
    """Each name is fetched when it is asked for, and listed before."""
    assert name in dir(inferencereplay)
    assert getattr(inferencereplay, name).__name__ == name


def test_an_unknown_name_is_told():
    """A slip in an import says what is not there."""
    with pytest.raises(AttributeError, match="module 'inferencereplay' has no attribute 'repaly'"):
        inferencereplay.repaly  # noqa: B018
