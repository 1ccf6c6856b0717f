"""What is worth its length: the Pareto front of bits gained against bits of description, its knee, the break-even.

Shapes: p = points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

_LEAST_FOR_KNEE = 3


@dataclass(frozen=True, kw_only=True)
class LadderPoint:
    """One metamodel in one variant, all its fits together.

    Attributes:
        metamodel: Name in the config.
        variant: "as saved"; "lossless", the same under shorter codes; or what was left out of its weights.
        description_bits: Length of what the predictions depend on: the mean over held-out domains of the sum over
            primary models (a metamodel that was fitted on all of them at once counts once).
        borrowed_bits: Size of pretrained parts that it needs and does not hold; no part of `description_bits`.
        reduction_bits: Bits gained: the mean over held-out domains, primary models and behaviors.
        low_bits: Lower end of its 95 % interval; None where a domain has fewer than two labeled prompts.
        high_bits: Upper end of it.
        break_even_prompts: After how many prompts, each put to every primary model, the bits gained over all primary
            models and behaviors have paid for the description; None where nothing is gained.
        is_on_front: Whether no other point gains as much in fewer bits.
        is_knee: Whether it is the front's knee.
    """

    metamodel: str
    variant: str
    description_bits: float
    borrowed_bits: float
    reduction_bits: float
    low_bits: float | None
    high_bits: float | None
    break_even_prompts: float | None
    is_on_front: bool = False
    is_knee: bool = False

    def to_dict(self) -> dict[str, str | float | bool | None]:
        """Return it ready for JSON."""
        return asdict(self)


def break_even(description_bits: float, gained_bits: float) -> float | None:
    """Return after how many prompts a description has been paid for: its bits over those gained a prompt.

    Source: Holtzman et al. (2023), equation 6: a metamodel shortens the description of n prompts' behavior where
    n times the bits gained exceed its own length.

    >>> break_even(8000.0, 0.5), break_even(8000.0, -0.1)
    (16000.0, None)
    """
    return description_bits / gained_bits if gained_bits > 0 else None


def pareto_front(sizes: Sequence[float], gains: Sequence[float]) -> list[int]:
    """Return the positions of the points that no shorter or equally short one matches, by size.

    Args:
        sizes: Bits of description, p of them.
        gains: Bits gained, p of them.

    >>> pareto_front([8, 2, 4, 16], [0.3, 0.1, 0.3, 0.5])
    [1, 2, 3]
    """
    front: list[int] = []
    best = -math.inf
    for position in sorted(range(len(sizes)), key=lambda place: (sizes[place], -gains[place], place)):
        if gains[position] > best:
            front.append(position)
            best = gains[position]
    return front


def knee(sizes: Sequence[float], gains: Sequence[float]) -> int | None:
    """Return the position of a front's knee: where the bits gained are farthest above the chord between its ends.

    Kneedle without smoothing (Satopaa, Albrecht, Irwin and Raghavan, *Finding a "Kneedle" in a Haystack*, 2011) on
    x = log2 of the size and y = the bits gained, both scaled to [0, 1]: the largest y - x. Our deviation: points are
    few and measured, so that neither a spline nor a sensitivity is used, and the largest difference alone is the knee.

    Args:
        sizes: Bits of description, rising, above 0.
        gains: Bits gained, rising.

    Returns:
        None with fewer than three points, or where none lies above the chord.

    >>> knee([2, 4, 8, 16], [0.0, 0.8, 0.9, 1.0])
    1
    """
    if len(sizes) < _LEAST_FOR_KNEE:
        return None
    x, y = np.log2(np.asarray(sizes)), np.asarray(gains)
    above = (y - y[0]) / (y[-1] - y[0]) - (x - x[0]) / (x[-1] - x[0])
    position = int(np.argmax(above))
    return position if above[position] > 0 else None
