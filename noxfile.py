"""The tests on several generations of the SDK, the frameworks that stand on it, comparisons, and a fuzzer.

`nox` runs all generations, `nox -s "sdk(3)"` one; `nox -s frameworks` runs all frameworks, each with the newest
versions that it takes, `nox -s "frameworks(langchain-openai)"` one; `nox -s compare` measures this package beside
others, `nox -s compare -- --quick` with less.
"""

from pathlib import Path

import nox

nox.options.sessions = ["sdk"]
GENERATIONS = {
    "3": ["openai>=3,<4"],
    "2.54": ["openai==2.54.*"],
    "1.109": ["openai==1.109.*"],
    "1.40": ["openai==1.40.*", "httpx<0.28"],  # it passes `proxies=`, which httpx 0.28 dropped
}


@nox.session
@nox.parametrize("generation", [nox.param(name, id=name) for name in GENERATIONS])
def sdk(session: nox.Session, generation: str) -> None:
    """Run the whole suite on one generation."""
    session.install("-e", ".[test]", *GENERATIONS[generation])
    session.run("python", "-m", "pytest", "-q", *session.posargs)


@nox.session
def compare(session: nox.Session) -> None:
    """Measure side by side with others, and write the plot of the README."""
    session.install("-e", ".", "-r", "benchmarks/requirements-compare.txt")
    session.run("python", "benchmarks/compare.py", "--plot", "docs/comparison.svg", *session.posargs)
    session.run("python", "benchmarks/recording.py", *session.posargs)
    session.run("python", "benchmarks/fidelity.py", *session.posargs)


@nox.session(python="3.11")
def fuzz(session: nox.Session) -> None:
    """Fuzz the readers of recordings, guided by coverage: `nox -s fuzz -- -max_total_time=600`, or without an end."""
    session.install("-e", ".[test]", "atheris")
    session.run("python", "-W", "ignore", "tests/faults/fuzz_guided.py", *session.posargs)


FRAMEWORKS = {
    script.stem.removeprefix("with_").replace("_", "-"): script
    for script in sorted(Path("tests/frameworks").glob("with_*.py"))
}
"""The script of each framework; at its head it says what it needs, as PEP 723 has it."""


@nox.session
@nox.parametrize("framework", [nox.param(name, id=name) for name in FRAMEWORKS])
def frameworks(session: nox.Session, framework: str) -> None:
    """Record and replay what one framework can do; `-- --save` keeps the result for the README's table."""
    script = FRAMEWORKS[framework]
    session.install("-e", ".", *nox.project.load_toml(script)["dependencies"])
    session.run("python", str(script), *session.posargs)
