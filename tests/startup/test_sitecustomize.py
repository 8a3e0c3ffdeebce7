"""The file that `run` puts before a program: it waits for the SDK, and makes way for another of its name."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types

import pytest

import inferencereplay
from inferencereplay.cli.running import STARTUP
from inferencereplay.startup import sitecustomize


def test_the_finder_waits_for_the_sdk_alone(monkeypatch, tmp_path):
    """It lets the others find the module, and begins once that has been run."""
    (tmp_path / "openai.py").write_text("ran = True")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "meta_path", [sitecustomize.Finder, importlib.machinery.PathFinder])
    begun = []
    monkeypatch.setattr(sitecustomize, "begin", lambda: begun.append(True))
    find = sitecustomize.Finder.find_spec
    assert find("json") is None
    assert find("openai", ["/nowhere"]) is None
    spec = find("openai")
    assert spec.loader.name == "openai"
    module = importlib.util.module_from_spec(spec)
    assert not begun
    spec.loader.exec_module(module)
    assert module.ran
    assert begun == [True]
    assert sys.meta_path == [importlib.machinery.PathFinder]
    assert isinstance(module.__loader__, importlib.machinery.SourceFileLoader)
    (tmp_path / "openai.py").unlink()
    (tmp_path / "openai").mkdir()
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    assert find("openai").loader is None or find("openai").submodule_search_locations


def test_a_module_without_a_spec_is_run_all_the_same(monkeypatch):
    """As one that was made by hand."""

    class Plain:
        def exec_module(self, module):
            module.ran = True

    monkeypatch.setattr(sys, "meta_path", [sitecustomize.Finder])
    monkeypatch.setattr(sitecustomize, "begin", lambda: None)
    module = types.ModuleType("openai")
    sitecustomize.Loader(Plain()).exec_module(module)
    assert module.ran


def test_beginning_without_the_package_is_an_error(monkeypatch):
    """That no `except ImportError` of the program takes for a missing SDK."""
    monkeypatch.setitem(sys.modules, "inferencereplay.environment", None)
    monkeypatch.delattr(inferencereplay, "environment", raising=False)
    with pytest.raises(RuntimeError, match="cannot import inferencereplay"):
        sitecustomize.begin()


def test_beginning_opens_the_ambient_session(ended, monkeypatch, tmp_path):
    """Of the environment."""
    monkeypatch.setenv("INFERENCEREPLAY_DIR", str(tmp_path))
    sitecustomize.begin()
    assert ended[0][1].store.directory == str(tmp_path)


def test_the_next_sitecustomize(monkeypatch, tmp_path):
    """Is imported, if there is one, in place of ours."""
    monkeypatch.setattr(sys, "path", [str(STARTUP), str(tmp_path)])
    monkeypatch.delitem(sys.modules, "sitecustomize", raising=False)
    sitecustomize.import_next()
    assert "sitecustomize" not in sys.modules
    (tmp_path / "sitecustomize.py").write_text("ran = True")
    importlib.invalidate_caches()
    sitecustomize.import_next()
    assert sys.modules["sitecustomize"].ran
    monkeypatch.delitem(sys.modules, "sitecustomize")


@pytest.mark.parametrize("is_late", [False, True])
def test_imported_as_python_does_at_its_start(ended, monkeypatch, tmp_path, is_late):
    """It stands by, or begins at once where the SDK has come first."""
    import pkgutil  # noqa: F401, PLC0415 - which runpy imports late, when the path is only ours
    import runpy  # noqa: PLC0415

    monkeypatch.setattr(sys, "path", [str(STARTUP)])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setenv("INFERENCEREPLAY_DIR", str(tmp_path))
    if not is_late:
        monkeypatch.delitem(sys.modules, "openai")
    runpy.run_path(str(STARTUP / "sitecustomize.py"), run_name="sitecustomize")
    assert bool(ended) is is_late
    assert (getattr(sys.meta_path[0], "__name__", "") == "Finder") is not is_late
