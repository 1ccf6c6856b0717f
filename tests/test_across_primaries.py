"""Metamodels that are fitted once on the labels of all primary models: planned, trained, judged for each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from metamodel.dataset import joined_dataset, read_datasets
from metamodel.evaluate import evaluate
from metamodel.metamodels import load_metamodel
from metamodel.train import fitted_across_primaries, planned_fits, train

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.store.run_directory import RunDirectory

LabeledRun = Callable[..., "tuple[RunDirectory, RunConfig]"]
TWO = [{"kind": "zoo", "model": "lstm", "name": name} for name in ("one", "two")]
JOINT = {"kind": "joint", "n_waves": 0, "n_tree_factors": 0}


def test_one_fit_judges_every_primary_model(labeled_run: LabeledRun) -> None:
    """A joint metamodel is one folder a fold, predicts all primary models, and finds the word that decides."""
    run, config = labeled_run(primaries=TWO, metamodels=["base_rate", JOINT])
    assert fitted_across_primaries(config) == ["joint"]
    train(run, config)
    assert run.metamodel_names() == sorted(
        [f"base_rate-{primary}-without_{fold}" for primary in ("one", "two") for fold in ("d0", "d1")]
        + [f"joint-.all-without_{fold}" for fold in ("d0", "d1")]
    )
    saved = load_metamodel(run.metamodel_folder("joint-.all-without_d0"))
    assert set(saved.predict(["x"])) == {"one/truncated", "one/empty", "two/truncated", "two/empty"}
    rows = {
        (row.metamodel, row.primary): row
        for row in evaluate(run, config)
        if row.behavior == "truncated" and row.domain is None
    }
    assert set(rows) == {(metamodel, primary) for metamodel in ("base_rate", "joint") for primary in ("one", "two")}
    for primary in ("one", "two"):
        ours, floor = rows["joint", primary].reduction_bits, rows["base_rate", primary].reduction_bits
        assert ours is not None
        assert floor is not None
        assert ours > floor


def test_a_second_training_fits_nothing(labeled_run: LabeledRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A joint fit is recognized like any other, and is fitted again when a primary model is added."""
    run, config = labeled_run(primaries=TWO, metamodels=[JOINT])
    train(run, config)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(type(config.metamodels["joint"]), "fit", refuse)
    train(run, config)
    _, alone = labeled_run(name="alone", primaries=TWO[:1], metamodels=[JOINT])
    with pytest.raises(AssertionError, match="fitted again"):
        train(run, alone)


def test_joined_labels_keep_their_rows(labeled_run: LabeledRun) -> None:
    """Joining renames behaviors and changes no label, and refuses datasets of other prompts."""
    run, config = labeled_run(primaries=TWO)
    datasets = read_datasets(run, config)
    joined = joined_dataset(datasets)
    for primary, dataset in datasets.items():
        for behavior, table in dataset.prompts.labels.items():
            np.testing.assert_array_equal(joined.prompts.labels[f"{primary}/{behavior}"].codes, table.codes)
    shorter = datasets["one"]
    fewer = type(shorter)(primary="one", prompt_ids=shorter.prompt_ids[:-1], prompts=shorter.prompts)
    with pytest.raises(ValueError, match="the same prompts"):
        joined_dataset({"one": fewer, "two": datasets["two"]})


def test_plans_count_joint_fits_once(labeled_run: LabeledRun) -> None:
    """What trains across primary models comes last and once a fold."""
    run, config = labeled_run(primaries=TWO, metamodels=[JOINT, "base_rate"])
    names = [(fit.metamodel, fit.dataset.primary) for fit in planned_fits(read_datasets(run, config), config)]
    assert names == [("base_rate", "one")] * 2 + [("base_rate", "two")] * 2 + [("joint", ".all")] * 2
