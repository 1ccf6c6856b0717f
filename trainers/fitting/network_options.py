"""What every trainer of a network lets its config say: how long, how fast, on which devices, robust to what.

Nothing here imports torch: a trainer's dataclass inherits from `NetworkOptions`, and `trainers.fitting.run_lightning`
reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"]
Precision = Literal["32-true", "16-true", "bf16-true", "64-true", "16-mixed", "bf16-mixed", "transformer-engine"]


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Fields that all trainers of networks share; Lightning's are passed through to its Trainer.

    Attributes:
        learning_rate: AdamW's step (Loshchilov and Hutter, Decoupled weight decay regularization, 2019).
        weight_decay: Decoupled decay of all weights, a step's share of learning_rate.
        max_epochs: Most passes over the training prompts.
        patience: Passes without fewer validation bits before training stops.
        batch_size: Prompts a step, of all processes together, at least.
        most_steps: Steps of a pass; where there would be more, each takes more prompts. 0 sets no bound.
        accelerator: Lightning's accelerator; `auto` takes a GPU where there is one.
        devices: How many devices, or processes on the CPU; -1 for all.
        strategy: Lightning's strategy: auto, ddp, ddp_spawn, ddp_fork, fsdp, deepspeed_stage_2 and others. `ddp` starts
            its processes by forking on the CPU and by spawning elsewhere, because Lightning's own way, the same command
            started again, would run all stages twice; under torchrun or SLURM it uses the processes that are there.
        precision: Lightning's precision.
        accumulate_grad_batches: Batches whose gradients make one step.
        gradient_clip_val: Longest gradient; a longer one is shortened; 0 leaves all as they are.
        group_dro: Step size of the domains' weights in group DRO, see `trainers.networks.group_dro`; 0 weighs all
            prompts alike.
        domain_adversarial: Weight of the reversed gradient of a domain classifier, see
            `trainers.networks.domain_adversary`; 0 trains none.
    """

    learning_rate: float = 0.001
    weight_decay: float = 0.01
    max_epochs: int = 40
    patience: int = 4
    batch_size: int = 128
    most_steps: int = 0
    accelerator: Accelerator = "cpu"
    devices: int = 1
    strategy: str = "auto"
    precision: Precision = "32-true"
    accumulate_grad_batches: int = 1
    gradient_clip_val: float = 1.0
    group_dro: float = 0.0
    domain_adversarial: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name in ("max_epochs", "patience", "batch_size", "accumulate_grad_batches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate is {self.learning_rate}, must be above 0 and finite")
        if self.most_steps < 0:
            raise ValueError(f"most_steps is {self.most_steps}, must be at least 0")
        for name in ("weight_decay", "gradient_clip_val", "group_dro", "domain_adversarial"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 0 and finite")
        if self.devices < 1 and self.devices != -1:
            raise ValueError(f"devices is {self.devices}, must be at least 1, or -1 for all")
        for name, allowed in (("accelerator", get_args(Accelerator)), ("precision", get_args(Precision))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, must be one of {', '.join(allowed)}")

    def step_prompts(self, n_prompts: int) -> int:
        """Return the prompts of each step of a pass over so many.

        >>> NetworkOptions(batch_size=128, most_steps=100).step_prompts(91_000)
        910
        """
        return max(self.batch_size, -(-n_prompts // self.most_steps) if self.most_steps else 0)
