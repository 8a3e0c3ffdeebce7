"""`verify` and `refresh`: ask stored requests again, and say, or store, what changed."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from anyio.from_thread import start_blocking_portal

from inferencereplay.catalogue.layered import open_catalogue
from inferencereplay.catalogue.totals import load_prices
from inferencereplay.cli import options, terminal, verification_lines
from inferencereplay.errors import InvalidSetting
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.session.settings import read_variable
from inferencereplay.verification.asking_again import Asking
from inferencereplay.verification.bounds import OPEN
from inferencereplay.verification.changes import Thresholds
from inferencereplay.verification.dispatch import Dispatcher
from inferencereplay.verification.journal import Journal
from inferencereplay.verification.limits import Limits
from inferencereplay.verification.live_answers import LiveServer, default_base_url, target_of
from inferencereplay.verification.outcomes import UNANSWERED, NotAsked, Outcome, summarize_outcomes
from inferencereplay.verification.schemas import check_library
from inferencereplay.verification.verification_plan import Plan

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable

    from inferencereplay.catalogue.entries import Catalogue
    from inferencereplay.catalogue.filtering import Filter
    from inferencereplay.catalogue.totals import Prices
    from inferencereplay.cli.options import Directories
    from inferencereplay.verification.eligibility import Target

_ONLY_PLANNED = 2
_POSITIVE = options.Number(min=0, min_open=True)
_OPTIONS = (
    click.option("--base-url", metavar="URL", help="The server to ask; by default OPENAI_BASE_URL, or OpenAI's."),
    click.option("-y", "--yes", "is_sure", is_flag=True, help="Ask; without it only the plan is shown."),
    click.option("--older-than", type=options.Age(), metavar="AGE", help="Recorded longer ago than that, such as 30d."),
    click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Only so many of them, chosen by chance."),
    click.option("--seed", type=int, default=0, show_default=True, help="Another one chooses another sample."),
    click.option("--max-requests", type=click.IntRange(min=1), metavar="N", help="Ask no more than so many."),
    click.option("--max-cost", type=_POSITIVE, metavar="AMOUNT", help="Ask for no more money than that; see --prices."),
    click.option("--prices", type=options.FILE, help="JSON or TOML: prices of a million tokens by model, as of stats."),
    click.option(
        "--assume-output",
        type=click.IntRange(min=0),
        default=OPEN,
        show_default=True,
        metavar="N",
        help="Tokens in the plan for an answer whose request sets no limit.",
    ),
    click.option(
        "--concurrency",
        type=click.IntRange(1, 1_000),
        default=4,
        show_default=True,
        metavar="N",
        help="So many at once.",
    ),
    click.option("--rate", type=_POSITIVE, metavar="N", help="So many requests a second at most."),
    click.option(
        "--timeout", type=_POSITIVE, default=600, show_default=True, metavar="SECONDS", help="For each answer."
    ),
    click.option(
        "--similarity",
        type=options.Number(0, 1),
        default=0,
        show_default=True,
        help="The least similarity of texts and vectors; 1: equal words; 0: letters never count.",
    ),
    click.option(
        "--length-factor",
        type=options.Number(min=1),
        default=3,
        show_default=True,
        help="How many times longer or shorter a text may be.",
    ),
    click.option(
        "--ignore-field",
        multiple=True,
        metavar="PATTERN",
        help="Fields that may come and go: 'timings*'; may be repeated.",
    ),
    options.redacting,
    click.option("--anew", "is_anew", is_flag=True, help="Ask also what a run that was stopped has asked already."),
    options.as_json,
    click.option("--markdown", "is_markdown", is_flag=True, help="Print Markdown, for a pull request."),
)


@dataclasses.dataclass(frozen=True)
class _Given:
    """The options of both commands."""

    base_url: str | None
    is_sure: bool
    older_than: datetime.timedelta | None
    sample: int | None
    seed: int
    max_requests: int | None
    max_cost: float | None
    prices: Path | None
    assume_output: int
    concurrency: int
    rate: float | None
    timeout: float
    similarity: float
    length_factor: float
    ignore_field: tuple[str, ...]
    redact: tuple[str, ...]
    is_anew: bool
    is_json: bool
    is_markdown: bool

    @functools.cached_property
    def secrets(self) -> tuple[str, ...]:
        """What is secret, as a session reads it: the environment's pattern unless there is an option."""
        return self.redact or tuple(filter(None, (read_variable("redact"),)))

    @functools.cached_property
    def redactor(self) -> Redactor:
        return Redactor(self.secrets)

    @functools.cached_property
    def target(self) -> Target:
        target = target_of(self.base_url)
        return target._replace(base_url=self.redactor.text(target.base_url))  # as it is in a recording

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self.similarity, self.length_factor, self.ignore_field)

    @property
    def limits(self) -> Limits:
        return Limits(self.concurrency, self.rate, self.max_requests, self.max_cost)

    def conditions(self, directory: str, wanted: Filter, command: str) -> dict[str, Any]:
        """Return what a run has in common with the one that it goes on with."""
        which = (directory, command, wanted.model, wanted.path, wanted.text, self.sample, self.seed)
        return {
            "which": which,
            "target": self.target,
            "counts": dataclasses.astuple(self.thresholds),
            "redact": self.secrets,
        }


def _asking(command: Callable[..., Any]) -> Any:
    """Add the options of both commands; the command gets them as `given`."""

    @functools.wraps(command)
    def chosen(*, directory: Directories, wanted: Filter, **more: Any) -> Any:
        own = {name: more.pop(name) for name in ("by_errors",) if name in more}
        given = _Given(**more)
        given.redactor  # noqa: B018 - refuses an invalid pattern
        if given.is_json and given.is_markdown:
            message = "Give --json or --markdown, not both."
            raise click.UsageError(message)
        if given.max_cost is not None and given.prices is None:
            message = "--max-cost needs the prices of the models: --prices FILE."
            raise click.UsageError(message)
        return command(directory=directory, wanted=wanted, given=given, **own)

    for option in reversed(_OPTIONS):
        chosen = option(chosen)
    return options.whole_directory(options.filtered(chosen))


@click.command(epilog="Example: inferencereplay verify tests/recordings --sample 20 --prices prices.toml --yes")
@_asking
def verify(directory: Directories, wanted: Filter, given: _Given) -> int:
    """Ask stored requests again, and say what changed.

    No recording is written. Without --yes only the plan is shown: which requests, and how many tokens they take at
    most. The key is that of the environment (OPENAI_API_KEY). After Ctrl-C, or at --max-requests or --max-cost, the
    same command goes on where it was stopped, within a day.

    Exit status 1 if an answer has changed, 2 if a request got no answer, or if nothing was asked.
    """
    return _run(directory, wanted, given, "verify")


@click.command(epilog="Example: inferencereplay refresh tests/recordings --older-than 90d --yes")
@_asking
@click.option("--errors", "by_errors", is_flag=True, help="Let an error that repeats (400, 404, …) replace an answer.")
def refresh(directory: Directories, wanted: Filter, given: _Given, *, by_errors: bool) -> int:
    """Ask stored requests again, and replace changed answers.

    What is compared, and all options, are those of `verify`. A recording whose answer is the same stays as it is, to
    the byte; a new answer takes the place, and the number, of the one that changed, once it is whole. After Ctrl-C the
    same command goes on: it asks neither what it has replaced nor what was the same.

    Exit status 1 if a changed recording was not replaced, 2 if a request got no answer, or if nothing was asked.
    """
    return _run(directory, wanted, given, "refresh", by_errors=by_errors)


def _run(directory: Directories, wanted: Filter, given: _Given, command: str, *, by_errors: bool = False) -> int:
    catalogue = open_catalogue(directory)
    replaces = command == "refresh"
    unwritable = [part for part in catalogue.parts if not part.store.is_writable]
    if replaces and unwritable:
        owner = "llama-stack" if unwritable[0].store.is_foreign else "a web server"
        message = f"{unwritable[0].directory} is {owner}'s, and its files are never written. `verify` reads them."
        raise InvalidSetting(message)
    prices = load_prices(given.prices) if given.prices else None
    journal = Journal(
        Path(click.get_app_dir("inferencereplay")) / "runs",
        given.conditions(str(catalogue.directory), wanted, f"{command} {by_errors}"),
    )
    plan, before = _plan(catalogue, wanted, given, prices, journal)
    if not given.is_sure or not (plan.items or before):
        return _show_plan(plan, before, given, prices)
    if plan.needs_library:
        check_library()
    server = LiveServer(given.base_url or default_base_url(), given.secrets, timeout=given.timeout)
    asking = Asking(catalogue, server, given.thresholds, given.redactor, prices, replaces, by_errors)
    if not (given.is_json or given.is_markdown):
        verification_lines.show_plan(plan, len(before), prices)
    outcomes, rest = _ask(plan, asking, given.limits, journal, before)
    return _show(command, plan, outcomes, rest, given, prices)


def _plan(
    catalogue: Catalogue, wanted: Filter, given: _Given, prices: Prices | None, journal: Journal
) -> tuple[Plan, list[Outcome]]:
    """Make the plan, without what was asked before; return the outcomes of that as well."""
    if given.older_than is not None:
        limit = options.ago(given.older_than)
        wanted = dataclasses.replace(wanted, until=min(wanted.until or limit, limit))
    plan = Plan(given.target, wanted.accepts, prices=prices, assumed=given.assume_output)
    names = [*catalogue.names()]
    for item in terminal.progress(catalogue.scan(names), len(names), "reading"):
        plan.add(item)
    plan.order()
    if given.sample:
        plan.sample(given.sample, given.seed)
    before = [] if given.is_anew else journal.load({item.name: item.mark for item in plan.items})
    plan.leave_out({outcome.name for outcome in before})
    if given.max_cost is not None and (unpriced := plan.unpriced()):
        message = (
            f"--max-cost: {given.prices} has no price for {', '.join(unpriced)}. Add it, or leave them out by --model."
        )
        raise InvalidSetting(message)
    return plan, before


def _show_plan(plan: Plan, before: list[Outcome], given: _Given, prices: Prices | None) -> int:
    if given.is_json:
        terminal.show_json({"plan": verification_lines.plan_as_json(plan, prices), "not_asked": _named(plan.not_asked)})
    else:
        verification_lines.show_plan(plan, len(before), prices)
        verification_lines.show_not_asked(plan.not_asked)
    terminal.note("Nothing was asked. Ask with --yes." if plan.items or before else "There is nothing to ask.")
    return _ONLY_PLANNED


def _ask(
    plan: Plan, asking: Asking, limits: Limits, journal: Journal, before: list[Outcome]
) -> tuple[list[Outcome], list[NotAsked]]:
    """Ask; the journal is kept unless all is done."""
    outcomes = [*before]

    async def ask_all(advance: Callable[[], object]) -> list[NotAsked]:
        def finish(outcome: Outcome) -> None:
            journal.add(outcome)
            outcomes.append(outcome)
            advance()

        async with asking.server:
            return await Dispatcher(plan.items, limits, asking.ask, finish).run()

    total = min(len(plan.items), limits.requests or len(plan.items))
    try:
        # The event loop has a thread of its own, so that no interrupt comes while it replaces a file.
        with terminal.advancing(total, "asking") as advance, start_blocking_portal() as portal:
            rest = portal.call(ask_all, advance)
    except KeyboardInterrupt:
        asked = len(outcomes) - len(before)
        rest_of_it = f"asks all again: {journal.failure}" if journal.failure else "goes on with the others"
        terminal.note(f"Stopped: {asked} of {total} were asked. The same command {rest_of_it}.")
        raise
    finally:
        journal.close()
    if not rest and not any(outcome.verdict == UNANSWERED for outcome in outcomes):
        journal.forget()
    elif journal.failure:
        terminal.note(f"The same command asks all again: {journal.failure}.")
    return sorted(outcomes, key=lambda outcome: outcome.name), rest


def _show(  # noqa: PLR0913, PLR0917 - what was asked, and how it is to be shown
    command: str, plan: Plan, outcomes: list[Outcome], rest: list[NotAsked], given: _Given, prices: Prices | None
) -> int:
    not_asked = [*plan.not_asked, *rest]
    summary = summarize_outcomes(outcomes, len(not_asked))
    if given.is_json:
        planned = verification_lines.plan_as_json(plan, prices)
        shown = [*map(verification_lines.outcome_as_json, outcomes)]
        named = {"plan": planned, "summary": summary, "outcomes": shown, "not_asked": _named(not_asked)}
        terminal.show_json(named)
    elif given.is_markdown:
        verification_lines.show_markdown(f"inferencereplay {command}", summary, outcomes, not_asked)
    else:
        verification_lines.show_outcomes(outcomes)
        verification_lines.show_not_asked(not_asked)
        verification_lines.show_summary(summary, prices)
    if command == "verify" or summary.unanswered:
        return summary.status
    return 1 if summary.changed > summary.replaced else 0


def _named(not_asked: list[NotAsked]) -> list[dict[str, str]]:
    return [item._asdict() for item in not_asked]
