"""The report in a real browser: Debian's Chromium, headless and offline, its clock in the test's hands."""

from __future__ import annotations

import json
import re
import shutil
import struct
import zlib
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import Reply
from openai._legacy_response import HttpxBinaryResponseContent
from written import ask, plain, said, streamed, write

from inferencereplay import replay
from inferencereplay.recording.format import Failure, Response
from inferencereplay.report import budget, write_report

LLAMA_STACK = Path(__file__).parents[1] / "recordings" / "llama_stack"
BROWSER = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    not (BROWSER and find_spec("playwright")),
    reason="no browser is installed (apt-get install chromium; pip install playwright)",
)
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
BAD = [
    "</script><script>pwned = 1</script>",
    "<!--<script>",
    "<img src=x onerror='pwned = 1'>",
    "<svg onload='pwned = 1'><a href='javascript:pwned = 1'>x</a></svg>",
    "\u2028\u2029 ]]> ${pwned = 1} `${pwned = 1}` \\u003cscript>",
    "javascript:pwned = 1",
    "[a](javascript:pwned=1) ![b](https://example.com/b.png) <https://example.com>",
    "data:text/html,<script>pwned = 1</script>",
    "%%data%% &lt;b&gt; \"' onmouseover='pwned = 1'",
]
"""What a prompt or an answer might hold to become markup or script."""


@pytest.fixture(scope="module")
def chromium():
    """Start the browser once; each page has a profile of its own, which is new and empty."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it may not be installed

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def show(chromium, tmp_path):
    """Open the report on a directory; whatever the page complains of, or asks of the network, fails the test."""
    complaints = []
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    context.set_default_timeout(10_000)

    def open_report(directory):
        written = write_report(directory, tmp_path / "report.html")
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())
        page.on(
            "request", lambda request: request.url.startswith(("file://", "data:")) or complaints.append(request.url)
        )
        page.clock.install(time=0)
        page.clock.pause_at(1_000)
        page.goto(written.file.as_uri())
        return page

    yield open_report
    context.close()
    assert complaints == []


def titles(page):
    return page.locator(".list tbody .what a").all_inner_texts()


def go(page, address):
    """Go to an address within the report, and wait until it is shown."""
    code = "hash => new Promise(done => { addEventListener('hashchange', done, {once: true}); location.hash = hash })"
    page.evaluate(f"hash => ({code})(hash).then(() => true)", address)


def open_first(page):
    page.locator(".list tbody .what a").first.click()
    page.wait_for_selector(".player")


def shown(page):
    """Return what can be seen of the answer."""
    return page.locator(".player .answer").inner_text()


def lines(text):
    """Return the lines of a text, without the space between paragraphs."""
    return [line for line in text.split("\n") if line]


@pytest.fixture
def mixed(tmp_path):
    """Write a stream, a plain answer, an error, a stream that was left and one that broke."""
    kept = tmp_path / "kept"
    system = {"role": "system", "content": "Be brief."}
    told = {"model": "gpt-b", "messages": [system, {"role": "user", "content": "Tell me of the sea"}], "stream": True}
    write(kept, told, streamed("The", " sea", " is", " wide."), at="2026-11-25T10:00:05Z")
    write(kept, ask("What is the capital of Norway?"), said("Oslo"), at="2026-11-25T10:00:04Z")
    write(kept, ask("Wrong"), plain({"error": {"message": "no such model"}}, 404, 0.1), at="2026-11-25T10:00:03Z")
    write(kept, ask("Left", stream=True), streamed("a", "b", end="closed"), at="2026-11-25T10:00:02Z")
    broken = streamed("a", end="error", failure=Failure("ReadError", "reset by peer"))
    write(kept, ask("Broke", stream=True), broken, at="2026-11-25T10:00:01Z")
    return kept


def test_the_table(show, mixed):
    """Each recording is a row with its outcome, the newest first; the totals stand above."""
    page = show(mixed)
    assert titles(page) == ["Tell me of the sea", "What is the capital of Norway?", "Wrong", "Left", "Broke"]
    badges = page.locator(".list .badge").all_inner_texts()
    assert badges == ["200", "stop", "error 404", "left early", "connection broke"]
    kinds = [badge.get_attribute("class").split()[1] for badge in page.locator(".list .badge").all()]
    assert kinds == ["good", "good", "bad", "wait", "bad"]
    assert page.locator(".totals").inner_text().splitlines()[:3] == ["Recordings", "5", "5 requests"]
    assert page.locator(".list .spark").count() == 2, "two streams have more than one chunk"
    assert page.title() == f"{mixed.parent.name}/kept \u2013 recordings"


def test_outcomes(show, tmp_path):
    """An answer that was cut off, and a connection that never was, are told from those that ended well."""
    cut = {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "length"}]}
    write(tmp_path, ask("cut"), plain(cut), at="2026-11-25T10:00:02Z")
    none = Response(0, failure=Failure("ConnectError", "refused"))
    write(tmp_path, ask("none"), none, at="2026-11-25T10:00:01Z")
    page = show(tmp_path)
    badges = [(badge.inner_text(), badge.get_attribute("class")) for badge in page.locator(".list .badge").all()]
    assert badges == [("length", "badge wait"), ("connection broke", "badge bad")]
    page.locator(".list tbody .what a").last.click()
    page.wait_for_selector(".player")
    assert lines(shown(page)) == ["The answer holds no text.", "ConnectError: refused"]


def test_long_and_short_times(show, tmp_path):
    """Times are given in the unit that suits them, and the longest of unequal gaps is found."""
    offsets = (0.0021, 0.5, 9.0, 750.0, 9_000.0, 9_001.0)
    write(tmp_path, ask("a", stream=True), streamed(*"abcdef", offsets=offsets))
    page = show(tmp_path)
    assert [text for text in page.locator(".list td.number").all_inner_texts() if text] == ["2.1 ms", "2 h 30 min"]
    open_first(page)
    measures = page.locator(".measures div").all_inner_texts()
    assert "Longest gap\n2 h 17 min" in measures
    assert "Median gap\n8.50 s" in measures
    assert "longest gap 2 h 17 min" in page.locator(".plot text").all_text_contents()
    page.locator("[aria-label=Position]").fill("500")
    assert page.inner_text(".near") == 'Chunk 4 of 6, after 12 min 30 s: "d"'


def test_sorting(show, mixed):
    """A click on a column sorts by it, a second one the other way; what has no value stays last."""
    page = show(mixed)
    page.click("th >> text=Request")
    up = titles(page)
    assert up == sorted(up, key=str.lower)
    assert page.get_attribute("th >> nth=1", "aria-sort") == "ascending"
    page.click("th >> text=Request")
    assert titles(page) == up[::-1]
    page.click("th >> text=First")
    assert page.locator(".list th[aria-sort]").count() == 1
    assert sorted(titles(page)[:3]) == ["Broke", "Left", "Tell me of the sea"]
    page.click("th >> text=First")
    assert sorted(titles(page)[:3]) == ["Broke", "Left", "Tell me of the sea"]


def test_filtering(show, mixed):
    """By words anywhere in request and answer, by model, by kind; and nothing found is said."""
    page = show(mixed)
    page.fill("#search", "WIDE sea")
    assert titles(page) == ["Tell me of the sea"]
    page.fill("#search", "oslo")
    assert titles(page) == ["What is the capital of Norway?"]
    assert page.inner_text("#said") == "1 recording found"
    page.fill("#search", "no such")
    assert titles(page) == ["Wrong"]
    page.fill("#search", "")
    page.select_option("[aria-label='Every kind']", "errors")
    assert titles(page) == ["Wrong", "Broke"]
    page.select_option("[aria-label='Every kind']", "streams")
    page.select_option("[aria-label='Every model']", "gpt-b")
    assert titles(page) == ["Tell me of the sea"]
    page.fill("#search", "nothing of the kind")
    assert page.inner_text(".none") == "No recording matches."


def test_the_conversation(show, mixed):
    """A recording opens to its messages, its answer, its facts; the table comes back as it was left."""
    page = show(mixed)
    page.fill("#search", "sea")
    open_first(page)
    turns = [lines(text) for text in page.locator(".turn").all_inner_texts()]
    assert turns == [["system", "Be brief."], ["user", "Tell me of the sea"]]
    assert shown(page) == "The sea is wide."
    assert "gpt-b" in page.inner_text(".facts >> nth=0")
    page.click("summary >> text=Request")
    assert json.loads(page.inner_text("details pre"))["messages"][0]["content"] == "Be brief."
    page.go_back()
    assert page.input_value("#search") == "sea"
    assert titles(page) == ["Tell me of the sea"]


def test_playing(show, mixed):
    """The answer comes chunk by chunk when its time has come, at the speed that was chosen, and can be paused."""
    page = show(mixed)
    open_first(page)
    page.click(".play")
    page.clock.run_for(400)
    assert (shown(page), page.inner_text(".near")) == ("", "Nothing has arrived yet.")
    page.clock.run_for(150)
    assert shown(page) == "The"
    assert page.inner_text(".near") == 'Chunk 1 of 4, after 500 ms: "The"'
    page.clock.run_for(250)
    assert shown(page) == "The sea"
    page.click(".play")
    page.clock.run_for(5_000)
    assert shown(page) == "The sea"
    page.select_option("[aria-label=Speed]", "0.25")
    page.click(".play")
    page.clock.run_for(500)
    assert shown(page) == "The sea"
    page.clock.run_for(1_000)
    assert shown(page) == "The sea is"
    page.select_option("[aria-label=Speed]", "10")
    page.clock.run_for(100)
    assert shown(page) == "The sea is wide."
    assert page.inner_text(".play") == "▶ Play"
    assert page.inner_text(".clock") == "1.25 / 1.25 s"


def test_scrubbing(show, mixed):
    """The position is moved by the slider, by a click into the plot, and by the arrow keys."""
    page = show(mixed)
    open_first(page)
    page.locator("[aria-label=Position]").fill("480")
    assert shown(page) == "The"
    box = page.locator(".plot svg").bounding_box()
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + 60)
    assert shown(page) == "The sea"
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 60)
    assert shown(page) == "The sea", "moving alone does nothing"
    page.locator("main h1").click()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    assert shown(page) == "The sea is wide."
    for _ in range(99):
        page.keyboard.press("ArrowLeft")
    assert shown(page) == ""


def test_the_timeline(show, mixed):
    """The plot says when the first token came and which gap was the longest, for eyes and for screen readers."""
    page = show(mixed)
    open_first(page)
    described = page.get_attribute(".plot svg", "aria-label")
    assert described == "4 arrivals in 1.25 s, first token after 500 ms, longest gap 250 ms"
    texts = page.locator(".plot text").all_text_contents()
    assert "first token 500 ms" in texts
    assert "longest gap 250 ms" in texts
    assert page.locator(".plot .arrivals").get_attribute("d").count("M") == 4
    measures = page.locator(".measures div").all_inner_texts()
    assert "First token\n500 ms" in measures
    assert "Median gap\n250 ms" in measures


def test_an_answer_without_timing(show, tmp_path):
    """It can be played all the same, at a pace that says it is made up."""
    write(tmp_path / "kept", ask("a", stream=True), streamed("one", " two", offsets=()))
    page = show(tmp_path / "kept")
    assert "Arrivals" not in page.inner_text("thead"), "a column that is empty throughout is left out"
    open_first(page)
    assert "made up" in page.inner_text(".player")
    assert page.locator(".plot").count() == 0, "what is made up is not plotted"
    page.click(".play")
    page.clock.run_for(325)
    assert shown(page) == "one"
    page.clock.run_for(100)
    assert shown(page) == "one two"


def test_sounds_and_images(show, tmp_path, client, server):
    """What came is in the answer, what was sent is in the conversation; the page itself holds them."""
    picture = zlib.compress(b"\0\xff\0\0")
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    image = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in ((b"IHDR", head), (b"IDAT", picture), (b"IEND", b""))
    )
    server.replies = [Reply(headers={"content-type": "image/png"}, body=image)]
    with replay(tmp_path / "kept", mode="record", keep_uploads=True):
        sound = ("a.wav", b"RIFF\xff\0\0\0WAVEfmt ", "audio/wav")
        client.post("/pictures", cast_to=HttpxBinaryResponseContent, files={"sound": sound})
    page = show(tmp_path / "kept")
    open_first(page)
    drawn = page.locator(".player .media img")
    assert drawn.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
    assert page.locator(".turns .media audio").count() == 1


def test_choices_and_tools(show, tmp_path):
    """Several choices stand apart, calls of tools under their names, in the conversation too."""
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    choices = [{"index": index, "message": {"role": "assistant", "content": f"No {index}"}} for index in range(2)]
    choices[1]["message"]["tool_calls"] = [call]
    tools = [{"type": "function", "function": {"name": "weather", "description": "The weather of a city"}}]
    write(tmp_path / "kept", ask("a", tools=tools, n=2), plain({"object": "chat.completion", "choices": choices}))
    page = show(tmp_path / "kept")
    open_first(page)
    assert lines(shown(page)) == ["Choice 1", "No 0", "Choice 2", "No 1", "Calls weather", '{"city": "Oslo"}']
    page.click("summary >> text=1 tool")
    assert lines(page.inner_text(".tools")) == ["weather", "The weather of a city"]


def test_comparing(show, mixed):
    """Two recordings that were chosen are compared path by path; what both have is not marked."""
    page = show(mixed)
    page.check(".list input >> nth=2")
    assert page.locator("text=Compare requests").is_disabled()
    page.check(".list input >> nth=0")
    page.check(".list input >> nth=3")
    assert page.locator(".list input:checked").count() == 2, "the third takes the place of the first"
    page.click("text=Compare requests")
    page.wait_for_selector(".diff")
    rows = {row.split("\t")[0]: row.split("\t")[1:] for row in page.locator(".diff tbody tr").all_inner_texts()}
    assert rows["body.messages[0].content"] == ["Be brief.", "Left"]
    assert rows["body.messages[0].role"] == ["system", "user"]
    assert rows["body.messages[1]"][1] == "absent"
    assert rows["body.model"] == ["gpt-b", "m"]
    assert "body.stream" not in rows
    assert page.inner_text("main p") == f"The requests differ at {len(rows)} paths."
    page.click("text=Clear")
    assert page.locator("#chosen button").count() == 0


def test_comparing_what_is_nearly_equal(show, tmp_path):
    """Only the part of a long text that differs is marked, with a little around it; equal ones are said to be equal."""
    for word in ("red", "blue"):
        write(tmp_path / "kept", ask(f"{'a' * 500} {word} {'b' * 500}", seed=1.0), said(word))
    page = show(tmp_path / "kept")
    page.check(".list input >> nth=0")
    page.check(".list input >> nth=1")
    page.click("text=Compare requests")
    page.wait_for_selector(".diff")
    assert sorted(page.locator("mark").all_inner_texts()) == ["blue", "red"]
    assert max(map(len, page.locator(".diff td").all_inner_texts())) < 400
    name = page.evaluate("decodeURIComponent(location.hash).split('/').slice(1).join('/')")
    file = re.match(r".*?\.json", name)[0]
    page.evaluate(
        "file => { location.hash = `#compare/${encodeURIComponent(file)}/${encodeURIComponent(file)}` }", file
    )
    page.wait_for_selector("text=The requests are equal.")


def test_comparing_what_repeats_itself(show, tmp_path):
    """What both texts have is counted once; a query differs like the rest."""
    write(tmp_path, ask("ab ab", seed=1), said("x"), at="2026-11-25T10:00:02Z", limit="5")
    write(tmp_path, ask("ab ab ab", seed=1), said("x"), at="2026-11-25T10:00:01Z")
    page = show(tmp_path)
    page.check(".list input >> nth=0")
    page.check(".list input >> nth=1")
    page.click("text=Compare requests")
    page.wait_for_selector(".diff")
    rows = [row.split("\t") for row in page.locator(".diff tbody tr").all_inner_texts()]
    assert rows == [["query.limit", '"5"', "absent"], ["body.messages[0].content", "ab ab", "ab ab ab"]]
    assert page.locator("mark").all_inner_texts() == ['"5"', "", " ab"]


def test_keys(show, mixed):
    """The whole report can be used from the keyboard."""
    page = show(mixed)
    page.keyboard.press("?")
    assert page.inner_text("dialog h2") == "Keys"
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_selector(".player")
    assert page.inner_text("main h1") == "Tell me of the sea"
    page.keyboard.press(" ")
    page.clock.run_for(600)
    assert shown(page) == "The"
    page.keyboard.press(" ")
    page.keyboard.press("c")
    page.keyboard.press("j")
    page.wait_for_selector("main h1:has-text('Norway')")
    page.keyboard.press("k")
    page.wait_for_selector("main h1:has-text('sea')")
    page.keyboard.press("j")
    page.wait_for_selector("main h1:has-text('Norway')")
    page.keyboard.press("Control+c")
    assert "One chosen" in page.inner_text("#chosen"), "the browser's own keys are left alone"
    page.keyboard.press("c")
    assert "Two recordings chosen." in page.inner_text("#chosen")
    page.keyboard.press("Escape")
    page.wait_for_selector(".list")
    assert page.locator(".list input:checked").count() == 2
    assert page.evaluate("document.activeElement.textContent") == "What is the capital of Norway?"
    page.keyboard.press("/")
    page.keyboard.type("j/?c")
    assert page.input_value("#search") == "j/?c", "whoever types is let type"


def test_light_and_dark(show, mixed):
    """It follows the system, and the button turns it."""
    page = show(mixed)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("text=Light / dark")
    dark = page.evaluate(ground)
    assert light != dark
    page.click("text=Light / dark")
    assert page.evaluate(ground) == light
    page.emulate_media(color_scheme="dark")
    page.reload()
    assert page.evaluate(ground) == dark


def test_on_a_phone(show, mixed):
    """Nothing sticks out at the side of a narrow screen."""
    page = show(mixed)
    page.set_viewport_size({"width": 360, "height": 700})
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == 360
    open_first(page)
    assert page.evaluate(width) == 360


def hostile(directory):
    """Write recordings that hold `BAD` wherever a server, a user or a file's name can put a text."""
    for number, bad in enumerate(BAD):
        tool = {"type": "function", "function": {"name": bad, "description": bad}}
        call = {"index": 0, "id": bad, "function": {"name": bad, "arguments": bad}}
        message = {"role": bad, "name": bad, "content": [{"type": "text", "text": bad}, {"type": bad, bad: bad}]}
        body = {"model": bad, "messages": [message], "tools": [tool], bad: bad, "__proto__": {"x": bad}, "n": number}
        deltas = (bad, {"reasoning_content": bad}, {"refusal": bad}, {"tool_calls": [call]})
        broke = Failure(bad, bad)
        write(directory, body, streamed(*deltas, end="error", failure=broke), at=bad)
        write(directory, {**body, "seed": 1}, said(bad, tool_calls=[call]), at=bad)
        write(directory, {**body, "seed": 2}, plain({"error": {"message": bad}}, 400), path=f"/p{number}", at=bad)
        write(directory, {"input": bad, "model": bad, "n": number}, Response(500, text=bad), path="/embeddings", at=bad)
        torn = directory / f"{number:032x}.json"
        torn.write_text(json.dumps({"inferencereplay": bad}), encoding="utf-8")


def test_what_is_recorded_stays_text(show, tmp_path):
    """Nothing in a prompt, an answer or a name becomes markup or script, on any page; all of it can be read."""
    kept = tmp_path / "<img src=x onerror='pwned = 1'>"
    kept.mkdir()
    hostile(kept)
    page = show(kept)
    ours = page.evaluate("[...new Set([...document.querySelectorAll('*')].map(e => e.localName))]")
    page.locator("details.notice summary").first.click()
    links = page.locator(".list .what a")
    assert links.count() == 4 * len(BAD)
    files = [link.get_attribute("href") for link in links.all()]
    assert all(re.fullmatch(r"#recording/[\w.%~-]+", file) for file in files)
    seen = ""
    for file in files:
        go(page, file)
        page.wait_for_selector(".player")
        page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")
        seen += page.inner_text("main")
        page.click(".play")
        page.clock.run_for(3_000)
        ours += page.evaluate("[...document.querySelectorAll('main *')].map(e => e.localName)")
        assert page.evaluate(
            "[...document.querySelectorAll('*')].every(e => [...e.attributes].every(a => !/^on/.test(a.name)))"
        )
    for bad in BAD:
        assert bad.replace("\u2028\u2029", "\\u2028\\u2029") in seen  # these would be seen as ends of lines
    first, second = (file.removeprefix("#recording/") for file in files[:2])
    go(page, f"#compare/{first}/{second}")
    page.wait_for_selector(".diff")
    assert not {"img", "iframe", "object", "embed", "base", "form", "frame"} & set(ours)
    assert page.locator("script").count() == 2
    assert page.evaluate("typeof pwned === 'undefined' && ({}).x === undefined")


UNSEEN = "\x07\x1b\x7f\x9b\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that nobody sees, and those that make a browser show letters in another order than they have."""


def test_what_reorders_letters_is_shown(show, tmp_path):
    """No title, name, message, answer, tooltip or difference reads otherwise than it is written; other letters stay."""
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in UNSEEN)
    letters, written = f"پاسخ {UNSEEN}txt.exe", f"پاسخ {escaped}txt.exe"
    kept = tmp_path / f"kept{UNSEEN}"
    tools = [{"type": "function", "function": {"name": letters, "description": letters}}]
    for seed in ("1", letters):
        body = ask(letters, stream=True, tools=tools, seed=seed)
        write(kept, {**body, "model": letters}, streamed(letters, "x"))
    page = show(kept)
    assert titles(page) == [written, written]
    assert page.locator(".list .model").last.get_attribute("title") == written
    pages = [page.inner_text("body"), page.title()]
    page.select_option("[aria-label='Every model']", letters)
    page.check(".list input >> nth=0")
    page.check(".list input >> nth=1")
    open_first(page)
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")
    page.locator("[aria-label=Position]").fill("700")
    assert shown(page) == written
    assert page.inner_text(".near").endswith(f'"{written}"')
    pages.append(page.inner_text("body"))
    page.click("text=Compare requests")
    page.wait_for_selector(".diff")
    pages.append(page.inner_text("body"))
    assert all(escaped in text for text in pages)
    assert not set(UNSEEN) & set("".join(pages))


def test_files_of_any_name(show, tmp_path):
    """llama-stack's may be called as they like; the page opens and compares each of them."""
    hostile_names = ["<img src=x onerror='pwned = 1'>.json", "a%2Fb #?&'\"\\.json", "\u202egpj.json", "__proto__.json"]
    for number, name in enumerate(hostile_names):
        given = json.loads((LLAMA_STACK / "hist-0806aef47037~ec433c7d.json").read_text(encoding="utf-8"))
        given["request"]["body"]["seed"] = number
        (tmp_path / "theirs").mkdir(exist_ok=True)
        (tmp_path / "theirs" / name).write_text(json.dumps(given), encoding="utf-8")
    page = show(tmp_path / "theirs")
    assert len(titles(page)) == len(hostile_names)
    files = [link.get_attribute("href") for link in page.locator(".list .what a").all()]
    for file in files:
        go(page, file)
        page.wait_for_selector(".player")
        assert "Calls get_weather" in shown(page)
        page.click(".play")
        page.clock.run_for(100)
    go(page, "#compare/{}/{}".format(*(file.removeprefix("#recording/") for file in files[:2])))
    page.wait_for_selector("text=The requests differ at 1 path.")
    assert page.evaluate("typeof pwned === 'undefined' && !document.querySelector('img')")


def test_the_policy_is_a_second_fence(chromium, tmp_path):
    """Were some markup to get in all the same, the browser would neither run it nor load anything for it."""
    write(tmp_path / "kept", ask("a"), said("x"))
    written = write_report(tmp_path / "kept", tmp_path / "report.html")
    page = chromium.new_page()
    blocked = []
    page.on("console", lambda message: blocked.append(message.text))
    page.goto(written.file.as_uri())
    page.evaluate(
        """() => {
            const box = document.createElement("div");
            box.innerHTML = "<img src='data:,' onerror='pwned = 1'><b style='color: red'>x</b>";
            const script = document.createElement("script");
            script.textContent = "pwned = 1";
            document.body.append(box, script);
        }"""
    )
    page.wait_for_timeout(50)
    assert page.evaluate("typeof pwned") == "undefined"
    assert sum("Content Security Policy" in text for text in blocked) >= 3
    page.close()


def test_a_thousand_recordings(show, tmp_path):
    """They are listed, filtered and opened; more than fit on one page of the table are a button away."""
    for number in range(1_050):
        write(tmp_path / "kept", ask(f"Question {number}", stream=True), streamed("an", "answer"))
    page = show(tmp_path / "kept")
    assert page.locator(".list tbody tr").count() == 1_000
    page.click("text=Show 50 more rows")
    assert page.locator(".list tbody tr").count() == 1_050
    assert len(set(titles(page))) == 1_050
    page.locator(".list tbody .what a").nth(1_040).click()
    page.wait_for_selector(".player")
    title = page.inner_text("main h1")
    page.go_back()
    page.wait_for_selector(".list")
    assert page.evaluate("document.activeElement.textContent") == title, "the table comes back as it was left"
    page.click("th >> text=Request")
    assert page.locator(".list tbody tr").count() == 1_050
    page.fill("#search", "question")
    assert page.locator(".list tbody tr").count() == 1_000, "a new filter begins at the top"
    page.fill("#search", "question 1049")
    assert titles(page) == ["Question 1049"]
    open_first(page)
    assert shown(page) == "ananswer"


def test_what_is_left_out(show, tmp_path, monkeypatch):
    """A conversation that there was no room for is told on its page, and in a comparison, and above the table."""
    monkeypatch.setattr(budget, "LARGEST", 1_500)
    write(tmp_path / "kept", ask("short"), said("x"), at="2026-11-25T10:00:02Z")
    write(tmp_path / "kept", ask("long " * 500), said("x"), at="2026-11-25T10:00:01Z")
    page = show(tmp_path / "kept")
    assert page.inner_text(".notice summary").startswith("Listed without the conversation, because")
    page.check(".list input >> nth=0")
    page.check(".list input >> nth=1")
    page.click("text=Compare requests")
    page.wait_for_selector(".sides")
    assert "is left out" in page.inner_text("main p")
    page.click(".sides a >> nth=1")
    page.wait_for_selector(".player")
    assert "inferencereplay show chat/completions/" in page.inner_text("main .notice")


def test_odd_timing_and_kinds(show, tmp_path):
    """Chunks that all came at once, 150,000 of them, and parts named like members of JavaScript's objects are shown."""
    kept = tmp_path / "kept"
    write(
        kept, ask("many", stream=True), streamed(*[{}] * 150_000, offsets=(0.0,) * 150_000), at="2026-11-25T10:00:02Z"
    )
    write(kept, ask("odd"), said("x", content=[{"type": "constructor", "a": 1}]), at="2026-11-25T10:00:01Z")
    page = show(kept)
    open_first(page)
    assert "Longest gap\n0.0 ms" in page.locator(".measures div").all_inner_texts()
    assert page.input_value("[aria-label=Position]") == "1000"
    page.keyboard.press("j")
    page.wait_for_selector("main h1:has-text('odd')")
    assert shown(page) == '{"a": 1}'


def test_comparing_what_differs_everywhere(show, tmp_path):
    """The first thousand differences are shown, and their number is told."""
    for start in (0, 1):
        write(tmp_path / "kept", ask("a", x=[start] * 150_000), said("x"))
    page = show(tmp_path / "kept")
    page.check(".list input >> nth=0")
    page.check(".list input >> nth=1")
    page.click("text=Compare requests")
    page.wait_for_selector(".diff")
    assert page.locator(".diff tbody tr").count() == 1_000
    assert page.inner_text("main p") == "The requests differ at 150,000 paths. The first 1,000 of them are shown."


def test_an_address_of_nothing(show, mixed):
    """An address that leads nowhere shows the table."""
    page = show(mixed)
    for address in ("#recording/none.json", "#compare/a", "#%E0%A4%A", "#__proto__/constructor"):
        go(page, address)
        page.wait_for_selector(".list")
        assert len(titles(page)) == 5
