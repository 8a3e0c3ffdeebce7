"""`report`: write a directory as one HTML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inferencereplay.cli import options, terminal
from inferencereplay.report import write_report

if TYPE_CHECKING:
    from pathlib import Path

    from inferencereplay.cli.options import Directories


@click.command(epilog="Example: inferencereplay report tests/recordings -o report.html")
@options.whole_directory
@click.option("-o", "--output", type=options.PATH, default="report.html", show_default=True, help="The file to write.")
def report(directory: Directories, output: Path) -> int:
    """Write a report as one HTML file.

    It holds a table of the recordings, their conversations, a player with the recorded timing, a plot of arrivals,
    totals, and a comparison of requests, and needs no network. An existing file is replaced. Exit status 1 if a
    recording cannot be read.
    """
    options.keep_recordings(directory, output)
    written = write_report(directory, output, follow=lambda items, total: terminal.progress(items, total, "reading"))
    count = f"{written.recordings} recording{'' if written.recordings == 1 else 's'}"
    terminal.show((count, "bold"), f", {terminal.size(written.size)}: {terminal.name(str(written.file))}")
    for notice in written.notices:
        terminal.note(notice)
    return 1 if written.unreadable else 0
