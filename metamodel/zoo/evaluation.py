"""In-domain exact match, measured during training.

Shapes: b = rows, t = positions, v = vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from metamodel.zoo.data import Ingredient, Row, collate, make_row

EVALUATION_SEED = 7
ROWS_PER_BATCH = 32


def exact_match_by_domain(
    logits: Callable[[Tensor], Tensor],
    mixture: Sequence[Ingredient],
    *,
    n_prompts: int = 128,
    seed: int = EVALUATION_SEED,
) -> dict[str, float]:
    """Return how often greedy decoding gives exactly the continuation and then stops, by domain.

    One pass over the right answer decides it: greedy decoding writes it if and only if each of its tokens is the most
    likely one after those before it. Domains count at their default difficulty.

    Args:
        logits: From tokens [b, t] to logits [b, t, v].
        mixture: Whose domains to try; ingredients that are plain text are left out.
        n_prompts: Prompts a domain.
        seed: Seed of the prompts.
    """
    shares = {}
    kinds = {type(ingredient.source): ingredient for ingredient in mixture if not ingredient.as_text}
    for kind, ingredient in kinds.items():
        source = kind()
        examples = source.examples(seed)
        drawn = [next(examples) for _ in range(n_prompts)]
        rows = sorted((make_row(prompt.text, answer, ingredient) for prompt, answer in drawn), key=_length)
        batches = [rows[start : start + ROWS_PER_BATCH] for start in range(0, n_prompts, ROWS_PER_BATCH)]
        shares[source.domain] = sum(_count_right(logits, batch) for batch in batches) / n_prompts
    return shares


@torch.inference_mode()
def _count_right(logits: Callable[[Tensor], Tensor], rows: Sequence[Row]) -> int:
    batch = collate(rows)
    token_ids = torch.from_numpy(batch.token_ids)
    guesses = logits(token_ids[:, :-1]).argmax(dim=-1)  # [b, t]
    is_answer = torch.from_numpy(batch.weights[:, 1:]) == 1
    return int(((guesses == token_ids[:, 1:]) | ~is_answer).all(dim=1).sum())


def _length(row: Row) -> int:
    return len(row.token_ids)
