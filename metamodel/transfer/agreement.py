"""How far two primary models' labels agree prompt by prompt: what a perfect oracle of one knows about the other.

The ceiling of a cell is I(Z_A; F_B): what the source's own labels on the same prompts say about the target's, in bits.
Z_A is a binary behavior's number of "yes" among A's samples, else one sample's outcome. Plug-in from the joint table,
less Miller and Madow's correction (K_zf - K_z - K_f + 1) / (2 m ln 2), K counting what was seen (Miller 1955); it may
come out a little below 0. The interval is that of a mean of pointwise information, whose variance it takes at most
(labels of several samples are averaged within a prompt). A metamodel of A that knows A's probabilities can exceed it
where A's labels are few draws; with greedy decoding it is what A's behavior itself is worth.

kappa = (p_o - p_e) / (1 - p_e) with p_o the chance that a sample of A and one of B agree on a prompt, p_e the same for
their rates alone (Cohen, *A Coefficient of Agreement for Nominal Scales*, 1960). On left-out domains both are means
over domains, so that kappa is agreement beyond what the domains' rates give.

Shapes: a = models with labels (rows), t = targets, m = prompts, c = outcomes, z = values of Z, d = domains, g = groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metamodel.labels import MISSING_CODE, Binary
from metamodel.transfer.block_labels import Codes, RunCodes, block_codes, shares_of, yes_counts
from metamodel.transfer.blocks import Block
from metamodel.transfer.matrices import alike
from metamodel.transfer.opening import Target
from metamodel.types import FloatArray, IntArray

_MOST_COUNTED_SAMPLES: Final = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """Agreement of the labels of every model with those of every target of a block, one behavior.

    Attributes:
        n_prompts: Prompts on which both have labels, [a, t].
        bits: I(Z_A; F_B), [a, t]; NaN where no prompt is shared.
        variance: At least its variance, [a, t].
        agree: p_o, [a, t].
        kappa: kappa, [a, t]; NaN where both always give one and the same label.
        deviations: Groups' deviations of kappa, [g, a, t].
    """

    n_prompts: FloatArray
    bits: FloatArray
    variance: FloatArray
    agree: FloatArray
    kappa: FloatArray
    deviations: FloatArray


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The same of some prompts that count as one sample: a domain, or all."""

    bits: FloatArray
    variance: FloatArray
    agree: FloatArray
    chance: FloatArray
    agree_deviations: FloatArray
    chance_deviations: FloatArray


def agreement_of(models: Sequence[Target], block: Block, codes_of: Mapping[str, RunCodes]) -> Agreement:
    """Compare every model's labels with every target's on a block's prompts.

    Args:
        models: Rows; those whose run has none of the prompts agree with nobody.
        block: Judged prompts, and the targets.
        codes_of: The behavior's labels by the name of the run.
    """
    space = next(iter(codes_of.values())).space
    ours, theirs = block_codes(models, block, codes_of), block_codes(block.targets, block, codes_of)
    a, t, g = len(ours), len(theirs), int(block.groups.max()) + 1
    arrays = {item.name: np.full((a, t), np.nan) for item in fields(Agreement)}
    found = Agreement(**(arrays | {"n_prompts": np.zeros((a, t)), "deviations": np.full((g, a, t), np.nan)}))
    for rows, mine in _labeled_alike(ours):
        for columns, other in _labeled_alike(theirs):
            prompts = np.flatnonzero(mine & other)
            if not len(prompts):
                continue
            row_codes, column_codes = [ours[row][prompts] for row in rows], [theirs[one][prompts] for one in columns]
            domains = block.domains[prompts] if block.split == "held_out_domain" else np.zeros(len(prompts), np.int64)
            parts = list(
                _parts(
                    _labels(row_codes, len(space.outcomes), is_binary=isinstance(space, Binary)),
                    shares_of(row_codes, len(space.outcomes)),
                    shares_of(column_codes, len(space.outcomes)),
                    domains,
                    block.groups[prompts],
                    g,
                )
            )
            _put(found, rows, columns, parts, len(prompts))
    return found


def mutual_information(labels: FloatArray, shares: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return I(Z; F) in bits, bias corrected, and at least its variance, [a, t] each.

    Args:
        labels: One-hot values of Z, or shares, [m, z, a].
        shares: Label shares of the targets, [m, c, t].

    >>> z = np.eye(2)[[0, 1] * 50][:, :, None]
    >>> mutual_information(z, z)[0].round(3).tolist()
    [[1.007]]
    """
    m, z, a = labels.shape
    c, t = shares.shape[1:]
    joint = (labels.reshape(m, -1).T @ shares.reshape(m, -1) / m).reshape(z, a, c, t)
    own, other = labels.mean(axis=0)[:, :, None, None], shares.mean(axis=0)[None, None]  # [z, a, 1, 1], [1, 1, c, t]
    seen = joint > 0
    product = own * other
    ratio = np.divide(joint, product, out=np.ones_like(joint), where=seen & (product > 0))
    pointwise = np.log2(ratio)
    bits = (joint * pointwise).sum(axis=(0, 2))
    variance = np.maximum((joint * pointwise**2).sum(axis=(0, 2)) - bits**2, 0) / max(m - 1, 1)
    n_seen = seen.sum(axis=(0, 2)) - (own > 0).sum(axis=(0, 2)) - (other > 0).sum(axis=(0, 2)) + 1
    return bits - n_seen / (2 * m * np.log(2)), variance


def _labels(codes: Sequence[Codes], n_outcomes: int, *, is_binary: bool) -> FloatArray:
    is_counted = is_binary and max(mine.shape[1] for mine in codes) <= _MOST_COUNTED_SAMPLES
    return yes_counts(codes) if is_counted else shares_of(codes, n_outcomes)


def _parts(
    labels: FloatArray, own: FloatArray, other: FloatArray, domains: IntArray, groups: IntArray, n_groups: int
) -> Iterator[_Part]:
    for domain in np.unique(domains):
        mine = domains == domain
        bits, variance = mutual_information(labels[mine], other[mine])
        yield _part(own[mine], other[mine], groups[mine], n_groups, bits, variance)


def _part(
    own: FloatArray, other: FloatArray, groups: IntArray, n_groups: int, bits: FloatArray, variance: FloatArray
) -> _Part:
    m, c, a = own.shape
    t = other.shape[2]
    agree = np.zeros((n_groups, a, t))
    rates = np.zeros((n_groups, c, a)), np.zeros((n_groups, c, t))
    for group in np.unique(groups):
        rows = groups == group
        agree[group] = own[rows].reshape(-1, a).T @ other[rows].reshape(-1, t)
        for sums, shares in zip(rates, (own, other), strict=True):
            sums[group] = shares[rows].sum(axis=0)
    sizes = np.bincount(groups, minlength=n_groups).astype(np.float64)
    spread = 1 - np.square(sizes / m).sum()
    scale = 1 / (m * np.sqrt(spread)) if spread > 1e-12 else np.nan  # noqa: PLR2004 - all prompts in one group
    mean_own, mean_other = (sums.sum(axis=0) / m for sums in rates)  # [c, a], [c, t]
    off_own, off_other = (
        scale * (sums - sizes[:, None, None] * mean) for sums, mean in zip(rates, (mean_own, mean_other), strict=True)
    )
    mean = agree.sum(axis=0) / m
    chance_deviations = np.swapaxes(off_own, 1, 2) @ mean_other + mean_own.T @ off_other
    return _Part(
        bits=bits,
        variance=variance,
        agree=mean,
        chance=mean_own.T @ mean_other,
        agree_deviations=scale * (agree - sizes[:, None, None] * mean),
        chance_deviations=chance_deviations,
    )


def _put(found: Agreement, rows: IntArray, columns: IntArray, parts: Sequence[_Part], n_prompts: int) -> None:
    """Average over parts, and put the figures where they belong."""
    n = len(parts)
    agree, chance = (sum(getattr(one, name) for one in parts) / n for name in ("agree", "chance"))
    of_agree, of_chance = (sum(getattr(one, f"{name}_deviations") for one in parts) / n for name in ("agree", "chance"))
    room = 1 - chance
    is_defined = room > 1e-12  # noqa: PLR2004 - both give one and the same label
    safe = np.where(is_defined, room, 1.0)
    kappa = np.where(is_defined, (agree - chance) / safe, np.nan)
    deviations = of_agree / safe + (agree - 1) / safe**2 * of_chance
    place = np.ix_(rows, columns)
    found.n_prompts[place] = n_prompts
    found.bits[place] = sum(one.bits for one in parts) / n
    found.variance[place] = sum(one.variance for one in parts) / n**2
    found.agree[place] = agree
    found.kappa[place] = kappa
    everywhere = np.ix_(np.arange(len(deviations)), rows, columns)
    found.deviations[everywhere] = np.where(is_defined, deviations, np.nan)


def _labeled_alike(codes: Sequence[Codes]) -> Iterator[tuple[IntArray, NDArray[np.bool_]]]:
    yield from alike(np.stack([(mine != MISSING_CODE).any(axis=1) for mine in codes]))
