"""How often behaviors occur in the outputs of derived models and of their originals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.dataset import label_spaces, read_prompts
from metamodel.labels import Categorical, LabelSpace
from metamodel.perturbations.changes import mean_change
from metamodel.perturbations.lineage import Derived
from metamodel.perturbations.rows import BehaviorChange

if TYPE_CHECKING:
    import pandas as pd

    from metamodel.config import RunConfig
    from metamodel.store.run_directory import RunDirectory
    from metamodel.types import FloatArray

_ALL: Final = None


class PromptMeans:
    """Mean labels of each prompt by primary model and behavior."""

    def __init__(self, run: RunDirectory, config: RunConfig) -> None:
        """Read the labels of the run's own prompts."""
        self._n_draws, self._seed = config.evaluation.n_bootstrap, config.seed
        self._spaces = label_spaces(run, config)
        prompts = read_prompts(run)
        prompts = prompts[prompts["origin_id"].isna()]
        self._domains = dict(zip(prompts["prompt_id"], prompts["domain"], strict=True))
        labels: pd.DataFrame = run.read("labels", shard_names=list(self._spaces)).to_pandas()
        self._labels = labels[labels["prompt_id"].isin(self._domains.keys()) & labels["value"].notna()]
        self._missing: dict[str, set[str]] = {}

    def changes(self, one: Derived) -> Iterator[BehaviorChange]:
        """Yield the changes of every behavior: all prompts together, then domain by domain."""
        for behavior, space in self._spaces.items():
            for outcome, code in _compared(space):
                pairs = self._means(one.derived_and_original, behavior, code)
                if not len(pairs):
                    self._missing.setdefault(behavior, set()).add(one.name)
                    continue
                domains = np.array([self._domains[prompt_id] for prompt_id in pairs.index])
                for domain in (_ALL, *sorted(set(domains.tolist()))):
                    mine = pairs if domain is None else pairs[domains == domain]
                    yield self._change(one, behavior, outcome, domain, mine.to_numpy(dtype=np.float64))

    def notes(self) -> list[str]:
        """Say which behaviors have no labels to compare."""
        return [
            f"{behavior} has no prompt with labels of both models for {', '.join(sorted(names))}"
            for behavior, names in self._missing.items()
        ]

    def _means(self, names: tuple[str, str], behavior: str, code: int | None) -> pd.DataFrame:
        import pandas as pd

        columns = []
        for name in names:
            mine = self._labels[(self._labels["primary"] == name) & (self._labels["behavior"] == behavior)]
            values = mine["value"] if code is None else (mine["value"] == code).astype(float)
            columns.append(values.groupby(mine["prompt_id"]).mean())
        return pd.concat(columns, axis=1, join="inner").sort_index()

    def _change(
        self, one: Derived, behavior: str, outcome: str | None, domain: str | None, pairs: FloatArray
    ) -> BehaviorChange:
        differences = pairs[:, 0] - pairs[:, 1]
        found = mean_change(differences, n_draws=self._n_draws, seed=self._seed)
        return BehaviorChange(
            derived=one.name,
            original=one.original,
            kind=one.kind,
            label=one.label,
            behavior=behavior,
            outcome=outcome,
            domain=domain,
            n_prompts=len(pairs),
            n_moved=int((differences != 0).sum()),
            original_mean=float(pairs[:, 1].mean()),
            derived_mean=float(pairs[:, 0].mean()),
            change=found.value,
            low=found.interval.low if found.interval else None,
            high=found.interval.high if found.interval else None,
            p=found.p,
        )


def _compared(space: LabelSpace) -> list[tuple[str | None, int | None]]:
    """Return what of a label space is compared: its mean, or the rate of each class."""
    if isinstance(space, Categorical):
        return [(name, code) for code, name in enumerate(space.outcomes)]
    return [(None, None)]
