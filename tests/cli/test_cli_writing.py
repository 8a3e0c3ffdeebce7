"""`new`: a recording whose answer a person writes."""

from __future__ import annotations

import json

import openai
import pytest
from conftest import ASK

from inferencereplay import VirtualClock, replay

SIMPLE = ("--model", "m", "--user", "Hello")


@pytest.fixture
def make(cli, tmp_path):
    """Make a recording, and return its file."""

    def make(*options):
        done = cli("new", *options, "--dir", tmp_path)
        assert (done.status, done.err) == (0, "")
        file = tmp_path / done.out.strip()
        assert file.exists()
        return file

    return make


def calls(**more):
    """Return what calls each endpoint as the simple requests of the command do."""
    user = {"role": "user", "content": "Hello"}
    return {
        "chat": lambda client: client.chat.completions.create(model="m", messages=[user], **more),
        "completion": lambda client: client.completions.create(model="m", prompt="Hello", **more),
        "embedding": lambda client: client.embeddings.create(model="m", input="Hello", encoding_format="base64"),
    }


def test_a_chat(driver, make, tmp_path):
    """It replays, and its file can be edited."""
    file = make("chat", *SIMPLE, "--text", "Rome", "--usage", "7", "2", "--finish-reason", "length")
    with replay(tmp_path):
        made = driver(calls()["chat"])
    assert (made.choices[0].message.content, made.choices[0].finish_reason) == ("Rome", "length")
    assert made.usage.total_tokens == 9
    file.write_text(file.read_text().replace("Rome", "Milan"))
    with replay(tmp_path):
        assert driver(calls()["chat"]).choices[0].message.content == "Milan"


def test_a_stream_with_a_pace(driver, make, tmp_path):
    """Pieces come when they are said to."""
    make("chat", *SIMPLE, "--stream", "--chunk", "Ro", "--chunk", "me", "--pace", "2", "0.5")
    clock = VirtualClock()
    with replay(tmp_path, speed=1, clock=clock):
        made = driver(calls(stream=True)["chat"])
    assert [chunk.choices[0].delta.content for chunk in made] == ["", "Ro", "me", None]
    assert clock.time == 3.5


def test_each_kind(driver, make, tmp_path):
    """Each endpoint has its answer."""
    make("completion", *SIMPLE, "--text", "Rome")
    make("embedding", *SIMPLE, "--vector", "0.5, -1")
    with replay(tmp_path):
        assert driver(calls()["completion"]).choices[0].text == "Rome"
        assert driver(calls()["embedding"]).data[0].embedding in ([0.5, -1], "AAAAPwAAgL8=")
    file = make("response", *SIMPLE, "--system", "Be kind.", "--text", "Rome")
    assert json.loads(file.read_text())["request"]["body"] == {
        "input": "Hello",
        "instructions": "Be kind.",
        "model": "m",
    }
    file = make("chat", *SIMPLE, "--system", "Be kind.", "--tool-call", "get_weather", '{"city": 1}')
    held = json.loads(file.read_text())
    assert [turn["role"] for turn in held["request"]["body"]["messages"]] == ["system", "user"]
    (call,) = held["response"]["body"]["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "get_weather", "arguments": '{"city": 1}'}
    assert make("response", *SIMPLE, "--refusal", "No.").parent.name == "responses"


def test_an_error(driver, make, tmp_path):
    """Of any status."""
    make("chat", *SIMPLE, "--error", "429", "--message", "Slow down.", "--code", "busy")
    with replay(tmp_path), pytest.raises(openai.RateLimitError, match=r"Slow down\.") as caught:
        driver(calls()["chat"])
    assert caught.value.code == "busy"


def test_a_request_from_a_file(driver, make, tmp_path, monkeypatch):
    """Its body is what the program sends, member for member; `ignore` counts as in the session."""
    body = tmp_path / "body.json"
    body.write_text(json.dumps({**ASK, "user": "me"}))
    make("chat", "--request", body, "--text", "Rome", "--ignore", "user")
    with replay(tmp_path, ignore="user"):
        assert driver.chat(user="you").choices[0].message.content == "Rome"


def test_a_directory_that_does_not_exist_yet(cli, tmp_path):
    """It is made, whether the request comes from a file or from options."""
    body = tmp_path / "body.json"
    body.write_text(json.dumps(ASK))
    for number, request in enumerate((SIMPLE, ("--request", body))):
        done = cli("new", "chat", *request, "--text", "Rome", "--dir", tmp_path / f"new{number}")
        assert (done.status, (tmp_path / f"new{number}" / done.out.strip()).exists()) == (0, True)


def test_a_variant_of_a_recording(cli, driver, make, tmp_path):
    """A recording gives its request; nothing is overwritten, and a further answer has to be asked for."""
    first = make("chat", *SIMPLE, "--text", "one")
    key = first.stem[:8]
    done = cli("new", "chat", "--request", key, "--text", "two", "--dir", tmp_path)
    assert done.status == 2
    assert f"{first} is a recording of this request already. Edit it, or add a variant with --variant." in done.err
    assert make("chat", "--request", key, "--text", "two", "--variant").name.endswith("~2.json")
    assert make("chat", *SIMPLE, "--text", "three", "--variant").name.endswith("~3.json")
    with replay(tmp_path):
        texts = [driver(calls()["chat"]).choices[0].message.content for _ in range(3)]
    assert texts == ["one", "two", "three"]
    streamed = make("chat", "--request", key, "--stream", "--text", "four")
    assert json.loads(streamed.read_text())["request"]["body"]["stream"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["chat", "--text", "a"], "Give the request: --model and --user, or a file with its body, or a recording"),
        (["chat", "--text", "a", "--model", "m"], "Give the request: --model and --user"),
        (["chat", "--text", "a", *SIMPLE, "--request", "-"], "Give the request: --model and --user"),
        (["completion", "--text", "a", *SIMPLE, "--system", "x"], "Give the request: --model and --user"),
        (["chat", *SIMPLE], "Nothing to answer with. Give one of text="),
        (["chat", *SIMPLE, "--text", "a", "--error", "429"], "text= and error= cannot both be the answer."),
        (["embedding", *SIMPLE, "--text", "a"], "on='/embeddings' has no answer of that kind."),
        (["embedding", *SIMPLE, "--vector", "a"], "'a' is neither numbers with commas nor a size."),
        (["embedding", *SIMPLE, "--vector", "1,b"], "'1,b' is neither numbers with commas nor a size."),
        (["chat", "--request", "nowhere.json", "--text", "a"], "There is no file 'nowhere.json'."),
        (["image", *SIMPLE], "'image' is not one of 'chat', 'completion', 'response', 'embedding'."),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_slip_is_told(cli, tmp_path, options, message):
    """Nothing is made then."""
    done = cli("new", *options, "--dir", tmp_path)
    assert done.status == 2
    assert message in done.err.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_a_recording_of_another_endpoint(cli, make, tmp_path):
    """Its request cannot have such an answer."""
    file = make("completion", *SIMPLE, "--text", "a")
    done = cli("new", "chat", "--request", file, "--text", "b", "--dir", tmp_path)
    assert (done.status, "The request is one of /completions, and not of /chat/completions." in done.err) == (2, True)


def test_a_directory_that_cannot_be_written(cli, tmp_path):
    """The reason is told."""
    (tmp_path / "chat").write_text("")
    done = cli("new", "chat", *SIMPLE, "--text", "a", "--dir", tmp_path)
    assert done.status == 2
    assert "Error: The recording was not stored: " in done.err
