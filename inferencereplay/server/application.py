"""The ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html), for any server that runs on asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from inferencereplay.errors import InvalidSetting
from inferencereplay.recording.format import Provenance
from inferencereplay.sdk.file_pieces import FilePieces
from inferencereplay.sdk.worker_thread import in_thread
from inferencereplay.server.access import Access
from inferencereplay.server.asgi import read_incoming, send_answer, send_body, send_start, wait_for_leaving
from inferencereplay.server.contents import Contents
from inferencereplay.server.deadlines import Deadlines
from inferencereplay.server.http_answers import Answer, json_answer, text_answer
from inferencereplay.server.incoming import BAD_REQUEST
from inferencereplay.server.metrics import Metrics
from inferencereplay.server.profiles import check_profiles
from inferencereplay.server.replies import Forward, Replies, Reply
from inferencereplay.server.variant_order import IN_ORDER, check_order
from inferencereplay.session.session import Session
from inferencereplay.session.settings import Mode, Options
from inferencereplay.store.interface import layers_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from typing_extensions import Unpack

    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.recording.format import Response
    from inferencereplay.server.asgi import Receive, Send
    from inferencereplay.server.http_answers import Headers
    from inferencereplay.server.incoming import Incoming
    from inferencereplay.server.upstream import Upstream
    from inferencereplay.session.settings import Directory

PATIENCE = 30.0
"""Seconds in which a request has to be complete, and a client has to read some of its answer."""
FIXED = ("/health", "/metrics")
HEALTHY = json_answer(200, {"status": "ok"})


class Serving(TypedDict, total=False):
    """The options of a server beside those of its session; `app` describes each."""

    upstream: str | None
    variants: str
    match: str | Iterable[str]
    api_key: str | None
    cors: Iterable[str]


class _All(Options, Serving, total=False):
    """All options of a server."""


def app(directory: Directory, **options: Unpack[_All]) -> Application:
    """Make an ASGI application that answers from the recordings of a directory. It needs asyncio.

    Args:
        directory: where the recordings live.
        **options: the settings of a `Session`, by the same names; `speed=1` keeps the recorded pace. Further

            - `upstream`: the base URL of the server that requests go to in the other modes than `replay`, such as
              `https://api.openai.com/v1`;
            - `variants`: in which order equal requests get their variants: `"in-order"`, `"cycle"`, `"random"`;
            - `match`: names of profiles, which say what a request may differ in: `"exact"`, `"load-tools"`, …;
            - `api_key`: a key that requests have to hold, as `Authorization: Bearer KEY`;
            - `cors`: the origins of web pages that may ask, or `"*"`.

    Raises:
        InvalidSetting: for an invalid setting.
        StoreError: if the directory cannot be used.
    """
    serving: Any = {name: value for name, value in options.items() if name in Serving.__annotations__}
    settings: Any = {name: value for name, value in options.items() if name not in Serving.__annotations__}
    return Application(Session(directory, **settings), **serving)


class Application:
    """The application.

    Args:
        session: the session of the requests that name none.
        workers: the processes that will serve.
        keeps_misses: whether the session keeps its misses, which somebody will raise.
        **serving: see `app`.

    Attributes:
        metrics: counts.
        patience: seconds in which a request has to be complete, and a client has to read some of its answer.

    Raises:
        InvalidSetting: for an invalid option, and for a mode that needs an upstream without one.
    """

    def __init__(
        self, session: Session, workers: int = 1, *, keeps_misses: bool = False, **serving: Unpack[Serving]
    ) -> None:
        if session.fault_plan is not None:
            message = "faults= are for calls of the SDK. A server injects none: record the failure, or edit a file."
            raise InvalidSetting(message)
        self.session = session
        self.metrics = Metrics(workers)
        self.patience = PATIENCE
        self._access = Access(serving.get("api_key"), serving.get("cors", ()))
        self._upstream = _make_upstream(session, serving.get("upstream"), self.metrics)
        order = check_order(serving.get("variants", IN_ORDER), session.mode)
        contents = Contents(
            tuple(layer.directory for layer in layers_of(session.store)),
            check_profiles(serving.get("match", ())),
            session.prepare,
        )
        find_origin = self._upstream.origin if self._upstream else lambda _: Provenance()
        self.replies = Replies(session, self.metrics, order, contents, find_origin, keeps_misses=keeps_misses)
        self._deadlines: Deadlines | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, or follow the life of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await self._connect(scope, receive, send)

    @property
    def deadlines(self) -> Deadlines:
        """What is due on this event loop."""
        if self._deadlines is None:
            self._deadlines = Deadlines(asyncio.get_running_loop())
        return self._deadlines

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})

    async def close(self) -> None:
        """Give back what the event loop lent, and put the recordings in order."""
        if self._deadlines is not None:
            self._deadlines.close()
            self._deadlines = None
        if self._upstream is not None:
            await self._upstream.close()
        await in_thread(self.replies.finish)

    async def _answer(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.metrics.add("requests")
        headers = scope["headers"]
        if more := self._access.for_page(headers):
            send = _with_headers(more, send)
        fixed = self.fixed(scope["path"]) or self._access.refusal(scope["method"], headers)
        if fixed is not None:
            self.metrics.add("refused", fixed.status >= BAD_REQUEST)
            await send_answer(fixed, send)
            return
        incoming = await read_incoming(scope, receive)
        if isinstance(incoming, Answer):
            self.metrics.add("refused")
            await send_answer(incoming, send)
        elif incoming is not None:
            reply = self.replies.play(incoming) or await self._decide(incoming)
            if isinstance(reply, Forward):
                await self._forward(incoming, reply, receive, send)
            elif reply.answer.file is not None:
                await until_left(self._send_file(reply.answer, reply.answer.file, reply.pacer, send), receive)
            elif reply.pacer is None:
                await send_answer(reply.answer, send)
            else:
                await until_left(self._send_in_time(reply.answer, reply.pacer, send), receive)

    async def _connect(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        from inferencereplay.server import websocket_replies  # noqa: PLC0415 - few clients open WebSockets

        self.metrics.add("requests")
        refusal = self._access.refusal_of_connection(scope["headers"])
        self.metrics.add("refused", refusal is not None)
        await websocket_replies.answer(self.replies, refusal, scope, receive, send)

    async def _forward(self, incoming: Incoming, forward: Forward, receive: Receive, send: Send) -> None:
        if self._upstream is None:
            raise RuntimeError  # pragma: no cover - a mode that goes to the network has an upstream
        incoming = msgspec.structs.replace(incoming, headers=self._access.without_key(incoming.headers))
        await until_left(self._upstream.forward(incoming, forward.pending, send), receive)

    def fixed(self, path: str) -> Answer | None:
        """Return the answer to a request that is about the server itself."""
        if path == "/health":
            return HEALTHY
        return text_answer(self.metrics.text()) if path == "/metrics" else None

    def at_once(self, incoming: Incoming) -> Reply | None:
        """Return the answer to a request, and count it, if a recording is found by a mere look-up."""
        if incoming.path in FIXED or not self._access.is_open:
            return None
        reply = self.replies.play(incoming)
        if reply is not None:
            self.metrics.add("requests")
        return reply

    async def _decide(self, incoming: Incoming) -> Reply | Forward:
        decided: list[Reply | Forward] = []
        await in_thread(lambda: decided.append(self.replies.decide(incoming)))
        return decided[0]

    # Sending.

    async def _send_in_time(self, answer: Answer, pacer: Pacer, send: Send) -> None:
        if not answer.is_stream:
            await self._until(pacer, -1)
            await send_answer(answer, send)
            return
        self.metrics.add("streams_open")
        try:
            await send_start(answer.status, answer.headers, send)
            for index, piece in enumerate(answer.pieces):
                await self._until(pacer, index)
                await send_body(piece, send, more=True)
            if answer.is_broken:
                await self.deadlines.wait(pacer.due(-1))
            else:
                await send_body(b"", send, more=False)
        finally:
            self.metrics.add("streams_open", -1)

    async def _send_file(self, answer: Answer, recorded: Response, pacer: Pacer | None, send: Send) -> None:
        """Send the content of a file piece by piece, each when it is due; they are not all in memory at once."""
        pieces = FilePieces(recorded)
        try:
            if pacer is not None and not recorded.pieces:
                await self._until(pacer, -1)
            await send_start(answer.status, answer.headers, send)
            await pieces.read_async()
            for index, piece in enumerate(pieces):
                if pacer is not None and recorded.pieces:
                    await self._until(pacer, index)
                await send_body(piece, send, more=True)
                await pieces.read_async()
        finally:
            pieces.close()
        if not answer.is_broken:
            await send_body(b"", send, more=False)

    async def _until(self, pacer: Pacer, index: int) -> None:
        due = pacer.due(index)
        pacer.note(await self.deadlines.wait(due) - due)


def _with_headers(more: Headers, send: Send) -> Send:
    """Return a `send` that adds headers to the answer."""

    async def send_more(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *more]
        await send(message)

    return send_more


def _make_upstream(session: Session, url: str | None, metrics: Metrics) -> Upstream | None:
    if session.mode is Mode.REPLAY and not session.is_selective:
        return None
    if url is None:
        given = "live= or only=" if session.mode is Mode.REPLAY else f"mode={session.mode.value!r}"
        message = f"{given} passes requests on. Give the base URL of their server: upstream='https://…/v1'."
        raise InvalidSetting(message)
    from inferencereplay.server.upstream import Upstream  # noqa: PLC0415 - it imports openai, which takes a second

    return Upstream(url, metrics)


async def until_left(sending: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Send an answer, unless the client leaves before its end."""
    playing, leaving = asyncio.ensure_future(sending), asyncio.ensure_future(wait_for_leaving(receive))
    try:
        await asyncio.wait((playing, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        playing.cancel()
        leaving.cancel()
        await asyncio.wait((playing, leaving))
    if not playing.cancelled():
        playing.result()
