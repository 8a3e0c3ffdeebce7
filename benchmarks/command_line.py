"""What the benchmarks are told: wrong options end them before anything is measured."""

from __future__ import annotations

import argparse
import importlib.metadata
import re
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements-compare.txt")


def parser(description: str | None, json: str | None = "write the figures there as well") -> argparse.ArgumentParser:
    """Return a parser that shows a module's docstring as it is, with `--json` unless there is nothing to say of it."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if json:
        made.add_argument("--json", type=output_file, metavar="FILE", help=json)
    return made


def output_file(text: str) -> Path:
    """Read the name of a file that can be made."""
    file = Path(text)
    _expect(file.parent.is_dir(), f"there is no directory {file.parent}")
    _expect(not file.is_dir(), f"{file} is a directory, not a file")
    return file


def plot_file(text: str) -> Path:
    """Read the name of a picture that can be made."""
    file = output_file(text)
    _expect(file.suffix in {".svg", ".png"}, f"{file} ends neither in .svg nor in .png")
    return file


def input_file(text: str) -> Path:
    """Read the name of a file that is there."""
    file = Path(text)
    _expect(file.is_file(), f"there is no file {file}")
    return file


def folder(text: str) -> Path:
    """Read the name of a folder that is there."""
    directory = Path(text)
    _expect(directory.is_dir(), f"there is no directory {directory}")
    return directory


def _expect(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - as assert takes it
    if not condition:
        raise argparse.ArgumentTypeError(otherwise)


def missing() -> str:
    """Say which packages that are compared are not installed and how to install them, or nothing."""
    lines = REQUIREMENTS.read_text("utf-8").splitlines()
    names = [re.split(r"[=<>]", line)[0] for line in lines if line and not line.startswith("#")]
    lacking = [name for name in names if not _is_installed(name)]
    where = REQUIREMENTS.relative_to(REQUIREMENTS.parents[1])
    return f"not installed: {', '.join(lacking)}; `pip install -r {where}` installs them" if lacking else ""


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
