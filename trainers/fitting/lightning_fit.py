"""Fits the bag's network with Lightning: batches, loss, loggers, early stopping, the best weights kept.

Shapes: n = prompts of a batch, o = outcomes of all behaviors together.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from torch import Tensor

from metamodel.protocols import FitContext
from metamodel.types import FloatArray
from trainers.inputs.bag_features import Inputs
from trainers.networks.bag_network import BagNetwork

if TYPE_CHECKING:
    from scipy.sparse import csr_array

WATCHED = "validation_bits"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        learning_rate: Adam's step.
        weight_decay: Decoupled decay of all weights, a step's share of learning_rate.
        max_epochs: Most passes over the training prompts.
        patience: Passes without fewer validation bits before training stops.
        batch_size: Prompts a step.
    """

    learning_rate: float
    weight_decay: float
    max_epochs: int
    patience: int
    batch_size: int


class Batch(NamedTuple):
    """One step: the network's inputs and the weighted outcome shares, [n, o]."""

    ngrams: csr_array[np.float32]
    lengths: Tensor
    targets: Tensor


class Batches:
    """Batches of prompts that were hashed once; every pass in another order where a seed is given.

    Args:
        inputs: The network's inputs.
        targets: Outcome shares, each behavior's scaled by n / (its labeled prompts), zero rows where there is no label,
            [n, o]: summed over a pass and divided by n they give each behavior's mean.
        batch_size: Prompts a batch.
        seed: None keeps the order.
    """

    def __init__(self, inputs: Inputs, targets: FloatArray, *, batch_size: int, seed: int | None) -> None:
        self._ngrams = inputs.ngrams.astype(np.float32)
        self._lengths, self._targets = inputs.lengths.astype(np.float32), targets.astype(np.float32)
        self._batch_size = batch_size
        self._order = np.random.default_rng(seed) if seed is not None else None

    def __len__(self) -> int:
        """Return the number of batches of a pass."""
        return math.ceil(len(self._targets) / self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Yield one pass."""
        n = len(self._targets)
        order = self._order.permutation(n) if self._order is not None else np.arange(n)
        for start in range(0, n, self._batch_size):
            rows = order[start : start + self._batch_size]
            yield Batch(
                ngrams=self._ngrams[rows],
                lengths=torch.from_numpy(self._lengths[rows]),
                targets=torch.from_numpy(self._targets[rows]),
            )


class BagTraining(pl.LightningModule):
    """Loss, optimizer and logging around the network; cross-entropy in bits, averaged over behaviors."""

    def __init__(self, network: BagNetwork, schedule: Schedule) -> None:
        super().__init__()
        self.network = network
        self._schedule = schedule

    def _bits(self, batch: Batch) -> Tensor:
        log_probabilities = torch.cat(self.network(batch.ngrams, batch.lengths), dim=1)  # [n, o]
        nats = -(batch.targets * log_probabilities).sum() / len(batch.targets)
        return nats / (math.log(2) * len(self.network.sizes))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:  # noqa: ARG002 - Lightning's signature
        """Return the batch's bits."""
        bits = self._bits(batch)
        self.log("train_bits", bits, on_step=False, on_epoch=True, batch_size=len(batch.targets), prog_bar=True)
        return bits

    def validation_step(self, batch: Batch, batch_index: int) -> None:  # noqa: ARG002 - Lightning's signature
        """Log the batch's bits."""
        self.log(WATCHED, self._bits(batch), batch_size=len(batch.targets), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW."""
        schedule = self._schedule
        return torch.optim.AdamW(
            self.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
        )


class KeepBest(pl.Callback):
    """Keeps the weights of the pass with the fewest validation bits in memory and puts them back at the end."""

    def __init__(self) -> None:
        self._fewest = math.inf
        self._weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare."""
        bits = float(trainer.callback_metrics[WATCHED])
        if bits < self._fewest:
            self._fewest = bits
            self._weights = {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002 - Lightning's signature
        """Restore."""
        if self._weights:
            pl_module.load_state_dict(self._weights)


def fit_network(
    network: BagNetwork, train: Batches, validation: Batches | None, schedule: Schedule, context: FitContext
) -> None:
    """Train the network in place; without validation all passes are made and the last weights are kept."""
    logger = _logger(context)
    callbacks: list[pl.Callback] = []
    if validation is not None:
        callbacks = [EarlyStopping(WATCHED, patience=schedule.patience, check_finite=True), KeepBest()]
    with _quiet_lightning(), _one_thread():
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=schedule.max_epochs,
            logger=logger or False,
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=context.progress,
            enable_model_summary=False,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            limit_val_batches=None if validation is not None else 0,
            gradient_clip_val=1.0,
            default_root_dir=context.directory,
        )
        try:
            trainer.fit(BagTraining(network, schedule), train, validation or [])
        finally:
            if isinstance(logger, WandbLogger):
                logger.experiment.finish()


def _logger(context: FitContext) -> Logger | None:
    """Return the logger asked for; without a directory nothing is written, so nothing is logged."""
    if context.directory is None or context.logger == "none":
        return None
    context.directory.mkdir(parents=True, exist_ok=True)
    if context.logger == "wandb":
        return WandbLogger(name=context.name, project="metamodel", save_dir=context.directory, log_model=False)
    for stale in context.directory.glob("*"):  # Lightning warns of a folder that an earlier fit filled
        if stale.name in {"metrics.csv", "hparams.yaml"}:
            stale.unlink()
    return CSVLogger(context.directory, name="", version="")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: the steps are too small to share, and the weights then do not depend on the cores."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Raise Lightning's own log level while it runs: which device it found is no news in the hundredth fit."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 walks its data loaders with a class that torch 2.13 renamed; neither side is ours to mend.
            warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
