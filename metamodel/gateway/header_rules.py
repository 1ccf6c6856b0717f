"""Which headers go through the gateway, in either direction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from metamodel.gateway.policy import HEADER_PREFIX

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

# RFC 9110, section 7.6.1, and those that proxies are not to forward although nobody lists them.
_HOP_BY_HOP: Final = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te"),
        *(b"trailer", b"transfer-encoding", b"upgrade"),
    }
)
# Another key than the one for the upstream, or whose account it is that pays.
_CREDENTIALS: Final = frozenset(
    {b"authorization", b"api-key", b"x-api-key", b"cookie", b"openai-organization", b"openai-project"}
)
# Said anew by who sends the message.
_OWN_OF_REQUEST: Final = frozenset({b"host", b"content-length", b"content-encoding", b"accept-encoding", b"expect"})
_OWN_OF_REPLY: Final = frozenset({b"content-length", b"content-encoding", b"date", b"server", b"set-cookie"})
_PREFIX: Final = HEADER_PREFIX.encode()


def forwarded_to_upstream(headers: Iterable[tuple[bytes, bytes]], *, pass_key: bool) -> RawHeaders:
    """Return the headers of a client's request that the upstream gets too.

    >>> forwarded_to_upstream([(b"Connection", b"x-a"), (b"X-A", b"1"), (b"X-B", b"2")], pass_key=False)
    [(b'X-B', b'2')]
    """
    left_out = _OWN_OF_REQUEST if pass_key else _OWN_OF_REQUEST | _CREDENTIALS
    return _end_to_end(headers, left_out | ({b"cookie"} if pass_key else set()))


def forwarded_to_client(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Return the headers of an upstream's reply that the client gets too."""
    return _end_to_end(headers, _OWN_OF_REPLY)


def _end_to_end(headers: Iterable[tuple[bytes, bytes]], left_out: frozenset[bytes] | set[bytes]) -> RawHeaders:
    listed = [(name, value) for name, value in headers]
    named = {
        part.strip().lower() for name, value in listed if name.lower() == b"connection" for part in value.split(b",")
    }
    dropped = _HOP_BY_HOP | left_out | named
    return [
        (name, value) for name, value in listed if name.lower() not in dropped and not name.lower().startswith(_PREFIX)
    ]
