"""`git-setup`: let git show recordings as conversations, and merge them by taking one side."""

from __future__ import annotations

import itertools
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferencereplay.cli import options, terminal
from inferencereplay.cli.git_repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = "inferencereplay"
_SHARED = f"-text -merge diff={_NAME} linguist-generated=true"
"""Attributes for everybody. Without our merge driver, git leaves a file as it is and reports a conflict (`-merge`)."""
_OWN = f"merge={_NAME}"
"""The attribute for this clone, which has the driver; elsewhere git would merge line by line."""
_SECTIONS = (f"diff.{_NAME}", f"merge.{_NAME}")
_QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})
_SPECIAL = {ord(sign): f"\\{sign}" for sign in "\\*?[]"}


@click.command(name="git-setup", epilog="Example: inferencereplay git-setup tests/recordings")
@options.whole_directory
@click.option("--undo", "is_undone", is_flag=True, help="Take back what the command wrote for this directory.")
def git_setup(directory: Path, *, is_undone: bool) -> int:
    """Set git up for a directory of recordings.

    git diff then shows conversations, without what varies in each answer, and git merge takes the answer that was
    recorded later, where both sides recorded the same request. Three places are written: .gitattributes, which is to
    be committed; and of this clone .git/info/attributes and .git/config. So each person runs it once per clone. Run it
    again after the environment that it was run in has moved.
    """
    repository = Repository(directory)
    pattern = _pattern(repository.path(directory))
    shared = repository.root / ".gitattributes"
    own = repository.own_file("info/attributes")
    for file, attributes in ((shared, _SHARED), (own, _OWN)):
        (_take_back if is_undone else _add)(file, f"{pattern} {attributes}")
    if not is_undone:
        for name, value in _settings().items():
            repository.ask("config", "--local", name, value)
            terminal.show(("git config ", "bold"), f"--local {name} {shlex.quote(value)}")
    elif not any(line.removesuffix("\r").endswith(f" {_OWN}") for line in _read(own).split("\n")):
        for section in _SECTIONS:
            _remove_section(repository, section)
    return 0


def _settings() -> dict[str, str]:
    """Return the settings of git that call us."""
    script = shutil.which(_NAME, path=str(Path(sys.executable).parent)) or shutil.which(_NAME)
    call = shlex.join([script] if script else [sys.executable, "-m", _NAME])
    return {
        f"diff.{_NAME}.textconv": f"{call} git-textconv",
        f"merge.{_NAME}.name": "the answer that was recorded later",
        f"merge.{_NAME}.driver": f"{call} git-merge %O %A %B %P",
    }


def _pattern(path: str) -> str:
    """Return the pattern of gitattributes for the JSON files below a path; one with blanks is quoted."""
    pattern = f"/{path.translate(_SPECIAL)}/**/*.json" if path else "/**/*.json"
    if not any(sign.isspace() or sign == '"' for sign in pattern):
        return pattern
    return '"' + pattern.translate(_QUOTED) + '"'


def _read(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "surrogateescape") if file.exists() else ""


def _is(line: str) -> Callable[[str], bool]:
    """Return whether a line is meant; git may have given it the line end of Windows."""
    return lambda found: found.removesuffix("\r") == line


def _add(file: Path, line: str) -> None:
    text = _read(file)
    if any(map(_is(line), text.split("\n"))):
        terminal.show(("in place     ", "bold"), f"{file}: {line}")
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, text + "\n" * (text[-1:] not in ("", "\n")) + f"{line}\n")
    terminal.show(("added to     ", "bold"), f"{file}: {line}")


def _take_back(file: Path, line: str) -> None:
    text = _read(file)
    rest = "\n".join(itertools.filterfalse(_is(line), text.split("\n")))
    if rest == text:
        return
    if rest:
        _write(file, rest)
    else:
        file.unlink()
    terminal.show(("removed from ", "bold"), f"{file}: {line}")


def _write(file: Path, text: str) -> None:
    file.write_bytes(text.encode("utf-8", "surrogateescape"))


def _remove_section(repository: Repository, section: str) -> None:
    if repository.has_section(section):
        repository.ask("config", "--local", "--remove-section", section)
        terminal.show(("git config ", "bold"), f"--local --remove-section {section}")
