#!/usr/bin/env bash
# obstore 0.12.1: its fsspec adapter takes `mode="create"` and overwrites all the same. One would expect that
# `filesystem.pipe_file(path, data, mode="create")` raises FileExistsError where there is an object, as fsspec documents it
# and as obstore's own `put(store, path, data, mode="create")` does: the adapter's `_pipe_file` does not pass the mode on. Two writers that rely on it lose one of the two objects without a word.
#
# Seen on Python 3.11:
#   put: AlreadyExistsError, content b'first'
#   fsspec: no error, content b'second'
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q obstore==0.12.1 fsspec==2026.9.0

cat > "$folder/show.py" <<'PYTHON'
import sys

import obstore
from obstore.fsspec import FsspecStore
from obstore.store import LocalStore

store = LocalStore(sys.argv[1])
obstore.put(store, "one", b"first")
try:
    obstore.put(store, "one", b"second", mode="create")
    outcome = "no error"
except Exception as error:
    outcome = type(error).__name__
print(f"put: {outcome}, content {bytes(obstore.get(store, 'one').bytes())}")

filesystem, path = FsspecStore("file"), f"file://{sys.argv[1]}/another"
filesystem.pipe_file(path, b"first")
try:
    filesystem.pipe_file(path, b"second", mode="create")
    outcome = "no error"
except Exception as error:
    outcome = type(error).__name__
print(f"fsspec: {outcome}, content {filesystem.cat_file(path)}")
PYTHON

mkdir "$folder/objects"
seen=$("$folder/venv/bin/python" "$folder/show.py" "$folder/objects")
printf '%s\n' "$seen"
[ "$seen" = $'put: AlreadyExistsError, content b\'first\'\nfsspec: no error, content b\'second\'' ]
