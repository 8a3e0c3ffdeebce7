"""The tree of errors.

    InferenceReplayError
    ├── RecordingNotFound (LookupError)     a request that was not recorded
    │   └── NotRecordable                   a request that no recording can hold
    ├── UnknownRecording (LookupError)      a name, or digits of a key, that lead to no recording
    │   └── AmbiguousRecording              … that lead to more than one
    ├── RecordingCorrupt (ValueError)       a file that is torn, foreign or edited
    ├── IncompleteRecording (EOFError)      a stream that was abandoned while recording
    ├── InvalidSetting (ValueError)         a mode, a speed, an option
    ├── InvalidClient (TypeError)           something that is no OpenAI client
    └── StoreError (OSError)                a directory that cannot be used

Every error keeps its facts as attributes and can be pickled, so that it survives the way from a worker process.
"""

from __future__ import annotations


class InferenceReplayError(Exception):
    """Everything that this package raises."""


class RecordingNotFound(InferenceReplayError, LookupError):  # noqa: N818 - it says what happened
    """A request that was not recorded.

    Attributes:
        method: the HTTP method, such as `"POST"`.
        path: the path relative to the base URL, such as `"/chat/completions"`.
        key: the 64 hexadecimal digits that a recording of this request would be filed under.
        directory: where it was looked for.
        nearest: the name of the recording of the same path that differs least, or `None`.
        differences: how that recording's request differs, a line for each JSON path (recorded → requested).

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
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.key = key
        self.directory = directory
        self.nearest = nearest
        self.differences = differences


class NotRecordable(RecordingNotFound):
    """A request whose body or answer is no JSON or text (an upload, audio), so that no recording can answer it."""


class UnknownRecording(InferenceReplayError, LookupError):  # noqa: N818 - it says what happened
    """A name, or the first digits of a key, that lead to no recording."""


class AmbiguousRecording(UnknownRecording):
    """The first digits of a key that lead to more than one recording.

    Attributes:
        candidates: the names of the files.
    """

    def __init__(self, message: str, *, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.candidates = candidates


class RecordingCorrupt(InferenceReplayError, ValueError):  # noqa: N818 - it says what happened
    """A file that is torn, foreign, or holds a request that is no longer the one it is filed under.

    Attributes:
        path: the file.
        position: where in it, as a byte offset or a JSON path; empty where the whole file is meant.
    """

    def __init__(self, message: str, *, path: str = "", position: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.position = position


class IncompleteRecording(InferenceReplayError, EOFError):  # noqa: N818 - it says what happened
    """An answer whose caller left before its end while it was recorded, and of which a replay wants more.

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
    """Something was given to `wrap` or `unwrap` that is no client of the `openai` package."""


class StoreError(InferenceReplayError, OSError):
    """A directory that cannot be read or written."""
