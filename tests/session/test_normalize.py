"""Settings that decide what is equal: `ignore` and `normalize`."""

from __future__ import annotations

import logging
import uuid

import pytest
from conftest import ASK

from inferencereplay import InvalidSetting, RecordingNotFound, normalizers, replay


def recordings(directory):
    return sorted(directory.rglob("*.json"))


def said(answer):
    return answer.choices[0].message.content


def test_ignored_members_do_not_count(driver, server, tmp_path):
    """Paths given as `ignore`, through lists too, neither tell requests apart nor stand in the file."""
    ignore = ["metadata.run_id", "user", "messages.name", "absent.path"]

    def ask(run):
        messages = [{"role": "user", "content": "Hello", "name": run}, {"role": "user", "content": "again"}]
        return said(driver.chat(metadata={"run_id": run, "kept": "x"}, user=run, messages=messages))

    with replay(tmp_path, mode="record", ignore=ignore):
        assert ask("run-one") == "answer 1"
    with replay(tmp_path, ignore=ignore):
        assert ask("run-two") == "answer 1"
    assert server.requests[0][3]["user"] == "run-one"
    (file,) = recordings(tmp_path)
    assert "run-one" not in file.read_text()
    assert '"kept": "x"' in file.read_text()
    with pytest.raises(RecordingNotFound), replay(tmp_path):
        ask("run-one")


def test_one_ignored_path_may_be_given_alone(client, tmp_path):
    """`ignore` takes a single path as well as several."""
    with replay(tmp_path, mode="record", ignore="user"):
        client.chat.completions.create(**ASK, user="a")
    with replay(tmp_path, ignore="user"):
        assert said(client.chat.completions.create(**ASK, user="b")) == "answer 1"


def test_normalize_decides_what_is_equal(driver, server, tmp_path):
    """Requests that `normalize` makes alike are equal; the network gets the original."""

    def normalize(body):
        body["messages"][-1]["content"] = body["messages"][-1]["content"].lower()
        return body

    def ask(text):
        return said(driver.chat(messages=[{"role": "user", "content": text}]))

    with replay(tmp_path, mode="record", normalize=normalize):
        assert ask("HELLO") == "answer 1"
    with replay(tmp_path, normalize=normalize):
        assert ask("Hello") == "answer 1"
    assert server.requests[0][3]["messages"][0]["content"] == "HELLO"


@pytest.mark.parametrize(
    "normalize",
    [lambda _: 1 / 0, lambda _: object(), lambda _: {"a": float("nan")}, lambda body: {1: body}],
    ids=["raises", "object", "nan", "number as a name"],
)
def test_normalize_that_fails_is_told_in_replay(driver, server, tmp_path, normalize):
    """A `normalize` that raises or returns no JSON is an error that names it, before anything is sent."""
    with replay(tmp_path, normalize=normalize), pytest.raises(InvalidSetting, match="normalize= failed for a request"):
        driver.chat()
    assert server.count == 0


@pytest.mark.parametrize("is_raw", [False, True])
@pytest.mark.parametrize("mode", ["record", "record-if-missing"])
def test_normalize_that_fails_never_breaks_a_recorded_program(driver, server, tmp_path, caplog, mode, is_raw):
    """The program gets its answer, whichever way it asks, and one warning says that it was not stored."""

    def ask(client):
        resource = client.chat.completions.with_raw_response if is_raw else client.chat.completions
        return resource.create(**ASK)

    with (
        replay(tmp_path, mode=mode, normalize=lambda _: 1 / 0) as session,
        caplog.at_level(logging.WARNING, "inferencereplay"),
    ):
        made = driver(ask)
    assert said(made.parse() if is_raw else made) == "answer 1"
    told = [item.getMessage() for item in caplog.records if item.name == "inferencereplay"]
    assert [("normalize= failed" in message, "was not recorded" in message) for message in told] == [(True, True)]
    assert (session.recorded, server.count, recordings(tmp_path)) == (0, 1, [])


def test_normalize_has_to_return_the_body(client, tmp_path):
    """One that forgets to would make all requests of a path one."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    with (
        pytest.raises(InvalidSetting, match="it returned an object of the type NoneType"),
        replay(tmp_path, normalize=lambda body: None),
    ):
        client.chat.completions.create(**ASK)


def test_normalize_is_not_asked_where_there_is_no_body(driver, tmp_path):
    """A request without a body is recorded whatever `normalize` does with bodies."""
    normalize = {"normalize": lambda body: dict(body.items())}
    with replay(tmp_path, mode="record", **normalize) as session:
        live = driver(lambda client: client.get("/models", cast_to=object))
    assert session.recorded == 1
    with replay(tmp_path, **normalize):
        assert driver(lambda client: client.get("/models", cast_to=object)) == live


def test_ready_made_normalizers_are_given_by_name_or_function(client, tmp_path, monkeypatch):
    """One, several, and those of the environment; they are called one after another."""

    def ask(text: str) -> str:
        return said(client.chat.completions.create(**{**ASK, "messages": [{"role": "user", "content": text}]}))

    with replay(tmp_path, mode="record", normalize="uuids"):
        assert ask(f"job {uuid.uuid4()}") == "answer 1"
    with replay(tmp_path, normalize=[normalizers.uuids]):
        assert ask(f"job {uuid.uuid4()}") == "answer 1"
    with replay(tmp_path, mode="record", normalize=("uuids", lambda body: {**body, "seed": 1}, "timestamps")):
        assert ask(f"job {uuid.uuid4()} at 2026-11-28") == "answer 2"
    monkeypatch.setenv("INFERENCEREPLAY_NORMALIZE", "uuids, timestamps")
    with replay(tmp_path, mode="record-if-missing"):
        assert ask(f"job {uuid.uuid4()} at 2026-11-28") == "answer 3"
        assert ask(f"job {uuid.uuid4()} at 2026-11-29") == "answer 3"
    with pytest.raises(RecordingNotFound), replay(tmp_path, normalize=()):
        ask(f"job {uuid.uuid4()} at 2026-11-28")
    monkeypatch.setenv("INFERENCEREPLAY_NORMALIZE", "uuid")
    with pytest.raises(InvalidSetting, match=r"INFERENCEREPLAY_NORMALIZE='uuid' is no normalizer.* uuids, timestamps"):
        replay(tmp_path).__enter__()


def test_a_miss_names_the_normalizers_that_would_have_matched(client, tmp_path):
    """Only those that are needed; and none if the requests differ all the same."""

    def ask(text: str) -> str:
        return said(client.chat.completions.create(**{**ASK, "messages": [{"role": "user", "content": text}]}))

    with replay(tmp_path, mode="record"):
        ask("file /tmp/tmpab1/x of 2026-11-28")
    for text, told in (("file /tmp/tmpcd2/x of 2026-11-29", "['timestamps', 'temporary_paths']"), ("other", "")):
        with pytest.raises(RecordingNotFound) as caught, replay(tmp_path):
            ask(text)
        assert ("would be equal with normalize=" in str(caught.value)) is bool(told)
        assert told in str(caught.value)


def test_a_regular_expression_is_a_normalizer(client, tmp_path, monkeypatch):
    """Between slashes, as an argument and in the environment, where it may hold commas."""

    def ask(text):
        return said(client.chat.completions.create(**{**ASK, "messages": [{"role": "user", "content": text}]}))

    monkeypatch.setenv("INFERENCEREPLAY_NORMALIZE", r"uuids,/\bjob [0-9]{1,3}\b/")
    with replay(tmp_path, mode="record"):
        first = ask("job 1")
    monkeypatch.delenv("INFERENCEREPLAY_NORMALIZE")
    with replay(tmp_path, normalize=["uuids", r"/\bjob [0-9]{1,3}\b/"]):
        assert ask("job 22") == first
    with pytest.raises(RecordingNotFound), replay(tmp_path, normalize=r"/\bjob [0-9]{1,3}\b/"):
        ask("job 2222")


def test_an_invalid_regular_expression_is_refused(tmp_path):
    """The message says what is wrong with it."""
    with pytest.raises(InvalidSetting, match=r"normalize='/\(/' is no regular expression: missing \)"):
        replay(tmp_path, normalize="/(/")
