"""What a drift monitor says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from metamodel.screen.drift_rates import OutcomeWatch

_INTERVAL_ALPHA: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class BehaviorDrift:
    """What was seen of one behavior.

    Attributes:
        behavior: Its name.
        n_outcomes: Outcomes seen.
        predicted_rate: Mean predicted probability of failure; None where no outcome came with one.
        seen_rate: Share that failed.
        seen_rate_of_predicted: Share that failed among those with a prediction; None where none came with one.
        low: Lower end of a 95 % interval of the true rate that holds at all times together.
        high: Its upper end.
        log10_calibration: Evidence that the odds of failure differ from the predicted ones by more than is tolerated,
            the largest so far, as a power of ten; None where no outcome came with a prediction.
        log10_rate: Evidence that the rate changed on the way, likewise.
        is_miscalibrated: Whether the first reached 1 / alpha.
        has_changed: Whether the second did.
        miscalibrated_since: After how many predicted outcomes it did; None where it did not.
        changed_since: After how many outcomes it did; None where it did not.
    """

    behavior: str
    n_outcomes: int
    predicted_rate: float | None
    seen_rate: float
    seen_rate_of_predicted: float | None
    low: float
    high: float
    log10_calibration: float | None
    log10_rate: float
    is_miscalibrated: bool
    has_changed: bool
    miscalibrated_since: int | None
    changed_since: int | None


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """What was seen so far.

    Attributes:
        alpha: Largest probability of a false alarm of each question.
        n_prompts: Prompts seen.
        n_compared: Those with an unfamiliarity.
        n_unfamiliar: Those that were warned of.
        log10_inputs: Evidence that prompts drifted, the largest so far, as a power of ten.
        have_inputs_drifted: Whether it reached 1 / alpha.
        inputs_drifted_since: After how many compared prompts it did; None where it did not.
        behaviors: What was seen of each behavior with outcomes.
    """

    alpha: float
    n_prompts: int
    n_compared: int
    n_unfamiliar: int
    log10_inputs: float
    have_inputs_drifted: bool
    inputs_drifted_since: int | None
    behaviors: tuple[BehaviorDrift, ...]

    @property
    def has_drifted(self) -> bool:
        """Whether any question raised an alarm."""
        return self.have_inputs_drifted or any(one.is_miscalibrated or one.has_changed for one in self.behaviors)

    def to_dict(self) -> dict[str, object]:
        """Return what JSON can say."""
        return {**asdict(self), "behaviors": [asdict(one) for one in self.behaviors], "has_drifted": self.has_drifted}


def behavior_drift(name: str, watch: OutcomeWatch) -> BehaviorDrift:
    """Return what a watch has seen."""
    interval = watch.interval(_INTERVAL_ALPHA)
    n_predicted = watch.n_predicted
    return BehaviorDrift(
        behavior=name,
        n_outcomes=watch.n_outcomes,
        predicted_rate=watch.sum_predicted / n_predicted if n_predicted else None,
        seen_rate=watch.n_failed / max(watch.n_outcomes, 1),
        seen_rate_of_predicted=watch.n_failed_of_predicted / n_predicted if n_predicted else None,
        low=interval.low,
        high=interval.high,
        log10_calibration=watch.calibration.log10_peak if n_predicted else None,
        log10_rate=watch.rate.log10_peak,
        is_miscalibrated=watch.calibration.alarmed_at is not None,
        has_changed=watch.rate.alarmed_at is not None,
        miscalibrated_since=watch.calibration.alarmed_at,
        changed_since=watch.rate.alarmed_at,
    )
