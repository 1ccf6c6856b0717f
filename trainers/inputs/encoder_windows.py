"""Cut a long prompt into overlapping windows of tokens, boundedly many.

Shapes: w = windows of a text, t = tokens of a text, h = the encoder's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TokenIds: TypeAlias = tuple[int, ...]

# Tokens are seldom longer: what no window could reach is not even split into tokens.
_CHARACTERS_A_TOKEN = 16


@dataclass(frozen=True, kw_only=True)
class WindowScheme:
    """How much of a prompt is read, and in which pieces.

    Attributes:
        max_tokens: Tokens of a window, the encoder's special tokens included.
        overlap_tokens: Tokens that a window shares with the one before.
        max_windows: Most windows of a prompt; of more, so many are read at equal distances, the first and the last
            among them.
    """

    max_tokens: int
    overlap_tokens: int
    max_windows: int

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.max_windows < 1:
            raise ValueError(f"max_windows is {self.max_windows}, must be at least 1")
        if not 0 <= self.overlap_tokens < self.max_tokens // 2:
            raise ValueError(
                f"overlap_tokens is {self.overlap_tokens} and max_tokens is {self.max_tokens}; the first must be from "
                "0 to below half of the second"
            )

    @property
    def max_characters(self) -> int:
        """Of a longer text the first and the last half of so many characters are read."""
        return 2 * _CHARACTERS_A_TOKEN * self.max_tokens * self.max_windows

    def read(self, text: str) -> str:
        r"""Return what is read of a text, as UTF-8 can hold it: lone surrogates become U+FFFD.

        >>> WindowScheme(max_tokens=8, overlap_tokens=2, max_windows=2).read("\ud800 a")
        '� a'
        """
        half = self.max_characters // 2
        kept = text if len(text) <= 2 * half else text[:half] + text[-half:]
        return kept.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")

    def starts(self, n_tokens: int, length: int) -> list[int]:
        """Return where the windows of a text begin; the last one ends with the text.

        Args:
            n_tokens: Tokens of the text.
            length: Tokens of a window without special tokens.

        >>> WindowScheme(max_tokens=12, overlap_tokens=4, max_windows=3).starts(40, length=10)
        [0, 12, 30]
        """
        if n_tokens <= length:
            return [0]
        step = max(length - self.overlap_tokens, 1)
        starts = [*range(0, n_tokens - length, step), n_tokens - length]
        if len(starts) > self.max_windows:
            places = np.linspace(0, len(starts) - 1, self.max_windows)
            starts = [starts[int(place)] for place in np.rint(places)]
        return starts


class Windowing(NamedTuple):
    """A tokenizer with the tokens that its encoder expects around a text.

    Attributes:
        tokenizer: Neither truncates nor pads.
        before: Special tokens in front of a text.
        after: Special tokens behind it.
        scheme: How texts are cut; `max_tokens` is what the encoder can read.
    """

    tokenizer: Tokenizer
    before: TokenIds
    after: TokenIds
    scheme: WindowScheme

    def cut(self, texts: Sequence[str]) -> list[list[TokenIds]]:
        """Return the windows of each text, w >= 1 a text, each at least one token long."""
        length = self.scheme.max_tokens - len(self.before) - len(self.after)
        read = [self.scheme.read(text) for text in texts]
        cut = []
        for encoded in self.tokenizer.encode_batch(read, add_special_tokens=False):
            ids = tuple(encoded.ids)
            starts = self.scheme.starts(len(ids), length)
            cut.append([(*self.before, *ids[start : start + length], *self.after) or (0,) for start in starts])
        return cut


def windowing(tokenizer: Tokenizer, scheme: WindowScheme) -> Windowing:
    """Return a tokenizer that cuts texts, with its special tokens found by looking where it puts them."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    probe = tokenizer.encode("a", add_special_tokens=True)
    own = len(tokenizer.encode("a", add_special_tokens=False).ids)
    n_before = next((place for place, is_special in enumerate(probe.special_tokens_mask) if not is_special), 0)
    return Windowing(
        tokenizer=tokenizer,
        before=tuple(probe.ids[:n_before]),
        after=tuple(probe.ids[n_before + own :]),
        scheme=scheme,
    )


def averaged_windows(states: Sequence[NDArray[np.float32]], *, add_spread: bool) -> NDArray[np.float32]:
    """Return the average over windows, [h], and after it the largest deviation of one of them from it where asked for.

    Args:
        states: Pooled state of each window, w of [h].
        add_spread: Whether the deviation is wanted.
    """
    table = np.stack([state.astype(np.float64) for state in states])  # [w, h]
    average = table.mean(axis=0)
    parts = [average, abs(table - average).max(axis=0)] if add_spread else [average]
    # An encoder that overflows on a strange text must not make every prediction NaN.
    row: NDArray[np.float32] = np.nan_to_num(np.concatenate(parts), posinf=0.0, neginf=0.0).astype(np.float32)
    return row
