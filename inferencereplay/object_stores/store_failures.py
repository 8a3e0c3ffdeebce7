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
_UNREACHABLE = ("kind: Connect", "kind: Timeout", "kind: Request", "TimedOut", "dns error")
_SETTINGS = "See 'Settings' in docs/stores.md"


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


def reason(error: BaseException) -> Reason:
    """Return why obstore raised an error."""
    text = str(error)
    head, _, details = text.partition("\n\nDebug source")
    status, code = _found(_STATUS, head), _found(_CODE, head)
    shown = " ".join(filter(None, (status, code)))
    if code in _NO_BUCKET:
        found = Reason(f"there is no such bucket or container ({shown}). Make it, or look at the URL", is_bucket=True)
    elif code in _WRONG_REGION or status in ("301", "307") or "without LOCATION" in head:
        found = Reason(
            f"the bucket is in another region, or at another endpoint ({shown or 'a redirect'}). {_SETTINGS}"
        )
    elif status in ("401", "403") or code.startswith("ExpiredToken"):
        found = Reason(f"the credentials are missing, expired, or not allowed to do that ({shown}). {_SETTINGS}")
    elif status == "429" or code in ("SlowDown", "ServerBusy", "TooManyRequests"):
        found = Reason(f"the store refuses so many requests ({shown}). Try again later", is_unclear=True)
    elif status:
        found = Reason(f"the store answered {shown}", is_unclear=True)
    elif "BadScheme" in details:
        found = Reason(f"the endpoint is http://, which has to be allowed, for S3 by AWS_ALLOW_HTTP=true. {_SETTINGS}")
    elif "kind: Connect" in details:
        found = Reason("nobody answers there. Look at the endpoint and the network", is_outage=True)
    elif "body error" in head:
        found = Reason("the connection broke within an answer. Try again", is_unclear=True)
    elif any(sign in details for sign in _UNREACHABLE):
        found = Reason("there was no answer in time. Look at the network", is_outage=True, is_unclear=True)
    elif "metadata" in head or "credential" in head.lower():
        found = Reason(f"no credentials were found. {_SETTINGS}", is_outage=True)
    else:
        found = Reason(_safe_line(head), is_unclear=True)
    return found


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return next(filter(None, found.groups()), "") if found else ""


def _safe_line(text: str) -> str:
    """Return the beginning of a message, without queries and without the values of secret settings."""
    for name, value in os.environ.items():
        if value and _SECRET_NAME.match(name):
            text = text.replace(value, "[REDACTED]")
    return _QUERY.sub("?…", " ".join(text.split()))[:_LONGEST]
