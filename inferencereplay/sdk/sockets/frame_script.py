"""The script of a recorded connection: what the server sends when, and which messages of the program it waits for.

The server's frames are unlocked by the message of the program that came before them in the recording, and are due as
long after it as they were then. It knows no clock and no connection.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from inferencereplay.recording.frames import ABNORMAL, CLIENT, SERVER

if TYPE_CHECKING:
    from inferencereplay.recording.format import Response
    from inferencereplay.recording.frames import Frame

AT_ONCE = float("-inf")
"""The time at which a frame is due that waits for nothing but its turn."""


class FrameScript:
    """The frames of one recording, and how far they have been played.

    Args:
        response: the recording's, with frames.
        speed: how fast recorded time runs; `None` if nothing waits.
        start: the time at which the connection was opened.

    Attributes:
        count: frames of the server that were taken.
        end: how the recorded connection ended, as in `Response.end`.
        echo: the server's close that answered the program's; `None` if it did not answer, or did not have to.
        is_left: whether the program closed the recorded connection, or left it.
        own_close: the close that `websockets` sent by itself before the connection broke.
    """

    def __init__(self, response: Response, speed: float | None, start: float) -> None:
        frames = response.frames or []
        self.end = response.end
        self._offsets = response.offsets if speed is not None else []
        self._speed = speed or 1.0
        stop = _own_close(frames) if self.end == "done" else len(frames)
        self.is_left = stop < len(frames) or self.end == "closed"
        self.echo = next((frame for frame in frames[stop:] if frame.sender == SERVER and not frame.is_message), None)
        self.own_close = next((frame for frame in frames if frame.sender == CLIENT and not frame.is_message), None)
        self._frames = frames[:stop]
        self._next = 0
        self._unlocked: deque[tuple[float, int]] = deque()
        self._last = AT_ONCE
        self.count = 0
        self._unlock(start, response.elapsed or 0.0)

    @property
    def expected(self) -> tuple[int, Frame] | None:
        """The number, from 1, and the frame of the program's next message; `None` if there is no other."""
        return (self._next + 1, self._frames[self._next]) if self._next < len(self._frames) else None

    def due(self) -> float | None:
        """Return when the server's next frame is due; `None` if it is still locked, or there is none."""
        return self._unlocked[0][0] if self._unlocked else None

    def take(self) -> Frame:
        """Take the server's next frame."""
        self.count += 1
        return self._frames[self._unlocked.popleft()[1]]

    def closes(self) -> bool:
        """Whether the server closes the connection, or it breaks, without another message of the program."""
        return any(not self._frames[index].is_message for _, index in self._unlocked)

    def advance(self, now: float) -> None:
        """Unlock what follows the program's next message, which has come."""
        since = self._offsets[self._next] if self._offsets else 0.0
        self._next += 1
        self._unlock(now, since)

    def _unlock(self, now: float, since: float) -> None:
        for index in range(self._next, len(self._frames)):
            frame = self._frames[index]
            if frame.sender == CLIENT and frame.is_message:
                self._next = index
                return
            if frame.sender == SERVER:
                if self._offsets:
                    self._last = max(self._last, now + (self._offsets[index] - since) / self._speed)
                self._unlocked.append((self._last, index))
        self._next = len(self._frames)


def _own_close(frames: list[Frame]) -> int:
    """Return where the program's close is that no close of the server's came before; the number of frames without."""
    first = next(index for index, frame in enumerate(frames) if not frame.is_message)
    return first if frames[first].sender == CLIENT else len(frames)


def is_broken(frame: Frame) -> bool:
    """Whether a frame stands for a connection that broke."""
    return frame.close == ABNORMAL
