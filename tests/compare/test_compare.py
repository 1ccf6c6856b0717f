"""Two runs compared: zero against itself, planted differences, data that differ, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from metamodel.bootstrap import macro_difference_interval, macro_reduction_interval, paired_difference_interval
from metamodel.cli import app
from metamodel.compare.intervals import gain_difference_interval, mean_interval, mean_p_value
from metamodel.compare.judging import CellJudge
from metamodel.compare.names import NamePair, paired_names
from metamodel.compare.pairing import PairedLabels
from metamodel.compare.rows import ComparedRow, Measured
from metamodel.compare.sides import Predicted
from metamodel.compare.stage import CompareOptions, compare_runs, config_changes, with_verdicts
from metamodel.errors import ConfigError, DataError, RunError
from metamodel.information import empirical_distributions, prompt_cross_entropies_bits
from metamodel.store.run_directory import RunDirectory
from metamodel.types import FloatArray, IntArray

MakeRun = Callable[..., RunDirectory]

N = 240
RATES = np.tile([0.9, 0.9, 0.1, 0.1], N // 4)
COIN = np.full(N, 0.5)
BLANK = ComparedRow(
    primary=NamePair("m", "m"), behavior=NamePair("loop", "loop"), metamodel=NamePair("bag", "bag"),
    split="held_out_domain", domain=None, relation="same", n_prompts=0, n_domains=0, n_only_old=0, n_only_new=0,
    old_bits=0.0, new_bits=0.0, difference=Measured(value=0.0), p_value=None,
)  # fmt: skip
KNOWING = np.where(RATES > 0.5, 0.85, 0.15)


def drawn_labels(rates: FloatArray, *, n_samples: int = 1, seed: int = 0) -> IntArray:
    """Return labels drawn with the given rates of "yes", [n, k]."""
    draws = np.random.default_rng(seed).random((len(rates), n_samples))
    return (draws < rates[:, None]).astype(np.int64)


def as_counts(labels: IntArray) -> IntArray:
    """Return how often no and yes came, [n, 2]."""
    return np.column_stack([(labels == 0).sum(axis=1), (labels == 1).sum(axis=1)])


def as_table(values: FloatArray) -> FloatArray:
    """Return the probabilities of no and yes, [n, 2]."""
    return np.column_stack([1 - values, values])


def test_a_run_against_itself_is_exactly_zero(make_run: MakeRun) -> None:
    """Pairing must lose no prompt and mix no two up: every difference, interval and rate is zero to the last bit."""
    run = make_run("a", drawn_labels(RATES, n_samples=3), {"coin": COIN, "knowing": KNOWING})
    found = compare_runs(run, run)
    assert len(found.rows) == 2 * 2 * 3
    for row in found.rows:
        assert (row.difference.low, row.difference.value, row.difference.high) == (0.0, 0.0, 0.0)
        assert (row.relation, row.verdict, row.p_adjusted) == ("same", "no difference seen", 1.0)
        assert (row.n_only_old, row.n_only_new) == (0, 0)
    assert found.config_changes == []
    assert not found.is_worse


def test_a_better_metamodel_is_called_better_and_a_worse_one_worse(make_run: MakeRun) -> None:
    """The sign is that of the second run, whichever way round the two are given."""
    labels = drawn_labels(RATES)
    old = make_run("old", labels, {"bag": COIN})
    new = make_run("new", labels, {"bag": KNOWING})
    assert {row.verdict for row in compare_runs(old, new).summaries} == {"better"}
    back = compare_runs(new, old)
    assert {row.verdict for row in back.summaries} == {"worse"}
    assert back.is_worse


def test_differences_are_those_of_a_direct_paired_bootstrap(make_run: MakeRun) -> None:
    """Figures equal those that the stage evaluate would give for two metamodels of one run, to the last bit."""
    labels = drawn_labels(RATES, n_samples=2)
    old = make_run("old", labels, {"bag": COIN})
    # The same prompts in another order, and a few more that only the new run has.
    new = make_run("new", labels[40:], {"bag": KNOWING[40:]}, first=40)
    found = compare_runs(old, new, CompareOptions(n_draws=300, seed=3))
    counts = as_counts(labels[40:])
    tables = as_table(KNOWING[40:]), as_table(COIN[40:])
    direct = paired_difference_interval(counts, *tables, n_draws=300, seed=3)
    domains = [(counts[at::2], tables[0][at::2], tables[1][at::2]) for at in (0, 1)]
    macro = macro_difference_interval(domains, n_draws=300, seed=3)
    by_split = {row.split: row for row in found.summaries}
    for split, expected in (("in_distribution", direct), ("held_out_domain", macro)):
        row = by_split[split]
        assert expected is not None
        got = (row.difference.low, row.difference.value, row.difference.high)
        assert got == (expected.low, expected.value, expected.high)
        assert (row.n_prompts, row.n_only_old, row.n_only_new) == (N - 40, 40, 0)
        assert row.new_bits - row.old_bits == pytest.approx(row.difference.value, abs=1e-12)
    singles = [row for row in found.rows if row.domain is not None and row.split == "held_out_domain"]
    worst = min(singles, key=lambda row: row.difference.value)
    assert (by_split["held_out_domain"].worst_domain, len(singles)) == (worst.domain, 2)


def test_more_samples_in_one_run_are_compared_on_those_that_both_have(make_run: MakeRun) -> None:
    """A run with four samples a prompt and one with two share the first two generations, hence two labels a prompt."""
    labels = drawn_labels(RATES, n_samples=4)
    old = make_run("old", labels[:, :2], {"bag": COIN})
    new = make_run("new", labels, {"bag": KNOWING})
    row = compare_runs(old, new).summaries[0]
    expected = paired_difference_interval(as_counts(labels[:, :2]), as_table(KNOWING), as_table(COIN))
    assert expected is not None
    assert row.relation == "same"
    assert [r.difference.value for r in compare_runs(old, new).summaries if r.split == "in_distribution"] == [
        expected.value
    ]


def test_equal_metamodels_with_noise_are_told_apart_no_more_often_than_the_level() -> None:
    """Two fits of one quality differ by noise alone: of 200 pairs with three tests each, few get a verdict (5 %)."""
    rng = np.random.default_rng(5)
    n, n_false = 120, 0
    ids = pd.Index([f"p{row}" for row in range(n)])
    log_odds = np.log(KNOWING / (1 - KNOWING))[:n]
    for number in range(200):
        counts = as_counts(drawn_labels(RATES[:n], seed=number))
        labels = PairedLabels(relation="same", prompt_ids=ids, old_counts=counts, new_counts=counts)
        domain_of = pd.Series(["a", "b", "c"] * (n // 3), index=ids)
        noisy = [as_table(1 / (1 + np.exp(-log_odds - rng.normal(0, 0.8, n)))) for _ in range(2)]
        old, new = (Predicted(domain_of=domain_of, probabilities=table) for table in noisy)
        rows = [row for row in CellJudge(labels, n_draws=200).rows(BLANK, old, new) if row.domain is not None]
        n_false += any(row.verdict in ("better", "worse") for row in with_verdicts(rows, CompareOptions()))
    # Binomial(200, 0.05) exceeds 19 with probability 0.003.
    assert n_false <= 19


def test_other_generations_get_no_verdict_but_rates_and_agreement(make_run: MakeRun) -> None:
    """Bits of different labels are not compared as if they were the same; agreement and its chance level are exact."""
    old_labels, new_labels = drawn_labels(RATES, seed=1), drawn_labels(np.clip(RATES + 0.2, 0, 1), seed=2)
    old = make_run("old", old_labels, {"bag": COIN})
    new = make_run("new", new_labels, {"bag": KNOWING}, identity="model@2")
    found = compare_runs(old, new)
    row = next(row for row in found.summaries if row.split == "in_distribution")
    assert (row.relation, row.verdict, row.p_value) == ("other", "different data", None)
    assert row.rates is not None
    assert row.rates.agreement.value == pytest.approx((old_labels == new_labels).mean())
    p, q = old_labels.mean(), new_labels.mean()
    assert row.rates.chance_agreement == pytest.approx(p * q + (1 - p) * (1 - q))
    assert row.rates.difference is not None
    assert row.rates.difference.value == pytest.approx(q - p)
    assert row.rates.difference.low is not None
    assert row.rates.difference.low < q - p < (row.rates.difference.high or 0)
    assert not found.is_worse
    assert any("model@2" in note for note in found.notes)


def test_relabeled_generations_are_different_data(make_run: MakeRun) -> None:
    """The same outputs under a changed definition of the behavior are no common ground for bits."""
    labels = drawn_labels(RATES)
    changed = labels.copy()
    changed[:30] = 1 - changed[:30]
    found = compare_runs(make_run("old", labels, {"bag": COIN}), make_run("new", changed, {"bag": COIN}))
    assert {row.relation for row in found.rows} == {"relabeled"}


def test_gain_difference_of_the_same_labels_is_the_paired_difference() -> None:
    """Where entropies are equal they cancel, so both intervals must agree."""
    labels = drawn_labels(RATES, n_samples=2)
    counts = as_counts(labels)
    shares = empirical_distributions(counts)
    losses = [prompt_cross_entropies_bits(counts, as_table(values)) for values in (COIN, KNOWING)]
    mine = gain_difference_interval([(losses[0], shares, losses[1], shares)], n_draws=400, seed=2)
    known = paired_difference_interval(counts, as_table(KNOWING), as_table(COIN), n_draws=400, seed=2)
    assert mine is not None
    assert known is not None
    assert (mine.low, mine.value, mine.high) == pytest.approx((known.low, known.value, known.high), abs=1e-9)


def test_gain_of_a_useless_old_side_is_the_known_interval() -> None:
    """Against a side whose labels never vary and are predicted for sure, the difference is the new side's own gain."""
    counts = as_counts(drawn_labels(RATES))
    shares, losses = empirical_distributions(counts), prompt_cross_entropies_bits(counts, as_table(KNOWING))
    sure = np.column_stack([np.ones(N), np.zeros(N)])
    mine = gain_difference_interval([(np.zeros(N), sure, losses, shares)], n_draws=300, seed=1)
    known = macro_reduction_interval([(counts, as_table(KNOWING))], n_draws=300, seed=1)
    assert mine is not None
    assert known is not None
    assert (mine.low, mine.value, mine.high) == pytest.approx((known.low, known.value, known.high), abs=1e-9)


def test_p_values_are_those_of_scipy() -> None:
    """One domain is the paired t-test; two of them are Welch's test of one against minus the other."""
    from scipy.stats import ttest_1samp, ttest_ind

    rng = np.random.default_rng(0)
    one, other = rng.normal(0.1, 1, 40), rng.normal(0.2, 3, 25)
    assert mean_p_value([one]) == pytest.approx(ttest_1samp(one, 0).pvalue)
    assert mean_p_value([one, other]) == pytest.approx(ttest_ind(one, -other, equal_var=False).pvalue)
    assert mean_p_value([np.zeros(5)]) == 1.0
    assert mean_p_value([]) is None


def test_mean_interval_covers_the_mean() -> None:
    """Of 200 samples of 40 skewed values, the 95 % interval holds the true mean in most: at least 178."""
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(200):
        found = mean_interval([rng.gamma(2.0, 1.0, 40)], n_draws=300, seed=seed)
        assert found is not None
        covered += found.low <= 2.0 <= found.high
    assert covered >= 178


def test_matches_name_what_is_the_same(make_run: MakeRun) -> None:
    """A renamed primary model and metamodel are compared once they are told to match, and refused before."""
    labels = drawn_labels(RATES)
    old = make_run("old", labels, {"bag": COIN})
    new = make_run("new", labels, {"bag2": KNOWING}, primary="m2")
    with pytest.raises(DataError, match=r"no primary in common: .*old has m; .*new has m2"):
        compare_runs(old, new)
    with pytest.raises(DataError, match="no metamodel in common"):
        compare_runs(old, new, CompareOptions(matches=["m=m2"]))
    found = compare_runs(old, new, CompareOptions(matches=["m=m2", "metamodel:bag=bag2"]))
    assert {(str(row.primary), str(row.metamodel)) for row in found.rows} == {("m = m2", "bag = bag2")}


def test_bad_matches_are_refused_together() -> None:
    """All mistakes are named at once, with the nearest name and the prefix that would help."""
    known = {"primary": ("m", "x"), "behavior": ("loop", "x"), "metamodel": ("bag",)}
    with pytest.raises(ConfigError) as caught:
        paired_names(known, known, ["bag", "bagg=bag", "x=x", "m=loop"])
    text = str(caught.value)
    assert all(part in text for part in ("OLD=NEW", "'bagg'", "primary:x=x", "different kinds"))


def test_runs_without_common_prompts_say_what_each_has(make_run: MakeRun) -> None:
    """Whoever compares the wrong folders learns what is in them."""
    labels = drawn_labels(RATES)
    old = make_run("old", labels[:20], {"bag": COIN[:20]})
    new = make_run("new", labels[:20], {"bag": COIN[:20]}, first=500, domains=("z",))
    with pytest.raises(DataError, match=r"old judges 20 prompts of a, b.*new judges 20 prompts of z"):
        compare_runs(old, new)


def test_other_label_spaces_are_not_compared(make_run: MakeRun) -> None:
    """Bits of a binary and of a categorical label are of different variables; where nothing is left, that is said."""
    labels = drawn_labels(RATES)
    old = make_run("old", labels, {"bag": COIN})
    new = make_run("new", labels, {"bag": COIN}, space={"kind": "categorical", "classes": ["a", "b"]})
    with pytest.raises(DataError, match="label spaces differ"):
        compare_runs(old, new)


@pytest.mark.parametrize("n", [1, 2, 9, 10])
def test_few_prompts_get_no_verdict(make_run: MakeRun, n: int) -> None:
    """Below ten prompts nothing is decided, with one nothing is even compared."""
    labels = np.tile([[1], [0]], (n, 1))[:n]
    old = make_run("old", labels, {"bag": np.full(n, 0.5)}, domains=("a",))
    new = make_run("new", labels, {"bag": np.where(labels[:, 0] == 1, 0.9, 0.2)}, domains=("a",))
    if n == 1:
        with pytest.raises(DataError, match="fewer than two"):
            compare_runs(old, new)
        return
    assert {row.verdict for row in compare_runs(old, new).rows} == {"too few prompts" if n < 10 else "better"}


def test_labels_of_one_class_are_compared(make_run: MakeRun) -> None:
    """Where a behavior never occurs, whoever says so more surely is better, and nothing divides by zero."""
    labels = np.zeros((60, 1), dtype=np.int64)
    old, new = (make_run(name, labels, {"bag": np.full(60, p)}) for name, p in (("old", 0.2), ("new", 0.1)))
    row = compare_runs(old, new).summaries[0]
    assert row.difference.value == pytest.approx(np.log2(0.9 / 0.8))
    json.dumps(row.to_dict(), allow_nan=False)


def test_a_run_that_was_not_evaluated_is_refused(tmp_path: Path) -> None:
    """The next step is named."""
    run = RunDirectory.create_or_open(str(tmp_path / "bare"), config={"name": "bare"})
    with pytest.raises(RunError, match="metamodel evaluate"):
        compare_runs(run, run)


def test_settings_that_differ_are_named_by_key() -> None:
    """Lists of named entries are matched by name, so that one more metamodel does not shift all others."""
    old = {"seed": 0, "metamodels": [{"name": "a", "n": 1}, {"name": "b", "n": 1}]}
    new = {"seed": 1, "metamodels": [{"name": "b", "n": 2}]}
    assert config_changes(old, new) == [
        'metamodels.a: {"name": "a", "n": 1} -> (not set)',
        "metamodels.b.n: 1 -> 2",
        "seed: 0 -> 1",
    ]


def test_the_command_writes_and_fails_on_worse(make_run: MakeRun, tmp_path: Path) -> None:
    """JSON alone on stdout, files where asked, exit code 1 for a worse run and 0 for a better one."""
    labels = drawn_labels(RATES)
    good = make_run("good", labels, {"bag": KNOWING, "[red]x": COIN})
    bad = make_run("bad", labels, {"bag": COIN, "[red]x": COIN})
    out = tmp_path / "out"
    worse = CliRunner().invoke(app, ["compare", good.path, bad.path, "--json", "--fail-on-worse", "--out", str(out)])
    assert worse.exit_code == 1, worse.output
    document = json.loads(worse.stdout)
    assert document["is_worse"] is True
    assert json.loads((out / "compare.json").read_text()) == document
    assert (out / "plots" / "compare.svg").read_text().count("<svg") == 1
    assert (out / "plots" / "compare.csv").read_text().count("\n") == len(document["rows"]) + 1
    assert "<script>alert" not in (out / "compare.html").read_text()
    better = CliRunner().invoke(app, ["compare", bad.path, good.path, "--fail-on-worse", "--quiet"])
    assert better.exit_code == 0, better.output
    assert "2 better" in better.stdout
    assert "[red]x" in better.stdout
