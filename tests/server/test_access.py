"""Who may ask."""

from __future__ import annotations

import pytest
from conftest import ASK

CHAT = "/v1/chat/completions"
PAGE = "http://localhost:5173"
KEY = "sk-test-0123456789abcdef"


@pytest.mark.parametrize("header", ["authorization", "api_key", "x_api_key", "x_inferencereplay_key"])
def test_a_key_is_asked_for(recorded, serve, header):
    """In each header in which clients send it; /health and /metrics answer without."""
    served = serve(recorded[0], api_key=KEY)
    value = f"Bearer {KEY}" if header == "authorization" else KEY
    assert served.ask(CHAT, ASK, **{header: value}).status == 200
    for wrong in ({}, {header: "sk-other"}, {header: f"Basic {KEY}"}, {"x-other": KEY}):
        answered = served.ask(CHAT, ASK, **wrong)
        assert (answered.status, answered.error["code"]) == (401, "invalid_api_key")
    assert served.ask("/health", method="GET").status == served.ask("/metrics", method="GET").status == 200
    assert (served.count("hits"), served.count("misses"), served.count("refused")) == (1, 0, 4)


def test_the_key_is_not_passed_on(server, serve, tmp_path):
    """The upstream gets the caller's own key."""
    served = serve(tmp_path, mode="record", upstream=server.url, api_key=KEY)
    served.ask(CHAT, ASK, x_inferencereplay_key=KEY, authorization="Bearer sk-upstream-000000000")
    served.ask(CHAT, ASK, authorization=f"Bearer {KEY}")
    (_, _, first, _), (_, _, second, _) = server.requests
    assert first["authorization"] == "Bearer sk-upstream-000000000"
    assert KEY not in str(first) + str(second)


def test_pages_of_other_origins_may_not_ask(recorded, serve):
    """No header lets the browser give them an answer."""
    served = serve(recorded[0])
    answered = served.ask(CHAT, ASK, origin=PAGE)
    assert not [name for name in answered.headers if name.startswith("access-control")]
    answered = served.ask(CHAT, method="OPTIONS", origin=PAGE, access_control_request_method="POST")
    assert (answered.status, "--cors" in answered.error["message"]) == (405, True)
    assert (served.count("misses"), served.count("refused")) == (0, 1)


@pytest.mark.parametrize("cors", [[PAGE], [f"{PAGE}/", "http://other"], ["*"]])
def test_a_page_whose_origin_is_named_may_ask(recorded, serve, cors):
    """The browser asks before, and then gets the answer, and an error."""
    served = serve(recorded[0], cors=cors)
    asked = {
        "access_control_request_method": "POST",
        "access_control_request_headers": "authorization, x-stainless-lang",
    }
    answered = served.ask(CHAT, method="OPTIONS", origin=PAGE, **asked)
    assert answered.status == 204
    assert answered.headers["access-control-allow-methods"] == "POST"
    assert answered.headers["access-control-allow-headers"] == "authorization, x-stainless-lang"
    for body in (ASK, {}):
        assert served.ask(CHAT, body, origin=PAGE).headers["access-control-allow-origin"] == PAGE
    other = served.ask(CHAT, ASK, origin="http://evil.example")
    assert ("access-control-allow-origin" in other.headers) == (cors == ["*"])
    assert "access-control-allow-origin" not in served.ask(CHAT, ASK).headers
