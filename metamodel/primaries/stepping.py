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
        joins: Rows may join others that are on their way already, each in a slot of one cache.
    """

    caches: bool
    pads: bool
    joins: bool = False


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

    @property
    def cache(self) -> object:
        """What the model carries from step to step; None without a cache."""
        return None if self._cache is None else self._cache[1]

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
