"""`recorded.at`: when the request was sent, in microseconds."""

from __future__ import annotations

import json
import re
import time

import openai
import pytest
from conftest import ASK, Driver, Reply, Server, chunk, completion, plain, sse

from inferencereplay import replay
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.sdk import private

ROUNDING = 1e-5
"""Seconds that two readings of one moment may differ by."""


class Stamping(Server):
    """A server that notes when each request arrived, Unix time."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        super().__init__()

    def _answer(self, handler):
        self.arrivals.append(time.time())
        super()._answer(handler)


@pytest.fixture
def stamping():
    server = Stamping()
    yield server
    server.stop()


@pytest.fixture
def stamped(stamping, driver):
    """Return a way to make calls of the stamping server."""
    return Driver(driver.kind, stamping.url)


def sent(directory):
    """Return when the requests of a directory were sent, Unix time, in order."""
    return sorted(entry.recorded_at.timestamp() for entry in Catalogue(directory).entries())


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_a_recording_says_when_its_request_was_sent(stamped, stamping, tmp_path, is_stream):
    """Not when the answer came, nor when it was stored."""
    slow = sse(chunk("a"), chunk(None, "stop"), pause=0.1) if is_stream else Reply(pieces=[(0.2, b"{}")])
    stamping.replies = [slow]
    before = time.time()
    with replay(tmp_path, mode="record"):
        stamped(lambda client: client.chat.completions.create(**ASK, stream=is_stream))
    (at,) = sent(tmp_path)
    assert before - ROUNDING <= at <= stamping.arrivals[0] + ROUNDING


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("status", [200, 400])
def test_after_retries_it_is_the_attempt_that_was_answered(stamped, stamping, tmp_path, status, is_stream):
    """Offsets count from the same moment, if the HTTP library tells it; otherwise both count from the first attempt."""
    busy = Reply(429, {"content-type": "application/json", "retry-after-ms": "200"}, b"{}")
    good = sse(chunk("a"), chunk(None, "stop")) if is_stream else plain(completion("a"))
    stamping.replies = [busy, good if status == 200 else plain({"error": {"message": "no"}}, status)]
    told = []

    def call(client):
        told.append(private.http_library(client).__version__ >= "0.28")
        return client.chat.completions.create(**ASK, stream=is_stream)

    with replay(tmp_path, mode="record"):
        if status == 200:
            stamped(call, max_retries=1)
        else:
            with pytest.raises(openai.BadRequestError):
                stamped(call, max_retries=1)
    (at,) = sent(tmp_path)
    first, last = stamping.arrivals
    assert (first if told[0] else 0) < at <= (last if told[0] else first) + ROUNDING


def test_a_burst_is_kept(stamped, stamping, tmp_path):
    """Calls within one second have different times, in their order, always written with six digits."""
    with replay(tmp_path, mode="record"):
        stamped(lambda client: client.models.list())
        stamped(lambda client: client.chat.completions.create(**ASK))
        stamped(lambda client: client.chat.completions.create(**ASK, user="b"))
    times = sent(tmp_path)
    assert all(
        at <= arrival + ROUNDING and (index == 0 or stamping.arrivals[index - 1] < at)
        for index, (at, arrival) in enumerate(zip(times, stamping.arrivals, strict=True))
    )
    for file in tmp_path.rglob("*.json"):
        at = json.loads(file.read_text())["recorded"]["at"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", at)
    assert not any(entry.is_coarse for entry in Catalogue(tmp_path).entries())
