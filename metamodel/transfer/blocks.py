"""Which prompts judge: the test prompts of each run, and runs that share them together.

Shapes: m = judged prompts, d = domains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from metamodel.metric_rows import SPLITS, Split
from metamodel.transfer.opening import OpenedRun, Target
from metamodel.types import IntArray, content_hash

# Prompts are dealt into so many groups; spreads are those of sums over groups (Kott, *The Delete-a-Group Jackknife*,
# 2001), whose own error is then about 1 / sqrt(2 * 99) = 7 %.
N_GROUPS: Final = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Judged prompts of one kind of split, and the primary models that are judged on them.

    Prompts are sorted by domain, then by group.

    Attributes:
        split: Which split they were held out by.
        ids: Their ids, m of them.
        texts: Their texts, m of them.
        domain_names: Domains, d of them.
        domains: Number of each prompt's domain, [m].
        groups: Group that each prompt was dealt into, [m].
        targets: Who is judged.
    """

    split: Split
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    domain_names: tuple[str, ...]
    domains: IntArray
    groups: IntArray
    targets: tuple[Target, ...]

    def __len__(self) -> int:
        """Return the number of prompts m."""
        return len(self.ids)

    def domain_texts(self) -> list[str]:
        """Return each prompt's domain by name."""
        return [self.domain_names[number] for number in self.domains]


def blocks_of(targets: Sequence[Target], *, splits: Sequence[Split] = SPLITS, seed: int = 0) -> list[Block]:
    """Return the judged prompts of the targets' runs; runs that judge by the same prompts share a block.

    Args:
        targets: Primary models.
        splits: Kinds of split.
        seed: Seed of the groups.
    """
    shared: dict[tuple[Split, str], tuple[OpenedRun, IntArray, list[Target]]] = {}
    rows_of: dict[tuple[str, Split], tuple[str, IntArray]] = {}
    for split in splits:
        for target in targets:
            opened = target.opened
            if (opened.name, split) not in rows_of:
                parts = [fold.test for fold in opened.folds if fold.split == split]
                rows = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
                ids = sorted(f"{opened.prompts.ids[row]} {opened.prompts.domains[row]}" for row in rows)
                rows_of[opened.name, split] = (content_hash(*ids), rows)
            mark, rows = rows_of[opened.name, split]
            if len(rows):
                shared.setdefault((split, mark), (opened, rows, []))[2].append(target)
    return [_block(split, opened, rows, tuple(mine), seed=seed) for (split, _), (opened, rows, mine) in shared.items()]


def deal_groups(domains: IntArray, *, n_groups: int = N_GROUPS, seed: int = 0) -> IntArray:
    """Deal prompts into groups at random, [m]: of each domain every group gets as many, up to one.

    Args:
        domains: Number of each prompt's domain, [m].
        n_groups: Most groups; no more are used than there are prompts.
        seed: Fixes the deal.

    >>> np.bincount(deal_groups(np.array([0, 0, 0, 1, 1, 1]), n_groups=3)).tolist()
    [2, 2, 2]
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(domains))
    order = order[np.argsort(domains[order], kind="stable")]
    groups = np.empty(len(domains), dtype=np.int64)
    groups[order] = np.arange(len(domains)) % min(n_groups, max(len(domains), 1))
    return groups


def _block(split: Split, opened: OpenedRun, rows: IntArray, targets: tuple[Target, ...], *, seed: int) -> Block:
    prompts = opened.prompts
    names = sorted({prompts.domains[row] for row in rows})
    number = {name: place for place, name in enumerate(names)}
    domains = np.array([number[prompts.domains[row]] for row in rows], dtype=np.int64)
    groups = deal_groups(domains, seed=seed)
    order = np.lexsort((groups, domains))
    return Block(
        split=split,
        ids=tuple(prompts.ids[row] for row in rows[order]),
        texts=tuple(prompts.texts[row] for row in rows[order]),
        domain_names=tuple(names),
        domains=domains[order],
        groups=groups[order],
        targets=targets,
    )
