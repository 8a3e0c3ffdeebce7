"""The request that is compared: the settings `ignore` and `normalize` applied to what the SDK would send."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from inferencereplay.errors import InvalidSetting
from inferencereplay.recording.request import TOO_DEEP, NotSerializable, canonical_json, parse_json, without

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.recording.request import JSON, Request
    from inferencereplay.redaction.redactor import Redactor
    from inferencereplay.session.call import Call


def prepared(
    request: Request,
    ignore: tuple[str, ...],
    normalize: Callable[[JSON], JSON] | None,
    redactor: Redactor,
    call: Call | None = None,
) -> Request:
    """Apply `ignore` and `normalize` to a request.

    Args:
        request: as the SDK would send it.
        ignore: the setting.
        normalize: the setting.
        redactor: the session's, which removes secrets from the message of an error.
        call: whose secrets are removed as well.

    Raises:
        InvalidSetting: if `normalize` fails or returns something that is not JSON.
        NotSerializable: if the request is nested too deeply to be searched.
    """
    try:
        body = without(parse_json(request.body), ignore)
    except (ValueError, RecursionError) as error:
        raise NotSerializable(TOO_DEEP) from error
    try:
        if normalize is not None and body is not None:
            body = normalize(body)
            if not isinstance(body, dict):
                problem = f"it returned an object of the type {type(body).__name__}"
                raise TypeError(problem)  # noqa: TRY301 - one message for all its mistakes
        return msgspec.structs.replace(request, body=canonical_json(body))
    except Exception as error:
        message = f"normalize= failed for a request to {request.path}: {error!r}. It has to return the body."
        raise InvalidSetting((redactor if call is None else call.redactor).text(message)) from error
