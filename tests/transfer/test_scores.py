"""The core: who is scored on whom, against naive loops, closed forms and the run's own metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from metamodel.bootstrap import reduction_interval
from metamodel.evaluate import evaluate
from metamodel.information import reduction_bits
from metamodel.metrics import auroc
from metamodel.train import train
from metamodel.transfer.cells import Cell, score, score_cells
from metamodel.transfer.moments import domain_sums, moments_of
from metamodel.transfer.opening import open_runs, sources, targets

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.store.run_directory import RunDirectory

    MakeRun = Callable[..., object]

CELLS = ("metamodel", "behavior", "split", "domain", "source", "target")


def cells_of(*paths: str, folder: Path) -> dict[tuple[object, ...], Cell]:
    """Return all cells by their names."""
    opened = open_runs(paths)
    found = score_cells(sources(opened), targets(opened), folder=folder)
    return {tuple(getattr(cell, name) for name in CELLS): cell for cell in found}


def mean_of(values: Sequence[float | None]) -> object:
    """Return the mean of what is defined, to compare with."""
    known = [value for value in values if value is not None]
    return pytest.approx(np.mean(known), abs=1e-12) if known else None


def test_native_cells_are_the_rows_of_metrics(
    labeled_run: Callable[..., tuple[RunDirectory, RunConfig]], tmp_path: Path
) -> None:
    """A metamodel on its own primary model's labels has the bits, AUROC, entropy and prompts that evaluate wrote."""
    primaries = [{"kind": "zoo", "model": "lstm", "name": name} for name in ("one", "two")]
    run, config = labeled_run(
        primaries=primaries,
        metamodels=["base_rate", "tfidf_logistic"],
        splits={"in_distribution": True, "held_out_domains": ["d0", "d1"]},
    )
    train(run, config)
    rows = evaluate(run, config)
    cells = cells_of(run.path, folder=tmp_path)
    assert len(rows) == sum(cell.source == cell.target for cell in cells.values())
    for row in rows:
        cell = cells[row.metamodel, row.behavior, row.split, row.domain, row.primary, row.primary]
        assert cell.bits == pytest.approx(row.reduction_bits, abs=1e-12)
        assert cell.entropy == pytest.approx(row.entropy_bits, abs=1e-12)
        assert cell.n_prompts == row.n_prompts
        assert cell.auroc == (None if row.auroc is None else pytest.approx(row.auroc, abs=1e-12))
        assert cell.loss == 0
        assert cell.share in (None, 1.0)


@pytest.mark.parametrize("n_samples", [1, 3])
def test_cells_equal_a_naive_loop(make_run: MakeRun, tmp_path: Path, n_samples: int) -> None:
    """Matrix products give what a loop over cells and prompts gives, for binary, categorical and count labels."""
    spaces = {
        "truncated": {"kind": "binary"},
        "script": {"kind": "categorical", "classes": ["x", "y", "z"]},
        "n_words": {"kind": "count", "edges": [1, 2, 3]},
    }
    made = make_run(spaces=spaces, n_samples=n_samples, n_prompts=60)
    labels = made.labels["a", "truncated"]
    labels[::7] = np.nan  # some prompts of one model have no label
    made = make_run("gaps", spaces=spaces, n_samples=n_samples, n_prompts=60, labels={("a", "truncated"): labels})
    (opened,) = open_runs([made.run.path])
    for cell in cells_of(made.run.path, folder=tmp_path).values():
        tested = [row for fold in opened.folds if fold.split == cell.split for row in fold.test]
        domains = [cell.domain] if cell.domain else sorted({made.domains[row] for row in tested})
        parts = [tested] if cell.domain is None and cell.split == "in_distribution" else []
        parts = parts or [[row for row in tested if made.domains[row] == domain] for domain in domains]
        c = len(opened.spaces[cell.behavior].outcomes)
        values = made.labels[cell.target, cell.behavior]
        counts = np.stack([(values == outcome).sum(axis=1) for outcome in range(c)], axis=1)
        predicted = made.predictions[cell.metamodel, cell.source, cell.behavior]
        assert cell.bits == mean_of([reduction_bits(counts[part], predicted[part]) for part in parts])
        assert cell.auroc == (mean_of([auroc(counts[part], predicted[part]) for part in parts]) if c == 2 else None)


def test_pieces_change_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    """However few log-probabilities are in memory at once, the figures are the same."""
    made = make_run(n_prompts=80)
    opened = open_runs([made.run.path])
    found = [
        [
            matrix
            for scores in score(sources(opened), targets(opened), folder=tmp_path, piece_bytes=size)
            for matrix in scores.matrices
        ]
        for size in (1, 2**26)
    ]
    for small, large in zip(*found, strict=True):
        np.testing.assert_allclose(small.cells.bits, large.cells.bits, atol=1e-12)
        np.testing.assert_allclose(small.deviations, large.deviations, atol=1e-12)
        np.testing.assert_allclose(small.domains.auroc, large.domains.auroc, atol=1e-12)


def test_identical_labels_carry_wholly(make_run: MakeRun, tmp_path: Path) -> None:
    """Two models with the same labels and metamodels have share 1, and their labels agree to the label's entropy."""
    rng = np.random.default_rng(1)
    yes = (rng.random((200, 1)) < 0.5).astype(float)
    sure = np.where(yes == 1, [0.1, 0.9], [0.9, 0.1])
    made = make_run(
        primaries=("a", "b"),
        n_prompts=200,
        labels={(name, "truncated"): yes for name in "ab"},
        predictions={("base_rate", name, "truncated"): sure for name in "ab"},
    )
    opened = open_runs([made.run.path])
    for scores in score(sources(opened), targets(opened), folder=tmp_path):
        np.testing.assert_allclose(scores.agreement.kappa, 1.0)
        np.testing.assert_allclose(scores.agreement.agree, 1.0)
        for matrix in scores.matrices:
            entropy = matrix.cells.entropy[0, 1]
            assert abs(scores.agreement.bits[0, 1] - entropy) < 0.02
            np.testing.assert_allclose(matrix.cells.bits / matrix.cells.native, 1.0)


def test_independent_labels_gain_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    """Where labels have nothing to do with one another, no cell off the diagonal gains a bit, and kappa is near 0."""
    rng = np.random.default_rng(2)
    labels = {(name, "truncated"): rng.integers(0, 2, (400, 1)).astype(float) for name in "abc"}
    predictions = {
        ("base_rate", name, "truncated"): np.where(labels[name, "truncated"] == 1, [0.2, 0.8], [0.8, 0.2])
        for name in "abc"
    }
    made = make_run(n_prompts=400, labels=labels, predictions=predictions)
    for cell in cells_of(made.run.path, folder=tmp_path).values():
        if cell.domain is None:
            assert (cell.bits > 0.5) if cell.source == cell.target else (cell.high < 0)


def test_intervals_are_those_of_the_bootstrap() -> None:
    """The groups' spread agrees with a bootstrap over prompts that recomputes entropy in every draw."""
    rng = np.random.default_rng(3)
    yes = rng.random(600) < 0.3
    predicted = np.clip(np.where(yes, 0.6, 0.25) + rng.normal(0, 0.1, 600), 0.02, 0.98)
    probabilities = np.column_stack([1 - predicted, predicted])
    counts = np.column_stack([~yes, yes]).astype(np.int64)
    plain = reduction_interval(counts, probabilities, n_draws=2000)
    assert plain is not None
    logs = np.log2(probabilities)[None]
    domains = np.zeros(600, dtype=np.int64)
    for groups in (np.arange(600), np.arange(600) * 100 // 600):
        (sums,) = domain_sums(
            lambda start, stop: logs[:, start:stop],
            counts[:, :, None].astype(np.float64),
            domains,
            groups,
            n_sources=1,
            n_groups=int(groups.max()) + 1,
        )
        moments = moments_of(sums)
        spread = float(np.sqrt(np.square(moments.deviations).sum()))
        assert moments.bits[0, 0] == pytest.approx(plain.value, abs=1e-12)
        assert 3.92 * spread == pytest.approx(plain.high - plain.low, rel=0.15)
