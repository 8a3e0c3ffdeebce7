"""Printing. Text of a recording never controls the terminal.

A terminal gets colours and tables; a pipe gets plain text of any width, with tabs between columns. If the reader of a
pipe leaves early, a command that streams rows ends. A command that prints lines as it works, such as `rekey`, goes on
without output, so that its work is finished and its exit status is right.
"""

from __future__ import annotations

import contextlib
import functools
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
    from collections.abc import Callable, Iterable, Iterator, Sequence

_BIDI = [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C]
"""Characters that reorder their neighbours."""
_LINES = (0x0A, 0x09)
_UNSAFE = {
    **{code: chr(0x2400 + code) for code in range(0x20) if code not in _LINES},
    **{code: f"\\x{code:02x}" for code in range(0x7F, 0xA0)},
    **{code: f"\\u{code:04x}" for code in (*_BIDI, 0x2028, 0x2029)},
    **dict.fromkeys(range(55296, 57344), "�"),
}
_IN_JSON = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), *_BIDI, 0x2028, 0x2029, *range(0xD800, 0xE000))}
"""Names of files that are no UTF-8 hold halves of surrogate pairs."""
_KILO = 1024
_HUNDRED = 100
_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.-=+*%#"
"""For terminals that know few characters."""
_LEAST_NAME = 6
_LEAST_TEXT = 9
"""Characters that a table leaves of a model or a path, and of the last column, at least; 80 are enough for a row."""
_BETWEEN = 2
"""Blanks between the columns of a table."""


def safe(text: str) -> str:
    """Return a text in which the characters that control a terminal are visible, so that no escape sequence works."""
    return text.translate(_UNSAFE)


def one_line(text: str) -> str:
    """Return a text on one line, with single blanks."""
    if text.isascii() and text.isprintable() and text.strip() == text and "  " not in text:  # as most are
        return text
    return safe(" ".join(text.split()))


class _Console(Console):
    """A console that raises a broken pipe to the caller; rich would end the process."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - called while the error is handled


def open_streams() -> None:
    """Let the standard streams write any character, and replace those that are closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - open until the process ends
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def silence(stream: Any) -> None:
    """Discard the rest of a stream that nobody reads, its buffer included."""
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
    """Return a name on one line, with all its blanks."""
    return safe(text).replace("\n", "␊").replace("\t", "␉")


def show(*parts: str | tuple[str, str]) -> None:
    """Print a line of parts, each a text or a text with a style."""
    line = Text()
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        line.append(safe(text), style)
    _print(console(), line)


def note(text: str) -> None:
    """Print a line that is no result, such as a warning, to standard error; no name of a file forges another line."""
    _print(console(is_error=True), Text(name(text)))


def _print(target: Console, line: Text) -> None:
    try:
        target.print(line, soft_wrap=True)
    except BrokenPipeError:
        silence(target.file)


def write(text: str) -> None:
    """Write a text at once, safe for a terminal, without a new line."""
    sys.stdout.write(safe(text))
    sys.stdout.flush()


def write_bytes(data: bytes) -> None:
    """Write bytes at once, to a pipe or a file."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def show_json(value: Any) -> None:
    """Print a value as indented JSON."""
    _write_whole(_json(value, indent=2))


def show_json_text(data: bytes) -> None:
    """Print JSON indented, with every number as it was written."""
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
    """Print a file unchanged; on a terminal control characters are escaped as in JSON."""
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
        names: of the columns; the last one takes the rest of the line.
        rows: a text for each column, on one line.
        right: names of the columns that are aligned to the right.
        narrow: names of the columns that are cut if the terminal is too narrow, as the last one is. The others are
            never cut; if they do not fit, the terminal wraps the lines.
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
    """Share a line among the columns: the least that each needs; two thirds of the rest to the last one; in order."""
    whole = [max(map(cell_len, column)) for column in zip(names, *rows, strict=True)]
    most = dict.fromkeys(narrow, _LEAST_NAME) | {names[-1]: _LEAST_TEXT}
    widths = [min(width, most.get(name, width)) for name, width in zip(names, whole, strict=True)]
    spare = max(0, room - sum(widths) - _BETWEEN * (len(widths) - 1))
    for index, share in ((-1, spare * 2 // 3), *((place, spare) for place in range(len(whole)))):
        more = min(spare, share, whole[index] - widths[index])
        widths[index] += more
        spare -= more
    return widths


def show_json_rows(rows: Iterable[Any]) -> None:
    """Print a JSON array as the rows come, an element a line."""
    opening = "[\n"
    for row in rows:
        sys.stdout.write(opening + _json(row, separators=(",", ":")))
        opening = ",\n"
    sys.stdout.write("[]\n" if opening == "[\n" else "\n]\n")


def progress(items: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    """Yield `items` with a bar on standard error, if that is a terminal and there are many."""
    target = console(is_error=True)
    if not target.is_terminal or total < 200:  # noqa: PLR2004 - a bar for so few would only flicker
        yield from items
        return
    with _bar(target, what) as bar:
        yield from bar.track(items, total=total)


@contextlib.contextmanager
def advancing(total: int, what: str) -> Iterator[Callable[[], object]]:
    """Show a bar on standard error, if that is a terminal; give what advances it by one of `total`."""
    target = console(is_error=True)
    if not target.is_terminal:
        yield bool  # which does nothing
        return
    with _bar(target, what) as bar:
        yield functools.partial(bar.advance, bar.add_task("", total=total))


def _bar(target: Console, what: str) -> Progress:
    columns = (TextColumn(escape(what)), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=target, transient=True)


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


def rate(tokens_per_second: float) -> str:
    """Return a number of tokens per second for people."""
    return f"{tokens_per_second:.{0 if tokens_per_second >= _HUNDRED else 1}f} tokens/s"


def room(taken: int, most: int = 60) -> int:
    """Return how many characters are left on a terminal's line, at most `most`; that many in a pipe."""
    target = console()
    return max(1, min(most, target.width - taken)) if target.is_terminal else most


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """Return numbers from 0 up as bars; if they do not fit, each bar is the highest of several."""
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
