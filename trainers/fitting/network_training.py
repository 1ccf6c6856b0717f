"""The LightningModule that trains every network: loss, optimizer, logging.

Shapes: b = prompts of a batch, h = hidden units, o = outcomes of all behaviors together.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from metamodel.errors import MetamodelError
from trainers.fitting.batches import Batch, Batches, process_rank
from trainers.fitting.network_options import NetworkOptions
from trainers.networks.domain_adversary import DomainAdversary, reversal_factor
from trainers.networks.group_dro import GroupSums, GroupWeights, group_sums
from trainers.networks.network import Network

WATCHED = "validation_bits"


class NetworkTraining(pl.LightningModule):
    """Cross-entropy in bits, averaged over behaviors, of any `Network`; missing labels cost nothing.

    Attributes:
        best_pass: The pass whose weights these are, counted from 1; 0 for the last one.

    Args:
        network: Gives log-probabilities of each behavior's outcomes.
        options: Steps, and which losses.
        n_domains: Domains of the training prompts.
        seed: Of everything random in training; each pass draws its own stream, so that a resumed fit draws the same.
        learning_rates: Factors of options.learning_rate for parameters, by how their names begin; others have 1.
    """

    best_pass: Tensor

    def __init__(
        self,
        network: Network,
        options: NetworkOptions,
        *,
        n_domains: int = 1,
        seed: int = 0,
        learning_rates: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.network, self._options, self._seed = network, options, seed
        self._learning_rates = dict(learning_rates or {})
        use_domains = n_domains > 1
        self.groups = GroupWeights(n_domains, options.group_dro) if options.group_dro and use_domains else None
        self.adversary = (
            DomainAdversary(network.heads.in_features, n_domains)
            if options.domain_adversarial and use_domains
            else None
        )
        self._judged = torch.zeros(2)
        self._n_threads = torch.get_num_threads()
        self.register_buffer("best_pass", torch.tensor(0))

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        """Give a process that the strategy started as many threads as the one that asked for it."""
        torch.set_num_threads(self._n_threads)

    def on_train_epoch_start(self) -> None:
        """Make order and dropout a function of seed, pass and process alone."""
        batches = self.trainer.train_dataloader
        if isinstance(batches, Batches):
            batches.set_pass(self.current_epoch)
        entropy = np.random.SeedSequence([self._seed, self.current_epoch, process_rank()[0]])
        torch.manual_seed(int(entropy.generate_state(1)[0]))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:  # noqa: ARG002 - Lightning's signature
        """Return what is minimized: this process's share of the batch's bits, times the number of processes."""
        hidden = self.network.encode(*batch.inputs)  # [b, h]
        bits = prompt_bits(self.network.heads(hidden), batch.targets)  # [b]
        share = process_rank()[1] / batch.n_prompts
        mean_bits = bits.detach().sum() * share
        if not math.isfinite(mean_bits):
            raise not_finite(f"loss of pass {self.current_epoch + 1}", self._options)
        several = process_rank()[1] > 1
        on_epoch = partial(self.log, on_step=False, on_epoch=True, prog_bar=True)
        on_epoch("train_bits", mean_bits, batch_size=batch.n_prompts, sync_dist=several)
        weights = self._prompt_weights(self.groups, bits.detach(), batch) if self.groups is not None else share
        loss = (bits * weights).sum()
        if self.adversary is not None:
            progress = self.current_epoch / self._options.max_epochs
            factor = reversal_factor(progress, self._options.domain_adversarial)
            loss = loss + self.adversary(hidden, batch.domains, factor).sum() * share
        return loss

    def _prompt_weights(self, groups: GroupWeights, bits: Tensor, batch: Batch) -> Tensor:
        """Return each prompt's weight under group DRO, [b], after moving the domains' weights by this batch."""
        sums = GroupSums(*(self._total(part) for part in group_sums(bits, batch.domains, len(groups.q))))
        groups.update(sums)
        return groups.prompt_weights(batch.domains, sums.counts) * process_rank()[1]

    def _total(self, values: Tensor) -> Tensor:
        """Return the sum over processes."""
        total = self.trainer.strategy.reduce(values, reduce_op="sum")
        return torch.as_tensor(total)

    def validation_step(self, batch: Batch, batch_index: int) -> None:  # noqa: ARG002 - Lightning's signature
        """Add the batch's bits."""
        bits = prompt_bits(self.network(*batch.inputs), batch.targets).sum()
        n_prompts = bits.new_tensor(batch.n_prompts / process_rank()[1])
        self._judged = self._judged.to(bits) + torch.stack([bits, n_prompts])

    def on_validation_epoch_end(self) -> None:
        """Log the bits of all validation prompts, of all processes."""
        total = self._total(self._judged)
        self.log(WATCHED, total[0] / total[1], prog_bar=True, sync_dist=process_rank()[1] > 1)
        self._judged = torch.zeros(2)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW over what is trainable."""
        groups = parameter_groups(self, self._options.learning_rate, self._learning_rates)
        # In mixed precision Lightning cannot shorten the gradients of a fused optimizer.
        is_fused = self.device.type == "cpu" and "mixed" not in self._options.precision
        return torch.optim.AdamW(groups, weight_decay=self._options.weight_decay, fused=is_fused)


def not_finite(what: str, options: NetworkOptions) -> MetamodelError:
    """Return the error that says what stopped being a number, and what to change."""
    return MetamodelError(
        f"the {what} became infinite or no number: lower learning_rate (now {options.learning_rate:g}) or set "
        f"gradient_clip_val (now {options.gradient_clip_val:g}, 0 is off) lower"
    )


def parameter_groups(
    module: torch.nn.Module, learning_rate: float, factors: Mapping[str, float]
) -> list[dict[str, object]]:
    """Return the trainable parameters by learning rate, as an optimizer takes them.

    Args:
        module: Holds the network as `network`.
        learning_rate: Of the parameters that no factor names.
        factors: Of learning_rate, by how the names of the network's parameters begin; the first that fits counts.
    """
    by_factor: dict[float, list[Tensor]] = defaultdict(list)
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            fitting = (factor for start, factor in factors.items() if name.removeprefix("network.").startswith(start))
            by_factor[next(fitting, 1.0)].append(parameter)
    return [{"params": parameters, "lr": learning_rate * factor} for factor, parameters in by_factor.items()]


def prompt_bits(parts: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Return the cross-entropy of each prompt in bits, averaged over behaviors, [b].

    Args:
        parts: Log-probabilities of each behavior's outcomes, [b, c] each.
        targets: Outcome shares of all behaviors side by side, zero where there is no label, [b, o].
    """
    log_probabilities = torch.cat(list(parts), dim=1).float()  # [b, o]
    return -(targets * log_probabilities).sum(dim=1) / (math.log(2) * len(parts))
