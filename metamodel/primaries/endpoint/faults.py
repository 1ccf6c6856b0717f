"""What an endpoint answers instead of an output: try again, give this sample up, or stop the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from metamodel.errors import MetamodelError

_SHOWN_CHARS: Final = 300
_UNPAID: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


class RetryableError(Exception):
    """A fault that trying again may mend."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        """Keep the reason, and how long the endpoint asks to wait."""
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class UnreachableError(RetryableError):
    """No connection could be made."""


class RefusedError(Exception):
    """An answer that ends this sample."""

    def __init__(self, reason: str, *, is_final: bool) -> None:
        """Keep the reason, and whether a later run would be refused too."""
        super().__init__(reason)
        self.is_final = is_final


class EndpointError(MetamodelError):
    """An answer that every other request would get too: it stops the run, which keeps what was drawn."""


def check_status(
    status: int, headers: Mapping[str, str], body: str, *, url: str, key_name: str | None, has_succeeded: bool
) -> None:
    """Do nothing for a success; raise what the status means otherwise.

    Args:
        status: HTTP status.
        headers: Of the response, by lower-case name.
        body: Of the response, without the key.
        url: That was asked.
        key_name: Environment variable that the key came from.
        has_succeeded: Whether the endpoint has answered another request of this run, so that its address, model and
            key are right and the refusal is about this one.

    Raises:
        RetryableError: A passing state of the endpoint.
        RefusedError: It refuses this prompt.
        EndpointError: It would refuse every prompt.
    """
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    code, message = _told(body)
    reason = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    if status == HTTPStatus.PAYMENT_REQUIRED or (status == HTTPStatus.TOO_MANY_REQUESTS and code in _UNPAID):
        raise EndpointError(f"{url} refuses to go on for want of credit (HTTP {status}): add credit and collect again")
    if status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.FORBIDDEN and not has_succeeded):
        # What the endpoint says of a refused key often quotes the key.
        raise EndpointError(f"{url} refuses the key (HTTP {status}): {_key_advice(key_name)}")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise EndpointError(f"{url} answers with a redirect (HTTP {status}), which is not followed: correct base_url")
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED) and not has_succeeded:
        raise EndpointError(f"{url}: {reason}: correct base_url (it mostly ends in /v1), api or model")
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY):
        # Before any success it may be the request's form that is refused, which another config mends.
        is_about_prompt = has_succeeded or "context" in f"{code} {message}".lower()
        raise RefusedError(reason, is_final=is_about_prompt)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in (
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    ):
        raise RetryableError(reason, retry_after_s=retry_after_s(headers, now=datetime.now(UTC)))
    raise RefusedError(reason, is_final=False)


def retry_after_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return how many seconds an endpoint asks to wait; None where it does not say.

    Read are `retry-after-ms`, and `retry-after` in seconds or as a date (RFC 9110, section 10.2.3).

    >>> retry_after_s({"retry-after": "1.5"}, now=datetime(2024, 1, 1, tzinfo=UTC))
    1.5
    >>> retry_after_s({"retry-after": "Mon, 01 Jan 2024 00:00:07 GMT"}, now=datetime(2024, 1, 1, tzinfo=UTC))
    7.0
    """
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    told = headers.get("retry-after", "")
    seconds = _seconds(told)
    if seconds is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(told)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return max(value, 0.0) if value < float("inf") else None


def _key_advice(key_name: str | None) -> str:
    if key_name is None:
        return "set api_key_env to the name of the environment variable that holds one"
    return f"put a valid one into the environment variable {key_name}"


def _told(body: str) -> tuple[str, str]:
    """Return an error's code and its message on one line, shortened."""
    code, message = "", body
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        error = content.get("error", content)
        if isinstance(error, dict):
            code = str(error.get("code") or error.get("type") or "")
            error = error.get("message") or error.get("detail") or ""
        message = str(error)
    # Bounded before it is split: the body may be long.
    line = " ".join(message[: 4 * _SHOWN_CHARS].split())
    line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
    return code, line if len(line) <= _SHOWN_CHARS else line[:_SHOWN_CHARS] + "..."
