"""Commands on the URL of an object store, and on layers of directories and URLs."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest
from suites import suite
from written import ask, said, streamed, write

from inferencereplay import InvalidSetting, RecordingNotFound, Session, replay
from inferencereplay.catalogue.layered import open_catalogue
from inferencereplay.errors import RecordingCorrupt, StoreError
from inferencereplay.object_stores.object_files import ObjectFiles
from inferencereplay.object_stores.object_store import ObjectStore
from inferencereplay.session import first_use
from inferencereplay.store.files import FileState
from inferencereplay.store.location import StoreURL
from inferencereplay.store.opening_files import open_files
from inferencereplay.upkeep import copying

pytest_plugins = ["pytester"]
__all__ = ["suite"]


def chat(client, text, **more):
    made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}], **more)
    return made.choices[0].message.content


def contents(directory):
    files = (file for file in directory.rglob("*") if file.is_file())
    return {file.relative_to(directory).as_posix(): file.read_bytes() for file in files}


def stored(url):
    """Return the files of a store, by name."""
    files = open_files(StoreURL(url))
    return {state.name: files.read(state.name).data for state in files.list()}


@pytest.fixture
def local(tmp_path):
    """Make a directory with a plain answer, a stream and another one."""
    for text, answer in (("one", said("ONE")), ("two", streamed("T", "WO")), ("three", said("THREE"))):
        write(tmp_path / "local", ask(text), answer)
    return tmp_path / "local"


@pytest.fixture
def url(store_url, local, cli):
    """Copy the directory into a store."""
    done = cli("copy", local, store_url)
    assert (done.status, done.err.partition(";")[0]) == (0, "3 copied")
    return store_url


# Copying.


def test_push_and_pull(cli, url, local, tmp_path):
    """To the byte; a second time there is nothing to copy, and a recording is missing or differs alone."""
    assert stored(url) == contents(local)
    assert cli("copy", url, tmp_path / "pulled").status == 0
    assert contents(tmp_path / "pulled") == contents(local)
    for source, target in ((local, url), (url, tmp_path / "pulled")):
        assert cli("copy", source, target).err.startswith("3 there already; 0 B.")
    name = min(contents(local))
    (tmp_path / "pulled" / name).write_bytes(b"x")
    done = cli("copy", tmp_path / "pulled", url)
    assert (done.status, done.out) == (1, f"another content  {name}\n")
    assert stored(url) == contents(local)
    done = cli("copy", url, tmp_path / "pulled", "--overwrite")
    assert (done.status, done.err.partition(";")[0]) == (0, "1 replaced, 2 there already")
    assert cli("copy", tmp_path / "pulled", url, "--overwrite").status == 0


def test_from_one_store_to_another(cli, url, local, tmp_path):
    """With names of used recordings, which may be URLs."""
    other = f"memory://{tmp_path.name}/other"
    first, second, third = sorted(contents(local))
    used = tmp_path / "used.txt"
    used.write_text(f"{url}/{first}\n{second}\ns3://elsewhere/{third}\n")
    done = cli("copy", url, other, "--used", used, "--dry-run")
    assert (done.status, done.out.splitlines()) == (0, [first, second])
    assert stored(other) == {}
    assert cli("copy", url, other, "--used", used).status == 0
    assert sorted(stored(other)) == [first, second]
    assert cli("copy", url, other).err.startswith("1 copied, 2 there already")


def test_a_store_that_cannot_be_reached_is_told(cli, local, tmp_path, monkeypatch, no_stores):
    """As source and as target; the copy ends there."""
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    for places in ((local, "s3://nobody/here"), ("s3://nobody/here", tmp_path / "pulled")):
        done = cli("copy", *places)
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith("Error: s3://nobody/here: its objects cannot be listed: ")
    assert not (tmp_path / "pulled").exists()


def test_a_store_that_fails_meanwhile_ends_the_copy(cli, url, tmp_path, monkeypatch):
    """What was copied before is there."""
    read = ObjectFiles.read

    def fails(self, name, **more):
        if name.endswith(".json") and len(contents(tmp_path / "pulled")) == 1:
            message = f"{url}: {name} cannot be read: nobody answers there."
            raise StoreError(message)
        return read(self, name, **more)

    monkeypatch.setattr(copying, "at_once", map)
    monkeypatch.setattr(ObjectFiles, "read", fails)
    done = cli("copy", url, tmp_path / "pulled")
    assert (done.status, len(contents(tmp_path / "pulled"))) == (2, 1)
    assert "nobody answers there" in done.err
    monkeypatch.undo()


def test_what_belongs_to_a_recording_is_copied_too(cli, url, local, tmp_path):
    """Both ways."""
    name = min(contents(local)).replace(".json", ".mp3")
    (local / name).write_bytes(b"sound")
    assert cli("copy", local, url).err.startswith("1 copied, 3 there already")
    cli("copy", url, tmp_path / "pulled")
    assert contents(tmp_path / "pulled") == contents(local)


def test_a_file_of_used_names_may_name_other_layers(cli, url, local, tmp_path):
    """Those of a directory beside it are no recordings of a URL; a file that names none of the URL is an error."""
    first, *_ = sorted(contents(local))
    used = tmp_path / "used.txt"
    used.write_text(f"local/{first}\n{url}/{first}\n")
    done = cli("copy", url, tmp_path / "pulled", "--used", used)
    assert (done.status, done.out, [*contents(tmp_path / "pulled")]) == (0, "", [first])
    used.write_text(f"local/{first}\n")
    done = cli("copy", url, tmp_path / "pulled", "--used", used)
    assert (done.status, done.err) == (2, f"Error: {used} names no recording of {url}.\n")
    done = cli("copy", url, f"{url}/inner")
    assert (done.status, "is inside FROM" in done.err) == (2, True)


# Reading.


def test_commands_that_read_take_a_url(cli, url, local, tmp_path):
    """They say the same of a store as of the directory that was copied there."""
    for command in (
        ["list", "--sort", "name", "--json"],
        ["stats", "--json"],
        ["check", "--json"],
        ["export", "messages"],
        ["export", "openai-jsonl"],
    ):
        by_url, by_path = ((cli(*command, place)) for place in (url, local))
        assert by_url.status == by_path.status == 0, (command, by_url.err)
        assert by_url.out == by_path.out, command
    listed = json.loads(cli("list", url, "--json").out)
    assert [row["name"] for row in listed] == sorted(contents(local))
    done = cli("report", url, "-o", tmp_path / "report.html")
    assert (done.status, done.out.startswith("3 recordings")) == (0, True)
    assert "/".join(url.split("/")[-2:]) in (tmp_path / "report.html").read_text()


def test_directories_and_urls_are_compared(cli, url, local, tmp_path):
    """Either may be a URL; git has none, and a URL with a password is not shown."""
    for sides in ((local, url), (url, url)):
        done = cli("diff", *sides)
        assert (done.status, done.out) == (0, "0 added, 0 removed, 0 changed, 3 unchanged\n")
    write(tmp_path / "other", ask("one"), said("UN"))
    done = cli("diff", url, tmp_path / "other")
    assert (done.status, done.out.endswith("0 added, 2 removed, 1 changed, 0 unchanged\n")) == (1, True)
    assert '"ONE" → "UN"' in done.out
    for sides in (["main", url], ["main", "--", url]):
        done = cli("diff", *sides)
        assert (done.status, f"{url} is in no repository of git" in done.err) == (2, True)
    done = cli("diff", "s3://user:word@bucket/a", local)
    assert (done.status, "it comes with a user or a password" in done.err, "word@" in done.err) == (2, True, False)


def test_a_recording_is_found_by_its_key_or_its_name(cli, url, local):
    """As in a directory."""
    name = min(contents(local))
    key = name.rpartition("/")[2][:12]
    raw = (local / name).read_text()
    for reference in (key, name, f"{url}/{name}"):
        assert cli("show", reference, "-d", url, "--raw").out == raw
    done = cli("show", "f" * 32, "-d", url)
    assert (done.status, done.err) == (
        2,
        f"Error: No recording in {url} is named '{'f' * 32}' or has a key that begins so.\n",
    )
    assert cli("show", f"chat/completions/{'f' * 32}.json", "-d", url).status == 2


def test_why_and_new_take_a_url(cli, url, tmp_path):
    """A request is looked up in the store, and an answer by hand is stored there."""
    (tmp_path / "request.json").write_text(json.dumps(ask("one")))
    assert cli("why", tmp_path / "request.json", "-d", url).status == 0
    (tmp_path / "request.json").write_text(json.dumps(ask("four")))
    done = cli("why", tmp_path / "request.json", "-d", url)
    assert (done.status, f"in {url}" in done.out) == (1, True)
    assert cli("new", "chat", "--model", "m", "--user", "four", "--text", "FOUR", "-d", url).status == 0
    assert cli("why", tmp_path / "request.json", "-d", url).status == 0
    assert len(stored(url)) == 4


def test_cassettes_are_imported_into_a_url(cli, store_url):
    """Each into a part of its own, if that is wanted."""
    cassettes = Path(__file__).parents[1] / "recordings" / "cassettes"
    done = cli("import", "vcr", cassettes, store_url, "--separate")
    assert "imported" in done.err
    assert len({name.partition("/chat/")[0] for name in stored(store_url)}) > 1


def test_what_is_unreadable_is_told(cli, url, local):
    """By its URL."""
    name = min(contents(local))
    open_files(StoreURL(url)).replace(name, b'{"inferencereplay": 1, "key"')
    done = cli("list", url)
    assert (done.status, len(done.out.splitlines())) == (1, 3)
    assert done.err.startswith(f"{url}/{name}: ")
    assert cli("check", url).status == 1


def test_a_recording_that_is_removed_meanwhile_is_told(url):
    """Whoever lists and then reads may come too late."""
    catalogue = open_catalogue(url)
    (name, *_) = catalogue.names()
    catalogue.files.remove(name)
    with pytest.raises(RecordingCorrupt, match="it was removed meanwhile"):
        catalogue.read(name)
    with pytest.raises(FileNotFoundError, match=name):
        catalogue.content(name)
    assert catalogue.files.read(name) is catalogue.files.state(name) is None
    assert not catalogue.files.move(name, name)


def test_files_of_a_store(url, local):
    """By name: their sizes and dates, with or without a listing before."""
    files = open_files(StoreURL(url))
    name = min(contents(local))
    content = files.read(name)
    assert content.data == (local / name).read_bytes()
    state = files.state(name)
    assert isinstance(state, FileState)
    assert (state.size, state.modified) == (len(content.data), content.modified)
    assert state.modified > 1_700_000_000_000_000_000
    assert not files.add(name, b"other")
    assert files.add("notes.md", b"x")
    assert [item.name for item in files.list()] == sorted(contents(local))
    files.remove("notes.md")
    assert files.add("b" * 32 + ".json", b"{}", like=name)
    assert files.move("b" * 32 + ".json", "c" * 32 + ".json")
    assert ("b" * 32 + ".json") not in stored(url)
    with files.locked():
        files.remove("c" * 32 + ".json")
    assert stored(url) == contents(local)


def test_side_files_move_with_their_recording(url):
    """Each has its recording's name and an ending that the recording tells; one that is gone is passed over."""
    files = open_files(StoreURL(url))
    old, new = "b" * 32, "c" * 32
    ending, gone = f".{'1' * 16}.mp3", f".{'2' * 16}.wav"
    data = f'{{"sides": [{{"ending": "{ending}"}}, {{"ending": "{gone}"}}]}}'.encode()
    files.add(f"{old}{ending}", b"sound")
    files.add(f"{old}.json", data)
    assert files.move(f"{old}.json", f"{new}.json")
    assert {name: content for name, content in stored(url).items() if "/" not in name} == {
        f"{new}{ending}": b"sound",
        f"{new}.json": data,
    }
    files.add(f"{old}.json", b'{"another": 1}')
    assert not files.move(f"{old}.json", f"{new}.json")


# Keeping in order.


def test_prune_shows_first_and_removes_when_told_to(cli, client, store_url, tmp_path):
    """Gaps close; a name may be a URL."""
    with replay(store_url, mode="record"):
        for text in ("same", "same", "other"):
            chat(client, text)
    names = sorted(stored(store_url))
    (first,) = (name for name in names if name.replace(".json", "~2.json") in names)
    (tmp_path / "used.txt").write_text("".join(f"{store_url}/{name}\n" for name in names if name != first))
    done = cli("prune", store_url, "--unused-since", tmp_path / "used.txt")
    assert (done.status, done.out, len(stored(store_url))) == (0, f"{first}\n", 3)
    done = cli("prune", store_url, "--unused-since", tmp_path / "used.txt", "--yes")
    assert done.err.splitlines()[0] == f"renamed, to close a gap: {first.replace('.json', '~2.json')} → {first}"
    assert len(stored(store_url)) == 2
    (tmp_path / "used.txt").write_text(f"chat/completions/{'a' * 32}.json\n")
    done = cli("prune", store_url, "--unused-since", tmp_path / "used.txt")
    assert (done.status, f"is in {store_url}. Is it the right directory?" in done.err) == (2, True)


def test_rekey_files_anew(cli, client, store_url):
    """By another setting, as in a directory."""
    with replay(store_url, mode="record"):
        chat(client, "one", user="ann")
        chat(client, "two", user="bob")
    before = set(stored(store_url))
    done = cli("rekey", store_url, "--ignore", "user", "--dry-run")
    assert (done.status, set(stored(store_url))) == (0, before)
    done = cli("rekey", store_url, "--ignore", "user")
    assert (done.status, len(done.out.splitlines())) == (0, 2)
    assert len(stored(store_url)) == 2
    assert before.isdisjoint(stored(store_url))
    with replay(store_url, ignore="user"):
        assert chat(client, "one", user="cat") == "answer 1"
    assert cli("check", store_url, "--json").status == 0


# Layers.


@pytest.fixture
def layers(cli, url, local, tmp_path):
    """Make a directory above the store, with one of its recordings in a version of its own, and one more."""
    own = tmp_path / "own"
    write(own, ask("one"), said("MY ONE"))
    write(own, ask("four"), said("FOUR"))
    return own, url


def test_commands_that_read_take_layers(cli, layers, tmp_path):
    """Each name begins with its layer; a key is that of the first layer that has it."""
    own, url = layers
    both = ["-d", own, "-d", url]
    rows = json.loads(cli("list", *both, "--json").out)
    assert [row["name"].partition("/chat/")[0] for row in rows] == [str(own)] * 2 + [url] * 3
    assert json.loads(cli("stats", *both, "--json").out)["all"]["recordings"] == 5
    assert cli("check", *both).out == "5 files checked: all in order\n"
    (mine,) = (row for row in rows if row["text"] == "one" and row["name"].startswith(str(own)))
    assert "MY ONE" in cli("show", mine["key"][:12], *both).out
    assert "MY ONE" in cli("show", mine["name"], *both).out
    assert "MY ONE" in cli("show", mine["name"].rpartition("own/")[2], *both, "--raw").out
    theirs = next(row for row in rows if row["text"] == "one" and row["name"].startswith(url))
    assert "MY ONE" not in cli("show", theirs["name"], *both, "--raw").out
    done = cli("report", *both, "-o", tmp_path / "report.html")
    assert (done.status, done.out.startswith("5 recordings")) == (0, True)
    page = (tmp_path / "report.html").read_text()
    assert f"{own.parent.name}/own/chat/" in page
    assert str(own) not in page
    assert len(cli("export", "messages", *both).out.splitlines()) > 1
    assert cli("diff", mine["name"], theirs["name"], *both, "--answer").status == 1


def test_layers_may_be_missing_as_long_as_one_is_there(cli, layers, tmp_path):
    """A machine that has recorded nothing yet; the variable names layers as well."""
    _, url = layers
    assert len(json.loads(cli("list", "-d", tmp_path / "none", "-d", url, "--json").out)) == 3
    done = cli("list", "-d", tmp_path / "none", "-d", tmp_path / "neither")
    assert (done.status, done.err.startswith(f"Error: {tmp_path}/none does not exist.")) == (2, True)


def test_problems_name_their_layer(cli, layers):
    """What is wrong, and a gap."""
    own, url = layers
    (name,) = (file.relative_to(own).as_posix() for file in own.rglob("*.json") if "FOUR" in file.read_text())
    (own / name).rename(own / name.replace(".json", "~3.json"))
    found = json.loads(cli("check", "-d", own, "-d", url, "--json").out)
    assert [problem["kind"] for problem in found] == ["gap"]
    assert found[0]["name"] == f"{own}/{name}"
    assert found[0]["message"].startswith(f"{own}/{name}: variant 1 is missing")


def test_prune_and_rekey_work_on_each_layer(cli, client, layers, tmp_path):
    """What is used stays wherever it is; the names in the output begin with the layer."""
    own, url = layers
    with replay([own, url]) as session:
        assert chat(client, "one") == "MY ONE"
    rows = json.loads(cli("list", "-d", own, "-d", url, "--json").out)
    used = tmp_path / "used.txt"
    used.write_text("".join(f"{name}\n" for name in session.used()))
    done = cli("prune", "-d", own, "-d", url, "--unused-since", used)
    assert {line.partition("/chat/")[0] for line in done.out.splitlines()} == {str(own), url}
    assert done.err.startswith("Would be removed: 3 recordings, ")  # a name in use stays in each layer
    assert cli("prune", "-d", own, "-d", url, "--unused-since", used, "--yes").status == 0
    assert len(json.loads(cli("list", "-d", own, "-d", url, "--json").out)) == len(rows) - 3
    done = cli("rekey", "-d", own, "-d", url, "--ignore", "messages", "--variants")
    assert {line.partition("/chat/")[0] for line in done.out.splitlines()} == {str(own), url}


def test_a_session_of_layers_records_above_a_store(client, server, layers):
    """And reads from there; a miss looks for the nearest in all."""
    own, url = layers
    with replay([own, url], mode="record-if-missing") as session:
        assert [chat(client, text) for text in ("one", "three", "five")] == ["MY ONE", "THREE", "answer 1"]
    assert (session.hits, session.recorded, len(contents(own)), len(stored(url))) == (2, 1, 3, 3)
    assert {name.partition("/chat/")[0] for name in session.unused()} == {str(own), url}
    with pytest.raises(RecordingNotFound) as caught, replay([own, url]):
        chat(client, "thre")
    assert caught.value.nearest.startswith(f"{url}/chat/completions/")
    with replay([own, url], mode="record-if-missing", exhausted="record", write_to=url) as session:
        assert [chat(client, "three"), chat(client, "three")] == ["THREE", "answer 2"]
    assert len(stored(url)) == 4


# What is fetched beforehand.


@pytest.fixture
def fetched(monkeypatch):
    """Note what is fetched, and forget what was fetched before."""
    monkeypatch.setattr(first_use, "_done", set())
    names = []
    prefetch = ObjectStore.prefetch

    def noted(self, wanted, report=str):
        names.extend(wanted)
        return prefetch(self, wanted, report)

    monkeypatch.setattr(ObjectStore, "prefetch", noted)
    return names


def test_what_was_used_last_is_fetched_together(client, url, local, tmp_path, fetched):
    """Once a process; names of other places, and files beside the list, are left out."""
    first, second, third = sorted(contents(local))
    used = tmp_path / "used.txt"
    used.write_text(f"{url}/{second}\n{first}\ns3://elsewhere/{third}\nlocal/{third}\n")
    for _ in range(2):
        with replay(url, prefetch=used) as session:
            assert chat(client, "one") == "ONE"
    assert sorted(fetched) == [first, second]
    assert session.settings.prefetch == used
    with replay([tmp_path / "own", url], prefetch=str(used)):
        pass
    assert sorted(fetched) == [first, second]


def test_pytest_fetches_what_its_tests_used(suite, fetched, no_stores):
    """The first run writes the names, with the URL; the next one fetches these together."""
    url = f"memory://{suite.path.name}/recordings"
    suite.ini(inferencereplay_dir=url, inferencereplay_used="used.txt")
    suite.write(test_a='@pytest.mark.inferencereplay\ndef test_it(): assert ask("one") == "answer 1"')
    suite.record(passed=1)
    (name,) = stored(url)
    assert (suite.path / "used.txt").read_text().splitlines()[1:] == [f"{url}/{name}"]
    assert fetched == []
    suite.run(passed=1)
    assert fetched == [name]


def test_nothing_is_fetched_without_a_file_or_for_directories(url, local, tmp_path, fetched, caplog):
    """The first run has none yet; one that cannot be read is a warning."""
    Session(url, prefetch=tmp_path / "none.txt")
    (tmp_path / "used.txt").write_text(f"{url}/{'chat/completions/' + 'a' * 32}.json\n")
    Session(local, prefetch=tmp_path / "used.txt")
    Session(url, mode="record", prefetch=tmp_path / "used.txt")
    assert (fetched, caplog.messages) == ([], [])
    (tmp_path / "folder").mkdir()
    Session(url, prefetch=tmp_path / "folder")
    assert [message.startswith("nothing was fetched beforehand: ") for message in caplog.messages] == [True]


def test_what_cannot_be_fetched_is_a_warning(tmp_path, monkeypatch, caplog, no_stores):
    """The call that needs it gets the error."""
    monkeypatch.setattr(first_use, "_done", set())
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    (tmp_path / "used.txt").write_text(f"chat/completions/{'a' * 32}.json\n")
    with caplog.at_level(logging.WARNING, logger="inferencereplay"):
        Session("s3://nobody/here", prefetch=tmp_path / "used.txt")
    assert any("1 of 1 recordings were not fetched beforehand: s3://nobody/here" in line for line in caplog.messages)


@pytest.mark.parametrize("file", [3, b"x", "", "s3://bucket/used.txt"])
def test_what_is_fetched_is_named_by_a_file(file):
    """A path."""
    with pytest.raises(InvalidSetting, match=r"^prefetch=.* is no path of a"):
        Session("recordings", prefetch=file)


def test_a_bar_shows_how_far_a_long_fetch_is(url, tmp_path, fetched, monkeypatch):
    """On a terminal only, and only if the package for it is there."""
    used = tmp_path / "used.txt"
    used.write_text("".join(f"{url}/chat/completions/{number:032x}.json\n" for number in range(first_use.LONG)))
    shown = []

    class Terminal:
        encoding = "utf-8"

        def isatty(self):
            return True

        def write(self, text):
            shown.append(text)

        def flush(self):
            pass

    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    Session(url, prefetch=used)
    assert len(fetched) == first_use.LONG
    assert "fetching from" in "".join(shown)
    shown.clear()
    monkeypatch.setattr(first_use, "_done", set())
    monkeypatch.setitem(sys.modules, "rich.console", None)
    Session(url, prefetch=used)
    assert not shown
