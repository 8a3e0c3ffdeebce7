"""Assemble the HTML file of its parts and the data.

The page's policy allows this script and this style sheet, by their hashes, the images and sounds that the page itself
holds, and nothing else: no other script, no request, no form. It is the second protection; the first is that the script
makes text of the data.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferencereplay.recording.request import JSON

SCRIPTS = ("dom", "outcome", "table", "timeline", "player", "recording", "compare", "main")
_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}


def assemble(data: JSON) -> bytes:
    """Return the page, as UTF-8, with `data` in it."""
    style = _part("style.css")
    script = '"use strict";\n(() => {\n' + "\n".join(_part(f"{name}.js") for name in SCRIPTS) + "})();\n"
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data:",
            "media-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    page = _part("page.html")
    # The data come last, so that no text in them is replaced as a placeholder.
    for name, text in (("policy", policy), ("style", style), ("script", script), ("data", embedded(data))):
        before, _, after = page.partition(f"%%{name}%%")
        page = before + text + after
    return page.encode()


def embedded(data: JSON) -> str:
    r"""Write JSON for a `<script>`: `</script>` and `<!--` cannot occur in it.

    It is pure ASCII, which makes U+2028 and halves of surrogate pairs harmless.
    """
    return json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _part(name: str) -> str:
    return (files("inferencereplay.report") / "page" / name).read_text(encoding="utf-8")
