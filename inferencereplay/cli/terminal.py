"""What is printed, and how: nothing from a recording reaches a terminal as anything but text.

On a terminal there are colours and tables; in a pipe there is plain text, tab-separated where there are columns, of
whatever width. Where the reader of a pipe leaves early, what streams rows ends; what prints lines as it works, such as
`rekey`, goes on in silence, for its work must not be left half done, nor its exit status lie.
"""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import sys
from typing import TYPE_CHECKING, Any

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_BIDI = [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C]
"""Characters that reorder what stands beside them."""
_LINES = (0x0A, 0x09)
_UNSAFE = {
    **{code: chr(0x2400 + code) for code in range(0x20) if code not in _LINES},
    **{code: f"\\x{code:02x}" for code in range(0x7F, 0xA0)},
    **{code: f"\\u{code:04x}" for code in (*_BIDI, 0x2028, 0x2029)},
    **dict.fromkeys(range(55296, 57344), "�"),
}
_IN_JSON = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), *_BIDI, 0x2028, 0x2029, *range(0xD800, 0xE000))}
"""Half a surrogate pair stands in names of files that are no UTF-8."""
_KILO = 1024
_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.-=+*%#"
"""For terminals that know few characters."""
_LEAST_NAME = 6
_LEAST_TEXT = 9
"""Characters to which a table cuts a model or a path, and the text at the end of its rows, at most: 80 are enough."""
_BETWEEN = 2
"""Blanks between the columns of a table."""


def safe(text: str) -> str:
    """Return a text with the characters that steer a terminal made visible: no escape sequence passes."""
    return text.translate(_UNSAFE)


def one_line(text: str) -> str:
    """Return a text on one line, white space closed up."""
    return safe(" ".join(text.split()))


class _Console(Console):
    """A console that leaves it to the caller what a reader who left means; rich would end the process."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - called while the error is handled


def open_streams() -> None:
    """Make the standard streams fit: for terminals that know few characters, and where they were closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - as long as the process
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def silence(stream: Any) -> None:
    """Let what is written to a stream that nobody reads go nowhere, and what is in its buffer as well."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, stream.fileno())
    os.close(descriptor)


def console(*, is_error: bool = False) -> Console:
    """Return the console of standard output, or of standard error."""
    return _Console(
        file=sys.stderr if is_error else sys.stdout,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )


def name(text: str) -> str:
    """Return the name of a file on one line, with every blank that is in it."""
    return safe(text).replace("\n", "␊").replace("\t", "␉")


def show(*parts: str | tuple[str, str]) -> None:
    """Print a line of parts, each a text or a text with a style."""
    line = Text()
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        line.append(safe(text), style)
    _print(console(), line)


def note(text: str) -> None:
    """Print what is no result, such as a warning, to standard error."""
    _print(console(is_error=True), Text(safe(text)))


def _print(target: Console, line: Text) -> None:
    try:
        target.print(line, soft_wrap=True)
    except BrokenPipeError:
        silence(target.file)


def write(text: str) -> None:
    """Write a text at once and as it is but for what steers a terminal, without a new line."""
    sys.stdout.write(safe(text))
    sys.stdout.flush()


def show_json(value: Any) -> None:
    """Print a value as indented JSON."""
    _write_whole(_json(value, indent=2))


def show_json_text(data: bytes) -> None:
    """Print JSON indented, every number as it stands there."""
    _write_whole(msgspec.json.format(data, indent=2).decode().translate(_IN_JSON))


def _write_whole(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)


def _json(value: Any, **layout: Any) -> str:
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False, **layout).translate(_IN_JSON)


def show_file(data: bytes) -> None:
    """Print a file as it is; on a terminal what would steer it is escaped, as JSON allows."""
    if sys.stdout.isatty():
        sys.stdout.write(data.decode(errors="replace").translate(_IN_JSON))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)


def show_rows(
    names: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = (), narrow: Sequence[str] = ()
) -> None:
    """Print rows: a table on a terminal, tab-separated lines with a head in a pipe.

    Args:
        names: of the columns; the last one takes what room is left.
        rows: a text for each column, on one line.
        right: names of the columns that are aligned to the right.
        narrow: names of those that are cut where a terminal is too narrow, as the last one is; the others never are.
            Where even that does not fit, the terminal wraps the lines, and nothing is missing.
    """
    target = console()
    lines = ([one_line(cell) for cell in row] for row in rows)
    if not target.is_terminal:
        for line in itertools.chain([names], lines):
            sys.stdout.write("\t".join(line) + "\n")
        return
    held = list(lines)
    widths = _widths(names, held, target.width, narrow)
    target.width = max(target.width, sum(widths) + _BETWEEN * (len(widths) - 1))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in zip(names, widths, strict=True):
        table.add_column(name, no_wrap=True, justify="right" if name in right else "left", width=width)
    for row in held:
        table.add_row(*map(Text, row))
    target.print(table, soft_wrap=False)


def _widths(names: Sequence[str], rows: Sequence[Sequence[str]], room: int, narrow: Sequence[str]) -> list[int]:
    """Share a line among the columns: first what each needs, then the rest to those that would be cut, in order."""
    whole = [max(map(cell_len, column)) for column in zip(names, *rows, strict=True)]
    most = dict.fromkeys(narrow, _LEAST_NAME) | {names[-1]: _LEAST_TEXT}
    widths = [min(width, most.get(name, width)) for name, width in zip(names, whole, strict=True)]
    for index, width in enumerate(whole):
        spare = max(0, room - sum(widths) - _BETWEEN * (len(widths) - 1))
        widths[index] += min(spare, width - widths[index])
    return widths


def show_json_rows(rows: Iterable[Any]) -> None:
    """Print a JSON array, an element a line, as the rows come."""
    opening = "[\n"
    for row in rows:
        sys.stdout.write(opening + _json(row, separators=(",", ":")))
        opening = ",\n"
    sys.stdout.write("[]\n" if opening == "[\n" else "\n]\n")


def progress(items: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    """Yield `items` with a bar on standard error, if that is a terminal and there are many."""
    target = console(is_error=True)
    if not target.is_terminal or total < 200:  # noqa: PLR2004 - what is over at once needs none
        yield from items
        return
    columns = (TextColumn(escape(what)), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=target, transient=True) as bar:
        yield from bar.track(items, total=total)


def count(number: int, noun: str) -> str:
    """Return a number of things for people."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def size(count: int) -> str:
    """Return a number of bytes for people."""
    if count < _KILO:
        return f"{count} B"
    power = min(3, int(math.log(count, _KILO)))
    return f"{count / _KILO**power:.1f} {('kB', 'MB', 'GB')[power - 1]}"


def seconds(duration: float) -> str:
    """Return a duration for people."""
    return f"{duration * 1000:.0f} ms" if duration < 1 else f"{duration:.2f} s"


def room(taken: int, most: int = 60) -> int:
    """Return how many characters fit on a line where some are taken: in a pipe, and at most, so many."""
    target = console()
    return max(1, min(most, target.width - taken)) if target.is_terminal else most


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """Return numbers from 0 up as bars; where there are more than fit, each bar is the highest of its share."""
    if not values:
        return ""
    bars = _BARS if _can_show(_BARS) else _PLAIN_BARS
    count = min(width, len(values))
    edges = [index * len(values) // count for index in range(count + 1)]
    heights = [max(values[start:end]) for start, end in itertools.pairwise(edges)]
    top = max(heights) or 1
    return "".join(bars[min(len(bars) - 1, int(height / top * len(bars)))] for height in heights)


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
