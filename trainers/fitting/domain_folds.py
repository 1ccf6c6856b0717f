"""Folds of whole training domains: whatever a fit chooses is judged where it was not fitted.

Shapes: n = prompts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from metamodel.types import IntArray

N_FOLDS = 5


class DomainFold(NamedTuple):
    """One way to fit and judge within the training prompts.

    Attributes:
        fit: Row numbers of the prompts to fit on.
        judge: Row numbers of the prompts to judge on; none shares its text with one of `fit`.
    """

    fit: IntArray
    judge: IntArray


def domain_folds(
    texts: Sequence[str], domains: Sequence[str], *, expects_shift: bool, seed: int, n_folds: int = N_FOLDS
) -> list[DomainFold]:
    """Divide prompts so that each is judged once by a fit that saw neither its text nor, under shift, its domain.

    Domains are dealt to folds from the largest to the smallest, each to the fold with the fewest prompts. With a single
    domain, or where no shift is expected, prompts are dealt by a hash of their text.

    Args:
        texts: Texts, n of them.
        domains: Their domains.
        expects_shift: Whether whole domains are left out.
        seed: Seed of the deal.
        n_folds: Most folds.

    Returns:
        Folds in which both sides hold a prompt; none for fewer than two different texts.
    """
    if expects_shift and len(set(domains)) > 1:
        owners = _domain_owners(domains, n_folds, seed)
    else:
        owners = np.array([_hashed(text, seed) % n_folds for text in texts], dtype=np.int64)
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    text_of = np.array([numbers[text] for text in texts], dtype=np.int64)
    folds = []
    for owner in range(n_folds):
        is_judged = owners == owner
        may_fit = ~is_judged & ~np.isin(text_of, text_of[is_judged])
        if is_judged.any() and may_fit.any():
            folds.append(DomainFold(fit=np.flatnonzero(may_fit), judge=np.flatnonzero(is_judged)))
    return folds


def surprise_share(domains: Sequence[str], *, expects_shift: bool) -> float:
    """Return how likely it is that the next domain breaks with what all domains had in common.

    Laplace's rule of succession (Essai philosophique sur les probabilites, 1814): n domains kept to it and none did
    not, so 1 / (n + 2). Predictions keep so much of the prior, which bounds what a new domain can cost however sure the
    fit is.

    Args:
        domains: Domain of each training prompt.
        expects_shift: Whether the judged domains are new; else there is no surprise.
    """
    return 1 / (len(set(domains)) + 2) if expects_shift else 0.0


def _domain_owners(domains: Sequence[str], n_folds: int, seed: int) -> IntArray:
    """Return the fold of each prompt, [n]."""
    sizes = Counter(domains)
    by_size = sorted(sizes, key=lambda domain: (-sizes[domain], _hashed(domain, seed)))
    loads = [0] * min(n_folds, len(sizes))
    fold_of = {}
    for domain in by_size:
        fold_of[domain] = min(range(len(loads)), key=loads.__getitem__)
        loads[fold_of[domain]] += sizes[domain]
    return np.array([fold_of[domain] for domain in domains], dtype=np.int64)


def _hashed(text: str, seed: int) -> int:
    digest = blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=8, salt=seed.to_bytes(8, "big"))
    return int.from_bytes(digest.digest(), "big")
