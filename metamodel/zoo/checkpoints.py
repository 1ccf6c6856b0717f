"""Checkpoints of a zoo training run: one safetensors file with weights, optimizer state and position."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from metamodel.errors import RunError
from metamodel.zoo.plan import Progress, TrainingPlan

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from metamodel.zoo.optimizer import MuonAdamW

WEIGHT = "weight"


def save_checkpoint(
    path: Path, model: PreTrainedModel, optimizer: MuonAdamW, progress: Progress, plan: TrainingPlan
) -> None:
    """Write everything under a temporary name, then rename: no half checkpoint is ever seen."""
    tensors = {}
    for name, weight in model.named_parameters():
        tensors[f"{WEIGHT}.{name}"] = weight.detach().contiguous()
        for key, value in optimizer.state_of(weight).items():
            tensors[f"{key}.{name}"] = value.contiguous()
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    metadata = {"progress": json.dumps(asdict(progress)), "plan": json.dumps(asdict(plan))}
    save_file(tensors, temporary, metadata=metadata)
    temporary.replace(path)


def load_checkpoint(path: Path, model: PreTrainedModel, optimizer: MuonAdamW, plan: TrainingPlan) -> Progress:
    """Restore weights and optimizer in place; return the position.

    Raises:
        RunError: The checkpoint was made by a plan that would not have come to its position.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        progress = Progress(**json.loads(metadata["progress"]))
        made_by = TrainingPlan(**json.loads(metadata["plan"]))
        if not _leads_to(progress, made_by, plan):
            raise RunError(f"{path} was made by another plan: {made_by}; continue with that one or in a new directory")
        names = set(file.keys())
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.copy_(file.get_tensor(f"{WEIGHT}.{name}"))
                keys = sorted(key.removesuffix(f".{name}") for key in names if key.endswith(f".{name}"))
                state = {key: file.get_tensor(f"{key}.{name}") for key in keys if f"{key}.{name}" in names}
                del state[WEIGHT]
                if state:
                    optimizer.restore(weight, state)
    return progress


def _leads_to(progress: Progress, made_by: TrainingPlan, plan: TrainingPlan) -> bool:
    """Return whether `plan` would have come to this position too: two plans may differ in a decay not yet begun."""
    plateau_end = min(made_by.n_tokens - made_by.decay_tokens, plan.n_tokens - plan.decay_tokens)
    same_plateau = replace(made_by, n_tokens=plan.n_tokens, decay_tokens=plan.decay_tokens) == plan
    return made_by == plan or (same_plateau and progress.tokens <= plateau_end)
