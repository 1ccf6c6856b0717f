"""The stages in order, each from artifacts on disk to artifacts on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from metamodel.config import RunConfig
from metamodel.console import stage_progress
from metamodel.draw import config_folds, draw_prompts
from metamodel.store.run_directory import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    config: RunConfig, stages: Sequence[Stage], *, resume: bool = False, quiet: bool = False
) -> RunDirectory:
    """Do the given stages of a config in order and return its run directory."""
    if "collect" in stages:
        prompts = draw_prompts(config)
        config_folds(config, prompts)  # a split that cannot work is refused before anything is drawn
    else:
        RunDirectory.open(config.directory)
    directory = RunDirectory.create_or_open(config.directory, config=config.resolved, resume=resume)
    with directory.lock():
        for stage in stages:
            with stage_progress(stage, quiet=quiet) as on_progress:
                if stage == "collect":
                    from metamodel.collect import collect

                    collect(
                        directory,
                        primaries=config.primaries,
                        prompts=prompts,
                        sampling=config.sampling,
                        on_progress=on_progress,
                    )
                elif stage == "featurize":
                    from metamodel.featurize import featurize

                    featurize(directory, config, on_progress=on_progress)
                elif stage == "train":
                    from metamodel.train import train

                    train(directory, config, on_progress=on_progress)
                elif stage == "evaluate":
                    from metamodel.evaluate import evaluate

                    evaluate(directory, config, on_progress=on_progress)
                else:
                    from metamodel.report.stage import report

                    report(directory, config, on_progress=on_progress)
    return directory
