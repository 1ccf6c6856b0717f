"""Untrusted text made safe to look at: nothing invisible, nothing that reorders what stands beside it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

# Controls, format characters (bidi overrides, zero-width characters, tags), surrogates, private use, unassigned, line
# and paragraph separators: what a reader cannot see, or what moves what a reader sees.
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARK_CATEGORIES: Final = frozenset({"Mn", "Me"})
_MAX_MARKS: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A stretch of shown text.

    Attributes:
        text: What to print.
        is_control: Whether it stands for a character that cannot be shown as itself.
    """

    text: str
    is_control: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A text as it is shown.

    Attributes:
        pieces: Stretches to print, one after the other.
        n_cut: Characters at the end that are not shown.
    """

    pieces: tuple[Piece, ...]
    n_cut: int


def show(text: str, *, limit: int | None = None) -> Shown:
    """Split a text into what can be printed and names of what cannot, at most `limit` characters of it.

    >>> [piece.text for piece in show("a" + chr(0x202E) + "b").pieces]
    ['a', 'U+202E', 'b']
    """
    kept = text if limit is None else text[:limit]
    pieces: list[Piece] = []
    plain: list[str] = []
    n_marks = 0
    for char in kept:
        n_marks = n_marks + 1 if unicodedata.category(char) in _MARK_CATEGORIES else 0
        name = _control_name(char, n_marks=n_marks)
        if not name:
            plain.append(char)
            continue
        if plain:
            pieces.append(Piece(text="".join(plain)))
            plain = []
        pieces.append(Piece(text=name, is_control=True))
        if char == "\n":
            plain.append(char)
    if plain:
        pieces.append(Piece(text="".join(plain)))
    return Shown(pieces=tuple(pieces), n_cut=len(text) - len(kept))


def plain(text: str, *, limit: int | None = None) -> str:
    """Return a text on one line in which every hidden character is named, for charts, titles and terminals.

    >>> plain("a" + chr(0) + "b")
    'a<U+0000>b'
    """
    if text.isascii() and text.isprintable() and (limit is None or len(text) <= limit):
        return text
    shown = show(text.replace("\n", " "), limit=limit)
    line = "".join(f"<{piece.text}>" if piece.is_control else piece.text for piece in shown.pieces)
    return line + "…" * bool(shown.n_cut)


def _control_name(char: str, *, n_marks: int) -> str:
    """Return how to name a character, or nothing if it may stand for itself."""
    if char == "\n":
        return "↵"
    if char == "\t":
        return "⇥"
    # Marks pile up on one letter without end and would be drawn over the neighboring rows.
    if unicodedata.category(char) in _HIDDEN_CATEGORIES or n_marks > _MAX_MARKS:
        return f"U+{ord(char):04X}"
    return ""
