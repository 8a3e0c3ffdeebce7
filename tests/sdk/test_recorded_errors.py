"""Errors that a server or the network answers: which are recorded, and that they come back as what they were."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from conftest import ASK, Reply, plain
from ways import ANSWER, DEAD, create, error_facts, failing, run, settle

from inferencereplay import replay


def _error(status: int) -> Reply:
    body = {"error": {"message": f"no {status}", "type": "x", "param": "p", "code": "c"}}
    return plain(body, status)


async def _failing_stream(client: Any) -> Any:
    with pytest.raises(openai.APIError) as caught:
        await settle(client.chat.completions.create(**ASK, stream=True))
    return error_facts(caught.value)


async def _failing_raw(client: Any) -> Any:
    with pytest.raises(openai.APIError) as caught:
        await settle(client.chat.completions.with_raw_response.create(**ASK))
    return error_facts(caught.value)


async def _failing_streaming(client: Any) -> Any:
    with pytest.raises(openai.APIError) as caught:
        manager = client.chat.completions.with_streaming_response.create(**ASK)
        if hasattr(manager, "__aenter__"):
            await manager.__aenter__()
        else:
            manager.__enter__()
    return error_facts(caught.value)


FAILING = [failing, _failing_stream, _failing_raw, _failing_streaming]


@pytest.mark.parametrize("way", FAILING)
@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_an_error_that_will_repeat_is_recorded(driver, server, tmp_path, way, status):
    """A 400 and its like come back as the same exception with the same facts."""
    server.renumber(_error(status))
    live = run(driver, way)
    server.renumber(_error(status))
    with replay(tmp_path, mode="record"):
        assert run(driver, way) == live
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live
        assert run(driver, way, base_url=DEAD, max_retries=3) == live


@pytest.mark.parametrize("status", [401, 403, 408, 409, 429, 500, 503])
def test_an_error_that_passes_is_not_recorded_unless_asked_for(driver, server, tmp_path, caplog, status):
    """A 503 and its like are passed on, logged, and stored only with record_errors=True."""
    server.renumber(_error(status))
    with replay(tmp_path, mode="record") as session:
        live = run(driver, failing)
    assert session.recorded == 0
    assert "record_errors=True" in caplog.text
    assert not list(tmp_path.rglob("*.json"))
    server.renumber(_error(status))
    with replay(tmp_path, mode="record", record_errors=True):
        assert run(driver, failing) == live
    with replay(tmp_path):
        assert run(driver, failing, base_url=DEAD) == live


def test_an_error_whose_body_is_no_json_comes_back(driver, server, tmp_path):
    """A proxy's HTML page is an error like any other."""
    page = Reply(400, {"content-type": "text/html; charset=utf-8"}, "<h1>Bäd</h1>".encode())
    server.renumber(page)
    live = run(driver, failing)
    server.renumber(page)
    with replay(tmp_path, mode="record"):
        assert run(driver, failing) == live
    with replay(tmp_path):
        assert run(driver, failing, base_url=DEAD) == live


def test_a_refused_connection_is_stored_only_with_record_errors(driver, tmp_path, caplog):
    """A connection that fails is logged; with record_errors=True it is stored and comes back as what it was."""
    live = run(driver, failing, base_url=DEAD)
    assert live[0] is openai.APIConnectionError
    with replay(tmp_path, mode="record") as session:
        assert run(driver, failing, base_url=DEAD) == live
    assert session.recorded == 0
    assert "was not recorded" in caplog.text
    with replay(tmp_path, mode="record", record_errors=True) as session:
        assert run(driver, failing, base_url=DEAD) == live
    assert session.recorded == 1
    with replay(tmp_path):
        assert run(driver, failing) == live


def test_a_timeout_is_stored_only_with_record_errors(driver, server, tmp_path):
    """A server that is too slow comes back as APITimeoutError."""
    server.replies = [Reply(pieces=[(0.4, b"{}")]), Reply(pieces=[(0.4, b"{}")])]
    with replay(tmp_path, mode="record") as session:
        live = run(driver, failing, timeout=0.05)
    assert live[0] is openai.APITimeoutError
    assert session.recorded == 0
    with replay(tmp_path, mode="record", record_errors=True):
        assert run(driver, failing, timeout=0.05) == live
    with replay(tmp_path):
        assert run(driver, failing) == live


def test_retries_happen_below_the_recording(driver, server, tmp_path):
    """A 429 and then a 200 are one call and one recording: the 200."""
    busy = Reply(429, {"content-type": "application/json", "retry-after-ms": "1"}, b"{}")
    server.replies = [busy, ANSWER]
    with replay(tmp_path, mode="record") as session:
        made = run(driver, create, max_retries=2)
    assert (session.recorded, server.count) == (1, 2)
    with replay(tmp_path):
        assert run(driver, create, base_url=DEAD) == made


def test_a_body_that_breaks_is_retried_as_without_recording(driver, server, tmp_path):
    """Where the caller does not read the body itself, the SDK's retries cover it while recording as well."""
    server.replies = [Reply(body=b'{"id":', is_cut=True), ANSWER]
    with replay(tmp_path, mode="record") as session:
        made = run(driver, create, max_retries=2)
    assert made[1].choices[0].message.content == "Äh 😀"
    assert (session.recorded, server.count) == (1, 2)


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
