"""`import` and `export`: recordings from and to other formats."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferencereplay.catalogue.entries import Unreadable
from inferencereplay.catalogue.layered import open_catalogue
from inferencereplay.cli import options, terminal
from inferencereplay.conversion import traces
from inferencereplay.conversion.exporting import FORMATS, write
from inferencereplay.conversion.importing import Taken, import_cassettes, import_llama_stack
from inferencereplay.conversion.traces.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.catalogue.filtering import Filter
    from inferencereplay.cli.options import Directories
    from inferencereplay.store.location import Location

_MAKERS = ("llama-stack", "vcr", "cassetter")
_COARSE = (
    "The times of {count} are coarse: an older release, or an import, noted in whole seconds when the answer came. "
    "Bursts are lost. Record again for exact times."
)
_KINDS = [*FORMATS, *traces.FORMATS]
_OUTCOMES = ("imported", "there already", "repeated by the SDK", "not imported")


@click.command("import", epilog="Example: inferencereplay import vcr tests/cassettes tests/recordings")
@click.argument("maker", type=click.Choice(_MAKERS), metavar="llama-stack|vcr|cassetter")
@click.argument("source", metavar="SRC", type=click.Path(exists=True, path_type=Path))
@click.argument("target", metavar="DST", type=options.PLACE)
@options.of_a_request
@click.option("--base-url", default="", help="The beginning of the URLs to import; without it their form decides.")
@click.option("--separate", "is_apart", is_flag=True, help="Give each cassette a directory of its own in DST.")
@click.option("--test-id", help="Which of llama-stack's recordings of one request to import.")
def import_(  # noqa: PLR0913 - the options
    maker: str,
    source: Path,
    target: Location,
    *,
    settings: dict[str, Any],
    base_url: str,
    test_id: str | None,
    is_apart: bool,
) -> int:
    """Import recordings of llama-stack, VCR.py or cassetter.

    Calls of other services, and calls that cannot be converted, are listed with the reason. Nothing in DST is
    overwritten. Streams of cassettes have no timing. Exit status 1 if a call was not imported.
    """
    if maker == "llama-stack":
        items = import_llama_stack(source, target, test_id=test_id, **settings)
    else:
        items = import_cassettes(source, target, maker, base_url=base_url, is_apart=is_apart, **settings)
    return _report(items, target)


def _report(items: Iterator[Taken], target: Location) -> int:
    counts: Counter[str] = Counter()
    for item in items:
        counts[_outcome(item)] += 1
        if item.problem:
            call = f" {item.call}" if item.call else ""
            line = terminal.name(f"{item.source}{call}: {item.problem}")
            terminal.show(("not imported  ", "bold red"), line)
    said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in _OUTCOMES if counts[outcome]) or "nothing was found"
    terminal.note(f"{target}: {said}.")
    return 1 if counts["not imported"] or not counts else 0


def _outcome(item: Taken) -> str:
    if item.problem:
        return "not imported"
    if item.is_retried:
        return "repeated by the SDK"
    return "imported" if item.is_new else "there already"


@click.command(epilog="Example: inferencereplay export openai-jsonl tests/recordings --model 'gpt-4*' -o train.jsonl")
@click.argument("kind", type=click.Choice(_KINDS), metavar="FORMAT")
@options.whole_directory
@options.filtered
@click.option("-o", "--output", type=options.PATH, help="The file to write; the default is standard output.")
@click.option("--tokenizer", metavar="MODULE:FUNCTION", help="Counts the tokens of a text, for mooncake and otel.")
def export(kind: str, directory: Directories, wanted: Filter, output: Path | None, tokenizer: str | None) -> int:
    """Write conversations or traces for other tools.

    openai-jsonl: chats in OpenAI's format for fine-tuning, a line each, with the first answer. messages: a JSON array
    of all conversations with key, model, messages, tools and every answer. Errors, incomplete streams and recordings
    without a conversation are left out and counted.

    aiperf, mooncake, otel: the calls in time, a line each, which load tools replay: with their requests for AIPerf;
    as lengths and shared prefixes; as spans of OpenTelemetry with messages and tokens.

    Exit status 1 if a file cannot be read.
    """
    if output is not None:
        options.keep_recordings(directory, output)
    counts: Counter[str] = Counter()
    catalogue = open_catalogue(directory)
    coarse = 0
    if kind in traces.FORMATS:
        count_tokens = options.function(tokenizer, "--tokenizer") if tokenizer else None
        timeline = Timeline(catalogue, wanted.accepts, counts)
        lines, coarse = traces.FORMATS[kind](timeline, counts, count_tokens), timeline.coarse
    else:
        items = (item for item in catalogue.scan() if isinstance(item, Unreadable) or wanted.accepts(item))
        lines = write(FORMATS[kind], items, counts)
    if output is None:
        sys.stdout.writelines(lines)
    else:
        with output.open("w", encoding="utf-8") as file:
            file.writelines(lines)
    left_out = ", ".join(f"{what} ({count})" for what, count in sorted(counts.items()) if what != "exported")
    said = f"{counts['exported']} exported" if counts else "no recording fits"
    terminal.note(f"{said}; left out: {left_out}." if left_out else f"{said}.")
    if coarse and counts["exported"]:
        terminal.note(_COARSE.format(count=coarse))
    return 1 if counts["unreadable"] else 0
