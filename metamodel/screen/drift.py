"""Watch live traffic: whether prompts stay like the held-out ones, and whether failures come as predicted.

Each question is a bet that nobody wins in the long run while nothing drifts, so that looking after every request keeps
the chance of any false alarm, ever, below one number. Memory does not grow with traffic.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Protocol, runtime_checkable

from metamodel.errors import DataError
from metamodel.screen.drift_bets import (
    N_SHAPES,
    BettingCapital,
    ConformalUrn,
    draw,
    mapping_with,
    shape_gains,
    whole,
)
from metamodel.screen.drift_rates import OutcomeWatch, WatchSettings, checked_probabilities
from metamodel.screen.drift_report import DriftReport, behavior_drift
from metamodel.screen.screen import Screen
from metamodel.screen.screened import ScreenedPrompt
from metamodel.types import FloatArray, content_hash

STATE_SCHEMA: Final = 1
_MOST_ODDS: Final = 1e6
MOST_BEHAVIORS: Final = 1000
# Lower ends of the bins of unfamiliarity but the first: even, then finer where far prompts lie.
_EDGES: Final = (*(step / 50 for step in range(1, 50)), 0.985, 0.99, 0.995, 0.998, 0.999)


@runtime_checkable
class KnowsHeldOutPrompts(Protocol):
    """Says what prompts without drift look like."""

    @property
    def held_out_unfamiliarity(self) -> FloatArray:
        """Unfamiliarity of each held-out prompt, [m]."""
        ...


@dataclass(frozen=True, kw_only=True)
class DriftSettings:
    """What counts as drift.

    Attributes:
        alpha: Largest probability that a question without drift ever raises an alarm. There is one question about
            prompts, and for each behavior one about calibration and one about its rate.
        tolerated_odds: Factor by which the odds of failure may differ from the predicted ones before that is drift: a
            calibration fitted on some hundred prompts is off by about as much.
        reference: How many of the m + 1 places between and beyond m held-out prompts lie in each bin of unfamiliarity;
            empty compares live prompts with those before them alone.
        seed: Of the draws that break ties.
    """

    alpha: float = 0.01
    tolerated_odds: float = 1.2
    reference: tuple[int, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}, must be above 0 and below 1")
        if not 1 <= self.tolerated_odds <= _MOST_ODDS:
            raise ValueError(f"tolerated_odds is {self.tolerated_odds}, must be from 1 to {_MOST_ODDS:g}")
        if self.reference and len(self.reference) != len(_EDGES) + 1:
            raise ValueError(f"reference has {len(self.reference)} bins, must have {len(_EDGES) + 1} or none")

    @classmethod
    def of(cls, screen: Screen, *, alpha: float = 0.01, tolerated_odds: float = 1.2, seed: int = 0) -> DriftSettings:
        """Return settings that compare live prompts with what a pre-screen knows of its own."""
        known: object = screen.familiarity
        reference: tuple[int, ...] = ()
        if isinstance(known, KnowsHeldOutPrompts):
            values = known.held_out_unfamiliarity.tolist()
            # A prompt just nearer than a held-out one is told the same as that one; the last place is beyond them all.
            places = [bisect_right(_EDGES, value) for value in (*values, len(values) / (len(values) + 1))]
            reference = tuple(places.count(place) for place in range(len(_EDGES) + 1))
        return cls(alpha=alpha, tolerated_odds=tolerated_odds, reference=reference, seed=seed)


class DriftMonitor:
    """Bets on live prompts and outcomes; an alarm, once raised, stays until a new monitor begins.

    Prompts: unfamiliarity is ranked among the held-out prompts' and all live ones' so far, see `ConformalUrn`. Every
    method may be called from several threads.
    """

    def __init__(self, settings: DriftSettings | Screen | None = None) -> None:
        """Begin with settings, or with what a pre-screen knows of its own prompts."""
        if isinstance(settings, Screen):
            settings = DriftSettings.of(settings)
        self.settings = settings or DriftSettings()
        self._lock = threading.Lock()
        self._alarm = -math.log10(self.settings.alpha)
        self._n_prompts = self._n_unfamiliar = 0
        self._inputs = BettingCapital(N_SHAPES)
        self._urn = self._new_urn(self.settings.reference or [0] * (len(_EDGES) + 1))
        self._outcomes: dict[str, OutcomeWatch] = {}

    def see_prompts(self, prompts: Sequence[ScreenedPrompt]) -> None:
        """Bet on the unfamiliarity of each prompt; those without one are counted."""
        with self._lock:
            for prompt in prompts:
                self._n_prompts += 1
                self._n_unfamiliar += prompt.is_unfamiliar
                if prompt.unfamiliarity is None:
                    continue
                place = bisect_right(_EDGES, prompt.unfamiliarity)
                p = self._urn.p_value(place, draw(self.settings.seed, self._inputs.n_steps))
                self._inputs.update(shape_gains(p), alarm_log10=self._alarm)

    def see_outcomes(
        self, behavior: str, failure_probabilities: Sequence[float] | None, failed: Sequence[bool]
    ) -> None:
        """Bet on outcomes, in the order in which they came.

        Args:
            behavior: Name of the behavior.
            failure_probabilities: What was predicted of each; None where nothing was.
            failed: Whether each failed.

        Raises:
            DataError: Lengths differ, a probability is none, or there are too many behaviors.
        """
        if failure_probabilities is not None:
            if len(failure_probabilities) != len(failed):
                raise DataError(f"{behavior}: {len(failure_probabilities)} probabilities for {len(failed)} outcomes")
            checked_probabilities(failure_probabilities, behavior)
        with self._lock:
            watch = self._outcomes.get(behavior)
            if watch is None:
                if len(self._outcomes) >= MOST_BEHAVIORS:
                    raise DataError(f"{behavior!r} is one behavior too many, at most {MOST_BEHAVIORS} are watched")
                watch = self._outcomes[behavior] = OutcomeWatch(self._watch_settings(behavior))
            for row, outcome in enumerate(failed):
                probability = None if failure_probabilities is None else float(failure_probabilities[row])
                watch.see(bool(outcome), probability)

    def report(self) -> DriftReport:
        """Return what was seen so far."""
        with self._lock:
            since = self._inputs.alarmed_at
            return DriftReport(
                alpha=self.settings.alpha,
                n_prompts=self._n_prompts,
                n_compared=self._inputs.n_steps,
                n_unfamiliar=self._n_unfamiliar,
                log10_inputs=self._inputs.log10_peak,
                have_inputs_drifted=since is not None,
                inputs_drifted_since=since,
                behaviors=tuple(behavior_drift(name, watch) for name, watch in sorted(self._outcomes.items())),
            )

    def state(self) -> dict[str, object]:
        """Return all that a monitor needs to go on, ready for JSON."""
        with self._lock:
            return {
                "schema": STATE_SCHEMA,
                "settings": {**asdict(self.settings), "reference": list(self.settings.reference)},
                "n_prompts": self._n_prompts,
                "n_unfamiliar": self._n_unfamiliar,
                "inputs": self._inputs.state(),
                "urn": list(self._urn.counts),
                "outcomes": {name: watch.state() for name, watch in self._outcomes.items()},
            }

    @classmethod
    def restore(cls, settings: DriftSettings | Screen | None, state: object) -> DriftMonitor:
        """Return a monitor that goes on where `state` was taken.

        Raises:
            DataError: The state is none, or belongs to other settings or another pre-screen.
        """
        monitor = cls(settings)
        fresh = monitor.state()
        values = mapping_with(state, set(fresh))
        for name in ("schema", "settings"):
            if values[name] != fresh[name]:
                raise DataError(f"state of a drift monitor has another {name} than this one: begin a new one")
        monitor._n_prompts = whole(values["n_prompts"], "n_prompts")
        monitor._n_unfamiliar = whole(values["n_unfamiliar"], "n_unfamiliar")
        monitor._inputs = BettingCapital.restore(values["inputs"], n_bets=N_SHAPES)
        urn, outcomes = values["urn"], values["outcomes"]
        if not isinstance(urn, list) or len(urn) != len(monitor._urn.counts):
            raise DataError(f"state: urn must be a list of {len(monitor._urn.counts)} counts: begin a new monitor")
        counts = [whole(count, "urn") for count in urn]
        if sum(counts) != sum(monitor._urn.counts) + monitor._inputs.n_steps:
            raise DataError("state: urn does not count the prompts: begin a new monitor")
        monitor._urn = monitor._new_urn(counts)
        if not isinstance(outcomes, dict) or len(outcomes) > MOST_BEHAVIORS:
            raise DataError(f"state: outcomes must be a mapping of at most {MOST_BEHAVIORS}: begin a new monitor")
        for name, watched in outcomes.items():
            monitor._outcomes[str(name)] = OutcomeWatch.restore(watched, monitor._watch_settings(str(name)))
        return monitor

    def _new_urn(self, counts: Sequence[int]) -> ConformalUrn:
        return ConformalUrn(counts, has_reference=bool(self.settings.reference))

    def _watch_settings(self, behavior: str) -> WatchSettings:
        # Behaviors must not break ties with the same draws.
        seed = self.settings.seed + int(content_hash(behavior)[:12], 16)
        return WatchSettings(tolerated_odds=self.settings.tolerated_odds, alarm_log10=self._alarm, seed=seed)
