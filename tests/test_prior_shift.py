"""Prior-shift correction against planted rates and an independent maximum of the likelihood."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import metamodel
from metamodel.config import build_config
from metamodel.metric_rows import rows_from_json
from metamodel.prior_shift import corrected, estimated_prior, prior_shift_corrected, training_prior
from metamodel.types import FloatArray

PRIOR = np.array([0.5, 0.5])


def posteriors(rate: float, n: int, *, separation: float, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Return labels of rate `rate` and their exact posteriors under even rates: two unit Gaussians that far apart."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < rate).astype(np.float64)
    scores = rng.normal(size=n) + separation * (labels - 0.5)
    yes = 1 / (1 + np.exp(-separation * scores))
    return labels, np.stack([1 - yes, yes], axis=1)


def bits(labels: FloatArray, probabilities: FloatArray) -> float:
    """Return the mean code length of binary labels."""
    return float(-np.log2(np.where(labels == 1, probabilities[:, 1], probabilities[:, 0])).mean())


def test_planted_rates_are_found() -> None:
    """With separable outcomes the target's rate comes out, and the corrected predictions cost fewer bits."""
    labels, probabilities = posteriors(0.9, 4000, separation=2.0)
    shift = estimated_prior(probabilities, PRIOR, strength=0.0)
    assert shift.is_identified
    assert shift.prior[1] == pytest.approx(0.9, abs=0.02)
    unguarded = bits(labels, prior_shift_corrected(probabilities, PRIOR, strength=0.0))
    guarded = bits(labels, prior_shift_corrected(probabilities, PRIOR))
    assert unguarded < guarded - 0.02 < bits(labels, probabilities) - 0.04


def test_estimate_is_the_likeliest() -> None:
    """Without the guard the fixed point is the maximum of the likelihood that a line search finds."""
    _, probabilities = posteriors(0.7, 1500, separation=1.5, seed=1)
    likelihood = probabilities / PRIOR

    def nats(rate: float) -> float:
        return float(-np.log(likelihood @ np.array([1 - rate, rate])).sum())

    best = minimize_scalar(nats, bounds=(1e-6, 1 - 1e-6), method="bounded").x
    assert estimated_prior(probabilities, PRIOR, strength=0.0).prior[1] == pytest.approx(best, abs=1e-4)


def test_correction_is_bayes_rule() -> None:
    """Corrected to other rates, posteriors are those of a model that knew these rates."""
    rng = np.random.default_rng(2)
    densities = rng.uniform(0.1, 1, (50, 3))
    prior, target = np.array([0.2, 0.3, 0.5]), np.array([0.6, 0.3, 0.1])
    before = densities * prior / (densities @ prior)[:, None]
    np.testing.assert_allclose(corrected(before, prior, target), densities * target / (densities @ target)[:, None])
    np.testing.assert_allclose(corrected(before, prior, prior), before)


def test_what_is_not_identifiable_is_left_alone() -> None:
    """Predictions that say nothing, or next to nothing about few prompts, keep the training prior exactly."""
    constant = np.tile([0.3, 0.7], (500, 1))
    np.testing.assert_array_equal(estimated_prior(constant, np.array([0.3, 0.7])).prior, [0.3, 0.7])
    _, weak = posteriors(0.8, 30, separation=0.2, seed=3)
    shift = estimated_prior(weak, PRIOR)
    assert not shift.is_identified
    np.testing.assert_array_equal(prior_shift_corrected(weak, PRIOR), weak)


def test_same_rates_are_left_alone() -> None:
    """Where nothing shifted the rates stay put, and correcting costs next to nothing."""
    labels, probabilities = posteriors(0.5, 3000, separation=1.0, seed=4)
    assert bits(labels, prior_shift_corrected(probabilities, PRIOR)) < bits(labels, probabilities) + 0.002


def test_guard_pulls_to_the_training_prior() -> None:
    """A stronger guard leaves the estimate nearer to the training prior."""
    _, probabilities = posteriors(0.9, 2000, separation=1.0, seed=5)
    loose, tight = (estimated_prior(probabilities, PRIOR, strength=strength).prior[1] for strength in (0.0, 1.0))
    assert 0.5 < tight < loose - 0.05


def test_weak_predictions_move_no_further_than_their_mean() -> None:
    """Predictions that know little and are off by a few percent must not send the rates to an extreme."""
    weak = np.clip(0.55 + 0.02 * np.random.default_rng(6).normal(size=2000), 0, 1)
    probabilities = np.stack([1 - weak, weak], axis=1)
    assert estimated_prior(probabilities, PRIOR, strength=0.0).prior[1] > 0.95
    assert estimated_prior(probabilities, PRIOR).prior[1] < 0.56


def test_nothing_and_nonsense() -> None:
    """No prompt gives the training prior; a prior with a zero, or of another length, is refused."""
    np.testing.assert_array_equal(estimated_prior(np.zeros((0, 2)), PRIOR).prior, PRIOR)
    with pytest.raises(ValueError, match="above 0"):
        estimated_prior(np.full((3, 2), 0.5), np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="above 0"):
        estimated_prior(np.full((3, 2), 0.5), np.full(3, 1 / 3))
    with pytest.raises(ValueError, match="strength"):
        estimated_prior(np.full((3, 2), 0.5), PRIOR, strength=-1.0)


def test_training_prior_counts_prompts() -> None:
    """Every labeled prompt counts once however many samples it has, with half a prompt for each outcome."""
    counts = np.array([[0, 3], [1, 1], [0, 0], [4, 0]])
    np.testing.assert_allclose(training_prior(counts), [2 / 4, 2 / 4])
    np.testing.assert_allclose(training_prior(counts[:2]), [1 / 3, 2 / 3])


@pytest.mark.slow
@pytest.mark.parametrize("is_asked", [True, False])
def test_evaluation_reports_it_apart(tmp_path: Path, is_asked: bool) -> None:  # noqa: FBT001 - a case
    """Only where the config asks for it every metamodel is judged once more, under a name of its own."""
    lines = [
        {"prompt": f"{word} {number} " + "so " * (number % 7), "domain": word}
        for word in ("red", "blue")
        for number in range(24)
    ]
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    config = build_config(
        {
            "name": "shift",
            "directory": str(tmp_path / "run"),
            "logger": "none",
            "prompts": {"n_prompts": None, "sources": [{"kind": "file", "path": str(path), "references": None}]},
            "primaries": [{"kind": "zoo", "model": "lstm"}],
            "sampling": {"n_samples": 2, "temperature": 1.0, "max_new_tokens": 4},
            "behaviors": ["truncated"],
            "metamodels": ["base_rate", "prompt_length"],
            "evaluation": {"n_bootstrap": 100, "prior_shift": is_asked},
        }
    )
    run = metamodel.run(config, quiet=True)
    names = {row.metamodel for row in rows_from_json(run.read_text("metrics.json"))}
    apart = {"base_rate+prior_shift", "prompt_length+prior_shift"} if is_asked else set()
    assert names == {"base_rate", "prompt_length"} | apart
    stored = run.read("predictions").to_pandas()
    assert set(stored["metamodel"]) == names
    assert (tmp_path / "run" / "report.html").exists()
