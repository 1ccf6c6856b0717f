"""Lengths in bits of what a metamodel stores, under codes that a decoder could undo.

The lengths are those of ideal arithmetic codes: a real coder ends within two bits of each. Every code is two-part: what
the decoder must know first (a histogram, how many were kept) is counted too. Sources: Cover, *Enumerative Source
Encoding* (1973); Grünwald, *The Minimum Description Length Principle* (2007), chapters 3 and 5.

Shapes: e = elements of a tensor.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from math import lgamma, log, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS_A_BYTE = 8
_MOST_SYMBOLS = 2**16
# Which of several codes was taken, and the ends of what whole numbers lie between.
_CHOICE_BITS = 2.0
_ENDS_BITS = 2 * 64.0


def symbol_bits(symbols: NDArray[np.int64], *, low: int, high: int) -> float:
    """Return the length of whole numbers from `low` to `high`, their histogram first.

    Formula: log2 C(e + m - 1, m - 1) + sum over symbols of e_s log2(e / e_s), with m = high - low + 1 possible symbols,
    each seen e_s times among e. The first term is the number of the histogram among all that e elements can have, the
    second the arithmetic code under that histogram.

    >>> symbol_bits(np.array([0, 1] * 4), low=0, high=1).__round__(3) == 8 + round(log2(9), 3)
    True
    """
    counts = np.unique(symbols, return_counts=True)[1].astype(np.float64)
    n_elements = float(counts.sum())
    coded = float((counts * np.log2(n_elements / counts)).sum()) if n_elements else 0.0
    return coded + log2_choices(n_elements + high - low, high - low)


def mask_bits(n_elements: int, n_kept: int) -> float:
    """Return the length of the places of the kept elements: how many they are, then which of all such choices.

    Formula: log2(e + 1) + log2 C(e, k).

    >>> round(mask_bits(4, 1), 6) == round(log2(5) + 2, 6)
    True
    """
    return log2(n_elements + 1) + log2_choices(n_elements, n_kept)


def whole_number_bits(tensor: NDArray[Any]) -> float:
    """Return the shortest of three lengths: as stored; by histogram; where the numbers rise, as a choice of places."""
    lengths = [float_bits(tensor)]
    if tensor.size:
        numbers = tensor.ravel().astype(np.int64)
        low, high = int(numbers.min()), int(numbers.max())
        if high - low < _MOST_SYMBOLS:
            lengths.append(_ENDS_BITS + symbol_bits(numbers, low=low, high=high))
        if (np.diff(numbers) > 0).all():
            lengths.append(_ENDS_BITS + log2_choices(high - low + 1, len(numbers)))
    return _CHOICE_BITS + min(lengths)


def float_bits(tensor: NDArray[Any]) -> float:
    """Return the length of a tensor as it is stored."""
    return float(BITS_A_BYTE * tensor.nbytes)


def text_bits(texts: Iterable[str]) -> float:
    """Return the length of texts, each compressed by zlib (RFC 1950) where that is shorter."""
    encoded = [text.encode("utf-8", errors="surrogatepass") for text in texts]
    return float(BITS_A_BYTE * sum(min(len(one), len(zlib.compress(one, 9))) for one in encoded))


def log2_choices(n: float, k: float) -> float:
    """Return log2 of n over k.

    >>> log2_choices(4, 2).__round__(6) == round(log2(6), 6)
    True
    """
    return max(0.0, (lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)) / log(2))
