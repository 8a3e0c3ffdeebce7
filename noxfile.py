"""The tests on several generations of the SDK, the frameworks that stand on it, comparisons, and a fuzzer.

`nox` runs all generations, `nox -s "sdk(3)"` one; `nox -s faults` injects faults at full length; `nox -s frameworks`
runs all frameworks, each with the newest versions that it takes, and some on an older SDK;
`nox -s "frameworks(langchain-openai)"` one; `nox -s clients` runs clients of the server, in other languages and load
tools among them; `nox -s stores` runs the tests of object stores against an emulator of Azure;
`nox -s compare` measures this package beside others, `nox -s compare -- --quick` with less.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nox

if TYPE_CHECKING:
    from collections.abc import Iterator

nox.options.sessions = ["sdk"]
GENERATIONS = {
    "3": ["openai>=3,<4"],
    "2.54": ["openai==2.54.*"],
    "1.109": ["openai==1.109.*"],
    # It passes `proxies=`, which httpx 0.28 dropped, and reads embeddings in base64 with numpy only.
    "1.40": ["openai==1.40.*", "httpx<0.28", "numpy"],
}


@nox.session
@nox.parametrize("generation", [nox.param(name, id=name) for name in GENERATIONS])
def sdk(session: nox.Session, generation: str) -> None:
    """Run the whole suite on one generation."""
    session.install("-e", ".[test]", *GENERATIONS[generation])
    session.run("python", "-m", "pytest", "-q", "-n", "2", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Run what takes long, with injected faults at full length: hours, if need be."""
    session.install("-e", ".[test]")
    command = ("python", "-m", "pytest", "-rP", "tests/faults", *session.posargs)
    session.run(*command, env={"FAULTS_LENGTH": "full"})


@nox.session
def compare(session: nox.Session) -> None:
    """Measure side by side with others, and write the plot of the README."""
    session.install("-e", ".", "-r", "benchmarks/requirements-compare.txt")
    session.run("python", "benchmarks/compare.py", "--plot", "docs/comparison.svg", *session.posargs)
    session.run("python", "benchmarks/recording.py", *session.posargs)
    session.run("python", "benchmarks/fidelity.py", *session.posargs)


@nox.session
@nox.parametrize("framework", ["langchain-openai", "litellm", "instructor", "openai-agents", "pydantic-ai"])
def framework_costs(session: nox.Session, framework: str) -> None:
    """Measure what a replayed call costs beside what the framework itself does."""
    session.install("-e", ".", framework)
    session.run("python", "-W", "ignore", "benchmarks/frameworks.py", *session.posargs)


@nox.session(python="3.11")
def fuzz(session: nox.Session) -> None:
    """Fuzz the readers of recordings, guided by coverage: `nox -s fuzz -- -max_total_time=600`, or without an end."""
    session.install("-e", ".[test]", "atheris")
    session.run("python", "-W", "ignore", "tests/faults/fuzz_guided.py", *session.posargs)


def _frameworks() -> Iterator[Any]:
    """Yield the runs of each script; at its head it says what it needs, and on which older SDKs it runs as well."""
    for script in sorted(Path("tests/frameworks").glob("with_*.py")):
        name = script.stem.removeprefix("with_").replace("_", "-")
        told = nox.project.load_toml(script)
        yield nox.param(script, told["dependencies"], [], id=name)
        for openai in told.get("tool", {}).get("frameworks", {}).get("openai", ()):
            older = f"{name}-on-openai-{openai}"
            yield nox.param(script, [*told["dependencies"], f"openai=={openai}.*"], ["--name", older], id=older)


@nox.session
@nox.parametrize(["script", "needs", "options"], list(_frameworks()))
def frameworks(session: nox.Session, script: Path, needs: list[str], options: list[str]) -> None:
    """Record and replay what one framework can do; `-- --save` keeps the result for docs/frameworks.md."""
    session.install("-e", ".", *needs)
    session.run("python", str(script), *options, *session.posargs)


def _clients() -> Iterator[Any]:
    """Yield each script with what it needs, as it says at its head."""
    for script in sorted(Path("tests/clients").glob("with_*.py")):
        name = script.stem.removeprefix("with_").replace("_", "-")
        yield nox.param(script, nox.project.load_toml(script)["dependencies"], id=name)


@nox.session
@nox.parametrize(["script", "needs"], list(_clients()))
def clients(session: nox.Session, script: Path, needs: list[str]) -> None:
    """Run a client at a server, at `inferencereplay serve` while it records, and offline at the recordings."""
    session.install("-e", ".[serve]", *needs)
    session.run("python", str(script))


@nox.session
@nox.parametrize("script", [nox.param(Path("tests/object_stores/with_azurite.py"), id="azurite")])
def stores(session: nox.Session, script: Path) -> None:
    """Run the tests of object stores against one that is no Python package."""
    session.install("-e", ".[test]", *nox.project.load_toml(script)["dependencies"])
    session.run("python", str(script))
