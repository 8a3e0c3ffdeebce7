"""The command line. It needs the extra `cli`; without it one line says so."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Args:
        arguments: without the program's name; by default those of the process.

    Returns:
        0 if all is well, 1 if a command found something wrong, different or missing, 2 if it could not do its work.
    """
    try:
        return _start(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:  # also while all is still being imported
        return _INTERRUPTED


def _start(arguments: list[str]) -> int:
    try:
        import click  # noqa: F401, PLC0415 - the extra may not be there
        import rich  # noqa: F401, PLC0415 - as above
    except ImportError as error:
        message = f"The command line needs the package {error.name}: pip install 'inferencereplay[cli]'"
        print(message, file=sys.stderr)  # noqa: T201 - rich is what may be missing
        return 2
    from inferencereplay.cli.app import run  # noqa: PLC0415 - imports click

    return run(arguments)
