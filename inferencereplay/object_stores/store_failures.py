"""What went wrong in an object store, for people: no secret, and no more than a line.

What obstore raises shows the whole request, which may be signed in its URL, and the whole answer.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>|\"(?:reason|error|code)\": ?\"(\w+)\"")
_QUERY = re.compile(r"\?\S+")
_SECRET_NAME = re.compile(r"^(?:AWS|AZURE|GOOGLE)_.*(?:KEY|SECRET|TOKEN|SAS|PASSWORD|CREDENTIAL)")
_LONGEST = 300
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "FilesystemNotFound", "BucketNotFound")
_WRONG_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "TemporaryRedirect")
_SETTINGS = "See 'Settings' in docs/stores.md"


_REDIRECTS = ("301", "302", "307", "308")
_REFUSED = ("401", "403")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired")
_THROTTLING = ("SlowDown", "ServerBusy", "TooManyRequests")


class Reason(NamedTuple):
    """Why a request failed.

    Attributes:
        text: what is wrong, and the way out.
        is_outage: whether the store cannot be reached at all, so that the next request would fail as well.
        is_unclear: whether it may have been carried out all the same.
        is_bucket: whether there is no such bucket.
    """

    text: str
    is_outage: bool = False
    is_unclear: bool = False
    is_bucket: bool = False


_SILENT = Reason("there was no answer in time. Look at the network", is_outage=True, is_unclear=True)
_NO_CREDENTIALS = Reason(f"no credentials were found. {_SETTINGS}", is_outage=True)
_METADATA = ("/latest/api/token", "169.254.169.254", "metadata.google.internal")
"""Where a machine in a cloud asks for its role: the last place to find credentials."""
_SIGNS = (
    *((sign, _NO_CREDENTIALS) for sign in _METADATA),
    ("BadScheme", Reason(f"the endpoint is http://, which has to be allowed: AWS_ALLOW_HTTP=true. {_SETTINGS}")),
    ("without LOCATION", Reason(f"the bucket is in another region, or at another endpoint. {_SETTINGS}")),
    ("kind: Connect", Reason("nobody answers there. Look at the endpoint and the network", is_outage=True)),
    ("body error", Reason("the connection broke within an answer. Try again", is_unclear=True)),
    *((sign, _SILENT) for sign in ("kind: Timeout", "kind: Request", "TimedOut", "dns error")),
    ("credential", _NO_CREDENTIALS),
)
"""What obstore says of a request that got no answer, in this order."""


def reason(error: BaseException) -> Reason:
    """Return why obstore raised an error."""
    head, _, details = str(error).partition("\n\nDebug source")
    status, code = _found(_STATUS, head), _found(_CODE, head)
    if status:
        return _answered(status, code)
    for sign, found in _SIGNS:
        if sign in head or sign in details:
            return found
    return Reason(_safe_line(head), is_unclear=True)


def _answered(status: str, code: str) -> Reason:
    """Return why a store refuses a request, by the HTTP status and its own code of the error."""
    shown = f"{status} {code}".strip()
    if code in _NO_BUCKET:
        return Reason(f"there is no such bucket or container ({shown}). Make it, or look at the URL", is_bucket=True)
    if code in _WRONG_REGION or status in _REDIRECTS:
        return Reason(f"the bucket is in another region, or at another endpoint ({shown}). {_SETTINGS}")
    if status in _REFUSED or code in _EXPIRED:
        return Reason(f"the credentials are missing, expired, or not allowed to do that ({shown}). {_SETTINGS}")
    if status == "429" or code in _THROTTLING:
        return Reason(f"the store refuses so many requests ({shown}). Try again later", is_unclear=True)
    return Reason(f"the store answered {shown}", is_unclear=True)


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return next(filter(None, found.groups()), "") if found else ""


def _safe_line(text: str) -> str:
    """Return the beginning of a message, without queries and without the values of secret settings."""
    for name, value in os.environ.items():
        if value and _SECRET_NAME.match(name):
            text = text.replace(value, "[REDACTED]")
    return _QUERY.sub("?…", " ".join(text.split()))[:_LONGEST]
