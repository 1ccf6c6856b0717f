"""The online code against closed forms and independent code; V-information; equation 6."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from metamodel.description.online import block_ends, domain_ends, online_bits, ordered
from metamodel.description.tables import Described, objectives, with_front
from metamodel.information import reduction_bits
from metamodel.labels import Binary, LabeledPrompts, LabelTable
from metamodel.protocols import FitContext
from metamodel.registry import component_class
from metamodel.types import FloatArray, IntArray, Predictions


def labels(n_prompts: int, rate: float = 0.3, seed: int = 0) -> IntArray:
    """Return counts of one sample a prompt, [n, 2]."""
    yes = (np.random.default_rng(seed).random(n_prompts) < rate).astype(np.int64)
    return np.column_stack([1 - yes, yes])


def test_the_base_rate_is_krichevsky_and_trofimovs_code() -> None:
    """Sent one by one, the trainer that adds half a label costs what the closed form of their mixture says."""
    counts = labels(60)
    trainer = component_class("trainers", "base_rate")()
    prompts = LabeledPrompts(
        texts=tuple(f"p{row}" for row in range(60)),
        domains=("d",) * 60,
        labels={"f": LabelTable(space=Binary(), codes=counts[:, 1:])},
    )

    def fit_predict(before: IntArray, block: IntArray) -> Predictions:
        fitted = trainer.fit(prompts.take(before), prompts.take([]), context=FitContext())
        return fitted.predict(prompts.take(block).texts)

    bits = sum(online_bits({"f": counts}, range(1, 61), fit_predict)["f"])
    n_no, n_yes = counts.sum(axis=0).tolist()
    mixture = math.lgamma(n_no + 0.5) + math.lgamma(n_yes + 0.5) - math.log(math.pi) - math.lgamma(61)
    assert bits == pytest.approx(-mixture / math.log(2), rel=1e-6)


def test_laplaces_code() -> None:
    """With one label added to each outcome the code costs log2 of (n + 1) times n choose k."""
    counts = labels(40)

    def rule_of_succession(before: IntArray, block: IntArray) -> Predictions:
        share = (counts[before].sum(axis=0) + 1) / (len(before) + 2)
        return {"f": np.tile(share, (len(block), 1))}

    bits = sum(online_bits({"f": counts}, range(1, 41), rule_of_succession)["f"])
    n_yes = int(counts[:, 1].sum())
    assert bits == pytest.approx(math.log2(41 * math.comb(40, n_yes)), rel=1e-9)


def logistic_data() -> tuple[FloatArray, IntArray]:
    """Return one informative feature among three, and labels."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(400, 3))
    yes = (rng.random(400) < 1 / (1 + np.exp(-2 * features[:, 0]))).astype(np.int64)
    return features, np.column_stack([1 - yes, yes])


def test_the_code_of_a_logistic_regression() -> None:
    """The code length is scikit-learn's summed log loss block by block, after a first block of one bit a label."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    features, counts = logistic_data()
    ends = block_ends(400)
    assert ends == (13, 25, 50, 100, 200, 400)

    def fit_predict(before: IntArray, block: IntArray) -> Predictions:
        fitted = LogisticRegression().fit(features[before], counts[before, 1])
        return {"f": fitted.predict_proba(features[block])}

    found = online_bits({"f": counts}, ends, fit_predict)["f"]
    expected = [13.0]
    for start, end in itertools.pairwise(ends):
        fitted = LogisticRegression().fit(features[:start], counts[:start, 1])
        nats = log_loss(counts[start:end, 1], fitted.predict_proba(features[start:end]), normalize=False)
        expected.append(nats / math.log(2))
    assert found == pytest.approx(expected, rel=1e-9)
    assert sum(found) < 400


def test_v_information_is_our_reduction() -> None:
    """H_V(Y) - H_V(Y given X) of Ethayarajh et al. (2022), by pointwise sums, equals our bits gained."""
    from sklearn.linear_model import LogisticRegression

    features, counts = logistic_data()
    yes = counts[:, 1]
    informed = LogisticRegression().fit(features[:200], yes[:200]).predict_proba(features[200:])
    # The family's null model sees an empty input: fitted on the evaluated split, as our H(F) is, a constant.
    blank = np.zeros((200, 1))
    null = LogisticRegression(C=1e6, tol=1e-10).fit(blank, yes[200:]).predict_proba(blank)
    rows = np.arange(200)
    pointwise = -np.log2(null[rows, yes[200:]]) + np.log2(informed[rows, yes[200:]])
    assert reduction_bits(counts[200:], informed) == pytest.approx(pointwise.mean(), abs=1e-6)


def test_missing_labels_and_several_samples_cost_their_share() -> None:
    """A prompt without a label costs nothing; one with several costs their mean."""
    counts = np.array([[0, 0], [3, 1], [0, 2]])

    def quarter(before: IntArray, block: IntArray) -> Predictions:
        assert len(before) == 1
        return {"f": np.tile([0.75, 0.25], (len(block), 1))}

    bits = online_bits({"f": counts}, (1, 3), quarter)["f"]
    assert bits == pytest.approx([0.0, -0.75 * math.log2(0.75) - 0.25 * math.log2(0.25) + 2.0])


def test_blocks_and_orders() -> None:
    """Blocks end at Voita and Titov's timesteps; every prompt is sent once; domain order keeps domains whole."""
    assert block_ends(100_000)[:4] == (100, 200, 400, 800)
    assert block_ends(5) == (5,)
    assert domain_ends(["a"] * 4 + ["b"] * 8 + ["c"] * 3) == (12, 15)
    texts, domains = [f"t{row}" for row in range(60)], [f"d{row % 4}" for row in range(60)]
    for order in ("shuffled", "domains"):
        rows = ordered(texts, domains, order=order, seed=0)
        assert sorted(rows.tolist()) == list(range(60))
        assert rows.tolist() != ordered(texts, domains, order=order, seed=1).tolist()
    sent = [domains[row] for row in ordered(texts, domains, order="domains", seed=0)]
    assert sum(first != second for first, second in itertools.pairwise(sent)) == 3


def described(name: str, bits: float, gained: float) -> Described:
    """Return a metamodel of a given size and gain."""
    return Described(
        metamodel=name,
        measure="lossless",
        description_bits=bits,
        borrowed_bits=0.0,
        cross_entropy_bits=1 - gained,
        reduction_bits=gained,
        low_bits=None,
        high_bits=None,
    )


def test_equation_six_prefers_the_longer_as_alpha_grows() -> None:
    """The best metamodel moves along the front as data weigh more, at the alpha where the lines cross."""
    small, large = described("small", 100.0, 0.1), described("large", 1100.0, 0.3)
    # They cross where 1000 = alpha n 0.2: at alpha 5 for n = 1000.
    rows = objectives([small, large], [4.9, 5.1], n_prompts=1000)
    assert [row.metamodel for row in rows if row.is_best] == ["small", "large"]
    assert rows[0].objective_bits == pytest.approx(100 + 4.9 * 1000 * 0.9)
    assert small.break_even_prompts == pytest.approx(1000)
    assert described("none", 10.0, -0.1).break_even_prompts is None


def test_the_front_leaves_out_what_has_no_length() -> None:
    """A description of less than one bit cannot stand on an axis of ratios."""
    marked = with_front([described("a", -3.0, 0.5), described("b", 10.0, 0.1), described("c", 20.0, 0.05)])
    assert [one.metamodel for one in marked if one.is_on_front] == ["b"]
