"""A key-value cache that grows in place.

transformers' own copies the whole cache for every token; with hundreds of rows that copy costs more than the model.
This one keeps room to spare and copies only when the room runs out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

if TYPE_CHECKING:
    from torch import Tensor

_SPARE_POSITIONS = 64


class GrowingLayer(DynamicLayer):
    """Keys and values of one layer, views of larger buffers.

    Attributes:
        keys: [rows, heads, positions, head size].
        values: The same shape.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        """Take over a layer's content."""
        super().__init__()  # type: ignore[no-untyped-call] # transformers leaves it untyped
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values
        self._buffers = (keys, values)

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Append new positions and return all."""
        n_kept, n_total = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
        if self._buffers[0].shape[-2] < n_total:
            self._buffers = (_roomier(self.keys, n_total), _roomier(self.values, n_total))
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., n_kept:n_total, :] = new
        self.keys, self.values = (buffer[..., :n_total, :] for buffer in self._buffers)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Take the given rows."""
        self.keys, self.values = self.keys.index_select(0, beam_idx), self.values.index_select(0, beam_idx)
        self._buffers = (self.keys, self.values)


def let_grow_in_place(cache: object) -> None:
    """Replace the layers of a filled cache that merely grow; sliding windows and states stay as they are."""
    if isinstance(cache, DynamicCache):
        for index, layer in enumerate(cache.layers):
            keys, values = getattr(layer, "keys", None), getattr(layer, "values", None)
            if type(layer) is DynamicLayer and keys is not None and values is not None:
                cache.layers[index] = GrowingLayer(keys, values)


def _roomier(kept: Tensor, n_positions: int) -> Tensor:
    buffer = kept.new_empty((*kept.shape[:-2], n_positions + _SPARE_POSITIONS, kept.shape[-1]))
    buffer[..., : kept.shape[-2], :] = kept
    return buffer
