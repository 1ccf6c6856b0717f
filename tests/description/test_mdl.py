"""Description lengths of a run: against the saved metamodels, code by hand, an interrupted run, the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.config import RunConfig
from metamodel.dataset import read_datasets
from metamodel.description import coding
from metamodel.description.coding import plan_online
from metamodel.description.stage import describe, mdl_work
from metamodel.description.tables import UNIFORM
from metamodel.errors import ConfigError, DataError, RunError, UnknownNameError
from metamodel.evaluate import evaluate
from metamodel.metamodels import load_metamodel
from metamodel.splits import hashed_shares
from metamodel.store.run_directory import RunDirectory
from metamodel.train import planned_fits, train

if TYPE_CHECKING:
    from pathlib import Path

LabeledRun = Callable[..., tuple[RunDirectory, RunConfig]]
METAMODELS = ["base_rate", {"kind": "tfidf_logistic", "name": "words", "min_df": 1, "C_grid": []}]


@pytest.fixture
def trained(labeled_run: LabeledRun) -> tuple[RunDirectory, RunConfig]:
    """A run of two metamodels, in distribution."""
    run, config = labeled_run(metamodels=METAMODELS, splits={"in_distribution": True, "held_out_domains": ["d0"]})
    train(run, config)
    return run, config


def test_the_codes_of_a_run(trained: tuple[RunDirectory, RunConfig]) -> None:
    """Two-part sizes are the saved ones, gains are those of evaluate, and words pay where only they can."""
    run, config = trained
    found = describe(run, alphas=[1.0])
    rows = [row for row in evaluate(run, config) if row.domain is None and row.split == "in_distribution"]
    by_place = {(one.metamodel, one.measure): one for one in found.described}
    assert found.fold == "in_distribution"
    for name in config.metamodels:
        saved = load_metamodel(run.metamodel_folder(f"{name}-planted-in_distribution"))
        assert by_place[name, "two-part"].description_bits == saved.description_bits
        reductions = [row.reduction_bits for row in rows if row.metamodel == name]
        assert by_place[name, "lossless"].reduction_bits == pytest.approx(sum(reductions))
        entropies = [row.cross_entropy_bits for row in rows if row.metamodel == name]
        assert by_place[name, "lossless"].cross_entropy_bits == pytest.approx(sum(entropies))
    codes = {(code.metamodel, code.behavior): code for code in found.codes}
    assert codes["words", "truncated"].online_bits < codes["base_rate", "truncated"].online_bits
    assert codes["words", "empty"].online_bits > codes["words", "empty"].constant_bits
    assert by_place["base_rate", "prequential"].description_bits < by_place["words", "prequential"].description_bits
    uniform = next(row for row in found.objectives if row.metamodel == UNIFORM)
    assert uniform.objective_bits == pytest.approx(2.0 * found.n_prompts)  # two binary behaviors, one bit each


def test_the_base_rate_by_hand(trained: tuple[RunDirectory, RunConfig]) -> None:
    """Every block costs what counting the labels of the prefix, without its validation share, says."""
    run, config = trained
    fit = next(iter(planned_fits(read_datasets(run, config), config)))
    plan = plan_online(fit, order="shuffled", seed=config.seed)
    assert sorted(plan.rows.tolist()) == sorted([*fit.fold.train.tolist(), *fit.fold.validation.tolist()])
    counts = fit.dataset.prompts.labels["truncated"].counts[plan.rows]
    texts = [fit.dataset.prompts.texts[row] for row in plan.rows]
    trains = hashed_shares(texts, seed=config.seed, purpose="online validation") >= config.splits.validation_share
    expected = [float(plan.ends[0])]
    for start, end in zip(plan.ends[:-1], plan.ends[1:], strict=True):
        seen = counts[:start][trains[:start]].sum(axis=0)
        share = (seen + 0.5) / (seen.sum() + 1)
        expected.append(float(-(counts[start:end] * np.log2(share)).sum()))
    code = next(code for code in describe(run).codes if (code.metamodel, code.behavior) == ("base_rate", "truncated"))
    assert code.block_bits == pytest.approx(expected, rel=1e-6)


def test_finished_blocks_are_not_fitted_again(
    trained: tuple[RunDirectory, RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run stopped in the middle goes on with the next block and ends with the same figures."""
    run, _ = trained
    calls: list[int] = []
    real = coding._Coder.fit_predict

    def counted(self: coding._Coder, before: coding.IntArray, block: coding.IntArray) -> coding.Predictions:
        calls.append(len(before))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(self, before, block)

    monkeypatch.setattr(coding._Coder, "fit_predict", counted)
    with pytest.raises(KeyboardInterrupt):
        describe(run)
    found = describe(run)
    assert len(calls) == found_fits(run) + 1
    again = describe(run)
    assert len(calls) == found_fits(run) + 1
    assert again.to_dict() == found.to_dict()
    for path in (run.local_path or pytest.fail("local")).glob("description/*.json"):
        path.write_text("{", encoding="utf-8")
    assert describe(run).to_dict() == found.to_dict()


def found_fits(run: RunDirectory) -> int:
    """Return how many fits the plan of a run names."""
    from metamodel.config import build_config

    return mdl_work(run, build_config(run.config)).n_fits


def test_a_prefix_that_cannot_be_fitted_is_sent_uniformly(
    trained: tuple[RunDirectory, RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trainer's refusal may not end the code: the block costs what the uniform code says, and is counted."""
    run, config = trained

    def refuse(*_: object, **__: object) -> None:
        raise DataError("too few")

    monkeypatch.setattr(type(config.metamodels["words"]), "fit", refuse)
    codes = [code for code in describe(run).codes if code.metamodel == "words"]
    for code in codes:
        assert code.online_bits == code.uniform_bits
        assert code.n_fallbacks == len(code.ends) - 1


def test_other_orders_and_folds(trained: tuple[RunDirectory, RunConfig]) -> None:
    """By domains a block is a domain; a held-out fold is described by its own prompts."""
    run, _ = trained
    found = describe(run, order="domains", fold="without_d0", n_prompts=7)
    assert found.n_prompts == 7
    assert found.n_judged == 40
    assert list(found.codes[0].ends) == [40, 80, 120, 160, 200]


def test_what_is_wrong_is_said(trained: tuple[RunDirectory, RunConfig], labeled_run: LabeledRun) -> None:
    """Unknown folds, impossible weights and runs without metamodels are the user's to mend."""
    run, _ = trained
    with pytest.raises(UnknownNameError, match="in_distribution"):
        describe(run, fold="in_distributio")
    with pytest.raises(ConfigError, match="--alpha"):
        describe(run, alphas=[0.0])
    with pytest.raises(ConfigError, match="--prompts"):
        describe(run, n_prompts=0)
    untrained, _ = labeled_run("other")
    with pytest.raises(RunError, match="metamodel train"):
        describe(untrained)


def test_the_command(trained: tuple[RunDirectory, RunConfig]) -> None:
    """--dry-run says what it costs; the command prints both tables and leaves the chart and its figures in plots/."""
    run, _ = trained
    dry = json.loads(CliRunner().invoke(app, ["mdl", run.path, "--dry-run"]).stdout)
    assert dry["n_fits"] == sum(code["n_fits"] for code in dry["codes"])
    assert not run.exists("description")
    shown = CliRunner().invoke(app, ["mdl", run.path, "--alpha", "1", "--alpha", "100"])
    assert shown.exit_code == 0, shown.output
    assert "prequential" in shown.stdout
    assert "Equation 6" in shown.stdout
    document = json.loads(CliRunner().invoke(app, ["mdl", run.path, "--json"]).stdout)
    assert {"metamodels", "objectives", "codes"} <= set(document)
    assert {row["alpha"] for row in document["objectives"]} >= {1.0, 100.0}
    folder: Path | None = run.local_path
    assert folder is not None
    ET.parse(folder / "plots" / "mdl.svg")  # noqa: S314 - our own output
    assert len((folder / "plots" / "mdl.csv").read_text(encoding="utf-8").splitlines()) == 7
