"""Sessions whose recordings are in an object store: by every entrance, in every mode."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import openai
import pytest
from conftest import ASK, Reply, cheap, chunk, plain, sse
from forkserver import forkserver
from object_servers import KEY, SECRET
from sockets import NOBODY, connected, run, serving
from ways import DEAD, settle

from inferencereplay import InvalidSetting, RecordingCorrupt, RecordingNotFound, Session, replay, unwrap, wrap
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.session.run_coordinator import RunCoordinator
from inferencereplay.store.directory import DirectoryStore
from inferencereplay.store.folder_files import FolderFiles
from inferencereplay.store.location import StoreURL
from inferencereplay.store.opening import open_store
from inferencereplay.upkeep.checking import check
from inferencereplay.upkeep.copying import Copying
from inferencereplay.upkeep.pruning import remove

pytest_plugins = ["pytester"]


def ask(client, text="Hello"):
    made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    return made.choices[0].message.content


def test_what_was_recorded_replays(client, server, store_url):
    """Plain answers and streams, repeated ones in their order, with the counts and the names of a directory."""
    server.replies = [sse(chunk("Hel"), chunk("lo"), chunk(None, "stop"))]
    with replay(store_url, mode="record") as session:
        live = [item.model_dump() for item in client.chat.completions.create(**ASK, stream=True)]
        texts = [ask(client), ask(client), ask(client, "another")]
    assert (session.recorded, session.unused()) == (4, [])
    assert len(list(session.store.list())) == 4
    with replay(store_url) as session:
        assert [item.model_dump() for item in client.chat.completions.create(**ASK, stream=True)] == live
        assert [ask(client), ask(client), ask(client)] == [texts[0], texts[1], texts[1]]
    assert (session.hits, server.count) == (4, 4)
    assert session.unused() == [name for name in session.store.list() if name not in session.used()]
    assert len(session.unused()) == 1
    assert session.store.directory in repr(session)


def test_the_first_call_of_a_session_replaces(client, store_url):
    """In `record` the old variants give way: all of them, although the new session makes fewer calls."""
    for count in (3, 2):
        with replay(store_url, mode="record") as session:
            texts = [ask(client) for _ in range(count)]
    assert len(list(session.store.list())) == 2
    with replay(store_url):
        assert [ask(client), ask(client)] == texts


def test_what_is_missing_is_recorded(client, server, store_url):
    """In `record-if-missing` what is there answers, and a further call is stored as a further variant."""
    for _ in range(2):
        with replay(store_url, mode="record-if-missing", exhausted="record"):
            first = ask(client)
    with replay(store_url, mode="record-if-missing", exhausted="record") as session:
        assert ask(client) == first
        second = ask(client)
    assert (session.hits, session.recorded, server.count) == (1, 1, 2)
    with replay(store_url):
        assert [ask(client), ask(client)] == [first, second]


def test_side_files_are_objects_too(client, server, bucket, tmp_path):
    """Bytes and long images come back; variants take theirs along, and so does a copy; a torn one is told."""
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(100_000)).decode()
    asked = {"model": "m", "voice": "alloy", "input": "Hi"}
    server.replies = [Reply(headers={"content-type": "audio/mpeg"}, body=b"\xff\xfb" + bytes([n])) for n in range(3)]
    server.replies.append(plain({"created": 1, "data": [{"b64_json": image}]}))
    with replay(bucket, mode="record") as session:
        live = [client.audio.speech.create(**asked).content for _ in range(3)]
        drawn = client.images.generate(prompt="x")
    with replay(bucket):
        assert [client.audio.speech.create(**asked).content for _ in range(3)] == live
        assert client.images.generate(prompt="x") == drawn
    catalogue = Catalogue(bucket)
    first = next(entry for entry in catalogue.entries() if entry.path == "/audio/speech" and entry.variant == 1)
    remove(catalogue, {first.name: (first.size, first.modified)})
    list((copying := Copying(catalogue.files, FolderFiles(tmp_path))).run(copying.plan()))
    for place in (bucket, tmp_path):
        with replay(place):
            assert [client.audio.speech.create(**asked).content for _ in range(2)] == live[1:]
    assert not [found for _, found in check(Catalogue(bucket), Redactor()) if found]
    side = next(item.name for item in catalogue.files.list() if item.name.endswith(".mp3"))
    catalogue.files.replace(side, b"x")
    with pytest.raises(RecordingCorrupt, match="another content"), replay(bucket):
        for _ in range(2):
            client.audio.speech.create(**asked)
    assert {problem.kind for _, found in check(Catalogue(bucket), Redactor()) for problem in found} == {"side file"}
    catalogue.files.remove(side)
    assert session.recorded == 4


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_the_audio_of_a_connection_comes_back(bucket, is_async):
    """It is in a side file, as in a directory."""
    sound = json.dumps({"type": "response.output_audio.delta", "delta": base64.b64encode(bytes(90_000)).decode()})

    async def talk(client):
        async with connected(client) as connection:
            await settle(connection.send({"type": "response.create"}))
            return (await settle(connection.recv_bytes())).decode()

    with serving() as served:
        served.talk = lambda socket: [socket.send(sound) for _ in socket]
        with replay(bucket, mode="record"):
            assert run(talk, served.url, is_async=is_async) == sound
    with replay(bucket):
        assert run(talk, NOBODY, is_async=is_async) == sound


def test_a_miss_names_the_nearest(client, store_url):
    """The store and the recording in it, and what differs."""
    with replay(store_url, mode="record"):
        ask(client, "Hello")
    with pytest.raises(RecordingNotFound) as told, replay(store_url):
        ask(client, "Hallo")
    assert str(told.value).startswith(f"POST /chat/completions was not recorded in {store_url} (key ")
    assert told.value.differences == ('messages[0].content: "Hello" → "Hallo"',)
    with pytest.raises(RecordingNotFound, match="There is no recording of that path"), replay(store_url):
        client.completions.create(model="m", prompt="Once")


def test_every_entrance_takes_a_url(client, bucket, monkeypatch):
    """`wrap`, `Session` and the environment, whose settings keep the URL."""
    with replay(bucket, mode="record") as recorded:
        text = ask(client)
    assert type(recorded.settings.directory) is StoreURL
    assert ask(wrap(client, bucket)) == text
    unwrap(client)
    session = Session(bucket)
    with replay(session):
        assert ask(client) == text
    monkeypatch.setenv("INFERENCEREPLAY_DIR", bucket)
    with replay() as session:
        assert ask(client) == text
    assert (session.settings.directory, session.store.directory) == (bucket, bucket)
    assert not Path("s3:").exists()


def test_a_whole_program_is_recorded_and_replayed(server, bucket, tmp_path):
    """`inferencereplay run` hands the URL to the program."""
    program = tmp_path / "program.py"
    program.write_text(
        "import openai\n"
        f"client = openai.OpenAI(api_key='test-key', base_url={server.url!r}, max_retries=0)\n"
        "made = client.chat.completions.create(model='m', messages=[{'role': 'user', 'content': 'Hello'}])\n"
        "print(made.choices[0].message.content)\n"
    )
    said = []
    for mode in ("record", "replay"):
        command = [sys.executable, "-m", "inferencereplay", "run", "--mode", mode, "--dir", bucket, "--"]
        done = subprocess.run(
            [*command, sys.executable, str(program)], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        said.append(done.stdout)
    assert said == ["answer 1\n", "answer 1\n"]
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("cache", "program.py")] == []


CHILD = """
import multiprocessing, sys
import openai
from inferencereplay import replay

def ask(url):
    client = openai.OpenAI(api_key="test-key", base_url=url, max_retries=0)
    made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
    return made.choices[0].message.content

if __name__ == "__main__":
    with replay(sys.argv[2], mode=sys.argv[3]) as session:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(ask, (sys.argv[1],)))
    print(session.hits, session.recorded)
"""


def test_a_child_process_answers_from_the_same_store(server, bucket, tmp_path):
    """One that is started anew gets the URL of its parent's session."""
    (tmp_path / "program.py").write_text(CHILD)
    said = []
    for mode in ("record", "replay"):
        command = [sys.executable, str(tmp_path / "program.py"), server.url, bucket, mode]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        said.append(done.stdout.split("\n")[:2])
    assert said == [["answer 1", "0 1"], ["answer 1", "1 0"]]


FORKED = """
    import os, sys
    import openai
    from inferencereplay import StoreError, replay

    url, place = sys.argv[1:]
    client = openai.OpenAI(api_key="test-key", base_url=url, max_retries=0)
    def ask(text):
        return client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])

    with replay(place, mode="record"):
        ask("Hello")
    with replay(place) as session:
        if not os.fork():
            ask("Hello")
            try:
                ask("another")
            except StoreError as error:
                print(error, flush=True)
            os._exit(0)
        os.wait()
        print(session.hits)
"""


def test_a_forked_child_is_told_and_does_not_hang(server, bucket, tmp_path):
    """The threads of obstore are not there: what is cached replays, and the rest is one clear error."""
    done = forkserver().run(FORKED, server.url, bucket, **_settings())
    assert done.returncode == 0, done.stderr
    assert 'forked after its parent had used it. Start the process by multiprocessing\'s "spawn"' in done.stdout
    assert done.stdout.endswith("1\n")


def _settings():
    return {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "INFERENCEREPLAY_CACHE"))}


def test_the_plugin_takes_a_url(server, bucket, pytester, monkeypatch):
    """By the marker and in the ini file; unused recordings of a shared store are nobody's fault."""
    pytester.makeini(f"[pytest]\ninferencereplay_dir = {bucket}\n")
    pytester.makepyfile(
        f"""
        import openai, pytest

        def ask():
            client = openai.OpenAI(api_key="test-key", base_url={server.url!r}, max_retries=0)
            return client.chat.completions.create(model="m", messages=[])

        @pytest.mark.inferencereplay({bucket + "/inner"!r})
        def test_marked(inferencereplay):
            ask()
            assert inferencereplay.store.directory == {bucket + "/inner"!r}

        @pytest.mark.inferencereplay
        def test_ini(inferencereplay):
            ask()
            assert inferencereplay.store.directory == {bucket!r}
        """
    )
    options = ("-p", "no:cacheprovider")
    pytester.runpytest_subprocess(*options, "--inferencereplay-mode=record").assert_outcomes(passed=2)
    done = pytester.runpytest_subprocess(*options, "--inferencereplay-unused=fail")
    done.assert_outcomes(passed=2)
    assert done.ret == 0
    assert server.count == 2


def test_a_run_of_several_sessions_records_each_request_once(client, server, bucket, tmp_path):
    """And puts the recordings in order at its end."""
    with replay(bucket, mode="record"):
        old = [ask(client), ask(client)]
    run = RunCoordinator(tmp_path / "run")
    for _ in range(2):
        session = Session(bucket, mode="record")
        session.join(run)
        with replay(session):
            new = ask(client)
    assert new not in old
    run.tidy(lambda _: True)
    assert server.count == 3
    assert len(list(session.store.list())) == 1


def test_a_web_server_is_read_only(client, serve_files, tmp_path):
    """A directory behind a web server replays, and refuses to be recorded into, in one error."""
    with replay(tmp_path / "recordings", mode="record"):
        text = ask(client)
    url = serve_files(tmp_path / "recordings")
    with replay(url) as session:
        assert ask(client) == text
    with pytest.raises(InvalidSetting, match=f"mode='record': {url} is a web server's, and can be replayed only"):
        Session(url, mode="record")
    with pytest.raises(InvalidSetting, match=r"save=True: .* is a web server's"):
        session.stub("x", save=True)
    with pytest.raises(RecordingNotFound, match="It cannot be compared with the recordings of that path"), replay(url):
        ask(client, "another")


def test_a_test_id_is_for_directories(bucket):
    """It picks among llama-stack's recordings, which an object store has none of."""
    with pytest.raises(InvalidSetting, match=r"test_id='a' picks among llama-stack's recordings, and s3://"):
        replay(bucket, test_id="a").__enter__()


def test_a_bucket_is_synchronized_with_a_directory(client, bucket, tmp_path):
    """The names are those of files: what was recorded in one place replays from the other."""
    with replay(tmp_path / "recordings", mode="record"):
        texts = [ask(client), ask(client), ask(client, "another")]
    store = open_store(StoreURL(bucket), is_recorded=True)
    for name in DirectoryStore(tmp_path / "recordings").list():
        store._objects.create(name, (tmp_path / "recordings" / name).read_bytes())
    with replay(bucket):
        assert [ask(client), ask(client), ask(client, "another")] == texts


def test_no_secret_is_written_or_shown(client, bucket, tmp_path, caplog, moto):
    """Neither the settings of the store nor the endpoint are in a recording, in the cache or in the log."""
    with caplog.at_level(logging.DEBUG), replay(bucket, mode="record") as session:
        ask(client)
    written = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    stored = b"".join(session.store._objects.get(name).data for name in session.store.list())
    for text in (KEY, SECRET, moto.url):
        assert text.encode() not in written + stored
        assert text not in caplog.text + repr(session)


def test_threads_record_together(server, bucket):
    """Eight threads of one session lose no answer; equal calls get numbers that follow each other."""
    with openai.OpenAI(api_key="test-key", base_url=server.url, max_retries=0, **cheap()) as client:
        with replay(bucket, mode="record") as session, concurrent.futures.ThreadPoolExecutor(8) as pool:
            texts = list(pool.map(lambda _: ask(client), range(24)))
    assert session.recorded == 24
    with openai.OpenAI(api_key="test-key", base_url=DEAD, **cheap()) as client, replay(bucket):
        assert sorted(ask(client) for _ in range(24)) == sorted(texts)


def test_obstore_is_wanted(monkeypatch, no_stores):
    """Without it, and on a Python that is too old for it, one error says so; an unknown setting is told as well."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(
        InvalidSetting, match=r"^s3://bucket/a: .* need more packages .*pip install 'inferencereplay\[st"
    ):
        Session("s3://bucket/a")
    monkeypatch.setattr(sys, "version_info", (3, 10, 14))
    with pytest.raises(InvalidSetting, match=r"need Python 3\.11 or newer, for obstore; this is 3\.10\.$"):
        Session("s3://bucket/a")


def test_a_store_that_cannot_be_opened_is_told(monkeypatch, no_stores):
    """By one error in any mode, without what obstore shows of the settings."""
    monkeypatch.setenv("AWS_ALLOW_HTTP", "perhaps")
    for mode in ("replay", "record"):
        with pytest.raises(InvalidSetting, match=r"^s3://bucket/a cannot be opened: ") as told:
            Session("s3://bucket/a", mode=mode)
        assert "Debug source" not in str(told.value)
        assert told.value.__cause__ is None


FOLDER_ONLY = """
import json, sys
import openai
from inferencereplay import replay

with replay(sys.argv[1], mode="record-if-missing"):
    client = openai.OpenAI(api_key="test-key", base_url=sys.argv[2], max_retries=0)
    client.chat.completions.create(model="m", messages=[])
print(json.dumps([name for name in sys.modules if name.partition(".")[0] in ("obstore", "platformdirs")
                  or "object_stores" in name or "distant" in name]))
"""


def test_a_session_of_a_directory_imports_nothing_more(server, tmp_path):
    """Nobody pays for stores who has none."""
    command = [sys.executable, "-c", FOLDER_ONLY, str(tmp_path / "recordings"), server.url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
