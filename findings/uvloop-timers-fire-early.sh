#!/usr/bin/env bash
# uvloop 0.23.0: `loop.call_later(delay, …)` calls up to a millisecond and more before the delay is over. One would expect
# that a timer never fires before its time: asyncio's own loop fires a little late, and never early. uvloop rounds the
# delay to whole milliseconds, and libuv counts from the time at which the loop last looked at its clock. A program that
# paces events by these timers, without a look at the clock when they fire, sends some of them too early.
#
# Seen on Python 3.11:
#   uvloop: early by more than 0.5 ms: yes
#   asyncio: early by more than 0.5 ms: no
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q uvloop==0.23.0

cat > "$folder/show.py" <<'PYTHON'
import asyncio
import time

import uvloop


async def earliest():
    """Return by how many seconds the most premature of some timers was early; below 0 if all were late."""
    loop, early = asyncio.get_running_loop(), []
    for index in range(300):
        fired = loop.create_future()
        delay = 0.0104 + index % 10 * 0.0001
        start = time.perf_counter()
        loop.call_later(delay, lambda fired=fired: fired.set_result(time.perf_counter()))
        early.append(delay - (await fired - start))
        time.sleep(0.0003)  # a callback that works, as those of a server do
    return max(early)


for name, make in (("uvloop", uvloop.new_event_loop), ("asyncio", asyncio.new_event_loop)):
    loop = make()
    early = loop.run_until_complete(earliest())
    loop.close()
    print(f"{name}: early by more than 0.5 ms: {'yes' if early > 0.0005 else 'no'}")
PYTHON

"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/out"
diff "$folder/out" - <<'EXPECTED'
uvloop: early by more than 0.5 ms: yes
asyncio: early by more than 0.5 ms: no
EXPECTED
