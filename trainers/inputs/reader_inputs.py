"""What a reader makes of texts, as numbers: the surprisal profile and the states of some layers.

Shapes: n = texts, d = numbers a text, h = width of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import ConfigError
from metamodel.protocols import ReadsTexts
from metamodel.types import TextReading
from trainers.inputs.reader_profile import profile_names, surprisal_profile

StateKind: TypeAlias = Literal["none", "last", "mean", "both"]

# Layers whose states are read where none are named, evenly spread, the last one among them.
_SPREAD_LAYERS = 4


@dataclass(frozen=True, kw_only=True)
class ReaderLayout:
    """Which columns hold what: the profile first, then one block a layer.

    Attributes:
        n_profile: Numbers of the profile.
        layers: Layers by their position, the embeddings being 0.
        block: Numbers of one layer: h for its last or its mean state, 2 h for both.
    """

    n_profile: int
    layers: tuple[int, ...]
    block: int

    @property
    def width(self) -> int:
        """All columns (d)."""
        return self.n_profile + len(self.layers) * self.block

    @property
    def profile(self) -> range:
        """Columns of the profile."""
        return range(self.n_profile)

    def states(self, layer: int) -> range:
        """Return the columns of a layer's states."""
        begin = self.n_profile + self.layers.index(layer) * self.block
        return range(begin, begin + self.block)


@dataclass(frozen=True, kw_only=True)
class ReaderInputs:
    """Reads each text once.

    Attributes:
        reader: The primary model that reads.
        max_tokens: Most tokens read of a text.
        kind: Which states of a layer are kept.
        layout: What the columns are.
    """

    reader: ReadsTexts
    max_tokens: int
    kind: StateKind
    layout: ReaderLayout

    @property
    def identity(self) -> str:
        """Name the reader's weights and every setting."""
        layers = ",".join(str(layer) for layer in self.layout.layers)
        return f"reader:1:{self.reader.identity}:tokens={self.max_tokens}:states={self.kind}:layers={layers}"

    @property
    def width(self) -> int:
        """Numbers a text."""
        return self.layout.width

    def compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the numbers of each text, [n, d]."""
        rows = np.zeros((len(texts), self.width), dtype=np.float32)
        readings = self.reader.read_texts(texts, max_tokens=self.max_tokens)
        for row, text, reading in zip(rows, texts, readings, strict=True):
            row[: self.layout.n_profile] = surprisal_profile(reading, n_characters=len(text))
            for layer in self.layout.layers if len(reading.last_states) else ():
                columns = self.layout.states(layer)
                row[columns.start : columns.stop] = self._states(reading, layer)
        return rows

    def _states(self, reading: TextReading, layer: int) -> NDArray[np.float32]:
        parts = {"last": (reading.last_states,), "mean": (reading.mean_states,)}
        chosen = parts.get(self.kind, (reading.last_states, reading.mean_states))
        return np.concatenate([states[layer] for states in chosen])


def measured_layout(reader: ReadsTexts, *, kind: StateKind, layers: Sequence[int], max_tokens: int) -> ReaderLayout:
    """Let the reader read a letter to see what states it shows; one that shows none leaves the profile alone.

    Raises:
        ConfigError: A layer is named that the reader does not have.
    """
    n_profile = len(profile_names())
    if kind == "none":
        return ReaderLayout(n_profile=n_profile, layers=(), block=0)
    shown = next(iter(reader.read_texts(["a"], max_tokens=max_tokens))).last_states.shape
    n_layers, h = shown
    if not n_layers:
        return ReaderLayout(n_profile=n_profile, layers=(), block=0)
    beyond = [layer for layer in layers if layer >= n_layers]
    if beyond:
        raise ConfigError(
            [f"layers: {beyond} are not there, the reader has 0 (the embeddings) to {n_layers - 1}"], source="reader"
        )
    spread = np.linspace(1, n_layers - 1, min(_SPREAD_LAYERS, n_layers - 1)).round().astype(int).tolist()
    chosen = tuple(sorted(set(layers))) or tuple(int(layer) for layer in spread)
    return ReaderLayout(n_profile=n_profile, layers=chosen, block=2 * h if kind == "both" else h)
