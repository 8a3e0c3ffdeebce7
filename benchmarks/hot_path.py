"""Say where the microseconds of a replayed small chat go: `python benchmarks/hot_path.py`.

Each part is called in a tight loop and the fastest block counts, so the parts are as short as they can be; within a
program, whose other work evicts caches, each takes longer. Parts contain the ones that are indented below them.
"""
# ruff: noqa: SLF001 - it looks inside

from __future__ import annotations

import gc
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import command_line
import scenes
from openai.types.chat import ChatCompletion
from scenes import PATH, SMALL

from inferencereplay import Session, wrap
from inferencereplay.recording.request import Request, canonical_json
from inferencereplay.sdk import fast_replay, private, wrappers
from inferencereplay.sdk.model_builder import ModelBuilder
from inferencereplay.session import active

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCKS, CALLS = 400, 100


def parts(directory: Path) -> dict[str, Callable[[], Any]]:
    """Return what is measured, by what to call it."""
    file = scenes.record(directory, SMALL, scenes.plain())
    session = Session(directory, mode="replay")
    client = wrap(scenes.client(), session)
    create = client.chat.completions.create
    create(**SMALL)
    method = type(client.chat.completions).create.__wrapped__
    endpoint = fast_replay.Endpoint(PATH, method, ModelBuilder(ChatCompletion))
    given, covers = dict(SMALL), endpoint.covers_plain
    request = Request("POST", PATH, canonical_json(fast_replay.read_body(given)))
    key, path = request.key, str(file)
    choice = fast_replay.choose(session, client, endpoint, given, covers)
    assert choice is not None
    play, response = choice.play, choice.play.recording.response
    variants = session.recorder.variants
    model = endpoint.build_model(bytes(response.body))
    assert session.hit(request, covers) is not None

    return {
        "the whole call": lambda: create(**SMALL),
        "  which session answers (active.session_for)": lambda: active.session_for(client),
        "  whose methods they are (wrappers.are_outermost)": lambda: wrappers.are_outermost(client, "post", "request"),
        "  which recording (fast_replay.choose)": lambda: fast_replay.choose(session, client, endpoint, given, covers),
        "    the body (fast_replay.read_body)": lambda: fast_replay.read_body(given),
        "    canonical JSON": lambda: canonical_json(given, private.convert),
        "    the decision (Session.hit)": lambda: session.hit(request, covers),
        "      the key (SHA-256)": lambda: request.key,
        "      the number of the call (Variants.expected)": lambda: variants.expected(key),
        "      the recording, decoded before (RecordingCache.read)": lambda: session._cache.read(request, key, 1),
        "        what tells whether it changed (os.stat)": lambda: os.stat(path),  # noqa: PTH116 - as it is there
        "      is it covered": lambda: endpoint.covers_plain(response),
        "  the object (fast_replay.model)": lambda: fast_replay.model(endpoint, play),
        "    validation (pydantic)": lambda: endpoint.build_model(bytes(response.body)),
        "    the request id": lambda: private.set_request_id(model, response.headers),
    }


def fastest(call: Callable[[], Any]) -> float:
    """Return the microseconds of a call in the fastest of many blocks."""
    times = []
    for _ in range(BLOCKS):
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        times.append((time.perf_counter() - start) / CALLS * 1e6)
    return min(times)


def main() -> None:
    """Measure and print."""
    command_line.parser(__doc__, json=None).parse_args()
    with tempfile.TemporaryDirectory() as directory:
        made = parts(Path(directory))
        gc.collect()
        gc.disable()
        empty = fastest(lambda: None)
        for name, call in made.items():
            print(f"{fastest(call) - empty:6.2f} µs  {name}")


if __name__ == "__main__":
    main()
