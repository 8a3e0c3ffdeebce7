"""The settings under which the requests of two runs are equal: made, checked, and what they let through besides."""

from __future__ import annotations

import collections
import re
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferencereplay.calibration.variation import IGNORE, NORMALIZE, REPLAY, Analysis
from inferencereplay.normalizers import BY_NAME, is_pattern
from inferencereplay.recording.request import canonical_json
from inferencereplay.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inferencereplay.calibration.recorded_run import Asked
    from inferencereplay.recording.request import JSON

_LETS_THROUGH = re.compile(r"Lets through: (.*?)\.\s*$", re.DOTALL | re.MULTILINE)


class Proposal(NamedTuple):
    """Settings of a session.

    Attributes:
        ignore: paths into the body.
        normalize: names of ready-made normalizers, and regular expressions between slashes.
    """

    ignore: tuple[str, ...] = ()
    normalize: tuple[str, ...] = ()

    def session(self, directory: str) -> Session:
        """Return a session with these settings."""
        return Session(directory, mode="replay", ignore=self.ignore, normalize=self.normalize, speed=1)

    def arguments(self) -> str:
        """Return the settings as arguments of `replay`, `wrap` and the marker of pytest."""
        given = {"ignore": self.ignore, "normalize": self.normalize}
        return ", ".join(f"{name}=[{', '.join(map(_literal, value))}]" for name, value in given.items() if value)

    def spelled(self) -> dict[str, str]:
        """Return the settings for each place where they can be given."""
        given = {"ignore": self.ignore, "normalize": self.normalize}
        given = {name: value for name, value in given.items() if value}
        ini = [f"inferencereplay_{name} = {shlex.join(value)}" for name, value in given.items()]
        variables = [f"INFERENCEREPLAY_{name.upper()}={shlex.quote(','.join(value))}" for name, value in given.items()]
        options = [f"--{name} {shlex.quote(item)}" for name, value in given.items() for item in value]
        return {
            "code": f'replay("recordings", {self.arguments()})',
            "marker": f"@pytest.mark.inferencereplay({self.arguments()})",
            "ini": "\n".join(ini),
            "environment": " ".join(variables),
            "options": " ".join(options),
        }

    def lets_through(self) -> dict[str, str]:
        """Return for each setting which requests it makes equal besides."""
        found = {path: f"requests that differ only in {path}" for path in self.ignore}
        for name in self.normalize:
            if is_pattern(name):
                found[name] = "requests that differ only in what this expression finds"
            else:
                told = _LETS_THROUGH.search(BY_NAME[name].__doc__ or "")
                found[name] = " ".join(told[1].split()) if told else ""
        return found


def _literal(text: str) -> str:
    return f'r"{text}"' if "\\" in text and '"' not in text else msgspec.json.encode(text).decode()


def propose(analyses: Iterable[Analysis]) -> Proposal:
    """Return the settings that the variations call for; an ignored path covers all that varies below it."""
    needed: dict[str, dict[str, None]] = {IGNORE: {}, NORMALIZE: {}, REPLAY: {}, "": {}}
    for analysis in analyses:
        for variation in analysis.variations:
            needed[variation.remedy][variation.value] = None
    names = [name for name in BY_NAME if name in needed[NORMALIZE]]
    patterns = [name for name in needed[NORMALIZE] if name not in BY_NAME]
    return Proposal(tuple(sorted(needed[IGNORE])), (*names, *patterns))


def are_equal(session: Session, one: Asked, other: Asked, analysis: Analysis) -> bool:
    """Whether two requests have one key under a session's settings, in a replay that gives the first run's answers."""
    body = other.body
    for path, value in analysis.answered:
        body = _replaced(body, path, value)
    request = msgspec.structs.replace(other.request, body=canonical_json(body))
    if any(variation.where == "(path)" and variation.remedy == REPLAY for variation in analysis.variations):
        request = msgspec.structs.replace(request, path=one.request.path)
    return session.prepare(request).key == session.prepare(one.request).key


def _replaced(body: JSON, path: tuple[Any, ...], value: JSON) -> JSON:
    if not path:
        return value
    made = list(body) if isinstance(body, list) else dict(body)
    made[path[0]] = _replaced(made[path[0]], path[1:], value)
    return made


def collisions(session: Session, run: Iterable[Asked]) -> Iterator[list[Asked]]:
    """Yield the requests of one run that are different ones, and one under a session's settings."""
    groups: dict[str, dict[str, Asked]] = collections.defaultdict(dict)
    for asked in run:
        groups[session.prepare(asked.request).key].setdefault(asked.request.key, asked)
    return ([*group.values()] for group in groups.values() if len(group) > 1)
