"""`show` and `play`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from editing import edit
from replies import Reply

from inferencereplay import replay
from inferencereplay.pacing.clocks import VirtualClock

GIVEN = Path(__file__).parents[1] / "recordings" / "llama_stack"
STORY, CAPITAL = "40fcf34a", "1c45e93e"
TOOL_CALL = GIVEN / "hist-0806aef47037~ec433c7d.json"


@pytest.fixture
def clock(monkeypatch):
    """Let recorded time pass at once."""
    clock = VirtualClock()
    monkeypatch.setattr("inferencereplay.cli.showing.SYSTEM_CLOCK", clock)
    return clock


def test_a_conversation_as_a_person_reads_it(cli, shelf):
    """What was asked and answered, the settings, the timing and a line of gaps."""
    done = cli("show", STORY, "--dir", shelf)
    assert done.status == 0
    assert done.out.startswith("POST /chat/completions  SmolLM2-135M-Instruct.Q4_1\n")
    assert "settings  max_tokens=120, stream=true, temperature=0" in done.out
    assert "\nuser\nTell me a story" in done.out
    assert "\nassistant  answer, stop\nAs the sun dipped" in done.out
    assert "timing  first token 584 ms, total 2.41 s, about 51.0 tokens/s" in done.out
    assert "▃" in done.out.splitlines()[-1]
    assert done.out.endswith("longest 42 ms\n")


def test_a_plain_answer(cli, shelf):
    """Tokens and duration."""
    done = cli("show", CAPITAL, "--dir", shelf)
    assert "The capital of France is Paris." in done.out
    assert "tokens  43 in, 31 cached, 8 out" in done.out
    assert "timing  total 242 ms, 33.1 tokens/s" in done.out


def test_a_count_of_nothing_is_a_count(cli, shelf):
    """What the server counted as none is shown, what it did not count is not."""
    (file,) = shelf.rglob(f"{CAPITAL}*.json")
    data = json.loads(file.read_text(encoding="utf-8"))
    data["response"]["body"]["usage"] = {"prompt_tokens": 3, "completion_tokens": 0}
    file.write_text(json.dumps(data), encoding="utf-8")
    assert "\ntokens  3 in, 0 out\n" in cli("show", CAPITAL, "--dir", shelf).out


def test_a_tool_call_is_put_together(cli):
    """Tools, the call with its arguments, and that no timing was recorded."""
    done = cli("show", TOOL_CALL)
    assert "tool  get_weather  Get the current weather" in done.out
    assert '→ get_weather({"location": "San Francisco, CA"})' in done.out
    assert "timing  not recorded" in done.out


def test_everything_that_was_given(cli):
    """Every recording can be shown, errors and vectors among them."""
    shown = "".join(cli("show", file).out for file in sorted(GIVEN.glob("*.json")))
    assert "error 400  " in shown
    assert "error  APIConnectionError: Connection error." in shown
    assert "vector of" in shown


def test_names_thoughts_pictures_and_several_answers(cli, shelf):
    """Whatever a message may hold has its place."""
    file = edit(
        shelf,
        CAPITAL,
        messages=[
            {"role": "user", "name": "ann", "content": [{"type": "image_url", "image_url": {"url": "http://x/y"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "42"},
            {"content": "nobody"},
        ],
        choices=[
            {"index": 0, "message": {"role": "assistant", "reasoning": "hm", "content": "a"}, "finish_reason": "stop"},
            {"index": 1, "message": {"role": "assistant", "content": "b"}},
        ],
    )
    out = cli("show", file).out
    assert "\nuser (ann)\n[image_url] http://x/y\n" in out
    assert "\ntool call_1\n42\n" in out
    assert "\n?\nnobody\n" in out
    assert "\nassistant  answer 0, stop\nhm\na\n" in out
    assert "\nassistant  answer 1\nb\n" in out


def test_a_stream_that_was_left(cli, shelf, clock):
    """It is shown and played as far as it goes, and said to be incomplete."""
    file = edit(shelf, STORY, end="closed")
    assert "incomplete  the program that was recorded stopped reading here" in cli("show", file).out
    played = cli("play", file)
    assert played.status == 1
    assert "stopped reading here" in played.err


def test_the_file_the_request_and_the_chunks(cli, shelf):
    """As JSON, as it is, and with the time of each chunk."""
    (file,) = shelf.rglob("40fc*.json")
    assert cli("show", file.relative_to(shelf), "--dir", shelf, "--request").out.startswith("{\n")
    request = json.loads(cli("show", STORY, "--dir", shelf, "--request").out)
    assert request["stream"] is True
    lines = cli("show", STORY, "--dir", shelf, "--chunks").out.splitlines()
    assert len(lines) == 95
    assert lines[0].startswith("    0   0.584259 +0.584259  {")
    assert lines[2].startswith("    2   0.597677 +0.013418  {")
    assert cli("show", TOOL_CALL, "--chunks").out.startswith('    0   {"id"')
    assert "has no chunks" in cli("show", CAPITAL, "--dir", shelf, "--chunks").err


def test_named_events_stand_with_their_chunks(cli, shelf):
    """As the Responses API sends them."""
    file = edit(shelf, STORY, offsets=[0.1, 0.2], chunks=[{}, {}], events=["response.created", None])
    lines = cli("show", file, "--chunks").out.splitlines()
    assert lines[0].endswith("response.created {}")
    assert lines[1].endswith("+0.100000  {}")


def test_raw_is_the_file_itself(shelf, capfdbinary, monkeypatch):
    """Byte for byte in a pipe."""
    from inferencereplay.cli import main  # noqa: PLC0415

    (file,) = shelf.rglob("1c45*.json")
    for arguments in ([str(file)], [CAPITAL, "--dir", str(shelf)]):
        assert main(["show", *arguments, "--raw"]) == 0
        assert capfdbinary.readouterr().out == file.read_bytes()


def test_a_prefix_that_is_ambiguous_lists_what_it_may_mean(cli, shelf):
    """And ends with 2, as does one that means nothing."""
    (file,) = shelf.rglob("40fc*.json")
    file.with_name("40fc" + "0" * 28 + ".json").write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    done = cli("show", "40fc", "--dir", shelf)
    assert done.status == 2
    assert "2 recordings begin with '40fc'" in done.err
    assert done.err.count("chat/completions/40fc") == 2
    assert cli("show", "ffff", "--dir", shelf).status == 2


def test_play_takes_its_time(cli, shelf, clock):
    """At its own pace, faster, or at once; text comes as it was said."""
    played = cli("play", STORY, "--dir", shelf)
    assert played.status == 0
    assert played.out.startswith("As the sun dipped")
    assert clock.time == pytest.approx(2.39, abs=0.1)
    before = clock.time
    assert cli("play", STORY, "--dir", shelf, "--speed", "10").out == played.out
    assert clock.time - before == pytest.approx(0.239, abs=0.01)
    before = clock.time
    assert cli("play", STORY, "--dir", shelf, "--speed", "inf").out == played.out
    assert clock.time == before
    assert cli("play", CAPITAL, "--dir", shelf).out == "The capital of France is Paris.\n"
    assert clock.time - before == pytest.approx(0.241706)


def test_play_without_timing(cli, clock):
    """A pace can be given, and that there is none is said."""
    done = cli("play", TOOL_CALL)
    assert "No timing was recorded" in done.err
    assert done.out == 'get_weather{"location": "San Francisco, CA"}\n'
    paced = cli("play", TOOL_CALL, "--pace", "0.5", "0.1")
    assert (paced.out, paced.err) == (done.out, "")
    assert clock.time > 0.5
    assert cli("play", TOOL_CALL, "--pace", "-1", "0").status == 2
    assert cli("play", TOOL_CALL, "--speed", "0").status == 2


def test_play_of_what_is_no_text(cli, clock):
    """A plain tool call, vectors, an error."""
    assert cli("play", GIVEN / "meta-35db283fef1d.json").out == 'get_weather({"city":"Tokyo"})\n'
    (vectors,) = GIVEN.glob("hist-225b*")
    assert cli("play", vectors).out == "1 vector of 768 dimensions\n"
    (error,) = GIVEN.glob("hist-1a00*")
    done = cli("play", error)
    assert (done.status, done.err.splitlines()[-1]) == (1, "APIConnectionError: Connection error.")


SOUND = b"\xff\xfb" + bytes(4_000)


@pytest.fixture
def sound(server, client, tmp_path):
    """The file of a recording of a sound, which was read in pieces."""
    server.replies = [Reply(headers={"content-type": "audio/mpeg"}, body=SOUND)]
    speech = client.audio.speech.with_streaming_response
    with replay(tmp_path / "sounds", mode="record"), speech.create(model="m", voice="v", input="Hi") as response:
        assert b"".join(response.iter_bytes(1_000)) == SOUND
    (file,) = (tmp_path / "sounds").rglob("*.json")
    return file


def test_a_sound_is_played_into_a_pipe(sound, clock, capfdbinary):
    """Byte for byte, at its time; without timing at once."""
    from inferencereplay.cli import main  # noqa: PLC0415

    assert main(["play", str(sound)]) == 0
    assert capfdbinary.readouterr().out == SOUND
    assert clock.time > 0
    assert main(["play", str(sound), "--speed", "inf"]) == 0
    assert capfdbinary.readouterr().out == SOUND


def test_a_terminal_is_told_which_sound_it_is(cli, sound, clock, monkeypatch):
    """Its bytes would do harm there."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    done = cli("play", sound)
    assert done.out.startswith("4,002 bytes, ")
    assert done.out.endswith(".mp3\n")


def test_thoughts_and_words_are_played_apart(cli, shelf):
    """The first answer only."""

    def delta(index, **said):
        return {"choices": [{"index": index, "delta": said}]}

    chunks = [delta(0, reasoning="h"), delta(1, content="X"), delta(0, reasoning="m"), delta(0, content="Hi")]
    file = edit(shelf, STORY, offsets=[], chunks=chunks)
    assert cli("play", file, "--speed", "inf").out == "hm\n\nHi\n"
    assert cli("play", edit(shelf, STORY, offsets=[], chunks=[]), "--speed", "inf").out == "\n"


def test_a_directory_with_a_tilde(cli, shelf, monkeypatch):
    """As INFERENCEREPLAY_DIR may have it, which no shell has expanded."""
    monkeypatch.setenv("HOME", str(shelf.parent))
    monkeypatch.setenv("INFERENCEREPLAY_DIR", "~/shelf")
    (file,) = shelf.rglob(f"{STORY}*.json")
    assert cli("show", STORY, "--raw").out == file.read_text(encoding="utf-8")
