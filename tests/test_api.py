"""`wrap`, `unwrap`, `replay` and the environment."""

from __future__ import annotations

import copy
import functools
import inspect
import os
import threading
import weakref

import anyio
import anyio.lowlevel
import openai
import pytest
from conftest import ASK, cheap
from ways import DEAD, facts, settle

import inferencereplay
from inferencereplay import InvalidClient, InvalidSetting, RecordingNotFound, Session, replay, unwrap, wrap
from inferencereplay.sdk import placeholder
from inferencereplay.session import active
from inferencereplay.session.garbage import collect

KEY = "OPENAI_API_KEY"


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def chat(client, **changes):
    return client.chat.completions.create(**{**ASK, **changes})


# wrap.


def test_wrap_returns_the_same_object_of_the_same_type(client, recorded, server):
    """A wrapped client is the client, and is answered from recordings; unwrapped, it is as it was."""
    directory, answer = recorded
    before = dict(client.__dict__)
    assert wrap(client, directory) is client
    assert type(client) is openai.OpenAI
    assert chat(client) == answer
    assert server.count == 1
    assert unwrap(client) is client
    assert client.__dict__ == before
    chat(client)
    assert server.count == 2


def test_wrapping_twice_is_wrapping_once_with_the_newer_settings(client, recorded, server):
    """The second wrap decides, and one unwrap undoes both."""
    directory, answer = recorded
    wrap(client, directory / "empty")
    wrap(client, directory)
    assert chat(client) == answer
    unwrap(client)
    chat(client)
    assert server.count == 2


def test_an_unwrapped_client_beside_a_wrapped_one_is_untouched(client, recorded, server):
    """Only the wrapped client replays."""
    directory, answer = recorded
    other = openai.OpenAI(api_key="x", base_url=server.url, **cheap())
    wrap(client, directory)
    assert chat(client) == answer
    assert chat(other) != answer
    other.close()
    unwrap(client)


def test_wrapped_in_live_mode_is_untouched(client, recorded, server):
    """mode="live" unwraps; without directory, mode and environment nothing happens."""
    directory, _ = recorded
    wrap(client, directory)
    wrap(client, mode="live")
    chat(client)
    wrap(client)
    chat(client)
    assert server.count == 3
    assert active.OWN not in client.__dict__


@pytest.mark.parametrize("copy", ["with_options", "copy"])
def test_copies_stay_wrapped(client, recorded, server, copy):
    """Copies, copies of copies and their raw responses are answered by the same session."""
    directory, answer = recorded
    session = Session(directory)
    wrap(client, session)
    first = getattr(client, copy)(timeout=3)
    second = getattr(first, copy)(max_retries=4)
    assert chat(first) == chat(second) == second.chat.completions.with_raw_response.create(**ASK).parse() == answer
    assert session.hits == 3
    assert (first.timeout, second.timeout, second.max_retries) == (3, 3, 4)
    assert type(second) is openai.OpenAI
    assert inspect.signature(getattr(client, copy)) == inspect.signature(
        getattr(openai.OpenAI(api_key="x", http_client=client._client), copy)
    )
    unwrap(client)
    assert chat(second) == answer
    assert server.count == 1
    third = getattr(client, copy)()
    chat(third)
    assert server.count == 2
    for each in (first, second):
        unwrap(each)


def test_a_copy_taken_from_a_kept_method_of_an_unwrapped_client_is_live(client, recorded, server):
    """A bound with_options that outlived unwrap makes live copies."""
    directory, _ = recorded
    kept = wrap(client, directory).with_options
    unwrap(client)
    chat(kept(timeout=3))
    assert server.count == 2


def test_temporaries_stay_wrapped(recorded, server):
    """`wrap(OpenAI()).with_options()` replays although the first client is gone, and lets go of the patches after."""
    directory, answer = recorded
    made = wrap(openai.OpenAI(api_key="x", base_url=DEAD, **cheap()), directory).with_options(max_retries=0)
    collect()
    assert chat(made) == answer
    gone = weakref.ref(made)
    made.close()
    del made
    collect()
    assert gone() is None
    assert server.count == 1


class Own(openai.OpenAI):
    """A subclass with its own __init__ and its own with_options."""

    def __init__(self, url, **more):
        super().__init__(api_key="x", base_url=url, **cheap(), **more)
        self.url = url

    def with_options(self, **options):
        made = Own(self.url, **options)
        made.is_own = True
        return made


def test_subclasses(recorded):
    """A subclass is wrapped like its parent, with its own ways of copying."""
    directory, answer = recorded
    client = wrap(Own(DEAD), directory)
    copied = client.with_options(max_retries=0)
    assert copied.is_own
    assert chat(client) == chat(copied) == answer
    for each in (client, copied):
        each.close()


def azure(is_async, **options):
    make = openai.AsyncAzureOpenAI if is_async else openai.AzureOpenAI
    given = {"azure_endpoint": "http://127.0.0.1:9", "api_version": "2024-06-01", "max_retries": 0, **options}
    return make(**given, **cheap(is_async=is_async))


@pytest.mark.parametrize("is_async", [False, True])
def test_azure(server, tmp_path, is_async):
    """Azure's clients record and replay; the host does not count; a token provider is not called in replay."""
    calls = []

    def provider():
        calls.append(1)
        return "token-0123456789"

    async def everything(client):
        got = []
        for stream in (False, True):
            made = await settle(chat(client, stream=stream))
            if stream:
                made = [item async for item in made] if is_async else list(made)
            got.append(facts(made))
        raw = await settle(client.chat.completions.with_raw_response.create(**ASK))
        got.append(facts(raw.parse())[2]["choices"])
        await settle(client.close())
        return got

    host = server.url.removesuffix("/v1")
    with replay(tmp_path, mode="record") as session:
        made = anyio.run(everything, azure(is_async, azure_endpoint=host, api_key="azure-key-0123"))
    assert session.recorded == 3
    assert "/openai/deployments/m/chat/completions" in server.requests[0][1]
    with replay(tmp_path):
        assert anyio.run(everything, azure(is_async, api_key="other-key-0123")) == made
    with replay(tmp_path):
        assert anyio.run(everything, azure(is_async, azure_ad_token_provider=provider)) == made
    wrapped = wrap(azure(is_async, azure_ad_token_provider=provider), tmp_path)
    assert anyio.run(everything, wrapped) == made
    assert calls == []
    assert server.count == 3
    assert "azure-key" not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))


@pytest.mark.skipif(not hasattr(openai.OpenAI, "_refresh_api_key"), reason="keys that are fetched came later")
def test_a_key_that_is_fetched_is_not_fetched_in_replay(recorded):
    """`OpenAI(api_key=callable)` never calls it in replay, on either path."""
    directory, answer = recorded
    calls = []
    with openai.OpenAI(api_key=lambda: calls.append(1) or "k", base_url=DEAD, **cheap()) as client, replay(directory):
        assert chat(client) == answer
        assert client.chat.completions.with_raw_response.create(**ASK).parse() == answer
    assert calls == []


@pytest.fixture
def module(monkeypatch, server):
    """Set up the module-level client."""
    monkeypatch.setattr(openai, "api_key", "sk-module-0123456789")
    monkeypatch.setattr(openai, "base_url", server.url + "/")
    monkeypatch.setattr(openai, "_client", None)
    with cheap()["http_client"] as http_client:
        monkeypatch.setattr(openai, "http_client", http_client)
        yield openai
    unwrap(openai)


def test_the_module_level_client(module, recorded, server):
    """`wrap(openai)` wraps the module-level client and returns the module."""
    directory, answer = recorded
    assert wrap(openai, directory) is openai
    assert openai.chat.completions.create(**ASK) == answer
    unwrap(openai)
    openai.chat.completions.create(**ASK)
    assert server.count == 2


def test_the_module_level_client_inside_replay(module, recorded, server):
    """`openai.chat.completions.create` inside `with replay` is answered from recordings."""
    directory, answer = recorded
    with replay(directory):
        assert openai.chat.completions.create(**ASK) == answer
    assert server.count == 1


@pytest.mark.parametrize("wrong", [None, 1, "client", object(), openai.OpenAI, os, [], lambda: None])
def test_what_is_no_client_is_refused(wrong):
    """The error says what was given, and what to give."""
    for function in (wrap, unwrap):
        with pytest.raises(InvalidClient, match="no client of the openai package"):
            function(wrong)
    with pytest.raises(TypeError):
        wrap(wrong)


def test_a_sessions_settings_are_its_own(client, tmp_path):
    """Settings beside a Session are refused; the session itself is used."""
    session = Session(tmp_path, mode="record")
    for function in (
        lambda **given: wrap(client, session, **given),
        lambda **given: replay(session, **given).__enter__(),
    ):
        with pytest.raises(InvalidSetting, match="speed"):
            function(speed=1)
        with pytest.raises(InvalidSetting, match="ignore"):
            function(ignore=["user"])
    with replay(session) as used:
        chat(client)
    assert used is session
    assert session.recorded == 1


# replay.


@pytest.mark.parametrize("given", [{"mode": "reply"}, {"speed": 0}, {"speed": "fast"}])
def test_wrong_settings_are_told_where_they_stand(given):
    """A wrong mode or speed is an error when the decorator is made, not when it is called."""
    with pytest.raises(ValueError, match="Valid"):
        replay("recordings", **given)


def test_clients_made_before_and_inside(driver, recorded, server):
    """A block covers clients whenever they were made."""
    directory, answer = recorded
    with openai.OpenAI(api_key="x", base_url=DEAD, **cheap()) as before, replay(directory):
        assert chat(before) == answer
        assert driver.chat() == answer
    assert server.count == 1


def test_async_with(recorded):
    """`async with` is the same as `with`, on asyncio and trio."""
    directory, answer = recorded

    async def main():
        async with openai.AsyncOpenAI(api_key="x", base_url=DEAD, **cheap(is_async=True)) as client:
            async with replay(directory) as session:
                assert await chat(client) == answer
            assert session.hits == 1

    for backend in ("asyncio", "trio"):
        anyio.run(main, backend=backend)


def test_a_closed_client_replays(recorded):
    """A client that was closed has no connection, and needs none; live it would fail."""
    directory, answer = recorded
    client = openai.OpenAI(api_key="x", base_url=DEAD, **cheap())
    client.close()
    with replay(directory):
        assert chat(client) == answer
        assert client.chat.completions.with_raw_response.create(**ASK).parse() == answer


class Named(openai.OpenAI):
    def __init__(self, name, **settings):
        self.name = name
        super().__init__(**settings)


@pytest.mark.parametrize("key", [None, ""])
@pytest.mark.parametrize("make", [openai.OpenAI, functools.partial(Named, "a")], ids=["plain", "subclass"])
def test_no_key_is_needed_inside(recorded, monkeypatch, make, key):
    """In replay a client is made without a key, also in nested blocks and threads; the environment stays as it is."""
    directory, answer = recorded
    if key is not None:
        monkeypatch.setenv(KEY, key)
    before, answered = dict(os.environ), []

    def ask():
        with make(base_url=DEAD, **cheap()) as client:
            answered.append(chat(client))

    with replay(directory):
        with replay(directory):
            ask()
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        ask()
        assert dict(os.environ) == before
    assert answered == [answer] * 3
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(openai.OpenAIError):
        make(base_url=DEAD, **cheap())


def test_no_key_is_needed_inside_async_code(recorded):
    """The asynchronous client is made without one as well."""
    directory, answer = recorded

    async def ask():
        async with replay(directory), openai.AsyncOpenAI(base_url=DEAD, **cheap(is_async=True)) as client:
            return await chat(client)

    assert anyio.run(ask) == answer


def test_the_real_key_may_be_loaded_inside(recorded, monkeypatch):
    """What `load_dotenv()` sets inside a block is used there, and stays after it."""
    directory, answer = recorded
    with replay(directory):
        assert KEY not in os.environ  # load_dotenv would not replace a value
        monkeypatch.setenv(KEY, "sk-from-dotenv-0123456789")
        with openai.OpenAI(base_url=DEAD, **cheap()) as client:
            assert (client.api_key, chat(client)) == ("sk-from-dotenv-0123456789", answer)
    assert os.environ[KEY] == "sk-from-dotenv-0123456789"
    monkeypatch.delenv(KEY)


@pytest.mark.parametrize("mode", ["live", "record", "record-if-missing"])
def test_the_placeholder_is_for_replay_only(tmp_path, mode):
    """A client that reaches the network needs a real key, also where a block around it replays."""
    with replay(tmp_path), replay(tmp_path, mode=mode), pytest.raises(openai.OpenAIError):
        openai.OpenAI(**cheap()).chat.completions.create(**ASK)


@pytest.mark.parametrize("given", [{}, {"api_key": "x"}], ids=["no key", "key"])
def test_a_refusal_for_another_reason_is_told_as_it_is(client, tmp_path, given):
    """Where the placeholder does not help, the SDK's first error comes, as live."""
    asked = []

    def refuse(**settings):
        asked.append(settings)
        raise openai.OpenAIError(len(asked))

    with replay(tmp_path), pytest.raises(openai.OpenAIError, match="1"):
        placeholder.make_client(refuse, client, (), given)
    assert len(asked) == 2 - len(given)


def test_azures_credentials_are_asked_for_as_live(tmp_path):
    """The placeholder is for `OpenAI` and `AsyncOpenAI` only."""
    with replay(tmp_path), pytest.raises(openai.OpenAIError, match="AZURE_OPENAI_API_KEY"):
        openai.AzureOpenAI(azure_endpoint="http://azure.test", api_version="1")


@pytest.mark.parametrize("cls", [openai.OpenAI, openai.AsyncOpenAI])
def test_the_signature_of_a_client_stays(cls, tmp_path):
    """The names of its parameters are read by autogen while that is imported."""
    before, signature = inspect.getfullargspec(cls.__init__), inspect.signature(cls)
    with replay(tmp_path):
        assert inspect.getfullargspec(cls.__init__) == before
        assert inspect.signature(cls) == signature


def test_live_mode_goes_to_the_network(driver, recorded, server):
    """mode="live" inside a block of its own is as if nothing were there, whatever stands around it."""
    directory, _ = recorded
    with replay(directory), replay(directory, mode="live") as session:
        driver.chat()
        driver.chat(stream=True)
    assert (server.count, session.hits, session.recorded) == (3, 0, 0)


def test_a_swallowed_miss_is_told_at_the_end(client, tmp_path, server):
    """A program that swallows the error does not get away with it."""
    with pytest.raises(RecordingNotFound, match="2 calls") as caught:
        with replay(tmp_path):
            for number in range(2):
                try:
                    chat(client, n=number)
                except Exception:  # noqa: BLE001 - as bad programs do
                    pass
    assert caught.value.path == "/chat/completions"
    assert server.count == 0


def test_a_swallowed_miss_does_not_hide_another_error(client, tmp_path):
    """An exception that is on its way goes first."""
    with pytest.raises(ZeroDivisionError), replay(tmp_path):
        try:
            chat(client)
        except RecordingNotFound:
            raise ZeroDivisionError from None


def test_a_miss_that_was_not_swallowed_is_told_once(client, tmp_path):
    """The error that leaves the block is the one that the call raised."""
    with pytest.raises(RecordingNotFound) as caught, replay(tmp_path):
        try:
            chat(client)
        except RecordingNotFound as error:
            first = error
            raise
    assert caught.value is first


# The package and what else was seen.


def test_the_package_names_what_it_has():
    """Every public name is there, and an unknown one is an AttributeError."""
    for name in inferencereplay.__all__:
        assert getattr(inferencereplay, name) is not None
    assert set(inferencereplay.__all__) <= set(dir(inferencereplay))
    with pytest.raises(AttributeError, match="nothing"):
        inferencereplay.nothing  # noqa: B018


def test_the_placeholder_does_not_outlive_its_session_in_the_module(recorded, server, monkeypatch):
    """The module-level client, if it was made with the placeholder, is made anew afterwards."""
    directory, answer = recorded
    monkeypatch.setattr(openai, "api_key", None)
    monkeypatch.setattr(openai, "base_url", server.url + "/")
    with replay(directory):
        assert openai.chat.completions.create(**ASK) == answer
    assert openai.api_key is None
    monkeypatch.setattr(openai, "api_key", "a-real-key")
    openai.chat.completions.create(**ASK)
    assert {name.lower(): value for name, value in server.requests[-1][2].items()}[
        "authorization"
    ] == "Bearer a-real-key"
    openai._reset_client()


def test_unwrapping_a_shallow_copy_leaves_the_original_wrapped(client, recorded, server):
    """What `copy.copy` makes of a client shares its hold on the patches, and gives up its own part of it only."""
    directory, answer = recorded
    wrap(client, directory)
    unwrap(copy.copy(client))
    made = server.count
    assert chat(client) == answer
    assert server.count == made
    unwrap(client)


def test_a_clients_own_way_to_copy_itself_is_kept(client, recorded):
    """What somebody has put into the client goes on working while it is wrapped, and is there afterwards."""
    directory, answer = recorded
    made = []

    def copy(**changes):
        made.append(type(client).copy(client, **changes))
        return made[-1]

    client.copy = copy
    wrap(client, directory)
    copied = client.copy(timeout=3)
    assert copied is made[0]
    assert chat(copied) == answer
    unwrap(copied)
    unwrap(client)
    assert vars(client)["copy"] is copy
    assert "with_options" not in vars(client)


def test_a_shallow_copy_stays_wrapped_without_its_original(client, recorded, server, tmp_path):
    """It does not go to the network when its original is unwrapped, and what is copied of it has its own session."""
    directory, answer = recorded
    wrap(client, directory)
    client.__dict__.pop("chat", None)  # a copy would have it in common with its original
    copied = copy.copy(client)
    unwrap(client)
    made = server.count
    assert chat(copied) == answer
    wrap(copied, tmp_path / "other", mode="replay")
    with pytest.raises(RecordingNotFound):
        chat(copied.with_options(timeout=3))
    assert server.count == made
    unwrap(copied)


def test_settings_beside_a_session_are_refused_whatever_they_equal(client, tmp_path):
    """A speed of 0 is not taken for one that was not given."""
    with pytest.raises(InvalidSetting, match="speed cannot be given beside a Session"):
        wrap(client, Session(tmp_path), speed=0)


def test_an_empty_key_is_no_key(recorded):
    """Frameworks such as llama-index give the client the empty text where there is no key."""
    directory, answer = recorded
    with replay(directory), openai.OpenAI(api_key="", base_url="http://127.0.0.1:9/v1", **cheap()) as client:
        assert chat(client) == answer
