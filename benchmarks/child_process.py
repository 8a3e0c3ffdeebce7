"""What one contender does in a process of its own: `child_process.py WHAT NAME DIRECTORY SCENE URL WARM`.

`process_rows.py` starts it and reads the JSON that it prints: values by row and a note, or a reason why there are none.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import contenders
from comparison import told
from contenders import CONTENDERS
from reporting import REFERENCE
from scenes import EMBEDDINGS, LARGE, SMALL, STREAM, asking, numbered

SESSION = 20
"""Calls of a session, as many as some tests make together."""
MISSING = 99_999_999
"""The number of a request that is in no directory."""


class Once(NamedTuple):
    """Requests that are each made once."""

    what: str
    arguments: dict[str, Any]
    count: int


ONCE = {
    "small_once": Once("small chats", SMALL, 100),
    "large_once": Once("60 messages + 20 tools", LARGE, 40),
    "stream_once": Once("streams of 200 chunks", STREAM, 40),
    "embeddings_once": Once("embeddings of 100 inputs", EMBEDDINGS, 40),
}


class Child:
    """A contender with its client and its directory."""

    def __init__(self, name: str, directory: Path, url: str) -> None:
        self._name = name
        self._contender = CONTENDERS[name]()
        self._client = contenders.client(name, url)
        self._directory = directory

    def replaying(self, directory: Path | None = None) -> Any:
        return self._contender.replaying(directory or self._directory)

    def ask(self, arguments: dict[str, Any]) -> Any:
        return asking(self._client, arguments)()

    def once(self, scene: str) -> dict[str, Any]:
        """Measure a call, each of another request, with a new session every few calls.

        The SDK alone remembers nothing, and is asked for the same: its answers are in memory then.
        """
        _, arguments, count = ONCE[scene]
        given = [numbered(arguments, 0 if self._name == REFERENCE else number) for number in range(count)]
        start = 0.0
        for number in range(0, count, SESSION):
            if number == SESSION:  # the first session has made what is made once in a process
                start = time.perf_counter()
            with self.replaying(self._directory.parent / str(number) / self._name):
                for arguments in given[number : number + SESSION]:
                    self.ask(arguments)
        return {"values": {scene: (time.perf_counter() - start) / (count - SESSION) * 1e6}}

    def open(self, scene: str) -> dict[str, Any]:
        """Measure opening a directory and the first hit in it, in the middle."""
        arguments = numbered(SMALL, int(scene.removeprefix("open_")) // 2)
        start = time.perf_counter()
        with self.replaying():
            self.ask(arguments)
            return {"values": {scene: (time.perf_counter() - start) * 1e6}}

    def miss(self, _: str) -> dict[str, Any]:
        """Measure how long it takes to say that a request is not there, and look at what is said."""
        samples, text = [], ""
        with contextlib.suppress(LookupError), self.replaying():  # ours tells it once more on leaving
            for _ in range(7):
                start = time.perf_counter()
                try:
                    self.ask(numbered(SMALL, MISSING))
                except Exception as error:  # noqa: BLE001 - whatever others raise
                    text = _whole(error)
                samples.append((time.perf_counter() - start) * 1e6)
        is_telling = str(MISSING) in text and "number 0000" in text  # what was asked for, and what there is
        note = "says what differs" if is_telling else "says that there is none"
        first, *following = samples
        return {"values": {"miss_first": first, "miss_following": statistics.median(following)}, "note": note}

    def memory(self, scene: str) -> dict[str, Any]:
        """Measure by how many bytes reading a stream makes the process grow (Linux's VmHWM, which can be set back)."""
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", "utf-8")
        with self.replaying():
            for _ in self._client.chat.completions.create(**MEMORY[scene]):
                pass
        return {"values": {scene: _status("VmHWM") - before}}


MEMORY: dict[str, dict[str, Any]] = {
    "memory_few": {**STREAM, "model": "bytes-1000-10000"},
    "memory_many": {**STREAM, "model": "bytes-40000-250"},
}
"""Two streams of 10 MB, in few and in many chunks."""


def _whole(error: BaseException) -> str:
    cause = error.__cause__ or error.__context__
    return str(error) + (_whole(cause) if cause is not None else "")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    """Do one thing in this process, in which the SDK has been used once."""
    what, name, directory, scene, url, warm = sys.argv[1:]
    child = Child(name, Path(directory), url)
    with child.replaying(Path(warm)):
        child.ask(numbered(SMALL, 0))
    try:
        found = getattr(child, what)(scene)
    except Exception as error:  # noqa: BLE001 - whatever others raise
        found = {"reason": told(error)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
