"""Verdicts, trees, asymmetry, files and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import cohen_kappa_score, mutual_info_score, roc_auc_score
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.errors import DataError, MetamodelError, RunError
from metamodel.transfer.agreement import agreement_of, mutual_information
from metamodel.transfer.block_labels import read_codes
from metamodel.transfer.blocks import blocks_of
from metamodel.transfer.opening import open_runs, targets
from metamodel.transfer.ranking import auroc_matrix
from metamodel.transfer.ratios import ratio_ends
from metamodel.transfer.stage import Transfer, plan_transfer, transfer
from metamodel.transfer.trees import Distances
from metamodel.transfer.verdicts import VERDICTS, Paired, adjusted_claims, claims, verdicts
from metamodel.types import FloatArray

MakeRun = Callable[..., object]


def run_of_kinds(make_run: MakeRun, *, seed: int = 0, n_prompts: int = 600) -> object:
    """Make four models: a and b behave alike, c is their opposite, d follows a word of its own."""
    rng = np.random.default_rng(seed)
    kinds = {"a": 0, "b": 0, "c": 1, "d": 2}
    words = rng.integers(0, 2, (3, n_prompts))
    words[1] = 1 - words[0]
    labels, predictions = {}, {}
    for name, kind in kinds.items():
        rate = np.where(words[kind] == 1, 0.9, 0.1)
        labels[name, "truncated"] = (rng.random(n_prompts) < rate).astype(float)[:, None]
        predictions["base_rate", name, "truncated"] = np.column_stack([1 - rate, rate])
    return make_run(primaries=tuple(kinds), labels=labels, predictions=predictions, n_prompts=n_prompts)


def found_in(made: object, folder: Path) -> Transfer:
    """Return the transfer of one run."""
    return transfer(plan_transfer([made.run.path]), folder)


def test_verdicts_trees_and_agreement_of_known_models(make_run: MakeRun, tmp_path: Path) -> None:
    """What behaves alike carries and joins first with full support; what is opposite or unrelated does not carry."""
    found = found_in(run_of_kinds(make_run), tmp_path)
    for one in found.tables:
        verdict = {
            (source, target): VERDICTS[one.verdict[row, column]]
            for row, source in enumerate(one.table.sources)
            for column, target in enumerate(one.table.targets)
            if source != target
        }
        assert verdict["a", "b"] == verdict["b", "a"] == "carries"
        assert verdict["a", "c"] == verdict["a", "d"] == verdict["d", "b"] == "does not"
        kappa = one.table.figures["kappa"]
        assert kappa[0, 1] > 0.5
        assert kappa[0, 2] < -0.5
    assert {tree.kind for tree in found.trees} == {"transfer", "labels"}
    for tree in found.trees:
        first = tree.clades[0]
        assert {tree.names[first.left], tree.names[first.right]} == {"a", "b"}
        assert first.support == 1.0
    rows = {row.split: row for row in found.behaviors}
    assert rows["held_out_domain"].n_pairs == 12
    assert rows["held_out_domain"].verdict == "does not"
    assert sum(rows["held_out_domain"].pairs.values()) == 12


def test_pure_noise_yields_no_verdict() -> None:
    """Labels that no metamodel predicts give claims in at most 5 % of families of tests, in 400 simulated families."""
    rng = np.random.default_rng(5)
    n, cells, families = 200, 30, 400
    n_wrong = 0
    for _ in range(families):
        bits = rng.normal(0, 0.02, (2, cells, n))
        one = Paired(
            bits=bits[0].mean(axis=1),
            native=bits[1].mean(axis=1),
            variance=bits[0].var(axis=1, ddof=1) / n,
            native_variance=bits[1].var(axis=1, ddof=1) / n,
            covariance=((bits[0] * bits[1]).mean(axis=1) - bits[0].mean(axis=1) * bits[1].mean(axis=1)) / n,
            degrees=np.full(cells, n - 1.0),
        )
        tested = adjusted_claims(claims(one), np.ones(cells, dtype=bool), "fdr_bh")
        found = verdicts(tested, np.ones(cells, dtype=bool), alpha=0.05)
        n_wrong += bool((found != VERDICTS.index("undecided")).any())
    assert n_wrong / families <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / families)


def test_ratio_intervals_cover() -> None:
    """Fieller's interval holds the true ratio in about 95 % of 2000 draws, numerator and denominator correlated."""
    rng = np.random.default_rng(6)
    n, draws, truth = 60, 2000, 0.6
    native = rng.normal(0.5, 1.0, (draws, n))
    foreign = truth * native + rng.normal(0, 0.5, (draws, n))
    a, b = foreign.mean(axis=1), native.mean(axis=1)
    both = ((foreign - a[:, None]) * (native - b[:, None])).sum(axis=1) / (n - 1) / n
    moments = (foreign.var(axis=1, ddof=1) / n, native.var(axis=1, ddof=1) / n, both)
    low, high = ratio_ends(a, b, moments, np.full(draws, n - 1.0))
    known = ~np.isnan(low)
    assert known.mean() > 0.9
    assert ((low <= truth) & (truth <= high))[known].mean() == pytest.approx(0.95, abs=0.02)


def test_auroc_is_sklearns() -> None:
    """One matrix product gives scikit-learn's AUROC, with ties, and none where labels are of one class."""
    rng = np.random.default_rng(7)
    scores = rng.integers(0, 6, (3, 50)).astype(float)
    yes = np.column_stack([rng.random((50, 2)) < 0.4, np.ones(50)]).astype(float)
    found = auroc_matrix(scores, yes)
    for row in range(3):
        for column in range(2):
            assert found[row, column] == pytest.approx(roc_auc_score(yes[:, column], scores[row]))
        assert np.isnan(found[row, 2])


def test_agreement_is_sklearns(make_run: MakeRun) -> None:
    """Kappa and the plug-in information of labels equal scikit-learn's where all prompts count as one sample."""
    made = make_run(
        spaces={"script": {"kind": "categorical", "classes": ["x", "y", "z"]}}, splits={"held_out_domains": []}
    )
    (opened,) = open_runs([made.run.path])
    everyone = targets([opened])
    (block,) = blocks_of(everyone, splits=["in_distribution"])
    found = agreement_of(everyone, block, {opened.name: read_codes(opened, "script")})
    rows = [made.ids.index(one) for one in block.ids]
    a, b = (made.labels[name, "script"][rows, 0] for name in "ab")
    assert found.kappa[0, 1] == pytest.approx(cohen_kappa_score(a, b))
    one_hot = [np.eye(3)[values.astype(int)][:, :, None] for values in (a, b)]
    n_seen = len({*zip(a, b, strict=True)}) - len({*a}) - len({*b}) + 1
    bias = n_seen / (2 * len(rows) * np.log(2))
    expected = mutual_info_score(a, b) / np.log(2) - bias
    assert mutual_information(*one_hot)[0][0, 0] == pytest.approx(expected)
    assert found.bits[0, 1] == pytest.approx(expected)


def test_models_without_shared_prompts_are_left_out_of_a_tree() -> None:
    """A tree of labels holds those that can all be compared, and names the others."""
    distances = Distances(["a", "b", "c", "far"], n_draws=10)
    values = np.full((4, 4), 0.5)
    values[3, :3] = values[:3, 3] = np.nan
    values[0, 1] = values[1, 0] = 0.1
    number = np.arange(4)
    distances.add(values, np.zeros((5, 4, 4)), number, number, seed=0)
    tree = distances.tree(kind="labels", metamodel="", split="held_out_domain")
    assert tree is not None
    assert tree.left_out == ("far",)
    assert (tree.clades[0].left, tree.clades[0].right, tree.clades[0].distance) == (0, 1, pytest.approx(0.1))


def test_the_command_writes_every_file(make_run: MakeRun, tmp_path: Path) -> None:
    """The command prints JSON alone, and leaves cells of all domains, a page and charts; hostile names stay text."""
    name = "<script>alert(1)</script>"
    domains = [("d0", "d1", name)[number % 3] for number in range(90)]
    made = make_run(texts=[f"t {number}" for number in range(90)], domains=domains, metamodels=("base_rate", "bag"))
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["transfer", made.run.path, "--out", str(out), "--json", "--metamodel", "bag"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document == json.loads((out / "transfer.json").read_text())
    assert document["metamodels"] == ["bag"]
    matrix = document["matrices"][0]
    assert len(matrix["bits"]) == len(matrix["sources"]) == 3
    cells = pq.read_table(out / "transfer.parquet").to_pandas()
    assert len(cells) == 9 * (4 + 4)
    whole = cells[cells["domain"].isna() & (cells["split"] == matrix["split"])]
    assert whole["bits"].to_numpy() == pytest.approx(np.array(matrix["bits"]).ravel(), abs=1e-6)
    assert whole["verdict"].notna().sum() == 6  # the diagonal has none
    page = (out / "transfer.html").read_text()
    assert name not in page
    assert "Which behaviors carry" in page
    assert {path.suffix for path in (out / "plots").iterdir()} == {".svg", ".csv"}
    shown = CliRunner().invoke(app, ["transfer", made.run.path, "--out", str(out), "--split", "held_out_domain"])
    assert "Transfer between 3 primary models" in shown.stdout
    planned = CliRunner().invoke(app, ["transfer", made.run.path, "--dry-run"])
    assert json.loads(planned.stdout)["n_cells"] == 6 * 3 * 2


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("one model", DataError, "has one primary model"),
        ("unevaluated", RunError, "metamodel evaluate"),
        ("disjoint", DataError, "no behavior in common"),
        ("spaces", DataError, "label space differs"),
        ("twice", RunError, "named twice"),
        ("unknown", DataError, "no run has a metamodel named 'nobody'"),
    ],
)
def test_bad_input_is_told(make_run: MakeRun, kind: str, error: type[MetamodelError], message: str) -> None:
    """Each mistake is a sentence that says what was wrong."""
    primaries = ("a",) if kind == "one model" else ("a", "b")
    first = make_run("first", primaries=primaries, is_evaluated=kind != "unevaluated")
    paths = [first.run.path] * (2 if kind == "twice" else 1)
    if kind == "disjoint":
        paths.append(make_run("second", spaces={"empty": {"kind": "binary"}}).run.path)
    if kind == "spaces":
        space = {"kind": "categorical", "classes": ["x", "y"]}
        paths.append(make_run("second", spaces={"truncated": space}).run.path)
    with pytest.raises(error, match=message):
        plan_transfer(paths, metamodels=["nobody"] if kind == "unknown" else None)


def test_one_class_labels_and_single_prompts_give_gaps_not_errors(make_run: MakeRun, tmp_path: Path) -> None:
    """With labels of one class and a domain of one prompt, what is undefined is empty and the rest stands."""
    domains = ["lone", *(f"d{number % 2}" for number in range(29))]
    labels: dict[tuple[str, str], FloatArray] = {("a", "truncated"): np.zeros((30, 1))}
    texts = [f"ünï {number} \u4f60" for number in range(30)]
    splits = {"in_distribution": False, "held_out_domains": "all"}
    made = make_run(texts=texts, domains=domains, labels=labels, splits=splits)
    found = found_in(made, tmp_path)
    (one,) = found.tables
    figures = one.table.figures
    assert np.isfinite(figures["bits"]).all()
    assert np.isnan(figures["low"]).all()
    assert np.isnan(figures["auroc"][:, 0]).all()
    assert set(one.verdict.ravel().tolist()) <= {-1, VERDICTS.index("nothing to carry")}
    (row,) = found.behaviors
    assert row.low is None
    assert row.worst_domain != "lone" or row.worst_low is None
