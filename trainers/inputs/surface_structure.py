"""Surface features of structure and numbers: lines, lists, tables, code, LaTeX, blanks; how many numbers, how large."""

from __future__ import annotations

import re
from typing import Final

from trainers.inputs.surface_view import DIGIT, MARK, TextView, log_count, share, spread

_MOST_NUMBERS = 500
# Bounded repeats: a run of digits without end must not be read twice.
_NUMBER: Final = re.compile(r"\d[\d,]{0,40}(?:\.\d{1,40})?")
_LATEX: Final = re.compile(r"\\[A-Za-z]{1,30}|\$[^$\n]{1,200}\$")
_FORMULA: Final = re.compile(r"[=<>+*/^](?<=[\w)\]\s].)\s?[-\w(\[\\]")
_CALL: Final = re.compile(r"\((?<=\w.)[^()\n]{0,80}\)")
_TAG: Final = re.compile(r"</?[A-Za-z][^<>\n]{0,60}>")
_BULLETS: Final = frozenset({"- ", "* ", "• "})
_LABEL_CHARACTERS: Final = 24
_YEAR_BEGINS: Final = frozenset({"17", "18", "19", "20"})
_YEAR_DIGITS: Final = 4

NAMES: Final = (
    "lines",
    "empty_line_share",
    "line_length_mean",
    "line_length_spread",
    "line_length_max",
    "last_line_length",
    "indented_line_share",
    "colon_line_share",
    "labeled_line_share",
    "bullets",
    "table_lines",
    "code_fences",
    "headings",
    "tags",
    "links",
    "blanks",
    "latex",
    "formulas",
    "calls",
    "sign_runs",
    "place_of_last_question_mark",
    "numbers",
    "numbers_per_word",
    "distinct_number_share",
    "number_digits_mean",
    "number_digits_max",
    "number_digits_spread",
    "share_with_decimals",
    "share_of_small_numbers",
    "share_of_years",
    "share_of_round_numbers",
    "last_number_digits",
)


def values(view: TextView) -> list[float]:
    """Return the features that NAMES lists."""
    text, lines = view.text, view.lines
    n = len(lines)
    lengths = [*map(len, lines)]
    mean, deviation = spread(lengths)
    return [
        log_count(n),
        share(lengths.count(0), n),
        log_count(mean),
        log_count(deviation),
        log_count(max(lengths)),
        log_count(lengths[-1]),
        share(text.count("\n  ") + text.count("\n\t"), n),
        share(text.count(":\n"), n),
        share(sum([line.find(":", 0, _LABEL_CHARACTERS) > 0 for line in lines]), n) if ":" in text else 0.0,
        log_count(sum([line.lstrip()[:2] in _BULLETS for line in lines])),
        log_count(sum([line.count("|") > 1 for line in lines])) if "|" in text else 0.0,
        log_count(text.count("```")),
        log_count(sum([line[:1] == "#" for line in lines])) if "#" in text else 0.0,
        log_count(len(_TAG.findall(text))) if "<" in text else 0.0,
        log_count(text.count("http") + text.count("www.")),
        log_count(text.count("___") + text.count("....")),
        log_count(len(_LATEX.findall(text))) if "\\" in text or "$" in text else 0.0,
        log_count(len(_FORMULA.findall(text))),
        log_count(len(_CALL.findall(text))) if "(" in text else 0.0,
        log_count(view.classes.count(MARK + MARK)),
        share(text.rfind("?") + 1, len(text)),
        *_numbers(view),
    ]


def _numbers(view: TextView) -> list[float]:
    """Return how many numbers there are, how different and how large."""
    if DIGIT not in view.classes:
        return [0.0] * 11
    found = _NUMBER.findall(view.text)[:_MOST_NUMBERS]
    whole = [number.partition(".")[0].replace(",", "") for number in found]
    digits = [*map(len, whole)]
    mean, deviation = spread(digits)
    n = len(found)
    return [
        log_count(n),
        share(n, len(view.words)),
        share(len(set(found)), n),
        mean,
        float(max(digits, default=0)),
        deviation,
        share(sum(["." in number for number in found]), n),
        share(digits.count(1), n),
        share(sum([len(part) == _YEAR_DIGITS and part[:2] in _YEAR_BEGINS for part in whole]), n),
        share(sum([len(part) > 1 and part[-1] == "0" for part in whole]), n),
        float(digits[-1]) if digits else 0.0,
    ]
