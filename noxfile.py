"""The tests on several generations of the SDK: `nox` runs all of them, `nox -s "sdk(3)"` one."""

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


@nox.session(python="3.11")
def fuzz(session: nox.Session) -> None:
    """Fuzz the readers of recordings, guided by coverage: `nox -s fuzz -- -max_total_time=600`, or without an end."""
    session.install("-e", ".[test]", "atheris")
    session.run("python", "-W", "ignore", "tests/faults/fuzz_guided.py", *session.posargs)
