"""Stage discover: from a run's predictions to slices in which metamodels are wrong in the same way.

Shapes: n = prompts of the run, m = judged prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from metamodel.config import build_config
from metamodel.dataset import PrimaryDataset, read_datasets
from metamodel.discovery.core import (
    Judged,
    PreparedPrompts,
    SearchPlan,
    corrected,
    corrected_domains,
    prepare,
    search_cell,
)
from metamodel.discovery.found import Discoveries
from metamodel.discovery.picks import Wanted, read_examples
from metamodel.discovery.predictions import StoredPredictions, usable_cells
from metamodel.errors import ConfigError, RunError, UnknownNameError, nearest_name_hint
from metamodel.metric_rows import SPLITS, MetricsRow, Split, best_row, mean_rows, names, rows_from_json, select
from metamodel.report.baselines import baseline_names

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.console import OnProgress
    from metamodel.store.run_directory import RunDirectory

# In place of a metamodel's name.
BEST: Final = "best"
ALL: Final = "all"


@dataclass(frozen=True, kw_only=True)
class DiscoverQuery:
    """What is looked at, and how.

    Attributes:
        behaviors: Names of behaviors; none means all.
        metamodel: "best": of each behavior and split the trained one with most bits. "all": every trained one must be
            off in the same direction. Or a name.
        splits: Kinds of splits; none means all that were judged.
        plan: How slices are searched for.
    """

    behaviors: Sequence[str] = ()
    metamodel: str = BEST
    splits: Sequence[Split] = ()
    plan: SearchPlan = field(default_factory=SearchPlan)


class _Place(NamedTuple):
    primary: str
    split: Split
    behavior: str


def discover(run: RunDirectory, query: DiscoverQuery, *, on_progress: OnProgress | None = None) -> Discoveries:
    """Search a run's predictions for slices in which metamodels are wrong, and verify them on prompts kept aside.

    Args:
        run: A run that was evaluated.
        query: What is looked at.
        on_progress: Told what is searched.

    Raises:
        ConfigError: A number of the plan is impossible.
        UnknownNameError: A behavior, split or metamodel is not of this run.
        RunError: The run was not evaluated.
        DataError: Its predictions cannot be read.
    """
    _refuse_plan(query.plan)
    config = build_config(run.config, source=f"{run.path}/run.json")
    rows = mean_rows(rows_from_json(run.read_text("metrics.json")))
    if not rows:
        raise RunError(f"{run.path} has no figures in metrics.json: run `metamodel evaluate` first")
    behaviors = _known(query.behaviors, names(rows, "behavior"), "behavior")
    judged_splits = [split for split in SPLITS if select(rows, split=split)]
    splits = [split for split in judged_splits if split in _known(query.splits, judged_splits, "split")]
    if query.metamodel not in {BEST, ALL}:
        _known([query.metamodel], names(rows, "metamodel"), "metamodel")
    datasets = read_datasets(run, config)
    places = [_Place(primary, split, one) for primary in datasets for split in splits for one in behaviors]
    steps = len(places) + 1
    if on_progress:
        on_progress("prompts", 0, steps)
    first = next(iter(datasets.values()))
    prepared = prepare(first.prompts.texts, first.prompts.domains, query.plan)
    found: list[Judged] = []
    notes: list[str] = []
    held: tuple[str, StoredPredictions] | None = None
    for step, place in enumerate(places, start=1):
        if on_progress:
            on_progress(f"{place.behavior} of {place.primary}, {place.split}", step, steps)
        if held is None or held[0] != place.primary:
            held = (place.primary, StoredPredictions(run, datasets[place.primary]))
        judged = _search_place(held[1], place, _metamodels(place, rows, query.metamodel, config), prepared)
        if isinstance(judged, str):
            notes.append(f"{place.behavior} of {place.primary}, {place.split}: {judged}")
        else:
            found.append(judged)
    result = _discoveries(run, config, datasets, found, prepared)
    if on_progress:
        on_progress("done", steps, steps)
    return replace(result, notes=[*_general_notes(prepared), *notes])


def _search_place(
    stored: StoredPredictions, place: _Place, metamodels: tuple[list[str], list[str]], prepared: PreparedPrompts
) -> Judged | str:
    """Search one place, or say why it cannot be."""
    required, others = metamodels
    if not required:
        return "no metamodel has a figure here"
    cells = [stored.cell(name, place.behavior, place.split) for name in dict.fromkeys([*required, *others])]
    if cells[0] is None or not len(cells[0].rows):
        return "no labeled prompt was judged"
    if (cells[0].counts.sum(axis=0) > 0).sum() < 2:  # noqa: PLR2004 - what does not vary cannot surprise in places
        return "only one outcome occurs: nothing to find"
    usable = usable_cells(cells)
    missing = [name for name in required if name not in usable]
    return f"{', '.join(missing)} judged other prompts" if missing else search_cell(prepared, usable, required)


def _metamodels(
    place: _Place, rows: Sequence[MetricsRow], wanted: str, config: RunConfig
) -> tuple[list[str], list[str]]:
    """Return the metamodels that must be off, and all trained ones."""
    mine = select(rows, behavior=place.behavior, primary=place.primary, split=place.split)
    baselines = baseline_names(config)
    trained = [row.metamodel for row in mine if row.metamodel not in baselines and row.metamodel in config.metamodels]
    if wanted == ALL:
        return trained or [row.metamodel for row in mine][:1], trained
    if wanted != BEST:
        return [row.metamodel for row in mine if row.metamodel == wanted], trained
    best = best_row(row for row in mine if row.metamodel in trained) or best_row(mine)
    return [best.metamodel] if best else trained[:1], trained


def _discoveries(
    run: RunDirectory,
    config: RunConfig,
    datasets: Mapping[str, PrimaryDataset],
    found: Sequence[Judged],
    prepared: PreparedPrompts,
) -> Discoveries:
    alpha = prepared.plan.alpha
    tested = corrected([candidate for one in found for candidate in one.candidates], alpha)
    wanted = [Wanted(primary=one.discovery.primary, behavior=one.discovery.behavior, picks=one.picks) for one in tested]
    examples = read_examples(run, config, datasets, wanted)
    return Discoveries(
        alpha=alpha,
        seed=prepared.plan.seed,
        n_prompts=len(prepared.domains),
        n_searched=int(prepared.is_searched.sum()),
        n_groups=int(prepared.groups.max(initial=-1)) + 1,
        n_conditions=len(prepared.conditions),
        n_tests=len(tested),
        candidates=[replace(one.discovery, examples=shown) for one, shown in zip(tested, examples, strict=True)],
        domains=corrected_domains([pair for one in found for pair in one.domains], alpha),
    )


def _general_notes(prepared: PreparedPrompts) -> list[str]:
    n_prompts, least = len(prepared.domains), prepared.plan.least
    if len(prepared.conditions):
        return []
    return [f"no condition is met, and unmet, by {2 * least} of the {n_prompts} prompts: draw more, or lower --support"]


def _known(wanted: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    """Return the wanted names, or all for none.

    Raises:
        UnknownNameError: One is not known.
    """
    for name in wanted:
        if name not in known:
            raise UnknownNameError(f"the run has no {what} named {name!r}: {nearest_name_hint(name, known)}")
    return list(dict.fromkeys(wanted)) or list(known)


def _refuse_plan(plan: SearchPlan) -> None:
    wrong = [] if 0 < plan.alpha < 1 else [f"--alpha is {plan.alpha:g}, must be above 0 and below 1"]
    wrong += [] if plan.least >= 5 else [f"--support is {plan.least}, must be at least 5"]  # noqa: PLR2004 - a t statistic's
    wrong += [] if plan.most >= 1 else [f"--candidates is {plan.most}, must be at least 1"]
    wrong += [] if plan.seed >= 0 else [f"--seed is {plan.seed}, must be at least 0"]
    wrong += [] if plan.kinds else ["--slices is empty, must name at least one of ngrams, surface, clusters"]
    if wrong:
        raise ConfigError(wrong, source="discover")
