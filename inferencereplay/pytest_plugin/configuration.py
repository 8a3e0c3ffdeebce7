"""The plugin's settings: by command line, markers, `inferencereplay_config`, ini, environment, in that order.

An unknown option is refused with a list of the valid ones: an option that silently does nothing is noticed too late.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inferencereplay.errors import InvalidSetting
from inferencereplay.pytest_plugin.used_file import add_used_option, used_file
from inferencereplay.session.settings import (
    DEFAULT,
    DEFAULT_DIRECTORY,
    DEFAULTS,
    VARIABLES,
    Mode,
    parse_expiry,
    parse_flag,
    parse_ignore,
    parse_layers,
    parse_max_age,
    parse_mode,
    parse_normalize,
    parse_speed,
    parse_switch,
    parse_write_to,
    read_variable,
    split_layers,
)
from inferencereplay.store.location import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "inferencereplay"
CONFIG = "inferencereplay_config"
SETTINGS = ("directory", *DEFAULTS)
ROUNDS = ("variants", "times")
"""The options of a marker that say how often a test runs."""
ENABLED = "enabled"
"""The option of a marker that says whether the plugin has anything to do with a test."""
MOST_ROUNDS = 100
"""The runs of a test for `variants="all"`."""
UNUSED = ("ignore", "report", "fail", "delete")
MARKER = (
    f"{NAME}(directory, *, {', '.join([*SETTINGS[1:], *ROUNDS, ENABLED])}): record or replay the OpenAI calls of this "
    "test; the options are those of inferencereplay.Session, the directory is relative to the test file, by default "
    "recordings/ beside it. variants='all' runs the test once for each recorded answer, times=N records N answers. "
    "enabled=False leaves the test alone."
)
_ALIKE = 0.8
"""How similar to ours the name of a misspelled marker is: 1 for equal."""


def add_options(parser: pytest.Parser) -> None:
    """Declare the command line options and the ini options."""
    group = parser.getgroup(NAME, "recorded OpenAI calls (inferencereplay)")
    modes = ", ".join(mode.value for mode in Mode)
    group.addoption(f"--{NAME}-mode", metavar="MODE", help=f"{modes}; default: replay. Beats markers and fixtures.")
    speed = (
        "How fast recorded time runs: 1 the original pace, inf (the default) no waiting. Beats markers and fixtures."
    )
    group.addoption(f"--{NAME}-speed", metavar="SPEED", help=speed)
    rewrite = "Record anew exactly what the selected tests ask for; each old file stays until the new one is whole."
    group.addoption(f"--{NAME}-rewrite", action="store_true", help=rewrite)
    variants = "Run each test with recordings once for each recorded answer: all, or the number of runs at most."
    group.addoption(f"--{NAME}-variants", metavar="all|N", help=variants)
    times = "While recording, run each test with recordings N times, so that its requests have N answers."
    group.addoption(f"--{NAME}-times", metavar="N", help=times)
    unused = "What becomes of recordings that no test asked for in a complete, passing run (default: report)."
    group.addoption(f"--{NAME}-unused", choices=UNUSED, help=unused)
    table = "Write which test used which recording to this file, for `inferencereplay list --test`."
    group.addoption(f"--{NAME}-map", metavar="FILE", help=table)
    block = "Keep off the network what goes round the OpenAI SDK; loopback is allowed."
    group.addoption(f"--{NAME}-block-network", action="store_true", help=block)
    parser.addini(f"{NAME}_block_network", block, type="bool", default=False)
    parser.addini(f"{NAME}_allow_hosts", "Hosts that it lets through, as names or patterns (a list).", type="args")
    directories = "The directory of recordings for all tests, relative to the ini file; or several, a line each."
    add_used_option(parser, group)
    parser.addini(f"{NAME}_dir", directories)
    parser.addini(f"{NAME}_write_to", "Which of several gets the recordings: its number, from 0, or its name.")
    everything = "Replay every test, with or without a marker; enabled=False in a marker leaves a test alone."
    parser.addini(f"{NAME}_all", everything, type="bool", default=False)
    parser.addini(f"{NAME}_mode", f"{modes} (default: replay).")
    parser.addini(f"{NAME}_speed", "How fast recorded time runs (default: inf).")
    parser.addini(f"{NAME}_ignore", "Paths into the body that do not count (a list).", type="args")
    parser.addini(f"{NAME}_normalize", "What varies and does not count, such as uuids (a list).", type="args")
    parser.addini(f"{NAME}_max_age", "The age from which on recordings have expired, such as 30d.")
    parser.addini(f"{NAME}_on_expiry", "What becomes of their calls: warn (the default), error or record.")
    parser.addini(f"{NAME}_keep_equal", "Whether equal answers leave their files as they are: yes (the default) or no.")
    parser.addini(f"{NAME}_unused", f"{', '.join(UNUSED)} (default: report).")


def check(config: pytest.Config) -> None:
    """Refuse invalid settings of the command line, the ini file and the environment.

    Raises:
        pytest.UsageError: for an invalid setting, or an invalid treatment of unused recordings.
    """
    _check_values(_command_line(config), lambda name: f"--{NAME}-{name}")
    _check_values(_rounds(config), lambda name: f"--{NAME}-{name}")
    _check_values(_ini(config), lambda name: f"{NAME}_{name}")
    try:
        for name in VARIABLES:
            read_variable(name)
    except InvalidSetting as error:
        raise pytest.UsageError(str(error)) from None
    if config.option.inferencereplay_rewrite and config.option.inferencereplay_mode is not None:
        message = f"--{NAME}-rewrite records anew whatever a test replays: it cannot be given beside --{NAME}-mode."
        raise pytest.UsageError(message)
    file = config.option.inferencereplay_map
    if file is not None and (Path(file).is_dir() or not Path(file).parent.is_dir()):
        message = f"--{NAME}-map={file!r}: there is no such folder, or it is one. Give the name of a file."
        raise pytest.UsageError(message)
    if on_unused(config) not in UNUSED:
        message = f"{NAME}_unused={on_unused(config)!r} is not valid. Valid are {', '.join(UNUSED)}."
        raise pytest.UsageError(message)


def on_unused(config: pytest.Config) -> str:
    """Return what becomes of unused recordings."""
    return str(config.option.inferencereplay_unused or config.getini(f"{NAME}_unused") or "report")


def settings_for(
    config: pytest.Config, node: pytest.Item | pytest.Collector, home: Path, given: object
) -> dict[str, Any]:
    """Decide the arguments of a session.

    Args:
        config: pytest's.
        node: the test, or for a fixture of a wider scope what it is made for; its markers count.
        home: the folder that directories are relative to.
        given: what `inferencereplay_config` returns.

    Raises:
        pytest.UsageError: for invalid options.
    """
    local = {**_configured(given), **marked(node)}
    local = {name: value for name, value in local.items() if name not in (*ROUNDS, ENABLED)}
    if local.get("directory") is not None:
        local["directory"] = _placed_all(home, local["directory"])
    if isinstance(local.get("write_to"), (str, os.PathLike)):
        local["write_to"] = _placed(home, local["write_to"])
    settings = {**_ini(config), **local, **_command_line(config)}
    if settings.get("directory") is None and not directory_of_environment():
        settings["directory"] = home / DEFAULT_DIRECTORY
    settings["mode"] = _mode(config, settings.get("mode"))
    if settings.get("prefetch") is not None:
        settings["prefetch"] = _placed(home, settings["prefetch"])
    elif not os.environ.get(VARIABLES["prefetch"]):
        settings["prefetch"] = used_file(config)
    return settings


def directory_of_environment() -> str:
    """Return the directory that somebody has named by the environment; empty for none."""
    named = os.environ.get(VARIABLES["directory"], "")
    return "" if named == os.environ.get(DEFAULT) else named


def _placed_all(home: Path, directory: Any) -> list[str]:
    """Return the layers of a directory, or of several, as `_placed` does."""
    layers = parse_layers(directory)
    return [_placed(home, layer) for layer in (layers if isinstance(layers, tuple) else (layers,))]


def _placed(home: Path, directory: Any) -> str:
    """Return one spelling for one directory, for it is counted by its name; a URL stays as it is."""
    if is_url(directory):
        return str(directory)
    return str(os.path.normpath(home / os.path.expanduser(directory)))  # noqa: PTH111


def settings_for_program(config: pytest.Config, directory: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Decide the arguments of a session that the program opens itself.

    Args:
        config: pytest's, which need not be complete.
        directory: as the program gives it, or `None`.
        options: what else it gives.
    """
    local = {name: value for name, value in {"directory": directory, **options}.items() if value is not None}
    settings = {**_ini(config), **local, **_command_line(config)}
    has_directory = settings.get("directory") is not None or os.environ.get(VARIABLES["directory"])
    mode = settings.get("mode") or os.environ.get(VARIABLES["mode"]) or (Mode.REPLAY if has_directory else None)
    if mode is not None:
        settings["mode"] = _mode(config, mode)
    return settings


def _mode(config: pytest.Config, given: Any) -> Mode:
    mode = parse_mode(given or os.environ.get(VARIABLES["mode"]) or Mode.REPLAY)
    return Mode.RECORD if _option(config, "rewrite") and mode is not Mode.LIVE else mode


def _option(config: pytest.Config, name: str) -> Any:
    """Return what the command line gives, also while the first `conftest.py` is imported: `option` comes later."""
    name = f"{NAME}_{name}"
    return getattr(config.option, name, None) or getattr(config.known_args_namespace, name, None)


def _command_line(config: pytest.Config) -> dict[str, Any]:
    given = {name: _option(config, name) for name in ("mode", "speed")}
    return {name: value for name, value in given.items() if value is not None}


def _rounds(config: pytest.Config) -> dict[str, Any]:
    given = {name: getattr(config.option, f"{NAME}_{name}") for name in ROUNDS}
    return {name: value for name, value in given.items() if value is not None}


def rounds_of(node: pytest.Item) -> tuple[int, int]:
    """Return how many runs a test has at most for its variants (0 for the first only), and how many record.

    Raises:
        pytest.UsageError: for invalid options.
    """
    given = {**marked(node), **_rounds(node.config)}
    variants = given.get("variants")
    return parse_variants(0 if variants is None else variants, ""), parse_times(given.get("times") or 1, "")


def parse_variants(value: Any, source: str) -> int:
    """Read how many runs a test has at most for its variants.

    Raises:
        InvalidSetting: for anything but `all` and a number from 0.
    """
    if value == "all":
        return MOST_ROUNDS
    return _number(value, 0, f"{source}={value!r} is not valid. Valid are 'all', and the number of runs at most.")


def parse_times(value: Any, source: str) -> int:
    """Read how often a test is recorded.

    Raises:
        InvalidSetting: for anything but a number from 1.
    """
    return _number(value, 1, f"{source}={value!r} is not valid. Valid is a number of runs from 1.")


def _number(value: Any, least: int, message: str) -> int:
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if isinstance(number, int) and not isinstance(number, bool) and number >= least:
        return number
    raise InvalidSetting(message)


def _ini(config: pytest.Config) -> dict[str, Any]:
    names = ("mode", "speed", "ignore", "normalize", "max_age", "on_expiry")
    given: dict[str, Any] = {name: config.getini(f"{NAME}_{name}") for name in names}
    if keep_equal := config.getini(f"{NAME}_keep_equal"):
        try:
            given["keep_equal"] = parse_switch(keep_equal, f"{NAME}_keep_equal")
        except InvalidSetting as error:
            raise pytest.UsageError(str(error)) from None
    root = config.inipath.parent if config.inipath else config.rootpath
    directory = config.getini(f"{NAME}_dir")
    if directory:
        given["directory"] = _placed_all(root, split_layers(directory) if isinstance(directory, str) else directory)
    given = {name: value for name, value in given.items() if value not in ("", [])}
    write_to = config.getini(f"{NAME}_write_to")
    if write_to:
        given["write_to"] = int(write_to) if write_to.isdecimal() else _placed(root, write_to)
    return given


# Markers and the fixture.


def marked(node: pytest.Item | pytest.Collector) -> dict[str, Any]:
    """Return the options of a node's markers, each from the nearest one that has it.

    Raises:
        pytest.UsageError: for invalid options.
    """
    options: dict[str, Any] = {}
    for holder, mark in reversed([*node.iter_markers_with_node(NAME)]):
        if id(mark) not in _known:
            _known[id(mark)] = mark, _read(mark, f"@pytest.mark.{NAME} at {holder.nodeid}")
        options.update(_known[id(mark)][1])
    return options


_known: dict[int, tuple[pytest.Mark, dict[str, Any]]] = {}
"""The options of valid markers: one is shared by many tests. It is kept with them, so that no other has its id."""


def _read(mark: pytest.Mark, where: str) -> dict[str, Any]:
    if len(mark.args) > 1:
        message = f"{where}: it takes one argument without a name, the directory, and got {len(mark.args)}."
        raise pytest.UsageError(message)
    if mark.args and "directory" in mark.kwargs:
        message = f"{where}: the directory is given twice."
        raise pytest.UsageError(message)
    options = {**dict(zip(("directory",), mark.args, strict=False)), **mark.kwargs}
    _check(options, where, (*SETTINGS, *ROUNDS, ENABLED))
    return options


def _configured(given: object) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        message = f"{CONFIG} has to return a dict of options, and returned {given!r}."
        raise pytest.UsageError(message)
    _check(given, CONFIG, SETTINGS)
    return dict(given)


def _check(options: Mapping[str, Any], where: str, valid: tuple[str, ...]) -> None:
    _check_names(options, where, valid)
    _check_values(options, lambda name: f"{where}: {name}")
    for name, value in options.items():
        if isinstance(value, Iterator):
            message = f"{where}: {name}= is an iterator, of which only the first test would get something. Give a list."
            raise pytest.UsageError(message)


def _check_names(options: Iterable[Any], where: str, valid: tuple[str, ...]) -> None:
    unknown = [name for name in options if name not in valid]
    if unknown:
        names = ", ".join(map(str, unknown))
        message = f"{where}: unknown {'options' if len(unknown) > 1 else 'option'} {names}. "
        message += f"Valid are {', '.join(valid)}."
        raise pytest.UsageError(message)


def _check_values(options: Mapping[str, Any], call: Callable[[str], str]) -> None:
    """Refuse an invalid one of those that are checked early; the session checks the rest when it is made.

    Args:
        options: by name.
        call: returns the name of an option in messages.
    """
    for name, parse in _PARSERS.items():
        if options.get(name) is not None:
            try:
                parse(options[name], call(name))
            except InvalidSetting as error:
                raise pytest.UsageError(str(error)) from None


_PARSERS: dict[str, Callable[[Any, str], object]] = {
    "directory": parse_layers,
    "mode": parse_mode,
    "ignore": parse_ignore,
    "normalize": parse_normalize,
    "max_age": parse_max_age,
    "on_expiry": parse_expiry,
    "speed": parse_speed,
    "variants": parse_variants,
    "times": parse_times,
    "write_to": parse_write_to,
    ENABLED: parse_flag,
}


def is_enabled(node: pytest.Item) -> bool:
    """Whether no marker says that the plugin leaves a test alone; the nearest one that says something counts."""
    return next((bool(mark.kwargs[ENABLED]) for mark in node.iter_markers(NAME) if ENABLED in mark.kwargs), True)


def check_spelling(name: str, config: pytest.Config) -> None:
    """Refuse a misspelled marker, with which a test would silently go to the network.

    Raises:
        pytest.UsageError: if no marker of that name is declared, and the name is similar to ours.
    """
    declared = {line.partition(":")[0].partition("(")[0].strip() for line in config.getini("markers")}
    if name in declared:
        return
    from difflib import SequenceMatcher  # noqa: PLC0415 - only for undeclared markers

    if SequenceMatcher(None, name.lower(), NAME).ratio() > _ALIKE:
        message = f"@pytest.mark.{name} is no marker. Did you mean @pytest.mark.{NAME}?"
        raise pytest.UsageError(message)
