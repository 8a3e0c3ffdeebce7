"""`show` and `play`: read one recording, or watch it stream."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferencereplay.catalogue.conversation import CONNECTION
from inferencereplay.catalogue.entries import Entry, load
from inferencereplay.catalogue.layered import open_catalogue
from inferencereplay.cli import options, terminal
from inferencereplay.errors import InferenceReplayError
from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.pacing.pacer import Pace, check_pace, make_pacer
from inferencereplay.recording.frames import CLIENT
from inferencereplay.session.settings import parse_speed
from inferencereplay.store.location import is_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.catalogue.conversation import Conversation, Message
    from inferencereplay.cli.options import Directories
    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.recording.format import Response
    from inferencereplay.recording.frames import Frame
    from inferencereplay.recording.side_file import SideFile

_FIRST_ERROR = 400
_STYLES = {"system": "yellow", "user": "green", "assistant": "cyan", "tool": "magenta"}


def find(directory: Directories, reference: str) -> Entry:
    """Return a recording by its file, wherever it is, or by the first digits of its key in the directory."""
    file = Path(reference)
    if file.is_file() and all(is_missing(str(place)) for place in options.places(directory)):
        return load(file)
    return open_catalogue(directory).find(reference)


def _content(directory: Directories, reference: str) -> bytes:
    """Return the file of a recording."""
    entry = find(directory, reference)
    if Path(entry.name).is_file():
        return Path(entry.name).read_bytes()
    return open_catalogue(directory).content(entry.name)


@click.command(epilog="Example: inferencereplay show 1c45e93e --dir examples/recordings/capitals")
@click.argument("reference", metavar="KEY|FILE")
@options.whole_directory
@click.option("--raw", "what", flag_value="raw", help="The file itself.")
@click.option("--request", "what", flag_value="request", help="The request's body as JSON.")
@click.option(
    "--chunks", "what", flag_value="chunks", help="The chunks of a stream, or a connection's frames, with their times."
)
def show(reference: str, directory: Directories, what: str | None) -> int:
    """Show a recording as a conversation.

    KEY is the beginning of a key, with ~2 for the second variant.
    """
    if what == "raw":
        terminal.show_file(_content(directory, reference))
        return 0
    entry = find(directory, reference)
    if what == "request":
        terminal.show_json_text(bytes(entry.recording.request.body))
    elif what == "chunks":
        _show_chunks(entry)
    else:
        show_conversation(entry)
    return 0


def _show_chunks(entry: Entry) -> None:
    response, before = entry.recording.response, 0.0
    if not response.is_stream:
        message = f"{entry.name} is no stream and has no chunks. See it with --raw."
        raise InferenceReplayError(message)
    texts = [bytes(chunk).decode() for chunk in response.chunks]
    if response.frames is not None:
        texts = [_frame_line(frame) for frame in response.frames]
    for index, text in enumerate(texts):
        offset = response.offsets[index] if response.offsets else None
        when = "" if offset is None else f"{offset:10.6f} +{offset - before:.6f}"
        before = offset or before
        name = response.events[index] if response.events else None
        event = f"{name} " if name else ""
        terminal.show((f"{index:5} {when}  ", "dim"), event, text)


def _frame_line(frame: Frame) -> str:
    """Return a frame on one line, with the direction in which it went."""
    arrow = "→" if frame.sender == CLIENT else "←"
    if frame.close is not None:
        return f"{arrow} close {frame.close} {frame.reason}".rstrip()
    text = f"{len(frame.data)} bytes" if frame.data is not None else frame.payload.decode()
    return f"{arrow} {text}"


def show_conversation(entry: Entry, *, is_constant: bool = False) -> None:
    """Print a recording as a conversation.

    Args:
        entry: the recording.
        is_constant: whether to leave out what varies by nature: the date, ids of the answer, times.
    """
    talk = entry.conversation
    terminal.show((f"{entry.recording.request.method} {entry.path}", "bold"), f"  {talk.model}")
    if not is_constant:
        terminal.show((f"{entry.name}  {entry.date:%Y-%m-%d %H:%M:%S}  {terminal.size(entry.whole_size)}", "dim"))
    if talk.settings:
        said = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in talk.settings.items())
        terminal.show(("settings  ", "dim"), ", ".join(said))
    for tool in talk.tools:
        terminal.show(("tool  ", "dim"), tool.name, (f"  {terminal.one_line(tool.description)}", "dim"))
    for message in talk.messages:
        _show_message(message)
    for choice in talk.choices:
        many = f" {choice.number}" if len(talk.choices) > 1 else ""
        _show_message(choice.message, f"answer{many}", choice.finish_reason, has_ids=not is_constant)
    _show_rest(talk, is_constant=is_constant)


def _show_message(message: Message, label: str = "", finish_reason: str = "", *, has_ids: bool = True) -> None:
    role = message.role or "?"
    head = " ".join(filter(None, (role, message.name and f"({message.name})", message.tool_call_id)))
    ending = f"  {label}{f', {finish_reason}' if finish_reason else ''}" if label else ""
    terminal.show("")
    terminal.show((head, f"bold {_STYLES.get(role, 'blue')}"), (ending, "dim"))
    if message.reasoning:
        terminal.show((message.reasoning, "dim italic"))
    for part in message.parts:
        kind = "" if part.kind == "text" else f"[{part.kind}] "
        terminal.show((kind, "dim"), part.text)
    for call in message.tool_calls:
        terminal.show(("→ ", "dim"), (call.name, "bold"), f"({call.arguments})", (f"  {call.id}" * has_ids, "dim"))


def _show_rest(talk: Conversation, *, is_constant: bool) -> None:
    terminal.show("")
    if talk.summary:
        terminal.show(talk.summary)
    if talk.error:
        status = f" {talk.status}" if talk.status >= _FIRST_ERROR else ""
        terminal.show((f"error{status}  ", "bold red"), talk.error)
    if talk.end == "closed":
        terminal.show(("incomplete  ", "bold red"), "the program that was recorded stopped reading here")
    usage = talk.usage._replace(cached=None) if is_constant else talk.usage
    counts = (("in", usage.input), ("cached", usage.cached), ("out", usage.output), ("reasoning", usage.reasoning))
    tokens = [f"{count} {name}" for name, count in counts if count is not None]
    if tokens:
        terminal.show(("tokens  ", "dim"), ", ".join(tokens))
    if not is_constant:
        _show_timing(talk)


def _show_timing(talk: Conversation) -> None:
    timing = talk.timing
    said = []
    if timing.first_token is not None:
        said.append(f"first token {terminal.seconds(timing.first_token)}")
    if timing.total is not None:
        said.append(f"total {terminal.seconds(timing.total)}")
    if timing.tokens_per_second is not None:
        about = "about " if timing.is_estimated else ""
        said.append(f"{about}{terminal.rate(timing.tokens_per_second)}")
    if said:
        terminal.show(("timing  ", "dim"), ", ".join(said))
    elif talk.is_stream:
        terminal.show(("timing  ", "dim"), "not recorded")
    if timing.gaps:
        longest = f"  longest {terminal.seconds(max(timing.gaps))}"
        bars = terminal.sparkline(timing.gaps, terminal.room(len("gaps    ") + len(longest)))
        terminal.show(("gaps    ", "dim"), bars, longest)


@click.command(epilog="Example: inferencereplay play 40fcf34a --dir examples/recordings/story --speed 2")
@click.argument("reference", metavar="KEY|FILE")
@options.whole_directory
@click.option("--speed", default="1", show_default=True, help="10 is ten times faster, inf does not wait.")
@click.option(
    "--pace",
    type=(float, float),
    metavar="FIRST BETWEEN",
    help="Seconds to the first chunk and between chunks, where none were recorded.",
)
def play(reference: str, directory: Directories, speed: str, pace: tuple[float, float] | None) -> int:
    """Stream an answer to the terminal at its recorded pace.

    The first one of several answers is played. The bytes of a sound, an image or another file go to a pipe or a file:
    inferencereplay play KEY | ffplay -. Exit status 1 if the recording holds no whole answer.
    """
    chosen = check_pace(Pace(*pace)) if pace else None
    rate = parse_speed(speed, "--speed")
    entry = find(directory, reference)
    talk, response = entry.conversation, entry.recording.response
    is_timed = response.is_stream or bool(response.pieces)
    count = (len(response.pieces) or response.arrivals) if is_timed else 1
    offsets = response.offsets if is_timed else [response.elapsed] if response.elapsed else []
    if not offsets and chosen is None and not math.isinf(rate):
        terminal.note("No timing was recorded, so everything comes at once. Give one by --pace.")
    pacer = make_pacer(offsets, count, speed=rate, pace=chosen, clock=SYSTEM_CLOCK, note=lambda _: None)
    if response.binary is not None and not sys.stdout.isatty():
        return _play_bytes(response, response.binary, pacer)
    for index, text in _stream_texts(talk) if response.is_stream else [(0, _said(talk))]:
        if pacer:
            pacer.wait(index)
        terminal.write(text)
    terminal.write("\n")
    problem = talk.error or ("the program that was recorded stopped reading here" if talk.end == "closed" else "")
    if problem:
        terminal.note(problem)
    return 1 if problem else 0


def _stream_texts(talk: Conversation) -> Iterator[tuple[int, str]]:
    """Yield the texts of the first answer with their chunks, and blank lines between thoughts, words and calls.

    A connection's answers came one after the other, and all of them are played.
    """
    first, last = min((piece.choice for piece in talk.pieces), default=0), None
    for piece in talk.pieces:
        if piece.choice == first or talk.kind == CONNECTION:
            place = piece.choice, piece.kind
            yield piece.chunk, "\n\n" + piece.text if last not in (None, place) else piece.text
            last = place


def _play_bytes(response: Response, side: SideFile, pacer: Pacer | None) -> int:
    """Write the content of an answer, each piece at its time."""
    with side.open() as content:
        for index, size in enumerate(response.pieces or [side.length]):
            if pacer:
                pacer.wait(index)
            terminal.write_bytes(content.read(size))
    return 0


def _said(talk: Conversation) -> str:
    if not talk.choices:
        return talk.summary
    message = talk.choices[0].message
    return message.text + "".join(f"{call.name}({call.arguments})" for call in message.tool_calls)
