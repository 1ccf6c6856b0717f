"""What followed the last time: the rule of induction heads, over many texts at once.

Ground floor: nothing here imports another module of the project but ground floors.

Shapes in this file: n = rows, m = units, w = windows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metamodel.analysis.ngrams import Hashes, Units, joined, window_hashes
from metamodel.types import IntArray


def n_induced(prompts: Units, outputs: Units, prompt_of_row: IntArray, *, context: int) -> IntArray:
    """Return how many units of each output are what followed the latest earlier occurrence of their context, [n].

    Args:
        prompts: Units of the different prompts.
        outputs: Units of the outputs.
        prompt_of_row: Prompt of each output, [n].
        context: Units before a unit that must have occurred before, in prompt and output as one text.
    """
    codes, rows, is_output = _one_text(prompts, outputs, prompt_of_row)
    n_rows = len(prompt_of_row)
    if len(codes) <= context:
        return np.zeros(n_rows, dtype=np.int64)
    # A window's context begins it and is followed by its last unit.
    contexts = window_hashes(codes, context)[:-1]  # [w], the last one is followed by nothing
    earlier = _latest_equal(joined(contexts, rows[: len(contexts)].astype(np.uint64)))
    # Where context and follower lie in one row, so do the earlier ones: rows are whole.
    is_asked = (earlier >= 0) & is_output[context:] & (rows[: len(contexts)] == rows[context:])
    followers = np.flatnonzero(is_asked) + context
    hits = codes[earlier[is_asked] + context] == codes[followers]
    return np.bincount(rows[followers[hits]], minlength=n_rows)


def _one_text(prompts: Units, outputs: Units, prompt_of_row: IntArray) -> tuple[Hashes, IntArray, NDArray[np.bool_]]:
    """Return each prompt's units before its output's: codes [m], their rows [m] and whether they are output [m]."""
    n_rows = len(prompt_of_row)
    lengths = np.stack([prompts.lengths[prompt_of_row], outputs.lengths], axis=1).reshape(-1)  # [2 n]
    begins = np.stack([prompts.starts[prompt_of_row], outputs.starts[:-1] + len(prompts.codes)], axis=1).reshape(-1)
    before = np.cumsum(lengths) - lengths
    places = np.arange(lengths.sum()) + np.repeat(begins - before, lengths)
    halves = np.repeat(np.arange(2 * n_rows), lengths)
    return np.concatenate([prompts.codes, outputs.codes])[places], halves // 2, halves % 2 == 1


def _latest_equal(keys: Hashes) -> IntArray:
    """Return the place of the latest earlier equal key, -1 where there is none, [w]."""
    order = _stable_order(keys)
    follows = keys[order[1:]] == keys[order[:-1]]
    earlier = np.full(len(keys), -1, dtype=np.int64)
    earlier[order[1:][follows]] = order[:-1][follows]
    return earlier


def _stable_order(keys: Hashes) -> IntArray:
    """Return the order that sorts keys, equal ones by place, [w].

    Sorting numbers that hold a key's high bits above its place takes a tenth of the time of a stable argsort. Should
    two keys differ in their low bits alone, the argsort decides.
    """
    n_bits = np.uint64(len(keys).bit_length())
    packed = np.sort(((keys >> n_bits) << n_bits) | np.arange(len(keys), dtype=np.uint64))
    order = (packed & ((np.uint64(1) << n_bits) - np.uint64(1))).astype(np.int64)
    found = keys[order]
    if np.any((found[1:] != found[:-1]) & (packed[1:] >> n_bits == packed[:-1] >> n_bits)):
        return np.argsort(keys, kind="stable")
    return order
