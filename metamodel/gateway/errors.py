"""Errors as OpenAI's API words them: an object with message, type, param and code."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from metamodel.primaries.endpoint.faults import RetryableError, retry_after_s

_SHOWN_CHARS: Final = 2000
_PASSING: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)


class ApiError(Exception):
    """What a client is answered instead of a completion."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        kind: str = "invalid_request_error",
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the status, what the error object says, and response headers."""
        super().__init__(message)
        self.status, self.message, self.code, self.kind, self.param = status, message, code, kind, param
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """Return the error object as JSON."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return json.dumps({"error": error}).encode()


class UpstreamFaultError(RetryableError):
    """A fault of an upstream that trying again may mend."""

    def __init__(self, api_error: ApiError) -> None:
        """Keep what the client is answered where nobody tries again."""
        from datetime import UTC, datetime

        super().__init__(api_error.message, retry_after_s=retry_after_s(api_error.headers, now=datetime.now(UTC)))
        self.api_error = api_error


def upstream_fault(status: HTTPStatus, message: str, *, code: str) -> UpstreamFaultError:
    """Return a fault that the gateway words itself."""
    return UpstreamFaultError(ApiError(status, message, code=code, kind="upstream_error"))


def timed_out(what: str, seconds: float) -> UpstreamFaultError:
    """Return the fault of an upstream that did not answer."""
    return upstream_fault(
        HTTPStatus.GATEWAY_TIMEOUT, f"the upstream gave no {what} within {seconds:g} seconds", code="upstream_timeout"
    )


def refused_by_upstream(
    status: int, body: bytes, headers: Mapping[str, str], *, passes_key: bool, hide: Callable[[str], str]
) -> ApiError | UpstreamFaultError:
    """Return what a client is told of an upstream's answer that is no success.

    The upstream's own words where it says them as an error object, with its status; a refused key is the gateway's to
    mend, unless it was the client's.

    Args:
        status: Its HTTP status.
        body: Its content.
        headers: Of it, those that go to the client.
        passes_key: Whether the key was the client's.
        hide: Takes the gateway's key out of a text.
    """
    is_key_refused = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and not passes_key
    if is_key_refused or not HTTPStatus.BAD_REQUEST <= status < 600:  # noqa: PLR2004 - the last class of statuses
        what = "refuses the gateway's key" if is_key_refused else "answers with what is neither a reply nor an error"
        code = "upstream_refuses_key" if is_key_refused else "upstream_unexpected_status"
        return ApiError(
            HTTPStatus.BAD_GATEWAY, f"the upstream {what} (HTTP {status})", code=code, kind="upstream_error"
        )
    told = _told(body)
    message = hide(str(told.get("message") or "")[:_SHOWN_CHARS]) or f"the upstream answers with HTTP {status}"
    kind, told_code, param = told.get("type"), told.get("code"), told.get("param")
    error = ApiError(
        status,
        message,
        code=hide(str(told_code)[:_SHOWN_CHARS]) if told_code is not None else _code_of(status),
        kind=hide(kind[:_SHOWN_CHARS]) if isinstance(kind, str) else "upstream_error",
        param=hide(param[:_SHOWN_CHARS]) if isinstance(param, str) else None,
        headers=headers,
    )
    may_pass = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING
    return UpstreamFaultError(error) if may_pass else error


def _code_of(status: int) -> str:
    return "rate_limit_exceeded" if status == HTTPStatus.TOO_MANY_REQUESTS else f"upstream_http_{status}"


def _told(body: bytes) -> Mapping[str, object]:
    """Return the fields of an error object, in any of the shapes that servers have for it."""
    try:
        content = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    error = content.get("error", content)
    if isinstance(error, str):
        return {"message": error}
    if not isinstance(error, dict):
        return {}
    detail = error.get("detail")
    return error if error.get("message") or not isinstance(detail, str) else {"message": detail}
