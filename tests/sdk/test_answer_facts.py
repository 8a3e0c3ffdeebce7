"""What an answer tells beside its content: its request, address, headers, charset, retries and pauses."""

from __future__ import annotations

import json
from typing import Any

import anyio
import openai
import pytest
from conftest import ASK, Reply, cheap, chunk, completion, plain, sse
from ways import DEAD, items, run, settle

from inferencereplay import (
    RecordingCorrupt,
    replay,
)
from inferencereplay.sdk import private


def test_a_stream_whose_response_was_read_can_be_iterated(client, tmp_path):
    """Reading a stream's response as a whole first gives the same chunks afterwards, as it does live."""
    with replay(tmp_path, mode="record"):
        live = list(client.chat.completions.create(**ASK, stream=True))
    with replay(tmp_path):
        stream = client.chat.completions.create(**ASK, stream=True)
        stream.response.read()
        assert list(stream) == live


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
    assert session.recorded + bool(charset == "IDNA") == 1
    assert len(list(tmp_path.rglob("*.txt"))) == (charset in ("punycode", '"punycode"'))


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


def written(directory):
    return b"".join(file.read_bytes() for file in directory.rglob("*.json"))


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
        added = {"api-key"} if openai.__version__ < "2" else set()  # openai 1.x adds it while it sends
        assert names - kept <= {"authorization", "cookie", *added}


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


def test_the_url_of_a_raw_answer_has_the_client_s_query(client, server, tmp_path):
    """A query that the client adds to each request is in the URL that the program sees, as live."""
    asking = client.with_options(default_query={"api-version": "1"})

    def url() -> str:
        return str(asking.chat.completions.with_raw_response.create(**ASK).http_response.request.url)

    with replay(tmp_path, mode="record"):
        live = url()
    with replay(tmp_path):
        assert url() == live
    assert live.endswith("?api-version=1")
