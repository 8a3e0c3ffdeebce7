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


def _bind(wrapped: Any, args: tuple[Any, ...]) -> tuple[Any, Any, tuple[Any, ...]]:
    """Bind a call that somebody else's patch made of the function as it stands in the class."""
    return functools.partial(wrapped, args[0]), args[0], args[1:]


def _request(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if instance is None:
        wrapped, instance, args = _bind(wrapped, args)
    session = session_for(instance)
    if session is None or session.is_live:
        return _pass(session, wrapped, args, kwargs)
    call = calls.read_call(*args, **kwargs)
    if sdk.is_asked(call.options):
        return wrapped(*args, **kwargs)
    decision = calls.wait_sync(calls.decide(session, instance, call))
    if decision is None:
        return wrapped(*args, **kwargs)
    if isinstance(decision, calls.Replayed):
        return calls.replay_sync(instance, call, decision)
    return calls.record_sync(wrapped, instance, call, decision)


async def _request_async(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if instance is None:
        wrapped, instance, args = _bind(wrapped, args)
    session = session_for(instance)
    if session is None or session.is_live:
        return await _pass(session, wrapped, args, kwargs)
    call = calls.read_call(*args, **kwargs)
    if sdk.is_asked(call.options):
        return await wrapped(*args, **kwargs)
    decision = await calls.wait_async(calls.decide(session, instance, call))
    if decision is None:
        return await wrapped(*args, **kwargs)
    if isinstance(decision, calls.Replayed):
        return await calls.replay_async(instance, call, decision)
    return await calls.record_async(wrapped, instance, call, decision)


def _create(endpoint: typed.Endpoint) -> Callable[..., Any]:
    def create(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if instance is None:
            wrapped, instance, args = _bind(wrapped, args)
        client = instance._client  # noqa: SLF001
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
        if instance is None:
            wrapped, instance, args = _bind(wrapped, args)
        client = instance._client  # noqa: SLF001
        session = session_for(client)
        if session is None or args:
            return await _pass(session, wrapped, args, kwargs)
        answer = typed.choose(session, client, endpoint, kwargs)
        if answer is None:
            return await wrapped(**kwargs)
        if answer.found.recording.response.is_stream:
            return typed.stream(endpoint, answer, client, typed.AsyncPlay)
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
    resources: list[tuple[Any, ...]] = [
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


class _Wrapper(wrapt.FunctionWrapper):  # type: ignore[misc, type-arg, unused-ignore]  # untyped before wrapt 2
    """Ours, to be told from other libraries' by its type."""


class _State:
    """How many use the patches."""

    def __init__(self) -> None:
        self.users = 0
        # Reentrant, and counted before anything is done: a garbage-collected client's release may come in between.
        self._lock = threading.RLock()

    def acquire(self) -> None:
        with self._lock:
            self.users += 1
            for patch in _cached_patches():
                current = patch.owner.__dict__[patch.name]
                if not _has_ours(current):
                    setattr(patch.owner, patch.name, _Wrapper(current, patch.handler))

    def release(self) -> None:
        with self._lock:
            self.users -= 1
            self.remove()

    def remove(self) -> None:
        """Give back what nobody else has wrapped since, unless it is in use."""
        with self._lock:
            if self.users:
                return
            for owner, name, _ in _cached_patches():
                while type(current := owner.__dict__[name]) is _Wrapper:
                    setattr(owner, name, current.__wrapped__)


def _has_ours(function: Any) -> bool:
    """Whether our wrapper is in place, if need be under somebody else's."""
    while function is not None and type(function) is not _Wrapper:
        function = getattr(function, "__wrapped__", None)
    return function is not None


@functools.cache
def _cached_patches() -> tuple[_Patch, ...]:
    return tuple(_patches())


_state = _State()
acquire = _state.acquire
release = _state.release
