"""The application in servers that are not ours: only ASGI's own messages reach it."""

from __future__ import annotations

import asyncio
import json

import pytest
from conftest import ASK, chunk, sse

from inferencereplay import InvalidSetting, VirtualClock, replay
from inferencereplay.server import app

LEFT = {"type": "http.disconnect"}


def drive(application, scope, *messages):
    """Run the application with some messages; return what it sends."""
    sent, waiting = [], list(messages)

    async def receive():
        if not waiting:
            await asyncio.sleep(60)
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    async def main():
        await application(scope, receive, send)
        await application.close()

    asyncio.run(main())
    return sent


def post(body, path="/chat/completions"):
    """Return the scope and the messages of a request, in two parts."""
    content = json.dumps(body).encode()
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
    first = {"type": "http.request", "body": content[:5], "more_body": True}
    return scope, first, {"type": "http.request", "body": content[5:]}


def test_it_follows_the_life_of_its_server(tmp_path):
    """ASGI's lifespan."""
    sent = drive(app(tmp_path), {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_faults_are_refused(tmp_path):
    """They are for calls of the SDK, and would be left out in silence."""
    with pytest.raises(InvalidSetting, match="A server injects none"):
        app(tmp_path, faults="status(429)")


def test_an_upstream_that_was_never_asked_is_closed(tmp_path):
    """Nothing was opened for it."""
    application = app(tmp_path, mode="record", upstream="http://localhost/v1")
    assert drive(application, {"type": "lifespan"}, {"type": "lifespan.shutdown"})


def test_an_answer_in_asgis_messages(recorded):
    """Without the path as it was sent, which not every server gives."""
    start, body = drive(app(recorded[0]), *post(ASK))
    assert (start["status"], b"answer 1" in body["body"], body["more_body"]) == (200, True, False)


@pytest.mark.parametrize("speed", [float("inf"), 100])
def test_an_answer_that_breaks_has_no_end(recorded, speed):
    """The server sees that the length is wrong, and breaks the connection."""
    directory, _ = recorded
    (file,) = directory.rglob("*.json")
    held = json.loads(file.read_text())
    held["response"] = {"status": 0, "headers": {}, "failure": {"type": "ConnectError"}}
    file.write_text(json.dumps(held))
    start, body = drive(app(directory, speed=speed), *post(ASK))
    assert (start["headers"], body["body"], body["more_body"]) == ([(b"content-length", b"1")], b"", True)


def test_a_stream_in_time_ends_when_its_client_leaves(client, server, tmp_path):
    """Whatever else the server tells before."""
    server.replies = [sse(chunk("a"), chunk("b"))]
    with replay(tmp_path, mode="record"):
        list(client.chat.completions.create(**ASK, stream=True))
    (file,) = tmp_path.rglob("*.json")
    held = json.loads(file.read_text())
    held["response"]["offsets"] = [0, 60]
    file.write_text(json.dumps(held))
    application = app(tmp_path, speed=1)
    late = {"type": "http.request", "body": b""}
    sent = drive(application, *post({**ASK, "stream": True}), late, LEFT)
    assert sent[0]["type"] == "http.response.start"
    assert application.metrics.total("streams_open") == 0


def test_a_virtual_clock_counts_from_its_own_time(recorded):
    """The time of the request is one of the system's clock."""
    directory, _ = recorded
    application = app(directory, speed=1, clock=VirtualClock())
    assert drive(application, *post(ASK))[0]["status"] == 200


def test_a_client_that_leaves_before_its_request_is_complete(tmp_path):
    """Gets no answer."""
    scope, first, _ = post(ASK)
    assert drive(app(tmp_path), scope, first, LEFT) == []
