"""Which prompts the explorer shows: from every domain in turn, the most surprising and random ones alternating."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

import numpy as np

from metamodel.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """A prompt that is shown.

    Attributes:
        row: Its number in the dataset.
        surprised_by: The behavior whose label surprised its best metamodel most, of those that it was picked for; empty
            for a random one.
    """

    row: int
    surprised_by: str = ""


def sample_prompts(
    domains: Sequence[str], bits: Mapping[str, FloatArray], *, eligible: IntArray, most: int, seed: int = 0
) -> list[Sampled]:
    """Return prompts in the order in which they matter: cut anywhere, every domain and behavior still has its share.

    Domains take turns. Within a domain the prompt whose label lost the most bits, behavior after behavior, takes turns
    with a random one. The same arguments give the same prompts.

    Args:
        domains: Domain of each prompt, [n].
        bits: What the best metamodel of each behavior lost on each prompt, NaN without a label, [n].
        eligible: Numbers of the prompts that may be shown.
        most: Most prompts.
        seed: Fixes the random ones.

    >>> lost = {"loop": np.array([0.1, 3.0, 0.2, 0.3])}
    >>> [one.row for one in sample_prompts(["a", "a", "b", "b"], lost, eligible=np.arange(4), most=2)]
    [1, 3]
    """
    order = np.random.default_rng(seed).permutation(eligible)
    by_domain: dict[str, list[int]] = {}
    for row in order.tolist():
        by_domain.setdefault(domains[row], []).append(row)
    turns = [_turns(np.array(by_domain[name]), bits, most=most) for name in sorted(by_domain)]
    merged = (one for each in zip_longest(*turns) for one in each if one is not None)
    return list(islice(merged, most))


def _turns(rows: IntArray, bits: Mapping[str, FloatArray], *, most: int) -> Iterator[Sampled]:
    """Yield a domain's prompts, surprising and random ones in turns, none twice."""
    seen: set[int] = set()
    random = iter([Sampled(row=row) for row in rows.tolist()])
    surprising = _surprising(rows, bits, most=most)
    sources = [surprising, random]
    while sources:
        for source in tuple(sources):
            fresh = next((one for one in source if one.row not in seen), None)
            if fresh is None:
                sources.remove(source)
            else:
                seen.add(fresh.row)
                yield fresh


def _surprising(rows: IntArray, bits: Mapping[str, FloatArray], *, most: int) -> Iterator[Sampled]:
    ranked = []
    for behavior, lost in bits.items():
        mine = lost[rows]
        order = np.argsort(-np.nan_to_num(mine, nan=-np.inf), kind="stable")[: min(most, int((~np.isnan(mine)).sum()))]
        ranked.append([Sampled(row=row, surprised_by=behavior) for row in rows[order].tolist()])
    yield from (one for each in zip_longest(*ranked) for one in each if one is not None)
