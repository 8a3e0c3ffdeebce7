"""`live` and `only`: some calls go to the network while all others replay."""

from __future__ import annotations

import logging

import openai
import pytest
from conftest import ASK
from ways import run, settle

from inferencereplay import InvalidSetting, RecordingNotFound, Session, replay, wrap
from inferencereplay.recording.request import Request

VALID = "Give paths that begin with a slash, such as '/embeddings' or '/models/*', or a function"


def by_model(question):
    return question.model == "m" and question.body["model"] == "m" and question.method == "POST" and not question.query


@pytest.fixture
def both(driver, tmp_path):
    """Record a chat and embeddings."""
    with replay(tmp_path, mode="record"):
        driver.chat()
        driver(embed)
    return tmp_path


def embed(client):
    return client.embeddings.create(model="e", input="a", encoding_format="float")


def said(answer):
    return answer.choices[0].message.content


def outcomes(session):
    return [call.outcome for call in session.calls]


@pytest.mark.parametrize(
    "options",
    [
        {"live": "/embeddings"},
        {"live": ["/models", "/embed*"]},
        {"live": lambda question: question.path == "/embeddings"},
        {"only": "/chat/completions"},
        {"only": ("/chat",)},
        {"only": by_model},
        {"only": ["/chat", "/embeddings"], "live": ["/embeddings"]},
    ],
    ids=["live", "live patterns", "live predicate", "only", "only above", "only predicate", "both"],
)
@pytest.mark.parametrize("mode", ["replay", "record-if-missing", "record"])
def test_some_calls_go_to_the_network(driver, server, both, mode, options):
    """They are neither looked up nor stored, whatever the mode; all others are as ever."""
    with replay(both, mode=mode, **options) as session:
        answer = said(driver.chat())
        vectors = driver(embed)
    live = 4 if mode == "record" else 3
    assert answer == ("answer 3" if mode == "record" else "answer 1")
    assert vectors.data[0].embedding == [0.25, -1.0, live]
    assert server.count == live
    assert outcomes(session) == ["recorded" if mode == "record" else "hit", "live"]
    assert (session.let_through, session.misses) == (1, 0)
    assert repr(session).endswith(", let_through=1>")
    assert session.unused() == [name for name in session.unused() if name.startswith("embeddings/")]
    assert len(session.unused()) == 1


def test_every_way_of_calling_is_let_through(driver, server, tmp_path):
    """Raw responses, streams, other endpoints, and what no recording can hold."""

    async def way(client):
        chat = client.chat.completions
        raw = await settle(chat.with_raw_response.create(**ASK))
        stream = await settle(chat.create(**ASK, stream=True))
        await settle(stream.close())
        await settle(client.post("chat/completions", body=ASK, cast_to=object))
        with pytest.raises(openai.NotFoundError):
            await settle(client.files.create(file=b"x", purpose="batch"))
        return raw.parse()

    with replay(tmp_path, live=["/chat", "/files"]) as session:
        assert said(run(driver, way)) == "answer 1"
    assert outcomes(session) == ["live"] * 4
    assert server.count == 4
    assert list(tmp_path.rglob("*.json")) == []


def test_the_rest_is_kept_off_the_network(driver, server, both):
    """A miss is a miss, of an upload too."""
    with pytest.raises(RecordingNotFound), replay(both, live="/embeddings") as session:
        driver.text()
    with pytest.raises(RecordingNotFound), replay(both, live="/embeddings"):
        driver(lambda client: client.files.create(file=b"x", purpose="batch"))
    assert outcomes(session) == ["miss"]
    assert server.count == 2


def test_a_wrapped_client(driver, both, server):
    """It takes the settings too."""
    driver(lambda client: embed(wrap(client, both, live="/embeddings")))
    assert server.count == 3


def test_a_request_that_is_built_by_hand_while_another_is_let_through(client, both, server):
    """Only the call that is let through may be built."""
    with pytest.raises(RecordingNotFound, match="was kept off the network"), replay(both, live="/embeddings"):
        embed(client)
        options = openai._models.FinalRequestOptions.construct(method="post", url="/chat/completions", json_data=ASK)
        client._build_request(options)
    assert server.count == 3


def test_a_predicate_sees_what_is_sent(driver, tmp_path, server):
    """Not what `normalize` makes of it for the comparison."""
    options = {"normalize": lambda body: {**body, "model": "any"}, "live": by_model}
    with replay(tmp_path, **options) as session:
        driver.chat()
    assert outcomes(session) == ["live"]


def fails(_):
    raise KeyError("sk-test-0123456789abcdef")


@pytest.mark.parametrize("name", ["live", "only"])
def test_a_predicate_that_fails(driver, tmp_path, server, caplog, name):
    """In replay it is an error that hides secrets; while recording a warning, and the call goes through."""
    message = f"{name}= failed for POST /chat/completions: KeyError('[REDACTED]'). It gets the request"
    with pytest.raises(InvalidSetting) as caught, replay(tmp_path, **{name: fails}):
        driver.chat()
    assert str(caught.value).startswith(message)
    with caplog.at_level(logging.WARNING), replay(tmp_path, mode="record", **{name: fails}) as session:
        assert said(driver.chat()) == "answer 1"
    assert message in caplog.text
    assert outcomes(session) == ["live"]
    with replay(tmp_path, mode="record", **{name: fails}), pytest.raises(openai.NotFoundError):
        driver(lambda client: client.files.create(file=b"x", purpose="batch"))


@pytest.mark.parametrize("name", ["live", "only"])
@pytest.mark.parametrize("given", ["embeddings", 3, ["/a", "b"], [None], ""], ids=repr)
def test_an_invalid_selection_is_refused(tmp_path, name, given):
    """Where it is given, by its name."""
    with pytest.raises(InvalidSetting, match=f"{name}=.* selects no calls. {VALID[:40]}"):
        Session(tmp_path, **{name: given})


def test_the_environment_selects(driver, both, server, monkeypatch):
    """Paths, separated by commas."""
    monkeypatch.setenv("INFERENCEREPLAY_LIVE", "/models, /embeddings")
    with replay(both) as session:
        driver.chat()
        driver(embed)
    assert outcomes(session) == ["hit", "live"]
    monkeypatch.delenv("INFERENCEREPLAY_LIVE")
    monkeypatch.setenv("INFERENCEREPLAY_ONLY", "/embeddings")
    with replay(both) as session:
        driver.chat()
    assert outcomes(session) == ["live"]
    monkeypatch.setenv("INFERENCEREPLAY_ONLY", "embeddings")
    with pytest.raises(InvalidSetting, match="INFERENCEREPLAY_ONLY='embeddings' selects no calls"):
        Session(both)


@pytest.mark.parametrize(
    ("chosen", "path", "is_live"),
    [
        ("/models", "/models/a/b", True),
        ("/models/", "/models/a", True),
        ("/models", "/models?limit=3", True),
        ("/models", "/modelsx", False),
        ("/*/completions", "/chat/completions", True),
        ("/completions", "/chat/completions", False),
    ],
)
def test_a_path_includes_what_is_below_it(tmp_path, chosen, path, is_live):
    """By whole parts; a pattern matches the whole path."""
    session = Session(tmp_path, mode="replay", live=chosen)
    assert session.is_let_through(session.call(Request("GET", path, b"null"))) is is_live


def test_the_url_of_the_clients_own_server(driver, server, tmp_path):
    """A call that gives it as a whole is known by its path."""
    url = f"{server.url}/chat/completions"
    with replay(tmp_path, live="/chat") as session:
        driver(lambda client: client.post(url, body=ASK, cast_to=object))
    assert [call.path for call in session.calls] == ["/chat/completions"]
