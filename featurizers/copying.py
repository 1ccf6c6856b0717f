"""Copying: whether the output takes a stretch of text over from its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from metamodel.labels import Binary, LabelSpace
from metamodel.types import FloatArray, GenerationBatch, Need

Unit: TypeAlias = Literal["word", "character"]
_Hashes: TypeAlias = NDArray[np.uint64]

# Odd, so that multiplication loses nothing: the golden ratio and MurmurHash3's finalizer.
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_SHIFT = np.uint64(32)


@dataclass(frozen=True, kw_only=True)
class NGramCopy:
    """1 if any n units in a row of the output occur in the prompt, else 0; 0 for an output of fewer than n units.

    f(x, y) = 1 if y[i:i+n] = x[j:j+n] for some i and j. Units are compared exactly: case and punctuation count. Words
    are what whitespace parts, so take characters for scripts without it.

    Label space: binary. Needs: the prompt. Reads the prompt.
    Source: n-gram novelty, McCoy et al., How Much Do Language Models Copy From Their Training Data? (2021), with the
    prompt in the place of the training data. Time is linear in both texts, times log2(n).

    Attributes:
        n: Units in a row.
        unit: "word" or "character".

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["so the cat sat", "a dog sat"], prompts=["the cat sat down", "the dog sat down"])
    >>> NGramCopy(n=3).label(batch)
    array([1., 0.])
    """

    n: int = 8
    unit: Unit = "word"

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "prompt")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.n < 1:
            raise ValueError(f"n is {self.n}, must be at least 1")
        if self.unit not in get_args(Unit):
            raise ValueError(f"unit is {self.unit!r}, must be one of {', '.join(get_args(Unit))}")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where something is copied, else 0, [n]."""
        rows_of: dict[str, list[int]] = {}
        for row, prompt in enumerate(batch.prompts):
            rows_of.setdefault(prompt, []).append(row)
        labels = np.zeros(len(batch))
        for prompt, rows in rows_of.items():
            source = _Source(self._units(prompt), self.n)
            for row in rows:
                labels[row] = source.lends_to(self._units(batch.texts[row]))
        return labels

    def _units(self, text: str) -> Sequence[str]:
        return text.split() if self.unit == "word" else text


class _Source:
    """The n-grams of one prompt, indexed once for all of its outputs."""

    def __init__(self, units: Sequence[str], n: int) -> None:
        self.units = units
        self.n = n
        self.hashes = _window_hashes(units, n)
        self.known = set(self.hashes.tolist())

    def lends_to(self, units: Sequence[str]) -> bool:
        """Return whether the units hold one of the n-grams; hashes only propose, the units themselves decide."""
        if not self.known or len(units) < self.n:
            return False
        hashes = _window_hashes(units, self.n).tolist()
        if self.known.isdisjoint(hashes):
            return False
        return any(
            units[start : start + self.n] == self.units[origin : origin + self.n]
            for start, value in enumerate(hashes)
            if value in self.known
            for origin in np.flatnonzero(self.hashes == value).tolist()
        )


def _window_hashes(units: Sequence[str], n: int) -> _Hashes:
    """Return a hash of every n units in a row, [len(units) - n + 1], by doubling windows along the bits of n."""
    if len(units) < n:
        return np.zeros(0, dtype=np.uint64)
    singles = _codes(units) * _SPREAD
    hashes, width = singles, 1
    for bit in f"{n:b}"[1:]:
        hashes = _joined(hashes[:-width], hashes[width:])
        width *= 2
        if bit == "1":
            hashes = _joined(hashes[:-1], singles[width:])
            width += 1
    return hashes


def _joined(left: _Hashes, right: _Hashes) -> _Hashes:
    mixed: _Hashes = (left * _MIX) ^ (right + _SPREAD)
    mixed ^= mixed >> _SHIFT
    mixed *= _MIX
    return mixed


def _codes(units: Sequence[str]) -> _Hashes:
    if isinstance(units, str):
        return np.frombuffer(units.encode("utf-32-le", errors="surrogatepass"), dtype="<u4").astype(np.uint64)
    return np.fromiter(map(hash, units), dtype=np.int64, count=len(units)).view(np.uint64)
