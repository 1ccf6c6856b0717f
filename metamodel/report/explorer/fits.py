"""Which saved fits judged the sampled prompts, so that they can be asked about words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from metamodel.dataset import ALL_PRIMARIES, PrimaryDataset
from metamodel.labels import task_name
from metamodel.metamodels import load_metamodel
from metamodel.metric_rows import SPLITS
from metamodel.report.explorer.occlusion import OccludedFit, OccludedPrompt
from metamodel.train import Fit, planned_fits

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.protocols import Metamodel
    from metamodel.store.run_directory import RunDirectory


def occluded_fits(
    run: RunDirectory,
    config: RunConfig,
    *,
    datasets: Mapping[str, PrimaryDataset],
    wanted: Mapping[str, Sequence[int]],
    best: Mapping[tuple[str, str], str],
) -> list[OccludedFit]:
    """Return the fits of each behavior's best metamodel, with the sampled prompts that each judged.

    A prompt judged on a left-out domain and within domains is asked about where its domain was left out, as it is
    shown. Nothing is loaded yet.

    Args:
        run: Where fits are saved.
        config: The run's config.
        datasets: The labeled prompts of each primary model.
        wanted: Numbers of the sampled prompts of each primary model, those that matter most first.
        best: Best metamodel of each primary model and behavior.
    """
    fits = sorted(planned_fits(datasets, config), key=lambda fit: SPLITS.index(fit.fold.split))
    taken: set[tuple[str, str, int]] = set()
    found = []
    for fit in fits:
        is_across = fit.dataset.primary == ALL_PRIMARIES
        for primary in datasets if is_across else [fit.dataset.primary]:
            tasks = {
                behavior: task_name(primary, behavior) if is_across else behavior
                for (owner, behavior), metamodel in best.items()
                if owner == primary and metamodel == fit.metamodel
            }
            judged = set(fit.fold.test.tolist())
            rows = [row for row in wanted.get(primary, ()) if row in judged]
            rows = [row for row in rows if (primary, fit.metamodel, row) not in taken]
            if tasks and rows:
                taken |= {(primary, fit.metamodel, row) for row in rows}
                found.append(_occluded(run, fit, tasks=tasks, dataset=datasets[primary], rows=rows))
    return found


def _occluded(
    run: RunDirectory, fit: Fit, *, tasks: Mapping[str, str], dataset: PrimaryDataset, rows: Sequence[int]
) -> OccludedFit:
    return OccludedFit(
        name=fit.name,
        load=partial(_load, run, fit.name),
        tasks=tasks,
        prompts=[
            OccludedPrompt(
                key=(dataset.primary, row), text=dataset.prompts.texts[row], domain=dataset.prompts.domains[row]
            )
            for row in rows
        ],
    )


def _load(run: RunDirectory, name: str) -> Metamodel:
    return load_metamodel(run.metamodel_folder(name))
