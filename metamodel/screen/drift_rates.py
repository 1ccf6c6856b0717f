"""Whether failures happen as often as predicted, and as often as before, asked after every outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from metamodel.errors import DataError
from metamodel.screen.drift_bets import (
    N_SHAPES,
    BettingCapital,
    ConformalUrn,
    draw,
    mapping_with,
    number,
    shape_gains,
    whole,
)

# Log odds beyond what is tolerated that are bet on, in each direction.
_SHIFTS: Final = (0.25, 0.6, 1.5)
# A predicted 0 or 1 that turns out wrong once must not decide everything.
_LEAST_PROBABILITY: Final = 1e-6
_ZETA_1_4: Final = 3.105547260209664
_STATE_KEYS: Final = {"n", "n_predicted", "failed", "predicted", "failed_of_predicted", "variance", "capitals", "urn"}


class Interval(NamedTuple):
    """A range that holds at all times together."""

    low: float
    high: float


class WatchSettings(NamedTuple):
    """What a watch needs to know.

    Attributes:
        tolerated_odds: Factor by which the odds of failure may differ from the predicted ones.
        alarm_log10: Capital at which an alarm is raised, as a power of ten.
        seed: Of the draws that break ties.
    """

    tolerated_odds: float
    alarm_log10: float
    seed: int


class OutcomeWatch:
    """Follows the outcomes of one behavior, in memory that does not grow."""

    def __init__(self, settings: WatchSettings) -> None:
        self.n_outcomes = self.n_predicted = self.n_failed = self.n_failed_of_predicted = 0
        self.sum_predicted = 0.0
        self.calibration, self.rate = BettingCapital(2 * len(_SHIFTS)), BettingCapital(N_SHAPES)
        self._variance = 0.0
        self._urn = ConformalUrn([0, 0])
        self._settings, self._tolerated = settings, math.log(settings.tolerated_odds)

    def see(self, failed: bool, probability: float | None) -> None:  # noqa: FBT001 - the outcome, no switch
        """Bet on one outcome and count it."""
        # The guess that the variance is measured from knows only what came before.
        guess = (self.n_failed + 0.5) / (self.n_outcomes + 1)
        self._variance += (failed - guess) ** 2
        self.n_outcomes += 1
        self.n_failed += failed
        p = self._urn.p_value(int(failed), draw(self._settings.seed, self.n_outcomes))
        self.rate.update(shape_gains(p), alarm_log10=self._settings.alarm_log10)
        if probability is not None:
            self.n_predicted += 1
            self.n_failed_of_predicted += failed
            self.sum_predicted += probability
            gains = calibration_gains(probability, failed=failed, tolerated=self._tolerated)
            self.calibration.update(gains, alarm_log10=self._settings.alarm_log10)

    def interval(self, alpha: float) -> Interval:
        """Return where the mean of the true failure rates of all outcomes so far lies, see `rate_interval`."""
        return rate_interval(self.n_failed, self.n_outcomes, variance=self._variance, alpha=alpha)

    def state(self) -> dict[str, object]:
        """Return what JSON can say and `restore` reads."""
        return {
            "n": self.n_outcomes,
            "n_predicted": self.n_predicted,
            "failed": self.n_failed,
            "failed_of_predicted": self.n_failed_of_predicted,
            "predicted": self.sum_predicted,
            "variance": self._variance,
            "capitals": [self.calibration.state(), self.rate.state()],
            "urn": list(self._urn.counts),
        }

    @classmethod
    def restore(cls, state: object, settings: WatchSettings) -> OutcomeWatch:
        """Return the watch that `state` described.

        Raises:
            DataError: It describes none.
        """
        values = mapping_with(state, _STATE_KEYS)
        watch = cls(settings)
        watch.n_outcomes, watch.n_predicted = whole(values["n"], "n"), whole(values["n_predicted"], "n_predicted")
        watch.n_failed = whole(values["failed"], "failed")
        watch.n_failed_of_predicted = whole(values["failed_of_predicted"], "failed_of_predicted")
        watch.sum_predicted = number(values["predicted"], "predicted", least=0.0, most=float(watch.n_predicted))
        watch._variance = number(values["variance"], "variance", least=0.0)
        capitals, urn = values["capitals"], values["urn"]
        if not isinstance(capitals, list) or len(capitals) != 2:  # noqa: PLR2004 - calibration and rate
            raise DataError("state: capitals must be a list of two: begin a new monitor")
        watch.calibration = BettingCapital.restore(capitals[0], n_bets=2 * len(_SHIFTS))
        watch.rate = BettingCapital.restore(capitals[1], n_bets=N_SHAPES)
        if urn != [watch.n_outcomes - watch.n_failed, watch.n_failed] or watch.n_failed > watch.n_outcomes:
            raise DataError("state: urn does not count the outcomes: begin a new monitor")
        watch._urn = ConformalUrn(urn)
        return watch


def calibration_gains(probability: float, *, failed: bool, tolerated: float) -> list[float]:
    """Return the gains of bets that the log odds of failure are higher, or lower, than predicted and tolerated.

    A bet on a shift d upwards gains q(o + t + d) / q(o + t) of the outcome, where o are the predicted log odds, t what
    is tolerated and q the logistic probability of what happened: a likelihood ratio against the worst tolerated case,
    expected to gain at most 1 wherever the true log odds are at most o + t, since the ratio rises with the odds of what
    it bets on. Downwards likewise. A game in the sense of Shafer, Testing by betting, 2021; outcome rates as a test of
    a forecaster are Dawid, Present position and potential developments: prequential approach, 1984.

    >>> [round(gain, 2) for gain in calibration_gains(0.5, failed=True, tolerated=0.0)]
    [1.12, 1.29, 1.64, 0.88, 0.71, 0.36]
    """
    clipped = min(max(probability, _LEAST_PROBABILITY), 1 - _LEAST_PROBABILITY)
    log_odds = math.log(clipped / (1 - clipped))
    sign = 1.0 if failed else -1.0
    gains: list[float] = []
    for direction in (1.0, -1.0):
        tolerable = _logistic(sign * (log_odds + direction * tolerated))
        gains += [_logistic(sign * (log_odds + direction * (tolerated + shift))) / tolerable for shift in _SHIFTS]
    return gains


def _logistic(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds))


def rate_interval(n_failed: int, n: int, *, variance: float, alpha: float) -> Interval:
    """Return an interval that holds the mean failure probability of the outcomes so far, at all times together.

    P(for some n the mean of the conditional failure probabilities leaves the interval) <= alpha; they may differ and
    depend on the past. Howard et al., Time-uniform, nonparametric, nonasymptotic confidence sequences,
    2021, theorem 4 (empirical Bernstein) with the stitched boundary of theorem 1 (eta = 2, s = 1.4, m = 1,
    c = 1, each side at alpha / 2): with V = max(variance, 1) and l = 1.4 log(log2(V) + 1) + log(2 zeta(1.4) / alpha)
    the radius is (sqrt(k1^2 V l + k2^2 l^2) + k2 l) / n, k1 = (2^(1/4) + 2^(-1/4)) / sqrt(2), k2 = (sqrt(2) + 1) / 2.

    Args:
        n_failed: Failures so far.
        n: Outcomes so far.
        variance: Sum over them of the squared distance to a guess made before each.
        alpha: Probability of ever missing.

    >>> rate_interval(0, 0, variance=0.0, alpha=0.05)
    Interval(low=0.0, high=1.0)
    """
    if n == 0:
        return Interval(0.0, 1.0)
    v = max(variance, 1.0)
    level = 1.4 * math.log(math.log2(v) + 1) + math.log(2 * _ZETA_1_4 / alpha)
    k1, k2 = (2**0.25 + 2**-0.25) / math.sqrt(2), (math.sqrt(2) + 1) / 2
    radius = (math.sqrt(k1**2 * v * level + (k2 * level) ** 2) + k2 * level) / n
    return Interval(max(n_failed / n - radius, 0.0), min(n_failed / n + radius, 1.0))


def checked_probabilities(values: Sequence[float], behavior: str) -> None:
    """Refuse what is no probability.

    Raises:
        DataError: One is not from 0 to 1.
    """
    for value in values:
        if not 0 <= value <= 1:
            raise DataError(f"{behavior}: a failure probability is {value!r}, must be from 0 to 1")
