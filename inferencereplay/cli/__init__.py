"""The command line: one module for each group of commands. It needs the extra `cli`.

The commands use the other packages. Only `__main__` and the console script use them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Args:
        arguments: without the program's name; the default is those of the process.

    Returns:
        0 for success, 1 if a command found something wrong, different or missing, 2 if it could not do its work.
    """
    try:
        return _start(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:  # an import below may take a second
        return _INTERRUPTED


def _start(arguments: list[str]) -> int:
    try:
        import click  # noqa: F401, PLC0415 - the extra may not be installed
        import rich  # noqa: F401, PLC0415 - the extra may not be installed
    except ImportError as error:
        message = f"The command line needs the package {error.name}: pip install 'inferencereplay[cli]'"
        print(message, file=sys.stderr)  # noqa: T201 - rich may be missing
        return 2
    from inferencereplay.cli.app import run  # noqa: PLC0415 - imports click

    return run(arguments)
