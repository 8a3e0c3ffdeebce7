"""A recorded answer on its way to the SDK, through the hooks of an HTTP client and by the redirects that led to it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.sdk import private
from inferencereplay.sdk.failures import error_class, raise_failure
from inferencereplay.sdk.http_replay import build_response, kept_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.recording.format import Response


class HttpExchange(NamedTuple):
    """A request of an HTTP client, and the recorded answer.

    Attributes:
        recorded: the answer.
        http: the module `httpx2` or `httpx`.
        request: the library's request.
        pacer: sets the time of each piece while the answer is read.
        name: the file, for messages.
        hooks: the client's `event_hooks`.
        end: is called when the response is closed.
        headers: headers of the answer that recordings do not keep.
    """

    recorded: Response
    http: Any
    request: Any
    pacer: Pacer | None
    name: str
    hooks: dict[str, list[Any]]
    end: Callable[[], None] | None = None
    headers: Mapping[str, str] = MappingProxyType({})

    @property
    def _is_direct(self) -> bool:
        return not (self.recorded.redirects or any(self.hooks.values()))

    def send(self) -> Any:
        """Return the response, unread.

        Raises:
            Exception: the error of a connection that broke, or of a hook.
        """
        if self._is_direct:
            return self._answer(self.request)
        return self.http.Client(**self._client_options()).send(self.request, stream=True)

    async def send_async(self) -> Any:
        """Return the response, unread, from asynchronous code.

        Raises:
            Exception: the error of a connection that broke, or of a hook.
        """
        if self._is_direct:
            return self._answer(self.request)
        return await self.http.AsyncClient(**self._client_options()).send(self.request, stream=True)

    def _client_options(self) -> dict[str, Any]:
        """Return the options of an HTTP client that follows the recorded redirects and reaches no network."""
        hops = iter(self.recorded.redirects)

        def handle(request: Any) -> Any:
            for hop in hops:
                return self.http.Response(hop.status, headers=kept_headers(hop.headers))
            return self._answer(request)

        return {
            "transport": self.http.MockTransport(handle),
            "event_hooks": self.hooks,
            "follow_redirects": bool(self.recorded.redirects),
            "max_redirects": len(self.recorded.redirects),
            "trust_env": False,
        }

    def _answer(self, request: Any) -> Any:
        recorded = self.recorded
        if recorded.failure and not recorded.status:
            if error_class(recorded.failure, self.http) is None:
                raise private.connection_error(recorded.failure, request)
            raise_failure(recorded.failure, self.http, request)
        response = build_response(recorded, self.http, request, self.pacer, self.name, end=self.end)
        response.headers.update(self.headers)
        return response
