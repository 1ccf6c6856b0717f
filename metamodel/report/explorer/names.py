"""Everything that the explorer's rows name by number: primary models, domains, behaviors and who predicts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from metamodel.dataset import PrimaryDataset
from metamodel.labels import LabelSpace
from metamodel.metric_rows import MetricsRow
from metamodel.prior_shift import PRIOR_SHIFT_SUFFIX
from metamodel.report.explorer.judged import ranked_metamodels

_MOST_COLUMNS: Final = 60
_LEAST_METAMODELS: Final = 2


@dataclass(frozen=True, kw_only=True)
class ExplorerNames:
    """Names in the order of their numbers.

    Attributes:
        primaries: Primary models.
        domains: Domains.
        spaces: Label space of each behavior.
        columns: Behavior and metamodel of each prediction that a row holds.
        best: The metamodel of each primary model and behavior whose words are shown.
        n_left_out: Metamodels of a behavior that have no column, of the behavior with the most.
    """

    primaries: Sequence[str]
    domains: Sequence[str]
    spaces: Mapping[str, LabelSpace]
    columns: Sequence[tuple[str, str]]
    best: Mapping[tuple[str, str], str]
    n_left_out: int

    @property
    def behaviors(self) -> list[str]:
        """Names of the behaviors."""
        return list(self.spaces)

    @property
    def metamodels(self) -> list[str]:
        """Names of the metamodels that have a column."""
        return list(dict.fromkeys(metamodel for _, metamodel in self.columns))

    def best_of(self, primary: str) -> dict[str, str]:
        """Return the best metamodel of each behavior of a primary model."""
        return {behavior: name for (owner, behavior), name in self.best.items() if owner == primary}


def explorer_names(
    datasets: Mapping[str, PrimaryDataset], metrics: Sequence[MetricsRow], *, baselines: Sequence[str]
) -> ExplorerNames:
    """Choose who is shown: of each behavior the best metamodels of each primary model, and a baseline.

    Args:
        datasets: Labeled prompts of each primary model, at least one.
        metrics: Rows of metrics.json.
        baselines: Names of the metamodels that are baselines.
    """
    spaces = {name: table.space for dataset in datasets.values() for name, table in dataset.prompts.labels.items()}
    ranked = {
        (primary, behavior): ranked_metamodels(metrics, primary=primary, behavior=behavior, baselines=baselines)
        for primary in datasets
        for behavior in spaces
    }
    most = max(_MOST_COLUMNS // max(len(spaces), 1), _LEAST_METAMODELS)
    columns: list[tuple[str, str]] = []
    n_left_out = 0
    # What is corrected to the rates of judged prompts has no saved fit of its own to ask for words.
    best = {key: next((n for n in known if not n.endswith(PRIOR_SHIFT_SUFFIX)), "") for key, known in ranked.items()}
    for behavior in spaces:
        mine = [ranked[primary, behavior] for primary in datasets]
        kept = _kept(mine, most=most, baselines=baselines)
        leading = [best[primary, behavior] for primary in datasets if best[primary, behavior]]
        shown = list(dict.fromkeys([*leading, *kept]))
        n_left_out = max(n_left_out, len({name for known in mine for name in known}) - len(shown))
        columns += [(behavior, name) for name in shown]
    return ExplorerNames(
        primaries=list(datasets),
        domains=sorted({domain for dataset in datasets.values() for domain in dataset.prompts.domains}),
        spaces=spaces,
        columns=columns,
        best={key: name for key, name in best.items() if name},
        n_left_out=n_left_out,
    )


def _kept(ranked: Sequence[Sequence[str]], *, most: int, baselines: Sequence[str]) -> list[str]:
    """Return the first names by their summed places over primary models, one baseline among them."""
    places: Counter[str] = Counter()
    for known in ranked:
        places.update({name: place for place, name in enumerate(known)})
    order = sorted(places, key=lambda name: (places[name], name))
    kept = order[:most]
    if len(order) > most and not set(kept) & set(baselines):
        reference = next((name for name in baselines if name in order), None)
        kept = [*kept[:-1], reference] if reference is not None else kept
    return kept
