"""Which recordings answer: the order of variants, profiles of matching, and models."""

from __future__ import annotations

import contextlib
import json

import openai
import pytest
from conftest import ASK, completion, plain

from inferencereplay import InvalidSetting, replay
from inferencereplay.recording.format import is_whole
from inferencereplay.server import app
from inferencereplay.server.profiles import PROFILES
from inferencereplay.server.variant_order import CyclingVariants, RandomVariants
from inferencereplay.store.directory import DirectoryStore

CHAT = "/v1/chat/completions"


@pytest.fixture
def record(client, server, tmp_path):
    """Record an answer with each of some texts to a chat, changed as said; return the directory."""

    def record(*texts, **changes):
        server.replies = [plain(completion(text)) for text in texts]
        with replay(tmp_path, mode="record-if-missing", exhausted="record"):
            for _ in texts:
                client.chat.completions.create(**{**ASK, **changes})
        return tmp_path

    return record


def text(served, body=ASK, **headers):
    """Return the text of an answer, or the code of an error."""
    answered = served.ask(CHAT, body, **headers)
    return answered.error.get("code") or json.loads(answered.content)["choices"][0]["message"]["content"]


# Variants.


def test_cycle_begins_again_after_the_last_variant(record, serve):
    """Each session for itself, and also where a number is missing."""
    directory = record(*"abcd")
    served = serve(directory, variants="cycle")
    assert "".join(text(served) for _ in range(9)) == "abcdabcda"
    assert "".join(text(served, x_inferencereplay_session="s") for _ in range(2)) == "ab"
    first, _, third, _ = sorted(directory.rglob("*.json"))
    first.unlink()
    third.unlink()
    served = serve(directory, variants="cycle")
    assert "".join(text(served) for _ in range(5)) == "bdbdb"


def test_random_takes_any_variant(record, serve):
    """All of them in time; one that is removed no more."""
    directory = record(*"abc")
    served = serve(directory, variants="random")
    assert {text(served) for _ in range(60)} == set("abc")
    (second,) = directory.rglob("*~2.json")
    second.unlink()
    assert {text(served) for _ in range(60)} == set("ac")
    for file in directory.rglob("*.json"):
        file.unlink()
    assert {text(served) for _ in range(2)} == {"recording_not_found"}
    assert text(served, {**ASK, "seed": 1}) == "recording_not_found"


@pytest.mark.parametrize("kind", [CyclingVariants, RandomVariants])
def test_a_variant_that_another_thread_has_taken_is_looked_for_again(record, kind):
    """Each thread's call has a number of its own; a variant that is removed meanwhile is none."""
    directory = record(*"ab")
    store = DirectoryStore(directory)
    variants = kind(store, replaces=False, repeats=True, is_whole=is_whole)
    (name,) = directory.rglob("*~2.json")
    key = json.loads(name.read_text())["key"]
    found = variants.peek("/chat/completions", key)
    assert variants.commit("/chat/completions", key, found.number, found.call)
    assert not variants.commit("/chat/completions", key, found.number, found.call)
    assert variants.peek("/chat/completions", key).call == 2
    assert variants.peek("/chat/completions", key, lambda _: None) is None


@pytest.mark.parametrize(("order", "mode"), [("shuffled", "replay"), ("cycle", "record"), ("random", "record")])
def test_an_order_that_is_none_is_refused(tmp_path, order, mode):
    """When it is given."""
    with pytest.raises(InvalidSetting, match="variants="):
        app(tmp_path, mode=mode, variants=order, upstream="http://localhost/v1")


def test_sessions_that_were_used_long_ago_are_forgotten(record, serve, monkeypatch):
    """Any number of names may come; one that comes again begins anew."""
    monkeypatch.setattr("inferencereplay.server.replies.MOST_SESSIONS", 2)
    served = serve(record(*"ab"))
    assert [text(served, x_inferencereplay_session=name) for name in "xyxzxy"] == ["a", "a", "b", "a", "b", "a"]


# Profiles.

CHANGES = {
    "model": {"model": "other"},
    "limits": {"max_completion_tokens": 5, "min_tokens": 5, "ignore_eos": True},
    "usage": {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_profile_lets_through_what_it_says(record, serve, name):
    """And nothing else; `load-tools` lets all of it through."""
    directory, asked = record("a"), {**ASK, **CHANGES[name]}
    for match in CHANGES:
        assert text(serve(directory, match=match), asked) == ("a" if match == name else "recording_not_found")
    assert text(serve(directory), asked) == "recording_not_found"
    served = serve(directory, match=["load-tools"])
    assert text(served, asked) == "a"
    assert text(served, {**ASK, **{key: value for change in CHANGES.values() for key, value in change.items()}}) == "a"
    assert text(served, {**asked, "seed": 1}) == "recording_not_found"


def test_the_recording_of_the_very_request_comes_first(record, serve):
    """Then one of the same model."""
    record("mine", max_tokens=1)
    record("other", model="a-model", max_tokens=2)
    served = serve(record("none", model="z"), match="load-tools")
    assert text(served, {**ASK, "max_tokens": 1}) == "mine"
    assert text(served, {**ASK, "max_tokens": 9}) == "mine"
    assert text(served, {**ASK, "model": "a-model", "max_tokens": 9}) == "other"
    assert text(served, {**ASK, "model": "z"}) == "none"


def test_recordings_that_are_made_later_are_found(record, serve):
    """Before a request is a miss, the directory is looked at again; what cannot be read is left out."""
    directory = record("a")
    served = serve(directory, match="model")
    record("b", seed=1)
    (directory / "chat" / "completions" / f"{'0' * 32}.json").write_text("{")
    assert text(served, {**ASK, "seed": 1, "model": "x"}) == "b"
    assert text(served, {**ASK, "seed": 2, "model": "x"}) == "recording_not_found"


def test_secrets_do_not_keep_a_profile_from_matching(record, serve):
    """The file has none."""
    key = "sk-test-0123456789abcdef"
    messages = [{"role": "user", "content": f"my key is {key}"}]
    served = serve(record("a", messages=messages), match="model")
    assert text(served, {**ASK, "messages": messages, "model": "x"}, authorization=f"Bearer {key}") == "a"


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
        [{"role": "user", "content": [{"type": "text", "text": "a", "cache": 1}]}],
        [{"role": "user", "content": ["a"]}],
        ["a"],
    ],
)
def test_other_parts_stay_as_they_are(record, serve, messages):
    """A list of several texts is not one text."""
    served = serve(record("a"), match="parts")
    assert text(served, {**ASK, "messages": messages}) == "recording_not_found"
    assert served.ask(CHAT, [1]).status == 404


def test_an_unknown_profile_is_refused(tmp_path):
    """The message lists those that there are."""
    with pytest.raises(InvalidSetting, match=", ".join(map(repr, PROFILES))):
        app(tmp_path, match="load")
    app(tmp_path, match="exact")


def test_ignore_is_that_of_the_session(client, server, serve, tmp_path):
    """As in Python, recording and replay have to agree on it."""
    with replay(tmp_path, mode="record", ignore="user"):
        client.chat.completions.create(**ASK, user="a")
    served = serve(tmp_path, ignore=("user",))
    assert text(served, {**ASK, "user": "b"}) == "answer 1"


# Models.


def test_models_are_those_of_the_requests(record, serve):
    """Where no recording answers; neither hit nor miss, and no variant is used up."""
    record("a", model="m/2")
    served = serve(record("b"))
    listed = json.loads(served.ask("/v1/models", method="GET").content)
    assert [item["id"] for item in listed["data"]] == ["m", "m/2"]
    with openai.OpenAI(api_key="none", base_url=served.url) as client:
        assert [model.id for model in client.models.list()] == ["m", "m/2"]
        assert client.models.retrieve("m/2").created > 1_700_000_000
        assert (served.count("hits"), served.count("misses")) == (0, 0)
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("other")
    assert served.count("misses") == 1


def test_requests_without_a_model_are_left_out(client, record, serve):
    """Such as the list of files."""
    directory = record("a")
    with replay(directory, mode="record"), contextlib.suppress(openai.OpenAIError):
        client.models.list()
        client.files.list()
    (listed,) = (directory / "models").rglob("*.json")
    listed.unlink()
    served = serve(directory)
    assert [item["id"] for item in json.loads(served.ask("/v1/models", method="GET").content)["data"]] == ["m"]


def test_models_that_were_recorded_are_served_as_recorded(client, serve, tmp_path):
    """The upstream's own list."""
    with replay(tmp_path, mode="record"):
        listed = client.models.list().data
    with openai.OpenAI(api_key="none", base_url=serve(tmp_path).url) as other:
        assert other.models.list().data == listed


def test_a_directory_that_does_not_exist_has_no_models(serve, tmp_path):
    """As it has no recordings."""
    served = serve(tmp_path / "none", match="load-tools")
    assert json.loads(served.ask("/v1/models", method="GET").content)["data"] == []
    assert text(served) == "recording_not_found"


# Files.


@pytest.mark.parametrize("change", ["key", "status", "headers", "torn"])
def test_a_file_that_cannot_be_used_is_an_error_that_says_so(recorded, serve, change, caplog):
    """No SDK tries again; it counts as a request that no recording could answer, and is logged."""
    directory, _ = recorded
    (file,) = directory.rglob("*.json")
    held = json.loads(file.read_text())
    if change == "key":
        held["request"]["body"]["seed"] = 1
    elif change == "status":
        held["response"]["status"] = 700
    elif change == "headers":
        held["response"]["headers"]["x-request-id"] = "a\r\nb: c"
    file.write_text("{" if change == "torn" else json.dumps(held))
    served = serve(directory)
    answered = served.ask(CHAT, ASK)
    assert (answered.status, answered.error["code"]) == (500, "recording_unusable")
    assert (served.count("hits"), served.count("misses"), file.name in caplog.text) == (0, 1, True)
    assert answered.headers["x-should-retry"] == "false"
    assert file.name in answered.error["message"]


def test_a_file_that_changes_is_read_anew(recorded, serve):
    """Answers are kept ready only for as long as their files stay as they are."""
    directory, _ = recorded
    served = serve(directory)
    assert text(served) == text(served) == "answer 1"
    (file,) = directory.rglob("*.json")
    file.write_text(file.read_text().replace("answer 1", "answer 2"))
    assert text(served) == "answer 2"


def test_few_answers_are_kept(record, serve, monkeypatch):
    """The memory of a server has a bound."""
    monkeypatch.setattr("inferencereplay.server.replies.MOST_READ", 2)
    monkeypatch.setattr("inferencereplay.server.replies.MOST_READY", 1_500)
    for seed in range(5):
        record(str(seed), seed=seed)
    served = serve(record())
    for _ in range(2):
        assert [text(served, {**ASK, "seed": seed}) for seed in range(5)] == list("01234")
    replies = served.application.replies
    assert (len(replies._read) <= 2, replies._ready_size <= 1_500) == (True, True)
