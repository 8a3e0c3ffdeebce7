"""What once went wrong, and must not again."""

from __future__ import annotations

import contextvars
import gc
import json
import logging
import os
import sys
import types
from typing import Any

import anyio
import openai
import pytest
from conftest import ASK, Reply, cheap, chunk, completion, event, plain, sse
from ways import DEAD, items, run, settle

from inferencereplay import InvalidSetting, RecordingCorrupt, RecordingNotFound, Session, StoreError, replay, wrap
from inferencereplay.pacing.clocks import VirtualClock
from inferencereplay.recording.request import Request
from inferencereplay.sdk import private
from inferencereplay.session.garbage import collect
from inferencereplay.session.recording_cache import RecordingCache
from inferencereplay.store.directory import DirectoryStore


def written(directory):
    return b"".join(file.read_bytes() for file in directory.rglob("*.json"))


def said(answer):
    return answer.choices[0].message.content


@pytest.mark.parametrize("status", [300, 302, 304])
def test_a_redirect_that_leads_nowhere_is_an_error_in_replay_too(driver, server, tmp_path, status):
    """The SDK raises for any status but 2xx, live and replayed alike."""
    server.replies = [plain({"error": {"message": "moved"}}, status)]
    facts = []
    for mode in ("record", "replay"):
        with replay(tmp_path, mode=mode), pytest.raises(openai.APIStatusError) as caught:
            driver.chat()
        facts.append((type(caught.value), caught.value.status_code, str(caught.value)))
    assert facts[0] == facts[1]


def test_a_stream_whose_response_was_read_can_be_iterated(client, tmp_path):
    """Reading a stream's response as a whole first gives the same chunks afterwards, as it does live."""
    with replay(tmp_path, mode="record"):
        live = list(client.chat.completions.create(**ASK, stream=True))
    with replay(tmp_path):
        stream = client.chat.completions.create(**ASK, stream=True)
        stream.response.read()
        assert list(stream) == live


def test_an_error_event_ends_a_stream_that_is_whole(driver, server, tmp_path):
    """The SDK reads no further than an error event; that is the server's doing, not the caller's."""
    server.replies = [sse(chunk("a"), {"error": {"message": "overloaded"}}, chunk("never"))]
    with replay(tmp_path, mode="record"), pytest.raises(openai.APIError, match="overloaded"):
        driver.chat(stream=True)
    collect()
    made = server.count
    with replay(tmp_path, mode="record-if-missing"), pytest.raises(openai.APIError, match="overloaded"):
        driver.chat(stream=True)
    assert server.count == made


def test_an_error_event_may_be_spelt_with_escapes(client, server, tmp_path):
    """An error event that hides from a search for its name raises all the same."""
    server.replies = [sse(chunk("a"), b'{"\\u0065rror": {"message": "hidden"}}')]
    for mode in ("record", "replay"):
        with replay(tmp_path, mode=mode), pytest.raises(openai.APIError, match="hidden"):
            list(client.chat.completions.create(**ASK, stream=True))


@pytest.mark.parametrize("length", range(150, 200, 5))
def test_a_long_command_line_shows_no_part_of_a_secret(tmp_path, monkeypatch, length):
    """What is secret is taken out of the command of a miss before that is cut."""
    key = "hunterpasswordabcdefghijkl"
    monkeypatch.setattr(sys, "orig_argv", ["python", "app.py", "x" * length, key, "tail" * 20])
    with pytest.raises(RecordingNotFound) as caught, replay(tmp_path):
        openai.OpenAI(api_key=key, **cheap()).chat.completions.create(**ASK)
    assert "app.py xxx" in str(caught.value)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize("charset", ["punycode", "IDNA", '"punycode"', "x; CHARSET=punycode"])
def test_charsets_of_hosts_are_none_of_texts(client, server, tmp_path, charset):
    """To read or write one takes time by the square of its length, so that a short file could hang a program."""
    server.replies = [Reply(404, {"content-type": "text/plain; charset=utf-8"}, b"hello")]
    with replay(tmp_path, mode="record"), pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**ASK)
    (file,) = tmp_path.rglob("*.json")
    told = charset.replace('"', '\\"').replace("x; ", "")
    file.write_text(file.read_text().replace("charset=utf-8", f"charset={told}".replace("charset=CHARSET", "CHARSET")))
    with replay(tmp_path), pytest.raises(RecordingCorrupt, match=r"no text is written in (punycode|idna), at \$\.resp"):
        client.chat.completions.create(**ASK)
    server.replies = [Reply(200, {"content-type": f"application/json; charset={charset}"}, b'{"id": "a"}')]
    with replay(tmp_path / "json", mode="record"):
        answer = client.chat.completions.create(**ASK)
    with replay(tmp_path / "json"):
        assert client.chat.completions.create(**ASK) == answer
    server.replies = [Reply(404, {"content-type": f"text/plain; charset={charset}"}, b"hello-")]
    with replay(tmp_path / "new", mode="record") as session, pytest.raises((openai.NotFoundError, UnicodeError)):
        client.chat.completions.create(**ASK)
    assert session.recorded == (charset.startswith("x; "))


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", "no-such-charset"])
def test_texts_come_back_in_their_charset(driver, server, tmp_path, charset):
    """An answer that is no JSON is replayed in the encoding that its header names."""
    body = "<h1>café</h1>".encode("utf-8" if charset.startswith("no") else charset)
    server.replies = [Reply(404, {"content-type": f"text/html; charset={charset}"}, body)]
    facts = []
    for mode in ("record", "replay"):
        with replay(tmp_path, mode=mode), pytest.raises(openai.NotFoundError) as caught:
            driver.chat()
        facts.append(caught.value.body)
    assert facts == ["<h1>café</h1>"] * 2


def test_a_header_beyond_ascii_does_not_break_a_replay(driver, server, tmp_path):
    """A header on the allow-list may hold any text, recorded or written by hand; others are passed over."""
    server.replies = [sse(chunk("a"))]
    with replay(tmp_path, mode="record"):
        live = driver.chat(stream=True)
    (file,) = tmp_path.rglob("*.json")
    headers = '"headers": {"x-ratelimit-note": "café →", "content-encoding": "gzip", '
    file.write_text(file.read_text("utf-8").replace('"headers": {', headers), "utf-8")
    with replay(tmp_path):
        assert driver.chat(stream=True) == live


@pytest.mark.skipif(not hasattr(openai.OpenAI, "_refresh_api_key"), reason="keys that are fetched came later")
def test_a_key_that_is_fetched_for_the_call_is_not_written(server, tmp_path):
    """What the SDK fetches while the call is made is taken out of request and answer, under one key."""
    key = "plainsecretkey987"
    ask = {**ASK, "messages": [{"role": "user", "content": f"my key is {key}"}]}
    server.replies = [plain(completion(f"your key is {key}")) for _ in range(2)]
    with openai.OpenAI(api_key=lambda: key, base_url=server.url, max_retries=0) as client:
        with replay(tmp_path, mode="record"):
            answers = [client.chat.completions.create(**ask) for _ in range(2)]
        assert key in said(answers[0])
        assert key.encode() not in written(tmp_path)
        assert len({file.name[:32] for file in tmp_path.rglob("*.json")}) == 1


def test_parts_of_secret_headers_and_of_a_query_are_not_written(server, tmp_path):
    """A token is a secret without its scheme too, a cookie without its name, and so is a key in the query."""
    options = {
        "default_headers": {"Authorization": "Bearer zzsecretzz", "Cookie": "sid=cookiesecret1; theme=dark"},
        "default_query": {"subscription-key": "querysecret123"},
    }
    url = server.url.replace("http://", "http://user:passwordsecret@")
    server.replies = [plain(completion("zzsecretzz cookiesecret1 passwordsecret"))]
    with openai.OpenAI(api_key="x", base_url=url, max_retries=0, **options) as client:
        with replay(tmp_path, mode="record"):
            client.chat.completions.create(**ASK, user="zzsecretzz")
        with replay(tmp_path):
            assert client.chat.completions.create(**ASK, user="zzsecretzz")
    for secret in (b"zzsecretzz", b"cookiesecret1", b"passwordsecret", b"querysecret"):
        assert secret not in written(tmp_path)
    assert b'"subscription-key": "[REDACTED]"' in written(tmp_path)


def test_end_users_are_no_secrets(client, tmp_path):
    """Two end users are two requests."""
    with replay(tmp_path, mode="record-if-missing"):
        first = client.chat.completions.create(**ASK, user="user-aaaaaaaaaaaaaaaaaaaaaaaa")
        assert client.chat.completions.create(**ASK, user="user-bbbbbbbbbbbbbbbbbbbbbbbb") != first


def test_normalize_has_to_return_the_body(client, tmp_path):
    """One that forgets to would make all requests of a path one."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    with (
        pytest.raises(InvalidSetting, match="it returned an object of the type NoneType"),
        replay(tmp_path, normalize=lambda body: None),
    ):
        client.chat.completions.create(**ASK)


def test_normalize_is_not_asked_where_there_is_no_body(driver, tmp_path):
    """A request without a body is recorded whatever `normalize` does with bodies."""
    normalize = {"normalize": lambda body: dict(body.items())}
    with replay(tmp_path, mode="record", **normalize) as session:
        live = driver(lambda client: client.get("/models", cast_to=object))
    assert session.recorded == 1
    with replay(tmp_path, **normalize):
        assert driver(lambda client: client.get("/models", cast_to=object)) == live


@pytest.mark.parametrize("is_raw", [False, True])
def test_normalize_that_fails_lets_the_call_through_on_both_roads(client, tmp_path, caplog, is_raw):
    """While recording, a failing `normalize` costs a warning and the recording, whichever way the call is made."""
    resource = client.chat.completions.with_raw_response if is_raw else client.chat.completions
    with replay(tmp_path, mode="record-if-missing", normalize=lambda body: 1 / 0) as session:
        assert resource.create(**ASK)
    assert session.recorded == 0
    told = [item.getMessage() for item in caplog.records if item.name == "inferencereplay"]
    assert ["normalize= failed" in message for message in told] == [True]


@pytest.mark.parametrize(
    "settings",
    [
        {"ignore": 5},
        {"ignore": "messages[0].content"},
        {"ignore": "messages.0.content"},
        {"clock": 3},
        {"clock": VirtualClock},
        {"record_errors": "no"},
    ],
)
def test_settings_that_are_none_are_refused(tmp_path, settings):
    """A setting that could never work is told at once, by name."""
    with pytest.raises(InvalidSetting, match=f"{next(iter(settings))}="):
        Session(tmp_path, **settings)


def test_settings_beside_a_session_are_refused_whatever_they_equal(client, tmp_path):
    """A speed of 0 is not taken for one that was not given."""
    with pytest.raises(InvalidSetting, match="speed cannot be given beside a Session"):
        wrap(client, Session(tmp_path), speed=0)


def test_what_a_miss_advises_can_be_done(client, tmp_path):
    """A mode is quoted as the program gave it."""
    with pytest.raises(RecordingNotFound, match="where mode='none' stands"), replay(tmp_path, mode="none"):
        client.chat.completions.create(**ASK)


@pytest.mark.parametrize("is_error", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_how_often_the_sdk_tried_again_is_kept(driver, server, tmp_path, stream, is_error):
    """A raw response or an error, and its request, tell it in replay as they did live, where the SDK tells."""

    def call(client: Any) -> Any:
        return client.with_options(max_retries=2).chat.completions.with_raw_response.create(**ASK, stream=stream)

    def told(made: Any) -> tuple[Any, Any]:
        count = made.http_response.request.headers.get("x-stainless-retry-count")
        return getattr(made, "retries_taken", None), count

    def outcome() -> Any:
        try:
            return told(driver(call))
        except openai.APIStatusError as error:
            return str(error), error.request.headers.get("x-stainless-retry-count")

    good = sse(chunk("a")) if stream else plain(completion("a"))
    failing = Reply(status=500, headers={"retry-after-ms": "1"}, body=b"{}")
    last = plain({"error": {"message": "no"}}, 400) if is_error else good
    server.replies = [failing, failing, last] * 2
    live = outcome()
    assert live[0].startswith("Error code: 400") if is_error else live[0] in (2, None)
    with replay(tmp_path, mode="record"):
        assert outcome() == live
    with replay(tmp_path):
        assert outcome() == live


def test_a_stream_that_was_left_is_stored_when_the_block_ends(client, tmp_path):
    """What nobody holds any more is finished on leaving, however long the garbage collector would take."""
    gc.disable()
    try:
        with replay(tmp_path, mode="record") as session:
            next(client.chat.completions.create(**ASK, stream=True))
            whole = list(client.chat.completions.create(**ASK, stream=True))
        assert session.recorded == 2
    finally:
        gc.enable()
    with replay(tmp_path):
        assert next(client.chat.completions.create(**ASK, stream=True))
        assert list(client.chat.completions.create(**ASK, stream=True)) == whole


def test_answers_do_not_go_into_the_log(driver, server, tmp_path, caplog):
    """An answer that cannot be decoded is recorded as it was, and not quoted in the log."""
    body = event(chunk("a")) + b"data: \xff hunter2\n\n"
    server.replies = [Reply(headers={"content-type": "text/event-stream"}, body=body)]
    with (
        caplog.at_level(logging.DEBUG, "inferencereplay"),
        replay(tmp_path, mode="record"),
        pytest.raises(UnicodeDecodeError),
    ):
        driver.chat(stream=True)
    collect()
    ours = [item.getMessage() for item in caplog.records if item.name == "inferencereplay"]
    assert not [item for item in ours if "hunter2" in item]


def test_a_file_that_changes_behind_its_times_is_read_anew(client, tmp_path):
    """Another answer of the same size and time, as `rsync -t` leaves it, is seen."""
    with replay(tmp_path, mode="record"):
        assert said(client.chat.completions.create(**ASK)) == "answer 1"
    (file,) = tmp_path.rglob("*.json")
    with replay(tmp_path):
        assert said(client.chat.completions.create(**ASK)) == "answer 1"
        before = file.stat()
        file.write_bytes(file.read_bytes().replace(b"answer 1", b"answer 2"))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert said(client.chat.completions.create(**ASK)) == "answer 2"


def test_a_file_that_changes_twice_within_a_tick_is_read_anew(client, tmp_path, monkeypatch):
    """Where the kernel's clock is slow, what has just been read may change and keep its time and size."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    (file,) = tmp_path.rglob("*.json")
    same = (file.stat().st_ctime_ns, file.stat().st_size)
    monkeypatch.setattr("inferencereplay.store.directory.DirectoryStore.stamp", lambda *_: same)
    with replay(tmp_path) as session:
        assert said(client.chat.completions.create(**ASK)) == "answer 1"
        file.write_bytes(file.read_bytes().replace(b"answer 1", b"answer 2"))
        assert said(client.chat.completions.create(**ASK)) == "answer 2"
        monkeypatch.setattr("inferencereplay.session.recording_cache.SETTLED", 0)  # the tick is over
        assert said(client.chat.completions.create(**ASK)) == "answer 2"
        assert len(session._reader._kept) == 1


def test_a_recording_that_cannot_be_looked_at_but_read_is_not_kept(client, tmp_path, monkeypatch):
    """It may become readable between the two."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    monkeypatch.setattr("inferencereplay.store.directory.DirectoryStore.stamp", lambda *_: ())
    with replay(tmp_path) as session:
        assert said(client.chat.completions.create(**ASK)) == "answer 1"
        assert session._reader._kept == {}


def test_a_pipe_in_the_place_of_a_recording_does_not_block(client, tmp_path):
    """It is corrupt, not waited for."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    (file,) = tmp_path.rglob("*.json")
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ValueError, match="cannot be read as a recording"), replay(tmp_path):
        client.chat.completions.create(**ASK)


def test_only_some_recordings_are_kept_in_memory(client, tmp_path, monkeypatch):
    """Decoded recordings are forgotten when there are many, and large ones are not kept at all."""
    monkeypatch.setattr("inferencereplay.session.recording_cache.MOST_KEPT", 2)
    monkeypatch.setattr("inferencereplay.session.recording_cache.SETTLED", 0)
    with replay(tmp_path, mode="record"):
        live = [client.chat.completions.create(**ASK, seed=seed) for seed in range(4)]
    with replay(tmp_path) as session:
        assert [client.chat.completions.create(**ASK, seed=seed) for seed in range(4)] == live
        assert len(session._reader._kept) == 2
    monkeypatch.setattr("inferencereplay.session.recording_cache.LARGEST_KEPT", 10)
    with replay(tmp_path) as session:
        assert client.chat.completions.create(**ASK, seed=0) == live[0]
        assert session._reader._kept == {}


def test_a_body_that_is_there_at_once_is_recorded_whole(driver, tmp_path):
    """If something has read a streamed response before it reaches the caller, it is a whole one all the same."""

    def read(response):
        response.read()

    async def read_async(response):
        await response.aread()

    def call(client):
        client._client.event_hooks = {"response": [read_async if driver.is_async else read]}
        return client.chat.completions.create(**ASK, stream=True)

    with replay(tmp_path, mode="record"):
        live = driver(call)
    assert json.loads(written(tmp_path))["response"]["end"] == "done"
    with replay(tmp_path):
        assert driver.chat(stream=True) == live


def test_a_block_inside_a_decorated_generator_stays_over_a_yield(client, tmp_path):
    """What a generator's body opened and has not left answers on, while the generator's own session steps aside."""
    one, two = tmp_path / "one", tmp_path / "two"
    for directory in (one, two):
        with replay(directory, mode="record"):
            client.chat.completions.create(**ASK)

    @replay(one)
    def steps():
        with replay(two):
            yield said(client.chat.completions.create(**ASK))
            yield said(client.chat.completions.create(**ASK))
        yield said(client.chat.completions.create(**ASK))

    assert list(steps()) == ["answer 2", "answer 2", "answer 1"]


def test_a_context_that_outlives_its_block_is_live(client, server, tmp_path):
    """A task that was started inside and goes on afterwards is answered by no session that is closed."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
        context = contextvars.copy_context()
    made = server.count
    assert context.run(client.chat.completions.create, **ASK)
    with replay(tmp_path):
        assert said(context.run(client.chat.completions.create, **ASK)) == "answer 1"
    assert server.count == made + 1


def test_a_file_that_vanishes_before_it_is_read_is_missing(tmp_path):
    """Between the look at a file and its reading another process may remove it."""

    class Vanishing(DirectoryStore):
        def stamp(self, path, key, variant):
            return (1,)

    assert RecordingCache(Vanishing(tmp_path)).read(Request("POST", "/x", b"null"), "0" * 64, 1) is None


def test_a_link_that_leads_to_itself_is_told(client, tmp_path):
    """A recording that cannot even be looked at is an error with its path, not a miss."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    (file,) = tmp_path.rglob("*.json")
    with pytest.raises(StoreError, match=f"{file.name} cannot be read"), replay(tmp_path):
        file.unlink()
        file.symlink_to(file)
        client.chat.completions.create(**ASK)


@pytest.mark.parametrize("size", [65_000, 65_536, 300_000])
def test_large_recordings_are_read_whole(client, server, tmp_path, size):
    """A file of more than one read, or of just about that, comes back as it is."""
    server.replies = [plain(completion("x" * size))]
    with replay(tmp_path, mode="record"):
        live = client.chat.completions.create(**ASK)
    (file,) = tmp_path.rglob("*.json")
    data = file.read_bytes()
    with replay(tmp_path):
        assert client.chat.completions.create(**ASK) == live
    file.write_bytes(data[:-2] + b" " * (65_536 - len(data)) + data[-2:])
    with replay(tmp_path):
        assert client.chat.completions.create(**ASK) == live


def test_a_llama_stack_file_that_is_removed_is_told(client, tmp_path):
    """What the index knows and the directory has no more is an error that names the file."""
    request = {"method": "POST", "url": "http://x/v1/chat/completions", "body": ASK, "endpoint": "/v1/chat/completions"}
    file = tmp_path / "0123456789ab.json"
    file.write_text(json.dumps({"request": request, "response": {"body": completion("hi"), "is_streaming": False}}))
    with pytest.raises(RecordingCorrupt, match=file.name), replay(tmp_path):
        assert said(client.chat.completions.create(**ASK)) == "hi"
        file.unlink()
        client.chat.completions.create(**ASK)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_asynchronous_stream_s_iterator_can_be_closed(server, client, tmp_path, backend):
    """The iterator inside a stream has the `aclose` that the SDK's own one has, and it closes the response."""
    with replay(tmp_path, mode="record"):
        list(client.chat.completions.create(**ASK, stream=True))

    async def main():
        async with openai.AsyncOpenAI(base_url=server.url) as made:
            stream = await made.chat.completions.create(**ASK, stream=True)
            await stream.__anext__()
            await stream._iterator.aclose()
            assert stream.response.is_closed

    with replay(tmp_path):
        anyio.run(main, backend=backend)


def test_answers_of_a_mocked_transport_are_recorded(tmp_path, caplog):
    """Where a body is there at once, the HTTP library measures no time, and raises if it is asked for it."""
    base_url = "http://mocked/v1"
    library = private.http_library(openai.OpenAI(api_key="k", base_url=base_url, **cheap()))
    transport = library.MockTransport(lambda _: library.Response(200, json=completion("mocked")))
    client = openai.OpenAI(api_key="k", base_url=base_url, http_client=library.Client(transport=transport))
    with replay(tmp_path, mode="record") as session:
        made = client.chat.completions.create(**ASK)
        raw = client.chat.completions.with_raw_response.create(**ASK)
    assert (session.recorded, caplog.text) == (2, "")
    with replay(tmp_path, speed=1) as session:
        assert client.chat.completions.create(**ASK) == made
        assert client.chat.completions.with_raw_response.create(**ASK).text == raw.text
    assert (session.hits, session.timing.chunks) == (2, 0)


async def _unreachable(client):
    with pytest.raises(openai.APIConnectionError) as caught:
        await settle(client.chat.completions.create(**ASK))
    return caught.value


def test_an_error_s_request_does_not_tell_that_it_was_recorded(driver, tmp_path):
    """The request of a connection error has the headers that it has live."""
    names = [set(run(driver, _unreachable, base_url=DEAD).request.headers)]
    for mode in ("record", "replay"):
        with replay(tmp_path, mode=mode, record_errors=True):
            names.append(set(run(driver, _unreachable, base_url=DEAD).request.headers))
    assert names[0] == names[1] == names[2]


def test_secrets_in_headers_of_any_mapping_are_known_in_replay(client, tmp_path):
    """A client's default headers need not be a dict for what was taken out of a request to be found again."""
    secret = "hunter2-correct-horse"
    made = client.with_options(default_headers=types.MappingProxyType({"X-Api-Key": secret}))
    made._custom_headers = types.MappingProxyType(dict(made._custom_headers))  # as the constructor takes it
    with replay(tmp_path, mode="record"):
        made.chat.completions.create(**ASK, user=secret)
    assert secret.encode() not in written(tmp_path)
    with replay(tmp_path) as session:
        made.chat.completions.create(**ASK, user=secret)
        made.chat.completions.with_raw_response.create(**ASK, user=secret)
    assert session.hits == 2


def _azure(driver, server, **options):
    options = {"azure_endpoint": server.url[:-3], "api_version": "2024-10-01", "max_retries": 0, **options}
    make = openai.AsyncAzureOpenAI if driver.is_async else openai.AzureOpenAI
    return make(**options, **cheap(is_async=driver.is_async))


async def _addresses(client):
    made = await settle(client.chat.completions.create(**ASK, stream=True))
    await items(made)
    raw = await settle(client.chat.completions.with_raw_response.create(**ASK))
    await settle(client.close())
    requests = [made.response.request, raw.http_response.request]
    return [(str(request.url), json.loads(request.content)) for request in requests], set(requests[1].headers)


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # older SDKs leave a body at [DONE], live too
@pytest.mark.parametrize("credentials", ["api_key", "azure_ad_token_provider"])
def test_azure_s_requests_have_their_address_in_replay(driver, server, tmp_path, credentials):
    """The request behind a replayed answer has deployment, query and body, also where a token would be fetched."""
    is_key = credentials == "api_key"
    given = {credentials: "opaque-azure-secret" if is_key else lambda: "opaque-azure-secret"}
    facts = []
    for mode in ("live", "record", "replay"):
        with replay(tmp_path, mode=mode):
            facts.append(run(driver, lambda _: _addresses(_azure(driver, server, **given))))
    (live, names), *others = facts
    assert "/openai/deployments/m/chat/completions?api-version=" in live[0][0]
    for addresses, kept in others:
        assert addresses == live
        assert names - kept <= {"authorization", "cookie"}


def test_an_answer_is_replayed_where_no_request_can_be_built(server, tmp_path):
    """A client that fetches its credentials by itself, and fails, is answered all the same."""

    class Fetching(openai.OpenAI):
        @property
        def auth_headers(self):
            return vault()

    def vault():
        return {"Authorization": "Bearer fetched-secret"}

    with Fetching(api_key="x", base_url=server.url, max_retries=0, **cheap()) as client:
        client._auth_headers = lambda *_: vault()  # what newer versions ask
        with replay(tmp_path, mode="record"):
            made = client.chat.completions.with_raw_response.create(**ASK)

        def vault():
            raise OSError("no route to the vault")

        with replay(tmp_path):
            again = client.chat.completions.with_raw_response.create(**ASK)
    assert again.text == made.text
    assert str(again.http_response.request.url) == str(made.http_response.request.url)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_polling_takes_the_pauses_that_the_server_asked_for(client, server, tmp_path, monkeypatch):
    """The header by which a server says when to ask again is kept: the SDK waits as long as it did live."""
    job = {"id": "f", "object": "vector_store.file", "vector_store_id": "v", "created_at": 1, "usage_bytes": 1}
    states = ("in_progress", "in_progress", "completed")
    server.replies = [plain({**job, "status": status}, openai_poll_after_ms="7") for status in states]
    stores = client.vector_stores if hasattr(client, "vector_stores") else client.beta.vector_stores
    pauses = []
    monkeypatch.setattr(type(stores.files), "_sleep", lambda _, seconds: pauses.append(seconds))
    for mode in ("record", "replay"):
        with replay(tmp_path, mode=mode):
            assert stores.files.create_and_poll("f", vector_store_id="v").status == "completed"
    assert pauses == [0.007, 0.007]


SIGNED = (
    "AWS4-HMAC-SHA256 Credential=opaque-id/20260101/us-east-1/bedrock/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6"
)


@pytest.mark.parametrize(
    ("signature", "secrets"),
    [
        (SIGNED, ["5d672d79c15b13162d9279b0855cfba6"]),
        (
            'Digest username="j", response="6629fae49393a05397450978507c4ef1", algorithm=MD5',
            ["6629fae49393a05397450978507c4ef1"],
        ),
        ("Negotiate YIIJvwYGKwYBBQUCoIIJszCCCa8=", ["YIIJvwYGKwYBBQUCoIIJszCCCa8"]),
    ],
)
def test_the_words_of_a_signature_are_no_secrets(server, tmp_path, signature, secrets):
    """Of what signs a request on its way only the values are taken out, or a chat about such words would be missed."""
    chat = "Negotiate the Credential and the Signature of content-type, host, x-amz-date: response, username, algorithm"
    server.replies = [plain(completion(" ".join(secrets)))]
    make = cheap()["http_client"]

    def sign(request):
        request.headers["authorization"] = signature
        return request

    client = openai.OpenAI(api_key="x", base_url=server.url, max_retries=0, http_client=make)
    with client:
        make.auth = sign
        with replay(tmp_path, mode="record"):
            client.chat.completions.create(**ASK, user=chat)
        make.auth = None
        with replay(tmp_path) as session:
            client.chat.completions.create(**ASK, user=chat)
    assert session.hits == 1
    assert chat.encode() in written(tmp_path)
    assert not [secret for secret in secrets if secret.encode() in written(tmp_path)]


def test_what_the_http_client_adds_to_each_request_is_known_in_replay(server, tmp_path):
    """A header or cookie of the HTTP client's own is taken out of requests, and they are found again."""
    said_so = "jane.doe@company.example, oatmeal-cookie"
    with openai.OpenAI(api_key="x", base_url=server.url, max_retries=0, **cheap()) as client:
        client._client.headers["x-auth-user"] = "jane.doe@company.example"
        client._client.cookies.set("taste", "oatmeal-cookie")
        with replay(tmp_path, mode="record"):
            client.chat.completions.create(**ASK, user=said_so)
        with replay(tmp_path) as session:
            client.chat.completions.create(**ASK, user=said_so)
            client.chat.completions.with_raw_response.create(**ASK, user=said_so)
    assert session.hits == 2
    assert b"jane.doe" not in written(tmp_path)
    assert b"oatmeal" not in written(tmp_path)
