"""What determines a zoo model's weights, and where a training run stands."""

from __future__ import annotations

from dataclasses import dataclass

# What each bundled model has read.
DEFAULT_N_TOKENS = 19_000_000


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """All that determines the weights that training ends with, but for the machine's rounding.

    Attributes:
        n_tokens: Tokens to read, padding not counted; the learning rate reaches zero there.
        seed: Seed of the initial weights and of the stream.
        learning_rate: Peak.
        tokens_per_batch: Most tokens a step.
        warmup_tokens: Tokens over which the learning rate rises.
        decay_tokens: Tokens over which it falls to zero at the end. Until then neither this nor n_tokens changes
            anything, so that a run may still be made longer or shorter.
        weight_decay: Of the matrices that Muon updates.
        max_gradient_norm: Longer gradients are shortened to this.
    """

    n_tokens: int = DEFAULT_N_TOKENS
    seed: int = 0
    learning_rate: float = 4e-3
    tokens_per_batch: int = 2048
    warmup_tokens: int = 400_000
    decay_tokens: int = 5_000_000
    weight_decay: float = 0.05
    max_gradient_norm: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a plan without a step."""
        for name in ("n_tokens", "tokens_per_batch", "warmup_tokens", "decay_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")

    def learning_rate_at(self, tokens: int) -> float:
        """Return the learning rate after so many tokens: a linear rise, a plateau, a linear fall.

        >>> plan = TrainingPlan(n_tokens=1000, warmup_tokens=100, decay_tokens=500, tokens_per_batch=10)
        >>> [round(plan.learning_rate_at(tokens) / plan.learning_rate, 2) for tokens in (40, 400, 750, 1000)]
        [0.5, 1.0, 0.5, 0.0]
        """
        rise = (tokens + self.tokens_per_batch) / self.warmup_tokens
        fall = (self.n_tokens - tokens) / self.decay_tokens
        return self.learning_rate * max(0.0, min(1.0, rise, fall))


@dataclass(kw_only=True)
class Progress:
    """Where a run stands.

    Attributes:
        shard: Shard of the next batch.
        batch: Index of the next batch in its shard.
        step: Steps taken.
        tokens: Tokens read, padding not counted.
        elapsed_s: Seconds of training, over all resumptions.
    """

    shard: int = 0
    batch: int = 0
    step: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
