"""From finished runs to what rises and falls over pretraining, and how long each metamodel lasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metamodel.checkpoints.lasting import (
    DEFAULT_ADJUSTMENT,
    DEFAULT_ALPHA,
    Chain,
    Checkpoint,
    Lasting,
    Pair,
    counted,
    judge_pairs,
    lasting,
)
from metamodel.checkpoints.rates import Movements, Rate, is_score, movements, rates_of, rates_table
from metamodel.checkpoints.reading import Member, chains_of, read_member
from metamodel.checkpoints.sizes import Sizes, sizes_of
from metamodel.errors import DataError, RunError, UnknownNameError, nearest_name_hint
from metamodel.scaling.adjusting import Adjustment
from metamodel.scaling.stage import Scaling, scaling

if TYPE_CHECKING:
    import pandas as pd

    from metamodel.config import RunConfig
    from metamodel.labels import LabelSpace
    from metamodel.store.run_directory import RunDirectory

OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class OpenedRun:
    """A run with its config.

    Attributes:
        run: The run directory.
        config: Its config.
    """

    run: RunDirectory
    config: RunConfig


@dataclass(frozen=True, kw_only=True)
class CheckpointsFound:
    """What happens over pretraining.

    Attributes:
        checkpoints: The primary models, by rising parameters, then tokens.
        rates: Rate of each behavior in each domain at each of them.
        scaling: Regression of the rates; None where no task could be regressed.
        movements: Which behaviors rise and which fall.
        pairs: Every metamodel at home and on later checkpoints.
        lasting: How long each metamodel lasts.
        adjust: How p of the pairs was adjusted.
        alpha: Level of all verdicts.
        notes: What a reader must know.
    """

    checkpoints: Sequence[Checkpoint]
    rates: Sequence[Rate]
    scaling: Scaling | None
    movements: Sequence[Movements]
    pairs: Sequence[Pair]
    lasting: Sequence[Lasting]
    adjust: Adjustment
    alpha: float
    notes: Sequence[str]

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {
            "checkpoints": [vars(one) for one in self.checkpoints],
            "notes": list(self.notes),
            "alpha": self.alpha,
            "adjust": self.adjust,
            "adjust_regression": self.scaling.adjust if self.scaling else None,
            "rates": [one.to_dict() for one in self.rates],
            "movements": [one.to_dict() for one in self.movements],
            "lasting": [one.to_dict() for one in self.lasting],
            "pairs": [one.to_dict() for one in self.pairs],
        }


def open_checkpoint_runs(paths: Sequence[str]) -> list[OpenedRun]:
    """Open runs whose primary models are checkpoints.

    Raises:
        RunError: One is no run, or two have a primary model of one name.
    """
    from metamodel.config import build_config
    from metamodel.store.run_directory import RunDirectory

    opened = []
    for path in paths:
        run = RunDirectory.open(path)
        opened.append(OpenedRun(run=run, config=build_config(run.config, source=f"{path}/run.json")))
    times = Counter(name for one in opened for name in one.config.primaries)
    twice = [name for name, count in times.items() if count > 1]
    if twice:
        raise RunError(f"{twice[0]} is a primary model of {times[twice[0]]} runs: give each a `name` of its own")
    return opened


def follow_checkpoints(
    runs: Sequence[OpenedRun],
    *,
    table: Path | None = None,
    behaviors: Sequence[str] = (),
    metamodels: Sequence[str] = (),
    adjust: Adjustment = DEFAULT_ADJUSTMENT,
    alpha: float = DEFAULT_ALPHA,
    on_progress: OnStep | None = None,
) -> CheckpointsFound:
    """Measure rates, regress them, and test every metamodel on the later checkpoints of its series.

    The regression's p is adjusted over all its terms by the false discovery rate, as `metamodel scaling` does; that of
    the pairs by `adjust`.

    Args:
        runs: Evaluated runs; without metamodels only the rates are followed.
        table: Parameters and tokens of primary models that are not the zoo's.
        behaviors: Names to keep; all without.
        metamodels: Names to keep; all without.
        adjust: How p of the pairs is adjusted.
        alpha: Level of the verdicts.
        on_progress: Called with what is being done, steps done and steps in all.

    Raises:
        DataError: Fewer than two primary models have a known size.
        RunError: A run has no labels or no predictions.
        UnknownNameError: No run has such a behavior or metamodel.
    """
    _refuse_unknown("behavior", behaviors, [name for one in runs for name in one.config.behaviors])
    _refuse_unknown("metamodel", metamodels, [name for one in runs for name in one.config.metamodels])
    sizes = sizes_of([one.config for one in runs], table)
    n_steps = len(runs) + len(sizes.checkpoints) + 1
    rates: list[Rate] = []
    for step, one in enumerate(runs):
        if on_progress:
            on_progress(f"rates of {one.run.path}", step, n_steps)
        rates += _rates(one, sizes, behaviors)
    if not rates:
        raise DataError("no primary model of known size has a label: run `metamodel featurize` first")
    found, why_not = _regressed(rates, alpha)
    chains = _chains(runs, sizes, behaviors, metamodels, on_progress)
    if on_progress:
        on_progress("tests", n_steps - 1, n_steps)
    pairs = judge_pairs(chains, adjust=adjust, alpha=alpha)
    scores = frozenset(name for one in runs for name, kind in one.config.behaviors.items() if is_score(kind))
    if on_progress:
        on_progress("done", n_steps, n_steps)
    return CheckpointsFound(
        checkpoints=list(sizes.checkpoints.values()),
        rates=rates,
        scaling=found,
        movements=movements(found, rates, scores) if found else [],
        pairs=pairs,
        lasting=lasting(pairs),
        adjust=adjust,
        alpha=alpha,
        notes=_notes(sizes, found, why_not, pairs),
    )


def _rates(one: OpenedRun, sizes: Sizes, wanted: Sequence[str]) -> Iterator[Rate]:
    """Yield the rates of a run's behaviors, those of a categorical one class by class."""
    from metamodel.dataset import label_spaces, read_prompts

    prompts = read_prompts(one.run)
    prompts = prompts[prompts["origin_id"].isna()][["prompt_id", "domain"]]
    mine = {name: known for name, known in sizes.checkpoints.items() if name in one.config.primaries}
    for behavior, space in label_spaces(one.run, one.config).items():
        if wanted and behavior not in wanted:
            continue
        labels = one.run.read("labels", shard_names=[behavior]).to_pandas()
        labels = labels[labels["primary"].isin(list(mine))].dropna(subset=["value"]).merge(prompts, on="prompt_id")
        for name, values in _as_numbers(behavior, space, labels):
            yield from rates_of(name, values, mine, n_draws=one.config.evaluation.n_bootstrap, seed=one.config.seed)


def _as_numbers(behavior: str, space: LabelSpace, labels: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if space.kind != "categorical":
        yield behavior, labels
        return
    for code, outcome in enumerate(space.outcomes):
        yield f"{behavior}: {outcome}", labels.assign(value=(labels["value"] == code).astype(float))


def _regressed(rates: Sequence[Rate], alpha: float) -> tuple[Scaling | None, str]:
    try:
        return scaling(rates_table(rates, source="rates"), alpha=alpha), ""
    except DataError as error:
        return None, str(error)


def _chains(
    runs: Sequence[OpenedRun],
    sizes: Sizes,
    behaviors: Sequence[str],
    metamodels: Sequence[str],
    on_progress: OnStep | None,
) -> list[Chain]:
    from metamodel.dataset import read_datasets

    members: list[Member] = []
    n_steps = len(runs) + len(sizes.checkpoints) + 1
    for one in runs:
        if not one.run.shard_names("predictions"):
            continue
        for primary, dataset in read_datasets(one.run, one.config).items():
            if primary in sizes.checkpoints:
                if on_progress:
                    on_progress(f"predictions of {primary}", len(runs) + len(members), n_steps)
                members.append(read_member(one.run, one.config, dataset, sizes.checkpoints[primary]))
    return [
        chain
        for chain in chains_of(members)
        if (not behaviors or chain.key.behavior in behaviors) and (not metamodels or chain.key.metamodel in metamodels)
    ]


def _refuse_unknown(what: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            raise UnknownNameError(
                f"no run has a {what} named {name!r}: {nearest_name_hint(name, dict.fromkeys(known))}"
            )


def _notes(sizes: Sizes, found: Scaling | None, why_not: str, pairs: Sequence[Pair]) -> list[str]:
    series: Mapping[str, int] = Counter(one.series for one in sizes.checkpoints.values())
    notes = [f"{len(sizes.checkpoints)} checkpoints in {len(series)} series"]
    if sizes.unknown:
        notes.append(f"left out, of unknown size: {', '.join(sizes.unknown)}; name them with --table")
    if found is None:
        notes.append(f"no regression: {why_not}")
    else:
        reasons: dict[str, list[str]] = {}
        for task, reason in found.skipped.items():
            reasons.setdefault(reason, []).append(task)
        notes += [f"not regressed, {len(tasks)} tasks such as {tasks[0]}: {why}" for why, tasks in reasons.items()]
        notes.append("errors of the regression are plain: checkpoints of one training are taken as independent")
    if not pairs:
        notes.append(
            "no metamodel was tested: at least two checkpoints of one series must be evaluated on the same prompts"
        )
    return notes


def summary_of(found: CheckpointsFound) -> str:
    """Say in one sentence what was found."""
    counts = counted(found.lasting)
    rising = sum(one.over_training == "rises" for one in found.movements)
    falling = sum(one.over_training == "falls" for one in found.movements)
    inverse = sum(bool(one.is_inverse) for one in found.movements)
    return (
        f"Of {len(found.movements)} behaviors in a domain, {rising} rise and {falling} fall over training ({inverse} "
        f"of them scores that should rise); of {counts['metamodels']} metamodels with a later checkpoint, "
        f"{counts['wrong']} become wrong; of the {counts['gained_at_home']} that gained bits at home "
        f"{counts['gained_and_wrong']} do, and {counts['useless']} come to gain none that could be shown."
    )
