"""Try what a model does exactly, instead of looking it up by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from metamodel.primaries.lanes import Lanes
from metamodel.primaries.slots import SlotLanes, growing_layers
from metamodel.primaries.stepping import Abilities, Stepper

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LONG_TOKENS, _SHORT_TOKENS = 12, 7


@torch.inference_mode()
def measure_abilities(model: PreTrainedModel, *, n_tokens: int) -> Abilities:
    """Try a model's cache, padding and slots on random tokens; trust what gives the logits of a plain reading.

    Measured, not looked up by name: custom code and new architectures are judged by the same test.

    Args:
        model: In evaluation mode.
        n_tokens: Size of its vocabulary.
    """
    generator = torch.Generator().manual_seed(0)
    long, short, after = (
        torch.randint(0, n_tokens, (length,), generator=generator).tolist()
        for length in (_LONG_TOKENS, _SHORT_TOKENS, 2)
    )
    expected = torch.cat(
        [Stepper(model, [row], use_cache=False).logits for row in ([*short, *after], [*long, *after])]
    )  # [2, v]
    tolerance = (1e-3 if model.dtype == torch.float32 else 0.1) * float(expected.abs().max())

    def agrees(prompts: list[list[int]], rows: list[int], *, use_cache: bool) -> bool:
        stepper = Stepper(model, prompts, use_cache=use_cache)
        if use_cache and not stepper.keeps_cache:
            return False
        stepper.take(torch.tensor(rows, device=model.device))
        for token in after:
            stepper.step(torch.full((len(rows),), token, device=model.device))
        wanted = expected[[int(prompts[row] is long) for row in rows]]
        return bool((stepper.logits - wanted).abs().max() <= tolerance)

    caches = agrees([long], [0, 0], use_cache=True) and agrees([short, short], [1], use_cache=True)
    pads = agrees([long, short], [1, 0, 1], use_cache=caches)
    joins = caches and pads and bool(growing_layers(Stepper(model, [short], use_cache=True)))
    if joins:
        found = _joined_logits(model, long, short, after)
        joins = bool((found - expected[[1, 0, 1]]).abs().max() <= tolerance)
    return Abilities(caches=caches, pads=pads, joins=joins)


def _joined_logits(model: PreTrainedModel, long: Sequence[int], short: Sequence[int], after: Sequence[int]) -> Tensor:
    """Return the logits of rows that joined at different times, moved, and took another's place: long, short, long."""
    lanes: Lanes = SlotLanes(model, new_tokens=len(after))

    def step(*tokens: int) -> Tensor:
        return lanes.step(torch.tensor(tokens, device=model.device))

    lanes.admit([long, short], [0, 1, 1], [0, 1, 2])
    lanes.retire([1])
    lanes.move([1], [2], 2)  # long, short
    step(after[0], after[0])
    lanes.admit([short], [0, 0], [2, 3])
    lanes.retire([2])
    lanes.admit([long[:-1]], [0], [2])  # long and short after one token; long but its last, short
    done = step(after[1], after[1], long[-1], after[0])
    lanes.retire([0])
    lanes.move([0], [3], 3)  # short after one token, short after all, long
    step(after[1], 0, after[0])
    latest = step(0, 0, after[1])
    return torch.stack([done[0], done[1], latest[2]])
