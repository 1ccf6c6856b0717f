"""Surface features of single characters: classes, marks, scripts, what stands first and last."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import Final

from trainers.inputs.surface_view import DIGIT, LOWER, MARK, OTHER, SPACE, UPPER, TextView, log_count, share

_CLASSES: Final = {"upper": UPPER, "lower": LOWER, "digit": DIGIT, "space": SPACE, "mark": MARK, "other": OTHER}
_MARKS: Final = {
    "question_mark": "?",
    "exclamation_mark": "!",
    "period": ".",
    "comma": ",",
    "colon": ":",
    "semicolon": ";",
    "apostrophe": "'",
    "double_quote": '"',
    "hyphen": "-",
    "round_bracket": "(",
    "square_bracket": "[",
    "curly_bracket": "{",
    "slash": "/",
    "backslash": "\\",
    "dollar": "$",
    "percent": "%",
    "equals": "=",
    "plus": "+",
    "asterisk": "*",
    "less_than": "<",
    "greater_than": ">",
    "caret": "^",
    "underscore": "_",
    "pipe": "|",
    "backtick": "`",
    "hash": "#",
    "at": "@",
    "ampersand": "&",
    "tab": "\t",
}
# Unicode blocks, by their first and last code points, grouped so that no script is without a group.
_SCRIPTS: Final = {
    "accented": ((0xC0, 0x24F), (0x300, 0x36F), (0x1E00, 0x1EFF)),
    "greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "cyrillic": ((0x400, 0x52F),),
    "right_to_left": ((0x590, 0x8FF), (0xFB1D, 0xFDFF), (0xFE70, 0xFEFF)),
    "indic": ((0x900, 0xDFF),),
    "han": ((0x2E80, 0x2FDF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
    "kana_hangul": ((0x1100, 0x11FF), (0x3040, 0x318F), (0xAC00, 0xD7AF)),
    "mathematical_sign": (
        (0xB0, 0xB3),
        (0xB7, 0xB9),
        (0xD7, 0xD7),
        (0x2070, 0x209F),
        (0x2190, 0x23FF),
        (0x27C0, 0x2AFF),
    ),
    "pictograph": ((0x2600, 0x27BF), (0x1F000, 0x1FAFF)),
}
_BLOCKS: Final = sorted((low, high, group) for group, blocks in enumerate(_SCRIPTS.values()) for low, high in blocks)
_BLOCK_STARTS: Final = [low for low, _, _ in _BLOCKS]
_EDGES: Final = ("upper", "lower", "digit", "mark", "other")

_QUESTION_ENDS: Final = frozenset("?？؟")  # noqa: RUF001 - a question in other scripts
_COLON_ENDS: Final = frozenset(":：")  # noqa: RUF001 - a colon in other scripts
_PERIOD_ENDS: Final = frozenset(".。।")

NAMES: Final = (
    "characters",
    *(f"share_{name}" for name in _CLASSES),
    *(f"count_{name}" for name in _MARKS),
    "marks_per_word",
    "kinds_of_marks",
    *(f"share_{name}" for name in _SCRIPTS),
    *(f"first_{name}" for name in _EDGES),
    *(f"last_{name}" for name in _EDGES),
    "ends_question",
    "ends_colon",
    "ends_period",
    "ends_space",
)


def values(view: TextView) -> list[float]:
    """Return the features that NAMES lists."""
    text, n = view.text, len(view.text)
    counts = [view.classes.count(kind) for kind in _CLASSES.values()]
    n_other, n_marks = counts[-1], counts[-2]
    marks = [text.count(mark) for mark in _MARKS.values()] if n_marks else [0] * len(_MARKS)
    stripped = text.strip()
    last = stripped[-1:]
    return [
        log_count(view.n_characters),
        *[share(count, n) for count in counts],
        *map(log_count, marks),
        share(n_marks, len(view.words)),
        float(len(marks) - marks.count(0)),
        *_script_shares(text, n_other),
        *_edge(stripped[:1]),
        *_edge(last),
        float(last in _QUESTION_ENDS),
        float(last in _COLON_ENDS),
        float(last in _PERIOD_ENDS),
        float(text[-1:].isspace()),
    ]


def _script_shares(text: str, n_other: int) -> list[float]:
    """Return the share of all characters that each group of scripts has."""
    counts = [0] * len(_SCRIPTS)
    if n_other:
        for character, count in Counter(text).items():
            point = ord(character)
            place = bisect_right(_BLOCK_STARTS, point) - 1
            if place >= 0 and point <= _BLOCKS[place][1]:
                counts[_BLOCKS[place][2]] += count
    return [share(count, len(text)) for count in counts]


def _edge(character: str) -> list[float]:
    """Return one 1 for the class of a character; zeros for none."""
    if not character:
        return [0.0] * len(_EDGES)
    if character.isupper():
        place = 0
    elif character.islower():
        place = 1
    elif character.isdigit():
        place = 2
    else:
        place = 3 if character.isascii() else 4
    return [float(place == position) for position in range(len(_EDGES))]
