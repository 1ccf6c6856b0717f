"""Rows of attention models that come and go one by one in preallocated keys and values.

Rows stand right-aligned: every row's latest position lies in the same column, so that a step writes one column and
reads a window of columns. A row that ends leaves its slot to the next prompt without copying the others.

Shapes: s = slots, n = rows in use (the first n slots), h = heads, c = columns, d = head size, v = vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from metamodel.primaries.growing_cache import GrowingLayer
from metamodel.primaries.stepping import Stepper

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

# Prompt tokens read in one call: more at once gain nothing once the device is busy, and take memory for activations.
_PREFILL_TOKENS = 4096
# Slots to spare when more are needed, so that a few rows more do not copy the buffers again.
_SPARE_SHARE = 4


@dataclass
class Window:
    """Which part of the buffers is in use.

    Attributes:
        n_rows: The first so many slots.
        start: First column that some row uses.
        end: One past the latest column.
    """

    n_rows: int = 0
    start: int = 0
    end: int = 0


class SlotLayer(DynamicLayer):
    """Keys and values of one layer, [s, h, c, d] each, seen through a window that all layers share."""

    def __init__(self, like: GrowingLayer, window: Window) -> None:
        """Begin without slots, for keys and values of the given kind."""
        super().__init__()  # type: ignore[no-untyped-call] # transformers leaves it untyped
        self.lazy_initialization(like.keys, like.values)
        self._window = window
        self._buffers = tuple(
            states.new_empty((0, states.shape[1], 0, states.shape[3])) for states in like_states(like)
        )

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Write the column behind the window and return the window with it."""
        window = self._window
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[: window.n_rows, :, window.end : window.end + 1] = new
        seen = (buffer[: window.n_rows, :, window.start : window.end + 1] for buffer in self._buffers)
        keys, values = seen
        return keys, values

    def get_seq_length(self) -> int:
        """Return the number of columns in the window."""
        return self._window.end - self._window.start

    def rebuild(self, *, n_slots: int, n_columns: int, start: int) -> None:
        """Move the window into larger buffers, so that it begins at the given column."""
        window, rebuilt = self._window, []
        for buffer in self._buffers:
            # Zeros: what is masked is still multiplied, and stray memory may hold NaN.
            larger = buffer.new_zeros((n_slots, buffer.shape[1], n_columns, buffer.shape[3]))
            width = window.end - window.start
            kept = buffer[: window.n_rows, :, window.start : window.end]
            larger[: window.n_rows, :, start : start + width] = kept
            rebuilt.append(larger)
        self._buffers = tuple(rebuilt)

    def shift(self, *, start: int) -> None:
        """Move the window within the buffers, so that it begins at the given column."""
        window = self._window
        width = window.end - window.start
        for buffer in self._buffers:
            kept = buffer[: window.n_rows, :, window.start : window.end].clone()
            buffer[: window.n_rows, :, start : start + width] = kept

    def fill(self, into: Tensor, read: GrowingLayer, sources: Tensor) -> None:
        """Write rows that were read elsewhere, right-aligned at the window's end."""
        for buffer, states in zip(self._buffers, like_states(read), strict=True):
            first = self._window.end - states.shape[2]
            buffer[into, :, first : self._window.end] = states[sources]

    def move(self, into: Tensor, sources: Tensor) -> None:
        """Copy rows to other slots."""
        part = slice(self._window.start, self._window.end)
        for buffer in self._buffers:
            buffer[into, :, part] = buffer[sources, :, part]


def like_states(layer: GrowingLayer) -> tuple[Tensor, Tensor]:
    """Return keys and values."""
    return layer.keys, layer.values


class SlotLanes:
    """A changing set of rows on their way through an attention model.

    Attributes:
        can_join: Prompts may be admitted while others run.
    """

    can_join = True

    def __init__(self, model: PreTrainedModel, *, new_tokens: int) -> None:
        """Begin without rows.

        Args:
            model: In evaluation mode, with a cache that merely grows (`Abilities.joins`).
            new_tokens: The most steps that a row makes.
        """
        self._model = model
        self._device = model.device
        self._new_tokens = new_tokens
        self._accepts = set(inspect.signature(model.forward).parameters)
        self._window = Window()
        self._layers: list[SlotLayer] = []
        self._cache: DynamicCache | None = None
        self._n_slots, self._n_columns = 0, 0
        self._first = np.zeros(0, dtype=np.int64)  # [s], column of each row's first token
        self._ended = np.zeros(0, dtype=np.bool_)  # [s]
        self._origin = torch.zeros(0, dtype=torch.long, device=model.device)  # [s], column of each row's position 0
        self._mask: Tensor | None = None

    def admit(self, prompts: Sequence[Sequence[int]], sources: Sequence[int], into: Sequence[int]) -> Tensor:
        """Read prompts and put them into slots; return the logits of each new row's next token, [len(into), v].

        Args:
            prompts: Token ids, at least one each; near in length, or padding is wasted.
            sources: Which prompt each new row continues.
            into: The slot of each new row: free ones first, then those behind the last row.
        """
        longest = max(map(len, prompts))
        self._make_room(max([*into, self._window.n_rows - 1]) + 1, longest)
        logits: list[Tensor] = []
        order: list[int] = []
        for start, chunk in _chunks(prompts):
            reader = Stepper(self._model, chunk, use_cache=True)
            rows = [row for row, source in enumerate(sources) if start <= source < start + len(chunk)]
            local = torch.tensor([sources[row] - start for row in rows], device=self._device)
            self._fill([into[row] for row in rows], growing_layers(reader), local)
            logits.append(reader.logits[local])
            order += rows
        lengths = np.array([len(prompts[source]) for source in sources])
        self._first[list(into)] = self._window.end - lengths
        self._ended[list(into)] = False
        self._origin[torch.tensor(list(into), device=self._device)] = torch.as_tensor(
            self._window.end - lengths, device=self._device
        )
        self._window.n_rows = max([*into, self._window.n_rows - 1]) + 1
        self._refresh()
        return torch.cat(logits)[torch.tensor(np.argsort(order), device=self._device)]

    def step(self, tokens: Tensor) -> Tensor:
        """Append one token to each row, [n]; return the logits of the next ones, [n, v]."""
        window = self._window
        if window.end == self._n_columns:
            self._place_window(self._n_slots, window.end - window.start)
            self._refresh()
        inputs: dict[str, object] = {"input_ids": tokens[:, None], "past_key_values": self._cache, "use_cache": True}
        inputs["attention_mask"] = None if self._mask is None else self._mask[..., window.start : window.end + 1]
        if "position_ids" in self._accepts:
            inputs["position_ids"] = (window.end - self._origin[: window.n_rows])[:, None]
        if "logits_to_keep" in self._accepts:
            inputs["logits_to_keep"] = 1
        outputs = cast("Mapping[str, Tensor]", self._model(**inputs))
        window.end += 1
        return outputs["logits"][:, -1].float()

    def retire(self, rows: Sequence[int]) -> None:
        """Forget rows that have ended; their slots are computed until they are filled again or moved away."""
        # Positions begin again, so that they cannot run beyond the model's context.
        self._origin[torch.tensor(list(rows), device=self._device)] = self._window.end
        self._ended[list(rows)] = True

    def move(self, into: Sequence[int], sources: Sequence[int], n_rows: int) -> None:
        """Copy rows into freed slots and keep the first `n_rows`."""
        if into:
            targets, origins = (torch.tensor(list(rows), device=self._device) for rows in (into, sources))
            for layer in self._layers:
                layer.move(targets, origins)
            self._first[list(into)] = self._first[list(sources)]
            self._ended[list(into)] = self._ended[list(sources)]
            self._origin[targets] = self._origin[origins]
        self._window.n_rows = n_rows
        self._refresh()

    def _fill(self, into: Sequence[int], read: Sequence[GrowingLayer], sources: Tensor) -> None:
        if not self._layers:
            self._layers = [SlotLayer(layer, self._window) for layer in read]
            self._cache = DynamicCache()
            self._cache.layers = list(self._layers)
            self._rebuild(self._n_slots, self._window.end, self._n_columns - self._window.end)
        targets = torch.tensor(list(into), device=self._device)
        for layer, source in zip(self._layers, read, strict=True):
            layer.fill(targets, source, sources)

    def _make_room(self, n_slots: int, longest: int) -> None:
        """See to `n_slots` slots, `longest` columns on the left of the window's end and a row's steps on its right."""
        window = self._window
        if not window.n_rows:
            window.start = window.end = longest if longest + self._new_tokens <= self._n_columns else 0
        enough = n_slots <= self._n_slots and longest <= window.end <= self._n_columns - self._new_tokens
        if not enough:
            # Room on the left too: prompts come shortest first, so that the next one may be longer than all before.
            width = max(longest, window.end - window.start) + self._new_tokens // 2
            n_kept = self._n_slots if n_slots <= self._n_slots <= 2 * n_slots else n_slots + n_slots // _SPARE_SHARE
            self._place_window(n_kept, width)

    def _place_window(self, n_slots: int, width: int) -> None:
        """Let the window end at column `width`, with a row's steps on its right; in other buffers if it must be."""
        if n_slots == self._n_slots and width + self._new_tokens <= self._n_columns:
            start = self._renumber(width, self._n_slots)
            for layer in self._layers:
                layer.shift(start=start)
            self._window.start, self._window.end = start, width
        else:
            # Twice a row's steps: rows that join later then find room most of the time.
            self._rebuild(n_slots, width, 2 * self._new_tokens)

    def _rebuild(self, n_slots: int, width: int, n_free: int) -> None:
        start = self._renumber(width, n_slots)
        for layer in self._layers:
            layer.rebuild(n_slots=n_slots, n_columns=width + n_free, start=start)
        self._window.start, self._window.end = start, width
        self._n_slots, self._n_columns = n_slots, width + n_free

    def _renumber(self, width: int, n_slots: int) -> int:
        """Number all columns anew, so that the window will end at column `width`; return where it will begin."""
        window = self._window
        start = width - (window.end - window.start)
        shift = start - window.start
        first, origin, ended = np.zeros(n_slots, np.int64), self._origin.new_zeros(n_slots), np.zeros(n_slots, np.bool_)
        first[: window.n_rows] = self._first[: window.n_rows] + shift
        origin[: window.n_rows] = self._origin[: window.n_rows] + shift
        ended[: window.n_rows] = self._ended[: window.n_rows]
        self._first, self._origin, self._ended = first, origin, ended
        return start

    def _refresh(self) -> None:
        """Fit window and mask to the rows."""
        window = self._window
        if not window.n_rows:
            return
        ended = self._ended[: window.n_rows]
        first = np.where(ended, window.end, self._first[: window.n_rows])
        window.start = int(first.min())
        self._mask = None
        if int(first[~ended].max(initial=0)) > window.start:  # rows of one length need no mask
            device, dtype = self._device, self._model.dtype
            columns = torch.arange(self._n_columns, device=device)
            hidden = columns[None, :] < torch.as_tensor(first, device=device)[:, None]  # [n, c]
            mask = torch.zeros(hidden.shape, dtype=dtype, device=device).masked_fill_(hidden, torch.finfo(dtype).min)
            self._mask = mask[:, None, None, :]


def growing_layers(reader: Stepper) -> list[GrowingLayer]:
    """Return the layers of a cache that merely grows; none if some layer does more."""
    layers = list(reader.cache.layers) if isinstance(reader.cache, DynamicCache) else []
    growing = [layer for layer in layers if isinstance(layer, GrowingLayer)]
    return growing if len(growing) == len(layers) else []


def _chunks(prompts: Sequence[Sequence[int]]) -> list[tuple[int, list[Sequence[int]]]]:
    """Cut prompts into pieces that are read in one call, each with the index of its first."""
    chunks: list[tuple[int, list[Sequence[int]]]] = []
    longest = 0
    for index, prompt in enumerate(prompts):
        longest = max(longest, len(prompt))
        if not chunks or (len(chunks[-1][1]) + 1) * longest > _PREFILL_TOKENS:
            chunks.append((index, []))
            longest = len(prompt)
        chunks[-1][1].append(prompt)
    return chunks
