"""Which prompts train, which stop and calibrate, which judge: decided by a hash of the text, never by order.

Equal texts always land on the same side, so no prompt is judged that was trained on under another id.

Shapes: n = prompts.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError
from metamodel.metric_rows import Split
from metamodel.store.keys import KeyIndex, measured
from metamodel.types import FloatArray, IntArray

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


@dataclass(frozen=True, kw_only=True)
class PromptMarks:
    """What decides a prompt's side, without its text: 40 bytes a prompt.

    Attributes:
        domain_names: Every domain once, sorted.
        domains: Number of each prompt's domain among them, [n].
        texts: A number for each prompt, the same for equal texts, [n].
        test_shares: Hash of each text in [0, 1) that decides about the test split, [n].
        validation_shares: The same for the validation split, [n].
    """

    domain_names: tuple[str, ...]
    domains: IntArray
    texts: IntArray
    test_shares: FloatArray
    validation_shares: FloatArray

    def __len__(self) -> int:
        """Return the number of prompts n."""
        return len(self.domains)


def mark_prompts(pieces: Iterable[tuple[Sequence[str], Sequence[str]]], *, seed: int) -> PromptMarks:
    """Return the marks of prompts that come piece by piece.

    Args:
        pieces: Texts and domains, as many of one as of the other.
        seed: Seed of the splits.
    """
    known = KeyIndex()
    numbers: dict[str, int] = {}
    domains, texts, test_shares, validation_shares = [], [], [], []
    for piece_texts, piece_domains in pieces:
        keys = _digests(piece_texts, b"").view(np.uint64).reshape(-1, 2)
        known.add(keys)
        texts.append(known.find(keys))
        domains.append(np.array([numbers.setdefault(domain, len(numbers)) for domain in piece_domains], dtype=np.int64))
        test_shares.append(hashed_shares(piece_texts, seed=seed, purpose="test"))
        validation_shares.append(hashed_shares(piece_texts, seed=seed, purpose="validation"))
    names = sorted(numbers)
    rank = np.array([names.index(name) for name in numbers], dtype=np.int64)
    nothing = np.empty(0)
    return PromptMarks(
        domain_names=tuple(names),
        domains=rank[np.concatenate([*domains, nothing.astype(np.int64)])],
        texts=np.concatenate([*texts, nothing.astype(np.int64)]),
        test_shares=np.concatenate([*test_shares, nothing]),
        validation_shares=np.concatenate([*validation_shares, nothing]),
    )


def hashed_shares(texts: Sequence[str], *, seed: int, purpose: str) -> FloatArray:
    """Return a number in [0, 1) for each text, [n]: uniform over texts, fixed by text, seed and purpose."""
    digests = _digests(texts, measured(purpose) + measured(str(seed)), measure=True)
    # The first 13 hexadecimal digits of `content_hash(purpose, str(seed), text)`, which a float holds exactly.
    first: FloatArray = (digests.view(">u8")[::2] >> np.uint64(12)) / 16**13
    return first


def in_distribution_fold(
    texts: Sequence[str], domains: Sequence[str], *, test_share: float, validation_share: float, seed: int
) -> Fold:
    """Divide every domain by hash into train, validation and test.

    Raises:
        DataError: A domain is left with no training prompt.
    """
    marks = mark_prompts([(texts, domains)], seed=seed)
    return _in_distribution_fold(marks, test_share=test_share, validation_share=validation_share)


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
    marks = mark_prompts([(texts, domains)], seed=seed)
    return _held_out_fold(marks, held_out_domain=held_out_domain, validation_share=validation_share, seed=seed)


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
    return folds_of_marks(
        mark_prompts([(texts, domains)], seed=seed),
        test_share=test_share,
        validation_share=validation_share,
        in_distribution=in_distribution,
        held_out_domains=held_out_domains,
        seed=seed,
    )


def folds_of_marks(
    marks: PromptMarks,
    *,
    test_share: float,
    validation_share: float,
    in_distribution: bool,
    held_out_domains: Literal["all"] | Sequence[str],
    seed: int,
) -> list[Fold]:
    """Return the folds that `make_folds` gives for prompts with these marks.

    Raises:
        DataError: A fold has nothing to train on, or a held-out domain does not exist.
    """
    folds = []
    if in_distribution:
        folds.append(_in_distribution_fold(marks, test_share=test_share, validation_share=validation_share))
    left_out = marks.domain_names if held_out_domains == "all" else held_out_domains
    folds += [
        _held_out_fold(marks, held_out_domain=domain, validation_share=validation_share, seed=seed)
        for domain in left_out
    ]
    return folds


def _in_distribution_fold(marks: PromptMarks, *, test_share: float, validation_share: float) -> Fold:
    is_test = marks.test_shares < test_share
    is_validation = ~is_test & (marks.validation_shares < validation_share)
    is_train = ~is_test & ~is_validation
    n_prompts = np.bincount(marks.domains, minlength=len(marks.domain_names))
    n_train = np.bincount(marks.domains[is_train], minlength=len(marks.domain_names))
    for domain, n_all, n_left in zip(marks.domain_names, n_prompts, n_train, strict=True):
        if n_left == 0:
            raise DataError(
                f"domain {domain} has {n_all} prompts and none is left to train on: "
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


def _held_out_fold(marks: PromptMarks, *, held_out_domain: str, validation_share: float, seed: int) -> Fold:
    if held_out_domain not in marks.domain_names:
        raise DataError(
            f"splits.held_out_domains names {held_out_domain}, but no prompt has that domain; "
            f"there are {', '.join(marks.domain_names)}"
        )
    is_test = marks.domains == marks.domain_names.index(held_out_domain)
    is_available = ~is_test & ~np.isin(marks.texts, marks.texts[is_test])
    training_domains = [marks.domain_names[number] for number in np.unique(marks.domains[is_available])]
    if not training_domains:
        raise DataError(
            f"leaving {held_out_domain} out leaves no domain to train on: "
            "add prompts of another domain or set splits.held_out_domains to []"
        )
    if len(training_domains) >= MIN_DOMAINS_FOR_DOMAIN_VALIDATION:
        order = np.argsort(hashed_shares(training_domains, seed=seed, purpose=f"validation domains {held_out_domain}"))
        n_validation = math.ceil(validation_share * len(training_domains))
        chosen = [marks.domain_names.index(training_domains[position]) for position in order[:n_validation]]
        is_validation = is_available & np.isin(marks.domains, chosen)
    else:
        is_validation = is_available & (marks.validation_shares < validation_share)
    return Fold(
        name=f"without_{held_out_domain}",
        split="held_out_domain",
        held_out_domain=held_out_domain,
        train=np.flatnonzero(is_available & ~is_validation),
        validation=np.flatnonzero(is_validation),
        test=np.flatnonzero(is_test),
    )


def _digests(texts: Sequence[str], prefix: bytes, *, measure: bool = False) -> NDArray[np.uint8]:
    """Return 16 bytes of BLAKE2b a text, behind a prefix that is hashed once, [16 n]."""
    begin = hashlib.blake2b(prefix, digest_size=16).copy
    digests = []
    for text in texts:
        digest = begin()
        digest.update(measured(text) if measure else text.encode("utf-8", errors="surrogatepass"))
        digests.append(digest.digest())
    return np.frombuffer(b"".join(digests), dtype=np.uint8)
