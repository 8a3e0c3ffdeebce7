"""Which of the SDK's methods are wrapped, and how they are given back.

Nothing else in the package knows. The patches go onto the classes with the first use and come off with the last; which
session answers is decided call by call.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import openai
import wrapt
from openai.resources.chat.completions import AsyncCompletions as AsyncChat
from openai.resources.chat.completions import Completions as Chat
from openai.resources.completions import AsyncCompletions, Completions
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from inferencereplay import calls, sdk, typed
from inferencereplay.active import session_for

if TYPE_CHECKING:
    from collections.abc import Callable


class _Patch(NamedTuple):
    """One method to wrap, and what calls of it go through."""

    owner: Any
    name: str
    handler: Callable[..., Any]


def _bound(wrapped: Any, instance: Any, args: tuple[Any, ...]) -> tuple[Any, Any, tuple[Any, ...]]:
    """Bind a call that somebody else's patch made of the function as it stands in the class."""
    if instance is not None:
        return wrapped, instance, args
    return functools.partial(wrapped, args[0]), args[0], args[1:]


def _request(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    wrapped, client, args = _bound(wrapped, instance, args)
    session = session_for(client)
    if session is None or session.is_live:
        return _pass(session, wrapped, args, kwargs)
    call = calls.read_call(*args, **kwargs)
    if sdk.is_asked(call.options):
        return wrapped(*args, **kwargs)
    decision = calls.decide(session, client, call)
    if decision is None:
        return wrapped(*args, **kwargs)
    if isinstance(decision, calls.Replayed):
        return calls.replay_sync(client, call, decision)
    return calls.record_sync(wrapped, client, call, decision)


async def _request_async(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    wrapped, client, args = _bound(wrapped, instance, args)
    session = session_for(client)
    if session is None or session.is_live:
        return await _pass(session, wrapped, args, kwargs)
    call = calls.read_call(*args, **kwargs)
    if sdk.is_asked(call.options):
        return await wrapped(*args, **kwargs)
    decision = calls.decide(session, client, call)
    if decision is None:
        return await wrapped(*args, **kwargs)
    if isinstance(decision, calls.Replayed):
        return await calls.replay_async(client, call, decision)
    return await calls.record_async(wrapped, client, call, decision)


def _create(endpoint: typed.Endpoint) -> Callable[..., Any]:
    def create(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        wrapped, resource, args = _bound(wrapped, instance, args)
        client = resource._client  # noqa: SLF001
        session = session_for(client)
        if session is None or args:
            return _pass(session, wrapped, args, kwargs)
        answer = typed.choose(session, client, endpoint, kwargs)
        if answer is None:
            return wrapped(**kwargs)
        if answer.found.recording.response.is_stream:
            return typed.stream(endpoint, answer, client, typed.play_sync)
        if answer.pacer:
            answer.pacer.wait(-1)
        return typed.model(endpoint, answer)

    return create


def _create_async(endpoint: typed.Endpoint) -> Callable[..., Any]:
    async def create(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        wrapped, resource, args = _bound(wrapped, instance, args)
        client = resource._client  # noqa: SLF001
        session = session_for(client)
        if session is None or args:
            return await _pass(session, wrapped, args, kwargs)
        answer = typed.choose(session, client, endpoint, kwargs)
        if answer is None:
            return await wrapped(**kwargs)
        if answer.found.recording.response.is_stream:
            return typed.stream(endpoint, answer, client, typed.play_async)
        if answer.pacer:
            await answer.pacer.wait_async(-1)
        return typed.model(endpoint, answer)

    return create


def _pass(session: Any, wrapped: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Let a call through; a wrapper that outlived its use, for somebody had wrapped it, takes itself off."""
    if session is None and not _state.users:
        _state.remove()
    return wrapped(*args, **kwargs)


def _patches() -> list[_Patch]:
    chat, text = "/chat/completions", "/completions"
    resources = [
        (Chat, _create, chat, ChatCompletion, ChatCompletionChunk, openai.Stream),
        (AsyncChat, _create_async, chat, ChatCompletion, ChatCompletionChunk, openai.AsyncStream),
        (Completions, _create, text, Completion, Completion, openai.Stream),
        (AsyncCompletions, _create_async, text, Completion, Completion, openai.AsyncStream),
    ]
    return [
        _Patch(sdk.SyncAPIClient, "request", _request),
        _Patch(sdk.AsyncAPIClient, "request", _request_async),
        *(
            _Patch(owner, "create", make(typed.Endpoint(path, owner.create, model, chunk, stream)))
            for owner, make, path, model, chunk, stream in resources
        ),
    ]


class _State:
    """How many use the patches, and what is in place."""

    def __init__(self) -> None:
        self.users = 0
        self._lock = threading.RLock()
        self._wrappers: dict[_Patch, Any] = {}

    def acquire(self) -> None:
        with self._lock:
            if not self.users:
                for patch in _cached_patches():
                    self._install(patch)
            self.users += 1

    def release(self) -> None:
        with self._lock:
            self.users -= 1
            if not self.users:
                self.remove()

    def remove(self) -> None:
        """Give back what is still ours to give back."""
        with self._lock:
            if self.users:
                return
            for patch, wrapper in list(self._wrappers.items()):
                if patch.owner.__dict__.get(patch.name) is wrapper:
                    setattr(patch.owner, patch.name, wrapper.__wrapped__)
                    del self._wrappers[patch]

    def _install(self, patch: _Patch) -> None:
        """Wrap a method, unless our wrapper is still under somebody else's."""
        current = patch.owner.__dict__[patch.name]
        wrapper = self._wrappers.get(patch)
        if wrapper is None or not _is_under(current, wrapper):
            wrapper = self._wrappers[patch] = wrapt.FunctionWrapper(current, patch.handler)
            setattr(patch.owner, patch.name, wrapper)


def _is_under(function: Any, wrapper: Any) -> bool:
    while function is not None:
        if function is wrapper:
            return True
        function = getattr(function, "__wrapped__", None)
    return False


@functools.cache
def _cached_patches() -> tuple[_Patch, ...]:
    return tuple(_patches())


_state = _State()
acquire = _state.acquire
release = _state.release
