"""The sizes that commands tell: those of recordings with their side files."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Reply, plain

from inferencereplay import replay
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.cli import terminal
from inferencereplay.report import build_report
from inferencereplay.report.described import describe

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = base64.b64encode(b"\x89PNG\r\n" + bytes(60_000)).decode()


@pytest.fixture
def kept(client: Any, server: Any, tmp_path: Path) -> Path:
    """Record an answer that is bytes, and one that names an image twice."""
    server.replies = [
        Reply(headers={"content-type": "audio/mpeg"}, body=b"\xff\xfb" * 5_000),
        plain({"created": 1, "data": [{"b64_json": IMAGE}, {"b64_json": IMAGE}]}),
    ]
    with replay(tmp_path, mode="record"):
        client.audio.speech.create(model="m", voice="alloy", input="Hi")
        client.images.generate(model="m", prompt="A fox")
    return tmp_path


def test_sizes_are_what_the_directory_takes(kept, cli):
    """In each command and in the report; pruning makes so many bytes free."""
    files = [file for file in kept.rglob("*") if file.is_file()]
    assert len(files) == 4
    whole = sum(file.stat().st_size for file in files)
    rows = json.loads(cli("list", kept, "--json").out)
    assert sum(row["bytes"] for row in rows) == whole
    assert json.loads(cli("stats", kept, "--json").out)["all"]["bytes"] == whole
    for entry in Catalogue(kept).entries():
        assert describe(entry)[0]["size"] == entry.whole_size > entry.size
        assert terminal.size(entry.whole_size) in cli("show", kept / entry.name).out
    assert f'"bytes":{whole}' in build_report(kept).decode().replace(" ", "")
    for options in ([], ["--yes"]):
        assert f"2 recordings, {terminal.size(whole)}." in cli("prune", kept, "--older-than", "0s", *options).err
    assert not any(file.exists() for file in files)
