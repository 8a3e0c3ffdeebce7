"""The place of recordings, as a user names it: a directory, or the URL of an object store."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

from inferencereplay.errors import InvalidSetting

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "http", "https", "memory", "file")
"""The schemes that are understood; `file` is a directory, the others are object stores."""
_CONTAINER_BEFORE_AT = ("adl", "abfs", "abfss")
"""The schemes of Azure whose URLs name the container as others name a user."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SETTINGS = "Give credentials by environment variables, such as AWS_ACCESS_KEY_ID: a URL is shown and logged."
_BROKEN_URL = re.compile(rf"({'|'.join(SCHEMES)}):/[^/]", re.IGNORECASE)

_LATER_URL = re.compile(rf"[,;\s]\s*({'|'.join(SCHEMES)})://", re.IGNORECASE)


class StoreURL(str):
    """The URL of an object store, such as `s3://bucket/team/recordings`; it holds no secret."""

    __slots__ = ()

    def absolute(self) -> StoreURL:
        """Return the URL: it does not depend on the working directory."""
        return self


Location: TypeAlias = "Path | StoreURL"


def is_url(text: object) -> bool:
    """Whether a text is a URL, of whatever scheme, and no path."""
    return isinstance(text, str) and _URL.match(text) is not None


def is_missing(directory: str) -> bool:
    """Whether a place is a directory that does not exist; one in an object store always does."""
    return not is_url(directory) and not os.path.isdir(directory)  # noqa: PTH112


def real(directory: str) -> str:
    """Return one name for a place, whichever way it is reached: a path with its links followed, or the URL."""
    return directory if is_url(directory) else os.path.realpath(directory)


def located(directory: str) -> Location:
    """Return the place that a store names as its `directory`."""
    return StoreURL(directory) if is_url(directory) else Path(directory)


def parse_location(directory: str | os.PathLike[str], source: str = "directory") -> Location:
    """Read a path, which need not exist, or a URL.

    Raises:
        InvalidSetting: for anything else, and for a URL with credentials in it.
    """
    try:
        text = os.fspath(directory)
        if not isinstance(text, str) or not text or "\0" in text:
            raise TypeError  # noqa: TRY301 - one message for everything that is no path
        if not is_url(text):
            path = _path(text, source)
            return path.expanduser() if text[0] == "~" else path
        os.fsencode(text)
    except (TypeError, UnicodeEncodeError, RuntimeError):  # RuntimeError: an unknown home, as in "~nobody"
        message = f"{source}={directory!r} is no path of a directory. Give a str or a pathlib.Path."
        raise InvalidSetting(message) from None
    return _parse_url(text, source)


@functools.lru_cache(256)
def _path(text: str, source: str) -> Path:
    """Make a path of a text.

    Raises:
        InvalidSetting: for a URL that has lost a slash, as one does that is made a `pathlib.Path`, and for one after
            another place.
        UnicodeEncodeError: for a text that no file can be named.
    """
    os.fsencode(text)
    if _BROKEN_URL.match(text):
        message = f"{source}={text!r} is no URL. Give it as a str, with two slashes."
        raise InvalidSetting(message)
    if _LATER_URL.search(text):
        message = f"{source} names several places in one text, or a URL after a blank. Give layers as a list."
        raise InvalidSetting(message)
    return Path(text)


def _parse_url(text: str, source: str) -> Location:
    """Read a URL. No message shows its user, password, query or fragment, which may hold a secret."""
    try:
        parts = urlsplit(text)
    except ValueError as error:
        message = f"{source}= is no URL ({error})."
        raise InvalidSetting(message) from None
    user, _, host = parts.netloc.rpartition("@")
    url = f"{parts.scheme}://{host}{parts.path}"
    if problem := _problem(parts, user, host):
        message = f"{source}={url!r}: {problem}"
        raise InvalidSetting(message)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    names = [name for name in parts.path.split("/") if name]
    return StoreURL("/".join((f"{parts.scheme}://{parts.netloc}", *names)))


def _problem(url: SplitResult, user: str, host: str) -> str:
    """Return what is wrong with a URL, and the way out; empty if it can be used."""
    if url.scheme not in SCHEMES:
        return f"the scheme {url.scheme!r} is not known. Valid are {', '.join(SCHEMES)}; a path needs none."
    if ":" in user or (user and url.scheme not in _CONTAINER_BEFORE_AT):
        return f"it comes with a user or a password. {_SETTINGS}"
    if url.query or url.fragment:
        return f"it comes with a query or a fragment. {_SETTINGS}"
    path = unquote(url.path)  # as the store reads it
    names = path.strip("/").split("/")
    if (any(names) and not {"", ".", ".."}.isdisjoint(names)) or not path.isprintable():
        return "a part of its path is empty, or no name."
    if url.scheme == "file":
        return "" if host in ("", "localhost") and any(names) else "it is no file of this machine. Give a path."
    if not host and url.scheme != "memory":
        return f"it names no bucket, container or host. Give {url.scheme}://NAME/recordings."
    return ""
