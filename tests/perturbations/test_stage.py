"""The comparison of derived models with their originals over a whole run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from metamodel.errors import RunError
from metamodel.perturbations.stage import moved

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.store.run_directory import RunDirectory

LabeledRun = Callable[..., "tuple[RunDirectory, RunConfig]"]
PRIMARIES = [
    {"kind": "zoo", "model": "lstm"},
    {
        "kind": "perturbed",
        "original": {"kind": "zoo", "model": "lstm"},
        "perturbation": {"kind": "noise", "scale": [0.1, 0.5]},
    },
]


@pytest.fixture
def judged_run(labeled_run: LabeledRun) -> RunDirectory:
    """Return a run with labels and predictions; the stronger noise turns `truncated` around."""
    import pyarrow.compute as pc

    from metamodel.evaluate import evaluate
    from metamodel.train import train

    run, config = labeled_run(primaries=PRIMARIES, metamodels=["base_rate", "tfidf_logistic"])
    labels = run.read("labels", shard_names=["truncated"])
    original = labels.filter(pc.equal(labels["primary"], "lstm"))["value"].to_pylist()
    rows = labels.to_pylist()
    for place, row in enumerate(rows):
        value = original[place % 240]
        row["value"] = 1 - value if row["primary"] == "lstm-noise-0.5" else value
    run.write_shard("labels", type(labels).from_pylist(rows, schema=labels.schema), name="truncated")
    train(run, config)
    evaluate(run, config)
    return run


def test_what_was_planted_is_found(judged_run: RunDirectory) -> None:
    """A behavior that turned around loses its metamodel; the one that did not move keeps it."""
    found = moved(judged_run)
    assert [(one.name, one.original) for one in found.derived] == [
        ("lstm-noise-0.1", "lstm"),
        ("lstm-noise-0.5", "lstm"),
    ]
    pooled = {(row.derived, row.behavior): row for row in found.behaviors if row.domain is None}
    same = pooled["lstm-noise-0.1", "truncated"]
    assert (same.change, same.n_moved, same.p_adjusted, same.moves) == (0.0, 0, 1.0, False)
    turned = pooled["lstm-noise-0.5", "truncated"]
    assert turned.n_moved == 240
    assert turned.change == pytest.approx(1 - 2 * turned.original_mean)
    verdicts = {(row.derived, row.metamodel, row.behavior): row.verdict for row in found.predictions}
    assert verdicts["lstm-noise-0.5", "tfidf_logistic", "truncated"] == "lost"
    assert verdicts["lstm-noise-0.1", "tfidf_logistic", "truncated"] == "no change shown"
    assert verdicts["lstm-noise-0.5", "base_rate", "truncated"] == "never held"
    native = {(row.derived, row.metamodel, row.behavior): row.native_bits for row in found.predictions}
    assert (native["lstm-noise-0.5", "tfidf_logistic", "truncated"] or 0) > 0.2


def test_the_command_writes_its_files(judged_run: RunDirectory) -> None:
    """Stdout is JSON alone, and the charts and their figures are there."""
    from metamodel.cli import app

    outcome = CliRunner().invoke(app, ["perturb", str(judged_run.path), "--json"])
    assert outcome.exit_code == 0, outcome.output
    assert json.loads(outcome.stdout) == json.loads(judged_run.read_text("perturb.json"))
    for name in ("behaviors", "predictions"):
        stem = f"plots/perturb--{name}--lstm--noise"
        assert "<svg" in judged_run.read_text(f"{stem}.svg")
        assert "lstm-noise-0.5" in judged_run.read_text(f"{stem}.csv")
    shown = CliRunner().invoke(app, ["perturb", str(judged_run.path), "--quiet"])
    assert "lost" in shown.stdout
    planned = CliRunner().invoke(app, ["perturb", str(judged_run.path), "--dry-run"])
    assert [row["original"] for row in json.loads(planned.stdout)] == ["lstm", "lstm"]


def test_a_run_without_its_original_is_refused(labeled_run: LabeledRun) -> None:
    """Without the original's outputs there is nothing to compare with, and the message says what to add."""
    run, _ = labeled_run("alone", primaries=PRIMARIES[1:])
    with pytest.raises(RunError, match="add it to `primaries`"):
        moved(run)
    plain, _ = labeled_run("plain")
    with pytest.raises(RunError, match="no perturbed primary model"):
        moved(plain)
