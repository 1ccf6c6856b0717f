"""Stage tune: one search a metamodel, on the labels of a run.

Everything goes to tune/<metamodel>-<hash>/ below the run directory: journal.jsonl (Optuna's), trials.json, tuned.yaml;
the chart to plots/. The hash is of all that a trial's worth depends on: the same search goes on where it stood, any
other one stands beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from metamodel.dataset import read_datasets
from metamodel.errors import ConfigError, RunError, UnknownNameError, nearest_name_hint
from metamodel.report.chart_files import write_chart
from metamodel.tune.charts import tune_chart
from metamodel.tune.domains import TuningDomains, tuning_domains
from metamodel.tune.objective import Objective
from metamodel.tune.study import JOURNAL_FILE, Search, import_optuna
from metamodel.tune.trials import TuneResult
from metamodel.tune.tuned_config import tuned_yaml
from metamodel.types import content_hash

if TYPE_CHECKING:
    from metamodel.config import RunConfig, TunePlan
    from metamodel.console import OnProgress
    from metamodel.store.run_directory import RunDirectory

_FOLDER = "tune"
_EXAMPLE = "tune: {spaces: {bag: {dimension: [8, 16, 32], learning_rate: {low: 0.001, high: 0.1, log: true}}}}"


@dataclass(frozen=True, kw_only=True)
class TuneWork:
    """What a call would do.

    Attributes:
        plan: The config's section, with what the call changed.
        metamodels: Names of the metamodels to tune.
        domains: What the trials may read.
    """

    plan: TunePlan
    metamodels: Sequence[str]
    domains: TuningDomains

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {
            "n_trials": self.plan.n_trials,
            "timeout_s": self.plan.timeout_s,
            "final_domains": list(self.domains.final_domains),
            "domains": list(self.domains.domains),
            "n_prompts": len(next(iter(self.domains.datasets.values())).prompts),
            "n_folds": len(self.domains.folds),
            "spaces": {
                name: {field: space.to_dict() for field, space in self.plan.spaces[name].items()}
                for name in self.metamodels
            },
        }


def tune_work(
    run: RunDirectory,
    config: RunConfig,
    *,
    metamodel: str | None = None,
    n_trials: int | None = None,
    timeout_s: float | None = None,
) -> TuneWork:
    """Return what a call of `tune` with these arguments does; fits nothing.

    Raises:
        ConfigError: The config has no `tune` section, or a number is out of range.
        UnknownNameError: The section has no such metamodel.
        DataError: Too few domains are left to tune on.
        RunError: The run has no labels.
    """
    if config.tune is None:
        raise ConfigError([f"tune: is missing, must say what to vary, for example {_EXAMPLE}"], source=config.name)
    if metamodel is not None and metamodel not in config.tune.spaces:
        raise UnknownNameError(
            f"tune.spaces has no metamodel {metamodel!r}: {nearest_name_hint(metamodel, config.tune.spaces)}"
        )
    try:
        plan = replace(
            config.tune,
            n_trials=config.tune.n_trials if n_trials is None else n_trials,
            timeout_s=config.tune.timeout_s if timeout_s is None else timeout_s,
        )
    except ValueError as error:
        raise ConfigError([str(error)], source="tune") from error
    domains = tuning_domains(read_datasets(run, config), config, plan)
    return TuneWork(plan=plan, metamodels=[metamodel] if metamodel else list(plan.spaces), domains=domains)


def tune(
    run: RunDirectory,
    config: RunConfig,
    *,
    metamodel: str | None = None,
    n_trials: int | None = None,
    timeout_s: float | None = None,
    on_progress: OnProgress | None = None,
) -> list[TuneResult]:
    """Search the fields of the metamodels that the config's `tune` section names, or go on with it.

    Args:
        run: Where the labels are.
        config: Its config; the searched spaces stand in its `tune` section.
        metamodel: The one to tune; None tunes all that the section names.
        n_trials: In place of the section's.
        timeout_s: In place of the section's; for each metamodel.
        on_progress: Told what is fitted.

    Returns:
        What each search found.

    Raises:
        MetamodelError: As `tune_work`; or optuna is missing, or the journal cannot be read.
    """
    import_optuna()
    work = tune_work(run, config, metamodel=metamodel, n_trials=n_trials, timeout_s=timeout_s)
    with run.lock():
        results = [
            _search(run, config, work, name, on_progress=on_progress, place=place)
            for place, name in enumerate(work.metamodels)
        ]
        if len(results) > 1 and any(result.best for result in results):
            run.write_text(f"{_FOLDER}/tuned.yaml", tuned_yaml(config, results))
    if on_progress:
        total = len(results) * work.plan.n_trials * len(work.domains.folds)
        on_progress("done", total, total)
    return results


def _search(
    run: RunDirectory, config: RunConfig, work: TuneWork, name: str, *, on_progress: OnProgress | None, place: int
) -> TuneResult:
    """Do or finish one search and write what it found."""
    if run.local_path is None:
        raise RunError(f"{run.path} is not on this machine: tuning keeps a journal, copy the run to a local folder")
    # In the order of their names: the same draws however the config lists them.
    spec, spaces = config.specs("metamodels")[name], dict(sorted(work.plan.spaces[name].items()))
    mark = content_hash(
        json.dumps([spec, {field: space.to_dict() for field, space in spaces.items()}, config.seed], sort_keys=True),
        *_data_marks(work.domains),
    )
    folder = f"{_FOLDER}/{name}-{mark[:8]}"
    local = run.local_path / folder
    local.mkdir(parents=True, exist_ok=True)
    objective = Objective(domains=work.domains, seed=config.seed, feature_folder=run.feature_folder)
    search = Search(spec=spec, spaces=spaces, objective=objective, journal=local / JOURNAL_FILE, seed=config.seed)
    n_trials, n_folds = work.plan.n_trials, len(work.domains.folds)

    def on_fold(trial: int, fold: int) -> None:
        if on_progress:
            label = f"{name}: trial {trial + 1} of {n_trials}, fold {fold + 1} of {n_folds}"
            on_progress(label, (place * n_trials + trial) * n_folds + fold, len(work.metamodels) * n_trials * n_folds)

    is_done = search.run(n_trials=n_trials, timeout_s=work.plan.timeout_s, on_fold=on_fold)
    result = TuneResult(
        metamodel=name,
        folder=folder,
        final_domains=work.domains.final_domains,
        domains=work.domains.domains,
        n_folds=n_folds,
        trials=search.trials(),
        importances=search.importances(),
        is_out_of_time=not is_done,
    )
    run.write_text(f"{folder}/trials.json", json.dumps(result.to_dict(), indent=1) + "\n")
    if result.best is not None:
        run.write_text(f"{folder}/tuned.yaml", tuned_yaml(config, [result]))
    chart = tune_chart(result)
    if chart is not None:
        write_chart(run, chart)
    if config.logger == "wandb":
        _log_to_wandb(result, directory=str(local))
    return result


def _data_marks(domains: TuningDomains) -> list[str]:
    """Return what identifies the prompts, labels and folds that judge a trial."""
    marks = []
    for dataset in domains.datasets.values():
        marks += [dataset.primary, *dataset.prompts.texts, *dataset.prompts.domains]
        marks += [f"{name} {one.space} {one.codes.tobytes().hex()}" for name, one in dataset.prompts.labels.items()]
    for fold in domains.folds:
        marks += [rows.tobytes().hex() for rows in (fold.train, fold.validation, fold.test)]
    return marks


def _log_to_wandb(result: TuneResult, *, directory: str) -> None:
    """Show the trials in Weights & Biases, a step each."""
    import wandb

    with wandb.init(
        project="metamodel", name=f"tune-{result.metamodel}", dir=directory, reinit="finish_previous"
    ) as log:
        for trial in result.trials:
            values = {f"fields/{name}": value for name, value in trial.fields.items()}
            log.log({"bits": trial.worth_bits, "seconds": trial.seconds, "state": trial.state, **values})
