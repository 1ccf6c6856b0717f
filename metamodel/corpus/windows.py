"""Cut a corpus into prompts and continuations of the lengths that a run's prompts and outputs have.

A model's output begins where its prompt ends, anywhere in a sentence, and is as long as it is: a behavior's rate in
whole documents would differ from that in outputs by length alone. So the corpus is cut in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from metamodel.corpus.reading import Pair, Piece
from metamodel.types import IntArray

# A window's prompt begins with a sentence or a line, as prompts do.
_STARTS: Final = re.compile(r"(?:\n\s*|[.!?][\"')\]]*\s+)(?=\S)")
_WORD_END: Final = re.compile(r"(?=\s)|$")


class Window(NamedTuple):
    """A piece of the corpus cut like a prompt and its output.

    Attributes:
        cluster: Name of the piece that it was cut from.
        prompt: What stands before.
        text: What is compared with outputs.
    """

    cluster: str
    prompt: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Lengths of a run's prompts and outputs in characters, [m] each; a row is one output, none of them empty."""

    prompts: IntArray
    outputs: IntArray

    @property
    def longest(self) -> int:
        """Characters of nearly the longest prompt with its output."""
        return int(np.quantile(self.prompts + self.outputs, 0.95)) if len(self.outputs) else 0

    def pairs(self, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
        """Yield lengths of a prompt and its output without end, as often as the run has them."""
        while True:
            for row in rng.integers(0, len(self.outputs), size=4096).tolist():
                yield int(self.prompts[row]), int(self.outputs[row])


def cut_windows(pieces: Iterable[Piece], lengths: Lengths, *, seed: int) -> Iterator[Window]:
    """Yield windows of random lengths from all pieces, none over another; a piece too short has none.

    Args:
        pieces: The corpus.
        lengths: Of the run's prompts and outputs.
        seed: Fixes the lengths.
    """
    wanted = lengths.pairs(np.random.default_rng(seed))
    for piece in pieces:
        position = 0
        for n_prompt, n_output in wanted:
            end_of_prompt = _end_of_word(piece.text, position + n_prompt) if n_prompt else position
            end = end_of_prompt + n_output
            if end > len(piece.text):
                break
            yield Window(
                cluster=piece.name, prompt=piece.text[position:end_of_prompt], text=piece.text[end_of_prompt:end]
            )
            start = _STARTS.search(piece.text, end)
            if start is None:
                break
            position = start.end()


def pair_windows(pairs: Iterable[Pair], *, longest_output: int) -> Iterator[Window]:
    """Yield prompts with continuations, a cluster each, cut to the longest output."""
    for number, pair in enumerate(pairs):
        yield Window(cluster=str(number), prompt=pair.prompt, text=pair.continuation[:longest_output])


def sampled(windows: Iterable[Window], n_windows: int, *, seed: int) -> tuple[list[Window], int]:
    """Return a uniform sample of a stream and the stream's length, holding no more than the sample.

    Source: Vitter, *Random Sampling with a Reservoir* (1985), algorithm R.

    Args:
        windows: The stream.
        n_windows: Size of the sample; all of a shorter stream.
        seed: Fixes it.
    """
    rng = np.random.default_rng(seed)
    kept: list[Window] = []
    n_seen = 0
    for window in windows:
        n_seen += 1
        if len(kept) < n_windows:
            kept.append(window)
            continue
        place = int(rng.integers(0, n_seen))
        if place < n_windows:
            kept[place] = window
    return kept, n_seen


def _end_of_word(text: str, position: int) -> int:
    found = _WORD_END.search(text, min(position, len(text)))
    return len(text) if found is None else found.start()
