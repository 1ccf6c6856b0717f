"""Train one model of the zoo from a seed, with checkpoints that resume at the next batch."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metamodel.zoo.architectures import build_model, build_tokenizer
from metamodel.zoo.data import Ingredient, TrainingBatch, default_mixture, stream_batches

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.jsonl"


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """All that determines the weights that training ends with.

    Attributes:
        n_tokens: Tokens to read, padding not counted; the learning rate falls to zero there.
        seed: Seed of the initial weights and of the stream.
        learning_rate: Peak.
        tokens_per_batch: Most tokens a step.
        warmup_tokens: Tokens over which the learning rate rises.
        weight_decay: AdamW's, on matrices.
        max_gradient_norm: Longer gradients are shortened to this.
    """

    n_tokens: int
    seed: int = 0
    learning_rate: float = 3e-3
    tokens_per_batch: int = 4096
    warmup_tokens: int = 400_000
    weight_decay: float = 0.05
    max_gradient_norm: float = 1.0


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


def train_zoo_model(  # noqa: PLR0913 - a plan plus how often to report it
    name: str,
    directory: Path,
    *,
    plan: TrainingPlan,
    checkpoint_every_s: float = 180.0,
    evaluate_every_s: float = 600.0,
    stop_after_steps: int | None = None,
) -> PreTrainedModel:
    """Train a model of ZOO_NAMES and return it; an interrupted run in the same directory is continued.

    Writes checkpoint.safetensors and log.jsonl (one JSON object a line) into `directory`.

    Args:
        name: One of ZOO_NAMES.
        directory: Where checkpoint and log are; made if missing.
        plan: What determines the result.
        checkpoint_every_s: Seconds between checkpoints.
        evaluate_every_s: Seconds between evaluations of exact match.
        stop_after_steps: Stop after so many steps of this call, with a checkpoint; None trains to the end.
    """
    directory.mkdir(parents=True, exist_ok=True)
    trainer = _Run(name, directory, plan)
    return trainer.run(
        checkpoint_every_s=checkpoint_every_s, evaluate_every_s=evaluate_every_s, stop_after_steps=stop_after_steps
    )


class _Run:
    def __init__(self, name: str, directory: Path, plan: TrainingPlan, mixture: tuple[Ingredient, ...] = ()) -> None:
        import torch

        torch.set_flush_denormal(True)
        self.name, self.directory, self.plan = name, directory, plan
        self.mixture = mixture or default_mixture()
        self.model = build_model(name, seed=plan.seed).train()
        self.optimizer = build_optimizer(self.model, plan)
        self.progress = Progress()
        if (directory / CHECKPOINT).exists():
            self.progress = load_checkpoint(directory / CHECKPOINT, self.model, self.optimizer, plan)

    def run(
        self, *, checkpoint_every_s: float, evaluate_every_s: float, stop_after_steps: int | None
    ) -> PreTrainedModel:
        from metamodel.zoo.evaluation import exact_match_by_domain

        last_checkpoint = last_log = last_evaluation = time.monotonic()
        last_tokens, losses, steps_left = self.progress.tokens, [], stop_after_steps
        for batch in self._batches():
            if steps_left == 0:
                break
            started = time.monotonic()
            losses.append(self._step(batch))
            steps_left = None if steps_left is None else steps_left - 1
            now = time.monotonic()
            self.progress.elapsed_s += now - started
            if now - last_log > 10:
                rate = (self.progress.tokens - last_tokens) / (now - last_log)
                self._log(loss=sum(losses) / len(losses), tokens_per_s=rate)
                last_log, last_tokens, losses = now, self.progress.tokens, []
            if now - last_evaluation > evaluate_every_s:
                self._log(exact_match=exact_match_by_domain(self.model, self.mixture))
                last_evaluation = time.monotonic()
            if now - last_checkpoint > checkpoint_every_s:
                self._save()
                last_checkpoint = now
        self._save()
        self._log(
            loss=sum(losses) / max(len(losses), 1), exact_match=exact_match_by_domain(self.model, self.mixture), done=1
        )
        return self.model

    def _batches(self) -> Iterator[TrainingBatch]:
        progress = self.progress
        stream = stream_batches(
            self.mixture,
            seed=self.plan.seed,
            tokens_per_batch=self.plan.tokens_per_batch,
            shard=progress.shard,
            batch=progress.batch,
        )
        for shard, index, batch in stream:
            if progress.tokens >= self.plan.n_tokens:
                return
            progress.shard, progress.batch = shard, index + 1
            yield batch

    def _step(self, batch: TrainingBatch) -> float:
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate * learning_rate_factor(self.progress.tokens, self.plan)
        loss = weighted_loss(self.model, torch.from_numpy(batch.token_ids), torch.from_numpy(batch.weights))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.max_gradient_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.tokens += int((batch.weights > 0).sum())
        return float(loss.detach())

    def _save(self) -> None:
        save_checkpoint(self.directory / CHECKPOINT, self.model, self.optimizer, self.progress, self.plan)

    def _log(self, **figures: object) -> None:
        record = {"model": self.name, **asdict(self.progress), **figures}
        with (self.directory / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")


def build_optimizer(model: PreTrainedModel, plan: TrainingPlan) -> torch.optim.Optimizer:
    """Return AdamW with weight decay on matrices only."""
    import torch

    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, 0.98), fused=True)


def learning_rate_factor(tokens: int, plan: TrainingPlan) -> float:
    """Return the share of the peak learning rate after so many tokens: a linear rise, then a linear fall to zero."""
    rise = (tokens + plan.tokens_per_batch) / plan.warmup_tokens
    fall = (plan.n_tokens - tokens) / max(plan.n_tokens - plan.warmup_tokens, 1)
    return max(0.0, min(1.0, rise, fall))


def weighted_loss(model: PreTrainedModel, token_ids: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean cross-entropy of each token given those before it, in nats."""
    from torch.nn import functional

    logits = training_logits(model, token_ids[:, :-1])
    losses = functional.cross_entropy(logits.flatten(0, 1), token_ids[:, 1:].flatten(), reduction="none")
    weights = weights[:, 1:].flatten()
    return (losses * weights).sum() / weights.sum()


def training_logits(model: PreTrainedModel, token_ids: Tensor) -> Tensor:
    """Return logits [b, t, v] of right-padded rows, by the faster of the equal ways to compute them."""
    logits: Tensor
    if model.config.model_type == "mamba2":
        from metamodel.zoo.fast_mamba2 import language_model_logits

        logits = language_model_logits(model, token_ids)
    else:
        logits = model(input_ids=token_ids, use_cache=False).logits
    return logits


def save_checkpoint(
    path: Path, model: PreTrainedModel, optimizer: torch.optim.Optimizer, progress: Progress, plan: TrainingPlan
) -> None:
    """Write weights, optimizer state and position under a temporary name, then rename: no half checkpoint is ever seen."""
    from safetensors.torch import save_file

    tensors = {}
    for name, weight in model.named_parameters():
        tensors[f"weight.{name}"] = weight.detach().contiguous()
        for key, value in optimizer.state.get(weight, {}).items():
            tensors[f"{key}.{name}"] = value.contiguous()
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    save_file(tensors, temporary, metadata={"progress": json.dumps(asdict(progress)), "plan": json.dumps(asdict(plan))})
    temporary.replace(path)


def load_checkpoint(
    path: Path, model: PreTrainedModel, optimizer: torch.optim.Optimizer, plan: TrainingPlan
) -> Progress:
    """Restore what `save_checkpoint` wrote, in place; return the position.

    Raises:
        RunError: The checkpoint was made by another plan.
    """
    import torch
    from safetensors import safe_open

    from metamodel.errors import RunError

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        if json.loads(metadata["plan"]) != asdict(plan):
            raise RunError(f"{path} was made by another plan, {metadata['plan']}: give that plan or another directory")
        names = set(file.keys())
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.copy_(file.get_tensor(f"weight.{name}"))
                keys = [key.removesuffix(f".{name}") for key in names if key.endswith(f".{name}")]
                state = {key: file.get_tensor(f"{key}.{name}") for key in sorted(keys) if key != "weight"}
                if state:
                    optimizer.state[weight] = state
    return Progress(**json.loads(metadata["progress"]))


def export_model(model: PreTrainedModel, folder: Path) -> None:
    """Write fp16 safetensors, config and tokenizer as a Hugging Face folder."""
    import copy

    import torch

    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(model).eval().to(torch.float16).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
