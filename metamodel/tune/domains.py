"""Which prompts tuning may read, and how it divides them: whatever will judge in the end is never among them.

Shapes: n = prompts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from metamodel.dataset import PrimaryDataset
from metamodel.errors import DataError, nearest_name_hint
from metamodel.splits import Fold, hashed_shares, in_distribution_fold, make_folds

if TYPE_CHECKING:
    from metamodel.config import RunConfig, TunePlan
    from metamodel.types import IntArray

# With "all" domains held out in turn, so many of them, rounded down, are put aside.
_FINAL_SHARE = 1 / 3
_LEAST_TUNING_DOMAINS = 2


@dataclass(frozen=True, kw_only=True)
class TuningDomains:
    """What tuning reads.

    Attributes:
        final_domains: Domains that it never reads.
        datasets: Every primary model's labels of the prompts that it may read.
        folds: Each leaves some of their domains out, whole; every domain is left out once.
    """

    final_domains: tuple[str, ...]
    datasets: Mapping[str, PrimaryDataset]
    folds: Sequence[Fold]

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains that are read, sorted."""
        return tuple(sorted(set(next(iter(self.datasets.values())).prompts.domains)))


def tuning_domains(datasets: Mapping[str, PrimaryDataset], config: RunConfig, plan: TunePlan) -> TuningDomains:
    """Put the final domains aside and divide the others into folds.

    Left out with a final domain are the prompts elsewhere that share a text with it, and, where the config also judges
    in distribution, the prompts that will judge there.

    Raises:
        DataError: A final domain does not exist, or fewer than two domains are left.
    """
    first = next(iter(datasets.values())).prompts
    final = _final_domains(sorted(set(first.domains)), config, plan)
    rows = _readable_rows(first.texts, first.domains, final, config)
    kept = {
        name: PrimaryDataset(
            primary=name,
            prompt_ids=tuple(dataset.prompt_ids[row] for row in rows),
            prompts=dataset.prompts.take(rows),
        )
        for name, dataset in datasets.items()
    }
    prompts = next(iter(kept.values())).prompts
    if len(set(prompts.domains)) < _LEAST_TUNING_DOMAINS:
        raise DataError(
            f"tuning may read {len(set(prompts.domains))} domains once {', '.join(final) or 'none'} "
            f"is put aside, it needs {_LEAST_TUNING_DOMAINS} or more: add domains, or name fewer in tune.final_domains"
        )
    return TuningDomains(final_domains=final, datasets=kept, folds=_folds(prompts.texts, prompts.domains, config, plan))


def _final_domains(known: Sequence[str], config: RunConfig, plan: TunePlan) -> tuple[str, ...]:
    chosen = plan.final_domains if plan.final_domains is not None else config.splits.held_out_domains
    if chosen == "all":
        order = np.argsort(hashed_shares(known, seed=config.seed, purpose="final domains"), kind="stable")
        return tuple(sorted(known[place] for place in order[: int(len(known) * _FINAL_SHARE)]))
    for domain in chosen:
        if domain not in known:
            raise DataError(f"{domain} is to judge finally, but no prompt has it: {nearest_name_hint(domain, known)}")
    return tuple(chosen)


def _readable_rows(texts: Sequence[str], domains: Sequence[str], final: Sequence[str], config: RunConfig) -> IntArray:
    """Return the rows of the prompts that judge nothing in the end, rising."""
    judging = {text for text, domain in zip(texts, domains, strict=True) if domain in final}
    may_read = np.array([text not in judging for text in texts], dtype=bool)
    if config.splits.in_distribution:
        fold = in_distribution_fold(
            texts,
            domains,
            test_share=config.splits.test_share,
            validation_share=config.splits.validation_share,
            seed=config.seed,
        )
        may_read[fold.test] = False
    return np.flatnonzero(may_read)


def _folds(texts: Sequence[str], domains: Sequence[str], config: RunConfig, plan: TunePlan) -> list[Fold]:
    """Deal whole domains, the largest first, each to the smallest group, and leave each group out."""
    sizes = Counter(domains)
    loads = [0] * min(plan.n_folds, len(sizes))
    group_of = {}
    for domain in sorted(sizes, key=lambda name: (-sizes[name], name)):
        group = min(range(len(loads)), key=loads.__getitem__)
        group_of[domain] = str(group)
        loads[group] += sizes[domain]
    return make_folds(
        texts,
        [group_of[domain] for domain in domains],
        test_share=config.splits.test_share,
        validation_share=config.splits.validation_share,
        in_distribution=False,
        held_out_domains="all",
        seed=config.seed,
    )
