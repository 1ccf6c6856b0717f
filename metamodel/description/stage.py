"""From the metamodels of a run to their description lengths.

Shapes: n = prompts, c = outcomes of a behavior.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.config import build_config
from metamodel.dataset import ALL_PRIMARIES, PrimaryDataset, read_datasets
from metamodel.description.coding import OnlineCode, OnlinePlan, code_online, plan_online
from metamodel.description.online import Order, uniform_bits
from metamodel.description.tables import UNIFORM, Described, Measure, Objective, objectives, with_front
from metamodel.errors import ConfigError, RunError, UnknownNameError, nearest_name_hint
from metamodel.feature_cache import stored_under
from metamodel.information import label_entropy_bits, prompt_cross_entropies_bits
from metamodel.labels import task_name, task_parts
from metamodel.ladder.intervals import Judged, mean_reduction_interval
from metamodel.metamodels import load_metamodel
from metamodel.protocols import Compresses
from metamodel.train import Fit, planned_fits
from metamodel.types import IntArray, Predictions

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.console import OnProgress
    from metamodel.store.run_directory import RunDirectory

DEFAULT_ALPHAS: Final = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True, kw_only=True)
class TaskCode:
    """The online code of one behavior of one primary model.

    Attributes:
        metamodel: Name of the metamodel.
        primary: The primary model whose labels are sent.
        behavior: The behavior.
        n_prompts: Labeled prompts.
        ends: Where blocks end, in prompts with and without a label.
        block_bits: Bits of each block.
        online_bits: Their sum: the prequential code length of the labels.
        uniform_bits: Bits of the same labels under the uniform code.
        constant_bits: Bits under the best constant, which is n H(F).
        saved_bits: Bits under the saved metamodel, fitted on these very labels.
        compression: `uniform_bits` over `online_bits`.
        n_fallbacks: Blocks that were coded uniformly since nothing could be fitted.
    """

    metamodel: str
    primary: str
    behavior: str
    n_prompts: int
    ends: Sequence[int]
    block_bits: Sequence[float]
    online_bits: float
    uniform_bits: float
    constant_bits: float
    saved_bits: float
    compression: float | None
    n_fallbacks: int

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return asdict(self) | {"ends": list(self.ends), "block_bits": list(self.block_bits)}


@dataclass(frozen=True, kw_only=True)
class MdlWork:
    """What `describe` fits.

    Attributes:
        fold: The fold whose saved metamodels are described.
        order: How prompts are ordered.
        plans: The online codes, one a fit.
    """

    fold: str
    order: Order
    plans: Sequence[OnlinePlan]

    @property
    def n_fits(self) -> int:
        """How many metamodels will be fitted, those of finished blocks included."""
        return sum(plan.n_fits for plan in self.plans)

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {
            "fold": self.fold,
            "order": self.order,
            "n_fits": self.n_fits,
            "codes": [
                {
                    "metamodel": plan.fit.metamodel,
                    "primary": plan.fit.dataset.primary,
                    "n_prompts": len(plan.rows),
                    "ends": list(plan.ends),
                    "n_fits": plan.n_fits,
                    "n_fitted_prompts": plan.n_fitted_prompts,
                }
                for plan in self.plans
            ],
        }


@dataclass(frozen=True, kw_only=True)
class Mdl:
    """Description lengths of a run's metamodels.

    Attributes:
        fold: The fold whose saved metamodels are described, and whose test prompts judge them.
        order: How prompts were ordered for the online code.
        n_prompts: Prompts n of equation 6.
        n_judged: Test prompts.
        described: Metamodels by measure, by size, with the front.
        objectives: Equation 6 over alpha.
        codes: The online codes.
    """

    fold: str
    order: Order
    n_prompts: int
    n_judged: int
    described: Sequence[Described]
    objectives: Sequence[Objective]
    codes: Sequence[TaskCode]

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {
            "fold": self.fold,
            "order": self.order,
            "n_prompts": self.n_prompts,
            "n_judged": self.n_judged,
            "metamodels": [one.to_dict() for one in self.described],
            "objectives": [one.to_dict() for one in self.objectives],
            "codes": [one.to_dict() for one in self.codes],
        }


def mdl_work(run: RunDirectory, config: RunConfig, *, fold: str | None = None, order: Order = "shuffled") -> MdlWork:
    """Return which metamodels would be fitted, without fitting any.

    One fold is described: the in-distribution one where the config has it, else the first, unless another is named.

    Raises:
        UnknownNameError: There is no such fold.
        RunError: A metamodel of the fold has not been trained, or the config plans none.
    """
    fits = list(planned_fits(read_datasets(run, config), config))
    names = list(dict.fromkeys(fit.fold.name for fit in fits))
    if not names:
        raise RunError(f"{run.path}: the config plans no fit (splits): there is nothing to describe")
    chosen = fold or ("in_distribution" if "in_distribution" in names else names[0])
    if chosen not in names:
        raise UnknownNameError(f"the run has no fold named {chosen!r}: {nearest_name_hint(chosen, names)}")
    mine = [fit for fit in fits if fit.fold.name == chosen]
    missing = [fit.name for fit in mine if fit.name not in set(run.metamodel_names())]
    if missing:
        raise RunError(f"{run.path} has no metamodel {', '.join(missing[:3])}: run `metamodel train` first")
    return MdlWork(fold=chosen, order=order, plans=[plan_online(fit, order=order, seed=config.seed) for fit in mine])


def describe(
    run: RunDirectory,
    *,
    alphas: Sequence[float] = DEFAULT_ALPHAS,
    fold: str | None = None,
    order: Order = "shuffled",
    n_prompts: int | None = None,
    on_progress: OnProgress | None = None,
) -> Mdl:
    """Measure the descriptions of a run's metamodels, and what they are worth on the fold's test prompts.

    Args:
        run: A trained run.
        alphas: Weights of the data's bits in equation 6.
        fold: Which fold; None takes the in-distribution one, or the first.
        order: Order of the prompts in the online code.
        n_prompts: Prompts n of equation 6; None takes all of the run.
        on_progress: Told which block is coded.

    Raises:
        ConfigError: An alpha or n is not above 0.
        UnknownNameError: There is no such fold.
        RunError: The run is not trained.
    """
    _refuse_weights(alphas, n_prompts)
    config = build_config(run.config, source=f"{run.path}/run.json")
    datasets = read_datasets(run, config)
    work = mdl_work(run, config, fold=fold, order=order)
    n = n_prompts or len(next(iter(datasets.values())).prompt_ids)
    codes = _all_codes(run, config, work.plans, on_progress)
    described = [
        one
        for name in config.metamodels
        for one in _described(run, name, [plan.fit for plan in work.plans if plan.fit.metamodel == name], codes, config)
    ]
    everything = with_front(described)
    uniform = [_uniform(measure, work.plans[0].fit, datasets) for measure in ("lossless", "prequential")]
    return Mdl(
        fold=work.fold,
        order=order,
        n_prompts=n,
        n_judged=len(work.plans[0].fit.fold.test),
        described=everything,
        objectives=objectives(
            [*uniform, *(one for one in everything if one.measure != "two-part")], alphas, n_prompts=n
        ),
        codes=codes,
    )


def _all_codes(
    run: RunDirectory, config: RunConfig, plans: Sequence[OnlinePlan], on_progress: OnProgress | None
) -> list[TaskCode]:
    total = sum(len(plan.ends) for plan in plans)
    codes: list[TaskCode] = []
    done = 0
    for plan in plans:

        def on_block(block: int, name: str = plan.fit.name, before: int = done) -> None:
            if on_progress:
                on_progress(f"{name}, block {block + 1}", before + block, total)

        codes += _task_codes(run, plan, code_online(run, config, plan, on_block=on_block))
        done += len(plan.ends)
    if on_progress:
        on_progress("done", total, total)
    return codes


def _refuse_weights(alphas: Sequence[float], n_prompts: int | None) -> None:
    wrong = [f"--alpha is {alpha:g}, must be above 0 and finite" for alpha in alphas if not 0 < alpha < np.inf]
    wrong += [f"--prompts is {n_prompts}, must be at least 1"] if n_prompts is not None and n_prompts < 1 else []
    if wrong:
        raise ConfigError(wrong, source="mdl")


def _task_codes(run: RunDirectory, plan: OnlinePlan, code: OnlineCode) -> Iterator[TaskCode]:
    prompts = plan.fit.dataset.prompts.take(plan.rows)
    predicted = _predicted(run, plan.fit, plan.rows)
    for task, table in prompts.labels.items():
        owner, behavior = task_parts(task)
        n_labeled = int((table.counts.sum(axis=1) > 0).sum())
        uniform, online = uniform_bits(table.counts), sum(code.bits[task])
        yield TaskCode(
            metamodel=plan.fit.metamodel,
            primary=owner or plan.fit.dataset.primary,
            behavior=behavior,
            n_prompts=n_labeled,
            ends=plan.ends,
            block_bits=code.bits[task],
            online_bits=online,
            uniform_bits=uniform,
            constant_bits=n_labeled * (label_entropy_bits(table.counts) or 0.0),
            saved_bits=float(prompt_cross_entropies_bits(table.counts, predicted[task]).sum()),
            compression=uniform / online if online > 0 else None,
            n_fallbacks=code.n_fallbacks,
        )


def _predicted(run: RunDirectory, fit: Fit, rows: IntArray) -> Predictions:
    from threadpoolctl import threadpool_limits

    prompts = fit.dataset.prompts.take(rows)
    saved = load_metamodel(run.metamodel_folder(fit.name))
    with threadpool_limits(limits=1), stored_under(run.feature_folder):
        return saved.predict(prompts.texts, domains=prompts.domains)


def _described(
    run: RunDirectory, name: str, fits: Sequence[Fit], codes: Sequence[TaskCode], config: RunConfig
) -> Iterator[Described]:
    """Yield a metamodel by each measure, all its fits (one a primary model) together."""
    cells: dict[str, Judged] = {}
    borrowed: dict[str, float] = {}
    sizes: dict[Measure, float] = {"two-part": 0.0, "lossless": 0.0, "prequential": 0.0}
    for fit in fits:
        saved = load_metamodel(run.metamodel_folder(fit.name))
        predicted = _predicted(run, fit, fit.fold.test)
        for task, table in fit.dataset.prompts.labels.items():
            unique = task if fit.dataset.primary == ALL_PRIMARIES else task_name(fit.dataset.primary, task)
            cells[unique] = (table.counts[fit.fold.test], predicted[task])
        sizes["two-part"] += saved.description_bits
        sizes["lossless"] += saved.coded_bits if isinstance(saved, Compresses) else saved.description_bits
        if isinstance(saved, Compresses):
            borrowed.update(saved.borrowed_bits)
    sizes["prequential"] = sum(one.online_bits - one.saved_bits for one in codes if one.metamodel == name)
    mean, interval = mean_reduction_interval([cells], n_draws=config.evaluation.n_bootstrap, seed=config.seed)
    judged = [one for one in cells.values() if one[0].sum() > 0]
    if not judged:
        raise RunError(f"{run.path}: no test prompt of the fold has a label: there is nothing to judge")
    n_cells = len(judged)
    cross_entropy = sum(float(prompt_cross_entropies_bits(*one).mean()) for one in judged)
    for measure, bits in sizes.items():
        yield Described(
            metamodel=name,
            measure=measure,
            description_bits=bits,
            borrowed_bits=sum(borrowed.values()),
            cross_entropy_bits=cross_entropy,
            reduction_bits=n_cells * mean,
            low_bits=n_cells * interval.low if interval else None,
            high_bits=n_cells * interval.high if interval else None,
        )


def _uniform(measure: Measure, fit: Fit, datasets: dict[str, PrimaryDataset]) -> Described:
    """Return the code that describes nothing and favors no outcome."""
    tables = [table.counts[fit.fold.test] for dataset in datasets.values() for table in dataset.prompts.labels.values()]
    labeled = [counts for counts in tables if counts.sum() > 0]
    cross_entropy = sum(float(np.log2(counts.shape[1])) for counts in labeled)
    entropy = sum(label_entropy_bits(counts) or 0.0 for counts in labeled)
    return Described(
        metamodel=UNIFORM,
        measure=measure,
        description_bits=0.0,
        borrowed_bits=0.0,
        cross_entropy_bits=cross_entropy,
        reduction_bits=entropy - cross_entropy,
        low_bits=None,
        high_bits=None,
    )
