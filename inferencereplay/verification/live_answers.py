"""The answers that a live server gives to stored requests, recorded exactly as a session records them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from inferencereplay.api import replay
from inferencereplay.catalogue.conversation.parts import members
from inferencereplay.errors import InvalidSetting
from inferencereplay.recording.format import decode
from inferencereplay.session.session import Session
from inferencereplay.verification.eligibility import Target

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from inferencereplay.catalogue.entries import Entry
    from inferencereplay.recording.format import Recording
    from inferencereplay.recording.request import JSON

OPENAI = "https://api.openai.com/v1"
_NO_KEY = "none"
"""For servers that need no key; the SDK insists on one."""
_VERSION = "api-version"
_AZURE = (".azure.com", ".azure.us", ".azure.cn", ".azure-api.net")
"""Ends of the names of Azure's hosts; `AZURE_OPENAI_ENDPOINT` names others."""


def default_base_url() -> str:
    """Return the server that the SDK would ask."""
    return os.environ.get("OPENAI_BASE_URL") or OPENAI


def target_of(base_url: str | None) -> Target:
    """Return the server that is asked, without credentials that its URL may hold.

    Args:
        base_url: as the user gave it; `None` for the one that the SDK would ask.

    Raises:
        InvalidSetting: if it is no URL of HTTP.
    """
    url = base_url or default_base_url()
    from inferencereplay.sdk.private import without_credentials  # noqa: PLC0415 - imports openai

    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
    except ValueError:
        is_valid = False
    if not is_valid:
        name = "--base-url" if base_url else "OPENAI_BASE_URL"
        message = f"{name} is no base URL. Give one as a client has it, such as http://localhost:8000/v1."
        raise InvalidSetting(message)
    return Target(without_credentials(url), is_given=bool(base_url))


class LiveServer:
    """A server, asked by the SDK; used as an asynchronous context.

    Args:
        base_url: such as `https://api.openai.com/v1`.
        redact: regular expressions for secrets, which add to the ones that are known.
        timeout: seconds that an answer, or the next piece of it, may take.

    Raises:
        InvalidSetting: if the environment has no key, and the server needs one.
    """

    def __init__(self, base_url: str, redact: Sequence[str] = (), *, timeout: float = 600) -> None:
        self._base_url = base_url
        self._redact = tuple(redact)
        self._timeout = timeout
        self._key = os.environ.get("OPENAI_API_KEY") or ("" if base_url.startswith(OPENAI) else _NO_KEY)
        if not self._key:
            message = f"{OPENAI} needs a key. Set OPENAI_API_KEY, or name another server by --base-url."
            raise InvalidSetting(message)
        self._is_azure = _is_azure(base_url)
        self._clients: dict[str, Any] = {}
        self._folder: Any = None
        self._count = 0

    async def __aenter__(self) -> LiveServer:  # noqa: PYI034 - typing has Self from 3.11 on
        self._folder = tempfile.TemporaryDirectory(prefix="inferencereplay-")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            for client in self._clients.values():
                await client.close()
        finally:
            self._folder.cleanup()

    async def ask(self, entry: Entry) -> Recording | None:
        """Ask a stored request again.

        Returns:
            The recording of the new answer, also of an error or of a connection that failed; `None` if it cannot be
            recorded.
        """
        self._count += 1
        folder = Path(self._folder.name, str(self._count))
        session = self._session(folder)
        async with replay(session):
            with contextlib.suppress(Exception):  # an error is an answer; it is in the recording
                await self._make(entry)
        made = [(folder / name).read_bytes() for name in session.store.list()]
        shutil.rmtree(folder, ignore_errors=True)
        return decode(made[0], entry.name) if made else None

    def _session(self, folder: Path) -> Session:
        """Make a session that records all, whatever the environment says of other sessions."""
        more: Any = {"redact": self._redact} if self._redact else {}
        return Session(
            folder,
            mode="record",
            record_errors=True,
            ignore=(),
            normalize=_as_it_is,
            live=(),
            only=(),
            faults=(),
            test_id="",
            keep_calls=1,
            **more,
        )

    async def _make(self, entry: Entry) -> None:
        """Make the call, and read its answer to the end."""
        from openai import AsyncStream  # noqa: PLC0415 - takes 200 ms and more

        request, body = entry.request, entry.body
        is_stream = members(body).get("stream") is True or entry.recording.response.is_stream
        more: dict[str, Any] = {"stream": True, "stream_cls": AsyncStream[object]} if is_stream else {}
        if body is not None:
            more["body"] = body
        make = getattr(self._client(request.query), request.method.lower())
        # As the SDK's own parameters, lists would get another pair of brackets. Azure's version is the client's.
        rest = {name: value for name, value in request.query.items() if name != _VERSION or not self._is_azure}
        query = urlencode(rest, doseq=True)
        made = await make(f"{request.path}?{query}" if query else request.path, cast_to=object, **more)
        if is_stream:
            async for _ in made:
                pass

    def _client(self, query: dict[str, JSON]) -> Any:
        """Return a client; one of Azure for a request to it that names the version of its API."""
        import openai  # noqa: PLC0415 - takes 200 ms and more

        version = query.get(_VERSION, "") if self._is_azure else ""
        if version not in self._clients:
            options: dict[str, Any] = {"base_url": self._base_url, "timeout": self._timeout}
            if version:
                key = os.environ.get("AZURE_OPENAI_API_KEY") or self._key
                self._clients[version] = openai.AsyncAzureOpenAI(api_version=version, api_key=key, **options)
            else:
                self._clients[version] = openai.AsyncOpenAI(api_key=self._key, **options)
        return self._clients[version]


def _is_azure(base_url: str) -> bool:
    """Whether a server may get the key of Azure: a recording cannot make another one get it."""
    host = urlsplit(base_url).hostname or ""
    return host.endswith(_AZURE) or host == urlsplit(os.environ.get("AZURE_OPENAI_ENDPOINT", "")).hostname


def _as_it_is(body: JSON) -> JSON:
    return body
