"""Measure ways to replay side by side: `python benchmarks/compare.py [--quick] [--json FILE] [--plot FILE]`.

Every contender records the same calls of the same version of `openai` from one real server, with its own recorder into
its own files, and replays them after the server is gone, so that whoever goes to the network fails. Contenders take
turns within a run; medians are compared. What an answer is has to equal what the server gave without any contender.
What a contender cannot do is shown with the reason. `requirements-compare.txt` says what has to be installed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import command_line
import contenders
import openai
from contenders import CONTENDERS, NoRecordingsError
from loopback import serving
from measuring import measure
from reporting import REFERENCE, Cell, as_table, draw
from scenes import EMBEDDINGS, LARGE, SMALL, STREAM, numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COPIES = 120
"""Calls that one turn makes at most; recordings that answer once are there so often."""
ONCE = 100
"""Requests that are each made once."""
SESSION = 20
"""Calls of a session, as many as some tests make together."""
MISSING = 99_999_999
"""The number of a request that is in no directory."""
STREAMS = {"few": "bytes-1000-10000", "many": "bytes-40000-250"}
"""Two streams of 10 MB, in few and in many chunks."""


class Scene(NamedTuple):
    """Something that is called.

    Attributes:
        warm: calls at the beginning of a turn that are not measured.
        rounds: of a full run.
        quick: rounds of a quick one.
    """

    name: str
    what: str
    make: Callable[[Any], Callable[[], Any]]
    warm: int
    rounds: int
    quick: int


def chat(**arguments: Any) -> Callable[[Any], Callable[[], Any]]:
    """Return what makes, of a client, a call of `create` that reads a stream to its end."""

    def make(client: Any) -> Callable[[], Any]:
        create = client.chat.completions.create
        return (lambda: list(create(**arguments))) if "stream" in arguments else (lambda: create(**arguments))

    return make


def embed(client: Any) -> Callable[[], Any]:
    return lambda: client.embeddings.create(**EMBEDDINGS)


def langchain(method: str) -> Callable[[Any], Callable[[], Any]]:
    """Return what makes a call of LangChain's, over a client's own connection."""

    def make(client: Any) -> Callable[[], Any]:
        from langchain_openai import ChatOpenAI  # noqa: PLC0415 - two seconds to import

        model = ChatOpenAI(
            model="gpt-4o",
            api_key=client.api_key,
            base_url=str(client.base_url),
            http_client=client._client,  # noqa: SLF001 - to be over the same transport
            max_retries=0,
        )
        if method == "invoke":
            return lambda: model.invoke("Say hello").content
        return lambda: [piece.content for piece in model.stream("Say hello")]

    return make


SCENES = (
    Scene("small_chat", "small chat", chat(**SMALL), 20, 60, 15),
    Scene("large_chat", "60 messages + 20 tools", chat(**LARGE), 4, 30, 6),
    Scene("stream_200", "stream of 200 chunks", chat(**STREAM), 3, 30, 6),
    Scene("stream_2000", "stream of 2,000 chunks", chat(**{**STREAM, "model": "chunks-2000"}), 1, 9, 3),
    Scene("embeddings", "embeddings of 100 inputs", embed, 3, 20, 5),
    Scene("langchain_invoke", "LangChain `invoke`", langchain("invoke"), 20, 30, 8),
    Scene("langchain_stream", "LangChain `stream`, 200 chunks", langchain("stream"), 3, 20, 5),
)


class Run:
    """Recordings of every contender, made once, and what went wrong with which."""

    def __init__(self, root: Path, url: str, *, is_quick: bool) -> None:
        self.root = root
        self.url = url
        self.is_quick = is_quick
        self.contenders = {name: make() for name, make in CONTENDERS.items()}
        self.clients = {name: contenders.client(name, url) for name in CONTENDERS}

    def directory(self, scene: str, name: str) -> Path:
        directory = self.root / scene / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def record(self, scene: str, name: str, make: Callable[[Any], Callable[[], Any]]) -> str:
        """Record a call; return why it cannot be, or nothing."""
        try:
            with self.contenders[name].recording(self.directory(scene, name)):
                make(self.clients[name])()
        except Exception as error:  # noqa: BLE001 - whatever others raise
            return f"recording: {_told(error)}"
        return ""


def _told(error: BaseException) -> str:
    """Say in one line what an exception says, with what is behind it."""
    text = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    cause = error
    while behind := cause.__cause__ or cause.__context__:
        cause = behind
    text = text if cause is error else f"{text} ({type(cause).__name__}: {cause})"
    return re.sub(r"/\S*/", "", text)[:200]  # without the temporary directory


# Calls.


def compare_calls(run: Run, live: dict[str, Any], reasons: dict[tuple[str, str], str]) -> list[Cell]:
    """Measure the scenes in which something is called."""
    cells = []
    for scene in SCENES:
        able = {}
        for name, contender in run.contenders.items():
            reason = reasons[scene.name, name] or _check(run, scene, name, live[scene.name])
            if reason:
                cells.append(Cell(scene.name, name, None, reason))
            else:
                able[name] = _Turn(run, scene, name)
                contender.repeat(run.directory(scene.name, name), COPIES)
        rounds = scene.quick if run.is_quick else scene.rounds
        medians = measure(
            {n: t.call for n, t in able.items()}, rounds, warm=scene.warm, around={n: t.taken for n, t in able.items()}
        )
        cells += [Cell(scene.name, name, micros, "") for name, micros in medians.items()]
        print(f"{scene.what}: {medians}", file=sys.stderr)
    return cells


class _Turn:
    """A contender's turn: its context, and the call within."""

    def __init__(self, run: Run, scene: Scene, name: str) -> None:
        self._replaying = run.contenders[name].replaying
        self._directory = run.directory(scene.name, name)
        self._client = run.clients[name]
        self._make = scene.make
        self._calls: list[Callable[[], Any]] = []

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        with self._replaying(self._directory):
            self._calls.append(self._make(self._client.copy()))
            try:
                yield
            finally:
                self._calls.pop()

    def call(self) -> Any:
        return self._calls[-1]()


def _check(run: Run, scene: Scene, name: str, live: Any) -> str:
    turn = _Turn(run, scene, name)
    try:
        with turn.taken():
            answer = turn.call()
    except Exception as error:  # noqa: BLE001 - whatever others raise
        return _told(error)
    return "" if answer == live else "its answer is not what the server gave"


# Requests made once, opening, misses, memory: each in a process of its own.


def compare_once(run: Run, reasons: dict[str, str]) -> list[Cell]:
    """Measure calls that are each made once, in short sessions, as most tests make them."""
    names = [name for name in CONTENDERS if name not in reasons and name != REFERENCE]
    return _sampled(run, "once", "once", str(ONCE), reasons | _multiply(run, "once", names, ONCE))


def compare_opening(run: Run, counts: list[int], reasons: dict[str, str]) -> list[Cell]:
    """Measure opening what holds many recordings and the first hit in it, in the middle."""
    cells = []
    for count in counts:
        scene, names = f"open_{count}", [name for name in CONTENDERS if name not in reasons]
        failed = reasons | _multiply(run, scene, names, count)
        cells += _sampled(run, "open", scene, str(count // 2), failed)
    return cells


def _sampled(run: Run, what: str, scene: str, argument: str, failed: dict[str, str]) -> list[Cell]:
    """Let those that have not failed take turns, a process each time."""
    samples: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(3 if run.is_quick else 5):
        for name in CONTENDERS:
            if name not in failed:
                told = _child(run, what, name, scene, argument)
                if "reason" in told:
                    failed[name] = told["reason"]
                else:
                    samples[name].append(told["micros"])
    print(f"{scene}: {samples}", file=sys.stderr)
    cells = [Cell(scene, name, None, reason) for name, reason in failed.items()]
    return cells + [Cell(scene, n, statistics.median(s), "") for n, s in samples.items() if n not in failed]


def _multiply(run: Run, scene: str, names: list[str], count: int) -> dict[str, str]:
    """Make many recordings of the one of each contender; return who cannot have them, and why."""
    failed = {}
    for name in names:
        source, made = run.directory("one", name), run.directory(scene, name)
        shutil.copytree(source, made, dirs_exist_ok=True, copy_function=shutil.copyfile)
        try:
            run.contenders[name].multiply(made, count)
        except NoRecordingsError as error:
            failed[name] = str(error)
    return failed


def compare_misses(run: Run, count: int, reasons: dict[str, str]) -> list[Cell]:
    """Measure how long it takes to say that a request is not among many, and look at what is said."""
    cells = []
    for name in CONTENDERS:
        reason = reasons.get(name) or ("it answers everything" if name == "sdk" else "")
        if not reason and not (run.root / f"open_{count}" / name).exists():
            reason = "it has no directory of recordings"
        told = {"reason": reason} if reason else _child(run, "miss", name, f"open_{count}", str(MISSING))
        cells.append(Cell("miss", name, told.get("micros"), told.get("reason", ""), told.get("note", "")))
    return cells


def compare_memory(run: Run, reasons: dict[tuple[str, str], str]) -> list[Cell]:
    """Measure the most memory that reading a stream of 10 MB takes on top of what there was before."""
    cells = []
    for kind, model in STREAMS.items():
        for name in CONTENDERS:
            reason = reasons[f"memory_{kind}", name]
            told = {"reason": reason} if reason else _child(run, "memory", name, f"memory_{kind}", model)
            cells.append(Cell(f"memory_{kind}", name, told.get("bytes"), told.get("reason", "")))
    return cells


def _child(run: Run, what: str, name: str, scene: str, argument: str) -> dict[str, Any]:
    limit = 60 if run.is_quick else 600
    command = [sys.executable, __file__, "--child", what, name, str(run.directory(scene, name)), argument, run.url]
    command += ["--warm", str(run.directory("one", name))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"reason": f"not done after {limit} s"}
    if done.returncode:
        return {"reason": done.stderr.strip().rpartition("\n")[2][:160]}
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def child(what: str, name: str, directory: Path, argument: str, *, url: str, warm: Path) -> dict[str, Any]:
    """Do one thing in this process, in which the SDK has been used once."""
    contender, client = CONTENDERS[name](), contenders.client(name, url)
    with contender.replaying(warm):
        client.chat.completions.create(**numbered(SMALL, 0))
    try:
        if what == "memory":
            return {"bytes": _peak(contender, client, directory, argument)}
        if what == "once":
            return {"micros": _once(contender, client, directory, int(argument))}
        return (_open if what == "open" else _miss)(contender, client, directory, numbered(SMALL, int(argument)))
    except Exception as error:  # noqa: BLE001 - whatever others raise
        return {"reason": _told(error)}


def _once(contender: Any, client: Any, directory: Path, count: int) -> float:
    """Return the microseconds of a call, each of another request, with a new session every few calls."""
    given = [numbered(SMALL, number) for number in range(count)]
    create = client.chat.completions.create
    start = 0.0
    for number in range(0, count, SESSION):
        if number == SESSION:  # the first session has made what is made once in a process
            start = time.perf_counter()
        with contender.replaying(directory):
            for arguments in given[number : number + SESSION]:
                create(**arguments)
    return (time.perf_counter() - start) / (count - SESSION) * 1e6


def _open(contender: Any, client: Any, directory: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    start = time.perf_counter()
    with contender.replaying(directory):
        client.chat.completions.create(**arguments)
        return {"micros": (time.perf_counter() - start) * 1e6}


def _miss(contender: Any, client: Any, directory: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    samples, text = [], ""
    with contextlib.suppress(LookupError), contender.replaying(directory):  # ours tells it once more on leaving
        for _ in range(7):
            start = time.perf_counter()
            try:
                client.chat.completions.create(**arguments)
            except Exception as error:  # noqa: BLE001 - whatever others raise
                text = _whole(error)
            samples.append((time.perf_counter() - start) * 1e6)
    is_telling = str(MISSING) in text and "number 0000" in text  # what was asked for, and what there is
    note = "says what differs" if is_telling else "says that there is none"
    return {"micros": statistics.median(samples), "note": note}


def _whole(error: BaseException) -> str:
    cause = error.__cause__ or error.__context__
    return str(error) + (_whole(cause) if cause is not None else "")


def _peak(contender: Any, client: Any, directory: Path, model: str) -> int:
    """Return the bytes by which the process grew at most (Linux's VmHWM, which can be set back)."""
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", "utf-8")
    with contender.replaying(directory):
        for _ in client.chat.completions.create(**{**STREAM, "model": model}):
            pass
    return _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


# All of it.


def compare(root: Path, *, is_quick: bool) -> list[Cell]:
    """Record with the server, replay without it."""
    reasons: dict[tuple[str, str], str] = {}
    recorded = {scene.name: scene.make for scene in SCENES}
    recorded |= {f"memory_{kind}": chat(**{**STREAM, "model": model}) for kind, model in STREAMS.items()}
    recorded["one"] = chat(**numbered(SMALL, 0))
    with serving() as url:
        run = Run(root, url, is_quick=is_quick)
        plain = contenders.client("plain", url)
        live = {scene.name: scene.make(plain)() for scene in SCENES}
        for scene, make in recorded.items():
            for name in CONTENDERS:
                reasons[scene, name] = run.record(scene, name, make)
    without = {name: reason for name in CONTENDERS if (reason := reasons["one", name])}
    counts = [10, 1_000, 10_000] if is_quick else [10, 1_000, 100_000]
    cells = compare_calls(run, live, reasons)
    cells += compare_once(run, without)
    cells += compare_opening(run, counts, without)
    cells += compare_misses(run, 1_000, without)
    return cells + compare_memory(run, reasons)


def titles(cells: list[Cell]) -> dict[str, str]:
    """Return the scenes with what to call them, in order."""
    once = f"{ONCE} small chats, each once, a new session every {SESSION}"
    made = {scene.name: scene.what for scene in SCENES} | {"once": once}
    for cell in cells:
        if cell.scene.startswith("open_"):
            made[cell.scene] = f"open {int(cell.scene[5:]):,} recordings, first hit"
    made["miss"] = "a miss among 1,000 recordings"
    return made | {"memory_few": "10 MB stream, 1,000 chunks: memory", "memory_many": "the same, 40,000 chunks"}


def main() -> None:
    """Measure and print."""
    parser = command_line.parser(__doc__, "write the cells there as well")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, 10,000 recordings at most")
    parser.add_argument(
        "--plot", type=command_line.plot_file, metavar="FILE", help="draw the calls there, as SVG or PNG"
    )
    parser.add_argument(
        "--from-json",
        type=command_line.input_file,
        metavar="FILE",
        help="measure nothing, show what was measured before",
    )
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--warm", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, name, directory, argument, url = options.child
        print(json.dumps(child(what, name, Path(directory), argument, url=url, warm=options.warm)))
        return
    if lacking := command_line.missing():
        parser.error(lacking)
    if options.from_json:
        try:
            cells = [Cell(**cell) for cell in json.loads(options.from_json.read_text("utf-8"))]
        except (ValueError, TypeError) as error:
            parser.error(f"{options.from_json} was not written by --json: {error}")
    else:
        with tempfile.TemporaryDirectory() as root:
            cells = compare(Path(root), is_quick=options.quick)
    if options.json:
        options.json.write_text(json.dumps([cell._asdict() for cell in cells], indent=1, ensure_ascii=False) + "\n")
    names = {name: make() for name, make in CONTENDERS.items()}
    print(f"openai {openai.__version__}, Python {sys.version.partition(' ')[0]}\n")
    print(as_table(cells, titles(cells), names))
    if options.plot:
        draw(options.plot, cells, {scene.name: scene.what for scene in SCENES}, names)


if __name__ == "__main__":
    main()
