"""What pytest does beside the tests of `suite.py`: it adds up how long the calls of tests took, without fixtures."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_seconds: list[float] = []
if os.environ["SUITE_MARKER"] == "cassette":
    importlib.import_module("llm_cassette.openai").install()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note the time of a test that passed."""
    if report.when == "call" and report.passed:
        _seconds.append(report.duration)


def pytest_sessionfinish() -> None:
    """Write the seconds that were added up."""
    Path(os.environ["SUITE_OUT"]).write_text(json.dumps(sum(_seconds)), "utf-8")
