"""Train a network with Lightning: the one entrance for every trainer of networks.

How to use it, from a trainer's `fit` (torch is imported there, not at the top of the trainer's file):

    @dataclass(frozen=True, kw_only=True)
    class Mine(NetworkOptions):                  # fields: learning rate, passes, batch, accelerator, strategy, ...
        kind: ClassVar[str] = "mine"
        hidden: int = 32

    class MyNetwork(Network):                    # trainers/networks/mine.py: the mathematics alone
        def __init__(self, width, priors):
            super().__init__()
            self.layer = nn.Linear(width, 32)
            self.heads = PriorHeads(32, priors)  # log-probabilities of every behavior; starts as the prior
        def encode(self, features):              # what MyInputs.rows returns, spread out
            return torch.relu(self.layer(features))

    @dataclass(frozen=True)
    class MyInputs:                              # a NetworkInputs
        features: FloatArray
        def __len__(self): return len(self.features)
        def rows(self, index): return (torch.from_numpy(self.features[index]),)

    trained = trained_network(
        lambda: MyNetwork(width, priors),        # called once the seed is set
        Examples(MyInputs(...), train),
        Examples(MyInputs(...), validation),     # or None: all passes are made
        self,                                    # the trainer's options
        context,
    )
    weights = network_tensors(trained.network)   # {"network.<name>": array}, for the Artifact

How many passes are made is chosen where nothing was fitted: `validation` holds whole training domains where a shift is
expected, since the stage `train` splits it so, and the fit stops when its bits no longer fall and keeps the best pass's
weights. Leaving out each domain in turn would cost a network several fits. Calibrate on the same prompts afterwards.

A network whose parameters are frozen (`requires_grad_(False)`) stays so: LoRA and frozen encoders need nothing else.
`learning_rates={"encoder.": 0.01}` gives parameters whose names begin so a hundredth of the learning rate.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch.multiprocessing.spawn import ProcessRaisedException

from metamodel.errors import MetamodelError
from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext
from trainers.artifacts.artifact import Tensor
from trainers.fitting.batches import Batches, Examples, domain_numbers, weighted_targets
from trainers.fitting.checkpoints import (
    KeepBest,
    SaveEachPass,
    StopEarly,
    checkpoint_path,
    fit_identity,
    readable_checkpoint,
)
from trainers.fitting.loggers import FinishLogger, logger_of, quiet_lightning
from trainers.fitting.network_options import NetworkOptions
from trainers.fitting.network_training import WATCHED, NetworkTraining, not_finite
from trainers.networks.network import Network

_NetworkType = TypeVar("_NetworkType", bound=Network)
# Judging keeps no gradients, so more prompts fit.
_JUDGED_BATCH = 4
_USERS_ERROR = "metamodel.errors.MetamodelError: "


class Trained(NamedTuple, Generic[_NetworkType]):
    """What a fit gives.

    Attributes:
        network: With the best pass's weights, on the CPU.
        n_passes: Passes that gave them.
    """

    network: _NetworkType
    n_passes: int


def trained_network(
    build: Callable[[], _NetworkType],
    train: Examples,
    validation: Examples | None,
    options: NetworkOptions,
    context: FitContext,
    *,
    learning_rates: Mapping[str, float] | None = None,
    n_threads: int = 1,
) -> Trained[_NetworkType]:
    """Build and train a network; the caller's random stream stays where it was.

    Args:
        build: Makes the network; every behavior of `train` has its head, in their order.
        train: Prompts to fit on; behaviors without any label leave the network as it was built.
        validation: Prompts that stop training; None, or none of them labeled, makes all passes.
        options: Steps, devices and losses.
        context: Seed, logger, and the folder for logs and checkpoints.
        learning_rates: Factors of options.learning_rate by the beginning of parameters' names.
        n_threads: Threads of torch in each process. With one the weights do not depend on how many cores there are.

    Raises:
        MetamodelError: The loss is no number any more, or Lightning cannot do what the options say.
    """
    with torch.random.fork_rng(devices=[]), quiet_lightning(), _threads(n_threads):
        torch.manual_seed(context.seed)
        network = build()
        step_prompts = options.step_prompts(len(train.prompts))
        batches = _batches(train, train.prompts, network, step_prompts, seed=context.seed)
        judged = None
        if validation is not None and len(validation.prompts):
            judged = _batches(validation, train.prompts, network, step_prompts * _JUDGED_BATCH, seed=None)
            judged = judged if judged.has_labels else None
        if not batches.has_labels:
            return Trained(network, 0)
        module = NetworkTraining(
            network, options, n_domains=batches.n_domains, seed=context.seed, learning_rates=learning_rates
        )
        checkpoint = None
        if context.directory is not None:
            context.directory.mkdir(parents=True, exist_ok=True)
            identity = fit_identity(module, train, validation, options, seed=context.seed)
            checkpoint = checkpoint_path(context.directory, identity)
        _fit(module, batches, judged, options, context, checkpoint)
        if not all(tensor.isfinite().all() for tensor in module.state_dict().values()):  # after the very last step
            raise not_finite("weights", options)
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
    return Trained(network, int(module.best_pass) or options.max_epochs)


def network_tensors(network: Network) -> dict[str, Tensor]:
    """Return the network's tensors for an artifact, in single precision, each under `network.<name>`."""
    return {f"network.{name}": tensor.detach().float().numpy() for name, tensor in network.state_dict().items()}


def _batches(
    examples: Examples, train: LabeledPrompts, network: Network, batch_size: int, *, seed: int | None
) -> Batches:
    targets = weighted_targets(examples.prompts, list(train.labels), network.heads.sizes)
    return Batches(examples.inputs, targets, domain_numbers(examples.prompts), batch_size=batch_size, seed=seed)


def _fit(
    module: NetworkTraining,
    batches: Batches,
    judged: Batches | None,
    options: NetworkOptions,
    context: FitContext,
    checkpoint: Path | None,
) -> None:
    """Run Lightning, from the checkpoint if one is there."""
    resumed = readable_checkpoint(checkpoint) if checkpoint is not None else None
    callbacks: list[pl.Callback] = [FinishLogger()]
    if judged is not None:
        callbacks += [StopEarly(WATCHED, patience=options.patience, check_finite=True), KeepBest()]
    if checkpoint is not None:
        callbacks.append(SaveEachPass(checkpoint))
    logger = logger_of(context, goes_on=resumed is not None)
    try:
        trainer = pl.Trainer(
            accelerator=options.accelerator,
            devices=options.devices,
            strategy=started_here(options),
            precision=options.precision,
            accumulate_grad_batches=options.accumulate_grad_batches,
            gradient_clip_val=options.gradient_clip_val or None,
            max_epochs=options.max_epochs,
            logger=logger or False,
            callbacks=callbacks,
            enable_checkpointing=checkpoint is not None,
            enable_progress_bar=context.progress,
            enable_model_summary=False,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            limit_val_batches=None if judged is not None else 0,
            use_distributed_sampler=False,
            default_root_dir=context.directory,
        )
    # What Lightning raises for a device, strategy or precision that is not there.
    except (MisconfigurationException, ValueError, RuntimeError, ImportError) as error:
        settings = f"accelerator {options.accelerator}, devices {options.devices}, strategy {options.strategy}"
        raise MetamodelError(f"{settings}, precision {options.precision}: {str(error).splitlines()[0]}") from error
    try:
        trainer.fit(module, batches, judged or [], ckpt_path=resumed, weights_only=True)
    except ProcessRaisedException as error:
        # Another process's error arrives as the text of its traceback.
        last = str(error).strip().splitlines()[-1]
        if not last.startswith(_USERS_ERROR):
            raise
        raise MetamodelError(last.removeprefix(_USERS_ERROR)) from error
    module.cpu()


def started_here(options: NetworkOptions) -> str:
    """Return Lightning's name of the strategy, such that its processes start from any program, once.

    Raises:
        MetamodelError: The strategy's processes can only be started from outside.
    """
    name = "ddp" if options.strategy == "auto" and options.devices != 1 else options.strategy
    starts_itself = any(f"_{way}" in name for way in ("spawn", "fork", "notebook"))
    if starts_itself or options.devices == 1 or TorchElasticEnvironment.detect() or SLURMEnvironment.detect():
        return name
    if not name.startswith("ddp"):
        raise MetamodelError(
            f"strategy {name} with devices {options.devices}: its processes must be started from outside: use "
            "strategy ddp, or torchrun with a script of your own"
        )
    is_cpu = options.accelerator == "cpu" or (options.accelerator == "auto" and not torch.accelerator.is_available())
    way = "ddp_fork" if is_cpu and hasattr(os, "fork") else "ddp_spawn"
    return name.replace("ddp", way, 1)


@contextmanager
def _threads(n_threads: int) -> Iterator[None]:
    """Keep torch to so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
