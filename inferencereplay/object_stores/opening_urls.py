"""From a URL to an object store, by obstore's own settings and the usual environment variables."""

from __future__ import annotations

import os
import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import InvalidSetting
from inferencereplay.object_stores.cache_settings import read_settings
from inferencereplay.object_stores.store_failures import reason
from inferencereplay.store import at_hand

if TYPE_CHECKING:
    from inferencereplay.object_stores.cache_settings import CacheSettings
    from inferencereplay.object_stores.cached_objects import CachedObjects
    from inferencereplay.object_stores.object_store import ObjectStore
    from inferencereplay.store.location import StoreURL

OLDEST_PYTHON = (3, 11)
"""The oldest Python that obstore runs on."""
RETRIES: Any = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}
"""How often a request is tried again, and until when: obstore's own ten times may take minutes."""
TIMEOUTS = {"connect_timeout": "3 seconds", "read_timeout": "10 seconds", "timeout": "30 seconds"}
"""For a connection, for the next piece of an answer, and for the whole of it."""
_CLIENT = (
    *("allow_http", "allow_invalid_certificates", "connect_timeout", "http1_only", "http2_only", "pool_idle_timeout"),
    *("pool_max_idle_per_host", "proxy_ca_certificate", "proxy_excludes", "proxy_url", "randomize_addresses"),
    *("read_timeout", "timeout", "user_agent"),
)
"""The settings of obstore's HTTP client; each has a variable, as in `AWS_ALLOW_HTTP`."""
_PREFIXES = {"s3": "AWS_", "s3a": "AWS_", "gs": "GOOGLE_", "memory": "", "http": "HTTP_STORE_", "https": "HTTP_STORE_"}
_TELLING = re.compile(r"^(?:AWS|AZURE|GOOGLE|AZURITE)_.*(?:ENDPOINT|ACCOUNT_NAME|EMULATOR|_URL)")
"""The variables that lead a URL elsewhere."""
_states: dict[tuple[str, CacheSettings, int], CachedObjects] = {}
_memory: dict[str, Any] = {}
"""The stores in memory; they last as long as the process."""


def open_url(url: StoreURL, *, is_recorded: bool = False) -> ObjectStore:
    """Open the store of a URL; the network is not asked for anything.

    Args:
        url: of a scheme of `store.location.SCHEMES` other than `file`.
        is_recorded: whether a program is being recorded.

    Raises:
        InvalidSetting: if obstore is not installed, or cannot open it, or the settings of the cache are invalid.
    """
    if sys.version_info < OLDEST_PYTHON:
        version = ".".join(map(str, sys.version_info[:2]))
        message = f"{url}: recordings in an object store need Python 3.11 or newer, for obstore; this is {version}."
        raise InvalidSetting(message)
    try:
        import obstore  # noqa: F401, PLC0415 - the extra `stores` has it
        import platformdirs  # noqa: F401, PLC0415 - as above
    except ImportError as error:
        mend = "pip install 'inferencereplay[stores]'"
        message = f"{url}: recordings in an object store need more packages ({error}): {mend}."
        raise InvalidSetting(message) from error
    from inferencereplay.object_stores.object_store import ObjectStore  # noqa: PLC0415 - it imports obstore

    at_hand.opened.add(url)
    scheme = url.partition(":")[0]
    opened, prefix = _open(url, scheme)
    is_writable = type(opened).__name__ != "HTTPStore"
    return ObjectStore(str(url), _shared(url, opened, prefix), is_writable=is_writable, is_recorded=is_recorded)


def _shared(url: StoreURL, opened: Any, prefix: str) -> CachedObjects:
    """Return what all sessions of the process share of a store."""
    from inferencereplay.object_stores.cached_objects import CachedObjects  # noqa: PLC0415 - it imports obstore
    from inferencereplay.object_stores.object_cache import ObjectCache  # noqa: PLC0415 - as above
    from inferencereplay.object_stores.objects import Objects  # noqa: PLC0415 - as above

    settings = read_settings()
    place = _place(url)
    known = place, settings, os.getpid()
    found = _states.get(known)
    if found is None:
        is_near = url.startswith("memory:")
        cache = ObjectCache(settings, place) if settings.folder and not is_near else None
        objects = Objects(str(url), opened, prefix)
        found = _states[known] = CachedObjects(objects, cache, 0 if is_near else settings.age)
    return found


def _place(url: StoreURL) -> str:
    """Return what tells a store from all others: by its settings one URL may lead to several."""
    telling = sorted(item for item in os.environ.items() if _TELLING.match(item[0]))
    return "\0".join((url, *("=".join(item) for item in telling)))


def _open(url: StoreURL, scheme: str) -> tuple[Any, str]:
    """Return obstore's store, and what the names of objects begin with."""
    from obstore.store import MemoryStore, from_url  # noqa: PLC0415 - as above

    if scheme == "memory":
        name, _, prefix = url.partition("://")[2].partition("/")
        return _memory.setdefault(name, MemoryStore()), prefix
    try:
        return from_url(url, client_options=client_options(scheme), retry_config=RETRIES), ""
    except Exception as error:  # noqa: BLE001 - obstore's and those of the URL have no common class
        message = f"{url} cannot be opened: {reason(error).text}."
        raise InvalidSetting(message) from None


def client_options(scheme: str) -> Any:
    """Return the settings of the HTTP client: obstore takes them from the environment only if none are given."""
    prefix = _PREFIXES.get(scheme, "AZURE_")
    given = {name: os.environ.get(f"{prefix}{name.upper()}") for name in _CLIENT}
    options = {**TIMEOUTS, **{name: value for name, value in given.items() if value}}
    return {**options, "allow_http": True} if scheme == "http" else options
