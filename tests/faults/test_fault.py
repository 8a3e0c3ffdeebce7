"""Faults as a user names them: in Python, in a text, and what is refused."""

from __future__ import annotations

import copy
import pickle

import pytest

from inferencereplay import Fault, InvalidSetting, Session
from inferencereplay.faults.fault import KINDS
from inferencereplay.faults.plan import Asked, FaultPlan
from inferencereplay.faults.spelling import parse_faults
from inferencereplay.session.settings import resolve

ALL = [
    Fault.refused(),
    Fault.timeout(),
    Fault.timeout("connect", times=3),
    Fault.timeout(after=2),
    Fault.cut(),
    Fault.cut(after=3),
    Fault.reset(after=0, model="gpt-4o*"),
    Fault.slow(first=5.0, between=0.2),
    Fault.slow(between=1, times=2),
    Fault.status(429, times=2, retry_after=1),
    Fault.status(503, headers={"x-should-retry": "false"}, body={"error": "no"}),
    Fault.rate_limit(),
    Fault.rate_limit(retry_after=None, nth=(1, 3)),
    Fault.html(),
    Fault.html(200, on="/chat/*"),
    Fault.empty(times=None),
    Fault.malformed(after=2),
    Fault.error_event("overloaded", after=1),
    Fault.no_done(probability=0.25, seed=7),
    Fault.finish(),
    Fault.finish("content_filter", after=1),
]


@pytest.mark.parametrize("fault", ALL, ids=repr)
def test_a_fault_is_shown_as_it_is_written(fault):
    """Its `repr` makes it again, in Python and in a text; it can be pickled and copied."""
    assert eval(repr(fault)) == fault
    assert parse_faults(repr(fault), "X") == (fault,)
    assert pickle.loads(pickle.dumps(fault)) == copy.deepcopy(fault) == fault
    assert fault != Fault.cut(after=77)
    assert fault != repr(fault)


def test_every_kind_is_named():
    """Each kind has a method of its name, and the list of valid ones has no other."""
    assert {fault.kind for fault in ALL} == set(KINDS)


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ("cut(after=3)", (Fault.cut(after=3),)),
        ("cut(); status(429, times=2), refused()", (Fault.cut(), Fault.status(429, times=2), Fault.refused())),
        ([Fault.cut(), "timeout()"], (Fault.cut(), Fault.timeout())),
        (Fault.cut(), (Fault.cut(),)),
        ((fault for fault in ALL[:2]), tuple(ALL[:2])),
        ("", ()),
    ],
    ids=["one", "several", "mixed", "a fault", "an iterator", "none"],
)
def test_faults_are_given_in_any_form(given, faults):
    """A fault, a text, or several of them."""
    assert parse_faults(given, "faults") == faults


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Fault.stauts(429), "Fault.stauts: there is no fault 'stauts'. Valid are refused, timeout, cut"),
        (Fault, "Fault() is no fault. Valid are refused"),
        (lambda: Fault.status(429, tiems=2), "Fault.status: it has no tiems=. Valid are status, retry_after, headers"),
        (lambda: Fault.status(200), "status=200 is not valid. Valid are 400 to 599."),
        (lambda: Fault.status("429"), "status='429' is not valid"),
        (lambda: Fault.status(True), "status=True is not valid"),
        (lambda: Fault.status(429, retry_after=-1), "retry_after=-1 is not valid. Valid are seconds from 0"),
        (lambda: Fault.status(429, retry_after="1"), "retry_after='1' is not valid"),
        (lambda: Fault.status(429, headers={"a": 1}), "headers={'a': 1} is not valid. Give names and values as texts."),
        (lambda: Fault.status(429, headers={"a": "b\r\nc: d"}), "Give names and values in ASCII, without line breaks."),
        (lambda: Fault.status(429, headers={"\xe9": "b"}), "names and values in ASCII, without line breaks."),
        (lambda: Fault.status(429, headers={"": "b"}), "Give names and values in ASCII"),
        (lambda: Fault.status(429, headers="a"), "headers='a' is not valid"),
        (lambda: Fault.status(429, body={1, 2}), "body={1, 2} is not valid. Give what JSON can hold, or a text."),
        (lambda: Fault.html(302), "status=302 is not valid. Valid are 200 and 400 to 599."),
        (lambda: Fault.timeout("conect"), "phase='conect' is not valid. Valid are 'connect', 'read', 'write', 'pool'."),
        (lambda: Fault.timeout("connect", after=1), "after=1 is not valid. phase='connect' comes before every chunk"),
        (lambda: Fault.cut(after=-1), "after=-1 is not valid. Valid is a number of chunks from 0."),
        (lambda: Fault.cut(after=1.5), "after=1.5 is not valid"),
        (Fault.slow, "first=0.0 is not valid. Give first= or between=, or both, above 0."),
        (lambda: Fault.slow(first=-1), "first=-1 is not valid. Valid are seconds from 0"),
        (lambda: Fault.slow(between="1"), "between='1' is not valid"),
        (lambda: Fault.error_event(3), "message=3 is not valid. Give a text."),
        (lambda: Fault.finish("stop"), "reason='stop' is not valid. Valid are 'length', 'content_filter'."),
        (lambda: Fault.cut(times=0), "times=0 is not valid. Valid is a number of attempts from 1, or None for all."),
        (lambda: Fault.cut(nth=0), "nth=0 is not valid. Valid is the number of a call, from 1, or several of them."),
        (lambda: Fault.cut(nth=()), "nth=() is not valid"),
        (lambda: Fault.cut(nth=1.5), "nth=1.5 is not valid"),
        (lambda: Fault.cut(probability=0), "probability=0 is not valid. Valid is a number above 0, up to 1."),
        (lambda: Fault.cut(probability=True), "probability=True is not valid"),
        (lambda: Fault.cut(seed=3), "seed=3 is not valid. Only a fault with a probability= has a seed=."),
        (lambda: Fault.cut(probability=0.5, seed="a"), "seed='a' is not valid. Give a whole number."),
        (lambda: Fault.cut(model=3), "model=3 is not valid. Give a model's name, or a pattern such as 'gpt-4o*'."),
        (lambda: Fault.cut(on=3), "Fault.cut: on=3 is no path. Give '/chat/completions', a pattern such as '/chat/*'"),
        (lambda: Fault.cut(when="x"), "when='x' is not valid. Give a function that gets the body, and returns whether"),
        (lambda: Fault.cut(on=[]), "Fault.cut: on=[] is no path"),
        (lambda: Session("d", faults=3), "faults=3 are no faults. Give a list such as [Fault.status(429)"),
        (lambda: Session("d", faults=[3]), "faults: 3 is no fault. Give Fault.status(429)"),
        (lambda: Session("d", faults="cut("), "faults='cut(' cannot be read. Write faults as status(429, times=2"),
        (lambda: Session("d", faults="cut"), "faults='cut' cannot be read"),
        (lambda: Session("d", faults="x = cut()"), "faults='x = cut()' cannot be read"),
        (lambda: Session("d", faults="ctu()"), "faults: there is no fault 'ctu'. Valid are refused"),
        (lambda: Session("d", faults="cut(after=x)"), "faults: cut(after=x) is no fault: malformed node"),
        (lambda: Session("d", faults="cut(3)"), "faults: cut(3) is no fault: Fault.cut() takes 1 positional"),
        (lambda: Session("d", faults="status(3)"), "faults: Fault.status: status=3 is not valid"),
        (lambda: Session("d", on="/x"), "on=('/x',) says where faults happen, and there are none: give faults=, too."),
        (lambda: Session("d", on=3, faults=[Fault.cut()]), "on=3 is no path"),
        (
            lambda: Session(mode="live", faults=[Fault.cut()]),
            "faults= alters recorded answers, and mode='live' has non",
        ),
        (lambda: Session(faults=[Fault.cut()]), "Give a directory, or 'replay', 'record', 'record-if-missing'."),
    ],
)
def test_what_cannot_be_is_refused(make, told):
    """One error says what was wrong, where, and what is valid."""
    with pytest.raises(InvalidSetting) as caught:
        make()
    assert told in str(caught.value)


def test_a_kind_that_there_is_not_is_no_attribute():
    """Whatever looks for an attribute finds none, and fails on none."""
    assert not hasattr(Fault, "stauts")


def test_the_environment_gives_faults(monkeypatch):
    """As a text; where nothing is replayed they are left out, for the variable may be that of a whole suite."""
    monkeypatch.setenv("INFERENCEREPLAY_FAULTS", "status(500, probability=0.1)")
    assert resolve("d", {}).faults == (Fault.status(500, probability=0.1),)
    assert resolve("d", {"faults": []}).faults == ()
    assert resolve(None, {"mode": "live"}).faults == ()
    monkeypatch.setenv("INFERENCEREPLAY_FAULTS", "nonsense()")
    with pytest.raises(InvalidSetting, match="INFERENCEREPLAY_FAULTS: there is no fault 'nonsense'"):
        resolve("d", {})


# Which attempts meet which fault.


def asked(path="/chat/completions", key="k", **body):
    return Asked(path, key, body.get("model"), lambda: body)


def met(plan, *calls, attempts=1):
    """Return the faults that the attempts of each call meet: of each attempt the first."""
    found = []
    for call in calls:
        faults = plan.begin(call)
        found += [
            next((fault for place, fault in faults.next_attempt() if faults.take(place)), None) for _ in range(attempts)
        ]
    return found


def test_a_list_is_the_order_of_events():
    """Each attempt meets the first fault that is not used up; then there is none."""
    first, second = Fault.status(429, times=2), Fault.cut()
    plan = FaultPlan([first, second], None)
    assert met(plan, asked(), attempts=4) == [first, first, second, None]
    assert plan.counts({}) == {"status 429": 2, "cut": 1}
    assert plan.unused({}) == []
    assert not plan.begin(asked())


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        ({}, "abcd"),
        ({"on": "/chat/completions"}, "ab"),
        ({"on": "chat/completions"}, "ab"),
        ({"on": "/chat/*"}, "ab"),
        ({"on": "*/[er]*"}, "cd"),
        ({"on": ["/embeddings", "/responses"]}, "cd"),
        ({"when": lambda body: body.get("temperature") == 1}, "b"),
        ({"when": lambda body: body.get("model"), "on": "/chat/*", "model": "small"}, "a"),
        ({"when": lambda _: True, "on": "/embeddings"}, "c"),
        ({"model": "small"}, "a"),
        ({"model": "*l*"}, "ab"),
        ({"nth": 2}, "b"),
        ({"nth": [1, 4]}, "ad"),
        ({"nth": 2, "on": ["/responses", "/chat/*"]}, "b"),
    ],
)
def test_a_fault_matches_by_path_model_and_number(match, hit):
    """Paths and models may be patterns; a function looks at the body; `nth` counts the calls that match otherwise."""
    fault = Fault.cut(times=None, **match)
    calls = [
        asked(model="small"),
        asked(model="large", temperature=1),
        asked("/embeddings"),
        asked("/responses", model=7),
    ]
    assert (
        "".join(name for name, found in zip("abcd", met(FaultPlan([fault], None), *calls), strict=True) if found) == hit
    )


def test_a_session_says_where_faults_happen():
    """Its `on` is for faults without one of their own."""
    plan = FaultPlan([Fault.cut(times=None), Fault.reset(on="/embeddings", times=None)], ("/chat/*",))
    assert met(plan, asked(), asked("/embeddings"), asked("/responses")) == [
        Fault.cut(times=None),
        Fault.reset(on="/embeddings", times=None),
        None,
    ]


def test_the_attempts_of_a_call_are_one_call():
    """`nth` counts calls, `times` counts attempts."""
    fault = Fault.cut(nth=2, times=2)
    plan = FaultPlan([fault], None)
    assert met(plan, asked(), asked(), asked(), attempts=3) == [None] * 3 + [fault, fault, None] + [None] * 3
    assert plan.unused({}) == []


def test_chance_depends_on_the_request_and_the_seed_only():
    """A run can be repeated, in whatever order its calls come; each attempt, and each equal call, has a chance."""
    calls = [asked(key=f"k{number}") for number in range(200)]

    def hit(order, seed=0, share=0.3):
        found = met(FaultPlan([Fault.cut(probability=share, seed=seed)], None), *order)
        return {call.key for call, fault in zip(order, found, strict=True) if fault}

    assert hit(calls) == hit(calls[::-1])
    assert 30 < len(hit(calls)) < 90
    assert hit(calls) != hit(calls, seed=1)
    assert hit(calls, share=1) == {call.key for call in calls}
    repeated = met(FaultPlan([Fault.cut(probability=0.5)], None), *[asked()] * 20, attempts=2)
    assert 0 < sum(fault is not None for fault in repeated) < 40
    assert met(FaultPlan([Fault.cut(probability=1, times=3)], None), *calls)[3:] == [None] * 197


def test_what_another_thread_has_used_up_does_not_happen():
    """A fault is counted when it happens, and never more often than it may."""
    plan = FaultPlan([Fault.cut()], None)
    first, second = plan.begin(asked()), plan.begin(asked())
    ((place, _),) = first.next_attempt()
    ((other, _),) = second.next_attempt()
    assert (first.take(place), second.take(other)) == (True, False)
    assert plan.counts({}) == {"cut": 1}
