"""How many labeled prompts close the gap between what is known and what could be learned.

Shapes: m = judged prompts, c = outcomes, r = draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from metamodel.bootstrap import macro_reduction_interval
from metamodel.metric_rows import Split
from metamodel.newformer.results import Gap, LearningPoint, Way
from metamodel.types import FloatArray, IntArray

# A gap counts as closed with so much of what all labels give.
CLOSED: Final = 0.9
# Counts and predictions of one domain.
Judged = tuple[IntArray, FloatArray]


@dataclass(kw_only=True)
class Gathered:
    """Predictions in one way from so many labels, domain by domain.

    Attributes:
        draws: Counts and predictions of each domain, draw by draw.
    """

    draws: list[list[Judged]] = field(default_factory=list)

    def add(self, counts: IntArray, predictions: Sequence[FloatArray]) -> None:
        """Add a domain; draws beyond the fewest that a domain has are dropped."""
        if not self.draws:
            self.draws = [[] for _ in predictions]
        del self.draws[len(predictions) :]
        for draw, values in zip(self.draws, predictions, strict=False):
            draw.append((counts, values))


def learning_point(
    gathered: Gathered, *, way: Way, behavior: str, split: Split, n_labeled: int, is_all: bool, n_bootstrap: int
) -> LearningPoint | None:
    """Return the bits of the draws together; None where nothing was predicted or labeled.

    The interval is around the mean of the draws, with the deviations that the first draw's has around its own value.
    """
    found = [
        macro_reduction_interval(domains, n_draws=n_bootstrap if place == 0 else 1)
        for place, domains in enumerate(gathered.draws)
    ]
    values = [one.value for one in found if one is not None]
    first = found[0] if found else None
    if first is None or not values:
        return None
    mean = float(np.mean(values))
    return LearningPoint(
        way=way,
        behavior=behavior,
        split=split,
        n_labeled=n_labeled,
        is_all=is_all,
        n_prompts=sum(len(counts) for counts, _ in gathered.draws[0]),
        bits=mean,
        low=mean + first.low - first.value,
        high=mean + first.high - first.value,
        spread=float(np.std(values, ddof=1)) if len(values) > 1 else None,
    )


def gaps_of(points: Sequence[LearningPoint]) -> Iterator[Gap]:
    """Yield the gap of each behavior on each split that has a curve from scratch."""
    for behavior, split in dict.fromkeys((point.behavior, point.split) for point in points):
        mine = [point for point in points if (point.behavior, point.split) == (behavior, split)]
        native = next((point.bits for point in mine if point.way == "from scratch" and point.is_all), None)
        if native is None:
            continue
        zero = next((point.bits for point in mine if point.way == "zero-shot"), None)
        learned: list[Way] = ["recalibrated", "adapted", "from scratch"]
        yield Gap(
            behavior=behavior,
            split=split,
            native_bits=native,
            zero_shot_bits=zero,
            closes_at=_closing(mine, learned, native),
            worth_labels=_first(mine, "from scratch", zero) if zero is not None else None,
        )


def _closing(points: Sequence[LearningPoint], ways: Sequence[Way], native: float) -> Mapping[str, int | None]:
    known = {point.way for point in points}
    # Nine tenths of nothing would be reached by nothing.
    wanted = CLOSED * native if native > 0 else np.inf
    return {way: _first(points, way, wanted) for way in ways if way in known}


def _first(points: Sequence[LearningPoint], way: Way, bits: float) -> int | None:
    return next((point.n_labeled for point in points if point.way == way and point.bits >= bits), None)
