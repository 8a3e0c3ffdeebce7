"""`run`: programs recorded and replayed without a change to their code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from forkserver import forkserver

import inferencereplay
from inferencereplay import replay
from inferencereplay.cli.running import STARTUP, prepare

PACKAGE = str(Path(inferencereplay.__file__).parents[1])
APP = """
    import sys
    from openai import OpenAI

    def main():
        client = OpenAI()
        for text in sys.argv[1:]:
            made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
            print(made.choices[0].message.content)

    if __name__ == "__main__":
        main()
"""
TEST = """
    import sys, app

    def test_app(monkeypatch):
        monkeypatch.setattr(sys, "argv", ["", "Hello"])
        app.main()
"""
MANY = """
    import multiprocessing, sys, app

    if __name__ == "__main__":
        sys.argv[1:] = ["Hello"]
        process = multiprocessing.get_context("spawn").Process(target=app.main)
        process.start()
        process.join()
"""


@pytest.fixture
def project(tmp_path):
    """Make a project with a program that knows nothing of recordings."""
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    return tmp_path


@pytest.fixture
def run(project, server):
    """Run a command by way of ours, online while recording and with nowhere to go in replay."""

    def run(mode, *command, options=(), online=None, **environment):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "INFERENCE"))}
        if mode != "replay" if online is None else online:
            kept |= {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-test-0123456789abcdef"}
        given = [sys.executable, "-m", "inferencereplay", "run", "--mode", mode, *map(str, options), "--", *command]
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (PACKAGE, environment.pop("PYTHONPATH", ""))))
        return subprocess.run(
            given, cwd=project, env={**kept, **environment}, capture_output=True, text=True, check=False, timeout=120
        )

    return run


@pytest.fixture
def begun(project, server):
    """Run a program as it runs under `run` once the SDK is imported, which is where `run` has it begin."""

    def begun(mode, code, *arguments, used=None):
        kept = prepare({}, directory=project / "recordings", settings={"mode": mode}, used=used)
        if mode != "replay":
            kept |= {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-test-0123456789abcdef"}
        begin = "from inferencereplay.startup import sitecustomize\nsitecustomize.begin()\n"
        return forkserver().run(begin + textwrap.dedent(code), *arguments, cwd=project, **kept)

    return begun


@pytest.fixture
def recorded(project, client):
    """Record what the program asks if it is called with `Hello` and `Bye`."""
    with replay(project / "recordings", mode="record"):
        for text in ("Hello", "Bye"):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])


def test_a_program_is_recorded_and_then_replayed_offline(run, project, server):
    """With no change to its code, no key and no network."""
    recorded = run("record", sys.executable, "app.py", "Hello", "Hello", "Bye")
    assert (recorded.returncode, recorded.stdout) == (0, "answer 1\nanswer 2\nanswer 3\n")
    assert len(list((project / "recordings").rglob("*.json"))) == 3
    replayed = run("replay", sys.executable, "app.py", "Hello", "Hello", "Bye")
    assert (replayed.returncode, replayed.stdout, replayed.stderr) == (0, recorded.stdout, "")
    assert server.count == 3


@pytest.mark.parametrize("mode", ["replay", pytest.param("record", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("python", "-m", "app", "Hello"), id="module"),
        pytest.param(("python", "-c", "import sys, app; sys.argv[1:] = ['Hello']; app.main()"), id="-c"),
        pytest.param(("./bin/app", "Hello"), id="console script"),
        pytest.param(
            ("python", "-c", "import subprocess, sys; sys.exit(subprocess.call([sys.executable, 'app.py', 'Hello']))"),
            id="child",
        ),
        pytest.param(("sh", "-c", 'cd / && "$0" "$1" Hello', "python", "APP"), id="another working directory"),
        pytest.param(("python", "many.py"), id="multiprocessing"),
        pytest.param(("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-s", "test_app.py"), id="pytest"),
    ],
)
def test_every_way_to_start_a_program(run, project, server, recorded, command, mode):
    """Modules, code, console scripts, children and pytest are covered alike."""
    script = project / "bin" / "app"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(project)!r})\nimport app\napp.main()\n")
    script.chmod(0o755)
    (project / "test_app.py").write_text(textwrap.dedent(TEST))
    (project / "many.py").write_text(textwrap.dedent(MANY))
    made = [{"python": sys.executable, "APP": str(project / "app.py")}.get(part, part) for part in command]
    assert f"answer {1 if mode == 'replay' else 3}" in run(mode, *made).stdout
    assert server.count == (2 if mode == "replay" else 3)
    assert len(list((project / "recordings").rglob("*.json"))) == 2


def test_the_exit_status_is_the_commands(run):
    """Whatever it is."""
    assert run("replay", sys.executable, "-c", "raise SystemExit(7)").returncode == 7
    missing = run("replay", "no-such-command")
    assert missing.returncode == 2
    assert "no-such-command: No such file or directory" in missing.stderr
    assert run("nonsense", "true").returncode == 2


def test_signals_reach_the_command(project):
    """For it takes the place of ours."""
    handler = "signal.signal(signal.SIGTERM, lambda *_: exit(9))"
    code = f"import signal, time; {handler}; print('up', flush=True); time.sleep(60)"
    command = [sys.executable, "-m", "inferencereplay", "run", "--", sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 9


def test_signals_that_python_ignores_are_not_ignored_by_the_command(run):
    """A shell's pipes end as they do without us, and so do files that grow too large."""
    assert run("replay", "sh", "-c", "yes | head -1").stderr == ""
    assert run("replay", "sh", "-c", "kill -PIPE $$; kill -XFSZ $$; echo ignored").stdout == ""


def test_a_miss_ends_the_program(run):
    """The error reaches it, says what to run, and is told once."""
    done = run("replay", sys.executable, "app.py", "Hello")
    assert done.returncode == 1
    assert "RecordingNotFound: POST /chat/completions was not recorded" in done.stderr
    assert "inferencereplay run --mode record-if-missing --dir " in done.stderr
    assert "and the program went on" not in done.stderr


def test_a_swallowed_miss_is_told_at_the_end(begun):
    """The program's own status stays."""
    code = """
        import app, sys
        for text in ("a", "b"):
            sys.argv[1:] = [text]
            try:
                app.main()
            except Exception:
                print("swallowed")
    """
    done = begun("replay", code)
    assert (done.returncode, done.stdout) == (0, "swallowed\nswallowed\n")
    assert "inferencereplay: 2 calls were not recorded, and the program went on. The first:\nPOST /chat" in done.stderr


def test_the_names_of_used_recordings_are_noted(run, begun, recorded, project, cli):
    """By every process, so that `prune` knows what can go; where that fails, it is told once."""
    run("replay", sys.executable, "app.py", "Hello", options=("--used", "used.txt"))
    for text in ("Hello", "Bye"):
        begun("replay", "import app; app.main()", text, used=project / "used.txt")
    names = (project / "used.txt").read_text().splitlines()
    assert len(names) == 3
    assert len(set(names)) == 2
    kept = cli("prune", project / "recordings", "--unused-since", project / "used.txt")
    assert (kept.status, kept.out) == (0, "")
    lost = begun("replay", "import app; app.main()", "Bye", "Hello", used=project / "no/such/used.txt")
    assert lost.returncode == 0
    assert lost.stderr.count("the used recordings were not noted") == 1


@pytest.mark.parametrize(
    "ending",
    ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "fork()"],
)
def test_they_are_noted_however_a_process_ends(begun, recorded, project, ending):
    """By a signal, or without Python's own end, as forked children of multiprocessing do."""
    code = f"""
        import app, multiprocessing, os, signal, sys

        def fork():
            sys.argv[1:] = ["Bye", "Bye"]
            process = multiprocessing.get_context("fork").Process(target=app.main)
            process.start()
            process.join()

        sys.argv[1:] = ["Hello"]
        app.main()
        sys.stdout.flush()
        {ending}
    """
    begun("replay", code, used=project / "used.txt")
    assert len((project / "used.txt").read_text().splitlines()) == (2 if ending == "fork()" else 1)


def test_wrapped_clients_and_open_blocks_go_before(begun, project):
    """What the program itself says of recordings holds."""
    code = """
        from openai import OpenAI
        from inferencereplay import replay, wrap

        ask = dict(model="m", messages=[{"role": "user", "content": "Hello"}])
        own = wrap(OpenAI(api_key="x"), "own", mode="record-if-missing")
        print(own.chat.completions.create(**ask).choices[0].message.content)
        with replay("block", mode="record-if-missing"):
            print(OpenAI().chat.completions.create(**ask).choices[0].message.content)
        print(OpenAI().chat.completions.create(**ask).choices[0].message.content)
    """
    assert begun("record", code).stdout == "answer 1\nanswer 2\nanswer 3\n"
    for name in ("own", "block", "recordings"):
        assert len(list((project / name).rglob("*.json"))) == 1
    assert begun("replay", code.replace("OpenAI()", "OpenAI(api_key='x')")).stdout == "answer 1\nanswer 2\nanswer 3\n"


def test_live_changes_nothing(begun, project, server):
    """Calls go to the network, and nothing is stored."""
    assert begun("live", "import app; app.main()", "Hello").stdout == "answer 1\n"
    assert begun("live", "import app; app.main()", "Hello").stdout == "answer 2\n"
    assert not (project / "recordings").exists()


def test_another_sitecustomize_is_imported_as_well(run, project):
    """As if ours were not there; nor is its failure hidden."""
    (project / "site").mkdir()
    (project / "site" / "sitecustomize.py").write_text("import builtins; builtins.customized = True")
    code = "import sitecustomize, openai; print(customized, sitecustomize.__file__)"
    done = run("replay", sys.executable, "-c", code, PYTHONPATH=str(project / "site"))
    assert done.stdout == f"True {project / 'site' / 'sitecustomize.py'}\n"


def test_programs_without_openai_pay_nearly_nothing(run):
    """Nothing of the package is imported until the SDK is."""
    ours = "('inferencereplay', 'wrapt', 'msgspec', 'openai')"
    code = f"import sys, json; print([name for name in sys.modules if name.split('.')[0] in {ours}])"
    assert run("replay", sys.executable, "-c", code).stdout == "[]\n"


def test_a_python_without_the_package_refuses_to_call(run, project):
    """Rather than let its calls reach the network unrecorded."""
    (project / "openai.py").write_text("")
    code = "import sys; sys.modules['inferencereplay'] = None\nimport openai"
    done = run("replay", sys.executable, "-c", code)
    assert done.returncode == 1
    assert f"{sys.executable} cannot import inferencereplay, and calls would reach the network" in done.stderr
    twice = "for _ in 1, 2:\n  try:\n    import openai\n  except RuntimeError:\n    print('no')"
    again = run("replay", sys.executable, "-c", code.replace("import openai", twice))
    assert again.stdout == "no\nno\n"


def test_a_command_that_cannot_be_started(cli):
    """Is named."""
    done = cli("run", "--", "no-such-command")
    assert (done.status, done.err.splitlines()[-1]) == (2, "Error: no-such-command: No such file or directory")
    script = cli("run", "app.py", "a b").err.splitlines()[-1]
    assert script.endswith("No such file or directory. Run it with Python: inferencereplay run -- python app.py 'a b'")
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN, "a pipe that breaks would end this process"


def test_run_replaces_the_process_with_the_prepared_one(cli, monkeypatch, tmp_path):
    """What is handed to the system: the command as it is, and the environment."""
    handed = []
    monkeypatch.setattr(os, "execvpe", lambda *given: handed.append(given))
    monkeypatch.setenv("INFERENCEREPLAY_SPEED", "2")
    assert cli("run", "--dir", tmp_path, "--used", tmp_path / "used", "--", "pytest", "-q", "--help").status == 0
    ((file, command, environment),) = handed
    assert (file, command) == ("pytest", ("pytest", "-q", "--help"))
    assert environment["INFERENCEREPLAY_MODE"] == "replay"
    assert environment["INFERENCEREPLAY_DIR"] == str(tmp_path)
    assert environment["INFERENCEREPLAY_SPEED"] == "2"
    assert environment["INFERENCEREPLAY_USED"] == str(tmp_path / "used")
    assert cli("run", "pytest", "-q").status == 0
    assert handed[1][1] == ("pytest", "-q")
    assert cli("run").status == 2


def test_relative_places_are_those_of_run(cli, monkeypatch, tmp_path):
    """Whatever working directory the program, or a child of it, changes to."""
    handed = []
    monkeypatch.setattr(os, "execvpe", lambda *given: handed.append(given))
    monkeypatch.chdir(tmp_path)
    cli("run", "--dir", "kept", "--used", "used.txt", "--", "true")
    environment = handed[0][2]
    assert environment["INFERENCEREPLAY_DIR"] == str(tmp_path / "kept")
    assert environment["INFERENCEREPLAY_USED"] == str(tmp_path / "used.txt")


def test_our_folder_leads_the_path_once(tmp_path):
    """Also for a run within a run."""
    once = prepare({"PYTHONPATH": "/a:/b"}, directory=tmp_path, settings={"mode": "record"}, used=None)
    assert once["PYTHONPATH"] == f"{STARTUP}:/a:/b"
    assert once["INFERENCEREPLAY_MODE"] == "record"
    assert prepare(once, directory=tmp_path, settings={}, used=None)["PYTHONPATH"] == once["PYTHONPATH"]
    for given in ({}, {"PYTHONPATH": ""}):
        assert prepare(given, directory=tmp_path, settings={}, used=None)["PYTHONPATH"] == str(STARTUP)


def test_the_working_directory_stays_on_the_path(run, project):
    """Where an empty part of PYTHONPATH puts it there."""
    (project / "inner").mkdir()
    (project / "beside.py").write_text("print('found')")
    (project / "inner" / "program.py").write_text("import beside")
    assert run("replay", sys.executable, "inner/program.py", PYTHONPATH="/nowhere:").stdout == "found\n"


def test_pytest_keeps_its_own_directory_unless_one_is_named(run, project):
    """Tests with a marker record beside their file, and others into the default directory; `--dir` is for both."""
    (project / "tests").mkdir()
    marked = "import pytest\n" + textwrap.dedent(TEST).replace(
        "\ndef test_app", "\n@pytest.mark.inferencereplay\ndef test_marked"
    )
    plain = textwrap.dedent(TEST).replace("Hello", "Bye")
    (project / "tests" / "test_it.py").write_text(marked + plain, encoding="utf-8")
    pytest_run = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    done = run("record", *pytest_run, PYTHONPATH=str(project))
    assert done.returncode == 0, done.stdout
    folders = [project / "recordings", project / "tests" / "recordings"]
    assert [len([*folder.rglob("*.json")]) for folder in folders] == [1, 1]
    assert run("replay", *pytest_run, PYTHONPATH=str(project)).returncode == 0
    assert run("record", *pytest_run, options=("--dir", "all"), PYTHONPATH=str(project)).returncode == 0
    assert len([*(project / "all").rglob("*.json")]) == 2
    assert len([*project.rglob("*.json")]) == 4
    missed = run("replay", *pytest_run, options=("--dir", "none"), PYTHONPATH=str(project))
    hint = (
        f"inferencereplay run --dir {project / 'none'} -- pytest tests/test_it.py::test_marked --inferencereplay-mode="
    )
    assert hint in missed.stdout
