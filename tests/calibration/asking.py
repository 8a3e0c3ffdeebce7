"""Requests of runs, made for tests."""

from __future__ import annotations

import datetime

from inferencereplay.calibration.recorded_run import Asked
from inferencereplay.recording.request import Request, canonical_json

START = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.timezone.utc)


def asked(body, second=0, *, path="/chat/completions", query=None, said=(), name=""):
    """Make a request that was sent at a second of its run."""
    request = Request("POST", path, canonical_json(body), query or {})
    at = START + datetime.timedelta(seconds=second)
    return Asked(name or f"{request.key[:8]}.json", at, request, body, tuple(said))


def chat(text, **more):
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def run(*bodies):
    """Make the requests of a run, one after the other."""
    return [asked(body, second) for second, body in enumerate(bodies)]
