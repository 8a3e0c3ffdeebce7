"""The file format."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencereplay.errors import RecordingCorrupt
from inferencereplay.recording import format as format_
from inferencereplay.recording.format import (
    ENCODINGS,
    VERSION,
    Cause,
    Failure,
    Provenance,
    RecordedRequest,
    Recording,
    Redirect,
    Response,
    decode,
    decode_for,
    encode,
    stored_request,
)
from inferencereplay.recording.request import Request, canonical_json
from inferencereplay.recording.side_file import side_file

NAME = "recordings/chat/completions/1.json"
BODY = {"model": "m", "temperature": 0.5, "n": 1, "messages": [{"role": "user", "content": "Hé\n"}]}
REQUEST = Request("POST", "/chat/completions", canonical_json(BODY))

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
raws = values.map(lambda value: msgspec.Raw(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()))
seconds = st.floats(0, 1_000_000)
headers = st.dictionaries(texts, texts, max_size=2)
failures = st.builds(Failure, texts, texts, st.lists(st.builds(Cause, texts, texts, st.booleans()), max_size=2))
redirects = st.lists(st.builds(Redirect, st.sampled_from([301, 308]), st.just({"location": "/ä?b"})), max_size=2).map(
    tuple
)
spaces = st.text(" \t\r\n", max_size=2)
heads = {"reason": st.none() | st.just("Fine"), "redirects": redirects, "downloaded": st.none() | st.integers(0)}


@st.composite
def streams(draw):
    chunks = draw(st.lists(raws, max_size=4))
    size = {"min_size": len(chunks), "max_size": len(chunks)}
    end = draw(st.sampled_from(["done", "closed", "error"]))
    verbatim = [index for index, chunk in enumerate(chunks) if bytes(chunk).startswith(b'"') and draw(st.booleans())]
    return Response(
        draw(st.integers(100, 999)),
        draw(headers),
        end=end,
        sentinel=draw(st.booleans()),
        failure=draw(failures) if end == "error" else None,
        offsets=draw(st.just([]) | st.lists(seconds, **size)),
        events=draw(st.just([]) | st.lists(st.none() | texts, **size)),
        verbatim=verbatim,
        chunks=chunks,
        **{name: draw(values) for name, values in heads.items()},
    )


statuses = st.integers(100, 999)
elapsed = st.none() | seconds
layouts = {"leading": spaces, "trailing": spaces}
plain = (
    st.builds(Response, statuses, headers, elapsed=elapsed, body=raws, indent=st.integers(-1, 16), **layouts, **heads)
    | st.builds(Response, statuses, headers, elapsed=elapsed, text=texts, encoding=st.sampled_from(ENCODINGS), **heads)
    | st.builds(Response, st.just(0), headers, elapsed=elapsed, failure=failures)
)
queries = st.dictionaries(texts, texts | st.lists(texts, min_size=2, max_size=2), max_size=2)


@st.composite
def recordings(draw):
    request = Request(draw(st.sampled_from(["GET", "POST"])), draw(texts), canonical_json(draw(values)), draw(queries))
    recorded = draw(st.builds(Provenance, texts, texts, texts))
    return request, make(request, draw(streams() | plain), recorded)


def make(request: Request, response: Response, recorded: Provenance | None = None) -> Recording:
    held = RecordedRequest(request.method, request.path, msgspec.Raw(request.body), request.query)
    return Recording(
        VERSION, request.key, held, response, recorded or Provenance("2026-11-22T10:30:00Z", "3.54.0", "http://x")
    )


def stream(*chunks: str, **more) -> Response:
    return Response(
        end="done", offsets=[0.1] * len(chunks), chunks=[msgspec.Raw(item.encode()) for item in chunks], **more
    )


HOP = '{"status": %d, "headers": {"location": "/"}}'
BOTH = "a stream has a 'failure' if, and only if, it ended with 'error'"
STREAM = encode(make(REQUEST, stream('{"a":1}', '{"b":2}')))
PLAIN = encode(make(REQUEST, Response(elapsed=0.25, body=msgspec.Raw(b'{"a": [1.0, 2]}'), indent=0)))


def compact(raw: msgspec.Raw) -> bytes:
    return msgspec.json.format(bytes(raw), indent=-1) if bytes(raw) else b""


def changed(old: bytes | str, new: bytes | str, data: bytes = STREAM) -> bytes:
    old, new = (item.encode() if isinstance(item, str) else item for item in (old, new))
    assert old in data
    return data.replace(old, new)


def read(data: bytes, request: Request = REQUEST) -> Recording:
    """Read a file as a session does, which finds it by the key of a request.

    It is read both as if the request were large, whose bytes are compared, and as if it were small.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(format_, "LARGE", 0)
        patch.setattr(format_, "LARGE_PART", 0)
        large = outcome(data, request)
        patch.setattr(format_, "LARGE", 1_000_000)
        small = outcome(data, request)
    if isinstance(small, RecordingCorrupt):
        assert (str(large), large.position) == (str(small), small.position)
        raise small
    assert encode(large) == encode(small)
    return small


def outcome(data: bytes, request: Request) -> Recording | RecordingCorrupt:
    try:
        return decode_for(request, request.key, data, NAME)
    except RecordingCorrupt as error:
        return error


# Round trips.


@given(recordings())
def test_a_file_reads_back_as_what_was_written(made):
    """Everything is there but digits of time beyond the microsecond, and writing it again changes no byte."""
    request, recording = made
    data = encode(recording)
    found = read(data, request)
    assert stored_request(found, NAME) == request
    assert found.recorded == recording.recorded
    for name in ("status", "headers", "end", "failure", "events", "verbatim", "text", "chunks", "indent"):
        assert getattr(found.response, name) == getattr(recording.response, name)
    assert found.response.sentinel is (recording.response.sentinel or not recording.response.end)
    assert found.response.offsets == pytest.approx(recording.response.offsets, abs=1e-6)
    assert found.response.elapsed == pytest.approx(
        recording.response.elapsed if not found.response.end else None, abs=1e-6
    )
    assert compact(found.response.body) == compact(recording.response.body)
    assert encode(found) == data


@pytest.mark.parametrize("body", ['{"model":"m","a":1}', '{"a":1.0}', '{"a":0,"a":1}', '{"a":"\\u00e9"}'])
def test_a_file_under_the_key_of_another_spelling_of_its_request(body):
    """Its request has the key that a session looks it up by, not that of the bytes that another writer hashed."""
    held = Request("POST", "/chat/completions", body.encode())
    found = decode(encode(make(held, Response(body=msgspec.Raw(b"{}")))), NAME)
    assert found.key == held.key
    request = stored_request(found, NAME)
    assert request.body == canonical_json(json.loads(body))
    assert request.key != found.key


def test_what_the_server_sent_is_kept_to_the_byte():
    """Unknown fields, nulls, empty strings, order, escapes and the spelling of numbers."""
    sent = '{"z":null,"a":"","u":"\\u00e9","n":[1.0,1E5,-0,1e400,12345678901234567890123],"a2":{}}'
    assert bytes(read(encode(make(REQUEST, stream(sent)))).response.chunks[0]) == sent.encode()
    body = read(encode(make(REQUEST, Response(body=msgspec.Raw(sent.encode()))))).response.body
    assert compact(body) == sent.encode()


def test_the_file_looks_as_the_format_says():
    """A chunk a line, timing on a line of its own, two spaces of indentation, a line end at the end."""
    request = Request("POST", "/x", b'{"a":[1]}', {"v": "2"})
    response = stream('{"c":1}', '"no JSON"', headers={"content-type": "text/event-stream"}, verbatim=[1])
    response.offsets, response.events, response.sentinel = [0.1, 12.3456789], ["e", None], False
    assert encode(make(request, response)).decode().splitlines() == [
        "{",
        '  "inferencereplay": 1,',
        f'  "key": "{request.key}",',
        '  "recorded": {"at": "2026-11-22T10:30:00Z", "openai": "3.54.0", "base_url": "http://x"},',
        '  "request": {',
        '    "method": "POST",',
        '    "path": "/x",',
        '    "query": {"v": "2"},',
        '    "body": {',
        '      "a": [',
        "        1",
        "      ]",
        "    }",
        "  },",
        '  "response": {',
        '    "status": 200,',
        '    "headers": {"content-type": "text/event-stream"},',
        '    "end": "done",',
        '    "sentinel": false,',
        '    "offsets": [0.100000, 12.345679],',
        '    "events": ["e", null],',
        '    "verbatim": [1],',
        '    "chunks": [',
        '      {"c":1},',
        '      "no JSON"',
        "    ]",
        "  }",
        "}",
    ]


@given(recordings(), seconds, texts)
def test_recording_again_changes_two_lines_at_most(made, later, at):
    """Two recordings with equal content differ in when they were made and in their timing only."""
    request, recording = made
    response = msgspec.structs.replace(recording.response, offsets=[later for _ in recording.response.offsets])
    response.elapsed = None if response.elapsed is None else later
    old, new = (encode(item).split(b"\n") for item in (recording, make(request, response, Provenance(at))))
    names = [line.split(b":")[0].strip() for line, other in zip(old, new, strict=True) if line != other]
    assert set(names) <= {b'"recorded"', b'"offsets"', b'"elapsed"'}
    assert len(names) <= 2


@pytest.mark.parametrize(
    ("response", "is_stream", "is_whole"),
    [
        (Response(text=""), False, True),
        (Response(0, failure=Failure("ConnectError")), False, False),
        (Response(text="half", failure=Failure("ReadError")), False, False),
        (stream("1"), True, True),
        (Response(end="closed"), True, False),
        (Response(end="error", failure=Failure("ReadError")), True, False),
    ],
)
def test_an_answer_knows_what_it_is(response, is_stream, is_whole):
    """Whatever has an end is a stream, and what broke or was left is not whole."""
    found = read(encode(make(REQUEST, response))).response
    assert (found.is_stream, found.is_whole) == (is_stream, is_whole)


# Edited files.


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"temperature": 0.5', '"temperature": 5e-1'),
        ('"n": 1', '"n": 1.0'),
        ('"n": 1', '"n":\n\n1'),
        ("Hé", "H\\u00e9"),
        ('"role": "user"', '"role": "system", "role": "user"'),
        ('"recorded"', '"unknown": {"a": [1]}, "recorded"'),
        ('"method"', '"query": {}, "method"'),
        ("\n", "\r\n"),
        ("    ", "\t"),
    ],
)
def test_a_request_may_be_laid_out_in_any_way(old, new):
    """Indentation, escapes and the spelling of numbers do not change what the request is."""
    assert read(changed(old, new)).key == REQUEST.key


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('  "response"', '  "request": {"method": "GET", "path": "/x"},\n  "response"'),
        ('  "response"', '  "request": 1,\n  "response"'),
    ],
)
def test_a_second_request_in_a_file_is_not_passed_over(old, new):
    """The last of two members with one name counts, also where the first is the request that was asked for."""
    with pytest.raises(RecordingCorrupt):
        read(changed(old, new))


def test_the_members_may_stand_in_any_order():
    """A file that went through another JSON writer is still the same recording."""
    data = json.loads(STREAM)
    data["request"]["body"] = dict(reversed(data["request"]["body"].items()))
    read(json.dumps(dict(reversed(data.items())), indent=7, ensure_ascii=True).encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"n": 1', '"n": 2'),
        ('"n": 1', '"n": true'),
        ('"n": 1', '"n": "1"'),
        ('"n": 1', '"n": 1, "m": null'),
        ("0.5", "0.50000001"),
        ("Hé", "He"),
        ('"POST"', '"GET"'),
        ("/chat/completions", "/completions"),
        ('"method"', '"query": {"a": "1"}, "method"'),
        (REQUEST.key, REQUEST.key[:-1] + "x"),
        (REQUEST.key, ""),
    ],
)
def test_an_edited_request_is_refused(old, new):
    """What the file says was asked has to be what its key says."""
    with pytest.raises(RecordingCorrupt, match="its request does not belong to its key: it hashes to") as caught:
        read(changed(old, new))
    assert (caught.value.path, caught.value.position) == (NAME, "$.request")
    assert "Undo the change, file it anew with `inferencereplay rekey`, or delete the file and record it again." in str(
        caught.value
    )


def test_a_file_at_the_address_of_another_is_refused():
    """A copy under another name does not answer another request."""
    other = Request("POST", "/chat/completions", b'{"model":"other"}')
    with pytest.raises(RecordingCorrupt, match=f"its name is that of {other.key[:12]}…, and it holds") as caught:
        read(STREAM, other)
    assert caught.value.position == "$.key"


@pytest.mark.parametrize(
    "body", ["1" + "0" * 5_000, "1e400", '"\\ud800"', "[" * 5_000 + "]" * 5_000], ids=lambda body: body[:8]
)
def test_a_request_that_cannot_be_read_is_refused(body):
    """JSON that nobody can hash is no request."""
    with pytest.raises(RecordingCorrupt) as caught:
        read(changed('"n": 1', f'"n": {body}'))
    assert caught.value.path == NAME


@pytest.mark.parametrize(
    ("old", "new", "chunks"),
    [
        ('{"a":1}', '{"a": "edited"}', [b'{"a": "edited"}', b'{"b":2}']),
        ('{"a":1}', '{\n  "a": 1\n}', [b'{\n  "a": 1\n}', b'{"b":2}']),
        ('"status": 200', '"status": 429', [b'{"a":1}', b'{"b":2}']),
        ('"offsets": [0.100000, 0.100000],', "", [b'{"a":1}', b'{"b":2}']),
        ('{"a":1},\n      {"b":2}\n    ]', '"a", "b"], "verbatim": [0, 1]', [b'"a"', b'"b"']),
        ('      {"a":1},\n', "", None),
    ],
)
def test_a_response_may_be_edited(old, new, chunks):
    """A file is a file; only its parts have to fit together."""
    data = changed(old, new)
    if chunks is None:
        with pytest.raises(RecordingCorrupt, match="2 offsets for 1 chunks"):
            read(data)
        data = data.replace(b"0.100000, ", b"")
        chunks = [b'{"b":2}']
    assert [bytes(chunk) for chunk in read(data).response.chunks] == chunks


@pytest.mark.parametrize(
    ("old", "new", "position", "reason"),
    [
        ('"end": "done"', '"end": "finished"', "$.response.end", "'finished' is none of 'done', 'closed' and 'error'"),
        ('"end": "done",', "", "$.response.end", "a stream has to say how it ended"),
        ("0.100000, 0.1", "0.1", "$.response.offsets", "1 offsets for 2 chunks"),
        ('"chunks"', '"events": [null], "chunks"', "$.response.events", "1 names for 2 chunks"),
        ('"chunks"', '"verbatim": [0], "chunks"', "$.response.verbatim", "chunk 0 is no JSON string"),
        ('"chunks"', '"verbatim": [2], "chunks"', "$.response.verbatim", "chunk 2 is no JSON string"),
        ('"chunks"', '"verbatim": [-1], "chunks"', "$.response.verbatim", "chunk -1 is no JSON string"),
        ('"end": "done"', '"end": "error"', "$.response.failure", BOTH),
        ('"end": "done"', '"end": "done", "failure": {"type": "ReadError"}', "$.response.failure", BOTH),
        ('"end": "done"', '"end": "closed", "failure": {"type": "ReadError"}', "$.response.failure", BOTH),
        (
            '200,\n    "headers": {},\n    "end": "done"',
            '0, "headers": {}, "end": "error", "failure": {"type": "ReadError"}',
            "$.response.status",
            "0 is no HTTP status",
        ),
        ("200", "99", "$.response.status", "99 is no HTTP status"),
        ("200", "0", "$.response.status", "0 is no HTTP status"),
        ("200", "1000", "$.response.status", "1000 is no HTTP status"),
        ("200", "-1", "$.response.status", "-1 is no HTTP status"),
        ('"chunks"', '"indent": 17, "chunks"', "$.response.indent", "17 is not in the range -1 to 16"),
        ('"chunks"', '"indent": -2, "chunks"', "$.response.indent", "-2 is not in the range -1 to 16"),
        ('"chunks"', '"leading": "x", "chunks"', "$.response.leading", "'x' is not white space"),
        ('"chunks"', '"trailing": "\\u00a0", "chunks"', "$.response.trailing", "'\\xa0' is not white space"),
        ('"chunks"', '"encoding": "utf-7", "chunks"', "$.response.encoding", "'utf-7' is not one of utf-8, utf-16-le,"),
        (
            '"chunks"',
            '"reason": "a\\r\\nb", "chunks"',
            "$.response.reason",
            "'a\\r\\nb' is not a reason phrase of HTTP",
        ),
        ('"chunks"', f'"redirects": [{HOP % 200}], "chunks"', "$.response.redirects", "a redirect has a status of"),
        (
            '"chunks"',
            '"redirects": [{"status": 307, "headers": {}}], "chunks"',
            "$.response.redirects",
            "and a location",
        ),
        ('"chunks"', '"downloaded": -1, "chunks"', "$.response.downloaded", "Expected `int` >= 0"),
        ('"chunks"', '"text": "x", "chunks"', "$.response", "and this one has 2 of them"),
        ('"chunks"', '"body": 1, "chunks"', "$.response", "and this one has 2 of them"),
        ("[0.100000", "[-1", "$.response.offsets[0]", "Expected `float` >= 0.0"),
        ("[0.100000", "[1000001", "$.response.offsets[0]", "Expected `float` <= 1000000.0"),
        ("[0.100000", '["0.1"', "$.response.offsets[0]", "Expected `float`, got `str`"),
        ("200", '"200"', "$.response.status", "Expected `int`, got `str`"),
        ('"headers": {}', '"headers": []', "$.response.headers", "Expected `object`, got `array`"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(old, new, position, reason):
    """The error says which part, and why."""
    with pytest.raises(RecordingCorrupt, match=re.escape(reason)) as caught:
        read(changed(old, new))
    assert caught.value.position == position


def test_an_answer_that_is_misspelt_is_not_taken_for_an_empty_one():
    """Without a body, a text and an end there is nothing to answer with."""
    with pytest.raises(RecordingCorrupt, match="and this one has none of them"):
        read(changed('"body": {\n      "a": [\n', '"bodi": {\n      "a": [\n', PLAIN))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"elapsed"', '"rest": "eA==", "elapsed"', "a stream has to say how it ended"),
        ('"elapsed"', '"failure": {"type": "ReadError"}, "end": "error", "elapsed"', "has 2 of them"),
    ],
)
def test_a_plain_answer_has_nothing_of_a_stream(old, new, reason):
    """What would be passed over in silence is refused."""
    with pytest.raises(RecordingCorrupt, match=reason):
        read(changed(old, new, PLAIN))


# Torn and foreign files.


@pytest.mark.parametrize(
    ("data", "position"),
    [
        (b"", "byte 0"),
        (b"\0", "byte 0"),
        (b"\0" * 100, "byte 0"),
        (STREAM[:300], "byte 300"),
        (STREAM[:-3], f"byte {len(STREAM) - 3}"),
        (STREAM + STREAM, f"byte {len(STREAM) + 1}"),
        (b"\xef\xbb\xbf" + STREAM, "byte 0"),
        (STREAM.decode().encode("utf-16"), "byte 0"),
        (b"null", "$"),
        (b"[]", "$"),
        (b"{}", "$"),
        (b'{"request": {"endpoint": "/v1/chat/completions"}, "response": {}}', "$.request"),
        (b"[" * 100_000, "$"),
        (changed('{"a":1}', b'{"a":"\xff"}'), f"byte {STREAM.index(b'1},') + 1}"),
        (changed('{"a":1}', '{"a":01}'), f"byte {STREAM.index(b'1},') + 1}"),
        (changed('{"a":1}', '{"a":NaN}'), f"byte {STREAM.index(b'1},')}"),
        (changed('{"a":1}', "[" * 100_000 + "]" * 100_000), f"byte {len(STREAM) + 200_000 - 7}"),
    ],
    ids=range(17),
)
def test_a_torn_or_foreign_file_is_corrupt(data, position):
    """The error has the path, the position and what to do."""
    with pytest.raises(RecordingCorrupt) as caught:
        decode(data, NAME)
    error = caught.value
    assert (error.path, error.position) == (NAME, position)
    assert re.fullmatch(
        rf"{NAME}: it cannot be read as a recording \([^()]*[^() -]\), at {re.escape(position)}\. "
        r"Restore it from version control, or delete it and record it again\.",
        str(error),
    )


@pytest.mark.parametrize(
    "data",
    [
        changed('"inferencereplay": 1', '"inferencereplay": 3'),
        changed('"inferencereplay": 1', '"inferencereplay": 3').replace(b'"request"', b'"requests"'),
        b'{"inferencereplay": 3}',
        b'{"inferencereplay": 3, "response": []}',
    ],
    ids=["the same shape", "another shape", "nothing else", "another type"],
)
def test_a_newer_format_says_so(data):
    """Whatever else may be different about it, the way out is to upgrade."""
    with pytest.raises(
        RecordingCorrupt, match=r"it is of format 3, .* reads the formats 1 and 2, .*Upgrade inferencereplay"
    ) as caught:
        decode(data, NAME)
    assert caught.value.position == "$.inferencereplay"


@given(st.binary() | values.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_raise_anything_else(data):
    """Whatever a file holds, there is one kind of error."""
    with pytest.raises(RecordingCorrupt) as caught:
        decode(data, NAME)
    assert caught.value.path == NAME
    assert caught.value.position


@given(
    st.sampled_from([STREAM, PLAIN]),
    st.integers(0, 10_000),
    st.integers(0, 30),
    st.binary(max_size=3)
    | st.sampled_from([b"null", b"1e999", b'"', b"{}", b"[", b"\\ud800", b"\xff", b"-1", b"true"]),
)
def test_a_damaged_file_is_read_or_corrupt(original, start, length, new):
    """A file that was changed anywhere is refused, or answers the request that it is filed under with valid JSON."""
    start %= len(original)
    data = original[:start] + new + original[start + length :]
    try:
        found = read(data)
    except RecordingCorrupt as error:
        assert NAME == error.path  # noqa: SIM300 - it may be raised, and need not be
        return
    assert stored_request(found, NAME).key == REQUEST.key
    for raw in (*found.response.chunks, found.response.body):
        json.loads(bytes(raw) or b"null")  # does not raise


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("marks", "line"),
    [(("<<<<<<< HEAD", "=======", ">>>>>>> topic"), 5), (("", "", ">>>>>>> topic"), 7), (("", "=======", ""), 6)],
)
def test_a_merge_conflict(marks, line, end):
    """Marks of git, also ones that were left behind, are told from other damage, with the line."""
    held = RecordedRequest("POST", "/chat/completions", msgspec.Raw(REQUEST.body))
    lines = encode(Recording(VERSION, REQUEST.key, held, Response(text="a"))).decode().splitlines()
    lines[4:4] = marks
    data = end.join(lines).encode()
    with pytest.raises(RecordingCorrupt, match="merge conflict; take either side, at line") as caught:
        decode_for(REQUEST, REQUEST.key, data, NAME)
    assert caught.value.position == f"line {line}"
    assert "git checkout --ours" in str(caught.value)
    assert "once committed, record it again" in str(caught.value)


def test_a_text_with_marks_is_no_conflict():
    """The answer may be about git."""
    held = RecordedRequest("POST", "/chat/completions", msgspec.Raw(REQUEST.body))
    text = "<<<<<<< HEAD\n=======\n>>>>>>> topic"
    data = encode(Recording(VERSION, REQUEST.key, held, Response(text=text)))
    assert decode(data, NAME).response.text == text
    with pytest.raises(RecordingCorrupt, match="cannot be read"):
        decode(data[:-3], NAME)


@pytest.mark.parametrize("at", ["", "yesterday", "0001-01-01T00:00:00+23:00"])
def test_a_recording_without_a_date(at):
    """What is no date is none."""
    assert Provenance(at).moment is None


def test_bytes_that_were_left():
    """The answer has an end and the bytes that came before; one that is complete has no end."""
    kept = Response(
        binary=side_file(b"\xff\xfb", "audio/mpeg"), pieces=[1, 1], offsets=[0.5, 0.75], end="closed", left=1.0
    )
    data = encode(make(REQUEST, kept)).replace(b'"closed"', b'"closed",\n    "sentinel": false')
    found = read(data).response
    assert (found.binary.length, found.pieces, found.end, found.left) == (2, [1, 1], "closed", 1.0)
    assert not found.is_whole
    with pytest.raises(RecordingCorrupt, match="this one has 2 of them"):
        read(data.replace(b'"closed"', b'"done"'))
    with pytest.raises(RecordingCorrupt, match=r">= 1.*, at \$.response.pieces\[0\]"):
        read(data.replace(b'"pieces": [1, 1]', b'"pieces": [0, 2]'))
