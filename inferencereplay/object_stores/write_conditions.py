"""Whether a store keeps the conditions of writes; some S3 servers ignore them, and overwrite what is there."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from inferencereplay.errors import StoreError

if TYPE_CHECKING:
    from inferencereplay.object_stores.objects import Objects

ATTEMPTS = 3
"""How often it is tried, as long as answers are lost."""


def check(objects: Objects) -> None:
    """Write objects of random names in ways that have to be refused, and remove them.

    Raises:
        StoreError: if one is not refused, or nothing can be written.
    """
    for _ in range(ATTEMPTS):
        name = f".{secrets.token_hex(16)}.probe"
        try:
            if _refuses(objects, name):
                return
        finally:
            with contextlib.suppress(StoreError):
                objects.remove(name)


def _refuses(objects: Objects, name: str) -> bool:
    """Return `True` if the store refuses what it has to; `False` if a lost answer leaves that open."""
    first = objects.create(name, b"1")
    if first is None:
        return False
    if objects.create(name, b"2") is not None:
        raise _ignored(objects, "If-None-Match")
    if objects.exchange(name, b"3", first) is None:
        return False
    if objects.exchange(name, b"4", first) is not None:
        raise _ignored(objects, "If-Match")
    return True


def _ignored(objects: Objects, header: str) -> StoreError:
    return StoreError(
        f"{objects.url} cannot be recorded into: it ignores {header}, so that writers would overwrite each other's "
        "recordings. Record into a directory, or use another server."
    )
