"""The zoo's ladder: one architecture in three sizes, each at five checkpoints of its training.

The sizes read the same rows in the same order, by one plan, so that a model of the ladder differs from another in its
number of parameters and in how much it has read, and in nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from metamodel.zoo.architectures import LADDER_SHAPES

if TYPE_CHECKING:
    from metamodel.zoo.plan import TrainingPlan
    from metamodel.zoo.training import TrainingRun

CHECKPOINT_TOKENS = {"250k": 250_000, "500k": 500_000, "1M": 1_000_000, "2M": 2_000_000, "4M": 4_000_000}
LOSS_WINDOW_TOKENS = 500_000


class Rung(NamedTuple):
    """One model of the ladder: a size at a checkpoint."""

    size: str
    checkpoint: str

    @property
    def name(self) -> str:
        """Return the name by which `{kind: zoo, model: NAME}` finds it."""
        return f"{self.size}-{self.checkpoint}"


RUNGS = {rung.name: rung for size in LADDER_SHAPES for rung in (Rung(size, point) for point in CHECKPOINT_TOKENS)}
LADDER_SIZES = tuple(LADDER_SHAPES)
LADDER_NAMES = tuple(RUNGS)


def ladder_plan(*, seed: int = 0) -> TrainingPlan:
    """Return the plan by which every size is trained: the learning rate begins to fall where the last checkpoint lies.

    So no checkpoint is cooled down, and two of them differ in tokens alone.
    """
    from metamodel.zoo.plan import TrainingPlan

    plan = TrainingPlan(seed=seed)
    return replace(plan, n_tokens=max(CHECKPOINT_TOKENS.values()) + plan.decay_tokens)


def train_ladder_size(
    size: str,
    directory: Path,
    *,
    plan: TrainingPlan | None = None,
    checkpoint_tokens: dict[str, int] | None = None,
    report: Callable[[dict[str, object]], None] | None = None,
) -> list[Path]:
    """Train one size and export it at each checkpoint; go on where an earlier call was interrupted.

    A checkpoint is the model as it is when it has read so many tokens, on the learning rate's plateau (the first in its
    rise).

    Args:
        size: One of LADDER_SHAPES.
        directory: Where checkpoint, log and one folder a checkpoint go; made if missing.
        plan: What determines the result; the ladder's own without.
        checkpoint_tokens: Names of the checkpoints and their tokens, rising; the ladder's own without.
        report: Is called with each record of the log.

    Returns:
        The Hugging Face folders, earliest first.
    """
    import torch

    from metamodel.zoo.catalog import TRAINING_RECORD, export_model
    from metamodel.zoo.training import TrainingRun

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run = TrainingRun(size, directory, plan or ladder_plan(), report=report)
        folders = []
        for checkpoint, tokens in (checkpoint_tokens or CHECKPOINT_TOKENS).items():
            folder = directory / checkpoint
            folders.append(folder)
            if not (folder / TRAINING_RECORD).is_file():
                model = run.run(stop_at_tokens=tokens)
                export_model(model, folder, record=_training_record(run))
        return folders
    finally:
        torch.set_num_threads(n_threads)


def _training_record(run: TrainingRun) -> dict[str, object]:
    from metamodel.zoo.training import LOG

    records = [json.loads(line) for line in (run.directory / LOG).read_text(encoding="utf-8").splitlines()]
    since = run.progress.tokens - LOSS_WINDOW_TOKENS
    recent = [row["loss"] for row in records if row["tokens"] > since and "loss" in row]
    return {
        "name": run.name,
        "parameters": sum(weight.numel() for weight in run.model.parameters()),
        "tokens": run.progress.tokens,
        "steps": run.progress.step,
        "training_s": round(run.progress.elapsed_s),
        "learning_rate": run.plan.learning_rate_at(run.progress.tokens),
        "loss": round(sum(recent) / max(len(recent), 1), 4),
        "exact_match": records[-1].get("exact_match", {}),
        "plan": asdict(run.plan),
    }
