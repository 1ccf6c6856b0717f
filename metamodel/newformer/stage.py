"""The Newformer protocol from labeled runs to what it finds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.dataset import read_datasets
from metamodel.errors import DataError, RunError, UnknownNameError, nearest_name_hint
from metamodel.feature_cache import stored_under
from metamodel.labels import LabeledPrompts
from metamodel.metric_rows import SPLITS
from metamodel.newformer.gaps import Gathered, gaps_of, learning_point
from metamodel.newformer.learning import Knowledge, curves_of_fold, known_fits
from metamodel.newformer.results import LearningPoint, Likeness, Newformer, Way, ZeroShot
from metamodel.newformer.sharing import shared_contexts
from metamodel.report.baselines import baseline_names
from metamodel.scaling.adjusting import adjusted
from metamodel.splits import Fold
from metamodel.transfer.cells import Cell, Scores, cells_of, number_or_none, score
from metamodel.transfer.opening import Common, OpenedRun, Source, Target, common_behaviors, open_runs, sources, targets
from metamodel.types import IntArray

if TYPE_CHECKING:
    from metamodel.console import OnProgress
    from metamodel.protocols import Trainer

SIZES: Final = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
DRAWS: Final = 3
MOST_DOMAINS: Final = 4
FLOOR: Final = 0.02
# Half the width of a 95 % interval, in standard errors.
_Z: Final = 1.96


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is asked.

    Attributes:
        behaviors: Behaviors to compare; empty for all that the runs have in common.
        metamodel: Metamodel that is trained from scratch, by its name in the first known run; empty for the first there
            that is no baseline.
        sizes: Labeled prompts of the learning curves, rising; all there are come on top.
        n_draws: Draws of the labeled prompts.
        n_domains: Most left-out domains of the learning curves; the first by name.
        floor: Share of outputs above which an outcome counts as shown.
        seed: Seed of draws and fits.
        learns: Whether learning curves are drawn.
    """

    behaviors: Sequence[str] = ()
    metamodel: str = ""
    sizes: Sequence[int] = SIZES
    n_draws: int = DRAWS
    n_domains: int = MOST_DOMAINS
    floor: float = FLOOR
    seed: int = 0
    learns: bool = True


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be done.

    Attributes:
        new: The new primary model.
        known: The others.
        sources: Their metamodels.
        common: Behaviors.
        folds: Folds of the learning curves.
        trainer_name: What is trained from scratch.
        protocol: What was asked.
    """

    new: Target
    known: Sequence[Target]
    sources: Sequence[Source]
    common: Common
    folds: Sequence[Fold]
    trainer_name: str
    protocol: Protocol

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {
            "new": self.new.name,
            "known": [one.name for one in self.known],
            "metamodels": list(dict.fromkeys(one.metamodel for one in self.sources)),
            "behaviors": list(self.common.spaces),
            "left_out_behaviors": dict(self.common.dropped),
            "folds": [fold.name for fold in self.folds],
            "trainer": self.trainer_name,
            "sizes": list(self.protocol.sizes),
            "draws": self.protocol.n_draws,
        }


def plan_newformer(new: str, known: Sequence[str], protocol: Protocol) -> Plan:
    """Open the runs and decide what is done.

    Args:
        new: A labeled run of one new primary model.
        known: Evaluated runs.
        protocol: What is asked.

    Raises:
        RunError: The new run has several primary models, or a known run lacks predictions.
        UnknownNameError: No known run has the metamodel to train.
        DataError: The runs have no behavior in common.
    """
    opened = open_runs([new, *known])
    fresh, others = opened[0], opened[1:]
    if len(fresh.config.primaries) != 1:
        raise RunError(f"{fresh.run.path} has {len(fresh.config.primaries)} primary models, must have one: the new one")
    everyone = targets(opened)
    newcomer = next(one for one in everyone if one.opened is fresh)
    trainers = others[0].config.metamodels
    baselines = baseline_names(others[0].config)
    plain = [name for name in trainers if name not in baselines and name not in others[0].across]
    if protocol.metamodel and protocol.metamodel not in trainers:
        hint = nearest_name_hint(protocol.metamodel, list(trainers))
        raise UnknownNameError(f"{others[0].run.path} has no metamodel {protocol.metamodel!r}: {hint}")
    name = protocol.metamodel or (plain or list(trainers))[0]
    folds = [fold for fold in fresh.folds if fold.split == "in_distribution"]
    folds += [fold for fold in fresh.folds if fold.split == "held_out_domain"][: protocol.n_domains]
    return Plan(
        new=newcomer,
        known=[one for one in everyone if one.opened is not fresh],
        sources=sources(others),
        common=common_behaviors(opened, wanted=list(protocol.behaviors) or None),
        folds=folds if protocol.learns else [],
        trainer_name=name,
        protocol=protocol,
    )


def newformer(plan: Plan, *, folder: Path, on_progress: OnProgress | None = None) -> Newformer:
    """Say which behaviors the new primary model shares, how well it is predicted unseen, and what labels are worth.

    Args:
        plan: What is done.
        folder: Existing folder for what is kept on the way.
        on_progress: Told what is done.

    Raises:
        DataError: Nothing of the new run can judge.
        RunError: A fit of a known run is missing.
    """
    spaces = plan.common.spaces
    contexts = shared_contexts(plan.new, plan.known, spaces, floor=plan.protocol.floor)
    likeness: list[Likeness] = []
    cells: list[Cell] = []
    notes = [f"{name} is left out: {why}" for name, why in plan.common.dropped.items()] + list(plan.common.doubts)
    try:
        for scores in score(plan.sources, [plan.new], folder=folder, common=plan.common, on_progress=on_progress):
            likeness += _likeness(scores, plan)
            cells += [cell for matrix in scores.matrices for cell in cells_of(matrix) if cell.domain is None]
    except DataError as error:
        notes.append(f"nothing was predicted before training: {error}")
    learning = list(_learning(plan, folder, notes, on_progress))
    primaries = plan.new.opened.run.facts.get("primaries")
    return Newformer(
        primary=plan.new.primary,
        identity=str(primaries.get(plan.new.primary, "")) if isinstance(primaries, dict) else "",
        known=[one.name for one in plan.known],
        behaviors=list(spaces),
        floor=plan.protocol.floor,
        contexts=contexts,
        likeness=likeness,
        zero_shot=_zero_shot(cells, plan),
        learning=learning,
        gaps=list(gaps_of(learning)),
        trainer=plan.trainer_name,
        notes=notes,
    )


def _likeness(scores: Scores, plan: Plan) -> Iterator[Likeness]:
    """Yield agreement on the prompts that judge in distribution, or, where no fold is, on left-out domains."""
    splits = {fold.split for fold in plan.new.opened.folds}
    wanted = "in_distribution" if "in_distribution" in splits else "held_out_domain"
    if scores.block.split != wanted:
        return
    found = scores.agreement
    for place, model in enumerate(scores.models):
        if model.opened is plan.new.opened or not found.n_prompts[place, 0]:
            continue
        yield Likeness(
            known=model.name,
            behavior=scores.behavior,
            n_prompts=int(found.n_prompts[place, 0]),
            agree=number_or_none(found.agree[place, 0]),
            kappa=number_or_none(found.kappa[place, 0]),
            bits=number_or_none(found.bits[place, 0]),
        )


def _zero_shot(cells: Sequence[Cell], plan: Plan) -> list[ZeroShot]:
    from scipy.stats import norm

    baselines = {one.opened.name: baseline_names(one.opened.config) for one in plan.sources}
    kinds = {(one.name, one.metamodel): one.metamodel in baselines[one.opened.name] for one in plan.sources}
    p_values: dict[int, float] = {}
    for place, cell in enumerate(cells):
        if not kinds[cell.source, cell.metamodel] and None not in (cell.bits, cell.low, cell.high):
            error = (float(cell.high or 0) - float(cell.low or 0)) / (2 * _Z)
            p_values[place] = (
                float(norm.sf(float(cell.bits or 0) / error)) if error > 0 else float((cell.bits or 0) <= 0)
            )
    held = dict(zip(p_values, adjusted(np.array(list(p_values.values())), "fdr_bh").tolist(), strict=True))
    return [
        ZeroShot(
            known=cell.source,
            metamodel=cell.metamodel,
            behavior=cell.behavior,
            split=cell.split,
            n_prompts=cell.n_prompts,
            bits=cell.bits,
            low=cell.low,
            high=cell.high,
            auroc=cell.auroc,
            p=held.get(place),
            is_baseline=kinds[cell.source, cell.metamodel],
        )
        for place, cell in enumerate(cells)
    ]


def _learning(plan: Plan, folder: Path, notes: list[str], on_progress: OnProgress | None) -> Iterator[LearningPoint]:
    from threadpoolctl import threadpool_limits

    prompts = _labeled(plan)
    gathered: dict[tuple[str, str, Way, int, bool], Gathered] = defaultdict(Gathered)
    fitting = _fitting_sources(plan, notes)
    n_bootstrap = plan.new.opened.config.evaluation.n_bootstrap
    for number, fold in enumerate(plan.folds):

        def tell(what: str, number: int = number) -> None:
            if on_progress:
                on_progress(what, number, len(plan.folds))

        with stored_under(folder / "cache" / "features"), threadpool_limits(limits=1):
            knowledge = known_fits(fitting, fold, prompts) if fitting else Knowledge()
            for way, size, is_all, drawn in curves_of_fold(
                fold,
                prompts,
                knowledge,
                _trainer(plan),
                sizes=plan.protocol.sizes,
                n_draws=plan.protocol.n_draws,
                seed=plan.protocol.seed,
                on_step=tell,
            ):
                for behavior, table in prompts.labels.items():
                    # Folds differ in how many labels are all: those of all are kept under no number.
                    counts, values = table.counts[fold.test], [one[behavior] for one in drawn if behavior in one]
                    if values and counts.sum():
                        gathered[behavior, fold.split, way, 0 if is_all else size, is_all].add(counts, values)
    order = {way: place for place, way in enumerate(("zero-shot", "recalibrated", "adapted", "from scratch"))}
    for (behavior, split, way, size, is_all), one in sorted(
        gathered.items(), key=lambda item: (item[0][0], item[0][1], order[item[0][2]], item[0][4], item[0][3])
    ):
        point = learning_point(
            one,
            way=way,
            behavior=behavior,
            split=next(known for known in SPLITS if known == split),
            n_labeled=size if not is_all else _most(plan, split, way, prompts),
            is_all=is_all,
            n_bootstrap=n_bootstrap,
        )
        if point is not None:
            yield point


def _most(plan: Plan, split: str, way: Way, prompts: LabeledPrompts) -> int:
    """Return the mean number of labels that are all there are, over the folds of a split."""
    is_labeled = np.any([table.counts.sum(axis=1) > 0 for table in prompts.labels.values()], axis=0)
    pools: list[IntArray] = [
        fold.validation if way == "recalibrated" else fold.train for fold in plan.folds if fold.split == split
    ]
    return round(float(np.mean([is_labeled[pool].sum() for pool in pools])))


def _labeled(plan: Plan) -> LabeledPrompts:
    """Return the new run's prompts with the labels of the behaviors that are compared."""
    opened = plan.new.opened
    found = read_datasets(opened.run, opened.config)[plan.new.primary].prompts
    labels = {name: table for name, table in found.labels.items() if name in plan.common.spaces}
    return LabeledPrompts(texts=found.texts, domains=found.domains, labels=labels)


def _trainer(plan: Plan) -> Trainer:
    return plan.sources[0].opened.config.metamodels[plan.trainer_name]


def _fitting_sources(plan: Plan, notes: list[str]) -> list[Source]:
    """Return the metamodels, baselines left out, whose folds are those of the new run: they saw none of its judges."""
    fresh = plan.new.opened
    fitting = [one for one in plan.sources if _same_folds(one.opened, fresh)]
    if plan.folds and len(fitting) < len(plan.sources):
        others = dict.fromkeys(one.opened.name for one in plan.sources if one not in fitting)
        notes.append(
            f"learning curves leave out {', '.join(others)}: its prompts or splits are others than the new run's, so "
            "what its metamodels were fitted on cannot be told from what judges"
        )
    return [one for one in fitting if one.metamodel not in baseline_names(one.opened.config)]


def _same_folds(one: OpenedRun, other: OpenedRun) -> bool:
    if one.prompts.ids != other.prompts.ids or len(one.folds) != len(other.folds):
        return False
    return all(
        mine.name == theirs.name
        and np.array_equal(mine.test, theirs.test)
        and np.array_equal(mine.validation, theirs.validation)
        for mine, theirs in zip(one.folds, other.folds, strict=True)
    )
