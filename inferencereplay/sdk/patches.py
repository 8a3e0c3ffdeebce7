"""The patches: which methods of the SDK are wrapped, when, and how the originals are restored.

The patches are installed with the first use, or when the SDK imports the module of a class later, and removed with the
last use. Which session answers is decided for each call.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import sys
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import openai

from inferencereplay.locks import make_reentrant_lock
from inferencereplay.pacing.event_loop import give_turn
from inferencereplay.sdk import (
    answers,
    bytes_replay,
    calls,
    fast_replay,
    fault_injection,
    parse_replay,
    placeholder,
    private,
    request_replay,
    steps,
    wrappers,
)
from inferencereplay.sdk.import_watcher import ImportWatcher
from inferencereplay.sdk.model_builder import EmbeddingsBuilder, EventBuilder, ModelBuilder, VectorsBuilder, has_vectors
from inferencereplay.sdk.sending import begin_live, count_attempt, end_live
from inferencereplay.sdk.wrapper_layout import Layout, read_layout
from inferencereplay.session.active import session_for
from inferencereplay.session.outgoing import sending
from inferencereplay.session.settings import Mode

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from inferencereplay.session.session import Session


class _Patch(NamedTuple):
    """One method to wrap, and the handler of its calls.

    Attributes:
        is_fast_path: whether the wrapper only makes replays faster, so that it need not wrap other libraries' wrappers.
    """

    owner: Any
    name: str
    handler: Callable[..., Any]
    is_fast_path: bool = False


def _request(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    session = _session(instance)
    if session is None:
        return wrapped(*args, **kwargs)
    if session.is_live and not session.has_stubs:
        held = begin_live(session, instance, args, kwargs)
        try:
            return wrapped(*args, **kwargs)
        finally:
            end_live(*held)
    if found := request_replay.choose(session, instance, *args, **kwargs):
        return _give(found, session, instance)
    flow = _flow(session, wrapped, instance, args, kwargs)
    with sending():
        return wrapped(*args, **kwargs) if flow is None else steps.run(flow)


async def _request_async(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    session = _session(instance)
    if session is None:
        return await wrapped(*args, **kwargs)
    if session.is_live and not session.has_stubs:
        held = begin_live(session, instance, args, kwargs)
        try:
            return await wrapped(*args, **kwargs)
        finally:
            end_live(*held)
    if found := await steps.decide_async(request_replay.choose, session, instance, *args, **kwargs):
        return await _give_async(found, session, instance)
    flow = _flow(session, wrapped, instance, args, kwargs)
    with sending():
        return await (wrapped(*args, **kwargs) if flow is None else steps.run_async(flow))


def _post(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    session, found = _session(instance), None
    if session is not None and _may_answer_post(session, instance, args, kwargs):
        found = request_replay.choose_posted(session, instance, args[0], kwargs)
    return wrapped(*args, **kwargs) if session is None or found is None else _give(found, session, instance)


async def _post_async(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    session, found = _session(instance), None
    if session is not None and _may_answer_post(session, instance, args, kwargs):
        found = await steps.decide_async(request_replay.choose_posted, session, instance, args[0], kwargs)
    if session is None or found is None:
        return await wrapped(*args, **kwargs)
    return await _give_async(found, session, instance)


def _may_answer_post(session: Session, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    may_answer = not session.is_live and private.is_plain_post(args, kwargs) and _may_bypass_request(client)
    return may_answer and session.is_fast  # a client is mended in `record` as well


def _give(found: request_replay.Found, session: Session, client: Any) -> Any:
    """Return an answer when it is due."""
    if not session.never_waits and found.is_due_at_once and (pacer := session.pacer(found.recorded)):
        pacer.wait(-1)
        found.choice.play.end()
    return found.answer(session, client)


async def _give_async(found: request_replay.Found, session: Session, client: Any) -> Any:
    if found.is_due_at_once:
        pacer = session.pacer(found.recorded)
        await (pacer.wait_async(-1) if pacer else give_turn())
        found.choice.play.end()
    await found.read_async()
    return found.answer(session, client)


def _flow(session: Session, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the flow of a call of `request`; `None` if it is one of ours, which goes to the network untouched."""
    call = calls.read_call(session, instance, *args, **kwargs)
    if private.is_asked(call.options):
        return None
    if session.fault_plan is not None:
        return fault_injection.answer(session, session.fault_plan, call, wrapped)
    return calls.answer(session, call, wrapped)


def _build_request(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Stop a request that has bypassed `_request`, in `replay`: it would reach the network."""
    session, options = session_for(instance), args[0]
    if private.is_own(options) or count_attempt():
        return wrapped(*args, **kwargs)
    if session is not None and not session.is_live and not private.is_asked(options):
        is_mended = _state.repair(instance)
        call = calls.read_call(session, instance, None, options)
        if session.mode is Mode.REPLAY:
            raise session.refuse_bypass(call, is_call=private.is_requesting())
        if is_mended:
            session.warn_bypass(call)
    return wrapped(*args, **kwargs)


def _create(endpoint: fast_replay.Endpoint) -> Callable[..., Any]:
    ways = answers.ways_of(endpoint)
    plainly = ways[answers.PLAINLY]

    def create(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        client = instance._client  # noqa: SLF001
        session = _session(client)
        way = choice = None
        may_replay = session is not None and not session.is_live and not args and _may_bypass_post(client)
        if session is not None and may_replay and session.is_fast:
            way = answers.way_of(ways, kwargs)
            choice = None if way is None else fast_replay.choose(session, client, endpoint, kwargs, way.covers)
        if session is None or way is None or choice is None:
            return wrapped(*args, **kwargs)
        if way is plainly and session.never_waits and choice.play.recording.response.status == answers.OK:
            return fast_replay.model(endpoint, choice.play)  # as `Way.answer` does, for most calls
        if way.is_due_at_once(choice.play) and (pacer := session.pacer(choice.play.recording.response)):
            pacer.wait(-1)
            choice.play.end()
        return way.answer(session, client, choice, functools.partial(private.options_of, wrapped, instance, kwargs))

    return create


def _create_async(endpoint: fast_replay.Endpoint) -> Callable[..., Any]:
    ways = answers.ways_of(endpoint)
    plainly = ways[answers.PLAINLY]

    async def create(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        client = instance._client  # noqa: SLF001
        session = _session(client)
        way = choice = None
        may_replay = session is not None and not session.is_live and not args and _may_bypass_post(client)
        if session is not None and may_replay and session.is_fast:
            way = answers.way_of(ways, kwargs)
        if session is not None and way is not None:
            asked = session, client, endpoint, kwargs, way.covers
            is_here = steps.may_read_here()  # as `decide_async` asks, in fewer steps
            choice = fast_replay.choose(*asked) if is_here else await steps.decide_async(fast_replay.choose, *asked)
        if session is None or way is None or choice is None:
            return await wrapped(*args, **kwargs)
        if way is plainly and session.never_waits and choice.play.recording.response.status == answers.OK:
            await give_turn()
            return fast_replay.model(endpoint, choice.play)  # as `Way.answer` does, for most calls
        if way.is_due_at_once(choice.play):
            pacer = session.pacer(choice.play.recording.response)
            await (pacer.wait_async(-1) if pacer else give_turn())
            choice.play.end()
        return way.answer(session, client, choice, functools.partial(private.options_of, wrapped, instance, kwargs))

    return create


def _answered(choose: Callable[..., Any]) -> Callable[..., Any]:
    """Handle calls of a method that are answered, each as a whole, by what `choose` finds for them."""

    def method(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        client = instance._client  # noqa: SLF001
        session = _session(client)
        found = None
        if session is not None and not args and _may_bypass_post(client):
            found = choose(session, instance, kwargs)
        if session is None or found is None:
            return wrapped(*args, **kwargs)
        if pacer := session.pacer(found.recorded):
            pacer.wait(-1)
            found.choice.play.end()
        return found.answer(session, client, functools.partial(private.options_of, wrapped, instance, kwargs))

    return method


def _answered_async(choose: Callable[..., Any]) -> Callable[..., Any]:
    async def method(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        client = instance._client  # noqa: SLF001
        session = _session(client)
        found = None
        if session is not None and not args and _may_bypass_post(client):
            found = await steps.decide_async(choose, session, instance, kwargs)
        if session is None or found is None:
            return await wrapped(*args, **kwargs)
        pacer = session.pacer(found.recorded)
        await (pacer.wait_async(-1) if pacer else give_turn())
        found.choice.play.end()
        await found.read_async()
        return found.answer(session, client, functools.partial(private.options_of, wrapped, instance, kwargs))

    return method


def _may_bypass_post(client: Any) -> bool:
    """Whether a call may be answered without `post` and `request`, in each of which a subclass may add to the body."""
    return wrappers.are_outermost(client, "post", "request") or _mend(client)


def _may_bypass_request(client: Any) -> bool:
    """Whether a call may be answered without `request`: no other library's wrapper and no override would miss it."""
    return wrappers.are_outermost(client, "request") or _mend(client)


def _mend(client: Any) -> bool:
    """Wrap a client's `request` again if that was undone; return whether this call may be answered without it."""
    if not wrappers.are_outermost(client, "request"):
        _state.repair(client)
    return False


def _session(client: Any) -> Session | None:
    """Return the session that answers a client; remove patches that another library's wrapper has kept in place."""
    session = session_for(client)
    if session is None and not _state.users:
        _state.remove()
    return session


def _by_format(given: Callable[..., Any], default: Callable[..., Any]) -> Callable[..., Any]:
    """Handle calls that name the format of embeddings by `given`, and those that leave it to the SDK by `default`."""

    def create(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        is_default = isinstance(kwargs.get("encoding_format", openai.NOT_GIVEN), private.UNSET)
        return (default if is_default else given)(wrapped, instance, args, kwargs)

    return create


def _connect(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    flow = _connection(wrapped, instance, args, kwargs)
    return wrapped(*args, **kwargs) if flow is None else steps.run(flow)


async def _connect_async(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    flow = _connection(wrapped, instance, args, kwargs)
    return await (wrapped(*args, **kwargs) if flow is None else steps.run_async(flow))


def _connection(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the flow of a WebSocket connection; `None` for a live one."""
    session = _session(private.manager_client(instance))
    if session is None or session.is_live:
        return None
    try:
        from inferencereplay.sdk.sockets import connecting  # noqa: PLC0415 - few programs open connections
    except ImportError:  # the `websockets` package is missing, and the SDK says so
        return None
    opening = connecting.Opening(session, instance, functools.partial(wrapped, *args, **kwargs))
    return connecting.open_connection(opening)


# The patches of each module of the SDK.


def _base_patches(_: Any) -> list[_Patch]:
    return [
        _Patch(private.SyncAPIClient, "request", _request),
        _Patch(private.AsyncAPIClient, "request", _request_async),
        _Patch(private.SyncAPIClient, "post", _post, is_fast_path=True),
        _Patch(private.AsyncAPIClient, "post", _post_async, is_fast_path=True),
        _Patch(private.BaseClient, "_build_request", _build_request),
    ]


def _client_patches(module: Any) -> list[_Patch]:
    return [_Patch(owner, "__init__", placeholder.make_client) for owner in (module.OpenAI, module.AsyncOpenAI)]


def _chat_patches(module: Any) -> list[_Patch]:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk  # noqa: PLC0415 - as the module itself did

    model, chunk = ModelBuilder(ChatCompletion), ModelBuilder(ChatCompletionChunk)
    shared = {"path": "/chat/completions", "build_model": model, "chunk": ChatCompletionChunk, "build_chunk": chunk}
    return _create_patches(module.Completions, module.AsyncCompletions, **shared)


def _text_patches(module: Any) -> list[_Patch]:
    from openai.types import Completion  # noqa: PLC0415 - as the module itself did

    build = ModelBuilder(Completion)
    shared = {"path": "/completions", "build_model": build, "chunk": Completion, "build_chunk": build}
    return _create_patches(module.Completions, module.AsyncCompletions, **shared)


def _responses_patches(module: Any) -> list[_Patch]:
    from openai.types.responses import Response, ResponseStreamEvent  # noqa: PLC0415 - as the module itself did

    model, chunk = ModelBuilder(Response), EventBuilder(ResponseStreamEvent)
    shared = {"path": "/responses", "build_model": model, "chunk": ResponseStreamEvent, "build_chunk": chunk}
    patches = _create_patches(module.Responses, module.AsyncResponses, **shared, events="response.")
    return [*patches, *_socket_patches(module)]


def _create_patches(owner: Any, async_owner: Any, *, chunk: Any, **shared: Any) -> list[_Patch]:
    kinds: tuple[tuple[Any, Any, Any, Any], ...] = (
        (owner, _create, _answered, openai.Stream[chunk]),
        (async_owner, _create_async, _answered_async, openai.AsyncStream[chunk]),
    )
    patches = []
    for cls, create, answered, stream in kinds:
        endpoint = fast_replay.Endpoint(create=cls.create, stream=stream, chunk=chunk, **shared)
        patches.append(_Patch(cls, "create", create(endpoint), is_fast_path=True))
        if "parse" in cls.__dict__:
            choose = functools.partial(parse_replay.choose, endpoint, parse_replay.Templates(cls.parse))
            patches.append(_Patch(cls, "parse", answered(choose), is_fast_path=True))
    return patches


def _embeddings_patches(module: Any) -> list[_Patch]:
    from openai.types import CreateEmbeddingResponse  # noqa: PLC0415 - as the module itself did

    path, default = "/embeddings", private.default_encoding_format(module.Embeddings.create)
    adds = {} if default is None else {"encoding_format": default}
    given, decoded = VectorsBuilder(CreateEmbeddingResponse), EmbeddingsBuilder(CreateEmbeddingResponse)
    return [
        _Patch(
            owner,
            "create",
            _by_format(
                make(fast_replay.Endpoint(path, owner.create, given)),
                make(fast_replay.Endpoint(path, owner.create, decoded, covers=has_vectors, adds=adds)),
            ),
            is_fast_path=True,
        )
        for owner, make in ((module.Embeddings, _create), (module.AsyncEmbeddings, _create_async))
    ]


def _speech_patches(module: Any) -> list[_Patch]:
    kinds: tuple[tuple[Any, Any], ...] = ((module.Speech, _answered), (module.AsyncSpeech, _answered_async))
    choose = functools.partial(bytes_replay.choose, fast_replay.Sending("/audio/speech", module.Speech.create))
    return [_Patch(owner, "create", answered(choose), is_fast_path=True) for owner, answered in kinds]


def _socket_patches(module: Any) -> list[_Patch]:
    return [
        _Patch(manager, name, _connect_async if "__aenter__" in manager.__dict__ else _connect)
        for manager in private.connection_managers(module)
        for name in private.connecting_methods(manager)
    ]


_SITES: dict[str, Callable[[Any], list[_Patch]]] = {
    **dict.fromkeys(private.WEBSOCKET_MODULES, _socket_patches),
    "openai._base_client": _base_patches,
    "openai._client": _client_patches,
    "openai.resources.audio.speech": _speech_patches,
    "openai.resources.chat.completions": _chat_patches,
    "openai.resources.completions": _text_patches,
    "openai.resources.embeddings": _embeddings_patches,
    "openai.resources.responses.responses": _responses_patches,
}
"""The patches of each module of the SDK; newer versions import most modules when they are first used."""


class _State:
    """The users of the patches, and the patches that are installed for them."""

    def __init__(self) -> None:
        self.users: set[object] = set()
        # Reentrant, and users are counted first: a client's finalizer may call `release` at any point.
        self._lock = make_reentrant_lock()
        self._patches: dict[ModuleType, list[_Patch]] = {}
        self._mended: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._watcher = ImportWatcher({*_SITES, openai.__name__}, self._imported)
        self._layout: Layout | None = None
        self._laid_out: frozenset[ModuleType] = frozenset()
        self._is_retired = False
        self._successor: _State | None = None

    def acquire(self, user: object) -> None:
        """Patch the SDK until `release` is called for the same user; an interrupted call can be released as well."""
        with self._lock:
            self.users.add(user)
            self._watcher.start()
            done = self._laid_out if self._layout is not None and self._layout.put() else ()
        for name in _SITES:
            module = sys.modules.get(name)
            if module is None or module in done:
                continue
            if module not in self._patches:
                # Imported without the lock: an import waits for another thread's, which needs the lock at its end.
                module = importlib.import_module(name)
            self.install(module)

    def _imported(self, module: ModuleType) -> None:
        if is_current():
            self.install(module)
        elif module.__name__ == openai.__name__:  # pragma: no cover - runs in a program, whose coverage is not measured
            successor = renew()._state  # noqa: SLF001 - this very class, made anew
            with self._lock:
                self._successor = successor
                if self.users:
                    successor.acquire(self)

    def install(self, module: ModuleType) -> bool:
        """Install the patches of one module of the SDK, if there is a user; return whether anything was changed."""
        # Made without the lock, as modules are imported without it, for this may have to import some as well.
        made = self._patches.get(module) or _SITES[module.__name__](module)
        with self._lock:
            return bool(self.users) and _put(self._patches.setdefault(module, made))

    def retire(self) -> None:  # pragma: no cover - as above
        """Leave the patches on for good: clients of this SDK may outlive its place in `sys.modules`."""
        with self._lock:
            self._watcher.stop()
            for patches in self._patches.values():
                _put(patches)
            self._is_retired = True

    def repair(self, client: Any) -> bool:
        """Wrap `request` again where a client's calls bypass our wrapper; return whether they did.

        A program may have put the SDK's own method back, or a wrapper of its own into the client.
        """
        is_mended = self.install(private.base_module)
        with self._lock:
            for owner, name, handler in self._of(client) if self.users else ():
                if wrappers.put_into(client, owner, name, handler):
                    self._mended[id(client)] = client
                    is_mended = True
        return is_mended

    def _of(self, client: Any) -> list[tuple[Any, str, Callable[..., Any]]]:
        """Return the patches of a client's class."""
        patches = self._patches[private.base_module]
        return [patch[:3] for patch in patches if isinstance(client, patch.owner) and not patch.is_fast_path]

    def release(self, user: object) -> None:
        """Remove the patches if this was the last user."""
        with self._lock:
            self.users.discard(user)
            self.remove()

    def remove(self) -> None:
        """Remove the patches as far as they can be found, unless there are users."""
        with self._lock:
            if self.users:
                return
            self._watcher.stop()
            if self._successor:  # pragma: no cover - as above
                self._successor.release(self)
            if self._is_retired:  # pragma: no cover - as above
                return
            if self._layout is None or self._laid_out != self._patches.keys() or not self._layout.remove():
                methods = [patch[:2] for patch in itertools.chain.from_iterable(self._patches.values())]
                self._layout, self._laid_out = read_layout(methods), frozenset(self._patches)
                for owner, name in methods:
                    wrappers.remove(owner, name)
            if not self._mended:
                return
            for client in self._mended.values():
                for owner, name, _ in self._of(client):
                    wrappers.remove_from(client, owner, name)
            self._mended.clear()


def _put(patches: list[_Patch]) -> bool:
    done = [
        wrappers.put(owner, method, handler, goes_over=not is_fast_path)
        for owner, method, handler, is_fast_path in patches
    ]
    return any(done)


def is_current() -> bool:
    """Whether these patches are for the SDK that the program imports now."""
    return sys.modules.get(openai.__name__) is openai


def renew() -> Any:  # pragma: no cover - as above
    """Import this module anew for an SDK that was removed from `sys.modules` and imported again, and return it.

    Everything here that holds classes of the SDK is made anew. The old patches stay on the old classes.
    """
    _state.retire()
    room = __name__.rpartition(".")[0]
    for name in [name for name in sys.modules if name == room or name.startswith(f"{room}.")]:
        del sys.modules[name]
    return importlib.import_module(__name__)


def prepare() -> None:
    """Import what the first chat of a paced replay needs: within the event loop that would make other answers late."""
    importlib.import_module("openai.resources.chat.completions")


_state = _State()
acquire = _state.acquire
repair = _state.repair
release = _state.release
