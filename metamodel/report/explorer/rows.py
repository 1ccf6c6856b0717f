"""One sampled prompt as the page's script reads it: segments, labels, predictions, words.

The script never counts characters: texts arrive cut (`highlights`), and words name segments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from metamodel.analysis.loops import Loop
from metamodel.labels import MISSING_CODE
from metamodel.report.explorer.highlights import FLAGS, Segment, Span, cycle_spans, segments_of
from metamodel.report.explorer.occlusion import WordEffect
from metamodel.report.visible_text import plain
from metamodel.types import JSONValue

_LIKELIEST: Final = 3
_BINARY: Final = 2


@dataclass(frozen=True, kw_only=True)
class ShownOutput:
    """One sampled output.

    Attributes:
        text: The output.
        finish_reason: Why it ended; empty if unknown.
        copied: Spans copied from the prompt.
        loop: Its loop, if it has one.
        codes: Outcome of each behavior, `MISSING_CODE` where it has none.
    """

    text: str
    finish_reason: str
    copied: Sequence[Span]
    loop: Loop | None
    codes: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class ShownPrompt:
    """One sampled prompt.

    Attributes:
        prompt_id: Its id.
        primary: Number of the primary model.
        domain: Number of the domain.
        split: Number of the split that it was judged on.
        surprised_by: Number of the behavior that it was picked for; None for a random one.
        text: The prompt.
        outputs: Outputs that are shown.
        n_outputs: Outputs there are.
        predictions: Outcome probabilities of each column; None where it was not predicted.
        bits: Bits lost of each column; None without a label.
        counts: How often each outcome of each behavior came, over all outputs.
        words: Words that moved the prediction of each behavior by its best metamodel; without a key where unknown.
    """

    prompt_id: str
    primary: int
    domain: int
    split: int
    surprised_by: int | None
    text: str
    outputs: Sequence[ShownOutput]
    n_outputs: int
    predictions: Sequence[Sequence[float] | None]
    bits: Sequence[float | None]
    counts: Sequence[Sequence[int]]
    words: Mapping[int, Sequence[WordEffect]]


def row_to_json(row: ShownPrompt, *, limit: int) -> dict[str, JSONValue]:
    """Return what the script reads.

    Args:
        row: The prompt.
        limit: Most characters of the prompt and of each output.
    """
    cuts = {place for words in row.words.values() for word in words for place in word[:2]}
    segments = segments_of(row.text, cuts=cuts, limit=limit)
    return {
        "id": plain(row.prompt_id, limit=64),
        "p": row.primary,
        "d": row.domain,
        "s": row.split,
        "why": row.surprised_by,
        "prompt": _to_json(segments),
        "cut": max(len(row.text) - limit, 0),
        "outs": [_output_to_json(output, limit=limit) for output in row.outputs],
        "more": row.n_outputs - len(row.outputs),
        "pred": [_prediction_to_json(values) for values in row.predictions],
        "bits": [None if value is None or not math.isfinite(value) else round(value, 3) for value in row.bits],
        # The most frequent outcome first.
        "seen": [
            [
                [code, counts[code]]
                for code in sorted(range(len(counts)), key=lambda at: (-counts[at], at))
                if counts[code]
            ]
            for counts in row.counts
        ],
        "words": {
            str(behavior): [_word_to_json(word, row.text, segments) for word in words]
            for behavior, words in row.words.items()
        },
    }


def _output_to_json(output: ShownOutput, *, limit: int) -> dict[str, JSONValue]:
    marks = [(span, FLAGS["copied"]) for span in output.copied]
    loop: JSONValue = None
    if output.loop is not None:
        cycles = cycle_spans(output.loop, len(output.text))
        marks += [(span, FLAGS["loop"] | (FLAGS["cycle"] if place % 2 else 0)) for place, span in enumerate(cycles)]
        loop = [output.loop.onset, output.loop.period, round(output.loop.cycles, 1)]
    return {
        "t": _to_json(segments_of(output.text, marks, limit=limit)),
        "cut": max(len(output.text) - limit, 0),
        "f": plain(output.finish_reason, limit=40),
        "loop": loop,
        "copied": sum(span.end - span.start for span in output.copied),
        "codes": [None if code == MISSING_CODE else code for code in output.codes],
    }


def _to_json(segments: Sequence[Segment]) -> list[JSONValue]:
    """Return plain segments as texts and marked ones as [flags, text]."""
    return [segment.text if not segment.flags else [segment.flags, segment.text] for segment in segments]


def _word_to_json(word: WordEffect, text: str, segments: Sequence[Segment]) -> list[JSONValue]:
    """Return a word's first segment, the one behind its last, its effect, and its text where the prompt is cut."""
    inside = [place for place, segment in enumerate(segments) if word.start <= segment.start < word.end]
    shown = plain(text[word.start : word.end], limit=60)
    if not inside:
        return [-1, -1, word.effect, shown]
    return [inside[0], inside[-1] + 1, word.effect, shown]


def _prediction_to_json(values: Sequence[float] | None) -> JSONValue:
    """Return the probability of the second of two outcomes, or the likeliest of more with their probabilities."""
    if values is None:
        return None
    if len(values) == _BINARY:
        return round(values[1], 4)
    likeliest = sorted(range(len(values)), key=lambda code: (-values[code], code))[:_LIKELIEST]
    return [[code, round(values[code], 4)] for code in likeliest]
