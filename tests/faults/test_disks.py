"""A directory that cannot be used costs a recorded program one warning an answer, and a replay one clear error.

Each fault is real. A full and a read-only disk are small file systems in memory where the tests may mount them;
elsewhere a limit on the size of files and a directory without the right to write stand for them.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from conftest import ASK
from forkserver import forkserver
from length import report, times

from inferencereplay import replay

pytestmark = pytest.mark.slow

PROGRAM = """
    import contextlib, json, logging, os, resource, shutil, sys
    import anyio, openai
    from inferencereplay import InferenceReplayError, replay

    url, directory, warm, fault = sys.argv[1:]
    options = {"api_key": "test-key", "base_url": url, "max_retries": 0}
    told = []

    class Keep(logging.Handler):
        def emit(self, record):
            told.append(record.getMessage())

    logging.getLogger("inferencereplay").addHandler(Keep(logging.WARNING))

    def ask(question, stream):
        return {"model": "m", "messages": [{"role": "user", "content": question + "x" * 9_000}], "stream": stream}

    def text_of(chunks):
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    def sync(question, stream):
        with openai.OpenAI(**options, http_client=openai.DefaultHttpxClient(verify=False)) as client:
            made = client.chat.completions.create(**ask(question, stream))
            return text_of(made) if stream else made.choices[0].message.content

    def asynchronous(question, stream):
        async def main():
            http_client = openai.DefaultAsyncHttpxClient(verify=False)  # certificates take 70 ms to load
            async with openai.AsyncOpenAI(**options, http_client=http_client) as client:
                made = await client.chat.completions.create(**ask(question, stream))
                return text_of([chunk async for chunk in made]) if stream else made.choices[0].message.content
        return anyio.run(main)

    ways = [(way, stream) for way in (sync, asynchronous) for stream in (False, True)]

    def go(directory, mode, question):
        results = []
        for way, stream in ways:
            told.clear()
            result = {"way": f"{way.__name__} {stream}", "text": None, "recorded": 0, "error": None}
            try:
                with replay(directory, mode=mode) as session:
                    result["text"] = way(question, stream)
                    result["recorded"] = session.recorded
            except Exception as error:
                result["error"] = [type(error).__name__, isinstance(error, InferenceReplayError), str(error)]
            results.append({**result, "told": told[:]})
        return results

    for mode in ("record", "replay"):  # what is imported late is there before rights are given up
        go(warm, mode, "ready ")
    with contextlib.suppress(InferenceReplayError):
        with replay(warm):
            sync("unknown ", False)
    modes = ("record", "record-if-missing", "replay")
    exec(fault)
    results = {mode: go(directory, mode, "new ") for mode in modes}
    print(json.dumps({**results, "ready": go(directory, "replay", "ready ")}))
"""
NOBODY = "os.geteuid() or os.seteuid(65534)"
"""Gives up the rights that no permission holds back."""
WHICH = ("disk/chat/completions", "disk", "disk/chat")[: times(1, 3)]
FEWEST_BYTES = "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))"


@pytest.fixture
def place():
    """Make a directory that everybody may walk into, down to which nothing is private."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def run(url: str, directory: Path, warm: Path, fault: str) -> dict:
    """Run the program with a fault, which is done after it has recorded four answers into `warm`."""
    made = forkserver("-W", "error").run(PROGRAM, url, directory, warm, fault)
    assert (made.returncode, made.stderr) == (0, "")
    return json.loads(made.stdout)


def check_recording(told: dict, reason: str) -> None:
    """Make sure that each way got its answer and one warning that says why it was not stored."""
    for mode in ("record", "record-if-missing"):
        for result in told[mode]:
            assert result["error"] is None
            assert result["text"].startswith("answer "), result
            assert result["recorded"] == 0
            (warning,) = result["told"]
            assert "was not recorded" in warning
            assert reason in warning


def check_error(results: list[dict], kind: str, reason: str) -> None:
    """Make sure that each way got one error of ours that says why."""
    for result in results:
        assert result["text"] is None
        assert result["error"][:2] == [kind, True]
        assert reason in result["error"][2]
        assert result["told"] == []


def check_ready(told: dict) -> None:
    """Make sure that what had been recorded before replays as ever."""
    for result in told["ready"]:
        assert (result["error"], result["told"]) == (None, [])
        assert result["text"].startswith("answer ")


def files(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@contextlib.contextmanager
def mounted(directory: Path, options: str):
    """Put a small file system into place, as far as the tests may; says whether it is there."""
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(directory)]
    try:
        is_there = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        is_there = False
    directory.chmod(0o777)
    try:
        yield is_there
    finally:
        if is_there:
            subprocess.run(["umount", str(directory)], check=True)


FILL = """
with contextlib.suppress(OSError), open(os.path.join(directory, "filler"), "wb", 0) as filler:
    while filler.write(b"x" * 512):
        pass
"""
FILL_INODES = """
with contextlib.suppress(OSError):
    for number in range(1_000):
        open(os.path.join(directory, f"filler{number}"), "x").close()
"""


@pytest.mark.parametrize("kind", ["bytes", "inodes", "limit"])
def test_a_full_disk(server, place, kind):
    """Nothing torn is left on a full disk, and what had been recorded before stays."""
    options = {"bytes": "size=400k", "inodes": "size=4m,nr_inodes=12", "limit": "size=4m"}
    faults = {"bytes": FILL, "inodes": FILL_INODES, "limit": FEWEST_BYTES}
    with mounted(place / "disk", options[kind]) as is_there:
        fault = faults[kind] if is_there else FEWEST_BYTES
        told = run(server.url, place / "disk", place / "disk", fault)
        left = [name for name in files(place / "disk") if "filler" not in name]
        reason = "No space left on device" if "filler" in fault else "File too large"
        check_recording(told, reason)
        check_error(told["replay"], "RecordingNotFound", "was not recorded in")
        check_ready(told)
        assert [name.endswith(".json") for name in left] == [True, True]
    report(f"{kind}: 8 answers on a full disk ({'a mount' if is_there else 'a limit'}): 8 given, 8 warnings, 0 torn")


def test_a_read_only_disk(server, place):
    """Nothing can be written, and what is there replays."""
    with mounted(place / "disk", "size=4m") as is_there:
        remount = "os.system('mount -o remount,ro ' + directory) and sys.exit(1)"
        fault = remount if is_there else "os.chmod(directory + '/chat/completions', 0o555)"
        told = run(server.url, place / "disk", place / "disk", fault)
        check_recording(told, "Read-only file system" if is_there else "Permission denied")
        check_error(told["replay"], "RecordingNotFound", "was not recorded in")
        check_ready(told)
    report(f"8 answers on a read-only disk ({'a mount' if is_there else 'rights'}): 8 given, 8 warnings")


@pytest.mark.parametrize("which", WHICH)
def test_a_directory_without_the_right_to_write(server, place, which):
    """Nothing can be written, and what is there replays."""
    below = {"disk": "chat", "disk/chat": "chat/completions"}.get(which)
    fault = f"os.chmod({str(place / which)!r}, 0o555)\n{NOBODY}"
    if below:
        fault = f"shutil.rmtree({str(place / 'disk' / below)!r})\n{fault}"
    told = run(server.url, place / "disk", place / "disk", fault)
    check_recording(told, "Permission denied")
    check_error(told["replay"], "RecordingNotFound", "was not recorded in")
    if not below:
        check_ready(told)
    report(f"8 answers without the right to write into {which}: 8 given, 8 warnings")


@pytest.mark.parametrize("which", WHICH)
def test_a_directory_without_the_right_to_read(server, place, which):
    """Nothing can be looked for, which is no miss."""
    path = str(place / which)
    told = run(server.url, place / "disk", place / "disk", f"os.chmod({path!r}, 0)\n{NOBODY}")
    (place / which).chmod(0o755)
    check_recording(told, "Permission denied")
    check_error(told["replay"], "StoreError", "cannot be read: Permission denied. Look at its permissions.")
    report(f"8 answers without the right to read {which}: 8 given, 8 warnings; 4 replays, 4 errors")


@pytest.mark.parametrize("which", WHICH)
def test_a_file_in_place_of_a_directory(server, place, which):
    """What stands in the way stays as it is."""
    path = place / which
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    told = run(server.url, place / "disk", place / "warm", "")
    check_recording(told, "Not a directory" if which != "disk/chat/completions" else "File exists")
    kind, reason = ("StoreError", "is a file. Give") if which == "disk" else ("RecordingNotFound", "was not recorded")
    check_error(told["replay"], kind, reason)
    assert path.read_text() == "mine"
    report(f"8 answers with a file at {which}: 8 given, 8 warnings; 4 replays, 4 errors")


@pytest.mark.parametrize("name", ["n" * 256, "/".join(["deeper"] * 700)], ids=["a name", "a path"])
def test_a_path_that_is_too_long(server, place, name):
    """No file system takes it, which is told."""
    told = run(server.url, place / name, place / "warm", "")
    check_recording(told, "File name too long")
    check_error(told["replay"], "StoreError", "cannot be read: File name too long. Give another directory.")
    report("8 answers with too long a path: 8 given, 8 warnings; 4 replays, 4 errors")


def test_a_missing_directory(server, place):
    """It is made while recording; in replay that it does not exist is said."""
    told = run(server.url, place / "a" / "b", place / "warm", "")
    for mode in ("record", "record-if-missing"):
        assert [(result["text"] is None, result["told"]) for result in told[mode]] == [(False, [])] * 4
    assert [result["recorded"] for result in told["record"]] == [1] * 4
    assert [result["text"] for result in told["replay"]] == [result["text"] for result in told["record-if-missing"]]
    told = run(server.url, place / "c", place / "warm", "modes = ('replay',)")
    check_error(told["replay"], "RecordingNotFound", "That directory does not exist.")
    assert not (place / "c").exists()
    report("4 answers without a directory: 4 given and recorded; 4 replays, 4 errors")


@pytest.mark.parametrize("stream", [False, True])
def test_a_directory_that_goes_away(client, tmp_path, caplog, stream):
    """If it is removed while a session is open, it is made again."""
    directory = tmp_path / "recordings"
    for mode in ("record", "record-if-missing"):
        with replay(directory, mode=mode) as session:
            for _ in range(2):
                made = client.chat.completions.create(**ASK, stream=stream)
                assert not stream or list(made)
                shutil.rmtree(directory)
        assert session.recorded == 2
    assert caplog.records == []
