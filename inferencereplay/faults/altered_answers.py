"""What a fault makes of the recorded answer, as a recorded answer again."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.faults import connections
from inferencereplay.recording.format import Failure, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.faults.connections import Network
    from inferencereplay.faults.fault import Fault

NAME = "an answer altered by a fault"
"""What stands for the file in messages."""
_OK = 200
_JSON = {"content-type": "application/json", "x-request-id": "req_fault"}
_PAGE = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"
_ERRORS = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
"""Type and code of OpenAI's errors, where they have a code of their own."""
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""What the Responses API calls the reasons of the chat's."""


def replace_answer(fault: Fault, network: Network) -> Response:
    """Return the answer in the place of which the recorded one would have come."""
    given = fault.arguments
    if fault.kind == "refused":
        return _broken(connections.refused(network))
    if fault.kind == "timeout":
        return _broken(connections.timed_out(given["phase"], network))
    if fault.kind == "cut":
        return _broken(connections.disconnected())
    if fault.kind == "reset":
        return _broken(connections.reset(network))
    if fault.kind == "html":
        status = http.HTTPStatus(given["status"]) if given["status"] in set(http.HTTPStatus) else None
        title = f"{given['status']} {status.phrase if status else 'Error'}"
        return Response(given["status"], {"content-type": "text/html"}, text=_PAGE.format(title))
    status, headers = given.get("status", 429), dict(_JSON)
    if given["retry_after"] is not None:
        headers["retry-after"] = f"{given['retry_after']:g}"
    if fault.kind == "rate_limit":
        reset = given["retry_after"] or 0
        headers.update({f"x-ratelimit-{name}-requests": value for name, value in _limits(reset)})
    return _error(status, headers, given.get("body"))


def _limits(seconds: float) -> list[tuple[str, str]]:
    return [("limit", "60"), ("remaining", "0"), ("reset", f"{seconds:g}s")]


def _broken(failure: Failure) -> Response:
    return Response(0, failure=failure)


def _error(status: int, headers: dict[str, str], body: Any) -> Response:
    if isinstance(body, str):
        kind = "text/html" if body.lstrip().startswith("<") else "text/plain"
        return Response(status, {**headers, "content-type": kind}, text=body)
    if body is None:
        known = status in set(http.HTTPStatus)
        told = http.HTTPStatus(status).phrase if known else "Error"
        fallback = ("server_error", None) if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR else None
        kind, code = _ERRORS.get(status) or fallback or ("invalid_request_error", None)
        body = {"error": _error_object(f"{told} (a fault of inferencereplay)", kind, code)}
    return Response(status, headers, body=_raw(body))


def _error_object(message: str, kind: str, code: str | None) -> dict[str, Any]:
    return {"message": message, "type": kind, "param": None, "code": code}


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


# Answers that are altered.


def alter(fault: Fault, answer: Response, content: bytes, network: Network) -> Response | None:
    """Return what becomes of an answer; `None` if the fault cannot happen to it.

    Args:
        fault: one that needs an answer.
        answer: the recorded one; it is not changed.
        content: the bytes of a plain answer.
        network: what the attempt runs on.
    """
    if fault.kind in ("timeout", "reset", "cut"):
        return _break_off(fault, answer, content, network)
    change = _STREAMED.get(fault.kind) if answer.is_stream else _PLAIN.get(fault.kind)
    return None if change is None else change(fault, answer, content)


def time_out(answer: Response, network: Network, after: int = 1) -> Response:
    """Return an answer of which no more than some chunks come before the client's time-out."""
    return _end_early(answer, after, connections.timed_out("read", network))


def _break_off(fault: Fault, answer: Response, content: bytes, network: Network) -> Response:
    after, half = fault.arguments["after"], len(content) // 2
    if fault.kind == "timeout":
        failure = connections.timed_out("read", network)
    elif fault.kind == "reset":
        failure = connections.reset(network)
    else:
        failure = connections.cut_stream() if answer.is_stream else connections.cut_body(half, len(content))
    if answer.is_stream:
        return _end_early(answer, after, failure)
    altered = _emptied(answer)
    altered.end, altered.sentinel, altered.failure = "error", False, failure
    altered.rest = content[:half]
    return altered


def _end_early(answer: Response, count: int, failure: Failure) -> Response:
    altered = _first(answer, count)
    altered.end, altered.sentinel, altered.failure = "error", False, failure
    return altered


def _first(answer: Response, count: int) -> Response:
    """Return a stream with its first chunks only."""
    return msgspec.structs.replace(
        answer,
        chunks=answer.chunks[:count],
        offsets=answer.offsets[:count],
        events=answer.events[:count],
        verbatim=[index for index in answer.verbatim if index < count],
        rest=b"",
        left=None,
        downloaded=None,
    )


def _then(answer: Response, chunk: msgspec.Raw, name: str | None) -> None:
    """Add a chunk to a stream that was shortened, at the time of the one before."""
    answer.chunks.append(chunk)
    if answer.offsets:
        answer.offsets.append(answer.offsets[-1])
    if answer.events:
        answer.events.append(name)


def _emptied(answer: Response) -> Response:
    """Return the head of an answer, without its content."""
    return Response(
        answer.status, answer.headers, reason=answer.reason, redirects=answer.redirects, elapsed=answer.elapsed
    )


def _empty_stream(_: Fault, answer: Response, __: bytes) -> Response:
    altered = _first(answer, 0)
    altered.end, altered.sentinel, altered.failure = "done", False, None
    return altered


def _empty_plain(_: Fault, answer: Response, __: bytes) -> Response:
    altered = _emptied(answer)
    altered.text = ""
    return altered


def _malform_stream(fault: Fault, answer: Response, _: bytes) -> Response | None:
    if not answer.chunks:
        return None
    index = min(fault.arguments["after"], len(answer.chunks) - 1)
    torn = bytes(answer.chunks[index])
    torn = torn[: len(torn) // 2]
    chunks = list(answer.chunks)
    chunks[index] = _raw(torn.decode("utf-8", "ignore"))
    return msgspec.structs.replace(answer, chunks=chunks, verbatim=sorted({*answer.verbatim, index}), downloaded=None)


def _malform_plain(_: Fault, answer: Response, content: bytes) -> Response:
    altered = _emptied(answer)
    altered.text = content[: len(content) // 2].decode("utf-8", "ignore")
    return altered


def _put_error_event(fault: Fault, answer: Response, _: bytes) -> Response:
    after, message = fault.arguments["after"], fault.arguments["message"]
    altered = _first(answer, after)
    if any(answer.events):  # as the Responses API tells an error
        event = {"type": "error", "code": "server_error", "message": message, "param": None, "sequence_number": after}
        _then(altered, _raw(event), "error")
    else:
        _then(altered, _raw({"error": _error_object(message, "server_error", None)}), None)
    altered.end, altered.failure = "done", None
    return altered


def _answer_error(fault: Fault, answer: Response, _: bytes) -> Response:
    altered = _emptied(answer)
    altered.body = _raw({"error": _error_object(fault.arguments["message"], "server_error", None)})
    return altered


def _leave_out_done(fault: Fault, answer: Response, _: bytes) -> Response | None:
    after = fault.arguments["after"]
    if answer.end != "done" or not (answer.sentinel or after is not None):
        return None
    altered = answer if after is None else _first(answer, after)
    return msgspec.structs.replace(altered, sentinel=False, downloaded=None)


def _finish_stream(fault: Fault, answer: Response, _: bytes) -> Response | None:
    given, count = fault.arguments, len(answer.chunks)
    number = max(1, count // 2) if given["after"] is None else given["after"]
    chunks = [_decoded(chunk) for chunk in answer.chunks]
    if any("response" in chunk for chunk in chunks):
        return _finish_events(given["reason"], answer, chunks, number)
    last = next((chunk for chunk in [*chunks[number:], *reversed(chunks)] if _choices(chunk)), None)
    if last is None:
        return None
    altered = _first(answer, number)
    ending = [{**choice, **_said_nothing(choice), "finish_reason": given["reason"]} for choice in _choices(last)]
    _then(altered, _raw({**last, "choices": ending}), None)
    if chunks[-1].get("usage") and not _choices(chunks[-1]) and number < count:
        _then(altered, answer.chunks[-1], None)
    return altered


def _finish_events(reason: str, answer: Response, chunks: list[dict[str, Any]], number: int) -> Response:
    """Finish a stream of the Responses API."""
    held = next(chunk["response"] for chunk in reversed(chunks) if "response" in chunk)
    altered = _first(answer, number)
    event = {"type": "response.incomplete", "response": _incomplete(held, reason), "sequence_number": number}
    _then(altered, _raw(event), "response.incomplete")
    return altered


def _finish_plain(fault: Fault, answer: Response, _: bytes) -> Response | None:
    body, reason = _decoded(answer.body), fault.arguments["reason"]
    if body.get("object") == "response":
        body = _incomplete(body, reason)
    elif _choices(body):
        body = {**body, "choices": [{**_halved(choice), "finish_reason": reason} for choice in _choices(body)]}
    else:
        return None
    altered = _emptied(answer)
    altered.body = _raw(body)
    return altered


def _incomplete(response: dict[str, Any], reason: str) -> dict[str, Any]:
    details = {"reason": _INCOMPLETE[reason]}
    return {**response, "status": "incomplete", "incomplete_details": details}


def _choices(body: dict[str, Any]) -> list[dict[str, Any]]:
    choices = body.get("choices")
    return choices if isinstance(choices, list) and all(isinstance(choice, dict) for choice in choices) else []


def _said_nothing(choice: dict[str, Any]) -> dict[str, Any]:
    return {"delta": {}} if "delta" in choice else {"text": ""}


def _halved(choice: dict[str, Any]) -> dict[str, Any]:
    if isinstance(text := choice.get("text"), str):
        return {**choice, "text": text[: len(text) // 2]}
    message = choice.get("message")
    if isinstance(message, dict) and isinstance(text := message.get("content"), str):
        return {**choice, "message": {**message, "content": text[: len(text) // 2]}}
    return choice


def _decoded(raw: msgspec.Raw) -> dict[str, Any]:
    """Return what JSON holds; nothing if it is no object."""
    try:
        held = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return {}
    return held if isinstance(held, dict) else {}


_STREAMED: dict[str, Callable[[Fault, Response, bytes], Response | None]] = {
    "empty": _empty_stream,
    "malformed": _malform_stream,
    "error_event": _put_error_event,
    "no_done": _leave_out_done,
    "finish": _finish_stream,
}
_PLAIN: dict[str, Callable[[Fault, Response, bytes], Response | None]] = {
    "empty": _empty_plain,
    "malformed": _malform_plain,
    "error_event": _answer_error,
    "finish": _finish_plain,
}
