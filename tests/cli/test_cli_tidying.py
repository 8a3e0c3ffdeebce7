"""`check`, `prune` and `rekey`."""

from __future__ import annotations

import base64
import contextlib
import datetime
import errno
import json
import os
import re
import resource
import shutil
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from editing import TOO_DEEP, edit

from inferencereplay import RecordingNotFound, Session, StoreError, replay
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.store.directory import DirectoryStore
from inferencereplay.store.folder_files import FolderFiles
from inferencereplay.upkeep import numbering, pruning, rekeying

GIVEN = Path(__file__).parents[1] / "recordings" / "llama_stack"
STORY, CAPITAL = "40fcf34a", "1c45e93e"


def files(directory):
    return sorted(str(file.relative_to(directory)) for file in directory.rglob("*.json"))


def contents(directory):
    return {name: (directory / name).read_bytes() for name in files(directory)}


def ask(client, text, **more):
    made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}], **more)
    return made.choices[0].message.content


@pytest.fixture
def kept(tmp_path, client):
    """Record three equal calls and another one."""
    with replay(tmp_path / "kept", mode="record"):
        for text in ("same", "same", "same", "other"):
            ask(client, text, user="ann")
    return tmp_path / "kept"


def said(directory, client, *texts, **more):
    """Replay calls and return their answers."""
    settings = {name: more.pop(name) for name in ("ignore",) if name in more}
    with replay(directory, **settings):
        return [ask(client, text, **more) for text in texts]


# check


def test_a_directory_in_order(cli, kept):
    """Says so and ends with 0, also where one directory holds several."""
    done = cli("check", kept)
    assert (done.status, done.out) == (0, "4 files checked: all in order\n")
    assert json.loads(cli("check", kept, "--json").out) == []
    shutil.copytree(kept, kept / "inner")
    assert cli("check", kept).out == "8 files checked: all in order\n"
    assert cli("check", GIVEN).status == 0


def test_what_is_wrong_is_told(cli, kept, shelf):
    """Unreadable files, wrong keys, wrong places, secrets and gaps, each with its way out; the status is 1."""
    shutil.copytree(shelf, kept, dirs_exist_ok=True)
    same = next(name for name in files(kept) if name.endswith("~2.json"))
    (kept / same).unlink()
    edit(kept, STORY, messages=[{"role": "user", "content": "edited"}])
    (kept / "chat" / "completions" / ("f" * 32 + ".json")).write_text("{")
    other = next(entry.name for entry in Catalogue(kept).entries() if "other" in entry.conversation.text)
    (kept / other).rename(kept / "chat" / "completions" / ("e" * 32 + ".json"))
    token = "sk-proj-0123456789abcdefghij"
    choice = {"index": 0, "message": {"role": "assistant", "content": f"key {token}"}}
    edit(kept, CAPITAL, choices=[choice], headers={"x-request-id": token})
    done = cli("check", kept)
    assert done.status == 1
    assert token not in done.out
    counts = done.out.splitlines()[-1].removeprefix("6 files checked: ").split(", ")
    assert sorted(counts) == ["1 gap", "1 secret", "1 unreadable", "2 key"]
    assert "response.headers.x-request-id, response.body.choices[0].message.content" in done.out
    assert "variant 2 is missing, and there is a variant 3" in done.out
    assert "its place is chat/completions/" in done.out
    assert "its request does not belong to its key" in done.out
    assert "file it anew with `inferencereplay rekey`" in done.out
    found = json.loads(cli("check", kept, "--json").out)
    assert sorted(item["kind"] for item in found) == ["gap", "key", "key", "secret", "unreadable"]


def test_a_first_variant_that_is_missing(cli, kept):
    """Is a gap like any other."""
    first = next(name for name in files(kept) if f"{name[:-5]}~2.json" in files(kept))
    (kept / first).unlink()
    assert f"{first}: variant 1 is missing, and there is a variant 3." in cli("check", kept).out


def test_a_variant_of_a_number_that_nobody_counts_to(cli, kept):
    """Is found to be after a gap, without a look at each number before it."""
    last = next(name for name in files(kept) if name.endswith("~3.json"))
    (kept / last).rename(kept / last.replace("~3", f"~{10**20}"))
    assert f"variant 3 is missing, and there is a variant {10**20}." in cli("check", kept).out


def test_a_folder_whose_name_ends_like_the_paths(cli, kept):
    """Is no directory of recordings by that."""
    (kept / "chat").rename(kept / "mychat")
    done = cli("check", kept)
    assert done.out.count(": its place is chat/completions/") == 4


def test_five_places_of_secrets_are_all(cli, kept):
    """What is listed in full does not end in dots."""
    edit(kept, next(iter(files(kept))).rpartition("/")[2][:-5], choices=[f"sk-proj-{'0' * 19}{n}" for n in range(5)])
    assert "choices[4]. Revoke it" in cli("check", kept).out


def test_secrets_are_found_wherever_they_stand(cli, kept):
    """In paths, queries, texts, failures and chunks, and by the user's own patterns."""
    recording = {
        "inferencereplay": 1,
        "key": "0" * 64,
        "request": {"method": "GET", "path": "/x/sk-proj-0123456789abcdefghij", "query": {"api_key": "hush"}},
    }
    answers = [
        {"text": "Bearer abcdefghij0123456789"},
        {"status": 0, "failure": {"type": "ConnectError", "message": "sk-proj-0123456789abcdefghij"}},
        {"end": "done", "chunks": [{"a": "ok"}, *({"b": "sk-proj-0123456789abcdefghij"} for _ in range(6))]},
    ]
    for number, answer in enumerate(answers):
        (kept / f"{number:032x}.json").write_text(json.dumps({**recording, "response": answer}))
    found = [item["message"] for item in json.loads(cli("check", kept, "--json").out) if item["kind"] == "secret"]
    assert len(found) == 3
    assert "request.path, request.query, response.text." in found[0]
    assert "response.failure.message" in found[1]
    assert "response.chunks[3].b, …" in found[2]
    assert cli("check", GIVEN, "--redact", "San Francisco").status == 1


TOKEN = "sk-proj-0123456789abcdefghij"
PIECES = [
    {"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("It is sk-pr", "oj-0123456", "789abcdefghij.")
]
TOKENS = {"logprobs": {"content": [{"token": part, "bytes": [*part.encode()]} for part in (TOKEN[:9], TOKEN[9:])]}}
PAIR = {"name": "api-key", "value": "Zx9Yw8Vu7Ts60123456789"}
PLACES = {
    "recorded.base_url": {"recorded": {"base_url": "https://ann:hunter22@example.org/v1"}},
    "recorded.base_url ": {"recorded": {"base_url": "https://example.org/sk%2Dproj%2D0123456789abcdefghij/v1"}},
    "response.events[1]": {"response": {"end": "done", "chunks": [1, 2], "events": [None, TOKEN]}},
    "response.headers.x-ratelimit-note": {"response": {"text": "", "headers": {"x-ratelimit-note": TOKEN}}},
    "response.rest": {"response": {"end": "done", "rest": base64.b64encode(f"\xff{TOKEN}".encode("latin-1")).decode()}},
    "response.failure.message": {"response": {"end": "error", "failure": {"type": "ReadError", "message": TOKEN}}},
    "response.chunks[0].choices[0].delta.content": {"response": {"end": "done", "chunks": PIECES}},
    "response.chunks[0]": {"response": {"end": "done", "chunks": [f"no JSON {TOKEN}"], "verbatim": [0]}},
    "response.body.choices[1].text": {"response": {"body": {"choices": [{"text": "a"}, {"text": TOKEN}]}}},
    "response.body.choices[0].logprobs.content[0].token": {"response": {"body": {"choices": [TOKENS]}}},
    "response.text": {"response": {"text": f"<p>{TOKEN}</p>"}},
    "response.headers.location": {"response": {"text": "", "headers": {"location": "https://example.org/?sig=hush"}}},
    "request.body.metadata.api_key": {"request": {"body": {"metadata": {"api_key": "hush"}}}},
    "request.body.tools[0].headers[0].value": {"request": {"body": {"tools": [{"headers": [PAIR]}]}}},
}


@pytest.mark.parametrize(("place", "changes"), PLACES.items())
def test_check_finds_whatever_the_recorder_takes_out(cli, tmp_path, place, changes):
    """Also what a stream sends in pieces; the place is named, the secret is not."""
    recording = {"inferencereplay": 1, "key": "0" * 64, "request": {"method": "GET", "path": "/x"}}
    recording |= {"response": {"text": ""}}
    for name, members in changes.items():
        recording[name] = {**recording.get(name, {}), **members} if name == "request" else members
    (tmp_path / f"{0:032x}.json").write_text(json.dumps(recording, indent=2))
    done = cli("check", tmp_path)
    assert f"there seems to be a secret at {place.strip()}" in done.out
    assert not any(secret in done.out for secret in ("0123456789", "hunter22", "hush"))


def test_a_member_that_is_named_like_a_secret_is_not_printed(cli, tmp_path):
    """Nor what stands in its path."""
    recording = {"inferencereplay": 1, "key": "0" * 64, "request": {"method": "GET", "path": "/x"}}
    (tmp_path / f"{0:032x}.json").write_text(json.dumps({**recording, "response": {"body": {TOKEN: 1}}}))
    done = cli("check", tmp_path)
    assert "to be a secret at response.body.[REDACTED]" in done.out
    assert TOKEN not in done.out


@pytest.mark.parametrize(
    "value", ['[1e999, "api_key="]', "[" * TOO_DEEP + f'"{TOKEN}"' + "]" * TOO_DEEP], ids=["huge", "deep"]
)
def test_what_cannot_be_looked_through_for_secrets_is_told(cli, tmp_path, value):
    """It may hold some; the other files are looked through."""
    head = '{"inferencereplay":1,"key":"","request":{"method":"GET","path":"/x"},"response":'
    (tmp_path / f"{0:032x}.json").write_text(f'{head}{{"end":"done","chunks":[{value}]}}}}')
    (tmp_path / f"{1:032x}.json").write_text(f'{head}{{"text":"{TOKEN}"}}}}')
    problems = json.loads(cli("check", tmp_path, "--json").out)
    assert "cannot be searched for secrets" in next(it["message"] for it in problems if it["kind"] == "unreadable")
    assert [item["name"] for item in problems if item["kind"] == "secret"] == [f"{1:032x}.json"]


def test_a_body_that_cannot_be_read_is_a_wrong_key(cli, shelf):
    """Numbers that no JSON reader takes are told, not raised."""
    (file,) = shelf.rglob(f"{CAPITAL}*.json")
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"temperature": 0', '"temperature": 1e999'), encoding="utf-8")
    assert "its request cannot be read" in cli("check", shelf).out
    assert f"stays  {file.relative_to(shelf)}: its request cannot be read" in cli("rekey", shelf).out


def test_long_checks_show_how_far_they_are(cli, shelf, monkeypatch):
    """On a terminal, and on standard error only."""
    (file,) = shelf.rglob(f"{CAPITAL}*.json")
    for number in range(2, 203):
        shutil.copy(file, file.with_name(f"{file.stem}~{number}.json"))
    assert cli("check", shelf).err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = cli("check", shelf)
    assert "checking" in done.err
    assert "checking" not in done.out


# prune


def test_prune_shows_first_and_removes_when_told_to(cli, kept, client, tmp_path):
    """The used ones stay, the numbers of the variants close up, and what was used replays as before."""
    with replay(kept) as session:
        first = [ask(client, "same", user="ann") for _ in range(2)]
    used = tmp_path / "used.txt"
    used.write_text("# from the tests\n\n" + "\n".join(session.used()) + "\n")
    before = contents(kept)
    shown = cli("prune", kept, "--unused-since", used)
    assert (shown.status, contents(kept)) == (0, before)
    assert sorted(shown.out.splitlines()) == session.unused()
    assert "Would be removed: 2 recordings, " in shown.err
    done = cli("prune", kept, "--unused-since", used, "--yes")
    assert (done.status, done.out) == (0, shown.out)
    assert files(kept) == session.used()
    assert said(kept, client, "same", "same", user="ann") == first


def test_gaps_close_when_a_middle_one_goes(cli, kept, client, tmp_path):
    """The later variants move down, and it is said."""
    used = tmp_path / "used.txt"
    used.write_text("\n".join(name for name in files(kept) if not name.endswith("~2.json")))
    third = said(kept, client, "same", "same", "same", user="ann")[2]
    done = cli("prune", kept, "--unused-since", used, "--yes")
    assert "renamed, to close a gap" in done.err
    assert said(kept, client, "same", "same", user="ann")[1] == third
    assert cli("check", kept).status == 0


def test_gaps_of_others_stay(cli, kept, tmp_path):
    """Only what a removal leaves behind is put in order; `rekey` does the rest."""
    second = next(name for name in files(kept) if name.endswith("~2.json"))
    (kept / second).unlink()
    other = next(name for name in files(kept) if name[:40] != second[:40])
    used = tmp_path / "used.txt"
    used.write_text("\n".join({*files(kept)} - {other}))
    assert cli("prune", kept, "--unused-since", used, "--yes").err.count("renamed") == 0
    assert any(name.endswith("~3.json") for name in files(kept))


def test_old_recordings_go(cli, kept, shelf):
    """By the date of recording; both options together take what is both."""
    shutil.copytree(shelf, kept, dirs_exist_ok=True)
    shown = cli("prune", kept, "--older-than", "1d")
    assert sorted(Path(line).name[:8] for line in shown.out.splitlines()) == [CAPITAL, STORY]
    used = kept.parent / "used.txt"
    used.write_text(next(name for name in files(kept) if STORY in name))
    both = cli("prune", kept, "--older-than", "1d", "--unused-since", used)
    assert [Path(line).name[:8] for line in both.out.splitlines()] == [CAPITAL]
    assert cli("prune", kept, "--older-than", "520w").out == ""
    assert cli("prune", kept, "--older-than", "150000w").out == ""  # before there were years


def test_names_in_use_as_editors_and_tools_write_them(cli, kept, tmp_path):
    """A mark at the beginning, Windows' lines, blanks and `./` do not make a used recording an unused one."""
    used = tmp_path / "used.txt"
    first, *rest = files(kept)
    lines = [first, *(f"  ./{name}\t" for name in rest), ""]
    used.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert cli("prune", kept, "--unused-since", used).out == ""


@pytest.mark.parametrize(
    ("used", "message"),
    [
        ("", "names no recording"),
        ("# nothing\n", "names no recording"),
        ("elsewhere.json", "Is it the right directory"),
    ],
)
def test_prune_refuses_what_must_be_a_mistake(cli, kept, tmp_path, used, message):
    """A list that would make everything unused."""
    file = tmp_path / "used.txt"
    file.write_text(used)
    done = cli("prune", kept, "--unused-since", file, "--yes")
    assert done.status == 2
    assert message in done.err
    assert len(files(kept)) == 4


def test_prune_needs_to_know_what(cli, kept, tmp_path):
    """No option, a file that is no text, and directories that are not ours are refused."""
    assert "Give --unused-since FILE, --older-than AGE, or both." in cli("prune", kept, "--yes").err
    (tmp_path / "odd").write_bytes(b"\xff")
    assert "cannot be read" in cli("prune", kept, "--unused-since", tmp_path / "odd").err
    assert "is llama-stack's" in cli("prune", GIVEN, "--older-than", "1s", "--yes").err


# rekey


def test_an_edited_request_is_filed_anew(cli, kept, client):
    """Once edited, a recording answers the edited request, offline; variants left behind close up."""
    second, third = said(kept, client, "same", "same", "same", user="ann")[1:]
    name = next(name for name in files(kept) if name.endswith("~2.json"))
    path = kept / name
    path.write_text(path.read_text(encoding="utf-8").replace('"same"', '"edited"'), encoding="utf-8")
    dry = cli("rekey", kept, "--dry-run")
    assert dry.status == 0
    assert dry.out.startswith(f"{name} → chat/completions/")
    assert "Would be filed anew: 1 recording; " in dry.err
    assert path.exists()
    done = cli("rekey", kept)
    assert done.status == 0
    assert done.out.splitlines()[0] == dry.out.strip()
    assert said(kept, client, "edited", user="ann") == [second]
    assert said(kept, client, "same", "same", user="ann")[1] == third
    assert cli("check", kept).status == 0
    assert cli("rekey", kept).out == ""


def test_another_setting_files_all_anew(cli, kept, client):
    """What is ignored from now on leaves the request; variants keep their order, and answers stay byte for byte."""
    before = said(kept, client, "same", "same", "same", "other", user="ann")
    assert cli("rekey", kept, "--ignore", "user").status == 0
    assert said(kept, client, "same", "same", "same", "other", user="bob", ignore="user") == before
    assert len(files(kept)) == 4
    assert cli("check", kept).status == 0
    with pytest.raises(RecordingNotFound):
        said(kept, client, "same", user="ann")


def test_collisions_are_reported_and_nothing_is_lost(cli, tmp_path, client):
    """Recordings of what is one request now: the first one moves, the others stay, or become its variants."""
    directory = tmp_path / "kept"
    with replay(directory, mode="record"):
        answers = [ask(client, "hi", user=user) for user in ("ann", "bob", "cid")]
    done = cli("rekey", directory, "--ignore", "user")
    assert done.status == 1
    assert done.out.count("stays  ") == 2
    assert "is a recording of a request that is the same now" in done.out
    assert len(files(directory)) == 3
    again = cli("rekey", directory, "--ignore", "user", "--variants")
    assert again.status == 0
    assert len(files(directory)) == 3
    found = said(directory, client, "hi", "hi", "hi", ignore="user")
    assert sorted(found) == sorted(answers)
    assert cli("check", directory).status == 0


def test_a_place_that_is_taken_by_something_else(cli, kept):
    """A file that cannot be read is not overwritten, not even by the one that belongs there."""
    name = next(entry.name for entry in Catalogue(kept).entries() if "other" in entry.conversation.text)
    moved = kept / "chat" / "completions" / ("e" * 32 + ".json")
    (kept / name).rename(moved)
    (kept / name).write_text("{")
    for arguments in (("--dry-run",), ()):
        done = cli("rekey", kept, *arguments)
        assert done.status == 1
        assert done.out.count("stays  ") == 2
        assert f"stays  {name}: it cannot be read as a recording" in done.out
        assert moved.exists()
        assert (kept / name).read_text() == "{"


def test_two_files_that_stand_in_each_others_place(cli, kept):
    """One file moves when the place that it wants becomes free."""
    entries = {entry.conversation.messages[0].text: entry.name for entry in Catalogue(kept).entries()}
    other, same = entries["other"], entries["same"].replace("~3", "").replace("~2", "")
    free = kept / "chat" / "completions" / ("e" * 32 + ".json")
    (kept / other).rename(free)
    (kept / same).rename(kept / other)
    for number in (2, 3):
        (kept / same.replace(".json", f"~{number}.json")).unlink()
    done = cli("rekey", kept)
    assert done.status == 0
    assert files(kept) == sorted([other, same])
    assert cli("check", kept).status == 0


def swap(directory, client):
    """Record two requests, each twice, let their files change places, and return what they answer."""
    with replay(directory, mode="record"):
        for text in ("one", "two", "one", "two"):
            ask(client, text)
    before = contents(directory)
    ones, twos = ([name for name in before if text in before[name].decode()] for text in ('"one"', '"two"'))
    for one, two in zip(ones, twos, strict=True):
        (directory / one).write_bytes(before[two])
        (directory / two).write_bytes(before[one])
    return before


def test_files_that_stand_in_each_others_place(cli, tmp_path, client):
    """One of them makes room; a dry run says the same, and changes nothing."""
    before = swap(tmp_path / "kept", client)
    dry = cli("rekey", tmp_path / "kept", "--dry-run")
    assert contents(tmp_path / "kept") != before
    done = cli("rekey", tmp_path / "kept")
    assert done.status == dry.status == 0
    assert sorted(done.out.splitlines()) == sorted(dry.out.splitlines())
    assert len(done.out.splitlines()) == 4
    assert contents(tmp_path / "kept") == before


def test_what_cannot_leave_stands_in_the_way(cli, kept, tmp_path, monkeypatch):
    """Be it there before or come meanwhile; who waits for it stays as well, and a dry run knows."""
    other = next(entry.name for entry in Catalogue(kept).entries() if "other" in entry.conversation.text)
    (kept / other).rename(kept / "chat" / "completions" / ("e" * 32 + ".json"))
    (kept / other).write_text("{")
    before = contents(kept)
    for options in (("--dry-run",), ()):
        done = cli("rekey", kept, *options)
        assert done.status == 1
        assert f"{other} occupies its place, and cannot be filed anew itself" in done.out
        assert done.err.endswith(": 0 recordings; 3 in place already, 2 left where they are.\n")
        assert contents(kept) == before
    monkeypatch.setattr(rekeying, "_exists", lambda *_: False)
    done = cli("rekey", kept)
    assert f"{other} occupies its place, and cannot be filed anew itself" in done.out
    assert sorted(contents(kept).values()) == sorted(before.values())
    assert (kept / other).read_text() == "{"


def test_a_move_that_was_interrupted_is_finished(cli, kept, client):
    """A file whose very content stands at its new address goes; not a letter of it is lost."""
    before = contents(kept)
    assert cli("rekey", kept, "--ignore", "user").status == 0
    after = contents(kept)
    for name, data in before.items():
        (kept / name).write_bytes(data)
    dry = cli("rekey", kept, "--ignore", "user", "--dry-run")
    assert len(files(kept)) == 8
    done = cli("rekey", kept, "--ignore", "user")
    assert (done.status, done.out) == (0, dry.out)
    assert contents(kept) == after
    (kept / name).write_bytes(data.replace(b"answer", b"reply"))
    assert "is a recording of a request that is the same now" in cli("rekey", kept, "--ignore", "user").out
    assert any(b"reply" in data for data in contents(kept).values())


@contextlib.contextmanager
def full():
    """Let no file grow, as on a disk that is full: not the one that the test runner prints to, if it lasted longer."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_is_full(cli, kept, tmp_path):
    """Costs no recording, leaves nothing behind, and is told with the way out."""
    before, source = contents(kept), Path(__file__).parents[1] / "recordings" / "cassettes" / "vcr.yaml"
    with full():
        filed = cli("rekey", kept, "--ignore", "user")
        imported = cli("import", "vcr", source, kept)
        exported = cli("export", "messages", kept, "-o", tmp_path / "out.json")
    assert filed.status == 2
    assert "could not be filed anew: File too large. It is where it was" in filed.err
    assert "it could not be written: [Errno 27] File too large" in imported.out
    assert (exported.status, exported.err.splitlines()[-1]) == (2, "Error: File too large.")
    assert contents(kept) == before
    assert not list(kept.rglob("*.tmp"))


def test_a_folder_that_cannot_be_looked_into(cli, kept, monkeypatch):
    """Is told, for `check` answers for every file, and one that it did not see may be anything."""
    real = os.scandir

    def scandir(place):
        if os.fspath(place).endswith("completions"):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(place))
        return real(place)

    catalogue = Catalogue(kept)
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(StoreError, match="completions cannot be looked into: Permission denied"):
        list(catalogue.names())
    assert list(DirectoryStore(kept / "nowhere").list()) == []


def test_a_key_that_was_edited_is_written_anew(cli, shelf):
    """The file stays at its place."""
    (file,) = shelf.rglob(f"{CAPITAL}*.json")
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"key": "1c45', '"key": "0000'), encoding="utf-8")
    assert cli("rekey", shelf).out == f"{file.relative_to(shelf)} (its key)\n"
    assert file.read_text(encoding="utf-8") == text


def test_the_one_that_was_recorded_first_moves(cli, tmp_path, client):
    """By its date, whatever its name."""
    directory = tmp_path / "kept"
    with replay(directory, mode="record"):
        answers = {ask(client, "hi", user=user): user for user in ("ann", "bob", "cid")}
    last = max(directory.rglob("*.json"))
    data = json.loads(last.read_text(encoding="utf-8"))
    data["recorded"]["at"] = "2020-01-01T00:00:00Z"
    last.write_text(json.dumps(data), encoding="utf-8")
    assert cli("rekey", directory, "--ignore", "user").out.count("stays  ") == 2
    (answer,) = said(directory, client, "hi", ignore="user")
    assert answers[answer] == data["request"]["body"]["user"]


def test_newcomers_come_after_the_last_of_the_variants(cli, tmp_path, client):
    """Also where a number is missing among these."""
    directory = tmp_path / "kept"
    with replay(directory, mode="record", ignore=["user"]):
        answers = [ask(client, "hi", user="ann") for _ in range(3)]
    (second,) = directory.rglob("*~2.json")
    second.unlink()
    with replay(directory, mode="record"):
        answers.append(ask(client, "hi", user="bob"))
    assert cli("rekey", directory, "--ignore", "user", "--variants").status == 0
    del answers[1]
    assert said(directory, client, "hi", "hi", "hi", ignore="user") == answers


def test_a_link_at_its_place_is_no_copy(cli, kept):
    """A recording stays that another name leads to: removing it would leave a link to nothing."""
    name = next(name for name in files(kept) if f"{name[:-5]}~2.json" not in files(kept) and "~" not in name)
    moved = kept / "chat" / "completions" / ("e" * 32 + ".json")
    (kept / name).rename(moved)
    (kept / name).symlink_to(moved.name)
    assert cli("rekey", kept).status == 1
    assert moved.is_file()


def test_directories_within_a_directory_stay_apart(cli, kept):
    """A recording is filed anew within its own directory of recordings."""
    shutil.copytree(kept, kept / "inner" / "most")
    shutil.rmtree(kept / "chat")
    assert cli("rekey", kept, "--ignore", "user").status == 0
    assert {name.split("chat")[0] for name in files(kept)} == {"inner/most/"}
    assert cli("check", kept).status == 0


@pytest.mark.parametrize("folder", ["chat", "chat/completions"])
def test_a_folder_of_a_directory_is_no_directory_of_its_own(cli, kept, folder):
    """It can be checked; to move its files would take them away from where they are looked for."""
    before = contents(kept)
    assert cli("check", kept / folder).status == 0
    done = cli("rekey", kept / folder, "--ignore", "user")
    assert done.status == 2
    assert f"{kept / folder} is a folder of the recordings in {kept}: give that directory." in done.err
    assert contents(kept) == before
    name = next(iter(before))
    (kept / name).rename(kept / name.replace(name[-8:], "000.json"))
    done = cli("check", kept / folder)
    assert done.status == 1
    assert f"its place is {name}, no session finds it here. File it anew: inferencereplay rekey {kept}." in done.out


def test_rekey_leaves_other_directories_alone(cli):
    """Llama-stack's files have no keys of ours."""
    done = cli("rekey", GIVEN)
    assert done.status == 2
    assert "Import it first" in done.err


def test_times_do_not_matter_where_files_have_dates(cli, kept):
    """The date in the file counts, not the file system's."""
    old = time.time() - 10**8
    for name in files(kept):
        os.utime(kept / name, (old, old))
    assert cli("prune", kept, "--older-than", "1d").out == ""


def test_a_folder_named_like_a_recording_is_reported(cli, kept):
    """It takes the place of one, and no session could read it."""
    folder = kept / "chat" / "completions" / ("e" * 32 + ".json")
    folder.mkdir()
    done = cli("check", kept)
    assert done.status == 1
    assert f"{folder}: it cannot be read (Is a directory), at $. Take it out of the directory" in done.out


def test_rekey_counts_what_is_in_place(cli, kept):
    """Recordings that need no move are neither moved nor left behind."""
    done = cli("rekey", kept)
    assert done.status == 0
    assert done.err == "Filed anew: 0 recordings; 4 in place already, 0 left where they are.\n"


def test_rekey_keeps_modes(cli, kept):
    """A recording that a person made private is private at its new address too."""
    for file in kept.rglob("*.json"):
        file.chmod(0o600)
    assert cli("rekey", kept, "--ignore", "user").status == 0
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept.rglob("*.json")} == {0o600}


def test_commands_at_once_work_one_after_the_other(kept):
    """Three of them move each file once, and none meets a file that another one has just moved."""
    store = DirectoryStore(kept)
    (first,) = [name for name in store.list() if name.endswith("~2.json")]
    data = (kept / first).read_bytes()
    for number in range(4, 40):
        assert (kept / first.replace("~2", f"~{number}")).write_bytes(data)
    before = len(files(kept))
    barrier = threading.Barrier(3)

    def work(_):
        barrier.wait()
        return [*rekeying.rekey(Catalogue(kept), Session(kept, ignore=["user"]), is_dry=False)]

    with ThreadPoolExecutor(3) as pool:
        moves = [move for found in pool.map(work, range(3)) for move in found]
    assert len(moves) == len({move.name for move in moves}) == before
    assert not [move for move in moves if move.problem]
    assert len(files(kept)) == before


def test_a_gap_closes_though_another_process_is_at_it(kept):
    """A file that is gone by then is no error, for another process has moved it."""
    address = next(name for name in DirectoryStore(kept).list() if name.endswith("~3.json")).removesuffix("~3.json")
    assert numbering.close_gaps(FolderFiles(kept), address, [1, 2, 3, 5]) == []


def test_a_recording_that_another_prune_has_renumbered_stays(kept):
    """Two commands choose the first of three equal recordings; only one of them removes it."""
    catalogue = Catalogue(kept)
    first = next(entry for entry in catalogue.entries() if entry.name.replace(".json", "~2.json") in files(kept))
    chosen = {first.name: (first.size, first.modified)}
    count = len(files(kept))
    assert pruning.remove(catalogue, chosen)
    assert len(files(kept)) == count - 1
    os.utime(kept / first.name, (1, 1))  # the second recording, which has that name now
    assert pruning.remove(catalogue, chosen) == []
    assert len(files(kept)) == count - 1


# check --max-age


def test_check_lists_what_is_too_old(cli, kept):
    """A file without a date is listed, and is no fault."""
    first, second, third, _ = files(kept)
    today = datetime.datetime.now(datetime.timezone.utc)
    for name, at in ((first, today - datetime.timedelta(days=45)), (second, today - datetime.timedelta(days=29))):
        file = kept / name
        file.write_bytes(re.sub(rb'"at": "[^"]*"', b'"at": "%s"' % at.isoformat().encode(), file.read_bytes()))
    (kept / third).write_bytes(re.sub(rb'"at": "[^"]*", ', b"", (kept / third).read_bytes()))
    assert cli("check", kept).status == 0
    done = cli("check", kept, "--max-age", "30d")
    assert done.status == 1
    *lines, total = done.out.splitlines()
    assert sorted(lines) == sorted(
        [
            f"expired    {first}: it is 45 days old. Record it again.",
            f"no date    {third}: it does not say when it was recorded.",
        ]
    )
    assert total in ("4 files checked: 1 expired, 1 no date", "4 files checked: 1 no date, 1 expired")
    done = cli("check", kept, "--max-age", "10w", "--json")
    assert done.status == 0
    assert [(item["name"], item["kind"]) for item in json.loads(done.out)] == [(third, "no date")]
    assert cli("check", GIVEN, "--max-age", "1s").out.endswith("14 files checked: 14 no date\n")
    assert cli("check", kept, "--max-age", "soon").status == 2
