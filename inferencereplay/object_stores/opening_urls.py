"""From a URL to an object store, by obstore's own settings and the usual environment variables."""

from __future__ import annotations

import functools
import os
import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

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
_PREFIXES = {"s3": "AWS_", "s3a": "AWS_", "gs": "GOOGLE_", "http": "HTTP_STORE_", "https": "HTTP_STORE_"}
_READ = ("AWS_", "AZURE_", "AZURITE_", "GOOGLE_", "HTTP_STORE_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_")
_TELLING = re.compile(r"ENDPOINT|ACCOUNT_NAME|EMULATOR|_URL$")
"""Those of these variables that lead a URL elsewhere."""
_ENDPOINT = re.compile(r"(?:AWS|AZURE|AZURE_STORAGE)_ENDPOINT(?:_URL(?:_S3)?)?")
_CREDENTIAL = re.compile(r"(?:AWS|AZURE|AZURE_STORAGE)_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|ACCOUNT_KEY)")
_WEB = ("http://", "https://")
MOST_KEPT = 64
_states: dict[tuple[object, ...], CachedObjects] = {}
"""What the sessions of the process share of each store."""


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

    settings = read_settings()
    _check_variables(url)
    at_hand.opened.add(url)
    known = str(url), _variables(), settings, os.getpid()
    objects = _states.get(known)
    if objects is None:
        if len(_states) >= MOST_KEPT:
            _states.clear()
        objects = _states[known] = _make(url, settings)
    return ObjectStore(str(url), objects, is_writable=not url.startswith(_WEB), is_recorded=is_recorded)


def _check_variables(url: StoreURL) -> None:
    """Refuse an endpoint or a credential on which obstore breaks down at the first request."""
    for name, value in _variables():
        is_endpoint = _ENDPOINT.fullmatch(name) is not None
        problem = ""
        if is_endpoint and value and not value.lower().startswith(_WEB):
            problem = "does not begin with https:// or http://"
        elif (is_endpoint or _CREDENTIAL.fullmatch(name)) and (value != value.strip() or not value.isprintable()):
            problem = "holds a line end, a blank at its beginning or end, or another character that is not printed"
        if problem:
            message = f"{url} cannot be opened: the variable {name} {problem}."
            raise InvalidSetting(message)


def _make(url: StoreURL, settings: CacheSettings) -> CachedObjects:
    """Make what all sessions of the process share of a store."""
    from inferencereplay.object_stores.cached_objects import CachedObjects  # noqa: PLC0415 - it imports obstore
    from inferencereplay.object_stores.object_cache import ObjectCache  # noqa: PLC0415 - as above
    from inferencereplay.object_stores.objects import Objects  # noqa: PLC0415 - as above

    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    root, prefix = (url, "") if url.startswith(_WEB) else (f"{scheme}://{host}", unquote(path))
    try:
        opened = _open(root, _variables(), os.getpid())
    except Exception as error:  # noqa: BLE001 - obstore's and those of the URL have no common class
        message = f"{url} cannot be opened: {reason(error).text}."
        raise InvalidSetting(message) from None
    objects = Objects(str(url), opened, prefix)
    if scheme == "memory":
        return CachedObjects(objects, None, 0)
    return CachedObjects(objects, ObjectCache(settings, _place(url)) if settings.folder else None, settings.age)


def _variables() -> tuple[tuple[str, str], ...]:
    """Return the variables that obstore reads."""
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith(_READ)))


def _place(url: StoreURL) -> str:
    """Return what tells a store from all others: by its settings one URL may lead to several."""
    return "\0".join((url, *("=".join(item) for item in _variables() if _TELLING.search(item[0]))))


@functools.lru_cache(16)
def _open(url: str, _variables: object, _process: int) -> Any:
    """Return obstore's store, which takes milliseconds to make: of a bucket, whatever is recorded in it."""
    from obstore.store import MemoryStore, from_url  # noqa: PLC0415 - it imports obstore

    scheme = url.partition(":")[0]
    if scheme == "memory":
        return MemoryStore()
    return from_url(url, client_options=client_options(scheme), retry_config=RETRIES)


def client_options(scheme: str) -> Any:
    """Return the settings of the HTTP client: obstore takes them from the environment only if none are given."""
    prefix = _PREFIXES.get(scheme, "AZURE_")
    given = {name: os.environ.get(f"{prefix}{name.upper()}") for name in _CLIENT}
    options = {**TIMEOUTS, **{name: value for name, value in given.items() if value}}
    return {**options, "allow_http": True} if scheme == "http" else options
