"""The surprisal profile of a text: some dozens of numbers about how a reader took it.

All in bits. s_i = -log2 p(token i given those before it) is the surprisal of a token, h_i the entropy of the
distribution that it was drawn from: what the reader expected to be surprised. Levy, Expectation-based syntactic
comprehension (2008), for the first; Meister et al., Locally typical sampling (2022), for s - h.

Shapes: t = tokens, s = tokens that have a surprisal (all but the first).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from metamodel.types import FloatArray, IntArray, TextReading

_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
# Bits above what was expected that make a token very surprising.
_VERY_SURPRISING_BITS = 4.0
_LAST_TOKENS = 8
_BITS_A_NAT = 1 / math.log(2)


def profile_names() -> tuple[str, ...]:
    """Return the names of the numbers of `surprisal_profile`, in its order."""
    nothing = np.zeros(0)
    no_states = np.zeros((0, 0), np.float32)
    empty = TextReading(
        token_ids=np.zeros(0, np.int64),
        logprobs=nothing,
        entropies=nothing,
        last_states=no_states,
        mean_states=no_states,
    )
    return tuple(_numbers(empty, n_characters=0))


def surprisal_profile(reading: TextReading, *, n_characters: int) -> NDArray[np.float32]:
    """Return the profile of a text, all finite; what a short text does not have is 0.

    Args:
        reading: What the reader made of it.
        n_characters: Length of the text.
    """
    return np.array(list(_numbers(reading, n_characters=n_characters).values()), dtype=np.float32)


def _numbers(reading: TextReading, *, n_characters: int) -> Mapping[str, float]:
    surprisals = -reading.logprobs * _BITS_A_NAT  # [s]
    entropies = reading.entropies * _BITS_A_NAT  # [t]
    n_tokens = len(reading.token_ids)
    return {
        "log_tokens": math.log2(1 + n_tokens),
        "log_characters": math.log2(1 + n_characters),
        "log_left_out": math.log2(1 + reading.n_left_out),
        "tokens_a_character": n_tokens / max(n_characters, 1) if not reading.n_left_out else 0.0,
        **_surprisal_numbers(surprisals),
        **_entropy_numbers(surprisals, entropies),
        **_repetition_numbers(surprisals, reading.token_ids),
    }


def _surprisal_numbers(surprisals: FloatArray) -> dict[str, float]:
    """Return level, spread and course of the surprisals [s]."""
    n = len(surprisals)
    quarter = max(n // 4, 1)
    begin, end = _mean(surprisals[:quarter]), _mean(surprisals[-quarter:])
    quantiles = np.quantile(surprisals, _QUANTILES) if n else np.zeros(len(_QUANTILES))
    return {
        "log_total": math.log2(1 + float(surprisals.sum())),
        "mean": _mean(surprisals),
        "spread": _spread(surprisals),
        **{f"quantile_{share}": float(value) for share, value in zip(_QUANTILES, quantiles, strict=True)},
        "most": float(surprisals.max()) if n else 0.0,
        "slope": _slope(surprisals),
        "first_quarter": begin,
        "last_quarter": end,
        "last_tokens": _mean(surprisals[-_LAST_TOKENS:]),
        "last_token": float(surprisals[-1]) if n else 0.0,
        "autocorrelation": _autocorrelation(surprisals),
    }


def _entropy_numbers(surprisals: FloatArray, entropies: FloatArray) -> dict[str, float]:
    """Return what was expected, [t] entropies, and how the surprisals [s] differ from it."""
    excess = surprisals - entropies[: len(surprisals)]  # the last entropy is that of a token nobody has seen
    return {
        "entropy": _mean(entropies),
        "entropy_spread": _spread(entropies),
        "entropy_slope": _slope(entropies),
        "next_entropy": float(entropies[-1]) if len(entropies) else 0.0,
        "excess": _mean(excess),
        "excess_spread": _spread(excess),
        "very_surprising": _mean((excess > _VERY_SURPRISING_BITS).astype(np.float64)),
    }


def _repetition_numbers(surprisals: FloatArray, token_ids: IntArray) -> dict[str, float]:
    """Return how much occurs again, as a token or behind the same token, and how much less that surprises."""
    tokens = token_ids.tolist()
    numbers: dict[str, float] = {}
    for name, seen in (
        ("token", _occurs_again(tokens)[1:]),
        ("pair", _occurs_again(list(pairwise(tokens)))),
    ):
        again = np.array(seen, dtype=bool)
        numbers[f"repeated_{name}s"] = _mean(again.astype(np.float64))
        has_both = bool(again.any() and not again.all())
        numbers[f"repeated_{name}_drop"] = _mean(surprisals[~again]) - _mean(surprisals[again]) if has_both else 0.0
    return numbers


def _occurs_again(items: Sequence[object]) -> list[bool]:
    seen: set[object] = set()
    again = []
    for item in items:
        again.append(item in seen)
        seen.add(item)
    return again


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _spread(values: FloatArray) -> float:
    return float(values.std()) if len(values) else 0.0


def _slope(values: FloatArray) -> float:
    """Return the least-squares rise over the whole text."""
    if len(values) < 2:  # noqa: PLR2004 - a line
        return 0.0
    place = np.linspace(-0.5, 0.5, len(values))
    return float((place * values).sum() / (place**2).sum())


def _autocorrelation(values: FloatArray) -> float:
    """Return the correlation of neighbors; 0 where nothing moves."""
    if len(values) < 3:  # noqa: PLR2004 - two pairs
        return 0.0
    centered = values - values.mean()
    power = float((centered**2).sum())
    return float((centered[1:] * centered[:-1]).sum()) / power if power > 1e-12 else 0.0  # noqa: PLR2004 - rounding
