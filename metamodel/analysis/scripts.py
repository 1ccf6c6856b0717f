"""The writing systems of a text.

Ground floor: nothing here imports another module of the project.
"""

from __future__ import annotations

import functools
import re
import string
import unicodedata
from collections import Counter
from typing import Final

_NON_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_ASCII_OTHERS: Final = bytes(code for code in range(128) if chr(code) not in string.ascii_letters)
# First words of Unicode's names for what people know under another one; the names follow the Script property.
_RENAMED: Final = {
    "CJK": "han",
    "IDEOGRAPHIC": "han",
    "HIRAGANA": "kana",
    "KATAKANA": "kana",
    "KATAKANA-HIRAGANA": "kana",
}


def script_counts(text: str) -> Counter[str]:
    """Return how many letters of each writing system a text has, by lower-case name ("latin", "han", "kana").

    A letter's script is the first word of its Unicode name, after compatibility decomposition; hiragana and katakana
    are "kana", CJK ideographs "han". Combining marks, digits and symbols have none.

    >>> sorted(script_counts("Tokyo 東京 とうきょう").items())
    [('han', 2), ('kana', 5), ('latin', 5)]
    """
    counts: Counter[str] = Counter()
    n_ascii = len(text.encode("ascii", errors="ignore").translate(None, delete=_ASCII_OTHERS))
    if n_ascii:
        counts["latin"] = n_ascii
    if not text.isascii():
        for char, count in Counter(_NON_ASCII.findall(text)).items():
            script = _script(char)
            if script:
                counts[script] += count
    return counts


@functools.lru_cache(maxsize=8192)
def _script(char: str) -> str:
    """Return the script of a letter; nothing for other characters."""
    plain = unicodedata.normalize("NFKC", char)[:1]
    if not unicodedata.category(plain).startswith("L"):
        return ""
    name = unicodedata.name(plain, "").split(" ", 1)[0]
    return _RENAMED.get(name, name.lower())
