"""The stage over a small run: sizes, rates, their regression, chains, files and the command."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from metamodel.checkpoints.files import write_checkpoints
from metamodel.checkpoints.lasting import Checkpoint
from metamodel.checkpoints.rates import MEAN_OVER_DOMAINS, is_score, rates_of
from metamodel.checkpoints.sizes import sizes_of
from metamodel.checkpoints.stage import CheckpointsFound, OpenedRun, follow_checkpoints, open_checkpoint_runs
from metamodel.cli import app
from metamodel.config import RunConfig
from metamodel.errors import DataError, RunError, UnknownNameError
from metamodel.registry import component_class
from metamodel.scaling.model import fit_task
from metamodel.store.run_directory import RunDirectory
from metamodel.store.schemas import schema_of

TOKENS = (1e6, 2e6, 4e6, 8e6)
PARAMETERS = (1e5, 1e6)
NAMES = [f"m{int(size)}-{int(tokens)}" for size in PARAMETERS for tokens in TOKENS]
MOVED_AT = 4e6


@pytest.fixture
def ladder_run(labeled_run: Callable[..., tuple[RunDirectory, RunConfig]]) -> tuple[RunDirectory, RunConfig]:
    """Return a run of eight checkpoints whose `truncated` turns around at 4 million tokens, with predictions."""
    primaries = [{"kind": "zoo", "model": "lstm", "name": name} for name in NAMES]
    run, config = labeled_run(primaries=primaries, metamodels=["base_rate", {"kind": "bag", "name": "words"}])
    prompts = run.read("prompts").to_pandas()
    rng = np.random.default_rng(1)
    frames = []
    for name in NAMES:
        rates = _planted_rates(prompts["text"], float(name.split("-")[1]))
        for sample in (0, 1):
            values = (rng.random(len(prompts)) < rates).astype(float)
            frames.append(
                pd.DataFrame(
                    {
                        "key": [f"{name} {prompt_id} {sample}" for prompt_id in prompts["prompt_id"]],
                        "prompt_id": prompts["prompt_id"],
                        "primary": name,
                        "sample": sample,
                        "behavior": "truncated",
                        "value": values,
                    }
                )
            )
        run.write_shard("predictions", _predictions(name, prompts, rates), name=name)
    labels = pa.Table.from_pandas(pd.concat(frames), schema=schema_of("labels"), preserve_index=False)
    run.write_shard("labels", labels, name="truncated")
    return run, config


def _planted_rates(texts: pd.Series, tokens: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    is_red = texts.str.contains("red").to_numpy()
    early = np.where(is_red, 0.9, 0.2)
    return early if tokens < MOVED_AT else np.where(is_red, 0.3, 0.1)


def _predictions(name: str, prompts: pd.DataFrame, rates: np.ndarray[tuple[int], np.dtype[np.float64]]) -> pa.Table:
    rows = []
    held_out = prompts["domain"].isin(["d0", "d1"]).to_numpy()
    for metamodel, values in (("words", rates), ("base_rate", np.full(len(rates), rates.mean()))):
        for behavior in ("truncated", "empty"):
            for place in np.flatnonzero(held_out):
                yes = values[place] if behavior == "truncated" else 0.5
                row = {"metamodel": metamodel, "behavior": behavior, "primary": name, "split": "held_out_domain"}
                row |= {"domain": prompts["domain"][place], "prompt_id": prompts["prompt_id"][place]}
                rows.append({**row, "probabilities": [1 - yes, yes]})
    return pa.Table.from_pylist(rows, schema=schema_of("predictions"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a file with the sizes of the run's primary models."""
    path = tmp_path / "primaries.csv"
    lines = [f"{name},{size:.0f},{tokens / 1e6:.0f}M" for name, size, tokens in _sized()]
    path.write_text("\n".join(["primary,params,tokens", *lines]) + "\n", encoding="utf-8")
    return path


def _sized() -> list[tuple[str, float, float]]:
    sizes = [(size, tokens) for size in PARAMETERS for tokens in TOKENS]
    return [(name, *size) for name, size in zip(NAMES, sizes, strict=True)]


def _found(ladder_run: tuple[RunDirectory, RunConfig], table: Path) -> CheckpointsFound:
    run, config = ladder_run
    return follow_checkpoints([OpenedRun(run=run, config=config)], table=table)


def test_the_drift_is_found_and_nothing_else(ladder_run: tuple[RunDirectory, RunConfig], table: Path) -> None:
    """Protects the way from files to verdicts: the planted checkpoint is named at both sizes, a coin is not."""
    found = _found(ladder_run, table)
    for one in found.lasting:
        drift = one.key.behavior == "truncated" and one.source.tokens < MOVED_AT
        assert (one.wrong_from is not None) == drift
        assert one.wrong_from is None or one.wrong_from.tokens == MOVED_AT
    words = [one for one in found.lasting if (one.key.metamodel, one.key.behavior) == ("words", "truncated")]
    assert len(words) == 2 * 3
    assert all(one.gains_at_home for one in words if one.source.tokens < MOVED_AT)


def test_regressions_are_those_of_scaling(ladder_run: tuple[RunDirectory, RunConfig], table: Path) -> None:
    """Protects the regression: t and df of each behavior and domain equal `fit_task` on its rates."""
    found = _found(ladder_run, table)
    assert found.scaling is not None
    for moved in found.movements:
        mine = [rate for rate in found.rates if (rate.behavior, rate.domain) == (moved.behavior, moved.domain)]
        fit = fit_task(
            "expected",
            np.array([rate.rate for rate in mine]),
            np.log10([rate.parameters for rate in mine]),
            np.log10([rate.tokens for rate in mine]),
        )
        for term, row in (("tokens", moved.tokens), ("parameters", moved.parameters), ("interaction", moved.product)):
            assert row is not None
            assert row.t == pytest.approx(fit.test(term).t)  # type: ignore[arg-type] # the names of terms
            assert row.df == len(NAMES) - 4
    pooled = next(one for one in found.movements if (one.behavior, one.domain) == ("truncated", MEAN_OVER_DOMAINS))
    assert pooled.tokens is not None
    assert pooled.tokens.is_significant == (pooled.over_training == "falls")
    assert pooled.tokens.estimate < 0  # 0.55 turns to 0.2
    assert pooled.is_inverse is None  # no gold answer says what is good
    assert not any(one.behavior == "empty" and one.over_training != "none" for one in found.movements)


def test_rates_are_means_with_intervals() -> None:
    """Protects the rates: prompts count once, domains count once, and agreement has Clopper and Pearson's interval."""
    rows = [("p0", "a", 1.0), ("p0", "a", 0.0), ("p1", "a", 1.0), ("p2", "b", 0.0), ("p3", "b", 0.0)]
    labels = pd.DataFrame(rows, columns=["prompt_id", "domain", "value"]).assign(primary="m")
    checkpoint = Checkpoint(primary="m", parameters=10, tokens=10, series="s")
    found = {rate.domain: rate for rate in rates_of("x", labels, {"m": checkpoint}, n_draws=200, seed=0)}
    assert (found["a"].rate, found["b"].rate, found[MEAN_OVER_DOMAINS].rate) == (0.75, 0.0, 0.375)
    assert found["a"].low < 0.75 < found["a"].high
    assert found["b"].low == 0
    assert found["b"].high == pytest.approx(1 - 0.025**0.5)


def test_zoo_sizes_are_known(labeled_run: Callable[..., tuple[RunDirectory, RunConfig]]) -> None:
    """Protects users of the ladder: parameters and tokens come from the zoo, also behind a choice scorer."""
    held = {"kind": "zoo", "model": "gpt_neox-small-2M"}
    primaries = [{**held, "name": "plain"}, {"kind": "score", "primary": held, "name": "choosing"}]
    _, config = labeled_run(primaries=primaries)
    known = sizes_of([config]).checkpoints
    assert set(known) == {"plain", "choosing"}
    for one in known.values():
        assert one.parameters == 54_752
        assert 2_000_000 <= one.tokens < 2_003_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("primary,params\na,1\n", "no column tokens"),
        ("who,params,tokens\na,1,1\n", "no column primary"),
        ("primary,params,tokens\na,70M,x\n", "'x' in row 1"),
        ("primary,params,tokens\na,70M,-1\n", "must be a number above 0"),
        ("primary,params,tokens\na,1,1\na,1,2\n", "'a' twice"),
        ("primary,params,tokens\na,1,1\n", "size of 0 primary models"),
    ],
)
def test_bad_tables_are_refused(
    ladder_run: tuple[RunDirectory, RunConfig], tmp_path: Path, text: str, message: str
) -> None:
    """Protects users: what a table lacks is said, with the value got."""
    run, config = ladder_run
    config.resolved["primaries"] = [{"kind": "recorded", "name": "unknown"}]
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        follow_checkpoints([OpenedRun(run=run, config=config)], table=path)


def test_what_is_unknown_is_refused(ladder_run: tuple[RunDirectory, RunConfig], table: Path) -> None:
    """Protects users: a misspelled behavior or metamodel, and a run that is named twice."""
    run, config = ladder_run
    opened = [OpenedRun(run=run, config=config)]
    with pytest.raises(UnknownNameError, match="did you mean truncated"):
        follow_checkpoints(opened, table=table, behaviors=["truncate"])
    with pytest.raises(UnknownNameError, match="no run has a metamodel named"):
        follow_checkpoints(opened, table=table, metamodels=["nothing"])
    with pytest.raises(RunError, match="is a primary model of 2 runs"):
        open_checkpoint_runs([str(run.path), str(run.path)])


def test_files_hold_all_figures(ladder_run: tuple[RunDirectory, RunConfig], table: Path, tmp_path: Path) -> None:
    """Protects the outputs: JSON and CSV hold every pair and rate, and the page names no place and runs from disk."""
    found = _found(ladder_run, table)
    files = write_checkpoints(tmp_path / "out", found)
    assert {file.name for file in files} == {
        "checkpoints.html",
        "checkpoints.json",
        "lasting.csv",
        "checkpoint-rates.svg",
        "checkpoint-rates.csv",
        "checkpoint-bits.svg",
        "checkpoint-bits.csv",
    }
    document = json.loads((tmp_path / "out" / "checkpoints.json").read_text(encoding="utf-8"))
    assert len(document["pairs"]) == len(found.pairs)
    with (tmp_path / "out" / "plots" / "checkpoint-rates.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(found.rates)
    page = (tmp_path / "out" / "checkpoints.html").read_text(encoding="utf-8")
    assert "From which checkpoint a metamodel stops being right" in page
    assert str(tmp_path) not in page


def test_the_command_prints_json_and_tables(ladder_run: tuple[RunDirectory, RunConfig], table: Path) -> None:
    """Protects scripts and readers: --json is JSON alone, --dry-run computes nothing, the table names checkpoints."""
    run, _ = ladder_run
    runner = CliRunner()
    arguments = ["checkpoints", str(run.path), "--table", str(table), "--quiet"]
    as_json = runner.invoke(app, [*arguments, "--json", "--metamodel", "words"])
    assert as_json.exit_code == 0, as_json.output
    document = json.loads(as_json.stdout)
    assert {row["metamodel"] for row in document["pairs"]} == {"words"}
    assert {row["wrong_from_tokens"] for row in document["lasting"] if row["behavior"] == "truncated"} == {None, 4e6}
    plan = json.loads(runner.invoke(app, [*arguments, "--dry-run"]).stdout)
    assert [one["primary"] for one in plan["checkpoints"]] == NAMES
    shown = runner.invoke(app, arguments)
    assert shown.exit_code == 0
    assert "4M 4M" in shown.stdout
    assert isinstance(runner.invoke(app, [*arguments, "--adjust", "magic"]).exception, Exception)


def test_scores_are_what_has_gold_answers() -> None:
    """Protects the inverse flag: only behaviors compared with references have a better side."""
    kinds = {
        name: is_score(component_class("featurizers", name)()) for name in ("correct", "f1", "truncated", "n_tokens")
    }
    assert kinds == {"correct": True, "f1": True, "truncated": False, "n_tokens": False}
