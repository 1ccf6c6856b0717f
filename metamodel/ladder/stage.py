"""From the metamodels of a run to the points of its ladder.

The figures are those of the held-out domains alone: every metamodel of a run, as it was saved and in shorter variants,
on the domain that its fold left out.

Shapes: n = prompts, c = outcomes of a behavior.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.config import build_config
from metamodel.dataset import ALL_PRIMARIES, PrimaryDataset, read_datasets
from metamodel.errors import DataError, RunError, UnknownNameError, nearest_name_hint
from metamodel.feature_cache import stored_under
from metamodel.labels import task_name, task_parts
from metamodel.ladder.curve import LadderPoint, break_even, knee, pareto_front
from metamodel.ladder.intervals import mean_reduction_interval
from metamodel.metamodels import load_metamodel
from metamodel.protocols import Compresses, Compression, Metamodel
from metamodel.train import Fit, planned_fits
from metamodel.types import FloatArray, Predictions

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.console import OnProgress
    from metamodel.store.run_directory import RunDirectory

AS_SAVED: Final = "as saved"
LOSSLESS: Final = "lossless"
VARIANTS: Final[Mapping[str, Compression]] = {
    "int8": Compression(int8=True),
    "int8, 50 % pruned": Compression(int8=True, prune_share=0.5),
    "int8, 90 % pruned": Compression(int8=True, prune_share=0.9),
}


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Bits gained against bits of description.

    Attributes:
        points: All of them, the shortest description first.
        domains: The held-out domains that judged.
        primaries: Primary models whose behaviors were judged.
        behaviors: Behaviors that were judged.
    """

    points: Sequence[LadderPoint]
    domains: Sequence[str]
    primaries: Sequence[str]
    behaviors: Sequence[str]

    @property
    def knee(self) -> LadderPoint | None:
        """The front's knee; None where it has fewer than three points, does not bend, or gains nothing there."""
        return next((point for point in self.points if point.is_knee), None)

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {
            "domains": list(self.domains),
            "primaries": list(self.primaries),
            "behaviors": list(self.behaviors),
            "knee": self.knee.to_dict() if self.knee else None,
            "points": [point.to_dict() for point in self.points],
        }


@dataclass(kw_only=True)
class _Rung:
    """What is gathered of one metamodel's variant, fit by fit.

    Attributes:
        n_fits: Fits gathered.
        bits: Bits of description, all fits together.
        borrowed: Size of each pretrained part, by its name, for each domain that a fit leaves out.
        predictions: Outcome probabilities by domain, primary model and behavior, [n, c] each.
    """

    n_fits: int = 0
    bits: float = 0.0
    borrowed: dict[str, dict[str, float]] = field(default_factory=dict)
    predictions: dict[tuple[str, str, str], FloatArray] = field(default_factory=dict)


def ladder(
    run: RunDirectory,
    *,
    behavior: str | None = None,
    primary: str | None = None,
    variants: Mapping[str, Compression] = VARIANTS,
    on_progress: OnProgress | None = None,
) -> Ladder:
    """Judge every metamodel of a run and its shorter variants on held-out domains.

    Args:
        run: A trained run.
        behavior: The only behavior to judge; None takes the mean over all.
        primary: The only primary model to judge; None takes all.
        variants: Shorter variants by name.
        on_progress: Told which metamodel predicts.

    Raises:
        UnknownNameError: The run has no such behavior or primary model.
        RunError: The run has no labels or metamodels, or its config holds no domain out.
        DataError: No judged prompt has a label.
    """
    config = build_config(run.config, source=f"{run.path}/run.json")
    datasets = read_datasets(run, config)
    judged = {name: datasets[name] for name in _chosen("primary model", primary, datasets)}
    behaviors = _chosen("behavior", behavior, config.behaviors)
    fits = [
        fit
        for fit in planned_fits(datasets, config)
        if fit.fold.split == "held_out_domain" and fit.dataset.primary in (*judged, ALL_PRIMARIES)
    ]
    if not fits:
        raise RunError(f"{run.path} holds no domain out (splits.held_out_domains is empty): there is nothing to judge")
    rungs: dict[tuple[str, str], _Rung] = {}
    for position, fit in enumerate(fits):
        if on_progress:
            on_progress(fit.name, position, len(fits))
        _gather(rungs, run, fit, variants)
    domains = list(dict.fromkeys(_domain(fit) for fit in fits))
    n_fits = Counter(fit.metamodel for fit in fits)
    points = [
        _point(name, variant, rung, judged, behaviors, domains, config)
        for (name, variant), rung in rungs.items()
        if rung.n_fits == n_fits[name]
    ]
    if on_progress:
        on_progress("done", len(fits), len(fits))
    return Ladder(points=_marked(points), domains=domains, primaries=list(judged), behaviors=behaviors)


def _chosen(what: str, name: str | None, known: Iterable[str]) -> list[str]:
    names = list(known)
    if name is not None and name not in names:
        raise UnknownNameError(f"the run has no {what} named {name!r}: {nearest_name_hint(name, names)}")
    return names if name is None else [name]


def _domain(fit: Fit) -> str:
    return str(fit.fold.held_out_domain)


def _gather(
    rungs: dict[tuple[str, str], _Rung],
    run: RunDirectory,
    fit: Fit,
    variants: Mapping[str, Compression],
) -> None:
    """Let one fit and its variants predict the domain that it left out."""
    prompts = fit.dataset.prompts.take(fit.fold.test)

    def add(variant: str, bits: float, metamodel: Metamodel, predicted: Predictions) -> None:
        rung = rungs.setdefault((fit.metamodel, variant), _Rung())
        rung.n_fits += 1
        rung.bits += bits
        if isinstance(metamodel, Compresses):
            rung.borrowed.setdefault(_domain(fit), {}).update(metamodel.borrowed_bits)
        for task, probabilities in predicted.items():
            owner, behavior = task_parts(task)
            # Of a metamodel of one primary model the tasks are named by the behavior alone.
            rung.predictions[_domain(fit), owner or fit.dataset.primary, behavior] = probabilities

    def predict(metamodel: Metamodel) -> Predictions:
        with threadpool_limits(limits=1), stored_under(run.feature_folder):
            return metamodel.predict(prompts.texts, domains=prompts.domains)

    from threadpoolctl import threadpool_limits

    saved = load_metamodel(run.metamodel_folder(fit.name))
    predicted = predict(saved)
    add(AS_SAVED, saved.description_bits, saved, predicted)
    if not isinstance(saved, Compresses):
        return
    add(LOSSLESS, saved.coded_bits, saved, predicted)
    for variant, compression in variants.items():
        try:
            shorter = saved.compressed(compression)
        except DataError:  # it has no weights to speak of
            continue
        add(variant, shorter.description_bits, shorter, predict(shorter))


def _point(
    metamodel: str,
    variant: str,
    rung: _Rung,
    datasets: Mapping[str, PrimaryDataset],
    behaviors: Sequence[str],
    domains: Sequence[str],
    config: RunConfig,
) -> LadderPoint:
    """Return where a variant stands."""
    cells = [
        {
            task_name(primary, behavior): (
                dataset.prompts.labels[behavior].counts[np.asarray(dataset.prompts.domains) == domain],
                rung.predictions[domain, primary, behavior],
            )
            for primary, dataset in datasets.items()
            for behavior in behaviors
        }
        for domain in domains
    ]
    mean, interval = mean_reduction_interval(cells, n_draws=config.evaluation.n_bootstrap, seed=config.seed)
    if np.isnan(mean):
        raise DataError(f"no prompt has a label of {', '.join(behaviors)}: there is nothing to judge")
    bits = rung.bits / len(domains)
    borrowed = sum(sum(parts.values()) for parts in rung.borrowed.values()) / len(domains)
    return LadderPoint(
        metamodel=metamodel,
        variant=variant,
        description_bits=bits,
        borrowed_bits=borrowed,
        reduction_bits=mean,
        low_bits=interval.low if interval else None,
        high_bits=interval.high if interval else None,
        break_even_prompts=break_even(bits, mean * len(datasets) * len(behaviors)),
    )


def _marked(points: Sequence[LadderPoint]) -> list[LadderPoint]:
    """Return the points by size, with the front and its knee marked; what gains nothing is nobody's knee."""
    ordered = sorted(points, key=lambda point: (point.description_bits, point.metamodel, point.variant))
    sizes, gains = [one.description_bits for one in ordered], [one.reduction_bits for one in ordered]
    front = pareto_front(sizes, gains)
    bend = knee([sizes[place] for place in front], [gains[place] for place in front])
    chosen = front[bend] if bend is not None and gains[front[bend]] > 0 else None
    return [replace(point, is_on_front=place in front, is_knee=place == chosen) for place, point in enumerate(ordered)]
