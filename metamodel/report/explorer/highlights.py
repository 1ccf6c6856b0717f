"""Texts cut into segments that a page can mark: copied spans, the loop's cycles, characters that cannot be seen.

Every place is counted in characters (code points) here, where texts are cut. The page receives the segments and never
counts, since a browser counts UTF-16 units.

Shapes: n = outputs, w = n-grams of all outputs together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np

from metamodel.analysis.hash_sets import are_among
from metamodel.analysis.loops import Loop
from metamodel.analysis.ngrams import Unit, split_units
from metamodel.report.visible_text import show

Mark: TypeAlias = Literal["control", "copied", "loop", "cycle"]
FLAGS: Final[dict[Mark, int]] = {"control": 1, "copied": 2, "loop": 4, "cycle": 8}
# A copied span has so many units in a row of the prompt: fewer words are shared by chance.
COPIED_WORDS: Final = 3
COPIED_CHARACTERS: Final = 10
# Words longer than this on average are no words: the script has no spaces.
_LONG_WORD: Final = 10
_MOST_CYCLES: Final = 60
_WORD: Final = re.compile(r"\S+")


class Span(NamedTuple):
    """Characters from `start` to `end` of a text."""

    start: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A stretch of text under the same marks.

    Attributes:
        text: What to print.
        flags: Sum of the `FLAGS` of its marks.
        start: Place of its first character in the text.
    """

    text: str
    flags: int
    start: int


def copied_spans(outputs: Sequence[str], prompts: Sequence[str]) -> list[list[Span]]:
    """Return where each output repeats three words in a row of its prompt, or ten characters in scripts without spaces.

    Args:
        outputs: Outputs, n of them.
        prompts: The prompt of each.

    >>> copied_spans(["I saw the black cat sit."], ["Draw the black cat now"])
    [[Span(start=6, end=19)]]
    """
    is_spaceless = [len(text) > _LONG_WORD * max(len(text.split()), 1) for text in outputs]
    found: list[list[Span]] = [[] for _ in outputs]
    units: tuple[tuple[Unit, int, bool], ...] = (
        ("word", COPIED_WORDS, False),
        ("character", COPIED_CHARACTERS, True),
    )
    for unit, n, spaceless in units:
        rows = [row for row, is_it in enumerate(is_spaceless) if is_it == spaceless]
        if rows:
            spans = _copied([outputs[row] for row in rows], [prompts[row] for row in rows], unit, n)
            for row, mine in zip(rows, spans, strict=True):
                found[row] = mine
    return found


def _copied(outputs: Sequence[str], prompts: Sequence[str], unit: Unit, n: int) -> list[list[Span]]:
    mine, theirs = split_units(outputs, unit).ngrams(n), split_units(prompts, unit).ngrams(n)
    groups = np.arange(len(outputs))
    is_copied = are_among(mine.keys(groups), theirs.keys(groups))
    ends = np.cumsum(mine.lengths)
    found = []
    for text, length, end in zip(outputs, mine.lengths.tolist(), ends.tolist(), strict=True):
        begins = np.flatnonzero(is_copied[end - length : end])
        places = _unit_spans(text, unit) if len(begins) else []
        runs: list[Span] = []
        for begin in begins.tolist():
            span = Span(places[begin].start, places[begin + n - 1].end)
            if runs and span.start <= runs[-1].end:
                runs[-1] = Span(runs[-1].start, span.end)
            else:
                runs.append(span)
        found.append(runs)
    return found


def _unit_spans(text: str, unit: Unit) -> list[Span]:
    if unit == "character":
        return [Span(place, place + 1) for place in range(len(text))]
    return [Span(*match.span()) for match in _WORD.finditer(text)]


def cycle_spans(loop: Loop, length: int) -> list[Span]:
    """Return the cycles of a loop, the unfinished last one too; of very many the last span holds the rest.

    Args:
        loop: What `find_loop` found.
        length: Length of the text in characters.

    >>> cycle_spans(Loop(onset=2, period=3, cycles=2.5), 9)
    [Span(start=2, end=5), Span(start=5, end=8), Span(start=8, end=9)]
    """
    bounds = list(range(loop.onset, length, loop.period))[:_MOST_CYCLES]
    return [Span(start, end) for start, end in pairwise([*bounds, length])]


def segments_of(
    text: str, marks: Iterable[tuple[Span, int]] = (), *, cuts: Iterable[int] = (), limit: int | None = None
) -> list[Segment]:
    """Cut a text wherever a mark begins or ends, at further places, and around characters that cannot be seen.

    Args:
        text: An untrusted text.
        marks: Spans with the flags of their marks; those of overlapping spans are joined.
        cuts: Further places to cut at.
        limit: Most characters that are kept.

    >>> [(s.text, s.flags) for s in segments_of("a\u200bbc", [(Span(2, 4), FLAGS["copied"])])]
    [('a', 0), ('U+200B', 1), ('bc', 2)]
    """
    kept = text if limit is None else text[:limit]
    flags = np.zeros(len(kept), dtype=np.int64)
    bounds = {0, len(kept), *(cut for cut in cuts if 0 < cut < len(kept))}
    for span, flag in marks:
        flags[span.start : span.end] |= flag
        bounds |= {place for place in span if 0 < place < len(kept)}
    ordered = sorted(bounds)
    return [
        segment
        for start, end in pairwise(ordered)
        for segment in _shown(kept[start:end], start, int(flags[start]) if start < len(kept) else 0)
    ]


def _shown(text: str, start: int, flags: int) -> Iterable[Segment]:
    place = start
    for piece in show(text).pieces:
        if piece.is_control:
            yield Segment(text=piece.text, flags=flags | FLAGS["control"], start=place)
            # The arrow stands for a line break, which the next piece then makes.
            place += 0 if piece.text == "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}" else 1
        else:
            yield Segment(text=piece.text, flags=flags, start=place)
            place += len(piece.text)
