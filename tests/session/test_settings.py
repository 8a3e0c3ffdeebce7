"""What a session is told: mode, speed and directory."""

from __future__ import annotations

import decimal
import math
import re
from pathlib import Path, PurePosixPath

import pytest

from inferencereplay import Session
from inferencereplay.errors import InvalidSetting
from inferencereplay.pacing.clocks import VirtualClock
from inferencereplay.session.settings import Mode, parse_mode, parse_speed, resolve

MODES = "'live', 'replay', 'record', 'record-if-missing'"


@pytest.fixture
def environment(monkeypatch):
    """Set variables by the ends of their names."""

    def set_variables(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"INFERENCEREPLAY_{name}", value)

    return set_variables


@pytest.mark.parametrize(
    ("directory", "mode", "variables", "decided"),
    [
        (None, None, {}, ("recordings", "live", False)),
        ("a", None, {}, ("a", "replay", False)),
        (None, "record", {}, ("recordings", "record", False)),
        ("a", "live", {}, ("a", "live", False)),
        (None, None, {"DIR": "e"}, ("e", "replay", True)),
        (None, None, {"MODE": "record"}, ("recordings", "record", True)),
        (None, None, {"MODE": "live"}, ("recordings", "live", False)),
        (None, None, {"MODE": "live", "DIR": "e"}, ("e", "live", False)),
        (None, None, {"MODE": "once", "DIR": "e"}, ("e", "record-if-missing", True)),
        ("a", None, {"DIR": "e", "MODE": "record"}, ("a", "record", False)),
        (None, "replay", {"DIR": "e", "MODE": "record"}, ("e", "replay", False)),
        ("a", "replay", {"DIR": "e", "MODE": "nonsense"}, ("a", "replay", False)),
        (None, None, {"DIR": "", "MODE": "", "SPEED": ""}, ("recordings", "live", False)),
    ],
)
def test_an_argument_beats_the_environment_which_beats_the_default(environment, directory, mode, variables, decided):
    """A directory alone means replay, nothing means live, and the environment alone is noted as such."""
    environment(**variables)
    found = resolve(directory, mode, None)
    assert (str(found.directory), found.mode.value, found.from_environment) == decided
    assert found.speed == math.inf


def test_the_speed_is_decided_alike(environment):
    """An argument, else the variable, else no waiting."""
    assert resolve(None, None, None).speed == math.inf
    environment(SPEED="10")
    assert resolve(None, None, None).speed == 10
    assert resolve(None, None, 0.5).speed == 0.5


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *((mode.value, mode) for mode in Mode),
        *((mode, mode) for mode in Mode),
        *(("none", Mode.REPLAY), ("once", Mode.RECORD_IF_MISSING)),
        *(("new_episodes", Mode.RECORD_IF_MISSING), ("all", Mode.RECORD)),
    ],
    ids=repr,
)
def test_a_mode_is_known_by_our_name_and_by_that_of_vcr(name, mode):
    """Both ways of reading one agree."""
    assert parse_mode(name) is Mode(name) is mode


@pytest.mark.parametrize("mode", ["", "REPLAY", " replay", "record_if_missing", "any", 3, b"live", [], {}, None, True])
def test_an_unknown_mode_lists_the_valid_ones(mode):
    """The message names what was given, where, and all that would do."""
    with pytest.raises(InvalidSetting) as caught:
        parse_mode(mode)
    assert str(caught.value).startswith(f"mode={mode!r} is no mode. Valid are {MODES}, and VCR.py's 'none'")
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("given", "speed"),
    [
        *((1, 1), (10, 10), (0.5, 0.5), ("10", 10), (" 2.5 ", 2.5), (decimal.Decimal(2), 2)),
        *((math.inf, math.inf), ("inf", math.inf), ("Infinity", math.inf)),
    ],
    ids=repr,
)
def test_a_speed_is_a_number_above_0(given, speed):
    """As a number or as text, infinity among them."""
    found = parse_speed(given)
    assert found == speed
    assert type(found) is float


@pytest.mark.parametrize(
    "speed",
    [0, -1, -0.0, math.nan, "nan", "-inf", "0", True, False, "fast", "", b"10", None, [], {}, 1j, 10**400],
    ids=lambda speed: repr(speed)[:20],
)
def test_anything_else_is_no_speed(speed):
    """The message says what would be one."""
    with pytest.raises(
        InvalidSetting, match=r"^speed=.* is no speed\. Valid is a number above 0: 1 is .*, inf without"
    ):
        parse_speed(speed)


class Broken:
    def __fspath__(self) -> int:
        return 3


@pytest.mark.parametrize(
    "directory",
    ["", "a\0b", b"recordings", 3, True, ["a"], Broken(), "\ud800", "~nobody-has-this-name/recordings"],
    ids=lambda directory: ascii(directory)[:20],
)
def test_what_is_no_path_is_no_directory(directory):
    """The message says what was given and what to give."""
    with pytest.raises(
        InvalidSetting, match=r"^directory=.* is no path of a directory\. Give a str or a pathlib\.Path"
    ):
        resolve(directory, None, None)


def test_a_directory_is_any_path(monkeypatch):
    """Text, a path of any kind, and a home folder's `~`."""
    monkeypatch.setenv("HOME", "/somewhere")
    assert resolve("a/b", None, None).directory == Path("a/b")
    assert resolve(PurePosixPath("a/b"), None, None).directory == Path("a/b")
    assert resolve("~/a", None, None).directory == Path("/somewhere/a")


@pytest.mark.parametrize(
    ("name", "value"), [("MODE", "nonsense"), ("SPEED", "fast"), ("SPEED", " "), ("DIR", "~nobody-has-this-name")]
)
def test_a_bad_variable_is_named(environment, name, value):
    """The message says which variable it was, not which argument."""
    environment(**{name: value})
    with pytest.raises(InvalidSetting, match=rf"^INFERENCEREPLAY_{name}='{value}' is no "):
        resolve(None, None, None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"normalize": "lower"}, "normalize='lower' cannot be called"),
        ({"exhausted": "stop"}, "exhausted='stop' is none of 'repeat', 'error', 'record'"),
        ({"mode": "rec"}, "mode='rec' is no mode"),
        ({"redact": ["("]}, "is no regular expression"),
        ({"ignore": 5}, "ignore="),
        ({"ignore": "messages[0].content"}, "ignore="),
        ({"ignore": "messages.0.content"}, "ignore="),
        *(({"ignore": [path]}, "is no path into a request's body") for path in ("", "a..b", ".a", "a.", 3)),
        ({"clock": 3}, "clock="),
        ({"clock": VirtualClock}, "clock="),
        ({"record_errors": "no"}, "record_errors="),
    ],
    ids=str,
)
def test_an_invalid_setting_is_refused(tmp_path, settings, message):
    """A setting that could never work is an error when the session is made; the message names it."""
    with pytest.raises(InvalidSetting, match=re.escape(message)):
        Session(tmp_path, **settings)
