"""Regular expressions of users, which must not be able to hang.

Ground floor: nothing here imports another module of the project but its errors. Python's own `re` cannot be
interrupted, so that a pattern such as (a+)+$ never ends on an unlucky output; the `regex` library can.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    import regex

Occurrence: TypeAlias = Literal["first", "last"]

LONGEST_PATTERN: Final = 2_000
LONGEST_SEARCHED: Final = 1_000_000
TIMEOUT_S: Final = 1.0
_MOST_MATCHES: Final = 100_000


class PatternTimeoutError(Exception):
    """A search that was given up: the pattern backtracks too much on this text."""


@functools.lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """Compile a user's pattern once.

    Args:
        pattern: Regular expression in the syntax of Python's `re`, which the `regex` library extends.

    Raises:
        ValueError: It is too long or no regular expression.
    """
    import regex

    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"pattern has {len(pattern)} characters, must have at most {LONGEST_PATTERN}")
    try:
        return regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValueError(f"pattern is {pattern!r}, must be a regular expression: {error}") from error


def find_pattern(pattern: str, text: str, *, take: Occurrence = "first") -> str | None:
    r"""Return what a pattern finds in the first million characters of a text, or None.

    Args:
        pattern: Regular expression; its first group is what counts, or all of it where it has none.
        text: An output.
        take: Which of several matches counts.

    Raises:
        PatternTimeoutError: The search took longer than a second.
        ValueError: The pattern is none.

    >>> find_pattern(r"\[(yes|no)\]", "[yes], or rather [no]", take="last")
    'no'
    """
    compiled = compile_pattern(pattern)
    found = None
    try:
        for n_seen, match in enumerate(compiled.finditer(text, endpos=LONGEST_SEARCHED, timeout=TIMEOUT_S)):
            found = match
            if take == "first" or n_seen >= _MOST_MATCHES:
                break
    except TimeoutError as error:
        raise PatternTimeoutError(f"pattern {pattern!r} took longer than {TIMEOUT_S:g} s") from error
    if found is None:
        return None
    group = found[1] if compiled.groups else found[0]
    return group or ""
