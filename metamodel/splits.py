"""Which prompts train, which stop and calibrate, which judge: decided by a hash of the text, never by order.

Equal texts always land on the same side, so no prompt is judged that was trained on under another id.

Shapes: n = prompts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from metamodel.errors import DataError
from metamodel.metric_rows import Split
from metamodel.types import FloatArray, IntArray, content_hash

# With fewer training domains than this, giving whole ones away for validation would leave too little to learn from.
MIN_DOMAINS_FOR_DOMAIN_VALIDATION = 4


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One way to divide the prompts.

    Attributes:
        name: "in_distribution" or "without_" and the domain left out.
        split: What the fold measures.
        held_out_domain: The domain with no prompt in training or validation; None in distribution.
        train: Row numbers of the prompts to fit on.
        validation: Row numbers for early stopping and calibration; training domains only.
        test: Row numbers of the prompts that judge.
    """

    name: str
    split: Split
    held_out_domain: str | None
    train: IntArray
    validation: IntArray
    test: IntArray


def hashed_shares(texts: Sequence[str], *, seed: int, purpose: str) -> FloatArray:
    """Return a number in [0, 1) for each text, [n]: uniform over texts, fixed by text, seed and purpose."""
    return np.array([int(content_hash(purpose, str(seed), text)[:13], 16) / 16**13 for text in texts])


def in_distribution_fold(
    texts: Sequence[str], domains: Sequence[str], *, test_share: float, validation_share: float, seed: int
) -> Fold:
    """Divide every domain by hash into train, validation and test.

    Raises:
        DataError: A domain is left with no training prompt.
    """
    is_test = hashed_shares(texts, seed=seed, purpose="test") < test_share
    is_validation = ~is_test & (hashed_shares(texts, seed=seed, purpose="validation") < validation_share)
    is_train = ~is_test & ~is_validation
    domain_array = np.asarray(domains)
    for domain in sorted(set(domains)):
        n_train = int((is_train & (domain_array == domain)).sum())
        if n_train == 0:
            n_prompts = int((domain_array == domain).sum())
            raise DataError(
                f"domain {domain} has {n_prompts} prompts and none is left to train on: "
                "draw more prompts of it or lower splits.test_share and splits.validation_share"
            )
    return Fold(
        name="in_distribution",
        split="in_distribution",
        held_out_domain=None,
        train=np.flatnonzero(is_train),
        validation=np.flatnonzero(is_validation),
        test=np.flatnonzero(is_test),
    )


def held_out_fold(
    texts: Sequence[str], domains: Sequence[str], *, held_out_domain: str, validation_share: float, seed: int
) -> Fold:
    """Leave one domain out; a share of the other domains, whole, stops and calibrates.

    Validation on whole domains makes every choice face a shift like the one that will judge it. With fewer than
    `MIN_DOMAINS_FOR_DOMAIN_VALIDATION` training domains a share of the prompts is used instead. Prompts of other
    domains whose text also occurs in the held-out domain are dropped.

    Raises:
        DataError: The domain is unknown, or no other domain is left to train on.
    """
    domain_array = np.asarray(domains)
    is_test = domain_array == held_out_domain
    if not is_test.any():
        raise DataError(
            f"splits.held_out_domains names {held_out_domain}, but no prompt has that domain; "
            f"there are {', '.join(sorted(set(domains)))}"
        )
    test_texts = {text for text, tested in zip(texts, is_test, strict=True) if tested}
    is_leak = np.array([text in test_texts for text in texts])
    is_available = ~is_test & ~is_leak
    training_domains = sorted(set(domain_array[is_available].tolist()))
    if not training_domains:
        raise DataError(
            f"leaving {held_out_domain} out leaves no domain to train on: "
            "add prompts of another domain or set splits.held_out_domains to []"
        )
    if len(training_domains) >= MIN_DOMAINS_FOR_DOMAIN_VALIDATION:
        order = np.argsort(hashed_shares(training_domains, seed=seed, purpose=f"validation domains {held_out_domain}"))
        n_validation = math.ceil(validation_share * len(training_domains))
        chosen = {training_domains[position] for position in order[:n_validation]}
        is_validation = is_available & np.isin(domain_array, sorted(chosen))
    else:
        is_validation = is_available & (hashed_shares(texts, seed=seed, purpose="validation") < validation_share)
    return Fold(
        name=f"without_{held_out_domain}",
        split="held_out_domain",
        held_out_domain=held_out_domain,
        train=np.flatnonzero(is_available & ~is_validation),
        validation=np.flatnonzero(is_validation),
        test=np.flatnonzero(is_test),
    )


def make_folds(
    texts: Sequence[str],
    domains: Sequence[str],
    *,
    test_share: float,
    validation_share: float,
    in_distribution: bool,
    held_out_domains: Literal["all"] | Sequence[str],
    seed: int,
) -> list[Fold]:
    """Return the in-distribution fold, where asked for, and one fold a held-out domain.

    Raises:
        DataError: A fold has nothing to train on, or a held-out domain does not exist.
    """
    folds = []
    if in_distribution:
        folds.append(
            in_distribution_fold(texts, domains, test_share=test_share, validation_share=validation_share, seed=seed)
        )
    left_out = sorted(set(domains)) if held_out_domains == "all" else list(held_out_domains)
    folds += [
        held_out_fold(texts, domains, held_out_domain=domain, validation_share=validation_share, seed=seed)
        for domain in left_out
    ]
    return folds
