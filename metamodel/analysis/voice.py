"""What an output says in its author's own voice: code, quotations, letters, dialogue and verse are set apart.

Behaviors of stance (refusing, apologizing, asking back) are about what the primary model says to its reader, not about
what it makes a character, a correspondent or a program say. Ground floor: nothing here but the standard library.

English only: so are the letters, speakers and sentences that it knows. Time is linear in the text.
"""

from __future__ import annotations

import re
from typing import Final

# Stands for each character that somebody else says, so that places and lengths stay what they were.
OTHER_VOICE: Final = "\x1a"

_APOSTROPHES: Final = ("\u2019", "\u2018", "\u02bc")
_CODE: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]{1,200}`", re.DOTALL)
_QUOTED: Final = re.compile(
    r'"[^"\n]{1,600}"'
    r"|\u201c[^\u201d\n]{1,600}\u201d"
    r"|\u00ab[^\u00bb\n]{1,600}\u00bb"
    r"|(?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w)){1,600}'(?!\w)"
    r"|^>[^\n]*",
    re.MULTILINE,
)
_LETTER: Final = re.compile(
    r"^[ \t*]*(?:subject:[^\n]*|dear (?!user|friend)[^\n,]{1,40},|(?:dear|hi|hello|hey)[ \t]+(?!user\b|friend\b"
    r"|there\b)[^\n,:!.?]{1,60}[,:][ \t]*$)",
    re.MULTILINE,
)
_SPEAKER: Final = re.compile(
    r"^[ \t*_]*(?!note\b|step\b|answer\b)([a-z][\w.' -]{0,24}?)[*_]*:[*_]*[ \t]+\S[^\n]*", re.MULTILINE
)
_OWN_LABELS: Final = frozenset(
    [
        "ai",
        "assistant",
        "answer",
        "response",
        "reply",
        "output",
        "bot",
        "chatbot",
        "chatgpt",
        "gpt",
        "model",
        "system",
        "warning",
        "disclaimer",
        "important",
        "explanation",
        "solution",
        "a",
    ]
)
_LIST_ITEM: Final = re.compile(r"\s*(?:[-*+\u2022\u2013]\s|\(?\d{1,3}[.):]|\(?[a-z][.)]\s)")
_LONGEST_VERSE: Final = 64
_LEAST_LINES: Final = 3
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+|\n+")


def plain(text: str) -> str:
    """Return the text in lower case with straight apostrophes.

    >>> plain("I\u2019m Sorry")
    "i'm sorry"
    """
    if not text.isascii():
        for apostrophe in _APOSTROPHES:
            text = text.replace(apostrophe, "'")
        text = text.replace("\u00a0", " ")
    return text.lower()


def own_voice(text: str) -> str:
    r"""Blank out what somebody else says: every such character becomes `OTHER_VOICE`, all others stay in place.

    Code, quotations, a letter from its salutation on, dialogue of two or more labeled lines, verse (three short lines
    in a row, most without a full stop) and the action of a role play are somebody else's.

    Args:
        text: A text as `plain` returns it.

    >>> own_voice('she said "i won\'t" twice').replace(OTHER_VOICE, "_")
    'she said _________ twice'
    """
    if text.lstrip().startswith("*") and re.match(r"\s*\*[a-z][^*\n]{2,200}\*(?!\*)", text):
        return OTHER_VOICE * len(text)
    text = _CODE.sub(_blank, text) if "`" in text else text
    text = _QUOTED.sub(_blank, text)
    letter = _LETTER.search(text)
    if letter:
        text = text[: letter.start()] + OTHER_VOICE * (len(text) - letter.start())
    lines = text.split("\n")
    for first, last in [*_dialogue(lines), *_verses(lines)]:
        lines[first:last] = [OTHER_VOICE * len(line) for line in lines[first:last]]
    return "\n".join(lines)


def sentences(text: str) -> list[str]:
    """Return the sentences and lines of a text that hold anything, without the space around them."""
    return [piece.strip() for piece in _SENTENCE_END.split(text) if piece and not piece.isspace()]


def is_list_item(line: str) -> bool:
    """Say whether a line begins with a bullet, a number or a letter of a list."""
    return _LIST_ITEM.match(line) is not None


def _blank(found: re.Match[str]) -> str:
    return OTHER_VOICE * len(found[0])


def _dialogue(lines: list[str]) -> list[tuple[int, int]]:
    """Return the labeled lines as (first, after last), if two or more are and the label is not the assistant's."""
    labels = [_SPEAKER.match(line) for line in lines]
    spoken = [row for row, label in enumerate(labels) if label and label[1].strip() not in _OWN_LABELS]
    return [(row, row + 1) for row in spoken] if len(spoken) > 1 else []


def _verses(lines: list[str]) -> list[tuple[int, int]]:
    """Return the stanzas as (first, after last)."""
    found = []
    first = 0
    for row in range(len(lines) + 1):
        if row < len(lines) and _is_verse_line(lines[row]):
            continue
        stanza = lines[first:row]
        n_open = sum(not line.rstrip().endswith((".", "!", "?", ":", OTHER_VOICE)) for line in stanza)
        if len(stanza) >= _LEAST_LINES and 2 * n_open >= len(stanza):
            found.append((first, row))
        first = row + 1
    return found


def _is_verse_line(line: str) -> bool:
    return 0 < len(line.strip()) <= _LONGEST_VERSE and not is_list_item(line)
