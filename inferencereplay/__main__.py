"""The command line, as `python -m inferencereplay`."""

from __future__ import annotations

import sys

from inferencereplay.cli import main

if __name__ == "__main__":
    sys.exit(main())
