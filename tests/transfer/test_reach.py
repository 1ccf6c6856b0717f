"""Which fits may predict which prompts: nothing that was trained on is ever scored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metamodel.config import build_config
from metamodel.dataset import read_datasets
from metamodel.errors import RunError
from metamodel.metamodels import load_metamodel
from metamodel.train import train
from metamodel.transfer.blocks import blocks_of
from metamodel.transfer.cells import score, score_cells
from metamodel.transfer.opening import OpenedRun, open_runs, sources, targets
from metamodel.transfer.predicting import joined_logs
from metamodel.transfer.reach import reach_of

MakeRun = Callable[..., object]


def trained(made: object) -> None:
    """Save the fits of a made run."""
    config = build_config(made.run.config)
    assert read_datasets(made.run, config)
    train(made.run, config)


def train_texts(opened: OpenedRun, name: str) -> set[str]:
    """Return the texts that a fold's fit saw."""
    (fold,) = [fold for fold in opened.folds if fold.name == name]
    return {opened.prompts.texts[row] for rows in (fold.train, fold.validation) for row in rows}


def test_nothing_trained_on_is_scored(make_run: MakeRun) -> None:
    """For runs that share texts under other ids and domains, no fit reaches a text or domain it was fitted on."""
    texts = [f"shared {number}" for number in range(80)]
    first = make_run("first", texts=texts, domains=[f"d{number % 4}" for number in range(80)])
    other = [*texts[:40], *(f"new {number}" for number in range(40))]
    second = make_run("second", texts=other, domains=[f"d{number % 5}" for number in range(80)])
    n_foreign = 0
    for mine, judge in ((first, second), (second, first)):
        opened, judged = open_runs([mine.run.path, judge.run.path])
        for block in blocks_of(targets([judged])):
            reach = reach_of(opened, block)
            parts = [reach.stored, *(one.rows for one in reach.foreign), reach.seen, reach.elsewhere]
            assert sorted(np.concatenate(parts).tolist()) == list(range(len(block)))
            for one in reach.foreign:
                n_foreign += len(one.rows)
                for fold in one.folds:
                    seen = train_texts(opened, fold.name)
                    known = {opened.prompts.domains[row] for row in fold.train}
                    for row in one.rows:
                        assert block.texts[row] not in seen
                        domain = block.domain_names[block.domains[row]]
                        assert (domain in known) == (block.split == "in_distribution")
            own = [fold for fold in opened.folds if fold.split == block.split]
            tested = {opened.prompts.ids[row] for fold in own for row in fold.test}
            assert all(block.ids[row] in tested for row in reach.stored)
    assert n_foreign > 0


def test_other_folds_of_the_same_prompts_leave_out_what_was_trained_on(make_run: MakeRun, tmp_path: Path) -> None:
    """Two runs that divide the same prompts otherwise: only prompts that both held out are scored, the rest counted."""
    texts = [f"prompt {number}" for number in range(200)]
    shares = {"narrow": 0.2, "wide": 0.6}
    runs = [
        make_run(name, texts=texts, primaries=(f"{name}1", f"{name}2"), splits={"test_share": share})
        for name, share in shares.items()
    ]
    opened = open_runs([one.run.path for one in runs])
    n_tested = {one.name: len(one.folds[0].test) for one in opened}
    assert n_tested["narrow"] < n_tested["wide"]
    for scores in score(sources(opened), targets(opened), folder=tmp_path, splits=["in_distribution"]):
        (matrix,) = scores.matrices
        for row, source in enumerate(matrix.sources):
            for column, target in enumerate(matrix.targets):
                # The test prompts of the smaller share are among those of the larger one.
                fair = min(n_tested[source.opened.name], n_tested[target.opened.name])
                assert matrix.cells.n_prompts[row, column] == fair
                assert matrix.n_missing[row, column] == n_tested[target.opened.name] - fair


def test_new_prompts_are_predicted_by_the_right_fit_and_kept(make_run: MakeRun, tmp_path: Path) -> None:
    """A known domain's new prompts are predicted by the fit without it, a new domain's by all of them, once."""
    first = make_run("first", texts=[f"x {number}" for number in range(60)], domains=[f"d{n % 3}" for n in range(60)])
    new = [f"y {number}" for number in range(60)]
    domains = [("d0", "d1", "far")[n % 3] for n in range(60)]
    second = make_run("second", texts=new, domains=domains, primaries=("z", "w"))
    trained(first)
    trained(second)
    opened = open_runs([first.run.path, second.run.path])
    mine = [one for one in sources(opened) if one.opened is opened[0]]
    cells = {
        (cell.source, cell.target, cell.domain): cell
        for cell in score_cells(mine, targets(opened[1:]), folder=tmp_path, splits=["held_out_domain"])
    }
    kept = sorted((tmp_path / "cache").glob("*.safetensors"))
    assert len(kept) == 3 * (1 + 1 + 3)  # primary models times fits: d0, d1, and all three for the far domain
    fits = [load_metamodel(first.run.metamodel_folder(f"base_rate-a-without_d{n}")) for n in range(3)]
    rates = [np.log2(fit.predict(["y"])["truncated"]) for fit in fits]
    labels = second.labels["z", "truncated"][:, 0]
    for domain, logs in (("d0", rates[0]), ("far", joined_logs(rates))):
        values = labels[[row for row, one in enumerate(second.domains) if one == domain]].astype(int)
        cell = cells["a", "z", domain]
        assert cell.entropy - cell.bits == pytest.approx(-logs[0][values].mean(), abs=1e-9)
    stamps = [path.stat().st_mtime_ns for path in kept]
    again = score_cells(mine, targets(opened[1:]), folder=tmp_path, splits=["held_out_domain"])
    assert {(cell.source, cell.target, cell.domain): cell for cell in again} == cells
    assert [path.stat().st_mtime_ns for path in kept] == stamps
    assert not list(tmp_path.glob(".spool-*"))


def test_a_missing_fit_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    """Where a saved metamodel is needed and is not there, the error says which and what to do."""
    runs = [make_run(name, primaries=(f"{name}1", f"{name}2")) for name in ("first", "second")]
    opened = open_runs([one.run.path for one in runs])
    with pytest.raises(RunError, match=r"has no metamodel base_rate-first1-.*metamodel train"):
        list(score_cells(sources(opened), targets(opened), folder=tmp_path))
