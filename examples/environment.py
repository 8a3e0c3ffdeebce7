"""Let the environment decide whether a program runs live, records or replays.

    python environment.py                                            # live: wrap() leaves the client untouched
    INFERENCEREPLAY_MODE=record-if-missing python environment.py     # live only where ./recordings has no answer
    INFERENCEREPLAY_MODE=replay python environment.py                # offline; a missing recording is an error

The first two need `OPENAI_API_KEY`, or `OPENAI_BASE_URL` with a server that accepts any key.
"""

from __future__ import annotations

import os

from openai import OpenAI

from inferencereplay import wrap

client = wrap(OpenAI(api_key=os.environ.get("OPENAI_API_KEY", "none")))  # the only line that changes

answer = client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "Why is the sky blue? One sentence."}],
)
print(answer.choices[0].message.content)
