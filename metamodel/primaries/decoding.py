"""Draw outputs of a batch of prompts, token by token.

Shapes: p = prompts, b = rows (prompt and sample), t = steps, v = vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from metamodel.errors import MetamodelError
from metamodel.primaries.randomness import uniform_streams
from metamodel.primaries.stepping import Abilities, Stepper
from metamodel.primaries.token_choice import choose_tokens
from metamodel.types import FinishReason, Sampling

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

# Dropping finished rows copies the cache: worth it once they are so large a part.
_WORTHWHILE_SHARE = 0.125


@dataclass(frozen=True, kw_only=True)
class Row:
    """One output to draw.

    Attributes:
        prompt: Token ids, at least one.
        seed: Of its random stream.
    """

    prompt: tuple[int, ...]
    seed: int


@dataclass(frozen=True, kw_only=True)
class DecodedRow:
    """One output drawn.

    Attributes:
        token_ids: The end token included.
        logprobs: Natural, at temperature 1, one a token.
        finish_reason: Whether an end token or the limit ended it.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason


def plan_batches(rows: Sequence[Row], *, new_tokens: int, batch_tokens: int, pads: bool) -> Iterator[list[int]]:
    """Yield the indices of rows that share a batch: close in length, equal where padding is not exact.

    Args:
        rows: Outputs to draw.
        new_tokens: The most tokens drawn a row.
        batch_tokens: Limit of rows times positions; a single row may exceed it.
        pads: Whether rows of different lengths may share a batch.
    """
    order = sorted(range(len(rows)), key=lambda index: (len(rows[index].prompt), rows[index].prompt))
    batch: list[int] = []
    for index in order:
        length = len(rows[index].prompt)
        is_full = (len(batch) + 1) * (length + new_tokens) > batch_tokens
        if batch and (is_full or (not pads and length != len(rows[batch[0]].prompt))):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


@torch.inference_mode()
def decode(
    model: PreTrainedModel, rows: Sequence[Row], sampling: Sampling, *, end_ids: Sequence[int], abilities: Abilities
) -> list[DecodedRow]:
    """Draw one output a row; rows with the same prompt share its reading.

    Raises:
        MetamodelError: If the model gives logits that are no numbers.
    """
    prompts = list(dict.fromkeys(row.prompt for row in rows))
    position = {prompt: index for index, prompt in enumerate(prompts)}
    stepper = Stepper(model, prompts, use_cache=abilities.caches)
    stepper.take(torch.tensor([position[row.prompt] for row in rows], device=model.device))
    uniforms = torch.from_numpy(uniform_streams([row.seed for row in rows], sampling.max_new_tokens))  # [b, t]
    drawn = _Drawn(len(rows), sampling.max_new_tokens)
    alive = torch.arange(len(rows))  # which rows the stepper still holds
    ends = torch.tensor(list(end_ids), dtype=torch.long)
    for step in range(sampling.max_new_tokens):
        logits = _on_cpu_if_needed(stepper.logits)
        choice = choose_tokens(logits, sampling, uniforms[alive, step].to(logits.device))
        drawn.record(alive, step, choice.tokens.cpu(), choice.logprobs.cpu(), ends)
        kept = ~drawn.finished[alive]
        if step + 1 == sampling.max_new_tokens or not bool(kept.any()):
            break
        tokens = choice.tokens.to(model.device)
        if float((~kept).float().mean()) >= _WORTHWHILE_SHARE:
            held = kept.nonzero()[:, 0]
            alive, tokens = alive[held], tokens[held.to(model.device)]
            stepper.take(held.to(model.device))
        stepper.step(tokens)
    return drawn.rows()


class _Drawn:
    """Tokens drawn so far, [b, t], and how many of them count."""

    def __init__(self, n_rows: int, n_steps: int) -> None:
        self._tokens = torch.zeros((n_rows, n_steps), dtype=torch.long)
        self._logprobs = torch.zeros((n_rows, n_steps), dtype=torch.float32)
        self._lengths = torch.zeros(n_rows, dtype=torch.long)
        self.finished = torch.zeros(n_rows, dtype=torch.bool)

    def record(self, alive: Tensor, step: int, tokens: Tensor, logprobs: Tensor, ends: Tensor) -> None:
        running = ~self.finished[alive]
        rows, tokens, logprobs = alive[running], tokens[running], logprobs[running]
        if not bool(torch.isfinite(logprobs).all()):
            raise MetamodelError(
                "the primary model's logits are not finite: its weights are damaged, or dtype is too narrow "
                "(use float32)"
            )
        self._tokens[rows, step], self._logprobs[rows, step] = tokens, logprobs
        self._lengths[rows] = step + 1
        self.finished[rows] = torch.isin(tokens, ends)

    def rows(self) -> list[DecodedRow]:
        tokens, logprobs = self._tokens.tolist(), self._logprobs.numpy().astype(np.float64).tolist()
        return [
            DecodedRow(
                token_ids=tuple(tokens[row][:length]),
                logprobs=tuple(logprobs[row][:length]),
                finish_reason="stop" if finished else "length",
            )
            for row, (length, finished) in enumerate(zip(self._lengths.tolist(), self.finished.tolist(), strict=True))
        ]


def _on_cpu_if_needed(logits: Tensor) -> Tensor:
    # Apple's devices have no double precision, which the cumulative distribution needs.
    return logits.cpu() if logits.device.type == "mps" else logits
