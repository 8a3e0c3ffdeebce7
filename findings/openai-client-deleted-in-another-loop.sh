#!/usr/bin/env bash
# openai 3.57.0: an AsyncOpenAI that was never closed is deleted while another event loop runs. One would expect that
# nothing happens, for its own loop is over. Its HTTP client's __del__ asks for the loop that runs *here* and starts a
# task in it, which closes connections of the other, closed loop. So a garbage collection in one asynchronous test can
# put tasks of an earlier test into its loop.
#
# Seen on Python 3.11:
#   tasks started in the other loop: 1 (aclose)
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q openai==3.57.0

cat > "$folder/show.py" <<'PYTHON'
import asyncio
import gc

import openai


async def ask():
    client = openai.AsyncOpenAI(api_key="none", base_url="http://127.0.0.1:9/v1", max_retries=0)
    try:
        await client.models.list()  # nobody listens there
    except openai.APIConnectionError:
        pass
    return client


async def collect(clients):
    before = asyncio.all_tasks()
    clients.clear()
    gc.collect()
    started = asyncio.all_tasks() - before
    names = ", ".join(task.get_coro().__name__ for task in started)
    print(f"tasks started in the other loop: {len(started)} ({names})")
    await asyncio.gather(*started, return_exceptions=True)


clients = [asyncio.run(ask())]
asyncio.run(collect(clients))
PYTHON

seen=$("$folder/venv/bin/python" "$folder/show.py")
printf '%s\n' "$seen"
[ "$seen" = "tasks started in the other loop: 1 (aclose)" ]
