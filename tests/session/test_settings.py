"""What a session is told: mode, speed and directory."""

from __future__ import annotations

import decimal
import functools
import inspect
import math
import pydoc
import re
from pathlib import Path, PurePosixPath

import openai
import pytest

from inferencereplay import Pace, Session, replay, wrap
from inferencereplay.errors import InvalidSetting
from inferencereplay.pacing.clocks import VirtualClock
from inferencereplay.session.settings import DEFAULTS, Mode, join_layers, parse_mode, parse_speed, resolve, split_layers

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
    found = resolve(directory, {"mode": mode})
    assert (str(found.directory), found.mode.value, found.from_environment) == decided
    assert found.speed == math.inf


def test_the_speed_is_decided_alike(environment):
    """An argument, else the variable, else no waiting."""
    assert resolve(None, {}).speed == math.inf
    environment(SPEED="10")
    assert resolve(None, {}).speed == 10
    assert resolve(None, {"speed": 0.5}).speed == 0.5


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
    ["", "a\0b", b"recordings", 3, True, Broken(), [""], ["a", 3], "\ud800", "~nobody-has-this-name/recordings"],
    ids=lambda directory: ascii(directory)[:20],
)
def test_what_is_no_path_is_no_directory(directory):
    """The message says what was given and what to give."""
    with pytest.raises(
        InvalidSetting, match=r"^directory=.* is no path of a directory\. Give a str or a pathlib\.Path"
    ):
        resolve(directory, {})


@pytest.mark.parametrize(
    ("given", "layers"),
    [
        (["a"], "a"),
        (("a", Path("b")), ("a", "b")),
        (iter(["a", "b"]), ("a", "b")),
        ({"a": 1, "b": 2}.keys(), ("a", "b")),
    ],
    ids=["one", "tuple", "iterator", "keys"],
)
def test_several_directories_are_layers(given, layers):
    """In the order in which they are given; one that is alone is a directory."""
    found = resolve(given, {}).directory
    assert (tuple(map(str, found)) if isinstance(found, tuple) else str(found)) == layers


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("a,b", ("a", "b")),
        (" a , b,", ("a", "b")),
        ("a\nb\n", ("a", "b")),
        ("a, b\nc", ("a, b", "c")),
        ("a, b\n", "a, b"),
        ("a,", "a"),
    ],
)
def test_a_text_holds_layers_as_lines_or_with_commas(environment, text, layers):
    """Commas in one line, as in the other variables; a name with a comma has a line of its own."""
    environment(DIR=text)
    found = resolve(None, {}).directory
    assert (tuple(map(str, found)) if isinstance(found, tuple) else str(found)) == layers
    assert split_layers(join_layers(split_layers(text))) == split_layers(text)


@pytest.mark.parametrize(
    ("directory", "message"),
    [
        ([], "directory=[] names no directory. Give at least one."),
        (["a", "b", "a"], "directory names a twice. Each layer has to be another directory."),
        (
            ["a", Path("a").absolute()],
            f"directory names {Path('a').absolute()} twice. Each layer has to be another directory.",
        ),
        ({"a"}, "directory={'a'} has no order, and layers are looked up in order. Give a list."),
        ("a,s3://b/c", "directory names several places in one text, or a URL after a blank. Give layers as a list."),
        (" s3://b/c", "directory names several places in one text, or a URL after a blank. Give layers as a list."),
    ],
    ids=["none", "twice", "twice by other names", "set", "text", "blank"],
)
def test_layers_are_different_directories(environment, directory, message):
    """At least one, and none twice."""
    with pytest.raises(InvalidSetting, match=f"^{re.escape(message)}$"):
        resolve(directory, {})
    environment(DIR=" , ")
    with pytest.raises(InvalidSetting, match=r"^INFERENCEREPLAY_DIR=\[\] names no directory"):
        resolve(None, {})


@pytest.mark.parametrize(
    ("directory", "write_to", "number"),
    [
        ("a", None, None),
        ("a", 0, 0),
        ("a", "a", 0),
        (["a", "b"], 1, 1),
        (["a", "b"], Path("b"), 1),
        (["a", "b"], Path("b").absolute(), 1),
    ],
)
def test_write_to_is_the_number_of_a_layer(environment, directory, write_to, number):
    """Counted from 0; a name is looked up, and one directory is the layer 0. A variable is meant for layers."""
    assert resolve(directory, {"write_to": write_to}).write_to == number
    if write_to is not None:
        environment(WRITE_TO=str(write_to))
        assert resolve(directory, {}).write_to == (number if isinstance(directory, list) else None)


@pytest.mark.parametrize(
    ("write_to", "message"),
    [
        (2, "write_to=2 is no layer. The layers are 0 (a), 1 (b): give a number or a name of them."),
        ("c", "write_to='c' is no layer. The layers are 0 (a), 1 (b): give a number or a name of them."),
        (-1, "write_to=-1 is no layer. Give its number, from 0, or its name."),
        (True, "write_to=True is no layer. Give its number, from 0, or its name."),
        (1.0, "write_to=1.0 is no layer. Give its number, from 0, or its name."),
        ("", "write_to='' is no path of a directory. Give a str or a pathlib.Path."),
    ],
)
def test_write_to_is_a_layer(write_to, message):
    """The message lists them."""
    with pytest.raises(InvalidSetting, match=f"^{re.escape(message)}$"):
        resolve(["a", "b"], {"write_to": write_to})


def test_a_directory_is_any_path(monkeypatch):
    """Text, a path of any kind, and a home folder's `~`."""
    monkeypatch.setenv("HOME", "/somewhere")
    assert resolve("a/b", {}).directory == Path("a/b")
    assert resolve(PurePosixPath("a/b"), {}).directory == Path("a/b")
    assert resolve("~/a", {}).directory == Path("/somewhere/a")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("MODE", "nonsense", "is no mode. Valid are"),
        ("SPEED", "fast", "is no speed. Valid is"),
        ("SPEED", " ", "is no speed. Valid is"),
        ("DIR", "~nobody-has-this-name", "is no path of a directory."),
        ("PACE", "fast", "is no pace. Give the seconds to the first chunk and between chunks: 0.3,0.02."),
        ("PACE", "1,2,3", "is no pace. Give the seconds"),
        ("PACE", "-1", "is no pace. Give the seconds"),
        ("IGNORE", "user,,seed", "is no path into a request's body."),
        ("RECORD_ERRORS", "maybe", "is neither yes nor no. Valid are 1, true, yes, on, 0, false, no, off."),
        ("EXHAUSTED", "stop", "is not valid. Valid are 'repeat', 'error', 'record'."),
        ("REDACT", "(", "is no regular expression"),
        ("REDACT", "x*", "matches the empty text"),
    ],
)
def test_a_bad_variable_is_named(environment, name, value, told):
    """The message says which variable it was, not which argument, and what is valid."""
    environment(**{name: value})
    with pytest.raises(InvalidSetting) as caught:
        resolve(None, {})
    assert str(caught.value).startswith(f"INFERENCEREPLAY_{name}=")
    assert told in str(caught.value)


GIVEN = {
    "PACE": ("0.3,0.02", "pace", Pace(0.3, 0.02), Pace(1)),
    "IGNORE": ("user, metadata.run_id", "ignore", ("user", "metadata.run_id"), ("seed",)),
    "REDACT": (r"T-\d{1,3}", "redact", r"T-\d{1,3}", ("x",)),
    "RECORD_ERRORS": ("Yes", "record_errors", True, False),
    "KEEP_UPLOADS": ("1", "keep_uploads", True, False),
    "EXHAUSTED": ("error", "exhausted", "error", "repeat"),
    "TEST_ID": ("tests/a.py::test", "test_id", "tests/a.py::test", "other"),
    "LIVE": ("/models, /embeddings", "live", ("/models", "/embeddings"), ("/x",)),
    "ONLY": ("/models", "only", ("/models",), ("/x",)),
}


@pytest.mark.parametrize("name", GIVEN)
def test_each_setting_that_is_text_has_a_variable(environment, name):
    """An argument beats it, also one that equals the default, and it beats the default; empty it counts as not set."""
    text, setting, value, argument = GIVEN[name]
    default = getattr(resolve(None, {}), setting)
    environment(**{name: text})
    assert getattr(resolve(None, {}), setting) == value != default
    assert getattr(resolve(None, {setting: argument}), setting) == argument
    environment(**{name: ""})
    assert getattr(resolve(None, {}), setting) == default
    environment(**{name: "("})  # which is not valid where that matters
    assert getattr(resolve(None, {setting: argument}), setting) == argument


@pytest.mark.parametrize("text", ["0", "false", "No", " off "])
def test_a_switch_may_say_no(environment, text):
    """In any of the usual words."""
    environment(RECORD_ERRORS=text)
    assert resolve(None, {}).record_errors is False


def test_one_number_is_a_pace(environment):
    """Seconds to the first chunk; the others follow at once."""
    environment(PACE="0.5")
    assert resolve(None, {}).pace == Pace(0.5, 0)


@pytest.mark.parametrize("function", [Session, replay, wrap], ids=["Session", "replay", "wrap"])
def test_the_settings_are_listed(function):
    """`inspect.signature` and `help` show each with its default, as if it were written out."""
    parameters = inspect.signature(function).parameters
    assert {name: item.default for name, item in parameters.items() if item.kind is item.KEYWORD_ONLY} == DEFAULTS
    assert str(parameters["speed"]) == "speed: 'float | str | None' = None"
    shown = pydoc.render_doc(function, renderer=pydoc.plaintext)
    assert all(f"{name}: " in shown for name in DEFAULTS)


@pytest.mark.parametrize(
    "function",
    [Session, replay, functools.partial(wrap, openai.OpenAI(api_key="x"))],
    ids=["Session", "replay", "wrap"],
)
def test_an_unknown_setting_is_told(function, tmp_path):
    """As Python tells a wrong argument, with the valid ones."""
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'speeed'\. Valid are mode, speed, "):
        function(tmp_path, speeed=1)


def test_a_decorator_refuses_a_bad_setting_where_it_is_written():
    """Not when the function is called."""
    with pytest.raises(InvalidSetting, match="ignore=3 is no path"):
        replay("recordings", ignore=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"normalize": "lower"}, "normalize='lower' is no normalizer"),
        ({"normalize": ["uuids", 5]}, "normalize=5 is no normalizer"),
        ({"normalize": 5}, "normalize=5 is no normalizer"),
        ({"exhausted": "stop"}, "exhausted='stop' is not valid. Valid are 'repeat', 'error', 'record'"),
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
