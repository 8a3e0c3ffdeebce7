"""`calibrate`: two runs of a program, and the settings under which both ask the same."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest
from conftest import ASK, plain

import inferencereplay
from inferencereplay import replay
from inferencereplay.session import settings

PACKAGE = str(Path(inferencereplay.__file__).parents[1])
COPY = 'cp -R "$0/$(basename "$INFERENCEREPLAY_DIR")/." "$INFERENCEREPLAY_DIR"; seq 7 8'
"""A program that records what a test has recorded before for its run."""


@pytest.fixture
def program(client, tmp_path):
    """Record what a program will ask in its two runs, and return its command."""

    def program(*runs):
        for number, asks in enumerate(runs, 1):
            folder = tmp_path / "made" / f"run-{number}"
            folder.mkdir(parents=True)
            with replay(folder, mode="record", record_errors=True):
                for ask in asks:
                    client.chat.completions.create(**{**ASK, **ask})
        return "sh", "-c", COPY, str(tmp_path / "made")

    return program


def says(text, **more):
    return {"messages": [{"role": "user", "content": text}], **more}


def jobs(count=2):
    return [says(f"job {uuid.uuid4()}", user=uuid.uuid4().hex) for _ in range(count)]


def test_what_varies_and_the_settings_for_it(cli, program):
    """Where, what, in how many requests; for each place where settings are given; and what they let through."""
    done = cli("calibrate", "--", *program(jobs(1), jobs(1)))
    assert done.status == 0
    lines = done.out.splitlines()
    assert "1 and 1 requests, 0 equal, 1 different" in lines[0]
    assert "messages.content\tUUID\t1\tnormalize uuids\t" in done.out
    assert "user\tUUID\t1\tignore user\t" in done.out
    assert "Settings under which 1 of the 1 are equal (checked):" in lines
    assert '  code              replay("recordings", ignore=["user"], normalize=["uuids"])' in lines
    assert '  pytest\'s marker   @pytest.mark.inferencereplay(ignore=["user"], normalize=["uuids"])' in lines
    assert "  pytest's ini file inferencereplay_ignore = user" in lines
    assert "  pytest's ini file inferencereplay_normalize = uuids" in lines
    assert "  environment       INFERENCEREPLAY_IGNORE=user INFERENCEREPLAY_NORMALIZE=uuids" in lines
    assert "  uuids: requests that differ only in which UUIDs they name" in lines
    assert "become one" not in done.out
    assert "Run 2 of 2: sh -c" in done.err
    assert "7\n8\n" not in done.out


def test_the_settings_make_existing_recordings_equal(cli, program, tmp_path):
    """`rekey` takes them, and both runs have the same names then."""
    command = program(jobs(1), jobs(1))
    options = json.loads(cli("calibrate", "--json", "--", *command).out)["spelled"]["options"]
    names = []
    for number in (1, 2):
        folder = tmp_path / "made" / f"run-{number}"
        assert cli("rekey", folder, *shlex.split(options)).status == 0
        names.append([file.name for file in folder.rglob("*.json")])
    assert names[0] == names[1]


def test_equal_runs(cli, program):
    """Nothing needs a setting."""
    done = cli("calibrate", "--", *program([says("a")], [says("a")]))
    assert (done.status, done.out.splitlines()[-1]) == (0, "Both runs ask the same: nothing needs a setting.")
    assert "WHERE" not in done.out


def test_requests_that_become_one_are_told(cli, program):
    """With what differs between them, the first few of them."""
    done = cli("calibrate", "--", *program(jobs(2), jobs(2)))
    assert "Of the recorded requests, those of 1 group become one:" in done.out
    assert "    2 to /chat/completions, such as chat/completions/" in done.out


def test_what_stays_different(cli, program):
    """It is told, with the exit status; a list is cut."""
    words = ["sea", "moon", "river", "forest", "island", "cloud"]
    first = [says(f"Tell me all about one {word} and its story.") for word in words]
    second = [says(f"Tell me all about one old {word} and its story.") for word in words]
    done = cli("calibrate", "--", *program([*first, says("x", seed=1)], second))
    assert done.status == 1
    assert "6 requests of each run stay different:" in done.out
    assert "  … and 1 more" in done.out
    assert "none: let the program say one text, or write a function for normalize=" in done.out
    assert "Only run 1 made 1 request:" in done.out
    assert "Settings" not in done.out


def test_json(cli, program):
    """All of it, and nothing else on standard output."""
    done = cli("calibrate", "--json", "--", *program([*jobs(2), says("a b"), says("only")], [*jobs(2), says("a c")]))
    found = json.loads(done.out)
    assert (done.status, found["is_calibrated"]) == (1, False)
    assert (found["requests"], found["equal"], found["differing"]) == ([4, 3], 0, 3)
    assert found["settings"] == {"ignore": ["user"], "normalize": ["uuids"]}
    assert set(found["spelled"]) == {"code", "marker", "ini", "environment", "options"}
    assert found["variations"][0]["requests"] == 2
    assert [len(group) for group in found["collisions"]] == [2]
    assert len(found["unsolved"]) == 1
    assert list(map(len, found["only_in_one_run"])) == [1, 0]
    assert set(found["only_in_one_run"][0][0]) == {"method", "path", "key", "file"}


def test_json_of_equal_runs(cli, program):
    """No setting, no spelling."""
    found = json.loads(cli("calibrate", "--json", "--", *program([says("a")], [says("a")])).out)
    assert (found["is_calibrated"], found["spelled"], found["variations"]) == (True, {}, [])


def test_settings_that_there_are_already_stay(cli, program, monkeypatch):
    """Those of the options, and of the environment; the proposal adds to them."""
    command = program(jobs(1), jobs(1))
    found = json.loads(cli("calibrate", "--json", "--ignore", "metadata.x", "--", *command).out)
    assert found["settings"]["ignore"] == ["metadata.x", "user"]
    monkeypatch.setenv("INFERENCEREPLAY_NORMALIZE", "timestamps,/a,b/")
    found = json.loads(cli("calibrate", "--json", "--", *command).out)
    assert found["settings"]["normalize"] == ["timestamps", "/a,b/", "uuids"]
    assert set(found["lets_through"]) == {"uuids", "user"}


def test_the_runs_can_be_kept(cli, program, tmp_path):
    """In a folder that has none; what they cost is not lost."""
    command = program(jobs(1), jobs(1))
    done = cli("calibrate", "--keep", tmp_path / "kept" / "here", "--", *command)
    assert done.status == 0
    assert len(list((tmp_path / "kept" / "here" / "run-1").rglob("*.json"))) == 1
    again = cli("calibrate", "--keep", tmp_path / "kept" / "here", "--", *command)
    assert again.status == 2
    assert "run-1 is there already. Give another folder, or remove it." in again.err


def test_known_recordings_answer_and_are_left_alone(cli, program, tmp_path, client):
    """Only what they lack is compared; and what would become equal to them is told."""
    known = tmp_path / "known"
    with replay(known, mode="record"):
        client.chat.completions.create(**{**ASK, **jobs(1)[0]})
    before = {file: file.read_bytes() for file in known.rglob("*.json")}
    command = program(jobs(1), jobs(1))
    for place in (("calibrate", "--dir", known), ("-d", known, "calibrate")):
        done = cli(*place, "--", *command)
        assert done.status == 0
        assert "1 and 1 requests" in done.out
        assert "those of 1 group become one" in done.out
    assert {file: file.read_bytes() for file in known.rglob("*.json")} == before
    done = cli("calibrate", "--dir", known, "--", "true")
    assert (done.status, "the given recordings do not answer" in done.err) == (2, True)


def test_layers_and_files_beside_recordings_answer_too(cli, program, tmp_path, client):
    """Of two recordings of one request, the first layer's is taken; what cannot be copied is told."""
    layers = [tmp_path / "one", tmp_path / "two"]
    for layer in layers:
        with replay(layer, mode="record"):
            client.chat.completions.create(**ASK)
    (file,) = layers[0].rglob("*.json")
    file.with_suffix(".mp3").write_bytes(b"sound")
    torn = file.with_name(f"{'0' * 32}.json")
    torn.symlink_to(tmp_path / "elsewhere.json")
    (tmp_path / "elsewhere.json").write_text("{}")
    command = program(jobs(1), jobs(1))
    done = cli("calibrate", "--keep", tmp_path / "kept", "-d", layers[0], "-d", layers[1], "--", *command)
    assert done.status == 0
    assert "leads out of" in done.err
    kept = tmp_path / "kept" / "run-1"
    copied = kept / file.relative_to(layers[0])
    assert copied.read_bytes() == file.read_bytes()
    assert copied.with_suffix(".mp3").read_bytes() == b"sound"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--", "true"), "true made no call with the openai package that was recorded."),
        (("--", "no-such-command"), "no-such-command: No such file or directory"),
        (("--", "app.py"), "Run it with Python: inferencereplay calibrate -- python app.py"),
        (("--", "sh", "-c", "exit 3"), "sh -c 'exit 3' failed (exit status 3), and what it asked may not be all."),
        (("--", "sh", "-c", "kill -9 $$"), "failed (signal 9)"),
        (("--", "sh", "-c", "exit 3 # sk-abcdefghijklmnop1234567890"), "exit 3 # [REDACTED]"),
        (("--dir", "nowhere", "--", "true"), "nowhere does not exist."),
        (("--dir", "llama_stack", "--", "true"), "llama_stack is llama-stack's, and cannot be added to."),
        (("--normalize", "uuid", "--", "true"), "--normalize='uuid' is no normalizer"),
        (("--normalize", "/(/", "--", "true"), "--normalize='/(/' is no regular expression: missing )"),
        ((), "Missing argument 'COMMAND...'"),
    ],
)
def test_what_cannot_be_compared_is_an_error(cli, tmp_path, monkeypatch, arguments, message):
    """It names what was wrong, and the way out; nothing is left behind."""
    (tmp_path / "llama_stack").symlink_to(Path(__file__).parents[1] / "recordings" / "llama_stack")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    done = cli("calibrate", *arguments)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert [file.name for file in tmp_path.iterdir()] == ["llama_stack"]


def test_what_cannot_be_read_is_told(cli, program, tmp_path):
    """The rest is compared."""
    command = program(jobs(1), jobs(1))
    (tmp_path / "made/run-1/chat/completions" / f"{'0' * 32}.json").write_text("torn")
    done = cli("calibrate", "--", *command)
    assert done.status == 0
    assert "000.json: it cannot be read as a recording" in done.err


def test_requests_of_llama_stacks_suite(cli, client, tmp_path):
    """Ids, times and paths that are planted into real requests are found, and nothing else."""
    folder = Path(__file__).parents[1] / "recordings" / "llama_stack"
    bodies = [json.loads(file.read_text())["request"] for file in sorted(folder.rglob("*.json"))]
    chats = [item["body"] for item in bodies if item["endpoint"].endswith("/chat/completions")]
    assert len(chats) > 3
    for number in (1, 2):
        with replay(tmp_path / "made" / f"run-{number}", mode="record"):
            for place, body in enumerate(chats):
                planted = f"\nJob {uuid.uuid4()} of 2026-11-2{number} in /tmp/tmp{number}x/{place}."
                talk = [*body["messages"], {"role": "user", "content": planted}]
                client.post(
                    "/chat/completions",
                    body={**body, "messages": talk, "stream": False, "metadata": {"id": uuid.uuid4().hex}},
                    cast_to=object,
                )
    done = cli("calibrate", "--json", "--", "sh", "-c", COPY, tmp_path / "made")
    found = json.loads(done.out)
    assert done.status == 0
    assert found["settings"] == {"ignore": ["metadata.id"], "normalize": ["uuids", "timestamps", "temporary_paths"]}
    assert [found["differing"]] * 2 == found["requests"]
    assert found["collisions"] == []


# Programs.

APP = """
    import sys, uuid
    from openai import OpenAI
    from inferencereplay import replay

    def ask(text, **more):
        made = OpenAI().chat.completions.create(model="m", messages=[{"role": "user", "content": text}], **more)
        return made.choices[0].message.content

    first = ask(f"job {uuid.uuid4()}", user=uuid.uuid4().hex)
    ask("You said: " + first)
    with replay(sys.argv[1]):
        ask(f"own {uuid.uuid4()}")
    with replay(sys.argv[1], mode="record"):
        ask(f"own, recorded {uuid.uuid4()}")
"""


@pytest.fixture
def run(server, tmp_path):
    """Run a command of ours in a process of its own, with a server for the program."""
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))

    def run(*arguments, **environment):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "INFERENCE"))}
        kept |= {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-test-0123456789abcdef", "PYTHONPATH": PACKAGE}
        return subprocess.run(
            [sys.executable, "-m", "inferencereplay", *map(str, arguments)],
            cwd=tmp_path,
            env={**kept, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@pytest.mark.slow
def test_a_program_is_calibrated_and_then_replays(run, server, tmp_path):
    """Its own sessions are recorded apart as well: its directories stay as they are."""
    done = run("calibrate", "--json", "--", sys.executable, "app.py", "own")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["requests"] == [4, 4]
    assert found["settings"] == {"ignore": ["user"], "normalize": ["uuids"]}
    assert [item["remedy"] for item in found["variations"]] == ["normalize", "ignore", "replay"]
    assert not (tmp_path / "own").exists()
    assert server.count == 8
    options = shlex.split(found["spelled"]["environment"])
    environment = dict(option.split("=", 1) for option in options)
    for mode in ("record", "replay"):
        own = tmp_path / "recordings"
        kept = run("run", "--mode", mode, "--dir", own, "--", sys.executable, "app.py", str(own), **environment)
        assert kept.returncode == 0, kept.stderr


def test_sessions_of_a_calibrated_process_record_apart(client, server, tmp_path, monkeypatch):
    """Whatever directory and mode they name; errors too; only `live` stays what it is."""
    monkeypatch.setattr(settings, "calibration", str(tmp_path / "run"))
    server.renumber(plain({"error": {"message": "busy"}}, 429), plain({"error": {"message": "busy"}}, 429))
    for mode in ("replay", "record", "record-if-missing"):
        with replay(tmp_path / "own", mode=mode, test_id="x" if mode == "replay" else None) as session:
            assert session.mode == "record-if-missing"
            if mode == "replay":
                with pytest.raises(Exception, match="busy"):
                    client.with_options(max_retries=0).chat.completions.create(**ASK)
    assert not (tmp_path / "own").exists()
    assert len(list((tmp_path / "run").rglob("*.json"))) == 1
    with replay(tmp_path / "own", mode="live") as session:
        assert session.mode == "live"
