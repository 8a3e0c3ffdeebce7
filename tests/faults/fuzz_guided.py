"""The fuzzer of recordings guided by coverage; `nox -s fuzz` runs it, with arguments for libFuzzer.

What it is given are the bytes of a file. Each is replayed as in `fuzz.py`, with the same guard and the same judgement;
the good files are what it begins with.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["inferencereplay"]):
    from fuzz import Fuzzer, client_of


def main() -> None:
    """Fuzz until a file fails, or for as long as libFuzzer's arguments say."""
    with tempfile.TemporaryDirectory() as folder, client_of("http://127.0.0.1:9/v1") as client:
        fuzzer = Fuzzer(Path(folder, "replayed"))
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, case in enumerate(fuzzer.cases):
            (corpus / str(number)).write_bytes(bytes([number]) + case.data)

        def one(data: bytes) -> None:
            if not data:
                return
            case = fuzzer.cases[data[0] % len(fuzzer.cases)]
            fuzzer.replay(case._replace(data=data[1:]), client, "guided")
            if fuzzer.faults:
                raise AssertionError(fuzzer.faults)

        atheris.Setup([*sys.argv, "-max_len=65536", str(corpus)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
