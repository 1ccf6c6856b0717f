"""Surface features of a list of options: any run of letters, numbers or bullets that mark alternatives."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, NamedTuple

from trainers.inputs.surface_view import TextView, log_count, share, spread, words_of

_MOST_OPTIONS = 30
_MOST_CHARACTERS = 600
_LABEL: Final = r"[*_]{0,2}[(\[]?(?:([A-Z])|([a-z])|(\d{1,2}))(?:[)\]][.:]?|[.:](?=\s|\*|$))[*_]{0,2}"
_AT_LINE: Final = re.compile(r"\s{0,12}" + _LABEL)
# Begins with a space that each candidate has, so that the search skips everything else.
_WITHIN: Final = re.compile(r"\s(?=[*_(\[\w]{1,4}[)\].:])" + _LABEL)
_BULLET: Final = re.compile(r"\s{0,12}[-*•]\s")
_VALUE: Final = re.compile(r"[-+−]?\$?(\d[\d,]{0,20}(?:\.\d{1,20})?)")  # noqa: RUF001 - a minus sign
_SIGNS: Final = re.compile(r"[=+^\\/*<>$%]")
_DIGIT: Final = re.compile(r"\d")
_REFERENCES: Final = ("of these", "the above", "cannot be determined", "not given", "not enough")
# A line such as "Choices:" between the question and its options belongs to neither.
_HEADER: Final = re.compile(r"\n[ \t*_#]{0,8}\w{1,20}(?: \w{1,20}){0,3} ?:[*_ \t]{0,4}\s{0,8}\Z")

NAMES: Final = (
    "stem_characters",
    "stem_is_question",
    "stem_is_unfinished",
    "options",
    "options_have_letters",
    "options_begin_lines",
    "tail_characters",
    "option_characters_mean",
    "option_characters_spread",
    "option_characters_max",
    "option_words_mean",
    "options_share_of_text",
    "longest_option_stands_out",
    "options_of_one_word",
    "options_with_numbers",
    "options_numeric",
    "option_values_rise",
    "option_values_ratio",
    "option_decimals",
    "options_with_signs",
    "options_end_in_period",
    "options_like_each_other",
    "options_begin_alike",
    "options_words_in_stem",
    "options_spread_in_stem",
    "options_that_refer",
    "options_distinct_share",
)
_N_STEM: Final = 3


class _Marker(NamedTuple):
    """An option's label: its kind, its place in the order A, B, C, ..., where it begins and where its text does."""

    kind: str
    place: int
    start: int
    end: int


class _Options(NamedTuple):
    """A list of options.

    Attributes:
        stem: Text before the first marker.
        texts: Text of each option.
        tail: Text after the last one.
        kind: Of the markers; empty for no list.
        begins_lines: Whether the markers stand at beginnings of lines.
    """

    stem: str
    texts: list[str]
    tail: str
    kind: str
    begins_lines: bool


def values(view: TextView) -> list[float]:
    """Return the features that NAMES lists; zeros but for the stem where there is no list."""
    found = _options(view)
    stem = found.stem.rstrip()
    of_stem = [log_count(len(stem)), float("?" in stem[-80:]), float(stem[-1:] not in {"?", ".", "!", ""})]
    if not found.texts:
        return [*of_stem, *[0.0] * (len(NAMES) - _N_STEM)]
    texts = found.texts
    lengths = [*map(len, texts)]
    mean, deviation = spread(lengths)
    longest, second = sorted(lengths, reverse=True)[:2]
    words = [*map(words_of, texts)]
    word_counts = [*map(len, words)]
    joined = "\n".join(texts).lower()
    n = len(texts)
    return [
        *of_stem,
        float(n),
        float(found.kind in {"upper", "lower"}),
        float(found.begins_lines),
        log_count(len(found.tail)),
        log_count(mean),
        log_count(deviation),
        log_count(longest),
        log_count(sum(word_counts) / n),
        share(sum(lengths), len(view.text)),
        share(longest - second, longest),
        share(word_counts.count(1), n),
        share(sum([_DIGIT.search(text) is not None for text in texts]), n),
        *_quantities(texts),
        share(sum([_SIGNS.search(text) is not None for text in texts]), n),
        share(sum([text[-1:] == "." for text in texts]), n),
        *_likeness(words, words_of(found.stem)),
        share(sum(map(joined.count, _REFERENCES)), n),
        share(len(set(texts)), n),
    ]


def _options(view: TextView) -> _Options:
    """Return the longest run of markers in order: at beginnings of lines, else bullets, else within lines."""
    text = view.text
    begins_lines = True
    run = _run_of_lines(view.lines)
    if len(run) < 2:  # noqa: PLR2004 - one marker is no list
        begins_lines = False
        run = _longest_run([_marker(match, match.start() + 1, match.end()) for match in _WITHIN.finditer(text)])
    if len(run) < 2:  # noqa: PLR2004 - one marker is no list
        return _Options(stem=text, texts=[], tail="", kind="", begins_lines=False)
    starts = [marker.start for marker in run[1:]]
    line_end = text.find("\n", run[-1].end)
    end = min(line_end if line_end >= 0 else len(text), run[-1].end + _MOST_CHARACTERS)
    pieces = [
        text[marker.end : min(until, marker.end + _MOST_CHARACTERS)].strip()
        for marker, until in zip(run, [*starts, end], strict=True)
    ]
    stem = text[: run[0].start]
    header = _HEADER.search(stem, max(len(stem) - 100, 0))
    return _Options(
        stem=stem[: header.start()] if header else stem,
        texts=pieces,
        tail=text[end:].strip(),
        kind=run[0].kind,
        begins_lines=begins_lines,
    )


def _run_of_lines(lines: list[str]) -> list[_Marker]:
    """Return the longest run of labels at beginnings of lines, or the bullets where no two labels follow each other."""
    labels: list[_Marker] = []
    bullets: list[_Marker] = []
    position = 0
    for line in lines:
        head = line[:20]
        match = _AT_LINE.match(head)
        if match:
            labels.append(_marker(match, position, position + match.end()))
        else:
            bullet = _BULLET.match(head)
            if bullet:
                bullets.append(_Marker("bullet", len(bullets), position, position + bullet.end()))
        position += len(line) + 1
    run = _longest_run(labels)
    return run if len(run) > 1 else bullets[:_MOST_OPTIONS]


def _marker(match: re.Match[str], start: int, end: int) -> _Marker:
    upper, lower, number = match.groups()
    if upper:
        return _Marker("upper", ord(upper) - ord("A"), start, end)
    if lower:
        return _Marker("lower", ord(lower) - ord("a"), start, end)
    return _Marker("number", int(number) - 1, start, end)


def _longest_run(markers: list[_Marker]) -> list[_Marker]:
    """Return the longest chain A, B, C, ... of one kind of label; of equals the last."""
    best: list[_Marker] = []
    open_runs: dict[str, list[_Marker]] = {}
    for marker in markers:
        run = open_runs.get(marker.kind, [])
        if marker.place == 0:
            run = open_runs[marker.kind] = [marker]
        elif run and marker.place == len(run) < _MOST_OPTIONS:
            run.append(marker)
        if len(run) >= len(best):
            best = run
    return best


def _quantities(texts: list[str]) -> list[float]:
    """Return how many options are numbers, whether these rise, their range in digits and their decimals."""
    matches = [*map(_VALUE.match, texts)]
    numbers = [match.group(1) for match in matches if match]
    if not numbers:
        return [0.0] * 4
    amounts = [float(number.replace(",", "")) for number in numbers]
    rises = len(amounts) > 1 and amounts == sorted(amounts)
    ratio = log_count(max(amounts)) - log_count(min(amounts))
    decimals = [len(number.partition(".")[2]) for number in numbers]
    return [share(len(numbers), len(texts)), float(rises), ratio, spread(decimals)[0]]


def _likeness(words: list[list[bytes]], stem: list[bytes]) -> list[float]:
    """Return how alike the options are, how many begin alike, and how much of them the stem holds."""
    sets = [set(one) for one in words if one]
    if not sets:
        return [0.0] * 4
    total, n = sum(map(len, sets)), len(sets)
    # 1 where all hold the same words, 0 where no two share one.
    alike = share(total - len(set().union(*sets)), total - total / n)
    begins = Counter([one[0] for one in words if one])
    of_stem = set(stem)
    held = [round(100 * len(one & of_stem) / len(one)) for one in sets]
    mean, deviation = spread(held)
    return [alike, share(max(begins.values()) - 1, max(n - 1, 1)), mean / 100, deviation / 100]
