"""The key that requests may have to bring."""

from __future__ import annotations

import hmac
import os

from metamodel.errors import MetamodelError
from metamodel.serve.errors import Refusal
from metamodel.serve.settings import KEY_VARIABLE


class Door:
    """Lets in who brings the key, or everyone where there is none. It never shows the key."""

    def __init__(self, key: str | None) -> None:
        """Keep the bytes to compare with."""
        self._expected = None if key is None else key.encode()

    @classmethod
    def from_environment(cls) -> Door:
        """Read the key.

        Raises:
            MetamodelError: It is there and empty, or holds what no header can.
        """
        key = os.environ.get(KEY_VARIABLE)
        if key is not None and (not key or not key.isascii() or not key.isprintable() or key != key.strip()):
            raise MetamodelError(
                f"{KEY_VARIABLE} is empty or holds spaces around it, or other than printable ASCII characters: "
                "set a key, or unset it to serve everyone"
            )
        return cls(key)

    @property
    def is_locked(self) -> bool:
        """Say whether there is a key."""
        return self._expected is not None

    def check(self, authorization: bytes | None) -> None:
        """Compare in a time that does not depend on how much of the key was right.

        Raises:
            Refusal: The header brings no key, or another one.
        """
        if self._expected is None:
            return
        scheme, _, given = (authorization or b"").partition(b" ")
        if not hmac.compare_digest(given.strip(), self._expected) or scheme.lower() != b"bearer":
            raise Refusal(
                401,
                "unauthorized",
                "the request must say Authorization: Bearer KEY, with this server's key",
                headers={"WWW-Authenticate": "Bearer"},
            )
