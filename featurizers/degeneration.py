"""Degeneration: outputs that stop saying anything new."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from typing import ClassVar, Final, Literal, TypeAlias, get_args

import numpy as np

from metamodel.analysis.loops import check_loop_limits, find_loop
from metamodel.analysis.ngrams import Unit, check_n, check_unit, row_shares
from metamodel.analysis.pieces import pieces_of
from metamodel.labels import Binary, Count, LabelSpace, Real
from metamodel.types import FloatArray, GenerationBatch, Need

LoopMeasure: TypeAlias = Literal["onset", "period", "cycles"]

_BLEU_ORDERS: Final = 4
# What stands for a count of no match, so that one missing order does not make the product zero.
_NO_MATCH: Final = 0.1
_DEFLATE_LEVEL: Final = 6


@dataclass(frozen=True, kw_only=True)
class RepetitionLoop:
    """1 if the output becomes periodic, else 0: it ends in at least `min_cycles` cycles of the same characters.

    f(y) = 1 if a suffix of y, of length L with smallest period p, has L >= min_cycles * p and L >= min_length. The last
    cycle need not be finished. Whitespace is text.

    Label space: binary. Needs: the output alone.
    Source: the repetition loops of Holtzman et al., The Curious Case of Neural Text Degeneration (2020). `loop_shape`
    tells where a loop begins and how long its period is.

    Attributes:
        min_cycles: Fewest cycles, at least 2.
        min_length: Fewest characters of all cycles together.

    >>> from metamodel.text import text_batch
    >>> RepetitionLoop().label(text_batch(["I am so sad, so sad, so sad, so", "no, no, no"]))
    array([1., 0.])
    """

    min_cycles: int = 3
    min_length: int = 12

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_loop_limits(self.min_cycles, self.min_length)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where the output loops, else 0, [n]."""
        found = (
            find_loop(text, min_cycles=self.min_cycles, min_length=self.min_length) is not None for text in batch.texts
        )
        return np.fromiter(found, dtype=np.float64, count=len(batch))


@dataclass(frozen=True, kw_only=True)
class LoopShape:
    """Where an output's repetition loop begins, how long its period is, or how often it runs; missing without a loop.

    Of all suffixes of y that are loops as `repetition_loop` defines them, take the longest one, of length L with
    smallest period p. Then f(y) is the onset |y| - L, the period p, or the whole cycles, L / p rounded down.

    Label space: count, in the default bins; characters, or cycles. Needs: the output alone.
    Source: the repetition loops of Holtzman et al., The Curious Case of Neural Text Degeneration (2020).

    Attributes:
        measure: "onset", "period" or "cycles".
        min_cycles: Fewest cycles, at least 2.
        min_length: Fewest characters of all cycles together.

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["I am so sad, so sad, so sad, so", "no, no, no"])
    >>> [LoopShape(measure=measure).label(batch).tolist() for measure in ("onset", "period", "cycles")]
    [[4.0, nan], [8.0, nan], [3.0, nan]]
    """

    measure: LoopMeasure = "onset"
    min_cycles: int = 3
    min_length: int = 12

    space: ClassVar[LabelSpace] = Count()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_loop_limits(self.min_cycles, self.min_length)
        if self.measure not in get_args(LoopMeasure):
            raise ValueError(f"measure is {self.measure!r}, must be one of {', '.join(get_args(LoopMeasure))}")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the measure of each loop, NaN where the output does not loop, [n]."""
        labels = np.full(len(batch), np.nan)
        for row, text in enumerate(batch.texts):
            loop = find_loop(text, min_cycles=self.min_cycles, min_length=self.min_length)
            if loop:
                labels[row] = int(getattr(loop, self.measure))
        return labels


@dataclass(frozen=True, kw_only=True)
class SeqRep:
    """Share of the output's n-grams that repeat an earlier one (seq-rep-n); missing for outputs of fewer than n units.

    f(y) = 1 - |distinct n-grams of y| / |n-grams of y|. N-grams are compared by 64-bit hashes.

    Label space: real, 0 to 1. Needs: the output alone.
    Source: seq-rep-n of Welleck et al., Neural Text Generation with Unlikelihood Training (2020), section 6; over words
    where they take the model's tokens.

    Attributes:
        n: Units in a row.
        unit: "word" or "character".

    >>> from metamodel.text import text_batch
    >>> SeqRep(n=2).label(text_batch(["so it goes so it goes", "so"]))
    array([0.4, nan])
    """

    n: int = 4
    unit: Unit = "word"

    space: ClassVar[LabelSpace] = Real()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_n(self.n)
        check_unit(self.unit)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the share of repeated n-grams, NaN where there is no n-gram, [n]."""
        return 1 - _distinct_share(batch, self.n, self.unit)


@dataclass(frozen=True, kw_only=True)
class Distinct:
    """Share of the output's n-grams that are different (distinct-n); missing for an output of fewer than n units.

    f(y) = |distinct n-grams of y| / |n-grams of y|: one minus seq-rep-n, at the n that its own literature uses. N-grams
    are compared by 64-bit hashes.

    Label space: real, 0 to 1. Needs: the output alone.
    Source: Li et al., A Diversity-Promoting Objective Function for Neural Conversation Models (2016), there over all
    outputs together, here over each.

    Attributes:
        n: Units in a row.
        unit: "word" or "character".

    >>> from metamodel.text import text_batch
    >>> Distinct().label(text_batch(["so it goes so it goes", "so"]))
    array([0.6, nan])
    """

    n: int = 2
    unit: Unit = "word"

    space: ClassVar[LabelSpace] = Real()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_n(self.n)
        check_unit(self.unit)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the share of different n-grams, NaN where there is no n-gram, [n]."""
        return _distinct_share(batch, self.n, self.unit)


@dataclass(frozen=True, kw_only=True)
class CompressionRatio:
    """How many times smaller DEFLATE makes the output; high where it repeats itself; missing for an empty output.

    f(y) = |y| / |deflate(y)|, in bytes of UTF-8, without zlib's header and checksum. Short outputs stay near 1 whatever
    they say: compare outputs of similar length.

    Label space: real, 0 to 6 in 24 bins. Needs: the output alone.
    Source: Shaib et al., Standardizing the Measurement of Text Diversity (2024), with DEFLATE at level 6 (they use
    gzip). Another build of zlib may compress by a byte more or less.

    >>> from metamodel.text import text_batch
    >>> CompressionRatio().label(text_batch(["so it goes " * 20, ""])).round(1)
    array([13.8,  nan])
    """

    space: ClassVar[LabelSpace] = Real(low=0.0, high=6.0, n_bins=24)
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the ratio, NaN for empty outputs, [n]."""
        ratios = np.full(len(batch), np.nan)
        for row, text in enumerate(batch.texts):
            if text:
                data = text.encode("utf-8", errors="surrogatepass")
                ratios[row] = len(data) / len(zlib.compress(data, _DEFLATE_LEVEL, wbits=-zlib.MAX_WBITS))
        return ratios


@dataclass(frozen=True, kw_only=True)
class SelfBleu:
    """BLEU of the output against its sibling samples: how much it says what they say; missing without siblings.

    f(y_i) = BLEU-4 of y_i with the other samples of its prompt as references; its mean over a prompt's samples is that
    prompt's Self-BLEU. An order without a match counts 0.1 matches (method 1 of Chen and Cherry, 2014). Words are what
    whitespace parts. Missing for an output without words too.

    Label space: real, 0 to 1. Needs: sibling samples. Reads more than the output (the siblings).
    Source: Self-BLEU, Zhu et al., Texygen (2018); BLEU, Papineni et al. (2002).

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["so it goes on", "so it goes on", "hm"], prompt_ids=["a", "a", "b"])
    >>> SelfBleu().label(batch)
    array([ 1.,  1., nan])
    """

    space: ClassVar[LabelSpace] = Real()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "siblings")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return each output's BLEU against its siblings, NaN without any, [n]."""
        labels = np.full(len(batch), np.nan)
        for rows in batch.sibling_groups():
            if len(rows) > 1:
                labels[rows] = _bleu_of_each([batch.texts[row].split() for row in rows])
        return labels


def _distinct_share(batch: GenerationBatch, n: int, unit: Unit) -> FloatArray:
    shares = np.zeros(len(batch))
    for piece in pieces_of(batch):
        units = piece.outputs_in(unit)
        shares[piece.rows] = row_shares(units.ngrams(n).n_distinct(), units.n_windows(n))
    return shares


def _bleu_of_each(samples: Sequence[list[str]]) -> list[float]:
    """Return BLEU of each sample against all others, [k]; NaN for one without words."""
    log_precisions = [0.0] * len(samples)
    for order in range(1, _BLEU_ORDERS + 1):
        counts = [Counter(zip(*(words[start:] for start in range(order)), strict=False)) for words in samples]
        most, second, holder = _two_highest(counts)
        for sample, own in enumerate(counts):
            matches = sum(
                min(count, second[gram] if holder[gram] == sample else most[gram]) for gram, count in own.items()
            )
            log_precisions[sample] += log((matches or _NO_MATCH) / max(own.total(), 1)) / _BLEU_ORDERS
    lengths = [len(words) for words in samples]
    return [
        exp(log_precision + _log_brevity(length, [*lengths[:sample], *lengths[sample + 1 :]])) if length else np.nan
        for sample, (log_precision, length) in enumerate(zip(log_precisions, lengths, strict=True))
    ]


_Gram: TypeAlias = tuple[str, ...]


def _two_highest(counts: Sequence[Counter[_Gram]]) -> tuple[Counter[_Gram], Counter[_Gram], dict[_Gram, int]]:
    """Return each n-gram's highest count in a sample, its second highest, and which sample has the highest."""
    most: Counter[_Gram] = Counter()
    second: Counter[_Gram] = Counter()
    holder: dict[_Gram, int] = {}
    for sample, own in enumerate(counts):
        for gram, count in own.items():
            if count > most[gram]:
                second[gram], most[gram], holder[gram] = most[gram], count, sample
            elif count > second[gram]:
                second[gram] = count
    return most, second, holder


def _log_brevity(length: int, references: Sequence[int]) -> float:
    """Return the logarithm of BLEU's brevity penalty for the reference closest in length, the shorter of two."""
    closest = min(references, key=lambda other: (abs(other - length), other))
    return min(0.0, 1 - closest / length)
