"""The tree of errors.

    InferenceReplayError
    ├── RecordingNotFound (LookupError)     a request that was not recorded
    │   ├── NotRecordable                   a request that no recording can hold
    │   └── RecordingExpired                a request whose recording is too old
    ├── UnknownRecording (LookupError)      a name, or digits of a key, of no recording
    │   └── AmbiguousRecording              digits of the keys of more than one recording
    ├── RecordingCorrupt (ValueError)       a file that is torn, foreign or edited
    ├── IncompleteRecording (EOFError)      a stream that was abandoned while recording
    ├── InvalidSetting (ValueError)         a mode, a speed, an option
    ├── InvalidClient (TypeError)           something that is no OpenAI client
    ├── UnusedStub (AssertionError)         an answer by hand that no call asked for
    ├── NetworkBlocked (RuntimeError)       a connection that a test run keeps off the network
    └── StoreError (OSError)                a directory that cannot be used

Every error has its facts as attributes and can be pickled, so that it can be sent from a worker process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class InferenceReplayError(Exception):
    """The root of all errors that this package raises.

    Its `repr` has the first line of the message, and the facts.
    """

    def __repr__(self) -> str:
        first, rest, _ = str(self).partition("\n")
        facts = {name: value for name, value in vars(self).items() if value and not name.startswith("_")}
        shown = [repr(first + "…" * bool(rest)), *(f"{name}={value!r}" for name, value in facts.items())]
        return f"{type(self).__name__}({', '.join(shown)})"


class RecordingNotFound(InferenceReplayError, LookupError):  # noqa: N818 - it says what happened
    """A request that was not recorded.

    Attributes:
        method: the HTTP method, such as `"POST"`.
        path: the path relative to the base URL, such as `"/chat/completions"`.
        key: 64 hexadecimal digits, by which a recording of this request would be named.
        directory: the directory that was searched.
        nearest: the name of the recording of the same path that differs least, or `None`.
        differences: the differences to that recording's request, a line for each JSON path (recorded → requested).
        is_edited: whether that recording holds this very request, and its file has the name of another one.

    Example:
        >>> try:
        ...     with replay("recordings"):
        ...         OpenAI().chat.completions.create(**{**ask, "temperature": 1})
        ... except RecordingNotFound as error:
        ...     print(error.path, *error.differences)
        /chat/completions temperature: 0 → 1
    """

    def __init__(  # noqa: PLR0913 - the facts
        self,
        message: str,
        *,
        method: str = "",
        path: str = "",
        key: str = "",
        directory: str = "",
        nearest: str | None = None,
        differences: tuple[str, ...] = (),
        is_edited: bool = False,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.key = key
        self.directory = directory
        self.nearest = nearest
        self.differences = differences
        self.is_edited = is_edited


class NotRecordable(RecordingNotFound):
    """A request whose body or answer is no JSON or text (an upload, audio), so that no recording can answer it."""


class RecordingExpired(RecordingNotFound):
    """A request whose recording is older than `max_age`, with `on_expiry="error"`; it counts as a miss.

    Attributes:
        recording: the file.
        age: how old it is, in seconds.
    """

    def __init__(self, message: str, *, recording: str = "", age: float = 0.0, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.recording = recording
        self.age = age


class UnknownRecording(InferenceReplayError, LookupError):  # noqa: N818 - it says what happened
    """A name, or the first digits of a key, of no recording."""


class AmbiguousRecording(UnknownRecording):
    """The first digits of the keys of more than one recording.

    Attributes:
        candidates: the names of the files.
    """

    def __init__(self, message: str, *, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.candidates = candidates


class RecordingCorrupt(InferenceReplayError, ValueError):  # noqa: N818 - it says what happened
    """A file that is torn or foreign, or whose request no longer has the key that the file is named by.

    Attributes:
        path: the file.
        position: where in it, as a byte offset or a JSON path; empty where the whole file is meant.
    """

    def __init__(self, message: str, *, path: str = "", position: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.position = position


class IncompleteRecording(InferenceReplayError, EOFError):  # noqa: N818 - it says what happened
    """An answer that was abandoned before its end while it was recorded; the replay asked for more of it.

    Attributes:
        path: the file.
        chunks: the number of chunks that were recorded.
    """

    def __init__(self, message: str, *, path: str = "", chunks: int = 0) -> None:
        super().__init__(message)
        self.path = path
        self.chunks = chunks


class InvalidSetting(InferenceReplayError, ValueError):  # noqa: N818 - it says what happened
    """An unknown mode, speed or option; the message lists what is valid."""


class InvalidClient(InferenceReplayError, TypeError):  # noqa: N818 - it says what happened
    """The argument of `wrap` or `unwrap` is no client of the `openai` package."""


class UnusedStub(InferenceReplayError, AssertionError):  # noqa: N818 - it says what happened
    """An answer by hand that no call asked for, or not as often as it should have been.

    Attributes:
        stubs: the stubs, as text.
    """

    def __init__(self, message: str, *, stubs: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.stubs = stubs


class StoreError(InferenceReplayError, OSError):
    """A directory that cannot be read or written."""


class NetworkBlocked(InferenceReplayError, RuntimeError):  # noqa: N818 - it says what happened
    """A connection that pytest's `--inferencereplay-block-network` keeps off the network.

    Attributes:
        host: the name or the address that was to be reached.
    """

    def __init__(self, message: str, *, host: str = "") -> None:
        super().__init__(message)
        self.host = host
