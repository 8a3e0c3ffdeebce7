"""The tests on several generations of the SDK, and on the frameworks that stand on it.

`nox` runs all generations, `nox -s "sdk(3)"` one; `nox -s frameworks` runs all frameworks, each with the newest
versions that it takes, `nox -s "frameworks(langchain-openai)"` one.
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
