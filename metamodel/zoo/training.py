"""Train one model of the zoo from a seed, with checkpoints that resume at the next batch.

Shapes: b = rows, t = positions, v = vocabulary.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import torch
from torch import Tensor
from torch.nn import functional

from metamodel.zoo.architectures import build_model
from metamodel.zoo.checkpoints import load_checkpoint, save_checkpoint
from metamodel.zoo.data import Ingredient, TrainingBatch, default_mixture, stream_batches
from metamodel.zoo.evaluation import exact_match_by_domain
from metamodel.zoo.fast_mamba2 import mamba2_logits
from metamodel.zoo.optimizer import MuonAdamW
from metamodel.zoo.plan import Progress, TrainingPlan

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.models.mamba2.modeling_mamba2 import Mamba2ForCausalLM

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.jsonl"
LOG_EVERY_S = 10.0
_OUTPUT_LAYERS = ("lm_head.", "embed_out.")

Logits: TypeAlias = Callable[[Tensor], Tensor]


class TrainingRun:
    """A training run in a directory; an interrupted one there is continued.

    Args:
        name: One of ZOO_NAMES.
        directory: Where checkpoint.safetensors and log.jsonl (one JSON object a line) are; made if missing.
        plan: What determines the result.
        mixture: Generators of the stream; the zoo's own by default.
        compiled: Whether to compile Mamba-2 (a quarter faster after minutes of compiling; needs a C++ compiler).
        report: Is called with each record of the log.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        plan: TrainingPlan,
        *,
        mixture: tuple[Ingredient, ...] | None = None,
        compiled: bool = False,
        report: Callable[[dict[str, object]], None] | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name, self.directory, self.plan = name, directory, plan
        self.mixture = mixture or default_mixture()
        self.model = build_model(name, seed=plan.seed)
        self.model.train()
        self.optimizer = build_optimizer(self.model, plan)
        self.progress = Progress()
        self._logits = logits_function(self.model)
        self._training_logits: Logits = self._logits
        if compiled and name == "mamba2":
            self._training_logits = torch.compile(self._logits, dynamic=True)
        self._report = report
        if (directory / CHECKPOINT).exists():
            self.progress = load_checkpoint(directory / CHECKPOINT, self.model, self.optimizer, plan)

    def run(
        self,
        *,
        checkpoint_every_s: float = 180.0,
        evaluate_every_s: float = 600.0,
        stop_after_steps: int | None = None,
        stop_at_tokens: int | None = None,
    ) -> PreTrainedModel:
        """Train to the end of the plan and return the model.

        Args:
            checkpoint_every_s: Seconds between checkpoints.
            evaluate_every_s: Seconds between evaluations of exact match.
            stop_after_steps: Stop after so many steps of this call, with a checkpoint.
            stop_at_tokens: Stop once the run has read so many tokens, with a checkpoint; the next call goes on.
        """
        # Numbers near zero, which the decays of a recurrent state produce, cost a CPU a hundred times as much.
        torch.set_flush_denormal(True)
        try:
            end = self.plan.n_tokens if stop_at_tokens is None else min(stop_at_tokens, self.plan.n_tokens)
            return self._train(checkpoint_every_s, evaluate_every_s, stop_after_steps, end)
        finally:
            torch.set_flush_denormal(False)  # it holds for the process, where others may count on them

    def _train(
        self, checkpoint_every_s: float, evaluate_every_s: float, stop_after_steps: int | None, n_tokens: int
    ) -> PreTrainedModel:
        checkpoint_at, evaluate_at = time.monotonic() + checkpoint_every_s, time.monotonic() + evaluate_every_s
        window = _Window(self.progress.tokens)
        for n_steps, (shard, index, batch) in enumerate(self._batches()):
            if n_steps == stop_after_steps or self.progress.tokens >= n_tokens:
                break
            started = time.monotonic()
            window.losses.append(self._step(batch))
            self.progress.shard, self.progress.batch = shard, index + 1
            now = time.monotonic()
            self.progress.elapsed_s += now - started
            if now >= window.started + LOG_EVERY_S:
                self._log(**window.figures(self.progress.tokens, now))
                window = _Window(self.progress.tokens)
            if now >= checkpoint_at:
                self._save()
                checkpoint_at = now + checkpoint_every_s
            if now >= evaluate_at:
                self._log(exact_match=self.exact_match())
                evaluate_at = time.monotonic() + evaluate_every_s
        self._save()
        self._log(**window.figures(self.progress.tokens, time.monotonic()), exact_match=self.exact_match())
        return self.model

    def exact_match(self) -> dict[str, float]:
        """Return the share of exactly right greedy outputs of each domain of the mixture."""
        self.model.eval()
        shares = exact_match_by_domain(self._logits, self.mixture)
        self.model.train()
        return shares

    def _batches(self) -> Iterator[tuple[int, int, TrainingBatch]]:
        return stream_batches(
            self.mixture,
            seed=self.plan.seed,
            tokens_per_batch=self.plan.tokens_per_batch,
            shard=self.progress.shard,
            batch=self.progress.batch,
        )

    def _step(self, batch: TrainingBatch) -> float:
        self.optimizer.set_learning_rate(self.plan.learning_rate_at(self.progress.tokens))
        token_ids, weights = torch.from_numpy(batch.token_ids), torch.from_numpy(batch.weights)
        loss = weighted_loss(self._training_logits(token_ids[:, :-1]), token_ids[:, 1:], weights[:, 1:])
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it without annotations
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.max_gradient_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.progress.step += 1
        self.progress.tokens += int((batch.weights > 0).sum())
        return float(loss.detach())

    def _save(self) -> None:
        save_checkpoint(self.directory / CHECKPOINT, self.model, self.optimizer, self.progress, self.plan)

    def _log(self, **figures: object) -> None:
        record = {"model": self.name, **asdict(self.progress), **figures}
        with (self.directory / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")
        if self._report is not None:
            self._report(record)


class _Window:
    """Losses since the last line of the log."""

    def __init__(self, first_token: int) -> None:
        self.losses: list[float] = []
        self.started = time.monotonic()
        self._first_token = first_token

    def figures(self, tokens: int, now: float) -> dict[str, object]:
        if not self.losses:
            return {}
        rate = (tokens - self._first_token) / max(now - self.started, 1e-9)
        return {"loss": sum(self.losses) / len(self.losses), "tokens_per_s": rate}


def train_zoo_model(
    name: str,
    directory: Path,
    *,
    n_tokens: int | None = None,
    seed: int = 0,
    compiled: bool = False,
    report: Callable[[dict[str, object]], None] | None = None,
) -> Path:
    """Train a model of ZOO_NAMES from scratch, or go on where it was interrupted; return the folder of the result.

    Args:
        name: One of ZOO_NAMES.
        directory: Where checkpoint, log and, in `model/`, the result are; made if missing.
        n_tokens: Tokens to read; what the bundled models have read by default.
        seed: Seed of the weights and of the data.
        compiled: See `TrainingRun`.
        report: See `TrainingRun`.

    Raises:
        UnknownNameError: No zoo model has that name.
        RunError: The directory holds a checkpoint made with another n_tokens or seed.
    """
    from metamodel.zoo.catalog import check_name, export_model

    check_name(name)
    plan = TrainingPlan(seed=seed) if n_tokens is None else TrainingPlan(seed=seed, n_tokens=n_tokens)
    n_threads = torch.get_num_threads()
    # The bundled models had one thread; another number rounds differently, and at this size it is no faster.
    torch.set_num_threads(1)
    try:
        model = TrainingRun(name, directory, plan, compiled=compiled, report=report).run()
        return export_model(model, directory / "model")
    finally:
        torch.set_num_threads(n_threads)


def build_optimizer(model: PreTrainedModel, plan: TrainingPlan) -> MuonAdamW:
    """Return Muon for the matrices between embedding and output layer, AdamW for all other weights."""
    tables = {module.weight for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    tables |= {weight for name, weight in model.named_parameters() if name.startswith(_OUTPUT_LAYERS)}
    matrices = [weight for weight in model.parameters() if weight.ndim == len("mn") and weight not in tables]
    chosen = set(matrices)
    others = [weight for weight in model.parameters() if weight not in chosen]
    return MuonAdamW(matrices, others, learning_rate=plan.learning_rate, weight_decay=plan.weight_decay)


def logits_function(model: PreTrainedModel) -> Logits:
    """Return a function from right-padded tokens [b, t] to logits [b, t, v], the faster of the equal ways."""
    if model.config.model_type == "mamba2":
        return lambda token_ids: mamba2_logits(cast("Mamba2ForCausalLM", model), token_ids)

    def read(token_ids: Tensor) -> Tensor:
        logits: Tensor = model(input_ids=token_ids, use_cache=False).logits
        return logits

    return read


def weighted_loss(logits: Tensor, token_ids: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean cross-entropy in nats of tokens [b, t] under logits [b, t, v]."""
    losses = functional.cross_entropy(logits.flatten(0, 1), token_ids.flatten(), reduction="none")  # [b * t]
    return (losses * weights.flatten()).sum() / weights.sum()
