"""`list` and `stats`."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from editing import edit
from written import ask, said, write

from inferencereplay.catalogue.recording_map import RecordingMap
from inferencereplay.catalogue.totals import Price, Prices

GIVEN = Path(__file__).parents[1] / "recordings" / "llama_stack"
STORY, CAPITAL = "40fcf34a4a58", "1c45e93eb151"


def keys(done):
    return [line.split("\t")[0] for line in done.out.splitlines()[1:]]


def test_a_list_says_what_each_recording_is(cli, shelf):
    """Key, date, path, model, kind of answer, size, and what was asked."""
    done = cli("list", shelf)
    assert done.status == 0
    head, capital, story = done.out.splitlines()
    assert head.split("\t") == ["KEY", "DATE", "PATH", "MODEL", "ANSWER", "SIZE", "TEXT"]
    assert capital.split("\t")[:5] == [
        *(CAPITAL, "2026-11-23 01:22:09", "/chat/completions", "SmolLM2-135M-Instruct.Q4_1", "plain"),
    ]
    assert story.split("\t")[4:] == [
        *("95 chunks", "25.6 kB", "Tell me a story in three sentences about a fox who finds a book."),
    ]


def test_the_directory_is_an_argument_an_option_or_the_default(cli, shelf, monkeypatch):
    """`recordings` below the working directory, what the environment says, or what is given."""
    monkeypatch.chdir(shelf.parent)
    assert cli("list").status == 2
    shutil.copytree(shelf, "recordings")
    assert len(keys(cli("list"))) == 2
    assert len(keys(cli("list", "--dir", shelf))) == 2
    monkeypatch.setenv("INFERENCEREPLAY_DIR", "nowhere")
    assert cli("list").status == 2
    assert len(keys(cli("list", shelf))) == 2


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--text", "FOX"), [STORY]),
        (("--model", "smol"), [CAPITAL, STORY]),
        (("--model", "gpt-*"), []),
        (("--path", "embeddings"), []),
        (("--since", "2026-11-23T01:21Z"), [CAPITAL]),
        (("--until", "2026-11-23T01:21:00+00:00"), [STORY]),
        (("--since", "520w"), [CAPITAL, STORY]),
        (("--until", "520w"), []),
        (("--sort", "date"), [STORY, CAPITAL]),
        (("--sort", "size"), [CAPITAL, STORY]),
        (("--sort", "model"), [CAPITAL, STORY]),
        (("--sort", "path", "--limit", "1"), [CAPITAL]),
        (("--reverse",), [STORY, CAPITAL]),
    ],
    ids=str,
)
def test_filters_and_order(cli, shelf, arguments, found):
    """By text, model, path and date; sorted by any of them."""
    assert keys(cli("list", shelf, *arguments)) == found


def test_a_moment_without_a_zone_is_local(cli, shelf, monkeypatch):
    """As the clock on the user's wall shows it."""
    monkeypatch.setenv("TZ", "EAST-5")
    time.tzset()
    try:
        assert keys(cli("list", shelf, "--since", "2026-11-23T06:21")) == [CAPITAL]
        assert keys(cli("list", shelf, "--until", "2026-11-23T06:21")) == [STORY]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_text_is_what_the_user_said_last(cli, shelf):
    """A conversation is told by where it has got to."""
    said = [{"role": role, "content": text} for role, text in (("user", "first"), ("tool", "t"), ("user", "last"))]
    edit(shelf, CAPITAL, messages=said)
    assert cli("list", shelf, "--text", "first").out.splitlines()[1].endswith("\tlast")


def test_a_burst_is_in_order_and_older_dates_fit_in(cli, tmp_path):
    """Dates are compared as moments: with microseconds, in whole seconds as older releases wrote them, in a zone."""
    dates = {
        "a": "2026-11-25T10:00:00Z",
        "b": "2026-11-25T10:00:00.000002Z",
        "c": "2026-11-25T10:00:00.100000Z",
        "d": "2026-11-25T11:00:00.200000+01:00",
        "e": "2026-11-25T10:00:01Z",
    }
    for text, at in dates.items():
        write(tmp_path, ask(text), said("x"), at=at)
    done = cli("list", tmp_path, "--sort", "date")
    assert [line.split("\t")[1::5] for line in done.out.splitlines()[1:]] == [
        ["2026-11-25 10:00:00" if text != "e" else "2026-11-25 10:00:01", text] for text in dates
    ]
    rows = json.loads(cli("list", tmp_path, "--sort", "date", "--json").out)
    assert [row["date"] for row in rows[:4:3]] == ["2026-11-25T10:00:00Z", "2026-11-25T10:00:00.200000Z"]
    assert "recorded from 2026-11-25 10:00:00 to 2026-11-25 10:00:01" in cli("stats", tmp_path).out
    rows = json.loads(cli("list", tmp_path, "--since", "2026-11-25T10:00:00.05Z", "--json").out)
    assert sorted(row["text"] for row in rows) == ["c", "d", "e"]


def test_json_has_the_same(cli, shelf):
    """An array, also where it is empty."""
    rows = json.loads(cli("list", shelf, "--json").out)
    assert [row["key"][:12] for row in rows] == [CAPITAL, STORY]
    assert rows[1]["chunks"] == 95
    assert rows[1]["name"].startswith("chat/completions/40fc")
    assert json.loads(cli("list", shelf, "--json", "--text", "nobody said that").out) == []


def test_every_kind_of_answer_is_listed(cli):
    """Errors, connections that failed, streams, embeddings and lists of models."""
    done = cli("list", GIVEN)
    answers = {line.split("\t")[4] for line in done.out.splitlines()}
    assert {"plain", "no connection", "error 400", "9 chunks", "51 chunks"} <= answers
    assert "objects: " in done.out


def test_what_cannot_be_read_is_told_and_counts(cli, shelf):
    """The rest is listed all the same; the exit status says that something is wrong."""
    (shelf / "chat" / "completions" / ("a" * 32 + ".json")).write_text("{")
    for command in ("list", "stats"):
        done = cli(command, shelf)
        assert done.status == 1
        assert "cannot be read" in done.err
    assert len(keys(cli("list", shelf))) == 2


def test_variants_and_endings_are_marked(cli, shelf):
    """The second variant has ~2 behind its key; a stream that was left is marked as such."""
    (story,) = (shelf / "chat" / "completions").glob("40fc*")
    text = story.read_text(encoding="utf-8").replace('"end": "done"', '"end": "closed"')
    story.with_name(story.stem + "~2.json").write_text(text, encoding="utf-8")
    line = next(line for line in cli("list", shelf).out.splitlines() if "~2" in line)
    assert line.split("\t")[0] == STORY + "~2"
    assert line.split("\t")[4] == "95 chunks, closed"


def test_stats_count(cli, shelf):
    """Recordings, bytes, streams and tokens, by model."""
    done = cli("stats", shelf)
    assert done.status == 0
    assert "2 recordings, 27.2 kB" in done.out
    assert "1 streamed, 1 without a count of tokens" in done.out
    assert "recorded from 2026-11-23 01:20:50 to 2026-11-23 01:22:09\n" in done.out
    assert done.out.splitlines()[-1].split("\t") == ["2", "27.2 kB", "43", "31", "8", "", "SmolLM2-135M-Instruct.Q4_1"]
    totals = json.loads(cli("stats", shelf, "--json").out)
    assert totals["all"]["input"] == 43
    assert totals["paths"] == {"/chat/completions": 2}
    assert "0 recordings" in cli("stats", shelf, "--model", "gpt").out


@pytest.mark.parametrize("kind", ["json", "toml"])
def test_prices_give_an_estimate(cli, shelf, tmp_path, kind):
    """Input that came from a cache has a price of its own; a model without a price is named."""
    tables = {
        "json": '{"models": {"SmolLM2*": {"input": 2, "cached": 1, "output": 10}}, "dated": "2026-11-01"}',
        "toml": 'dated = "2026-11-01"\n[models]\n"SmolLM2*" = {input = 2, cached = 1, output = 10}\n',
    }
    file = tmp_path / f"prices.{kind}"
    file.write_text(tables[kind])
    cost = (12 * 2 + 31 * 1 + 8 * 10) / 1_000_000
    done = cli("stats", shelf, "--prices", file)
    assert f"Estimated cost: {cost:.6f} USD, prices of 2026-11-01" in done.out
    assert json.loads(cli("stats", shelf, "--prices", file, "--json").out)["all"]["cost"] == pytest.approx(cost)
    file.write_text('{"models": {"gpt-4o": {"input": 2}}}')
    if kind == "json":
        done = cli("stats", shelf, "--prices", file)
        assert "no price fits" in done.out
        assert "No price is given for SmolLM2-135M-Instruct.Q4_1" in done.err


def test_toml_without_what_reads_it(cli, shelf, tmp_path, monkeypatch):
    """Python 3.10 is told to take JSON."""
    file = tmp_path / "prices.toml"
    file.write_text("")

    def missing(*_, **__):
        raise ImportError

    monkeypatch.setattr("msgspec.toml.decode", missing)
    assert "Give the prices as JSON" in cli("stats", shelf, "--prices", file).err


@pytest.mark.parametrize("text", ["{", "[]", '{"models": {"m": {"inputs": 1}}}', '{"models": {"m": {"input": -1}}}'])
def test_prices_that_are_none(cli, shelf, tmp_path, text):
    """The error shows what a table looks like."""
    file = tmp_path / "prices.json"
    file.write_text(text)
    done = cli("stats", shelf, "--prices", file)
    assert done.status == 2
    assert '{"models": {"gpt-4o*": {"input": 2.5' in done.err


def test_the_price_that_fits_best():
    """The exact name, then the longest pattern; without a price of its own cached input costs like the rest."""
    prices = Prices({"gpt-*": Price(1), "gpt-4*": Price(2), "gpt-4o": Price(3)})
    found = {model: prices.find(model) for model in ("gpt-4o", "gpt-4o-mini", "gpt-5", "o1")}
    assert {model: price and price.input for model, price in found.items()} == {
        "gpt-4o": 3,
        "gpt-4o-mini": 2,
        "gpt-5": 1,
        "o1": None,
    }


def test_cached_input_costs_like_the_rest_by_default(cli, shelf, tmp_path):
    """Where no price of it is given."""
    file = tmp_path / "prices.json"
    file.write_text('{"models": {"*": {"input": 1000000}}, "currency": "EUR"}')
    assert "Estimated cost: 43.00 EUR\n" in cli("stats", shelf, "--prices", file).out
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())  # as Windows' editors mark what they write
    assert "Estimated cost: 43.00 EUR\n" in cli("stats", shelf, "--prices", file).out


def test_stats_of_everything(cli):
    """Errors and requests that name no model are counted."""
    done = cli("stats", GIVEN)
    errors = re.search(r"(\d+) errors,", done.out)
    assert errors
    assert int(errors[1]) > 1
    assert "(none)" in done.out


def test_the_model_with_the_most_recordings_comes_first(cli, shelf):
    """Whatever it is called."""
    (story,) = shelf.rglob(f"{STORY}*.json")
    shutil.copy(story, story.with_name(story.stem + "~2.json"))
    edit(shelf, CAPITAL, model="A")
    models = [line.split("\t")[-1] for line in cli("stats", shelf).out.splitlines()[-2:]]
    assert models == ["SmolLM2-135M-Instruct.Q4_1", "A"]


def test_stats_of_one_error(cli, shelf):
    """Is counted in the singular."""
    edit(shelf, STORY, end="closed")
    edit(shelf, CAPITAL, status=404)
    assert "  1 streamed, 1 error, 1 incomplete" in cli("stats", shelf).out


def test_names_that_are_no_utf8_or_hold_blanks(cli, shelf):
    """Are JSON all the same, lead back to the file, and take one line where lines are names."""
    odd = shelf / os.fsdecode(b"\xff a\n\tb")
    odd.mkdir()
    (shelf / "chat").rename(odd / "chat")
    names = [row["name"] for row in json.loads(cli("list", shelf, "--json").out)]
    assert len(names) == 2
    assert all((shelf / name).is_file() for name in names)
    assert cli("show", names[0], "--dir", shelf).status == 0
    lines = cli("prune", shelf, "--older-than", "0s").out.splitlines()
    assert [line.partition("/")[0] for line in lines] == ["\ufffd a␊␉b"] * 2


@pytest.fixture
def mapped(shelf, monkeypatch):
    """A map of two tests that have used the recordings of `shelf`, in the working directory."""
    monkeypatch.chdir(shelf.parent)
    made = RecordingMap()
    names = sorted(path.relative_to(shelf).as_posix() for path in shelf.rglob("*.json"))
    made.add("tests/test_a.py::test_one", str(shelf), names[:1])
    made.add("tests/test_a.py::test_one[b]", str(shelf), ())
    made.add("tests/test_a.py::test_two", str(shelf), names[1:])
    made.add("tests/test_b.py::test_three", str(shelf), names)
    made.add("tests/test_b.py::test_three", str(shelf.parent / "other"), ["x.json"])
    made.add("tests/test_c.py::test_url", "memory://nowhere", ["x.json"])
    made.write(Path("inferencereplay-map.json"))
    return names


@pytest.mark.parametrize(
    ("test", "more", "count"),
    [
        ("tests/test_a.py::test_one", (), 1),
        ("tests/test_a.py::test_one[b]", (), 0),
        ("tests/test_a.py", (), 2),
        ("tests", ("shelf",), 2),
        ("./tests/", (), 2),
        ("tests/test_b.py::test_three", ("--dir", "shelf"), 2),
        ("tests/test_a.py::test_two", ("elsewhere",), 0),
    ],
)
def test_the_recordings_of_a_test(cli, mapped, test, more, count):
    """By the map that pytest wrote: of one test, of a file, of a folder; in its directory or the one that is named."""
    Path("elsewhere").mkdir()
    shutil.copytree("shelf", "recordings")
    done = cli("list", "--test", test, *more)
    assert (done.status, len(keys(done))) == (0, count), done.err


def test_several_directories_of_a_test(cli, mapped):
    """They are listed as layers, each name with its directory; what is gone is counted."""
    done = cli("list", "--test", "tests/test_b.py", "--json")
    assert done.status == 0
    names = [row["name"] for row in json.loads(done.out)]
    assert [Path(name).is_relative_to("shelf") or "shelf" in Path(name).parts for name in names] == [True, True]
    assert "1 recording of the map not found" in done.err


def test_a_map_that_is_older_than_its_directory(cli, mapped):
    """What is gone is counted."""
    (Path("shelf") / mapped[0]).unlink()
    assert "1 recording of the map not found" in cli("list", "--test", "tests/test_a.py::test_one").err


def test_the_map_names_the_directories(cli, mapped):
    """No other one is looked for, and none is said to be read."""
    Path("tests/recordings").mkdir(parents=True)
    done = cli("list", "--test", f"{Path('tests').absolute()}/test_a.py::test_one")
    assert (len(keys(done)), done.err) == (1, "")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "map.json does not exist. A run of the tests writes it: pytest --inferencereplay-map="),
        ("{", "map.json is no map of recordings"),
        ("[]", "map.json is no map of recordings"),
        ("[" * 100_000, "map.json is no map of recordings"),
        ('{"inferencereplay_map": 2}', "map.json has version 2, and this release reads 1."),
        ('{"inferencereplay_map": 1, "tests": {"a": []}}', "map.json is no map of recordings"),
        ('{"inferencereplay_map": 1, "tests": {}}', "The map has no test 'tests/test_a.py::test_on'."),
        (
            '{"inferencereplay_map": 1, "tests": {"tests/test_a.py::test_one": {}}}',
            "The map has no test 'tests/test_a.py::test_on'; the nearest is 'tests/test_a.py::test_one'.",
        ),
    ],
    ids=["missing", "torn", "other", "deep", "version", "places", "empty", "misspelt"],
)
def test_a_map_that_cannot_be_used_is_told(cli, shelf, content, told, monkeypatch):
    """In one line that says what to do."""
    monkeypatch.chdir(shelf.parent)
    if content is not None:
        Path("map.json").write_text(content, encoding="utf-8")
    done = cli("list", shelf, "--test", "tests/test_a.py::test_on", "--map", "map.json")
    assert done.status == 2
    assert told in " ".join(done.err.split())
