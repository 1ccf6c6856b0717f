"""The stages in order, each from artifacts on disk to artifacts on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from metamodel.config import RunConfig
from metamodel.console import OnProgress, stage_progress
from metamodel.draw import DrawnPrompts, survey_folds, survey_prompts
from metamodel.errors import RunError
from metamodel.store.run_directory import RunDirectory
from metamodel.types import content_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from metamodel.collect import CollectReport
    from metamodel.engines.base import Engine

Stage: TypeAlias = Literal["collect", "featurize", "train", "evaluate", "report"]

STAGES: tuple[Stage, ...] = get_args(Stage)


def run(config: RunConfig, *, resume: bool = False, quiet: bool = False) -> RunDirectory:
    """Do all stages of a config and return its run directory.

    What a stage finds done, it does not do again: a run that was interrupted goes on where it stopped.

    Args:
        config: From `load_config` or `build_config`.
        resume: Go on with a run directory that another config made.
        quiet: Draw no progress bars.

    Raises:
        MetamodelError: The user's mistake, in words.
    """
    return run_stages(config, STAGES, resume=resume, quiet=quiet)


def run_stages(
    config: RunConfig,
    stages: Sequence[Stage],
    *,
    resume: bool = False,
    quiet: bool = False,
    engine: Engine | None = None,
    retry_errors: bool = False,
    on_collected: Callable[[CollectReport], None] | None = None,
) -> RunDirectory:
    """Do the given stages of a config in order and return its run directory.

    Args:
        config: From `load_config` or `build_config`.
        stages: Which ones.
        resume: Go on with a run directory that another config made.
        quiet: Draw no progress bars.
        engine: Runs primary models and featurizers; None takes the config's.
        retry_errors: Let collect draw once more what failed and is not final.
        on_collected: Called with what collect did.

    Raises:
        MetamodelError: The user's mistake, in words.
    """
    engine = config.engine.engine() if engine is None else engine
    fingerprint = None
    if "collect" in stages:
        from metamodel.collecting.fingerprints import sources_fingerprint

        fingerprint = sources_fingerprint(config)
        _refuse_impossible_folds(config, fingerprint)
    else:
        RunDirectory.open(config.directory)
    directory = RunDirectory.create_or_open(config.directory, config=config.resolved, resume=resume)
    with directory.lock():
        for stage in stages:
            with stage_progress(stage, quiet=quiet) as on_progress:
                if stage == "collect":
                    from metamodel.collect import collect

                    report = collect(
                        directory,
                        primaries=config.primaries,
                        prompts=DrawnPrompts(config=config),
                        sampling=config.sampling,
                        engine=engine,
                        retry_errors=retry_errors,
                        prompts_fingerprint=fingerprint,
                        on_progress=on_progress,
                    )
                    _remember_folds(directory, _folds_mark(config, fingerprint))
                    if on_collected is not None:
                        on_collected(report)
                else:
                    _do_stage(stage, directory, config, engine, on_progress)
    return directory


def _do_stage(
    stage: Stage, directory: RunDirectory, config: RunConfig, engine: Engine, on_progress: OnProgress | None
) -> None:
    if stage == "featurize":
        from metamodel.featurize import featurize

        featurize(directory, config, engine=engine, on_progress=on_progress)
    elif stage == "train":
        from metamodel.train import train

        train(directory, config, on_progress=on_progress)
    elif stage == "evaluate":
        from metamodel.evaluate import evaluate

        evaluate(directory, config, on_progress=on_progress)
    else:
        from metamodel.report.stage import report

        report(directory, config, on_progress=on_progress)


def _refuse_impossible_folds(config: RunConfig, fingerprint: str | None) -> None:
    """Refuse a split that cannot work before anything is drawn; a run that it was checked for is not read again."""
    try:
        known = RunDirectory.open(config.directory).facts.get("folds_checked")
    except RunError:
        known = None  # a new run; what is wrong with an old one shows when it is opened to write
    if fingerprint is None or known != _folds_mark(config, fingerprint):
        survey_folds(config, survey_prompts(config))


def _remember_folds(directory: RunDirectory, mark: str | None) -> None:
    if directory.facts.get("folds_checked") != mark:
        directory.update_facts(folds_checked=mark)


def _folds_mark(config: RunConfig, fingerprint: str | None) -> str | None:
    return None if fingerprint is None else content_hash(fingerprint, str(config.splits), str(config.seed))
