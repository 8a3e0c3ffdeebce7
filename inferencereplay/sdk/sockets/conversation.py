"""One replayed connection: the recording that it follows, and what becomes of each message of the program.

It knows no network and no event loop; `replayed_connection` waits, and calls it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.errors import IncompleteRecording
from inferencereplay.recording.control_characters import visible
from inferencereplay.sdk.sockets.frame_script import FrameScript
from inferencereplay.session.client_messages import ClientMessages, described

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.errors import InferenceReplayError
    from inferencereplay.recording.format import Failure, Response
    from inferencereplay.recording.frames import Frame
    from inferencereplay.session.call import Call
    from inferencereplay.session.decision import Play
    from inferencereplay.session.session import Session


class Hurt(NamedTuple):
    """What faults have made of a connection.

    Attributes:
        instead: what comes in the place of the connection.
        decision: the session's, if it was needed.
        alter: what becomes of a recorded connection.
        speed: how fast the time of a slow one runs; `None` for the session's.
    """

    instead: Response | None = None
    decision: Any = None
    alter: Callable[[Response], Response] = lambda recorded: recorded
    speed: float | None = None


UNHURT = Hurt()


class Sent(NamedTuple):
    """A message of the program, and how many frames of the server the program had read before."""

    payload: bytes
    is_text: bool
    read: int


class Conversation:
    """A recording that is followed message by message.

    The n-th connection follows the n-th variant. If a message is not the recorded one, the first variant takes over
    for which all messages up to this one are.

    Args:
        session: whose clock, speed and variants count.
        call: the connection.
        play: the decision to replay it.
        hurt: what faults make of it.

    Attributes:
        clock: by which frames are due.
        script: what is followed.
    """

    def __init__(self, session: Session, call: Call, play: Play, hurt: Hurt = UNHURT) -> None:
        self.clock = session.clock
        self._session = session
        self._call = call
        self._play = play
        self._number = play.number
        self._messages = ClientMessages(session.prepare, call)
        self._sent: list[Sent] = []
        self._speed = hurt.speed or (session.speed if session.is_paced else None)
        self._alter = hurt.alter
        self._response = hurt.alter(play.recording.response)
        self.script = FrameScript(self._response, self._speed, self.clock.now())

    @property
    def failure(self) -> Failure | None:
        """What broke the recorded connection."""
        return self._response.failure

    @property
    def headers(self) -> dict[str, str]:
        """The headers with which the server opened the connection."""
        return self._response.headers

    @property
    def patience(self) -> float:
        """Seconds to wait for something that the recorded program did next."""
        return self._session.patience(self._response)

    def send(self, payload: bytes, *, is_text: bool) -> None:
        """Take a message of the program.

        Raises:
            RecordingNotFound: if it is not the recorded one.
        """
        message = Sent(payload, is_text, self.script.count)
        if self._is_next(self.script, message):
            self.script.advance(self.clock.now())
            if not self._sent:
                self._session.follow(self._play, self._number)
        elif found := self._other_variant(message):
            self._session.follow(self._play, self._number, found[0])
            self._number, self._response, self.script = found
        else:
            raise self._differs(message)
        self._sent.append(message)

    def take(self) -> Frame:
        """Take the server's next frame, which is due."""
        due = self.script.due()
        if due is not None and self._speed is not None:
            self._session.note_late(self.clock.now() - due)
        return self.script.take()

    def end(self) -> None:
        """Note that the connection has ended."""
        if not self._sent:
            self._session.follow(self._play, self._number)
        self._play.end()

    def ends_here(self) -> InferenceReplayError:
        """Make the error for a program that waits for a frame which is not to come."""
        expected = self.script.expected
        if expected is not None:
            number, frame = expected
            reason = f"the server waits for frame {number}, the program's {described(frame.payload)}"
        elif self.script.end == "closed":
            return IncompleteRecording(
                f"{visible(self._name)} ends after {self.script.count} frames of the server: the program left the "
                "connection there while it was recorded. Record it again, reading to the end.",
                path=self._name,
                chunks=self.script.count,
            )
        else:
            reason = "the program closed the connection here"
        return self._session.miss_message(
            self._call, self._name, f"the program waits for the server, and in the recording {reason}."
        )

    @property
    def _name(self) -> str:
        return self._play.cache.name(self._play.request.path, self._play.key, self._number)

    def _is_next(self, script: FrameScript, message: Sent) -> bool:
        expected = script.expected
        return expected is not None and self._messages.is_equal(expected[1], message.payload, is_text=message.is_text)

    def _other_variant(self, message: Sent) -> tuple[int, Response, FrameScript] | None:
        """Find another variant that has all the program's messages up to this one."""
        for number, recording in self._session.connection_recorder.variants.candidates(
            self._play.request, self._play.key
        ):
            if number != self._number and recording.response.frames is not None:
                response = self._alter(recording.response)
                script = FrameScript(response, self._speed, self.clock.now())
                if self._follows(script, [*self._sent, message]):
                    return number, response, script
        return None

    def _follows(self, script: FrameScript, messages: list[Sent]) -> bool:
        """Play a script as far as the program has come; return whether that is possible."""
        for message in messages:
            while script.count < message.read:
                if script.due() is None:
                    return False
                script.take()
            if not self._is_next(script, message):
                return False
            script.advance(self.clock.now())
        return True

    def _differs(self, message: Sent) -> InferenceReplayError:
        expected, sent = self.script.expected, described(message.payload)
        count = len(self._sent) + 1
        if expected is None:
            reason = f"the program sends message {count}, {sent}, and the recording has no further one."
            return self._session.miss_message(self._call, self._name, reason)
        number, frame = expected
        lines = self._messages.differences(frame, message.payload, is_text=message.is_text)
        reason = f"the program's message {count}, {sent}, is not frame {number}; it differs (recorded → sent) in"
        return self._session.miss_message(self._call, self._name, reason, lines)
