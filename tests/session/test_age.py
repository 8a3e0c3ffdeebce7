"""The age of recordings: `max_age` and `on_expiry`."""

from __future__ import annotations

import contextlib
import datetime
import gc
import json
import math
import os
import pickle
import re
import shutil
import sys
import time
from pathlib import Path

import openai
import pytest
from conftest import ASK, chunk, completion, plain, sse

from inferencereplay import InvalidSetting, RecordingExpired, RecordingNotFound, Session, VirtualClock, replay, wrap
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.server.variant_order import put_in_order
from inferencereplay.session.age import Expiry, parse_age, parse_on_expiry, read_duration, shown
from inferencereplay.session.child_reports import ChildReports, Reporter
from inferencereplay.session.garbage import run_noted
from inferencereplay.session.settings import DEFAULTS, resolve

GIVEN = Path(__file__).parents[1] / "recordings" / "llama_stack"
DAY = datetime.timedelta(days=1)
MISSING = "record-if-missing"


def make_old(directory, days=45.5, number=""):
    """Let the recordings in a directory, or those of a number, be so old; return their names."""
    at = (datetime.datetime.now(datetime.timezone.utc) - days * DAY).isoformat().replace("+00:00", "Z")
    return make_dated(directory, at if days else "", number)


def make_dated(directory, at, number=""):
    found = [file for file in directory.rglob("*.json") if file.stem[32:] == number]
    for file in found:
        file.write_bytes(re.sub(rb'"at": "[^"]*"', b'"at": "%s"' % at.encode(), file.read_bytes()))
    return [file.relative_to(directory).as_posix() for file in found]


def text(client, **changes):
    return client.chat.completions.create(**{**ASK, **changes}).choices[0].message.content


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        *(("45s", 45), ("90m", 5_400), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600), (" 1 d ", 86_400)),
        *((DAY, 86_400), (90, 90), (0.5, 0.5)),
    ],
    ids=repr,
)
def test_an_age(given, seconds):
    """A text with a unit, a timedelta, or seconds."""
    assert parse_age(given).total_seconds() == seconds
    assert resolve(None, {"max_age": given}).max_age == datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "given",
    [
        *("", "30", "30 days", "d", "-1d", "1.5d", "0d", "9" * 30 + "d", "9" * 5_000 + "d"),
        *(0, -1, math.nan, math.inf, True, b"30d", [], -DAY, datetime.timedelta()),
    ],
    ids=lambda item: repr(item)[:40],
)
def test_anything_else_is_no_age(given):
    """The message says what would be one."""
    rule = "Give a number with s, m, h, d or w, such as '30d', a timedelta, or a number of seconds, above 0."
    with pytest.raises(InvalidSetting) as caught:
        parse_age(given)
    assert str(caught.value) == f"max_age={given!r} is no age. {rule}"
    with pytest.raises(InvalidSetting):
        replay(max_age=given)


def test_the_settings(monkeypatch):
    """By argument and by environment; what is invalid is refused at once."""
    assert (DEFAULTS["max_age"], DEFAULTS["on_expiry"]) == (None, "warn")
    monkeypatch.setenv("INFERENCEREPLAY_MAX_AGE", "2d")
    monkeypatch.setenv("INFERENCEREPLAY_ON_EXPIRY", "error")
    assert (resolve(None, {}).max_age, resolve(None, {}).on_expiry) == (2 * DAY, "error")
    found = resolve(None, {"max_age": "1d", "on_expiry": "record"})
    assert (found.max_age, found.on_expiry) == (DAY, "record")
    with pytest.raises(InvalidSetting, match=r"on_expiry='fail' is not valid. Valid are 'warn', 'error', 'record'\."):
        replay(on_expiry="fail")
    with pytest.raises(InvalidSetting, match="on_expiry=None is not valid"):
        parse_on_expiry(None)
    monkeypatch.setenv("INFERENCEREPLAY_MAX_AGE", "30")
    with pytest.raises(InvalidSetting, match="INFERENCEREPLAY_MAX_AGE='30' is no age"):
        resolve(None, {})


def test_ages_for_people():
    """In the largest unit."""
    assert [shown(datetime.timedelta(seconds=item)) for item in (0.4, 1, 61, 7_200, 86_400 * 45.9)] == [
        *("0 seconds", "1 second", "1 minute", "2 hours", "45 days")
    ]
    assert read_duration("x") is None


@pytest.mark.parametrize("mode", ["replay", MISSING])
def test_warn(recorded, client, caplog, mode):
    """The recording answers, and one warning at the end names all that have expired."""
    directory, answer = recorded
    with replay(directory, mode="record"):
        for number in range(7):
            text(client, seed=number)
    names = make_old(directory)
    with replay(directory, mode=mode, max_age="30d") as session:
        for _ in range(2):
            assert text(client) == answer.choices[0].message.content
            text(client, seed=1)
        assert caplog.messages == []
    assert (session.hits, session.misses, len(session.expired)) == (4, 0, 2)
    assert "expired=2" in repr(session)
    (message,) = caplog.messages
    assert message.startswith(f"2 recordings in {directory} are older than max_age (30 days): chat/completions/")
    assert "(45 days), chat" in message
    assert message.endswith(". Record them again, or give on_expiry='record' with mode='record-if-missing'.")
    with replay(session):
        text(client)
    assert len(caplog.messages) == 1  # it was named before
    with replay(directory, mode=mode, max_age=30 * DAY) as session:
        text(client)
        for number in range(7):
            text(client, seed=number)
    assert session.expired == sorted(names)
    assert " and 3 more. Record them" in caplog.messages[1]


def test_one_is_told_as_one(recorded, client, caplog):
    """In the singular."""
    make_old(recorded[0])
    with replay(recorded[0], max_age="30d"):
        text(client)
    assert re.match(r"1 recording in .* is older than max_age \(30 days\): .*\. Record it again", caplog.messages[0])


def test_a_session_that_is_never_closed_tells_when_it_is_collected(recorded, client, caplog):
    """As that of a wrapped client."""
    make_old(recorded[0])
    wrap(client, recorded[0], max_age="30d")
    text(client)
    assert caplog.messages == []
    wrap(client, recorded[0])
    gc.collect()
    run_noted()
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("mode", ["replay", MISSING])
def test_error(recorded, client, server, mode):
    """The error says how old the file is, and the way out; the program's own handling does not hide it."""
    directory, _ = recorded
    (name,) = make_old(directory)
    before = server.count
    with (
        pytest.raises(RecordingExpired) as caught,
        replay(directory, mode=mode, max_age="30d", on_expiry="error") as session,
    ):
        text(client)
    error = caught.value
    assert str(error).startswith(f"{directory}/{name} is 45 days old, and recordings expire after 30 days (max_age).\n")
    assert f"To record it, change mode='{mode}' to mode='record'" in str(error)
    assert (error.recording, error.path, error.directory) == (
        f"{directory}/{name}",
        "/chat/completions",
        str(directory),
    )
    assert error.key.startswith(Path(name).stem)
    assert error.age == pytest.approx(45.5 * 86_400, abs=600)
    assert isinstance(error, RecordingNotFound)
    assert (session.hits, session.misses, server.count) == (0, 1, before)
    with pytest.raises(RecordingExpired, match=r"2 calls were not answered; this is the first\."):
        with replay(directory, mode=mode, max_age="30d", on_expiry="error"):
            for _ in range(2):
                with contextlib.suppress(RecordingNotFound):
                    text(client)
    arrived = pickle.loads(pickle.dumps(error))
    assert (str(arrived), vars(arrived)) == (str(error), vars(error))


def test_an_error_of_a_child_process_arrives():
    """With its class and facts."""
    reports = ChildReports()
    Reporter(reports.folder).tell_miss(RecordingExpired("old", recording="a.json", age=5.0, path="/x"))
    (missed,) = reports.hear()
    assert (type(missed), missed.recording, missed.age) == (RecordingExpired, "a.json", 5.0)
    assert "A child process made this call." in str(missed)


def test_record_asks_again_and_replaces(recorded, client, server):
    """What has expired is asked again once; what has not, and a second equal call, is replayed."""
    directory, _ = recorded
    with replay(directory, mode="record"):
        text(client, seed=1)
    make_old(directory)
    with replay(directory, mode="record"):
        text(client, seed=1)
    before = server.count
    with replay(directory, mode=MISSING, max_age="30d", on_expiry="record") as session:
        new = text(client)
        assert text(client) == new
        text(client, seed=1)
    assert (session.recorded, session.hits, server.count - before) == (1, 2, 1)
    assert len([*directory.rglob("*.json")]) == 2
    with replay(directory, max_age="30d", on_expiry="error"):
        assert text(client) == new


def test_record_also_if_the_answer_is_equal(recorded, client, server):
    """The file gets a new date, or it would be asked again for ever; and so it does in `record`."""
    directory, answer = recorded
    for mode in (MISSING, "record"):
        make_old(directory)
        server.replies = [plain(answer.model_dump())]
        with replay(directory, mode=mode, max_age="30d", on_expiry="record") as session:
            text(client)
        assert (session.recorded, session.unchanged) == (1, 0)
        with replay(directory, max_age="30d", on_expiry="error"):
            text(client)
    server.replies = [plain(answer.model_dump())]
    with replay(directory, mode="record", max_age="30d") as session:
        text(client)
    assert (session.recorded, session.unchanged) == (0, 1)


def test_record_in_replay_warns(recorded, client, server, caplog):
    """Nothing goes to the network in `replay`."""
    make_old(recorded[0])
    before = server.count
    with replay(recorded[0], max_age="30d", on_expiry="record") as session:
        text(client)
    assert (session.hits, server.count, len(caplog.messages)) == (1, before, 1)


@pytest.mark.parametrize("failure", ["connection", "transient", "left", "cut"])
def test_the_old_file_stays_until_the_new_one_is_whole(recorded, client, server, failure):
    """Whatever becomes of the live call."""
    directory, _ = recorded
    with replay(directory, mode="record"):
        list(client.chat.completions.create(**ASK, stream=True))
    make_old(directory)
    before = {file: file.read_bytes() for file in directory.rglob("*.json")}
    given = {"mode": MISSING, "max_age": "30d", "on_expiry": "record"}
    if failure == "connection":
        with replay(directory, **given), pytest.raises(openai.APIConnectionError):
            text(client.with_options(base_url="http://127.0.0.1:1"))
    elif failure == "transient":
        server.replies = [plain({"error": {}}, 429)]
        with replay(directory, **given), pytest.raises(openai.RateLimitError):
            text(client)
    else:
        server.replies = [sse(chunk("a"), chunk("b"), is_cut=failure == "cut", is_done=False, pause=0.02)]
        with replay(directory, **given), contextlib.suppress(Exception):
            stream = client.chat.completions.create(**ASK, stream=True)
            next(stream)
            for _ in stream if failure == "cut" else ():
                pass
            stream.close()
    assert {file: file.read_bytes() for file in directory.rglob("*.json")} == before


def test_each_variant_has_its_own_age(client, server, tmp_path):
    """The one that has expired is replaced under its number; a fresh one does not answer in its place."""
    server.replies = [plain(completion(item)) for item in "abc"]
    with replay(tmp_path, mode="record"):
        assert [text(client) for _ in "abc"] == ["a", "b", "c"]
    make_old(tmp_path, number="~2")
    server.replies = [plain(completion("B"))]
    with replay(tmp_path, mode=MISSING, max_age="30d", on_expiry="record", exhausted="error") as session:
        assert [text(client) for _ in "abc"] == ["a", "B", "c"]
    assert (session.hits, session.recorded) == (2, 1)
    with replay(tmp_path) as session:
        assert [text(client) for _ in "abc"] == ["a", "B", "c"]


def test_two_recorders_replace_it_once(recorded, client, server):
    """The first one wins, as for a request that is missing."""
    directory, _ = recorded
    make_old(directory)
    given = {"mode": MISSING, "max_age": "30d", "on_expiry": "record"}
    first, second = Session(directory, **given), Session(directory, **given)
    server.replies = [plain(completion("first")), plain(completion("second"))]
    request = next(iter(first.store.list()))
    held = second.call(_request(directory))
    pending = second.begin(held)  # the second one is under way
    with replay(first):
        assert text(client) == "first"
    data = (directory / request).read_bytes()
    recording = second.store.read(pending.request.path, pending.key, 1)
    assert pending.keep(recording.response) == "a recording with precedence already exists"
    assert (directory / request).read_bytes() == data


def _request(directory):
    return next(Catalogue(directory).entries()).request


@pytest.mark.parametrize("at", ["", "soon", "2999-01-01T00:00:00Z"])
@pytest.mark.parametrize("on_expiry", ["warn", "error", "record"])
def test_a_recording_without_a_date_does_not_expire(recorded, client, at, on_expiry, caplog):
    """Nor one of the future."""
    make_dated(recorded[0], at)
    with replay(recorded[0], mode=MISSING, max_age="1s", on_expiry=on_expiry) as session:
        text(client)
    assert (session.hits, session.expired, caplog.messages) == (1, [], [])


def test_recordings_of_llama_stack_do_not_expire(tmp_path, caplog):
    """They have no date."""
    shutil.copy(next(GIVEN.glob("hist-0806*")), tmp_path)
    body = json.loads(next(tmp_path.iterdir()).read_text())["request"]["body"]
    body.pop("extra_body", None)
    with replay(tmp_path, max_age="1s", on_expiry="error") as session:
        [*openai.OpenAI().chat.completions.create(**{k: v for k, v in body.items() if k != "__type__"})]
    assert session.hits == 1
    assert caplog.messages == []


def test_neither_frozen_time_nor_the_clock_of_the_session_counts(recorded, client, monkeypatch):
    """A test that pretends another date is not told that its recordings are old, nor that old ones are fresh."""
    real = time.time
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is real:
                monkeypatch.setattr(module, name, lambda: 4_000_000_000.0)
    with replay(recorded[0], max_age="30d", on_expiry="error", clock=VirtualClock()) as session:
        text(client)
    assert session.hits == 1
    make_old(recorded[0], days=31)
    with pytest.raises(RecordingExpired), replay(recorded[0], max_age="30d", on_expiry="error"):
        text(client)


def test_without_max_age_nothing_is_looked_at(recorded, client):
    """However old."""
    make_old(recorded[0], days=9_999)
    with replay(recorded[0], on_expiry="error") as session:
        text(client)
    assert (session.hits, session.expired) == (1, [])
    assert os.environ.get("INFERENCEREPLAY_MAX_AGE") is None


def test_a_file_that_cannot_be_read_has_not_expired():
    """So it gives way to nothing because of its age."""
    assert not Expiry(DAY, "record").has_expired(b"torn")


def test_an_order_of_variants_and_a_replacement_do_not_go_together(tmp_path):
    """Over HTTP, where variants may come in another order."""
    session = Session(tmp_path, mode=MISSING, max_age="1d", on_expiry="record")
    with pytest.raises(InvalidSetting, match=r"variants='cycle' does not say which .* Take variants='in-order'\."):
        put_in_order(session, "cycle")
    assert put_in_order(session, "in-order") is session
