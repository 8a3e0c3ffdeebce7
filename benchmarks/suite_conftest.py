"""What pytest does beside the tests of `suite.py`: it adds up how long the calls of tests took, without fixtures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_seconds: list[float] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note the time of a test that passed."""
    if report.when == "call" and report.passed:
        _seconds.append(report.duration)


def pytest_sessionfinish() -> None:
    """Write what was added up."""
    found = {"passed": len(_seconds), "calls": sum(_seconds)}
    Path(os.environ["SUITE_OUT"]).write_text(json.dumps(found), "utf-8")
