"""The drift monitor: no more false alarms than promised however often one looks, drift found, state kept."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from scipy import integrate, special

from metamodel.errors import DataError
from metamodel.labels import Binary
from metamodel.screen import Screen, ScreenedPrompt
from metamodel.screen.drift import DriftMonitor, DriftSettings
from metamodel.screen.drift_bets import (
    N_SHAPES,
    BettingCapital,
    ConformalUrn,
    draw,
    shape_gains,
)
from metamodel.screen.drift_rates import calibration_gains, rate_interval
from metamodel.screen.familiarity import Familiarity
from metamodel.types import FloatArray

ALPHA = 0.05
N_HELD_OUT = 200


class HeldOut:
    """Held-out values of a normal distance, as `Familiarity` tells them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.distances = np.sort(rng.normal(size=N_HELD_OUT))
        self.limit = 0.95

    def unfamiliarity(self, texts: object) -> FloatArray:
        """Nothing is asked here by text."""
        raise AssertionError(texts)

    def of(self, distances: FloatArray) -> FloatArray:
        """Return the share of held-out values that lie nearer."""
        ranks: FloatArray = np.searchsorted(self.distances, distances) / (N_HELD_OUT + 1)
        return ranks

    @property
    def held_out_unfamiliarity(self) -> FloatArray:
        """What the held-out prompts would be told."""
        return self.of(self.distances)


def screen_of(held_out: HeldOut | Familiarity | None) -> Screen:
    """Return a pre-screen that only knows its prompts."""
    return Screen(object(), spaces={"fail": Binary()}, rules=[], familiarity=held_out)  # type: ignore[arg-type] # no prediction is made


def prompts_with(values: FloatArray) -> list[ScreenedPrompt]:
    """Return screened prompts of given unfamiliarity."""
    return [
        ScreenedPrompt(
            decision="pass",
            failures={},
            stopped_by=(),
            probabilities={},
            unfamiliarity=value,
            is_unfamiliar=value > 0.95,
        )
        for value in values.tolist()
    ]


def watched(held_out: HeldOut, distances: FloatArray, *, seed: int = 0, alpha: float = ALPHA) -> DriftMonitor:
    """Return a monitor that has seen live prompts."""
    monitor = DriftMonitor(DriftSettings.of(screen_of(held_out), alpha=alpha, seed=seed))
    monitor.see_prompts(prompts_with(held_out.of(distances)))
    return monitor


def most_alarms(n_runs: int, alpha: float) -> float:
    """Return how many alarms in independent runs are still noise."""
    return n_runs * alpha + 3.3 * np.sqrt(n_runs * alpha)


@pytest.mark.slow
def test_no_drift_seldom_alarms_ever() -> None:
    """Over 5,000 prompts like the held-out ones, watched at each, at most alpha of 500 monitors ever alarm.

    Traffic is 25 times longer than the held-out set: its own chance deviation must not be found as drift.
    """
    n_runs = 500
    alarms = 0
    for run in range(n_runs):
        rng = np.random.default_rng(run)
        # The bets themselves, without the screened prompts around them: the suite has to end.
        held_out = HeldOut(rng)
        monitor = DriftMonitor(DriftSettings.of(screen_of(held_out), alpha=ALPHA, seed=run))
        capital, urn = BettingCapital(N_SHAPES), ConformalUrn(monitor.settings.reference, has_reference=True)
        places = np.searchsorted(_edges(), held_out.of(rng.normal(size=5000)), side="right")
        smoothing = rng.random(5000)
        for place, theta in zip(places.tolist(), smoothing.tolist(), strict=True):
            capital.update(shape_gains(urn.p_value(place, theta)), alarm_log10=-np.log10(ALPHA))
        alarms += capital.alarmed_at is not None
    assert alarms <= most_alarms(n_runs, ALPHA)


def _edges() -> tuple[float, ...]:
    from metamodel.screen.drift import _EDGES

    return _EDGES


def test_p_values_are_uniform_without_drift() -> None:
    """Ranks among held-out and earlier live values are uniform, though the same few held-out values serve for all."""
    first, last = [], []
    for run in range(200):
        rng = np.random.default_rng(run)
        held_out = HeldOut(rng)
        settings = DriftSettings.of(screen_of(held_out))
        urn = ConformalUrn(settings.reference, has_reference=True)
        values = [
            urn.p_value(int(place), rng.random())
            for place in np.searchsorted(_edges(), held_out.of(rng.normal(size=300)), side="right")
        ]
        first.append(values[0])
        last.append(values[-1])
    from scipy.stats import kstest

    assert kstest(first, "uniform").pvalue > 1e-3
    assert kstest(last, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(first, last)[0, 1]) < 0.25


@pytest.mark.parametrize(("shift", "most"), [(0.5, 500), (1.0, 150), (2.0, 40), (-1.0, 200)])
@pytest.mark.parametrize("begin", [0, 1500])
def test_drift_is_found_soon(shift: float, most: int, begin: int) -> None:
    """Prompts farther out, or nearer, are found within a bounded number of prompts, also after a long quiet time."""
    for run in range(3):
        rng = np.random.default_rng(run)
        held_out = HeldOut(rng)
        live = np.concatenate([rng.normal(size=begin), rng.normal(size=1000) + shift])
        report = watched(held_out, live, seed=run, alpha=0.01).report()
        assert report.inputs_drifted_since is not None
        assert begin < report.inputs_drifted_since <= begin + most
        assert report.log10_inputs >= 2
        assert report.has_drifted


def test_bets_are_fair() -> None:
    """Each shape of drift is a density on [0, 1], so that no bet can expect to gain from uniform p-values."""
    for shape in range(N_SHAPES):
        mass, _ = integrate.quad(lambda p, shape=shape: shape_gains(p)[shape], 0, 1, points=[0.02, 0.1, 0.5])
        assert mass == pytest.approx(1, abs=1e-9)
        assert min(shape_gains(p)[shape] for p in np.linspace(0, 1, 101)) > 0


@pytest.mark.parametrize("tolerated", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("probability", [0.0, 0.01, 0.3, 0.5, 0.97, 1.0])
def test_calibration_bets_gain_nothing_where_odds_are_tolerated(probability: float, tolerated: float) -> None:
    """Whatever the true odds within the tolerated factor, every bet is expected to gain at most 1."""
    log_odds = special.logit(np.clip(probability, 1e-6, 1 - 1e-6))
    for off in np.linspace(-tolerated, tolerated, 9):
        true = special.expit(log_odds + off)
        hit = np.array(calibration_gains(probability, failed=True, tolerated=tolerated))
        miss = np.array(calibration_gains(probability, failed=False, tolerated=tolerated))
        assert (true * hit + (1 - true) * miss <= 1 + 1e-9).all()


def test_capital_starts_at_one_and_keeps_its_reserve() -> None:
    """Bets that neither win nor lose leave the capital at 1; bets that lose all leave what was not yet staked."""
    fair, lost = BettingCapital(3), BettingCapital(3)
    for _ in range(200):
        fair.update([1.0, 1.0, 1.0], alarm_log10=2)
        lost.update([0.0, 0.0, 0.0], alarm_log10=2)
    assert fair.log10_value == pytest.approx(0, abs=1e-12)
    assert lost.log10_value == pytest.approx(np.log10(0.5))
    assert (fair.alarmed_at, lost.alarmed_at) == (None, None)
    for _ in range(5000):
        fair.update([2.0, 2.0, 2.0], alarm_log10=2)
    assert fair.log10_value == pytest.approx(250)
    assert fair.alarmed_at is not None
    assert fair.alarmed_at < 220


@pytest.mark.parametrize("odds", [1.0, 1.2, 1 / 1.2])
def test_tolerated_odds_seldom_alarm(odds: float) -> None:
    """Outcomes at the predicted odds, or at odds within what is tolerated, alarm in at most alpha of the runs."""
    n_runs, miscalibrated, changed = 60, 0, 0
    for run in range(n_runs):
        rng = np.random.default_rng(run)
        predicted = rng.beta(1, 3, size=400)
        failed = rng.random(400) < predicted * odds / (1 - predicted + predicted * odds)
        monitor = DriftMonitor(DriftSettings(alpha=ALPHA, seed=run))
        monitor.see_outcomes("fail", predicted.tolist(), failed.tolist())
        one = monitor.report().behaviors[0]
        miscalibrated, changed = miscalibrated + one.is_miscalibrated, changed + one.has_changed
    assert miscalibrated <= most_alarms(n_runs, ALPHA)
    assert changed <= most_alarms(n_runs, ALPHA)


@pytest.mark.parametrize("odds", [3.0, 1 / 3])
def test_miscalibration_is_found_in_both_directions(odds: float) -> None:
    """Failures at three times the predicted odds, or a third, are found, and the report shows both rates."""
    rng = np.random.default_rng(0)
    predicted = rng.beta(2, 3, size=1000)
    failed = rng.random(1000) < predicted * odds / (1 - predicted + predicted * odds)
    monitor = DriftMonitor()
    monitor.see_outcomes("fail", predicted.tolist(), failed.tolist())
    one = monitor.report().behaviors[0]
    assert one.is_miscalibrated
    assert one.miscalibrated_since is not None
    assert one.miscalibrated_since < 300
    assert one.predicted_rate == pytest.approx(predicted.mean())
    assert one.seen_rate == pytest.approx(failed.mean())
    assert not one.low <= predicted.mean() <= one.high


def test_a_changed_rate_is_found_without_predictions() -> None:
    """A rate that rises on the way is found from outcomes alone; what was never predicted has no calibration."""
    rng = np.random.default_rng(0)
    monitor = DriftMonitor()
    monitor.see_outcomes("fail", None, (rng.random(600) < 0.1).tolist())
    assert not monitor.report().has_drifted
    monitor.see_outcomes("fail", None, (rng.random(400) < 0.5).tolist())
    one = monitor.report().behaviors[0]
    assert one.changed_since is not None
    assert 600 < one.changed_since < 800
    assert (one.predicted_rate, one.log10_calibration, one.is_miscalibrated) == (None, None, False)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
def test_the_interval_holds_at_all_times(rate: float) -> None:
    """Watched at every outcome, the interval misses the true rate in at most alpha of the runs, and shrinks."""
    n_runs, alpha, missed = 200, 0.1, 0
    for run in range(n_runs):
        failed = (np.random.default_rng(run).random(500) < rate).tolist()
        n_failed, variance, misses = 0, 0.0, False
        for n, outcome in enumerate(failed):
            variance += (outcome - (n_failed + 0.5) / (n + 1)) ** 2
            n_failed += outcome
            interval = rate_interval(n_failed, n + 1, variance=variance, alpha=alpha)
            misses = misses or not interval.low <= rate <= interval.high
        missed += misses
        assert interval.high - interval.low < 0.35
    assert missed <= most_alarms(n_runs, alpha)


def test_state_goes_on_where_it_was() -> None:
    """A monitor restored from JSON in the middle ends with the same state as one that was never interrupted."""
    rng = np.random.default_rng(0)
    held_out = HeldOut(rng)
    settings = DriftSettings.of(screen_of(held_out))
    live = prompts_with(held_out.of(rng.normal(size=400) + 0.3))
    failed, predicted = (rng.random(400) < 0.4).tolist(), rng.random(400).tolist()
    whole, first = DriftMonitor(settings), DriftMonitor(settings)
    whole.see_prompts(live)
    whole.see_outcomes("fail", predicted, failed)
    first.see_prompts(live[:150])
    first.see_outcomes("fail", predicted[:90], failed[:90])
    second = DriftMonitor.restore(settings, json.loads(json.dumps(first.state())))
    second.see_prompts(live[150:])
    second.see_outcomes("fail", predicted[90:], failed[90:])
    assert second.state() == whole.state()
    assert second.report() == whole.report()
    assert len(json.dumps(whole.state())) < 5000


def test_states_of_others_are_refused() -> None:
    """A state of other settings, or one that was changed, raises DataError."""
    monitor = DriftMonitor(DriftSettings(seed=1))
    monitor.see_prompts(prompts_with(np.array([0.1, 0.9])))
    monitor.see_outcomes("fail", [0.5], [True])
    state = monitor.state()
    with pytest.raises(DataError, match="another settings"):
        DriftMonitor.restore(DriftSettings(seed=2), state)
    changes: list[dict[str, object]] = [
        {"n_prompts": -1},
        {"urn": [0] * 3},
        {"urn": [0] * 55},
        {"urn": ["x"] * 55},
        {"inputs": {}},
        {"inputs": {"n_steps": 2, "stakes": [float("nan")] * 8, "peak": 1.0, "alarmed_at": None}},
        {"outcomes": []},
        {"outcomes": {"fail": {}}},
        {"schema": 99},
        {"more": 1},
    ]
    for change in changes:
        with pytest.raises(DataError):
            DriftMonitor.restore(monitor.settings, json.loads(json.dumps({**state, **change})))
    for broken in (None, [], "state"):
        with pytest.raises(DataError):
            DriftMonitor.restore(monitor.settings, broken)


def test_wrong_values_are_refused() -> None:
    """What is no probability, lengths that differ and settings that mean nothing are refused in words."""
    monitor = DriftMonitor()
    with pytest.raises(DataError, match="2 probabilities for 1 outcomes"):
        monitor.see_outcomes("fail", [0.1, 0.2], [True])
    for wrong in (float("nan"), -0.1, 1.5):
        with pytest.raises(DataError, match="must be from 0 to 1"):
            monitor.see_outcomes("fail", [wrong], [True])
    assert monitor.report().behaviors == ()
    for settings in ({"alpha": 0.0}, {"alpha": 1.0}, {"tolerated_odds": 0.5}, {"tolerated_odds": float("inf")}):
        with pytest.raises(ValueError, match="must be"):
            DriftSettings(**settings)  # type: ignore[arg-type] # one dictionary for arguments of several types


def test_without_knowledge_of_training_prompts_only_counts() -> None:
    """A folder that does not know its training prompts still counts prompts and watches outcomes."""
    monitor = DriftMonitor(screen_of(None))
    monitor.see_prompts([ScreenedPrompt(decision="pass", failures={}, stopped_by=(), probabilities={})] * 3)
    report = monitor.report()
    assert (report.n_prompts, report.n_compared, report.has_drifted) == (3, 0, False)


def test_equal_prompts_are_no_drift() -> None:
    """Traffic with a few prompts over and over, as in the held-out set, does not alarm: ties share their place."""
    texts = [f"prompt number {number} of a few" for number in range(4)]
    rng = np.random.default_rng(0)
    known = Familiarity.fit(texts * 10, [texts[row] for row in rng.integers(4, size=200)])
    monitor = DriftMonitor(screen_of(known))
    monitor.see_prompts(prompts_with(known.unfamiliarity([texts[row] for row in rng.integers(4, size=2000)])))
    assert not monitor.report().has_drifted


def test_threads_lose_nothing() -> None:
    """Prompts shown by several threads at once are all counted."""
    monitor = DriftMonitor()
    live = prompts_with(np.linspace(0, 0.9, 200))
    threads = [threading.Thread(target=monitor.see_prompts, args=(live,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert monitor.report().n_compared == 1600
    assert sum(monitor._urn.counts) == 1600


def test_draws_are_uniform_and_fixed() -> None:
    """Ties are broken by the same uniform draws in every process."""
    from scipy.stats import kstest

    values = [draw(7, step) for step in range(2000)]
    assert kstest(values, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.1
    assert [draw(7, 0), draw(7, 1)] == pytest.approx([0.018609263303, 0.831442369417])
