"""The key to an endpoint: read from the environment, sent to the endpoint, shown to nobody."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from urllib.parse import quote

from metamodel.errors import MetamodelError

# A shorter key ("EMPTY", "none") may be an ordinary word of an output.
_TELLING_CHARS = 16
_HIDDEN = "[key]"


class ApiKey:
    """A secret that does not show in repr, str or tracebacks with variables.

    Attributes:
        name: Of the environment variable that holds it.
    """

    def __init__(self, name: str) -> None:
        """Read the environment variable.

        Raises:
            MetamodelError: It is not set, empty, or no HTTP header can hold it.
        """
        self.name = name
        secret = os.environ.get(name, "").strip()
        if not secret:
            raise MetamodelError(
                f"the environment variable {name}, which api_key_env names, is not set: export {name}=YOUR_KEY"
            )
        if not (secret.isascii() and secret.isprintable()) or " " in secret:
            raise MetamodelError(
                f"the environment variable {name} holds characters that no key has (a line break, a space, a letter "
                "outside ASCII): export it again"
            )
        self._secret = secret

    def __repr__(self) -> str:
        """Name the variable, not the secret."""
        return f"ApiKey({self.name!r})"

    def header(self) -> str:
        """Return the value of the Authorization header."""
        return f"Bearer {self._secret}"

    def hide(self, text: str, *, is_output: bool = False) -> str:
        """Return the text without the key; in outputs a key that may be an ordinary word stays."""
        if is_output and len(self._secret) < _TELLING_CHARS:
            return text
        if "\\" in text:
            # Escapes may hide it: "sk\\u002d1" is "sk-1" to who reads the JSON.
            with suppress(ValueError, RecursionError):
                text = json.dumps(json.loads(text), ensure_ascii=False)
        for form in {self._secret, quote(self._secret, safe=""), json.dumps(self._secret)[1:-1]}:
            text = text.replace(form, _HIDDEN)
        return text
