"""Imports are looked at, and left as they are."""

from __future__ import annotations

import importlib
import sys

import pytest
from programs import output

from inferencereplay.sdk.import_watcher import ImportWatcher


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Make a package of modules, each of which imports the next."""
    folder = tmp_path / "watched"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for name, other in (("one", "two"), ("two", "three"), ("three", "last")):
        (folder / f"{name}.py").write_text(f"import time; time.sleep(0.01); import watched.{other}; value = '{name}'")
    (folder / "last.py").write_text("")
    (folder / "broken.py").write_text("raise RuntimeError('broken')")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "watched"
    for name in [name for name in sys.modules if name.split(".")[0] == "watched"]:
        del sys.modules[name]


def test_modules_are_told_when_they_are_executed(package):
    """Each of the modules is told of once, whole; the others are not, and nothing is left behind."""
    told = []
    finders = list(sys.meta_path)
    watcher = ImportWatcher(
        ["watched.one", "watched.three", "watched.missing"], lambda module: told.append(vars(module))
    )
    watcher.start()
    watcher.start()
    try:
        module = importlib.import_module("watched.one")
        importlib.reload(module)
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("watched.missing")
    finally:
        watcher.stop()
        watcher.stop()
    assert sys.meta_path == finders
    assert [item["value"] for item in told] == ["three", "one", "one"]
    assert "exec_module" not in vars(module.__spec__.loader)


def test_a_module_that_fails_is_not_told_of(package):
    """An import that fails fails as ever."""
    told = []
    watcher = ImportWatcher(["watched.broken"], told.append)
    watcher.start()
    try:
        with pytest.raises(RuntimeError, match="broken"):
            importlib.import_module("watched.broken")
    finally:
        watcher.stop()
    assert told == []


IMPORT_AT_ONCE = """
import importlib, threading
from inferencereplay.sdk.import_watcher import ImportWatcher

told = []
watcher = ImportWatcher(["watched.one", "watched.two", "watched.three"], told.append)
watcher.start()
names = ["watched.one", "watched.two", "watched.three"] * 3
threads = [threading.Thread(target=importlib.import_module, args=(name,), daemon=True) for name in names]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
watcher.stop()
assert not any(thread.is_alive() for thread in threads)
print(*sorted(module.__name__ for module in told))
"""


@pytest.mark.usefixtures("package")
def test_threads_that_import_at_once_do_not_wait_for_each_other_for_ever(tmp_path):
    """Many threads import parts of one package, each of which imports another.

    In an interpreter of its own: garbage of other tests, collected in mid-import, can make CPython's imports fail.
    """
    (tmp_path / "main.py").write_text(IMPORT_AT_ONCE)
    assert output("main.py", cwd=tmp_path, is_started=True) == "watched.one watched.three watched.two\n"
