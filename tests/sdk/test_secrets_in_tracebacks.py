"""Tracebacks that show the values of variables, as `pytest -l` and rich make them: no frame of ours shows a key."""

from __future__ import annotations

import base64
import traceback

import openai
import pytest
from conftest import ASK
from ways import DEAD

from inferencereplay import InferenceReplayError, replay

KEY = "sk-tracebacks-0123456789abcdefghij"
FORMS = (KEY, KEY[3:20], base64.b64encode(KEY.encode()).decode()[:20])


def shown_by_us(error):
    """Return what the frames of the package show of their variables, along the chain of causes."""
    found = []
    while error is not None:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        found += [str(frame.locals) for frame in told.stack if "/inferencereplay/" in frame.filename.replace("\\", "/")]
        error = error.__cause__ or error.__context__
    return found


def fails(_):
    raise ValueError(_["model"])


@pytest.mark.parametrize("way", ["plain", "stream", "raw"])
@pytest.mark.parametrize(
    ("settings", "errors"),
    [
        ({"mode": "replay"}, InferenceReplayError),
        ({"mode": "record"}, openai.APIError),
        ({"mode": "record-if-missing"}, openai.APIError),
        ({"mode": "replay", "normalize": fails}, InferenceReplayError),
    ],
    ids=["miss", "record", "record-if-missing", "normalize"],
)
def test_no_frame_of_ours_shows_the_key(tmp_path, settings, errors, way):
    """A miss, a call that fails while it is recorded, and a setting that fails."""
    with openai.OpenAI(api_key=KEY, base_url=DEAD, max_retries=0) as client:
        create = client.chat.completions.with_raw_response.create if way == "raw" else client.chat.completions.create
        with pytest.raises(errors) as caught, replay(tmp_path, **settings):
            create(**ASK, stream=way == "stream")
    shown = shown_by_us(caught.value)
    assert len(shown) > 1
    assert [form for form in FORMS for text in shown if form in text] == []
