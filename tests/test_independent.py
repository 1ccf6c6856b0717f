"""Our figures against code that others wrote: V-information, prequential codes, scikit-learn, SciPy and MAPIE.

Where definitions differ a test says by how much:

- V-information (Ethayarajh et al. 2022) subtracts from the entropy of a null model that is *fitted on the training
  split*. Our reduction subtracts from H(F), the entropy of the best constant on the *evaluated* split. The difference
  is KL(evaluated shares || training shares) >= 0: our reduction is the smaller one, and the training prior's own
  reduction, minus that KL, stands beside it as the row of `base_rate`.
- MAPIE's controller tests the precision, ours the failure rate, one less it. Its p-value of a 0/1 loss is the smaller
  of Hoeffding's and the binomial tail, for such losses the tail: ours. It tests the thresholds it is given, from
  the first; ours all scores, from the strictest that lets enough prompts through.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline

from metamodel.config import RunConfig
from metamodel.description.online import block_ends, online_bits
from metamodel.evaluate import evaluate
from metamodel.information import label_entropy_bits, reduction_bits
from metamodel.labels import Binary, LabeledPrompts, LabelTable
from metamodel.metrics import ece
from metamodel.protocols import FitContext
from metamodel.registry import component_class
from metamodel.store.run_directory import RunDirectory
from metamodel.thresholds.risk_control import binomial_p_values, fixed_sequence, passed_counts
from metamodel.train import train
from metamodel.types import FloatArray, IntArray, Predictions

if TYPE_CHECKING:
    import pandas as pd

LabeledRun = Callable[..., tuple[RunDirectory, RunConfig]]
LN2 = math.log(2)


def classified(n_rows: int, n_classes: int, seed: int, *, shift: float = 0.0) -> tuple[FloatArray, IntArray]:
    """Return features and classes that a softmax of them decides; the shift favors the first class."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_rows, 4))
    scores = features[:, :n_classes] * 1.5 + np.eye(n_classes)[0] * shift
    odds = np.exp(scores)
    return features, np.array([rng.choice(n_classes, p=row / row.sum()) for row in odds])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_reduction_is_v_information_less_the_priors_drift(n_classes: int) -> None:
    """I_V = H_V(Y) - H_V(Y given X), both models fitted on the training split; ours differs by a KL of base rates."""
    features, classes = classified(600, n_classes, 0)
    judged, truth = classified(400, n_classes, 1, shift=0.8)
    informed = LogisticRegression().fit(features, classes).predict_proba(judged)
    null = DummyClassifier(strategy="prior").fit(features, classes).predict_proba(judged)
    rows = np.arange(len(truth))
    pointwise = np.log2(informed[rows, truth]) - np.log2(null[rows, truth])
    v_information = (log_loss(truth, null) - log_loss(truth, informed)) / LN2
    assert pointwise.mean() == pytest.approx(v_information, rel=1e-9)

    counts = np.eye(n_classes, dtype=np.int64)[truth]
    drift = float(stats.entropy(counts.mean(axis=0), null[0], base=2))
    ours, prior = reduction_bits(counts, informed), reduction_bits(counts, null)
    assert ours is not None
    assert prior is not None
    assert drift > 0.01
    assert ours == pytest.approx(v_information - drift, abs=1e-9)
    assert prior == pytest.approx(-drift, abs=1e-9)
    assert ours - prior == pytest.approx(v_information, abs=1e-9)


def test_the_null_model_of_a_family_is_its_constant() -> None:
    """A logistic regression that sees a blank input says the training shares, and so is H(F) where it is judged."""
    features, classes = classified(300, 3, 2)
    blank = np.zeros_like(features)
    null = LogisticRegression(C=1e8, tol=1e-10, max_iter=1000).fit(blank, classes).predict_proba(blank)
    constant = DummyClassifier(strategy="prior").fit(blank, classes).predict_proba(blank)
    np.testing.assert_allclose(null, constant, atol=1e-5)
    entropy = label_entropy_bits(np.eye(3, dtype=np.int64)[classes])
    assert log_loss(classes, null) / LN2 == pytest.approx(entropy, abs=1e-8)
    assert stats.entropy(np.bincount(classes), base=2) == pytest.approx(entropy, rel=1e-12)


def words(n_rows: int) -> tuple[tuple[str, ...], IntArray]:
    """Return texts, and labels that one word mostly decides."""
    rng = np.random.default_rng(3)
    company = ("stone", "river", "cloud", "paper", "horse", "bread", "window", "garden")
    is_red = rng.random(n_rows) < 0.5
    texts = tuple(
        " ".join(["red" if red else "blue", *rng.choice(company, 4), f"n{row}"]) for row, red in enumerate(is_red)
    )
    return texts, (rng.random(n_rows) < np.where(is_red, 0.9, 0.15)).astype(np.int64)


def test_prequential_code_of_our_trainer_is_that_of_a_scikit_learn_pipeline() -> None:
    """Voita and Titov's online code of `tfidf_logistic`, block by block, is that of scikit-learn's own pipeline."""
    texts, yes = words(400)
    counts = np.column_stack([1 - yes, yes])
    ends = block_ends(400)
    trainer = component_class("trainers", "tfidf_logistic")(C_grid=(), min_df=1)
    prompts = LabeledPrompts(
        texts=texts, domains=("d",) * 400, labels={"f": LabelTable(space=Binary(), codes=yes[:, None])}
    )

    def fit_predict(before: IntArray, block: IntArray) -> Predictions:
        fitted = trainer.fit(prompts.take(before), prompts.take([]), context=FitContext())
        predictions: Predictions = fitted.predict(prompts.take(block).texts)
        return predictions

    ours = online_bits({"f": counts}, ends, fit_predict)["f"]
    theirs = [float(ends[0])]  # the first block under the uniform code: one bit a label
    for start, end in itertools.pairwise(ends):
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        pipeline = make_pipeline(vectorizer, LogisticRegression()).fit(texts[:start], yes[:start])
        nats = log_loss(yes[start:end], pipeline.predict_proba(texts[start:end]), normalize=False, labels=[0, 1])
        theirs.append(nats / LN2)
    assert ours == pytest.approx(theirs, rel=2e-3)
    assert sum(ours) < 400


def tables(run: RunDirectory) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the labels and the predictions of a run as pandas reads their files."""
    import pandas as pd

    folder = run.local_path or pytest.fail("a local run")

    def read(table: str) -> pd.DataFrame:
        return pd.concat([pd.read_parquet(path) for path in sorted(folder.glob(f"{table}/**/*.parquet"))])

    return read("labels"), read("predictions")


def test_rows_of_a_run_are_scikit_learns_from_its_files(labeled_run: LabeledRun) -> None:
    """Every figure of metrics.json, read off the run's own files by pandas, scikit-learn and SciPy."""
    metamodels = ["base_rate", {"kind": "tfidf_logistic", "name": "words", "min_df": 1}]
    run, config = labeled_run(metamodels=metamodels, splits={"in_distribution": True, "held_out_domains": ["d0"]})
    train(run, config)
    rows = evaluate(run, config)
    labels, predictions = tables(run)
    joined = predictions.merge(labels, on=["prompt_id", "primary", "behavior"])
    checked = 0
    for row in rows:
        of_row = joined[
            (joined.metamodel == row.metamodel) & (joined.behavior == row.behavior) & (joined.split == row.split)
        ]
        if row.domain is not None:
            of_row = of_row[of_row.domain == row.domain]
        truth, yes = of_row.value.to_numpy(), np.stack(list(of_row.probabilities))[:, 1]
        entropy = stats.entropy(np.bincount(truth.astype(int)), base=2)
        loss = log_loss(truth, yes, labels=[0, 1]) / LN2
        assert row.n_prompts == len(of_row)
        assert row.entropy_bits == pytest.approx(entropy, abs=1e-9)
        assert row.cross_entropy_bits == pytest.approx(loss, rel=1e-6)
        assert row.reduction_bits == pytest.approx(entropy - loss, abs=1e-6)
        assert row.brier == pytest.approx(brier_score_loss(truth, yes), rel=1e-6)
        assert row.auroc == pytest.approx(roc_auc_score(truth, yes), abs=1e-9)
        assert row.auprc == pytest.approx(average_precision_score(truth, yes), abs=1e-9)
        checked += 1
    assert checked >= 8
    by_place = {(row.metamodel, row.behavior, row.split, row.domain): row for row in rows}
    # The metamodel's V-information, its null model the training prior, is its reduction less the prior's.
    own, prior = (by_place[name, "truncated", "held_out_domain", "d0"] for name in ("words", "base_rate"))
    judged = joined[(joined.metamodel == "words") & (joined.behavior == "truncated") & (joined.domain == "d0")]
    judged = judged[judged.split == "held_out_domain"]
    null = joined[(joined.metamodel == "base_rate") & (joined.behavior == "truncated") & (joined.domain == "d0")]
    null = null[null.split == "held_out_domain"]
    v_information = (log_loss(null.value, _yes(null), labels=[0, 1]) - log_loss(judged.value, _yes(judged))) / LN2
    assert own.reduction_bits is not None
    assert prior.reduction_bits is not None
    assert own.reduction_bits - prior.reduction_bits == pytest.approx(v_information, abs=1e-6)
    assert v_information > 0.2


def _yes(rows: pd.DataFrame) -> Sequence[float]:
    return [float(probabilities[1]) for probabilities in rows.probabilities]


def test_calibration_error_is_mapies() -> None:
    """MAPIE's ECE of the probability of yes is ours, away from the edges of bins."""
    calibration = pytest.importorskip("mapie.metrics.calibration", reason="mapie is not installed")
    rng = np.random.default_rng(4)
    yes = rng.beta(1, 2, 800)
    truth = (rng.random(800) < yes**1.5).astype(np.int64)
    counts = np.column_stack([1 - truth, truth])
    theirs = calibration.expected_calibration_error(truth, yes, num_bins=15, split_strategy="uniform")
    assert ece(counts, np.column_stack([1 - yes, yes]), n_bins=15) == pytest.approx(theirs, abs=1e-9)


def test_thresholds_that_hold_are_those_of_mapies_controller() -> None:
    """MAPIE's learn-then-test controller of the precision admits the thresholds that our failure rate admits."""
    control = pytest.importorskip("mapie.risk_control", reason="mapie is not installed")
    rng = np.random.default_rng(5)
    scores = rng.integers(1, 1000, 2000) / 1000  # of failure
    failing = (rng.random(2000) < scores**2).astype(np.float64)
    cuts = np.arange(200, 951, 50) / 1000
    risk, confidence = 0.15, 0.9

    def predict_proba(values: FloatArray) -> FloatArray:
        return np.column_stack([values, 1 - values])  # the positive class is to succeed, and to be let through

    controller = control.BinaryClassificationController(
        predict_proba,
        control.precision,
        target_level=1 - risk,
        confidence_level=confidence,
        list_predict_params=1 - cuts,
        fwer_method=control.FWERFixedSequenceTesting(n_starts=1),
    )
    controller.calibrate(scores, 1 - failing)
    theirs = sorted((1 - np.asarray(controller.valid_predict_params)).round(3).tolist())
    counts = passed_counts(scores, failing)
    places = np.searchsorted(counts.thresholds, cuts + 1e-9) - 1
    p_values = binomial_p_values(counts.n_passed[places], counts.failures[places], risk)
    ours = cuts[fixed_sequence(p_values, start=0, level=1 - confidence)].round(3).tolist()
    assert ours == theirs
    assert 0 < len(ours) < len(cuts)
