"""One random stream a generation, fixed by its seed alone, so that it does not matter what shares its batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metamodel.types import FloatArray, content_hash

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def generation_seed(*, run_seed: int, prompt_id: str, sample: int) -> int:
    """Return the 63-bit seed of one generation's stream.

    >>> generation_seed(run_seed=0, prompt_id="a", sample=0) == generation_seed(run_seed=0, prompt_id="a", sample=1)
    False
    """
    return int(content_hash(str(run_seed), prompt_id, str(sample))[:16], 16) >> 1


def uniform_streams(seeds: Sequence[int], n_steps: int) -> FloatArray:
    """Return the first numbers of each seed's stream, uniform in [0, 1), [n, n_steps].

    SplitMix64 (Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, 2014): the number at step t is
    a hash of seed + (t + 1) times the golden gamma, so every row and step is computed on its own. Two streams overlap
    only if their seeds lie within n_steps gammas of each other, which hashed seeds do not.

    >>> float(uniform_streams([7], 3)[0, 1]) == float(uniform_streams([1, 7], 2)[1, 1])
    True
    """
    starts = np.asarray(seeds, dtype=np.uint64)[:, None]  # [n, 1]
    steps = np.arange(1, n_steps + 1, dtype=np.uint64)[None, :]  # [1, t]
    mixed = _mix(starts + steps * _GOLDEN)  # [n, t], modulo 2**64 by design
    # 52 bits: u * total stays below total in double precision, so no draw falls off the end of a distribution.
    return (mixed >> np.uint64(12)).astype(np.float64) * 2.0**-52


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
