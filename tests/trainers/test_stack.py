"""The pool of predictions, the trainers that hold other trainers, and their folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from metamodel.config.components import build_component
from metamodel.errors import ConfigError, DataError, MetamodelError
from metamodel.labels import Binary, LabeledPrompts, LabelTable, task_name
from metamodel.metamodels import load_metamodel
from metamodel.protocols import Adapts, FitContext, Metamodel, TrainsAcrossPrimaries
from metamodel.types import FloatArray, Predictions
from trainers.artifacts.members import MOST_DEPTH
from trainers.calibrated import Calibrated
from trainers.fitting import stack_members
from trainers.fitting.stack_pool import (
    JudgedBehavior,
    PoolName,
    choose_pool,
    equal_weights,
    fit_weights,
    pooled_predictions,
)
from trainers.heads.outcomes import cross_entropy_bits, outcome_shares, softmax
from trainers.stack import AdaptingStackMetamodel, Stack, StackMetamodel

Planted = Callable[..., LabeledPrompts]
POOLS: tuple[PoolName, ...] = ("log_linear", "linear")
PAIR = ("prompt_length", "tfidf_logistic")
QUICK = {"n_folds": 2, "penalties": (10.0,)}


def judged(m: int, seed: int, *, noise: Sequence[float]) -> JudgedBehavior:
    """Return planted predictions of a binary behavior: log-odds of standard deviation 2, plus noise a member."""
    rng = np.random.default_rng(seed)
    truth = 2 * rng.normal(size=m)
    yes = (rng.random(m) < 1 / (1 + np.exp(-truth))).astype(np.float64)
    log_odds = [truth + spread * rng.normal(size=m) for spread in noise]
    return JudgedBehavior(
        predictions=np.stack([softmax(np.stack([np.zeros(m), one], axis=1)) for one in log_odds]),
        prior=np.full((m, 2), 0.5),
        shares=np.stack([1 - yes, yes], axis=1),
        folds=np.arange(m) % 4,
    )


@pytest.mark.parametrize("pool", POOLS)
def test_ends_of_the_pool(pool: PoolName) -> None:
    """Without weight the pool is the prior, with one member of weight 1 it is that member."""
    behavior = judged(50, 0, noise=(0.0, 1.0))
    prior = np.array([0.2, 0.8])
    nothing = pooled_predictions(pool, behavior.predictions, prior, np.zeros(2))
    np.testing.assert_allclose(nothing, np.tile(prior, (50, 1)), atol=1e-5)
    alone = pooled_predictions(pool, behavior.predictions, prior, np.array([0.0, 1.0]))
    np.testing.assert_allclose(alone, behavior.predictions[1], atol=1e-5)


def test_independent_evidence_adds_up() -> None:
    """Two members that each saw another half of the evidence get weights near 1, since log-odds of both add."""
    rng = np.random.default_rng(1)
    halves = rng.normal(size=(2, 4000))
    yes = (rng.random(4000) < 1 / (1 + np.exp(-halves.sum(axis=0)))).astype(np.float64)
    behavior = JudgedBehavior(
        predictions=np.stack([softmax(np.stack([np.zeros(4000), half], axis=1)) for half in halves]),
        prior=np.full((4000, 2), 0.5),
        shares=np.stack([1 - yes, yes], axis=1),
        folds=np.zeros(4000, dtype=np.int64),
    )
    own, _ = fit_weights("log_linear", [behavior], 0.01)
    np.testing.assert_allclose(own, [1, 1], atol=0.15)


@pytest.mark.parametrize("pool", POOLS)
def test_the_better_member_weighs_more(pool: PoolName) -> None:
    """Weights follow held-out likelihood and are never negative; noise alone gets next to nothing."""
    own, _ = fit_weights(pool, [judged(3000, 2, noise=(0.2, 8.0))], 1.0)
    assert own[0] > 0.7
    assert 0 <= own[1] < 0.1


@pytest.mark.parametrize("pool", POOLS)
def test_pulls(pool: PoolName) -> None:
    """A strong pull keeps weights equal; a behavior with few prompts follows the others, one with none entirely."""
    many, few = judged(2000, 3, noise=(0.2, 8.0)), judged(6, 4, noise=(8.0, 0.2))
    none = many.take(np.zeros(0, dtype=np.int64))
    np.testing.assert_allclose(
        fit_weights(pool, [many], 1e9)[0], equal_weights(2), atol=0.3 if pool == "linear" else 1e-3
    )
    first, second, third, shared = fit_weights(pool, [many, few, none], 20.0)
    assert second[0] > second[1]
    np.testing.assert_array_equal(third, shared)
    assert abs(second - shared).max() < abs(fit_weights(pool, [few], 0.01)[0] - shared).max() - 0.2
    assert first[0] > first[1]


def test_pull_is_chosen_on_left_out_folds() -> None:
    """Where members differ much a weak pull is chosen, where nothing is known of them the strong one."""
    clear = choose_pool("log_linear", [judged(3000, 5, noise=(0.1, 8.0))], (0.1, 1e6))
    assert clear.penalty_bits == 0.1
    nothing = judged(0, 6, noise=(1.0, 1.0))
    unknown = choose_pool("log_linear", [nothing], (0.1, 1e6))
    assert unknown.penalty_bits == 1e6
    np.testing.assert_allclose(unknown.weights[0], equal_weights(2))


def test_crossed_predictions_do_not_see_their_fold() -> None:
    """What calibrates was predicted by weights fitted without the prompt: its own label never moves it."""
    behavior = judged(40, 7, noise=(0.5, 0.5))
    flipped = behavior.shares.copy()
    flipped[behavior.folds == 2] = flipped[behavior.folds == 2][:, ::-1]
    before = choose_pool("log_linear", [behavior], (1.0,)).crossed[0]
    after = choose_pool("log_linear", [behavior._replace(shares=flipped)], (1.0,)).crossed[0]
    mine = behavior.folds == 2
    np.testing.assert_array_equal(before[mine], after[mine])
    assert not np.array_equal(before[~mine], after[~mine])


def bits_of(metamodel: Metamodel, prompts: LabeledPrompts, name: str) -> float:
    """Return a behavior's cross-entropy."""
    rows, shares = outcome_shares(prompts.labels[name])
    return cross_entropy_bits(shares, metamodel.predict(prompts.texts)[name][rows])


@pytest.mark.slow
def test_stack_takes_the_best_of_each(planted: Planted) -> None:
    """One member reads words, another only length: the stack is nearly as good as the better one on each behavior."""
    judge = planted(600, 12)
    fitted = Stack(members=PAIR, n_folds=3).fit(
        planted(500, 10), planted(150, 11), context=FitContext(expects_shift=False)
    )
    by_length, by_words = fitted.members
    assert bits_of(by_words, judge, "bigram") + 0.2 < bits_of(by_length, judge, "bigram")
    assert bits_of(by_length, judge, "length") + 0.2 < bits_of(by_words, judge, "length")
    assert bits_of(fitted, judge, "bigram") < bits_of(by_words, judge, "bigram") + 0.02
    assert bits_of(fitted, judge, "length") < bits_of(by_length, judge, "length") + 0.02


def test_folds_hold_whole_domains(planted: Planted) -> None:
    """Under shift no member is judged on a domain that it was fitted or stopped on."""
    seen: list[tuple[set[str], set[str]]] = []

    class Spy:
        def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> Metamodel:
            seen.append((set(train.domains), set(validation.domains)))
            return build_component("trainers", "base_rate", at="x").fit(train, validation, context=context)

    found = stack_members.fit_out_of_fold([Spy()], planted(90, 0), planted(30, 1), context=FitContext(), n_folds=5)
    assert len(found.folds) == len(seen) == 3
    for fold, (fitted, stopped) in zip(found.folds, seen, strict=True):
        judged_domains = {found.prompts.domains[row] for row in fold.judge}
        assert not judged_domains & (fitted | stopped)
        assert stopped
        assert not fitted & stopped


def test_description_counts_members(planted: Planted) -> None:
    """A stack is as long as its members and its own weights together, and borrows what they borrow, once."""
    fitted = Stack(members=PAIR, **QUICK).fit(planted(60, 0), planted(20, 1), context=FitContext())
    inside = sum(member.description_bits for member in fitted.members)
    assert fitted.description_bits > inside
    assert fitted.description_bits - inside < 8 * 4000
    assert (
        Calibrated(trainer="prompt_length", n_folds=2)
        .fit(planted(60, 0), planted(20, 1), context=FitContext())
        .artifact.borrowed_bits
        == {}
    )


def test_members_are_in_folders_of_their_own(planted: Planted, tmp_path: Path) -> None:
    """Each member can be loaded by itself and predicts what it predicts inside; the card speaks of them."""
    fitted = Stack(members=PAIR, **QUICK).fit(planted(60, 0), planted(20, 1), context=FitContext())
    fitted.save(tmp_path)
    alone = load_metamodel(tmp_path / "members" / "1").predict(["a king river"])
    inside = fitted.members[1].predict(["a king river"])
    assert all(np.array_equal(alone[name], inside[name]) for name in inside)
    assert "made of 2 others" in (tmp_path / "README.md").read_text(encoding="utf-8")


def edit(path: Path, **changes: object) -> None:
    """Change entries of a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


def link_member(folder: Path) -> None:
    """Replace a member by a link out of the folder."""
    place = folder / "members" / "0"
    place.rename(folder.parent / "elsewhere")
    place.symlink_to(folder.parent / "elsewhere")


def link_to_itself(folder: Path) -> None:
    """Let a member be the stack itself."""
    (folder / "members" / "0").rename(folder.parent / "gone")
    (folder / "members" / "0").symlink_to(folder)


def other_behaviors(folder: Path, planted: Planted) -> None:
    """Replace a member by one of other behaviors."""
    prompts = planted(20, 0)
    only = LabeledPrompts(texts=prompts.texts, domains=prompts.domains, labels={"bigram": prompts.labels["bigram"]})
    member = build_component("trainers", "base_rate", at="x").fit(only, only.take([]), context=FitContext())
    for file in (folder / "members" / "0").iterdir():
        file.unlink()
    member.save(folder / "members" / "0")


MEMBER_CORRUPTIONS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link": (link_member, "is a link"),
    "a circle": (link_to_itself, "is a link"),
    "no member": (lambda f: (f / "members" / "1" / "spec.json").unlink(), "cannot be read"),
    "too few": (lambda f: edit(f / "spec.json", n_members=1), "1 members, its fields name 2"),
    "too many": (lambda f: edit(f / "spec.json", n_members=10**9), "n_members"),
    "a path": (lambda f: edit(f / "spec.json", n_members="../.."), "n_members"),
    "an unknown member": (lambda f: edit(f / "members" / "0" / "spec.json", kind="pickle"), "no trainers component"),
    "a deep member": (
        lambda f: (f / "members" / "0" / "spec.json").write_text("[" * 10**5, encoding="utf-8"),
        "is not JSON",
    ),
    "other members": (lambda f: edit(f / "spec.json", fields={"members": 3}), "fields are"),
}


@pytest.mark.parametrize("corruption", MEMBER_CORRUPTIONS)
def test_untrusted_members_are_refused(planted: Planted, tmp_path: Path, corruption: str) -> None:
    """Whatever is wrong with a member's folder is said in one line; no path leaves the stack's folder."""
    folder = tmp_path / "stack"
    folder.mkdir()
    members = ("base_rate", "prompt_length")
    Stack(members=members, **QUICK).fit(planted(40, 0), planted(20, 1), context=FitContext()).save(folder)
    change, message = MEMBER_CORRUPTIONS[corruption]
    change(folder)
    with pytest.raises(MetamodelError, match=message) as caught:
        Stack.load(folder)
    assert "\n" not in str(caught.value)


def test_members_of_other_behaviors_are_refused(planted: Planted, tmp_path: Path) -> None:
    """A member that predicts something else does not stand in for one that fits."""
    Stack(members=("base_rate", "base_rate"), **QUICK).fit(planted(40, 0), planted(20, 1), context=FitContext()).save(
        tmp_path
    )
    other_behaviors(tmp_path, planted)
    with pytest.raises(DataError, match="same label spaces"):
        Stack.load(tmp_path)


def nested(depth: int) -> object:
    """Return the spec of a trainer inside so many others."""
    return "base_rate" if not depth else {"kind": "calibrated", "trainer": nested(depth - 1), "n_folds": 2}


def test_nesting_is_bounded(planted: Planted, tmp_path: Path) -> None:
    """A stack may hold a composed trainer, and is read back; a spec nested without end is refused."""
    fitted = Stack(members=(nested(1), "base_rate"), **QUICK).fit(planted(40, 0), planted(20, 1), context=FitContext())
    fitted.save(tmp_path)
    texts = ["a king river", "stone"]
    loaded = load_metamodel(tmp_path).predict(texts)
    assert all(np.array_equal(loaded[name], values) for name, values in fitted.predict(texts).items())
    with pytest.raises(ConfigError, match="deep"):
        Stack(members=(nested(2 * MOST_DEPTH + 1),))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"members": ()}, "lists 0 trainers"),
        ({"members": ("tfidf_logistik",)}, "did you mean tfidf_logistic"),
        ({"members": ({"kind": "bag", "dropout": 2.0},)}, "dropout"),
        ({"pool": "cubic"}, "pool is 'cubic'"),
        ({"n_folds": 1}, "n_folds is 1"),
        ({"penalties": (0.0,)}, "above 0"),
        ({"calibration": "magic"}, "calibration is 'magic'"),
    ],
)
def test_wrong_fields(fields: dict[str, object], message: str) -> None:
    """What is wrong with a field, or with a member's, is said when the trainer is made."""
    with pytest.raises((ConfigError, ValueError), match=message):
        Stack(**fields)


def test_config_error_has_a_key_path() -> None:
    """In a config the member's own key path is named."""
    with pytest.raises(ConfigError, match=r"metamodels\.0: metamodels\.0\.members\.1: dropout"):
        build_component(
            "trainers", {"kind": "stack", "members": ["bag", {"kind": "bag", "dropout": 2.0}]}, at="metamodels.0"
        )


@dataclass(frozen=True, kw_only=True)
class Shared:
    """A trainer that is fitted on all primary models together and takes in new ones."""

    kind: ClassVar[str] = "shared"
    across_primaries: bool = True

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> SharedMetamodel:
        """Remember the tasks."""
        del validation, context
        return SharedMetamodel(tuple(train.labels))


@dataclass(frozen=True)
class SharedMetamodel:
    """Says 0.3 of everything that it was told of."""

    tasks: tuple[str, ...]
    description_bits: float = 8.0

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:
        """Return the constant."""
        del domains
        return {task: np.tile([0.7, 0.3], (len(texts), 1)) for task in self.tasks}

    def save(self, folder: Path) -> None:
        """Write nothing."""

    def adapt(self, labeled: LabeledPrompts, *, context: FitContext) -> SharedMetamodel:
        """Take in other tasks."""
        del context
        return SharedMetamodel(tuple(labeled.labels))


def tasks(*names: str, n: int = 40) -> LabeledPrompts:
    """Return random binary labels of the named tasks."""
    rng = np.random.default_rng(0)
    codes = {name: LabelTable(space=Binary(), codes=(rng.random((n, 1)) < 0.3).astype(np.int64)) for name in names}
    return LabeledPrompts(texts=tuple(f"prompt {i}" for i in range(n)), domains=("a", "b") * (n // 2), labels=codes)


@pytest.fixture
def shared_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every spec build the shared trainer."""
    monkeypatch.setattr(stack_members, "build_component", lambda _group, _spec, *, at: Shared())  # noqa: ARG005 - its name


@pytest.mark.usefixtures("shared_members")
def test_stack_of_shared_members_trains_across_primaries() -> None:
    """A member that must be fitted on all primary models together makes the stack, and a wrapper, be fitted so too."""
    assert not Stack.across_primaries
    for trainer in (Stack(), Calibrated()):
        assert isinstance(trainer, TrainsAcrossPrimaries)
        assert trainer.across_primaries


@pytest.mark.usefixtures("shared_members")
def test_new_primary_models_pass_through() -> None:
    """A stack whose members all take in new primary models does so itself, with the weights of the same behavior."""
    fitted = Stack(members=PAIR, **QUICK).fit(
        tasks("gpt2/long", "lstm/long", "lstm/empty"), tasks("gpt2/long"), context=FitContext()
    )
    assert isinstance(fitted, Adapts)
    assert isinstance(fitted, AdaptingStackMetamodel)
    new = fitted.adapt(tasks("new/long", "new/odd"), context=FitContext())
    assert isinstance(new, StackMetamodel)
    weights, old = new.member_weights(), fitted.member_weights()
    np.testing.assert_allclose(weights["new/long"], (old["gpt2/long"] + old["lstm/long"]) / 2)
    assert list(new.predict(["a"])) == ["new/long", "new/odd"]


def test_a_stack_of_others_does_not_adapt(planted: Planted) -> None:
    """A stack with a member that cannot take in a new primary model does not claim that it can."""
    fitted = Stack(members=PAIR, **QUICK).fit(planted(40, 0), planted(20, 1), context=FitContext())
    assert not isinstance(fitted, Adapts)


def test_one_stack_of_all_primary_models(planted: Planted) -> None:
    """Fitted across primary models every task gets weights of its own."""
    prompts = planted(60, 0)
    labels = {task_name(primary, "bigram"): prompts.labels["bigram"] for primary in ("gpt2", "lstm")}
    joined = LabeledPrompts(texts=prompts.texts, domains=prompts.domains, labels=labels)
    trainer = Stack(members=PAIR, across_primaries=True, **QUICK)
    assert trainer.across_primaries
    fitted = trainer.fit(joined, joined.take([]), context=FitContext())
    assert list(fitted.predict(["a"])) == ["gpt2/bigram", "lstm/bigram"]
    assert list(fitted.member_weights()) == ["gpt2/bigram", "lstm/bigram"]


def test_progress_goes_to_stderr(planted: Planted, capfd: pytest.CaptureFixture[str]) -> None:
    """Where progress is asked for, a bar over the members' fits is drawn beside the output, not in it."""
    Calibrated(trainer="base_rate", n_folds=2).fit(planted(20, 0), planted(10, 1), context=FitContext(progress=True))
    out, error = capfd.readouterr()
    assert out == ""
    assert "fits of members" in error


def test_faulty_members_are_not_pooled() -> None:
    """A member that predicts something that is no finite distribution of the right shape is a bug, and says so."""
    wrong: list[FloatArray] = [np.full((2, 3), 1 / 3), np.array([[np.nan, 0.5]] * 2), np.full((1, 2), 0.5)]
    for values in wrong:
        with pytest.raises(ValueError, match="must predict finite"):
            stack_members.checked_predictions({"f": values}, {"f": 2}, 2)
