"""Read prompts and then one token at a time, with whatever cache a causal language model keeps.

Shapes: b = rows, t = positions, v = vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor

from metamodel.primaries.growing_cache import let_grow_in_place

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_CACHE_NAMES = ("past_key_values", "cache_params", "state")


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What a model was seen to do exactly.

    Attributes:
        caches: Continuing from its cache gives what reading the whole prefix gives.
        pads: Shorter rows may be padded on the left.
    """

    caches: bool
    pads: bool


class _Cache(Protocol):
    def reorder_cache(self, beam_idx: Tensor) -> None: ...


class Stepper:
    """A batch of rows on their way through a model.

    Attributes:
        logits: Of each row's next token, [b, v].
    """

    def __init__(self, model: PreTrainedModel, prompts: Sequence[Sequence[int]], *, use_cache: bool) -> None:
        """Read the prompts, token ids of any length >= 1; shorter ones are padded on the left.

        Args:
            model: In evaluation mode.
            prompts: One row each.
            use_cache: Whether to go on from the model's cache; otherwise each step reads the whole prefix.
        """
        self._model = model
        self._accepts = set(inspect.signature(model.forward).parameters)
        self._use_cache = use_cache
        self._cache: tuple[str, _Cache] | None = None
        longest = max(map(len, prompts))
        padded = [[0] * (longest - len(tokens)) + list(tokens) for tokens in prompts]
        present = [[0] * (longest - len(tokens)) + [1] * len(tokens) for tokens in prompts]
        self._ids = torch.tensor(padded, device=model.device)  # [b, t]
        self._mask = torch.tensor(present, device=model.device)  # [b, t]
        self.logits = self._forward(self._ids)

    @property
    def keeps_cache(self) -> bool:
        """Whether the model returned a cache that it takes back."""
        return self._cache is not None

    def take(self, rows: Tensor) -> None:
        """Keep the given rows, any of them more than once."""
        if self._cache is not None:
            self._cache[1].reorder_cache(rows)
        self._ids, self._mask, self.logits = self._ids[rows], self._mask[rows], self.logits[rows]

    def step(self, tokens: Tensor) -> None:
        """Append one token to each row, [b]."""
        self._mask = torch.cat([self._mask, self._mask.new_ones((len(tokens), 1))], dim=1)
        if self._cache is None:
            self._ids = torch.cat([self._ids, tokens[:, None]], dim=1)
            self.logits = self._forward(self._ids)
        else:
            self.logits = self._forward(tokens[:, None])

    def _forward(self, ids: Tensor) -> Tensor:
        inputs: dict[str, object] = {"input_ids": ids}
        if "attention_mask" in self._accepts:
            inputs["attention_mask"] = self._mask
        if "position_ids" in self._accepts:
            inputs["position_ids"] = (self._mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        if "logits_to_keep" in self._accepts:
            inputs["logits_to_keep"] = 1
        if "use_cache" in self._accepts:
            inputs["use_cache"] = self._use_cache
        if self._cache is not None:
            inputs[self._cache[0]] = self._cache[1]
        outputs = cast("Mapping[str, object]", self._model(**inputs))
        if self._use_cache:
            self._keep_cache(outputs)
        return cast("Tensor", outputs["logits"])[:, -1].float()

    def _keep_cache(self, outputs: Mapping[str, object]) -> None:
        for name in _CACHE_NAMES:
            cache = outputs.get(name)
            if name in self._accepts and hasattr(cache, "reorder_cache"):
                if self._cache is None:
                    let_grow_in_place(cache)
                self._cache = (name, cast("_Cache", cache))
                return


@torch.inference_mode()
def measure_abilities(model: PreTrainedModel, *, n_tokens: int) -> Abilities:
    """Try a model's cache and its padding on random tokens and trust what gives the same logits as a plain reading.

    Measured, not looked up by name: custom code and new architectures are judged by the same test.

    Args:
        model: In evaluation mode.
        n_tokens: Size of its vocabulary.
    """
    generator = torch.Generator().manual_seed(0)
    long, short = (torch.randint(0, n_tokens, (length,), generator=generator).tolist() for length in (12, 7))
    after = torch.randint(0, n_tokens, (2,), generator=generator).tolist()
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
    return Abilities(caches=caches, pads=pads)
