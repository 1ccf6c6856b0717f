"""Prompts divided into a half that is searched and a half that verifies, near-duplicates never on both sides.

Shapes: n = prompts, g = groups of near-duplicates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metamodel.discovery.tokens import Tokens
from metamodel.splits import hashed_shares
from metamodel.types import IntArray

# Prompts are near-duplicates from about this share of common word triples on (of the hashes that stand for them).
LEAST_AGREEMENT: Final = 0.5
# A larger group of one form is not many copies of one prompt: it is how the domain's prompts look.
MOST_OF_A_DOMAIN: Final = 0.1
_N_HASHES: Final = 32
_BAND: Final = 2
_LEAST_TRIPLES: Final = 4
_DIGITS: Final = re.compile(r"\d+")
_NO_WORDS: Final = re.compile(r"[\W_]+")


def near_duplicate_groups(texts: Sequence[str], domains: Sequence[str], tokens: Tokens) -> IntArray:
    """Return the number of each prompt's group, [n]: near-duplicates of each other share one.

    Two prompts are near-duplicates if they are equal but for case, spacing, punctuation and the digits of numbers, or
    if they share most of their triples of words (MinHash, Broder 1997: 32 hashes, bands of 2, at least half equal).
    A group with more than a tenth of its domain's prompts is a form ("# + # ="), not a set of copies; it falls apart
    into those that are equal but for case, spacing and punctuation.

    Args:
        texts: Prompts, n of them.
        domains: Their domains.
        tokens: Their words.
    """
    plain = [_NO_WORDS.sub(" ", text.casefold()).strip() or text for text in texts]
    equal = _numbers(plain)
    template = _numbers([_DIGITS.sub("0", text) for text in plain])
    similar = _connected(_similar_pairs(tokens), template)
    domain_of = _numbers(domains)
    groups = _without_forms(similar, template, domain_of)
    return _renumbered(_without_forms(groups, equal, domain_of))


def search_half(texts: Sequence[str], domains: Sequence[str], groups: IntArray, *, seed: int) -> NDArray[np.bool_]:
    """Say of each prompt whether it is searched; the others verify, [n].

    Groups stay whole. Within a domain they are dealt out in an order fixed by texts and seed, each to the side that has
    fewer prompts of that domain.

    Args:
        texts: Prompts, n of them.
        domains: Their domains.
        groups: Number of each prompt's group, [n].
        seed: Fixes the halves.
    """
    shares = hashed_shares(texts, seed=seed, purpose="discovery half")
    domain_of = _numbers(domains)
    first = np.full(int(groups.max(initial=-1)) + 1, -1)
    order = np.lexsort((shares, domain_of))
    first[groups[order[::-1]]] = order[::-1]  # of each group the prompt that comes first
    sizes = np.bincount(groups, minlength=len(first))
    is_searched = np.zeros(len(first), dtype=bool)
    balance = np.zeros(int(domain_of.max(initial=-1)) + 1, dtype=np.int64)
    for group in np.lexsort((shares[first], domain_of[first])).tolist():
        domain = domain_of[first[group]]
        # On a tie the hash decides, or every domain's odd prompt would be searched.
        to_search = balance[domain] < 0 or (balance[domain] == 0 and int(shares[first[group]] * 1e6) % 2 == 0)
        is_searched[group] = to_search
        balance[domain] += sizes[group] if to_search else -sizes[group]
    return is_searched[groups]


def _similar_pairs(tokens: Tokens) -> IntArray:
    """Return pairs of prompts that share most of their word triples, [pairs, 2]."""
    keys, owners = _triples(tokens)
    n_triples = np.bincount(owners, minlength=tokens.n_prompts)
    prompts = np.flatnonzero(n_triples >= _LEAST_TRIPLES)
    if len(prompts) < 2:  # noqa: PLR2004 - a pair
        return np.empty((0, 2), dtype=np.int64)
    is_kept = n_triples[owners] >= _LEAST_TRIPLES
    starts = np.searchsorted(owners[is_kept], prompts)
    signatures = _signatures(keys[is_kept], starts)
    pairs = []
    for begin in range(0, _N_HASHES, _BAND):
        band = signatures[:, begin] * np.uint64(0x9E3779B97F4A7C15) ^ signatures[:, begin + 1]
        _, firsts, which = np.unique(band, return_index=True, return_inverse=True)
        heads = firsts[which]
        others = np.flatnonzero(heads != np.arange(len(heads)))
        agreement = (signatures[others] == signatures[heads[others]]).mean(axis=1)
        others = others[agreement >= LEAST_AGREEMENT]
        pairs.append(np.column_stack([prompts[heads[others]], prompts[others]]))
    return np.concatenate(pairs)


def _triples(tokens: Tokens) -> tuple[NDArray[np.uint64], IntArray]:
    numbers, owners = tokens.numbers.astype(np.uint64), tokens.owners
    if len(numbers) < 3:  # noqa: PLR2004 - a triple
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    keys = _mixed(_mixed(_mixed(numbers[:-2]) + numbers[1:-1]) + numbers[2:])
    is_whole = owners[:-2] == owners[2:]
    return keys[is_whole], owners[:-2][is_whole]


def _signatures(keys: NDArray[np.uint64], starts: IntArray) -> NDArray[np.uint64]:
    """Return the smallest of each hash over each prompt's triples, [prompts, hashes]."""
    found = np.empty((len(starts), _N_HASHES), dtype=np.uint64)
    for number in range(_N_HASHES):
        found[:, number] = np.minimum.reduceat(_mixed(keys + np.uint64(number * 0x632BE59BD9B4E019 % 2**64)), starts)
    return found


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread numbers over 64 bits (the finalizer of splitmix64, Steele et al. 2014)."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _connected(pairs: IntArray, groups: IntArray) -> IntArray:
    """Return groups that join those linked by pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = int(groups.max(initial=-1)) + 1
    links = groups[pairs]
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    joined: IntArray = component[groups].astype(np.int64)
    return joined


def _without_forms(groups: IntArray, finer: IntArray, domain_of: IntArray) -> IntArray:
    """Return the groups, those too large for their domain replaced by the finer ones inside."""
    n_domains = int(domain_of.max(initial=-1)) + 1
    domain_sizes = np.bincount(domain_of, minlength=n_domains)
    cells, cell_of, sizes = np.unique(groups * n_domains + domain_of, return_inverse=True, return_counts=True)
    is_form = (sizes > 2) & (sizes > MOST_OF_A_DOMAIN * domain_sizes[cells % n_domains])  # noqa: PLR2004 - a pair
    has_form = np.zeros(int(groups.max(initial=-1)) + 1, dtype=bool)
    has_form[groups[is_form[cell_of]]] = True
    shift = int(groups.max(initial=-1)) + 1
    return np.where(has_form[groups], finer + shift, groups)


def _numbers(values: Sequence[str]) -> IntArray:
    known: dict[str, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)


def _renumbered(groups: IntArray) -> IntArray:
    found: IntArray = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    return found
