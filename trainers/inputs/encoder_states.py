"""What a pretrained encoder makes of a prompt: its states, pooled over tokens and averaged over windows.

Shapes: n = texts, w = windows of a text, t = tokens of a window, h = the encoder's width, d = numbers a text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from trainers.inputs.encoder_files import (
    MINILM,
    data_files,
    encoder_folder,
    encoder_identity,
    size_bits,
    weight_files,
)
from trainers.inputs.encoder_loading import Encoder, Pooling, encoder_width, load_encoder, pooled
from trainers.inputs.encoder_windows import TokenIds, WindowScheme, averaged_windows

_VERSION = 1
_MOST_THREADS = 16


@dataclass(frozen=True, kw_only=True)
class EncoderStates:
    """A frozen encoder's view of a prompt.

    Every window is read alone and without padding by one thread, so that a row is the same bits whatever texts come
    with it; several texts are read at once.

    Attributes:
        model: `minilm` (the extra of that name), a local folder or a hub name.
        revision: Commit of a hub's model.
        depth: Share of the encoder's layers that are computed, from the first on; 1 for all.
        pooling: `mean` over tokens, or `cls`, the first token's state.
        max_tokens: Tokens of a window, special tokens included; fewer where the encoder reads no more.
        overlap_tokens: Tokens that a window shares with the one before.
        max_windows: Most windows of a prompt, see `WindowScheme`.
        add_spread: Whether the windows' largest deviation from their average is given too.
    """

    model: str = MINILM
    revision: str = ""
    depth: float = 0.5
    pooling: Pooling = "mean"
    max_tokens: int = 256
    overlap_tokens: int = 64
    max_windows: int = 8
    add_spread: bool = False

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.pooling not in get_args(Pooling):
            raise ValueError(f"pooling is {self.pooling!r}, must be one of {', '.join(get_args(Pooling))}")
        if not 0 < self.depth <= 1:
            raise ValueError(f"depth is {self.depth}, must be above 0 and at most 1")
        _ = self.scheme

    @property
    def scheme(self) -> WindowScheme:
        """How prompts are cut."""
        return WindowScheme(
            max_tokens=self.max_tokens, overlap_tokens=self.overlap_tokens, max_windows=self.max_windows
        )

    @cached_property
    def folder(self) -> Path:
        """Where the encoder's files are; raises MetamodelError where they are not."""
        return encoder_folder(self.model, self.revision)

    @property
    def content(self) -> str:
        """Name and content hash of the encoder."""
        return encoder_identity(self.folder)

    @property
    def identity(self) -> str:
        """All that the numbers depend on."""
        settings = (
            f"{self.depth} {self.pooling} {self.max_tokens} {self.overlap_tokens} {self.max_windows} {self.add_spread}"
        )
        return f"encoder_states v{_VERSION} {self.content} {settings}"

    @property
    def borrowed_bits(self) -> dict[str, float]:
        """Length of the pretrained weights and of the tokenizer, by name and content hash."""
        return {self.content: size_bits([*weight_files(self.folder), *data_files(self.folder)])}

    @cached_property
    def width(self) -> int:
        """Numbers a text (d)."""
        return encoder_width(self.folder) * (2 if self.add_spread else 1)

    def load(self) -> Encoder:
        """Return a fresh copy of the encoder."""
        return load_encoder(self.folder, self.scheme, self.depth)

    def compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the numbers of each text, [n, d]."""
        if not len(texts):
            return np.empty((0, self.width), dtype=np.float32)
        encoder = _loaded(self, self.content)
        return states_of(encoder, texts, self.pooling, add_spread=self.add_spread)


def states_of(
    encoder: Encoder, texts: Sequence[str], pooling: Pooling, *, add_spread: bool = False
) -> NDArray[np.float32]:
    """Return the states of each text, [n, d], averaged over its windows; a row depends on its own text alone."""
    cut = encoder.windows.cut(texts)
    with _one_torch_thread_each() as pool:
        rows = list(pool.map(lambda windows: _text_row(encoder, windows, pooling, add_spread=add_spread), cut))
    return np.stack(rows)


def _text_row(
    encoder: Encoder, windows: Sequence[TokenIds], pooling: Pooling, *, add_spread: bool
) -> NDArray[np.float32]:
    """Return the average over windows, and the largest deviation of one of them from it, [d]."""
    import torch

    vectors = []
    with torch.inference_mode():
        for window in windows:
            ids = torch.tensor([window])
            states = encoder.module(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state  # [1, t, h]
            vectors.append(pooled(states, torch.ones_like(ids), pooling)[0].numpy())
    return averaged_windows(vectors, add_spread=add_spread)


@contextmanager
def _one_torch_thread_each() -> Iterator[ThreadPoolExecutor]:
    """Yield threads in each of which torch computes alone: sums split among threads would depend on their number."""
    import torch

    before = torch.get_num_threads()
    n_threads = min(os.cpu_count() or 1, _MOST_THREADS)
    try:
        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=2)
def _loaded(states: EncoderStates, content: str) -> Encoder:  # noqa: ARG001 - a folder written anew is loaded anew
    return states.load()
