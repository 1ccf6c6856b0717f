"""Tuning: never on what judges in the end, the same trials for the same seed, and never lost to a kill."""

from __future__ import annotations

import builtins
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.config import RunConfig, build_config, load_config
from metamodel.config.search import Choices, Range, Space
from metamodel.dataset import read_datasets
from metamodel.errors import ConfigError, DataError, MetamodelError, RunError, UnknownNameError
from metamodel.store.run_directory import RunDirectory
from metamodel.tune.domains import tuning_domains
from metamodel.tune.objective import Cell, Objective, mean_bits
from metamodel.tune.stage import tune, tune_work
from metamodel.tune.study import JOURNAL_FILE, Search
from metamodel.tune.trials import Trial
from metamodel.types import JSONObject

LabeledRun = Callable[..., tuple[RunDirectory, RunConfig]]

METAMODELS = ["base_rate", {"kind": "tfidf_logistic", "max_features": 400, "C_grid": []}]
# With min_df beyond the number of prompts no n-gram is left: the red and blue prompts cannot be told apart.
SPACES = {"tfidf_logistic": {"min_df": [2, 1000], "C": {"low": 0.01, "high": 10, "log": True}}}


def tuned_run(labeled_run: LabeledRun, name: str = "run", **plan: object) -> tuple[RunDirectory, RunConfig]:
    """Return a labeled run whose config searches two fields."""
    return labeled_run(name, metamodels=METAMODELS, tune={"n_trials": 8, "n_folds": 2, "spaces": SPACES, **plan})


@pytest.mark.slow
def test_tuning_finds_what_was_planted(labeled_run: LabeledRun) -> None:
    """The fields that let the trainer see the planted words win, and are reported, drawn and written ready to run."""
    run, config = tuned_run(labeled_run)
    (result,) = tune(run, config)
    assert result.best is not None
    assert result.best.fields["min_df"] == 2
    assert result.best.bits[-1] > 0.1
    assert len(result.trials) == 8
    assert result.own is not None
    assert result.own.number == 0
    assert result.best.bits[-1] >= result.own.bits[-1]
    assert max(result.importances, key=lambda name: result.importances[name]) == "min_df"
    folder = Path(run.path) / result.folder
    assert json.loads((folder / "trials.json").read_text())["best"] == result.best.number
    assert all(json.loads(line) for line in (folder / JOURNAL_FILE).read_text().splitlines())
    assert "best so far" in (Path(run.path) / "plots" / "tune--tfidf_logistic.svg").read_text()
    tuned = load_config(folder / "tuned.yaml")
    assert list(tuned.metamodels) == ["base_rate", "tfidf_logistic", "tfidf_logistic-tuned"]
    assert result.best.fields["C"] == tuned.metamodels["tfidf_logistic-tuned"].C  # type: ignore[attr-defined]
    assert tuned.splits.held_out_domains == ("d0", "d1")


def test_what_judges_in_the_end_is_never_read(labeled_run: LabeledRun) -> None:
    """No trial sees a prompt of a final domain, its text elsewhere, or the in-distribution test split."""
    run, config = tuned_run(labeled_run)
    datasets = read_datasets(run, config)
    assert config.tune is not None
    read = tuning_domains(datasets, config, config.tune)
    prompts = read.datasets["planted"].prompts
    assert read.final_domains == ("d0", "d1")
    assert set(prompts.domains) == {"d2", "d3", "d4", "d5"}
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in read.folds])), np.arange(len(prompts)))
    for fold in read.folds:
        judged = {prompts.domains[row] for row in fold.test}
        assert not judged & {prompts.domains[row] for row in (*fold.train, *fold.validation)}
    _, both = labeled_run("other", metamodels=METAMODELS, splits={"held_out_domains": "all"}, tune={"spaces": SPACES})
    assert both.tune is not None
    aside = tuning_domains(datasets, both, both.tune)
    assert len(aside.final_domains) == 2
    assert len(aside.datasets["planted"].prompts) < 0.85 * 160


def test_a_text_of_a_final_domain_is_not_read_elsewhere(labeled_run: LabeledRun) -> None:
    """A prompt that also stands in a final domain would let tuning see what judges."""
    run, config = tuned_run(labeled_run)
    (dataset,) = read_datasets(run, config).values()
    texts = list(dataset.prompts.texts)
    texts[2] = texts[0]
    prompts = type(dataset.prompts)(texts=tuple(texts), domains=dataset.prompts.domains, labels=dataset.prompts.labels)
    copy = type(dataset)(primary="planted", prompt_ids=dataset.prompt_ids, prompts=prompts)
    assert config.tune is not None
    assert "p2" not in tuning_domains({"planted": copy}, config, config.tune).datasets["planted"].prompt_ids


@pytest.mark.slow
def test_worth_is_the_mean_over_cells(labeled_run: LabeledRun) -> None:
    """A trial's worth counts every primary model, behavior and left-out domain once."""
    run, config = tuned_run(labeled_run)
    assert config.tune is not None
    domains = tuning_domains(read_datasets(run, config), config, config.tune)
    objective = Objective(domains=domains, seed=0)
    cells: Mapping[tuple[str, str, str], float] = {
        cell: bits
        for position in range(objective.n_folds)
        for cell, bits in objective.reductions(config.metamodels["tfidf_logistic"], position).items()
    }
    assert set(cells) == {("planted", b, f"d{d}") for b in ("truncated", "empty") for d in (2, 3, 4, 5)}
    (result,) = tune(run, config, n_trials=1)
    assert result.trials[0].bits[-1] == pytest.approx(mean_bits(cells), abs=1e-12)


def planted_search(folder: Path, *, folds: Sequence[float] = (0.0, 0.01, -0.01)) -> Search:
    """Return a search whose trials are worth C's closeness to 1, plus what a fold adds.

    Args:
        folder: For the journal.
        folds: What each fold adds.
    """

    class Planted:
        n_folds = len(folds)

        def reductions(self, trainer: object, position: int) -> dict[Cell, float]:
            worth = -abs(math.log10(trainer.C)) - trainer.min_df / 10  # type: ignore[attr-defined] # its fields
            return {Cell(primary="p", behavior="b", domain=str(position)): worth + folds[position]}

    config = build_config(
        {
            "prompts": {"sources": ["addition"]},
            "primaries": [{"kind": "zoo", "model": "lstm"}],
            "behaviors": ["empty"],
            "metamodels": [{"kind": "tfidf_logistic", "C": 0.1, "min_df": 2}],
        }
    )
    spaces = {"C": Range(low=0.01, high=100.0, log=True), "min_df": Choices(values=(1, 2, 3))}
    folder.mkdir(exist_ok=True)
    return Search(
        spec=config.specs("metamodels")["tfidf_logistic"],
        spaces=spaces,
        objective=cast("Objective", Planted()),
        journal=folder / JOURNAL_FILE,
        seed=0,
    )


def told(trials: Sequence[Trial]) -> list[tuple[object, ...]]:
    """Return all of the trials that does not depend on the clock."""
    return [(trial.number, trial.state, trial.fields, trial.bits) for trial in trials]


def test_the_same_seed_gives_the_same_trials(tmp_path: Path) -> None:
    """Trials are reproducible, in one call or in several: the second call does not draw the first one's again."""
    whole, parts = planted_search(tmp_path / "whole"), planted_search(tmp_path / "parts")
    assert whole.run(n_trials=14)
    for n_trials in (3, 4, 11, 14):
        assert parts.run(n_trials=n_trials)
    assert told(parts.trials()) == told(whole.trials())
    assert len({json.dumps(trial.fields) for trial in whole.trials()}) == 14
    assert whole.trials()[0].is_own
    assert whole.trials()[0].fields == {"C": 0.1, "min_df": 2}
    other = replace(planted_search(tmp_path / "other"), seed=1)
    other.run(n_trials=14)
    assert told(other.trials())[1:] != told(whole.trials())[1:]


def test_the_search_gets_better(tmp_path: Path) -> None:
    """Trials after the random ones are nearer to the best fields than these: the sampler learns."""
    search = planted_search(tmp_path)
    search.run(n_trials=40)
    worths = [trial.bits[0] for trial in search.trials()]
    assert max(worths) > -0.2
    assert np.median(worths[20:]) > np.median(worths[:7])


def test_hopeless_trials_are_given_up(tmp_path: Path) -> None:
    """A trial that lies below the median after some folds costs no further one; a good one never ends early."""
    search = planted_search(tmp_path)
    search.run(n_trials=20)
    pruned = [trial for trial in search.trials() if trial.state == "pruned"]
    assert pruned
    assert all(len(trial.bits) == 2 for trial in pruned)
    complete = [trial for trial in search.trials() if trial.state == "complete"]
    assert max(trial.bits[1] for trial in pruned) < max(trial.bits[1] for trial in complete)


def test_torn_journals_are_mended(tmp_path: Path) -> None:
    """Half a line and a lock, which a kill leaves, cost at most the trial in flight, wherever the kill fell."""
    whole = planted_search(tmp_path / "whole")
    whole.run(n_trials=7)
    lines = whole.journal.read_bytes().splitlines(keepends=True)
    for n_lines in range(3, len(lines), 16):
        torn = planted_search(tmp_path / str(n_lines))
        torn.journal.write_bytes(b"".join(lines[:n_lines]) + lines[n_lines][:7])
        Path(f"{torn.journal}.lock").symlink_to(torn.journal)
        assert torn.run(n_trials=7)
        assert told(torn.trials()) == told(whole.trials())


@pytest.mark.parametrize("content", [b"[1]\n", b"{}\n", b"not json\n{}\n", b"\xff\xfe\n\n"])
def test_a_damaged_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    """A journal that is no journal is named, not overwritten."""
    search = planted_search(tmp_path)
    search.journal.write_bytes(content)
    with pytest.raises(RunError, match=r"journal\.jsonl cannot be read"):
        search.run(n_trials=1)
    assert search.journal.read_bytes() == content


@pytest.mark.slow
def test_a_killed_search_goes_on(labeled_run: LabeledRun) -> None:
    """After kill -9 the same command ends with the trials of a search that was never killed."""
    run, config = tuned_run(labeled_run)
    path = Path(run.path).parent / "job.yaml"
    raw = {**config.resolved, "tune": {"n_trials": 8, "n_folds": 2, "spaces": SPACES}}
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    code = "from metamodel.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, "tune", str(path), "--quiet"], start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        journals = list(Path(run.path).glob("tune/*/journal.jsonl"))
        if journals and journals[0].read_bytes().count(b'"op_code":6') >= 2:
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (after,) = tune(RunDirectory.open(run.path), load_config(path))
    other, config = tuned_run(labeled_run, "other")
    (whole,) = tune(other, config)
    assert len(after.trials) == 8
    assert told(after.trials) == told(whole.trials)


def test_time_runs_out(labeled_run: LabeledRun) -> None:
    """When the time is up nothing more is begun, the result says so, and a later call goes on."""
    run, config = tuned_run(labeled_run)
    (result,) = tune(run, config, timeout_s=1e-9)
    assert result.is_out_of_time
    assert result.best is None
    assert not (Path(run.path) / result.folder / "tuned.yaml").exists()
    assert len(tune(run, config, n_trials=2)[0].trials) == 2


def test_fields_that_do_not_go_together_fail_alone(tmp_path: Path) -> None:
    """A trial whose fields the trainer refuses together is a row with its reason, done once; the others go on."""
    spaces: dict[str, Space] = {
        "word_ngrams": Choices(values=([], [1])),
        "character_ngrams": Choices(values=([], [2])),
    }
    spec: JSONObject = {"kind": "bag", "name": "bag", "word_ngrams": [1], "character_ngrams": [2]}
    search = replace(planted_search(tmp_path), spec=spec, spaces=spaces)
    cell = Cell(primary="p", behavior="b", domain="d")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(search.objective), "reductions", lambda *_: {cell: 0.0})
        assert search.run(n_trials=12)
    failed = [trial for trial in search.trials() if trial.state == "failed"]
    assert failed
    for trial in failed:
        assert trial.fields == {"word_ngrams": [], "character_ngrams": []}
        assert "both empty" in trial.problem
    assert {trial.state for trial in search.trials()} == {"complete", "failed"}


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"spaces": {}}, "tune.spaces: is {}, must name a metamodel"),
        ({"spaces": {"bga": {"C": [1.0]}}}, "tune.spaces.bga: no metamodel has this name"),
        ({"spaces": {"tfidf_logistic": []}}, "tune.spaces.tfidf_logistic: is [], must map"),
        ({"spaces": {"tfidf_logistic": {"max_featurse": [1]}}}, "unknown field, did you mean max_features?"),
        ({"spaces": {"tfidf_logistic": {"C": 3}}}, "tune.spaces.tfidf_logistic.C: is 3, must be a list of choices"),
        ({"spaces": {"tfidf_logistic": {"C": []}}}, "tune.spaces.tfidf_logistic.C.choices: is []"),
        ({"spaces": {"tfidf_logistic": {"C": [1.0, 1.0]}}}, "C.choices: names a value twice"),
        (
            {"spaces": {"tfidf_logistic": {"C": [1.0, "hot"]}}},
            "tune.spaces.tfidf_logistic.C.choices.1: C: input should",
        ),
        ({"spaces": {"tfidf_logistic": {"C": {"low": 2, "high": 1}}}}, "low must be the smaller"),
        ({"spaces": {"tfidf_logistic": {"C": {"low": 0, "high": 1, "log": True}}}}, "must be above 0 where log"),
        ({"spaces": {"tfidf_logistic": {"C": {"low": 0, "high": 1}}}}, "tune.spaces.tfidf_logistic.C.low: c is [0"),
        ({"spaces": {"tfidf_logistic": {"C": {"low": 1}}}}, "tune.spaces.tfidf_logistic.C.high: is missing"),
        ({"spaces": {"tfidf_logistic": {"C": {"low": 1, "high": 2, "stride": 1}}}}, "C.stride: unknown key"),
        ({"spaces": {"tfidf_logistic": {"C": {"low": 1, "high": 2, "step": 5}}}}, "step is 5"),
        ({"spaces": {"tfidf_logistic": {"C": {"low": 1, "high": float("inf")}}}}, "both finite"),
        ({"spaces": {"tfidf_logistic": {"min_df": {"low": 1, "high": 2.5}}}}, "min_df.high: min_df: input should be a"),
        ({"spaces": {"tfidf_logistic": {"min_df": {"low": 1, "high": 9, "step": 0.5}}}}, "must be whole"),
        ({"spaces": {"tfidf_logistic": {"C": {"choices": [1.0], "low": 1}}}}, "has low beside choices"),
        ({"spaces": SPACES, "n_trials": 0}, "n_trials is 0, must be at least 1"),
        ({"spaces": SPACES, "n_folds": 1}, "n_folds is 1, must be at least 2"),
        ({"spaces": SPACES, "timeout_s": 0}, "timeout_s is 0"),
        ({"spaces": SPACES, "trials": 3}, "tune.trials: unknown key, did you mean n_trials?"),
        ([1], "tune: is [1], must be a mapping"),
    ],
)
def test_mistakes_in_the_section(section: object, problem: str) -> None:
    """Everything wrong with a search space is found before anything is fitted, with its key path."""
    raw = {
        "prompts": {"sources": ["addition"]},
        "primaries": [{"kind": "zoo", "model": "lstm"}],
        "behaviors": ["empty"],
        "metamodels": METAMODELS,
        "tune": section,
    }
    with pytest.raises(ConfigError) as caught:
        build_config(raw)
    assert problem in str(caught.value)


def test_ranges_of_floats_and_of_whole_numbers() -> None:
    """From 0 to 1 means everything between for a field that holds a float, and whole numbers for one that does not."""
    raw = {
        "prompts": {"sources": ["addition"]},
        "primaries": [{"kind": "zoo", "model": "lstm"}],
        "behaviors": ["empty"],
        "metamodels": METAMODELS,
        "tune": {"spaces": {"tfidf_logistic": {"C": {"low": 1, "high": 2}, "min_df": {"low": 1, "high": 5}}}},
    }
    plan = build_config(raw).tune
    assert plan is not None
    spaces = plan.spaces["tfidf_logistic"]
    assert [isinstance(one, Range) and one.is_whole for one in spaces.values()] == [False, True]
    assert "tune" not in build_config(raw).resolved


def test_mistakes_in_a_call(labeled_run: LabeledRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """No section, an unknown metamodel or domain, too few domains, no optuna: one sentence that says what to do."""
    run, config = labeled_run("bare")
    with pytest.raises(ConfigError, match="tune: is missing, must say what to vary"):
        tune(run, config)
    run, config = tuned_run(labeled_run)
    with pytest.raises(UnknownNameError, match="did you mean tfidf_logistic"):
        tune(run, config, metamodel="tfidf_logistics")
    with pytest.raises(ConfigError, match="n_trials is 0"):
        tune(run, config, n_trials=0)
    run, config = tuned_run(labeled_run, "far", final_domains=["d9"])
    with pytest.raises(DataError, match="d9 is to judge finally, but no prompt has it"):
        tune(run, config)
    run, config = tuned_run(labeled_run, "few", final_domains=[f"d{number}" for number in range(5)])
    with pytest.raises(DataError, match="may read 1 domains"):
        tune_work(run, config)
    real = builtins.__import__

    def without_optuna(name: str, *arguments: object, **options: object) -> object:
        if name == "optuna":
            raise ImportError(name)
        return real(name, *arguments, **options)  # type: ignore[arg-type] # as they came

    monkeypatch.setattr(builtins, "__import__", without_optuna)
    with pytest.raises(MetamodelError, match=r"pip install 'metamodel\[tune\]'"):
        tune(run, config)


@pytest.mark.slow
def test_the_command(labeled_run: LabeledRun) -> None:
    """The command plans without fitting, searches, prints a table or JSON, and names the file to run next."""
    run, config = tuned_run(labeled_run)
    path = Path(run.path).parent / "job.yaml"
    raw = {**config.resolved, "tune": {"n_trials": 3, "n_folds": 2, "spaces": SPACES}}
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")

    def call(*arguments: str) -> str:
        finished = CliRunner().invoke(app, ["tune", str(path), *arguments], catch_exceptions=False)
        assert finished.exit_code == 0, finished.output
        return finished.stdout

    assert json.loads(call("--dry-run", "--json"))["final_domains"] == ["d0", "d1"]
    assert "from 0.01 to 10" in call("--dry-run")
    assert not (Path(run.path) / "tune").exists()
    printed = call("--quiet")
    assert "tuned.yaml" in printed
    assert "the config's own" in printed
    (result,) = json.loads(call("--json", "--trials", "4", "--metamodel", "tfidf_logistic"))
    assert len(result["trials"]) == 4
