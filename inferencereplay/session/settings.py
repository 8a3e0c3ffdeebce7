"""The settings of a session, from arguments and from the environment.

An argument beats the environment, which beats the default. The settings are listed once, in `Options`; `wrap`, `replay`
and `Session` take them all.
"""

from __future__ import annotations

import enum
import inspect
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypedDict, TypeVar

from inferencereplay.errors import InvalidSetting
from inferencereplay.pacing.clocks import Clock, check_clock
from inferencereplay.pacing.pacer import Pace, check_pace
from inferencereplay.session.selection import Chosen, parse_paths, parse_selection
from inferencereplay.store.location import Location, parse_location, real

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping

    from inferencereplay.faults.fault import Fault
    from inferencereplay.recording.request import JSON
    from inferencereplay.session.question import Question

    _Selection = str | Callable[[Question], object] | Iterable[str | Callable[[Question], object]]

Directory: TypeAlias = "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]"
"""A directory of recordings, or several: layers, which are looked up in order."""
Normalize: TypeAlias = "Callable[[JSON], JSON] | str"
"""A function from a request's body to a body, or the name of one in `inferencereplay.normalizers`."""
_Function = TypeVar("_Function", bound="Callable[..., Any]")

DEFAULT_DIRECTORY = "recordings"
EXHAUSTED = ("repeat", "error", "record")
MOST_CALLS = 1_000_000
"""The largest number of calls that a session keeps."""
_SWITCHES = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_VCR = {"none": "replay", "once": "record-if-missing", "new_episodes": "record-if-missing", "all": "record"}


class Mode(str, enum.Enum):
    """What happens to a call; wherever a mode is given, its name works as well, and so do VCR.py's names.

    Example:
        >>> Mode("new_episodes").value
        'record-if-missing'
    """

    LIVE = "live"
    """Everything goes to the network, nothing is stored."""
    REPLAY = "replay"
    """Recordings answer; a request that was not recorded is an error, and nothing reaches the network."""
    RECORD = "record"
    """Everything goes to the network and is stored; what the key had before is replaced."""
    RECORD_IF_MISSING = "record-if-missing"
    """Recordings answer; a request that was not recorded goes to the network and is stored."""

    @classmethod
    def _missing_(cls, value: object) -> Mode | None:
        return cls(_VCR[value]) if isinstance(value, str) and value in _VCR else None


class Options(TypedDict, total=False):
    """The settings that `wrap`, `replay` and `Session` take by keyword; `Session` describes each."""

    mode: Mode | str | None
    speed: float | str | None
    pace: Pace | None
    clock: Clock | None
    ignore: Iterable[str]
    normalize: Normalize | Iterable[Normalize] | None
    redact: Iterable[str | re.Pattern[str]]
    record_errors: bool
    keep_uploads: bool
    exhausted: str
    test_id: str | None
    live: _Selection
    only: _Selection
    keep_calls: int
    keep_equal: bool
    max_age: str | datetime.timedelta | float | None
    on_expiry: str
    faults: Iterable[Fault | str] | Fault | str
    on: str | Iterable[str] | None
    write_to: int | str | os.PathLike[str] | None
    prefetch: str | os.PathLike[str] | None


DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(Options.__annotations__),
    "ignore": (),
    "redact": (),
    "record_errors": False,
    "keep_uploads": False,
    "exhausted": "repeat",
    "live": (),
    "only": (),
    "keep_calls": 1_000,
    "keep_equal": True,
    "on_expiry": "warn",
    "faults": (),
}
"""The default of each setting; `None` for one whose default depends on other settings."""
_OF_PYTHON = ("clock", "keep_calls", "on")
"""The settings that no text can give."""
VARIABLES = {"directory": "INFERENCEREPLAY_DIR"} | {
    name: f"INFERENCEREPLAY_{name.upper()}" for name in DEFAULTS if name not in _OF_PYTHON
}
"""The environment variable of each setting that a text can give."""
DEFAULT = "INFERENCEREPLAY_DEFAULT_DIR"
"""The variable in which `inferencereplay run` repeats the directory if nobody has named one."""
_OF_PLACES = {VARIABLES[name]: name for name in ("write_to", "prefetch")}
"""The settings whose variables are read if the directory is not a single one, by their variables."""
_ALWAYS_READ = {variable: name for name, variable in VARIABLES.items() if variable not in _OF_PLACES}
"""The other settings."""
_NAMES = {os.fsencode(name) if os.supports_bytes_environ else name: name for name in VARIABLES.values()}
"""The variables, as Python's own `os.environ` holds their names."""


def list_options(function: _Function) -> _Function:
    """Let `inspect.signature` and `help` list the settings of a function that takes `**settings: Unpack[Options]`."""
    signature = inspect.signature(function)
    own = [item for item in signature.parameters.values() if item.kind is not item.VAR_KEYWORD]
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=DEFAULTS[name],
            annotation=getattr(annotation, "__forward_arg__", annotation),
        )
        for name, annotation in Options.__annotations__.items()
    ]
    function.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return function


class Settings(NamedTuple):
    """The settings in effect for a session.

    Attributes:
        directory: where recordings live: a path, or the URL of an object store; or a tuple of two or more as layers.
        from_environment: whether the environment alone switched replaying or recording on.
        mode: what happens to a call.
        speed: how fast recorded time runs; infinity for no waiting.
    """

    directory: Location | tuple[Location, ...]
    from_environment: bool
    mode: Mode
    speed: float
    pace: Pace | None
    clock: Clock | None
    ignore: tuple[str, ...]
    normalize: Callable[[JSON], JSON] | None
    redact: Any
    record_errors: bool
    keep_uploads: bool
    exhausted: str
    test_id: str | None
    live: Chosen
    only: Chosen
    keep_calls: int
    keep_equal: bool
    max_age: datetime.timedelta | None
    on_expiry: str
    faults: tuple[Fault, ...]
    on: Any
    write_to: int | None
    prefetch: Path | None


def resolve(directory: Directory | None, options: Mapping[str, Any]) -> Settings:
    """Combine arguments, the environment and the defaults.

    Args:
        directory: the argument, or `None`.
        options: the other arguments, by name.

    Raises:
        InvalidSetting: for an invalid setting.
        TypeError: for an unknown one.
    """
    given = parse_options(options if directory is None else {"directory": directory, **options})
    chosen = {**DEFAULTS, **_from_environment(_ALWAYS_READ, given), **given}
    place = chosen.pop("directory", None)
    if chosen["mode"] is None:
        chosen["mode"] = Mode.LIVE if place is None else Mode.REPLAY
    if chosen["speed"] is None:
        chosen["speed"] = math.inf
    _check_faults(chosen, given)
    place = Path(DEFAULT_DIRECTORY) if place is None else place
    if not isinstance(place, Path):  # the environment names these for layers and for URLs
        chosen |= _from_environment(_OF_PLACES, given)
    if chosen["write_to"] is not None:
        chosen["write_to"] = _find_layer(chosen["write_to"], place)
    is_from_environment = not given.keys() & {"directory", "mode"} and chosen["mode"] is not Mode.LIVE
    settings = Settings(place, is_from_environment, **chosen)
    return _for_calibration(settings) if calibration else settings


CALIBRATION = "INFERENCEREPLAY_CALIBRATION"
"""The variable that `inferencereplay calibrate` sets for the program that it starts; see `calibration`."""
calibration = os.environ.get(CALIBRATION)
"""The directory into which every session of this process records, whatever its own settings say."""


def _for_calibration(settings: Settings) -> Settings:
    """Let a session keep what it is asked in the directory of a run, and leave its own directory as it is."""
    if settings.mode is Mode.LIVE:
        return settings
    changed: dict[str, Any] = {"mode": Mode.RECORD_IF_MISSING, "record_errors": True, "test_id": None, "write_to": None}
    return settings._replace(directory=Path(calibration or ""), **changed)


def _find_layer(wanted: Any, place: Any) -> int:
    """Return the number, from 0, of the layer that recordings are written to.

    Raises:
        InvalidSetting: if there is no such layer.
    """
    layers = place if isinstance(place, tuple) else (place,)
    if isinstance(wanted, int):
        if wanted < len(layers):
            return wanted
    else:
        for number, layer in enumerate(layers):
            if _known_as(layer) == _known_as(wanted):
                return number
    shown = str(wanted) if isinstance(wanted, os.PathLike) else wanted
    named = ", ".join(f"{number} ({layer})" for number, layer in enumerate(layers))
    message = f"write_to={shown!r} is no layer. The layers are {named}: give a number or a name of them."
    raise InvalidSetting(message)


def _check_faults(chosen: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse faults where nothing is replayed; the environment's are left out there."""
    if chosen["mode"] is Mode.LIVE:
        if given.get("faults"):
            valid = ", ".join(repr(mode.value) for mode in Mode if mode is not Mode.LIVE)
            message = f"faults= alters recorded answers, and mode='live' has none. Give a directory, or {valid}."
            raise InvalidSetting(message)
        chosen["faults"] = ()
    elif chosen["on"] is not None and not chosen["faults"]:
        message = f"on={chosen['on']!r} says where faults happen, and there are none: give faults=, too."
        raise InvalidSetting(message)


def parse_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Read arguments by name; one that is `None` counts as not given where `None` is its default.

    Raises:
        InvalidSetting: for an invalid one.
        TypeError: for an unknown one.
    """
    unknown = [name for name in options if name not in _PARSERS]
    if unknown:
        message = f"unexpected keyword argument {unknown[0]!r}. Valid are {', '.join(DEFAULTS)}."
        raise TypeError(message)
    given = {name: value for name, value in options.items() if value is not None or DEFAULTS.get(name) is not None}
    return {name: _PARSERS[name](value, name) for name, value in given.items()}


def _from_environment(names: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the environment gives for settings that are not given.

    Args:
        names: the settings, each by its variable.
        given: the settings that are given as arguments.
    """
    found = {}
    for variable in names.keys() & _set_variables():
        name = names[variable]
        value = None if name in given else read_variable(name)
        if value is not None:
            found[name] = value
    return found


def _set_variables() -> Iterable[str]:
    """Return the variables of settings that may be set.

    Each look into `os.environ` encodes the name, and takes longer than all the rest of a setting; so the names are
    looked up in what it holds, where it is Python's own.
    """
    if type(os.environ) is not os._Environ:  # noqa: SLF001 - nothing public tells
        return _NAMES.values()
    return map(_NAMES.__getitem__, os.environ._data.keys() & _NAMES.keys())  # type: ignore[attr-defined]  # noqa: SLF001


def read_variable(name: str) -> Any:
    """Return what the environment gives for a setting, or `None`.

    Raises:
        InvalidSetting: for an invalid value; the message names the variable.
    """
    variable = VARIABLES[name]
    text = os.environ.get(variable)
    return parse_text(name, text, variable) if text else None


def parse_text(name: str, text: str, source: str) -> Any:
    """Read a setting from a text.

    Args:
        name: the setting's.
        text: what the user wrote.
        source: where, for the message.

    Raises:
        InvalidSetting: for an invalid value.
    """
    return (_TEXT_PARSERS.get(name) or _PARSERS[name])(text, source)


def parse_mode(mode: Mode | str, source: str = "mode") -> Mode:
    """Read a mode by its name, ours or VCR.py's.

    Raises:
        InvalidSetting: for any other name.
    """
    try:
        return Mode(mode)
    except ValueError:
        valid = ", ".join(repr(item.value) for item in Mode)
        message = (
            f"{source}={mode!r} is no mode. Valid are {valid}, and VCR.py's 'none', 'once', 'new_episodes', 'all'."
        )
        raise InvalidSetting(message) from None


def parse_speed(speed: float | str, source: str = "speed") -> float:
    """Read a speed: a number above 0, or `inf`.

    Raises:
        InvalidSetting: for anything else.
    """
    try:
        if isinstance(speed, (bool, bytes)):
            raise TypeError  # noqa: TRY301 - one message for everything that is no speed
        value = float(speed)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not value > 0:
        valid = "1 is the original pace, 10 ten times faster, 0.5 half as fast, inf without waiting"
        message = f"{source}={speed!r} is no speed. Valid is a number above 0: {valid}."
        raise InvalidSetting(message)
    return value


def parse_exhausted(exhausted: Any, source: str = "exhausted") -> str:
    """Read the setting `exhausted`: what the call after the last variant gets.

    Raises:
        InvalidSetting: for any other name.
    """
    if exhausted in EXHAUSTED:
        return str(exhausted)
    message = f"{source}={exhausted!r} is not valid. Valid are {', '.join(map(repr, EXHAUSTED))}."
    raise InvalidSetting(message)


def parse_flag(flag: Any, source: str) -> bool:
    """Read a setting that is on or off.

    Raises:
        InvalidSetting: for anything but a `bool`.
    """
    if isinstance(flag, bool):
        return flag
    message = f"{source}={flag!r} is neither True nor False."
    raise InvalidSetting(message)


def parse_switch(text: str, source: str) -> bool:
    """Read yes or no from a text.

    Raises:
        InvalidSetting: for any other text.
    """
    try:
        return _SWITCHES[text.strip().lower()]
    except KeyError:
        message = f"{source}={text!r} is neither yes nor no. Valid are {', '.join(_SWITCHES)}."
        raise InvalidSetting(message) from None


def parse_normalize(normalize: Any, source: str = "normalize") -> Any:
    """Read functions from body to body and names of ready-made ones, one or several, as one function.

    Raises:
        InvalidSetting: for anything else.
    """
    if callable(normalize):
        return normalize
    try:
        given = (normalize,) if isinstance(normalize, str) else tuple(normalize)
    except TypeError:
        given = (normalize,)  # refused below
    from inferencereplay.normalizers import compose  # noqa: PLC0415 - only where one is set

    functions = [_parse_normalizer(item, source) for item in given]
    return compose(functions) if functions else None


def _parse_normalizer(item: Any, source: str) -> Callable[[JSON], JSON]:
    from inferencereplay.normalizers import BY_NAME, named  # noqa: PLC0415 - as above

    try:
        function: Any = named(item) if isinstance(item, str) else item
    except re.error as error:
        message = f"{source}={item!r} is no regular expression: {error}."
        raise InvalidSetting(message) from None
    if not callable(function):
        rule = "Give a function from a request's body to a body, a regular expression between slashes, or a name: "
        rule += ", ".join(BY_NAME)
        message = f"{source}={item!r} is no normalizer. {rule}."
        raise InvalidSetting(message)
    return function  # type: ignore[no-any-return]  # as the line above says


def _parse_normalizers(text: str, source: str) -> Any:
    from inferencereplay.normalizers import split_names  # noqa: PLC0415 - as above

    return parse_normalize(split_names(text), source)


def _parse_pace(text: str, source: str) -> Pace | None:
    try:
        return check_pace(Pace(*map(float, text.split(","))), source)
    except (TypeError, ValueError):
        message = f"{source}={text!r} is no pace. Give the seconds to the first chunk and between chunks: 0.3,0.02."
        raise InvalidSetting(message) from None


def _parse_redact(pattern: str, source: str) -> str:
    from inferencereplay.redaction.redactor import Redactor  # noqa: PLC0415 - only where the variable is set

    try:
        Redactor(pattern)
    except InvalidSetting as error:
        message = str(error).replace("redact=", f"{source}=", 1)
        raise InvalidSetting(message) from None
    return pattern


def parse_ignore(ignore: Any, source: str = "ignore") -> tuple[str, ...]:
    """Read dotted paths into a request's body, one or several.

    Raises:
        InvalidSetting: for anything else.
    """
    try:
        paths = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    except TypeError:
        paths = (ignore,)  # refused below
    for path in paths:
        if (
            not isinstance(path, str)
            or not all(part and not part.isdigit() for part in path.split("."))
            or "[" in path.replace("[]", "")
        ):
            rule = "Give names with dots, such as 'metadata.run_id'; a list is gone through, as in 'messages.name'"
            message = f"{source}={path!r} is no path into a request's body. {rule}."
            raise InvalidSetting(message)
    return paths


def parse_layers(directory: Any, source: str = "directory") -> Any:
    """Read a directory, or the layers of a list of them; one that is alone in a list is no layer.

    Raises:
        InvalidSetting: for anything else, for what has no order, for a list of none, and for a directory that is in it
            twice.
    """
    if isinstance(directory, (set, frozenset)):
        message = f"{source}={directory!r} has no order, and layers are looked up in order. Give a list."
        raise InvalidSetting(message)
    if isinstance(directory, (Path, str, bytes, os.PathLike)) or not isinstance(directory, Iterable):
        return parse_location(directory, source)  # type: ignore[arg-type]  # which refuses bytes
    layers: tuple[Location, ...] = tuple(parse_location(item, source) for item in directory)
    if not layers:
        message = f"{source}=[] names no directory. Give at least one."
        raise InvalidSetting(message)
    names = [*map(_known_as, layers)]
    twice = [layer for number, layer in enumerate(layers) if names[number] in names[:number]]
    if twice:
        message = f"{source} names {twice[0]} twice. Each layer has to be another directory."
        raise InvalidSetting(message)
    return layers[0] if len(layers) == 1 else layers


def _known_as(place: Location) -> str:
    """Return one name for a layer, whichever way a user names it."""
    return real(str(place.absolute()))


def split_layers(text: str) -> tuple[str, ...]:
    """Return the directories in a text: its lines, or, if it is a single line, what commas separate there."""
    parts = text.splitlines() if "\n" in text else text.split(",")
    return tuple(filter(None, map(str.strip, parts)))


def join_layers(layers: Iterable[str]) -> str:
    """Return a text that names directories, which `split_layers` reads whatever commas they hold."""
    names = [*layers]
    return names[0] if len(names) == 1 and "," not in names[0] else "".join(f"{name}\n" for name in names)


def _parse_layers_text(text: str, source: str) -> Any:
    return parse_layers(split_layers(text), source)


def parse_file(file: Any, source: str = "prefetch") -> Path:
    """Read the path of a file.

    Raises:
        InvalidSetting: for anything else.
    """
    if isinstance(file, (str, os.PathLike)) and isinstance(found := parse_location(file, source), Path):
        return found.absolute()
    message = f"{source}={file!r} is no path of a file. Give a str or a pathlib.Path."
    raise InvalidSetting(message)


def parse_write_to(layer: Any, source: str = "write_to") -> Any:
    """Read which layer recordings are written to: its number from 0, or its name.

    Raises:
        InvalidSetting: for anything else.
    """
    if isinstance(layer, int) and not isinstance(layer, bool) and layer >= 0:
        return layer
    if isinstance(layer, (str, os.PathLike)):
        return parse_location(layer, source)
    message = f"{source}={layer!r} is no layer. Give its number, from 0, or its name."
    raise InvalidSetting(message)


def _parse_write_to_text(text: str, source: str) -> Any:
    return parse_write_to(int(text) if text.isascii() and text.isdigit() else text, source)


def parse_listed(text: str, source: str) -> tuple[str, ...]:
    """Read dotted paths from a text, in which commas separate them.

    Raises:
        InvalidSetting: for an invalid path.
    """
    return parse_ignore(tuple(part.strip() for part in text.split(",")), source)


def _parse_count(count: Any, source: str) -> int:
    if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MOST_CALLS:
        return count
    message = f"{source}={count!r} is no number of calls. Valid is a whole number from 0 to {MOST_CALLS}."
    raise InvalidSetting(message)


def _parse_faults(faults: Any, source: str) -> tuple[Fault, ...]:
    if isinstance(faults, (tuple, list)) and not faults:
        return ()
    from inferencereplay.faults.spelling import parse_faults  # noqa: PLC0415 - few sessions have faults

    return parse_faults(faults, source)


def _parse_on(on: Any, source: str) -> Any:
    from inferencereplay.faults.fault import check_on  # noqa: PLC0415 - as above

    return check_on(on, source)


def parse_max_age(age: Any, source: str = "max_age") -> datetime.timedelta:
    """Read an age; see `session.age`."""
    from inferencereplay.session.age import parse_age  # noqa: PLC0415 - only where one is set

    return parse_age(age, source)


def parse_expiry(what: Any, source: str = "on_expiry") -> str:
    """Read what becomes of a call whose recording is too old; see `session.age`."""
    from inferencereplay.session.age import parse_on_expiry  # noqa: PLC0415 - as above

    return parse_on_expiry(what, source)


def _accept(value: Any, _: str) -> Any:
    """Accept any value: the code that uses the setting checks it."""
    return value


_PARSERS: dict[str, Callable[[Any, str], Any]] = {
    "directory": parse_layers,
    "mode": parse_mode,
    "speed": parse_speed,
    "pace": check_pace,
    "clock": check_clock,
    "ignore": parse_ignore,
    "normalize": parse_normalize,
    "redact": _accept,
    "record_errors": parse_flag,
    "keep_uploads": parse_flag,
    "exhausted": parse_exhausted,
    "test_id": lambda test_id, _: test_id or None,
    "live": parse_selection,
    "only": parse_selection,
    "keep_calls": _parse_count,
    "keep_equal": parse_flag,
    "max_age": parse_max_age,
    "on_expiry": parse_expiry,
    "faults": _parse_faults,
    "on": _parse_on,
    "write_to": parse_write_to,
    "prefetch": parse_file,
}
"""The parser of each setting that is given as an argument."""
_TEXT_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "directory": _parse_layers_text,
    "pace": _parse_pace,
    "normalize": _parse_normalizers,
    "ignore": parse_listed,
    "redact": _parse_redact,
    "record_errors": parse_switch,
    "keep_equal": parse_switch,
    "keep_uploads": parse_switch,
    "live": parse_paths,
    "only": parse_paths,
    "write_to": _parse_write_to_text,
}
"""The parsers of settings whose texts differ from their arguments."""
