"""In-domain exact match during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metamodel.zoo.data import Ingredient, collate, make_row

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EVALUATION_SEED = 7


def exact_match_by_domain(
    model: PreTrainedModel, mixture: Sequence[Ingredient], *, n_prompts: int = 128, seed: int = EVALUATION_SEED
) -> dict[str, float]:
    """Return how often greedy decoding gives exactly the continuation and then stops, by domain.

    One pass over the right answer decides it: greedy decoding writes it if and only if each of its tokens is the most
    likely one after those before it. Domains count at their default difficulty.
    """
    import torch

    from metamodel.zoo.training import training_logits

    domains = {type(item.source): item for item in mixture if not item.as_text}
    shares = {}
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for kind, ingredient in domains.items():
            source = kind()
            examples = source.examples(seed)
            drawn = [next(examples) for _ in range(n_prompts)]
            rows = sorted((make_row(prompt.text, text, ingredient) for prompt, text in drawn), key=lambda r: len(r[0]))
            n_right = 0
            for start in range(0, n_prompts, 32):
                batch = collate(rows[start : start + 32])
                token_ids = torch.from_numpy(batch.token_ids)
                guesses = training_logits(model, token_ids[:, :-1]).argmax(dim=-1)
                is_answer = torch.from_numpy(batch.weights[:, 1:]) == 1
                n_right += int(((guesses == token_ids[:, 1:]) | ~is_answer).all(dim=1).sum())
            shares[source.domain] = n_right / n_prompts
    model.train(was_training)
    return shares
