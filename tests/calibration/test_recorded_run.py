"""The requests of a run, read from its recordings."""

from __future__ import annotations

from conftest import ASK, chunk, completion, plain, sse

from inferencereplay import replay
from inferencereplay.calibration import recorded_run
from inferencereplay.calibration.recorded_run import read_run
from inferencereplay.catalogue.entries import Catalogue, Unreadable


def test_requests_and_the_texts_of_their_answers(client, server, tmp_path):
    """Plain and streamed alike: also a text that came in pieces, and ids; the longest first."""
    server.renumber(
        plain(completion("It is sunny.", id="chatcmpl-first")),
        sse(chunk("It rains"), chunk(" a lot."), chunk(None, "stop")),
    )
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
        list(client.chat.completions.create(**ASK, stream=True))
    (tmp_path / "chat/completions" / f"{'0' * 32}.json").write_text("torn")
    items = list(read_run(Catalogue(tmp_path).scan()))
    (torn,) = (item for item in items if isinstance(item, Unreadable))
    assert torn.name.endswith("000.json")
    first, second = sorted((item for item in items if item is not torn), key=lambda item: item.at)
    assert first.body == {**first.body, **ASK}
    assert {"It is sunny.", "chatcmpl-first"} <= set(first.said)
    assert "It rains a lot." in second.said
    assert list(second.said) == sorted(second.said, key=len, reverse=True)


def test_short_and_huge_texts_are_left_out(client, server, tmp_path, monkeypatch):
    """They occur by chance, or take too long to look for."""
    server.renumber(plain(completion("No", id="x" * 30)))
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    monkeypatch.setattr(recorded_run, "LONGEST_SAID", 20)
    (item,) = read_run(Catalogue(tmp_path).scan())
    assert not {"No", "x" * 30} & set(item.said)
    assert "assistant" in item.said
