"""Long images within JSON: beside the recording, and back to the byte."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
from conftest import HAS_RESPONSES, plain, sse
from ways import DEAD, facts, items, run, settle

from inferencereplay import RecordingCorrupt, replay
from inferencereplay.recording import base64_parts
from inferencereplay.recording.format import Response
from inferencereplay.recording.side_file import side_file

IMAGE = b"\x89PNG\r\n\x1a\n" + random.Random(2).randbytes(100_001)
TEXT = base64.b64encode(IMAGE).decode()


async def generate(client: Any) -> Any:
    return facts(await settle(client.images.generate(prompt="A fox", model="m")))


def answer(*texts: str) -> Any:
    return plain({"created": 1, "data": [{"b64_json": text} for text in texts]})


def test_an_image_is_beside_the_recording_and_comes_back(driver, server, tmp_path):
    """What people read has its ending; the image can be looked at."""
    server.replies = [answer(TEXT, "c21hbGw=")]
    with replay(tmp_path, mode="record"):
        live = run(driver, generate)
    (side,) = tmp_path.rglob("*.png")
    (file,) = tmp_path.rglob("*.json")
    recording = json.loads(file.read_text())
    assert side.read_bytes() == IMAGE
    assert file.stat().st_size < 2_000
    ending = recording["response"]["base64"][0]["ending"]
    assert [item["b64_json"] for item in recording["response"]["body"]["data"]] == [ending, "c21hbGw="]
    for _ in range(2):
        with replay(tmp_path):
            assert run(driver, generate, base_url=DEAD) == live
    side.write_bytes(IMAGE[:-1])
    with pytest.raises(RecordingCorrupt, match=side.name.replace(".", r"\.")), replay(tmp_path):
        run(driver, generate, base_url=DEAD)


def test_streamed_images(driver, server, tmp_path):
    """Each event has its own; one that comes twice is one file."""
    events = [
        {"type": "image_generation.partial_image", "b64_json": TEXT, "partial_image_index": 0},
        {"type": "image_generation.completed", "b64_json": TEXT},
    ]
    server.replies = [sse(*events)]

    async def way(client: Any) -> Any:
        if HAS_RESPONSES:
            return facts(await items(await settle(client.images.generate(prompt="x", model="m", stream=True))))
        made = await settle(client.images.with_raw_response.generate(prompt="x", model="m"))
        return made.text

    with replay(tmp_path, mode="record"):
        live = run(driver, way)
    assert len(list(tmp_path.rglob("*.png"))) == HAS_RESPONSES
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live


@pytest.mark.parametrize(
    "text",
    [
        "A" * 100_000,
        TEXT[: len(TEXT) - len(TEXT) % 4 - 1],
        TEXT[:-1] + "!",
        TEXT[:-4] + "AB==",
        TEXT[: base64_parts.LONGEST],
        TEXT + side_file(IMAGE, "").ending,
    ],
    ids=["no image", "no padding", "no Base64", "unused bits", "short", "more behind it"],
)
def test_what_would_not_come_back_stays(text):
    """Or what is not long, or none of the known kinds."""
    raw = json.dumps({"a": text}).encode()
    response = Response(body=raw)  # type: ignore[arg-type]
    base64_parts.take_out(response)
    assert (bytes(response.body), response.base64) == (raw, [])


def test_the_prefix_of_a_url_stays(tmp_path):
    """What is before the content says what it is."""
    raw = json.dumps({"url": f"data:image/png;base64,{TEXT}", "more": [TEXT]}).encode()
    response = Response(body=raw)  # type: ignore[arg-type]
    base64_parts.take_out(response)
    ending = side_file(IMAGE, "").ending
    assert json.loads(bytes(response.body)) == {"url": f"data:image/png;base64,{ending}", "more": [ending]}
    base64_parts.put_back(response)
    assert bytes(response.body) == raw


def test_text_in_an_image_is_redacted(driver, server, tmp_path, cli):
    """A document may be all text; the recording names the safe one."""
    token = "sk-proj-" + "a1B2c3D4e5F6" * 4
    document = b"%PDF-1.4\n" + b"a line\n" * 9_000 + token.encode()
    server.replies = [answer(base64.b64encode(document).decode())]
    with replay(tmp_path, mode="record"):
        run(driver, generate)
    (side,) = tmp_path.rglob("*.pdf")
    safe = document.replace(token.encode(), b"[REDACTED]")
    assert side.read_bytes() == safe
    assert cli("check", tmp_path).status == 0
    with replay(tmp_path):
        replayed = run(driver, generate, base_url=DEAD)
    assert base64.b64encode(safe).decode() in str(replayed)
