"""Stage train: every trainer on every fold of every primary model's labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metamodel.config import RunConfig
from metamodel.dataset import PrimaryDataset, joined_dataset, read_datasets
from metamodel.errors import RunError, UnknownNameError, nearest_name_hint
from metamodel.feature_cache import stored_under
from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext, TrainsAcrossPrimaries
from metamodel.splits import Fold, make_folds
from metamodel.types import JSONValue, content_hash

if TYPE_CHECKING:
    from metamodel.store.run_directory import RunDirectory


@dataclass(frozen=True, kw_only=True)
class Fit:
    """One metamodel to be fitted: who, on whose labels, on which fold.

    Attributes:
        name: Name of its folder below metamodels/.
        metamodel: Name of the trainer in the config.
        dataset: The primary model's labeled prompts, or those of all of them joined.
        fold: Which of them train, stop and judge.
    """

    name: str
    metamodel: str
    dataset: PrimaryDataset
    fold: Fold


def planned_fits(datasets: Mapping[str, PrimaryDataset], config: RunConfig) -> Iterator[Fit]:
    """Yield every fit that the config asks for, primary model by primary model, metamodel by metamodel.

    What trains across primary models comes last, once for all of them.
    """
    across = fitted_across_primaries(config)
    alone = [name for name in config.metamodels if name not in across]
    for dataset in datasets.values():
        yield from _fits_of(dataset, alone, config)
    if across:
        yield from _fits_of(joined_dataset(datasets), across, config)


def fitted_across_primaries(config: RunConfig) -> list[str]:
    """Return the names of the config's metamodels that are fitted once for all primary models."""
    return [
        name
        for name, trainer in config.metamodels.items()
        if isinstance(trainer, TrainsAcrossPrimaries) and trainer.across_primaries
    ]


def _fits_of(dataset: PrimaryDataset, metamodels: Sequence[str], config: RunConfig) -> Iterator[Fit]:
    folds = make_folds(
        dataset.prompts.texts,
        dataset.prompts.domains,
        test_share=config.splits.test_share,
        validation_share=config.splits.validation_share,
        in_distribution=config.splits.in_distribution,
        held_out_domains=config.splits.held_out_domains,
        seed=config.seed,
    )
    for metamodel in metamodels:
        for fold in folds:
            name = fit_name(metamodel, dataset.primary, fold.name)
            yield Fit(name=name, metamodel=metamodel, dataset=dataset, fold=fold)


def fits_named(fits: Sequence[Fit], name: str) -> list[Fit]:
    """Return the fits that a name means: that of a folder, or a metamodel's on the in_distribution fold.

    Args:
        fits: All of a run.
        name: Name of a fit's folder, or of a metamodel in the config.

    Raises:
        UnknownNameError: Nothing has the name.
        RunError: The run has no in_distribution fold.
    """
    exactly = [fit for fit in fits if fit.name == name]
    named = exactly or [fit for fit in fits if fit.metamodel == name]
    if not named:
        known = dict.fromkeys(fit.metamodel for fit in fits)
        raise UnknownNameError(f"the run has no metamodel named {name!r}: {nearest_name_hint(name, known)}")
    plain = exactly or [fit for fit in named if fit.fold.split == "in_distribution"]
    if not plain:
        raise RunError(
            f"the run has no in_distribution fold (splits.in_distribution is false): set it to true, or name one fit: "
            f"{', '.join(fit.name for fit in named[:10])}"
        )
    return plain


def fit_name(metamodel: str, primary: str, fold: str) -> str:
    """Return a folder name for a fit; a domain's name may hold any character, so what is unsafe is replaced and hashed.

    >>> fit_name("bag", "gpt2", "without_sorting")
    'bag-gpt2-without_sorting'
    """
    plain = f"{metamodel}-{primary}-{fold}"
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", plain)
    return safe if safe == plain else f"{safe}-{content_hash(plain)[:8]}"


def train(
    run: RunDirectory,
    config: RunConfig,
    *,
    progress: bool = False,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Fit and save every metamodel of the config; one that was fitted on the same data in the same way is kept."""
    from threadpoolctl import threadpool_limits

    fits = list(planned_fits(read_datasets(run, config), config))
    saved = set(run.metamodel_names())
    facts = run.facts.get("fits")
    fingerprints: dict[str, JSONValue] = dict(facts) if isinstance(facts, dict) else {}
    for position, fit in enumerate(fits):
        if on_progress:
            on_progress(fit.name, position, len(fits))
        fingerprint = _fingerprint(fit, config)
        if fit.name in saved and fingerprints.get(fit.name) == fingerprint:
            continue
        trainer = config.metamodels[fit.metamodel]
        context = FitContext(
            directory=run.local_path / "logs" / fit.name if run.local_path else None,
            logger=config.logger,
            progress=progress,
            seed=config.seed,
            name=fit.name,
            expects_shift=fit.fold.split == "held_out_domain",
        )
        prompts = fit.dataset.prompts
        # Threads cost small fits more time than they save, and a sum's rounding would depend on the number of cores.
        with threadpool_limits(limits=1), stored_under(run.feature_folder):
            fitted = trainer.fit(prompts.take(fit.fold.train), prompts.take(fit.fold.validation), context=context)
        run.save_metamodel(fit.name, fitted)
        fingerprints[fit.name] = fingerprint
        run.update_facts(fits=fingerprints)
    if on_progress:
        on_progress("done", len(fits), len(fits))


def _fingerprint(fit: Fit, config: RunConfig) -> str:
    """Return a hash of all that determines the fit."""
    prompts = fit.dataset.prompts
    parts = [str(config.specs("metamodels")[fit.metamodel]), str(config.seed)]
    for rows in (fit.fold.train, fit.fold.validation):
        parts += [_data_hash(prompts.take(rows))]
    return content_hash(*parts)


def _data_hash(prompts: LabeledPrompts) -> str:
    labels = [f"{name} {table.space} {table.codes.tobytes().hex()}" for name, table in prompts.labels.items()]
    return content_hash(*prompts.texts, *prompts.domains, *labels)
