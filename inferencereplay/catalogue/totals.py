"""Totals of a directory of recordings: counts, bytes, tokens, and their cost."""

from __future__ import annotations

import codecs
import fnmatch
import functools
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from inferencereplay.catalogue.conversation import CONNECTION
from inferencereplay.catalogue.entries import Unreadable
from inferencereplay.catalogue.file_content import UnusableFile, read_file
from inferencereplay.catalogue.processes import portions
from inferencereplay.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from inferencereplay.catalogue.entries import Catalogue, Entry
    from inferencereplay.catalogue.processes import Spread

Amount = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
_FIRST_ERROR = 400
_MILLION = 1_000_000


class Price(msgspec.Struct, forbid_unknown_fields=True):
    """The price of a million tokens of a model; tokens from the provider's cache have the same price by default."""

    input: Amount
    output: Amount = 0.0
    cached: Amount | None = None


class Prices(msgspec.Struct, forbid_unknown_fields=True):
    """Prices that the user gives, because they change.

    Attributes:
        models: by name, or by a pattern such as `gpt-4o*`; an exact name precedes a pattern, a longer pattern a
            shorter one.
        currency: for people.
        dated: when the prices were looked up; for people.
    """

    models: dict[str, Price]
    currency: str = "USD"
    dated: str = ""

    def find(self, model: str) -> Price | None:
        """Return the price of a model, or `None` if there is none."""
        if model in self.models:
            return self.models[model]
        patterns = sorted(self.models, key=len, reverse=True)
        return next((self.models[name] for name in patterns if fnmatch.fnmatchcase(model, name)), None)


class Total(msgspec.Struct):
    """The totals of some recordings.

    Attributes:
        recordings: files.
        bytes: their size, with side files.
        streams: how many answers were streamed.
        errors: how many answers are errors.
        incomplete: how many streams were recorded without their end.
        input: tokens.
        cached: how many of these came from the provider's cache.
        output: tokens.
        uncounted: recordings of answers without a count of tokens.
        cost: in the currency of the prices; `None` if there is no price.
        connections: how many are WebSocket connections, which do not count as streams.
    """

    recordings: int = 0
    bytes: int = 0
    streams: int = 0
    errors: int = 0
    incomplete: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    uncounted: int = 0
    cost: float | None = None
    connections: int = 0

    def add(self, entry: Entry, price: Price | None) -> None:
        """Count one more recording."""
        response, usage = entry.recording.response, entry.usage
        self.recordings += 1
        self.bytes += entry.whole_size
        self.streams += response.is_stream and response.frames is None
        self.connections += response.frames is not None
        is_error = response.status >= _FIRST_ERROR or response.status == 0
        self.errors += is_error
        self.incomplete += response.is_stream and not response.is_whole
        self.uncounted += not is_error and usage.input is None and entry.kind not in ("other", CONNECTION)
        read, cached, written = usage.input or 0, usage.cached or 0, usage.output or 0
        self.input += read
        self.cached += cached
        self.output += written
        if price is not None:
            reused = price.input if price.cached is None else price.cached
            cost = (read - cached) * price.input + cached * reused + written * price.output
            self.cost = (self.cost or 0.0) + cost / _MILLION

    def merge(self, other: Total) -> None:
        """Add other totals to these."""
        for name in self.__struct_fields__:
            mine, more = getattr(self, name), getattr(other, name)
            setattr(self, name, mine if more is None else (mine or 0) + more)


class Totals(msgspec.Struct):
    """The totals of a directory, by model and by path.

    Attributes:
        all: those of all readable files.
        models: by name; empty for requests that name none.
        paths: recordings by path.
        first: when the earliest was recorded, ISO 8601.
        last: when the latest was recorded, ISO 8601.
        unreadable: names of files that cannot be used.
        unpriced: models with tokens for which no price is given.
    """

    all: Total
    models: dict[str, Total]
    paths: dict[str, int]
    first: str
    last: str
    unreadable: list[str]
    unpriced: list[str]


def add_up(
    catalogue: Catalogue, wanted: Callable[[Entry], bool], prices: Prices | None = None, spread: Spread = map
) -> Totals:
    """Add up recordings.

    Args:
        catalogue: the directory.
        wanted: whether a recording counts; it can be pickled, as it is for processes.
        prices: of the models.
        spread: spreads the work over processes.
    """
    totals = Totals(Total(), {}, {}, "", "", [], [])
    for part in spread(functools.partial(_add_up, catalogue, wanted, prices), portions([*catalogue.names()])):
        _merge(totals, part)
    for total in totals.models.values():
        totals.all.merge(total)
    if prices is not None:
        totals.unpriced = [name for name, total in totals.models.items() if total.cost is None and total.input]
    return totals


def _add_up(
    catalogue: Catalogue, wanted: Callable[[Entry], bool], prices: Prices | None, names: Sequence[str]
) -> Totals:
    totals = Totals(Total(), {}, {}, "", "", [], [])
    for item in catalogue.scan(names):
        if isinstance(item, Unreadable):
            totals.unreadable.append(item.name)
        elif wanted(item):
            _add(totals, item, prices)
    return totals


def _merge(totals: Totals, part: Totals) -> None:
    for name, total in part.models.items():
        totals.models.setdefault(name, Total()).merge(total)
    for path, count in part.paths.items():
        totals.paths[path] = totals.paths.get(path, 0) + count
    totals.first = min(totals.first or part.first, part.first or totals.first)
    totals.last = max(totals.last, part.last)
    totals.unreadable += part.unreadable


def _add(totals: Totals, entry: Entry, prices: Prices | None) -> None:
    model = entry.model
    price = prices.find(model) if prices else None
    totals.models.setdefault(model, Total()).add(entry, price)
    totals.paths[entry.path] = totals.paths.get(entry.path, 0) + 1
    if recorded_at := entry.recorded_at:
        at = recorded_at.isoformat()
        totals.first = min(totals.first or at, at)
        totals.last = max(totals.last, at)


def load_prices(file: Path) -> Prices:
    """Read a table of prices, JSON or TOML.

    Raises:
        InvalidSetting: if it cannot be read, or is no table of prices.
    """
    decode: Any = msgspec.toml.decode if file.suffix == ".toml" else msgspec.json.decode
    try:
        prices: Prices = decode(read_file(file)[0].removeprefix(codecs.BOM_UTF8), type=Prices)
    except ImportError as error:
        message = f"{file}: TOML is read by Python 3.11 and later. Give the prices as JSON."
        raise InvalidSetting(message) from error
    except (UnusableFile, ValueError) as error:  # msgspec's errors are of the second kind
        example = '{"models": {"gpt-4o*": {"input": 2.5, "cached": 1.25, "output": 10}}, "dated": "2026-11-01"}'
        message = f"{file} is no table of prices ({error}). Give prices of a million tokens: {example}."
        raise InvalidSetting(message) from error
    return prices
