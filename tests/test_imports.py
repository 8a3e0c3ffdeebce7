"""Which module imports which: a reader meets nothing before it is explained."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import inferencereplay

PACKAGE = Path(inferencereplay.__file__).parent
ROOMS = {
    "errors": "",
    "locks": "",
    "recording": "errors",
    "redaction": "errors recording",
    "normalizers": "recording",
    "pacing": "errors",
    "store": "errors locks recording",
    "object_stores": "errors recording store",
    "stubs": "errors locks recording pacing",
    "faults": "errors locks recording",
    "session": "errors locks recording redaction normalizers pacing store stubs faults",
    "sdk": "errors locks recording redaction pacing faults session",
    "catalogue": "errors recording store",
    "process_starts": "locks session sdk",
    "session_scope": "locks session sdk process_starts",
    "decorator": "errors session_scope",
    "environment": "errors session sdk",
    "api": "errors session session_scope decorator",
    "conversion": "errors recording store session sdk catalogue",
    "upkeep": "errors recording redaction store session catalogue",
    "calibration": "errors recording normalizers session catalogue",
    "report": "errors recording catalogue",
    "server": "errors recording redaction pacing session sdk catalogue",
    "verification": "errors recording redaction store session api catalogue",
    "startup": "environment",
    "pytest_plugin": "errors recording store session catalogue session_scope upkeep server",
    "": "errors pacing faults session api",
    "cli": "* errors recording redaction normalizers pacing store stubs session catalogue conversion upkeep "
    "calibration report server verification environment",
    "__main__": "cli",
}
"""Each room of the package, from the ground up, and the rooms that it may import; `*` is the package's face."""


def name_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


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
                found.add(inner if inner.partition(".")[2] in MODULES else node.module)
    return {name.partition(".")[2] for name in found if name.split(".")[0] == "inferencereplay"}


ARROWS = {name: imported(file.read_text("utf-8")) for name, file in MODULES.items()}
"""Which modules each module imports."""


def room_of(module: str) -> str:
    return module.partition(".")[0]


def test_every_room_has_its_place():
    """A new room is put into the order before it is used, and one that is gone is taken out."""
    assert {room_of(name) for name in MODULES} == set(ROOMS)


@pytest.mark.parametrize("name", [name for name in MODULES if room_of(name) not in ("startup", "__main__")])
def test_every_module_can_be_imported(name):
    """Also one that others import for their types only."""
    assert importlib.import_module(f"inferencereplay.{name}".rstrip(".")).__doc__


def test_rooms_import_only_those_below():
    """The order of the rooms holds: what a room may import stands before it."""
    for place, (name, allowed) in enumerate(ROOMS.items()):
        below = list(ROOMS)[:place]
        assert set(allowed.replace("*", "").split()) <= set(below), name


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room):
    """No module imports from a room that its own may not use, and none is listed that it does not use."""
    used = {room_of(goal) for name, goals in ARROWS.items() if room_of(name) == room for goal in goals}
    allowed = {"" if name == "*" else name for name in ROOMS[room].split()}
    assert used - {room} == allowed


@pytest.mark.parametrize("room", ROOMS)
def test_no_circle_within_a_room(room):
    """The modules of a room import each other one way as well."""
    rest = {name: {goal for goal in ARROWS[name] if room_of(goal) == room} for name in MODULES if room_of(name) == room}
    while free := [name for name, goals in rest.items() if not goals & rest.keys()]:
        for name in free:
            del rest[name]
    assert rest == {}


def test_no_two_modules_share_a_name():
    """A traceback or a search that names a module leads to one place."""
    names = [name.rpartition(".")[2] for name in MODULES if not MODULES[name].name.startswith("__")]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("room", [name for name in ROOMS if (PACKAGE / name / "__init__.py").exists()])
def test_every_package_says_what_lives_there(room):
    """A newcomer who opens its `__init__` reads that first."""
    assert ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text("utf-8")))


def test_an_arrow_the_other_way_would_be_seen():
    """Every way to write an import is read, inside a function too."""
    source = """
from __future__ import annotations
import json, inferencereplay.api
from inferencereplay import sdk, recording as files, __version__
from inferencereplay.sdk import private
def function():
    from inferencereplay.store.directory import DirectoryStore
    if TYPE_CHECKING:
        from inferencereplay.store import interface, llama_stack
"""
    inside = {"sdk.private", "store.directory", "store.interface", "store.llama_stack"}
    assert imported(source) == {"api", "sdk", "recording", "", *inside}


@pytest.mark.parametrize("statement", ["import inferencereplay", "from inferencereplay import InvalidSetting"])
def test_importing_the_package_is_cheap(statement):
    """Neither the SDK nor what it brings, nor a test runner, is imported before it is needed."""
    heavy = ("openai", "pytest", "msgspec", "pydantic", "anyio", "httpx", "httpx2", "wrapt")
    code = f"import sys; {statement}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", inferencereplay.__all__)
def test_every_public_name_is_there(name):
    """Each name is fetched when it is asked for, and listed before, once."""
    assert dir(inferencereplay).count(name) == 1
    assert getattr(inferencereplay, name).__name__ == name


def test_an_unknown_name_is_told():
    """A slip in an import says what is not there."""
    with pytest.raises(AttributeError, match="module 'inferencereplay' has no attribute 'repaly'"):
        inferencereplay.repaly  # noqa: B018
