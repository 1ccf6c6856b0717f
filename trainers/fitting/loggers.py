"""Where a fit reports: CSV or Weights & Biases below a folder, and a terminal free of Lightning's own news."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import lightning.pytorch as pl
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger

from metamodel.protocols import FitContext

METRICS_FILE = "metrics.csv"


class FinishLogger(pl.Callback):
    """Ends the Weights & Biases run in the process that logged to it, however the fit ends."""

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        """End it."""
        _finish(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:  # noqa: ARG002 - the same
        """End it."""
        _finish(trainer)


def _finish(trainer: pl.Trainer) -> None:
    if isinstance(trainer.logger, WandbLogger) and trainer.is_global_zero:
        trainer.logger.experiment.finish()


def logger_of(context: FitContext, *, goes_on: bool) -> Logger | None:
    """Return the logger asked for; without a directory nothing is written, so nothing is logged.

    Args:
        context: Says which and where.
        goes_on: Whether the fit goes on from a checkpoint: what was logged before the kill is then put aside in
            metrics-<number>.csv, and else removed.
    """
    if context.directory is None or context.logger == "none":
        return None
    if context.logger == "wandb":
        return WandbLogger(name=context.name, project="metamodel", save_dir=context.directory, log_model=False)
    metrics = context.directory / METRICS_FILE
    earlier = sorted(context.directory.glob("metrics-*.csv"))
    if goes_on and metrics.exists():
        metrics.rename(context.directory / f"metrics-{len(earlier)}.csv")
    if not goes_on:
        for stale in [metrics, *earlier, context.directory / "hparams.yaml"]:
            stale.unlink(missing_ok=True)
    return CSVLogger(context.directory, name="", version="")


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Raise Lightning's own log level while it runs: which device it found is no news in the hundredth fit."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 walks its data loaders with a class that torch 2.13 renamed; neither side is ours to mend.
            warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated", category=FutureWarning)
            # The folder also holds the checkpoint and what was put aside; stale metrics were removed above.
            warnings.filterwarnings("ignore", message=r"Experiment logs directory .* exists and is not empty")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
