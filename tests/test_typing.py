"""mypy and pyright agree that `wrap` and `@replay` change no types."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CHECKED = ROOT / "tests" / "typing_checks.py"


def check(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not find_spec("mypy"), reason="mypy is not installed (pip install '.[lint]')")
def test_mypy_sees_no_change(tmp_path):
    """mypy, at its strictest, infers the types that typing_checks.py asserts, and warns of no needless ignore."""
    done = check("mypy", "--strict", "--follow-imports=silent", f"--cache-dir={tmp_path}", str(CHECKED))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not find_spec("pyright"), reason="pyright is not installed (pip install '.[lint]')")
def test_pyright_sees_no_change():
    """Pyright does too."""
    done = check("pyright", "--pythonpath", sys.executable, str(CHECKED))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_is_marked_as_typed():
    """Without py.typed, type checkers of installed copies would see nothing of all that."""
    assert (ROOT / "inferencereplay" / "py.typed").exists()
