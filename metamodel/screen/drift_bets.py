"""Test martingales: capital that no betting strategy can expect to raise as long as nothing drifts.

Ville's inequality (Étude critique de la notion de collectif, 1939): a capital that starts at 1 and is expected never to
rise exceeds 1 / alpha at any time with probability at most alpha. So one may look after every prompt. Nothing here
knows what is being bet on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from metamodel.errors import DataError

# Capital beyond it says nothing more; letting go of the rest keeps the inequality.
_MOST_CAPITAL: Final = 1e250
# Prompts within which half of the capital has been set to work.
_HALF_SPENT: Final = 200.0
_MASK: Final = 2**64 - 1


class BettingCapital:
    """Capital of several constant bets, each begun anew at every step.

    A drift may begin at any time, and a bet made too early has lost its stake by then. So the capital is spread over
    all starting times: of the reserve r(t) = 1 / (1 + log2(1 + t / 200)) the part r(t - 1) - r(t) is added to the bets
    before step t. Sum over t of that part times the gain since t, plus what is left of the reserve: a mixture of
    martingales, hence one. A drift that begins at step t costs about log(t) more to find, and no more memory. Betting
    against uniform p-values is Vovk et al., Retrain or not retrain: conformal test martingales for change-point
    detection, 2021; starting anew at every step is Shin, Ramdas, Rinaldo, E-detectors, 2023. Our deviation: they add
    without a reserve and bound the time between false alarms, we keep within 1 and bound the chance of any.
    """

    def __init__(self, n_bets: int) -> None:
        self.n_steps = 0
        self._stakes = [0.0] * n_bets
        self._reserve = 1.0
        self._peak = 1.0
        self._alarmed_at: int | None = None

    @property
    def log10_value(self) -> float:
        """Capital now, as a power of ten."""
        return math.log10(max(self._reserve + sum(self._stakes), 1e-300))

    @property
    def log10_peak(self) -> float:
        """Largest capital ever, as a power of ten: what Ville's inequality speaks of."""
        return math.log10(self._peak)

    @property
    def alarmed_at(self) -> int | None:
        """Step at which the capital first reached the level that `update` was told; None before."""
        return self._alarmed_at

    def update(self, gains: Sequence[float], *, alarm_log10: float) -> None:
        """Multiply each bet by its gain, a number >= 0 that was expected to be at most 1 before it was known."""
        self.n_steps += 1
        reserve = 1.0 / (1.0 + math.log2(1.0 + self.n_steps / _HALF_SPENT))
        fresh = (self._reserve - reserve) / len(self._stakes)
        self._reserve = reserve
        stakes = self._stakes = [(stake + fresh) * gain for stake, gain in zip(self._stakes, gains, strict=True)]
        total = reserve + sum(stakes)
        if total > _MOST_CAPITAL:
            self._stakes = [stake * (_MOST_CAPITAL / total) for stake in stakes]
            total = _MOST_CAPITAL
        if total > self._peak:
            self._peak = total
            if self._alarmed_at is None and math.log10(total) >= alarm_log10:
                self._alarmed_at = self.n_steps

    def state(self) -> dict[str, object]:
        """Return what JSON can say and `restore` reads."""
        return {
            "n_steps": self.n_steps,
            "stakes": list(self._stakes),
            "peak": self._peak,
            "alarmed_at": self._alarmed_at,
        }

    @classmethod
    def restore(cls, state: object, *, n_bets: int) -> BettingCapital:
        """Return the martingale that `state` described.

        Raises:
            DataError: It describes none with so many bets.
        """
        values = mapping_with(state, {"n_steps", "stakes", "peak", "alarmed_at"})
        restored = cls(n_bets)
        restored.n_steps = whole(values["n_steps"], "n_steps")
        stakes = values["stakes"]
        if not isinstance(stakes, list) or len(stakes) != n_bets:
            raise DataError(f"state: stakes must be a list of {n_bets} numbers: begin a new monitor")
        restored._stakes = [number(stake, "stakes", least=0.0) for stake in stakes]
        restored._reserve = 1.0 / (1.0 + math.log2(1.0 + restored.n_steps / _HALF_SPENT))
        restored._peak = number(values["peak"], "peak", least=1.0)
        at = values["alarmed_at"]
        restored._alarmed_at = None if at is None else whole(at, "alarmed_at")
        return restored


def mapping_with(value: object, keys: set[str]) -> Mapping[str, object]:
    """Return a mapping with exactly these keys; raises DataError else."""
    if not isinstance(value, dict) or set(value) != keys:
        raise DataError(f"state of a drift monitor must be a mapping with {', '.join(sorted(keys))}: begin a new one")
    return value


def number(value: object, name: str, *, least: float = -math.inf, most: float = math.inf) -> float:
    """Return a finite number in a range; raises DataError else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DataError(f"state: {name} is {value!r}, must be a finite number: begin a new monitor")
    if not least <= value <= most:
        raise DataError(f"state: {name} is {value!r}, must be from {least} to {most}: begin a new monitor")
    return float(value)


def whole(value: object, name: str) -> int:
    """Return a whole number of a usual size; raises DataError else."""
    if type(value) is not int or not 0 <= value < 2**53:
        raise DataError(f"state: {name} is {value!r}, must be a whole number from 0: begin a new monitor")
    return value


def draw(seed: int, step: int) -> float:
    """Return the draw of a step, uniform on [0, 1), the same in every process (splitmix64, Steele et al., 2014)."""
    bits = (seed * 0xD1342543DE82EF95 + step * 0x9E3779B97F4A7C15) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((bits ^ (bits >> 31)) >> 11) / 2**53


class ConformalUrn:
    """Ranks each new value among all before it, with values known by their bin alone.

    While all values are exchangeable, each is as likely to take any place among those before it. So the smoothed
    p-value (weight of higher bins + u * weight of its own bin) / (weight of all), u uniform on [0, 1), is uniform and
    independent of those before it (Vovk, Gammerman, Shafer, Algorithmic learning in a random world, 2005, proposition
    2.8). Values of a fixed reference alone would not do: their own chance deviation would be found as drift once
    traffic is long enough. So values seen join it.

    Without a reference a value weighs 1 in its own bin when it is ranked. With one of m values the bins hold the m + 1
    places between and beyond them, one weight each: a value is as likely to fall in each of them.
    """

    def __init__(self, counts: Sequence[int], *, has_reference: bool = False) -> None:
        self.counts = list(counts)
        self._total = sum(counts)
        self._has_reference = has_reference

    def p_value(self, place: int, smoothing: float) -> float:
        """Return the p-value of a value in bin `place`, and count the value."""
        counts = self.counts
        own, total = counts[place], self._total
        counts[place] += 1
        self._total += 1
        if not self._has_reference:
            own, total = own + 1, total + 1
        return (sum(counts[place + 1 :]) + smoothing * own) / total


# Gains of a p-value: densities on [0, 1], so that a uniform p-value is expected to gain 1.
N_SHAPES: Final = 8


def shape_gains(p: float) -> list[float]:
    """Return what p gains under each shape of drift: values higher, much higher, far out; lower; both; neither.

    >>> len(shape_gains(0.5)) == N_SHAPES
    True
    """
    off_center = 3.6 * abs(p - 0.5)
    return [
        1.5 - p,
        1.9 - 1.8 * p,
        5.5 if p < 0.1 else 0.5,  # noqa: PLR2004 - the farthest tenth
        25.5 if p < 0.02 else 0.5,  # noqa: PLR2004 - the farthest fiftieth
        0.5 + p,
        0.1 + 1.8 * p,
        0.1 + off_center,
        1.9 - off_center,
    ]
