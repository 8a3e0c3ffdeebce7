"""The settings that are proposed, how they are spelled, and what they let through."""

from __future__ import annotations

import shlex

import pytest
from asking import asked, chat

from inferencereplay.calibration.proposal import Proposal, are_equal, collisions, propose
from inferencereplay.calibration.variation import Analysis, Analyst, Variation
from inferencereplay.normalizers import BY_NAME
from inferencereplay.session.settings import parse_options, parse_text

PATTERN = r"/\btry, [0-9]{2}\b/"
PROPOSAL = Proposal(("metadata.run_id", "user"), ("uuids", PATTERN))


def analysis(*remedies):
    return Analysis([Variation("x", "kind", remedy, value, "a → b") for remedy, value in remedies], [])


def test_what_the_variations_call_for_is_proposed_once():
    """Ready-made normalizers in their order, then expressions in the order in which they were made."""
    found = propose(
        [
            analysis(("normalize", PATTERN), ("normalize", "timestamps"), ("ignore", "user")),
            analysis(("ignore", "user"), ("normalize", "uuids"), ("replay", ""), ("", "sort it")),
        ]
    )
    assert found == Proposal(("user",), ("uuids", "timestamps", PATTERN))
    assert propose([]) == Proposal()


def test_each_spelling_is_that_setting():
    """What is printed can be pasted, for all places, with expressions that hold commas and backslashes."""
    spelled = PROPOSAL.spelled()
    ignore, normalize = list(PROPOSAL.ignore), list(PROPOSAL.normalize)
    given = {}
    code = spelled["code"].replace('replay("recordings", ', "given.update(")
    exec(code, {"given": given})
    assert given == {"ignore": ignore, "normalize": normalize}
    marker = spelled["marker"].replace("@pytest.mark.inferencereplay(", "given.update(")
    exec(marker, {"given": given})
    assert given == {"ignore": ignore, "normalize": normalize}
    ini = dict(line.split(" = ") for line in spelled["ini"].splitlines())
    assert shlex.split(ini["inferencereplay_ignore"]) == ignore
    assert shlex.split(ini["inferencereplay_normalize"]) == normalize
    variables = dict(part.split("=", 1) for part in shlex.split(spelled["environment"]))
    assert parse_text("ignore", variables["INFERENCEREPLAY_IGNORE"], "") == tuple(ignore)
    body = chat("try, 17")
    one = parse_text("normalize", variables["INFERENCEREPLAY_NORMALIZE"], "")(body)
    assert one == parse_options({"normalize": normalize})["normalize"](body) == chat("#1")
    parts = shlex.split(spelled["options"])
    assert parts[:4] == ["--ignore", "metadata.run_id", "--ignore", "user"]
    assert parts[4:] == ["--normalize", "uuids", "--normalize", PATTERN]


def test_only_what_is_given_is_spelled():
    """No empty setting; a text with quotes stays a text."""
    assert Proposal(("user",)).spelled()["code"] == 'replay("recordings", ignore=["user"])'
    assert Proposal((), ("uuids",)).spelled()["environment"] == "INFERENCEREPLAY_NORMALIZE=uuids"
    assert eval(Proposal((), ('/"\\b/',)).arguments().partition("=")[2]) == ['/"\\b/']


@pytest.mark.parametrize("name", [*BY_NAME])
def test_every_normalizer_says_what_it_lets_through(name):
    """In one sentence, also if that takes two lines."""
    (told,) = Proposal((), (name,)).lets_through().values()
    assert told.startswith("requests that differ only in ")
    assert "\n" not in told


def test_what_paths_and_expressions_let_through():
    """The path itself, and what the expression finds."""
    told = Proposal(("user",), ("/x[0-9]+/",)).lets_through()
    assert told == {
        "user": "requests that differ only in user",
        "/x[0-9]+/": "requests that differ only in what this expression finds",
    }


def equal(proposal, one, other, tmp_path, said=((), ())):
    before = tuple([asked(chat("before"), said=texts)] for texts in said)
    return are_equal(proposal.session(str(tmp_path)), one, other, Analyst().compare(one, other, before))


def test_equality_is_checked_by_the_keys_of_a_session(tmp_path):
    """A proposal that is not enough is found out."""
    one, other = (asked(chat(f"try {number}", user=f"u{number}")) for number in (1, 2))
    assert equal(Proposal(("user",), (r"/try [0-9]/",)), one, other, tmp_path)
    assert not equal(Proposal(("user",)), one, other, tmp_path)


def test_what_comes_from_an_answer_is_as_in_the_first_run(tmp_path):
    """For a replay gives the first run's answers; an id in the path, too."""
    one, other = (asked(chat(f"Why {word}?"), path=f"/threads/{word}") for word in ("thread_a1", "thread_b2"))
    said = (["thread_a1"], ["thread_b2"])
    assert equal(Proposal(), one, other, tmp_path, said)
    assert not equal(Proposal(), one, asked(other.body, path=one.request.path), tmp_path)
    whole = [asked("thread_a1"), asked("thread_b2")]
    assert equal(Proposal(), *whole, tmp_path, said)


def test_collisions_are_told(tmp_path):
    """Requests that are different ones, and one under the proposal; equal ones are none."""
    session = Proposal(("user",), ("timestamps",)).session(str(tmp_path))
    run = [asked(chat("x", user=name), second) for second, name in enumerate("aab")]
    run += [asked(chat("2026-11-28")), asked(chat("2026-11-29")), asked(chat("y"))]
    groups = [[item.body for item in group] for group in collisions(session, run)]
    assert groups == [
        [chat("x", user="a"), chat("x", user="b")],
        [chat("2026-11-28"), chat("2026-11-29")],
    ]
