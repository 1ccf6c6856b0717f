"""Adding a new primary model from a table of labels: `metamodel adapt` and the function behind it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from metamodel.adapt import adapt
from metamodel.adapt_labels import read_labels
from metamodel.cli import app
from metamodel.errors import MetamodelError
from metamodel.labels import Binary, Categorical, Count, LabeledPrompts, LabelTable, Real, task_name
from metamodel.metamodels import load_metamodel
from metamodel.protocols import FitContext
from metamodel.registry import component_class

SPACES = {"correct": Binary(), "kind": Categorical(classes=("a", "1")), "tokens": Count(), "share": Real()}


def _prompts(n: int, seed: int) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    is_hard = rng.random(n) < 0.5
    texts = [("7 8 9 4 " if hard else "some words ") * 4 + f"end {rng.integers(10**6)}" for hard in is_hard]
    return texts, (rng.random(n) < np.where(is_hard, 0.1, 0.9)).astype(np.int64)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A metamodel of one behavior of three primary models."""
    texts, codes = _prompts(150, 0)
    tables = {
        task_name(f"m{number}", "correct"): LabelTable(space=Binary(), codes=codes[:, None]) for number in (1, 2, 3)
    }
    train = LabeledPrompts(texts=tuple(texts), domains=("d",) * 150, labels=tables)
    joint = component_class("trainers", "joint")(n_waves=0)
    folder = tmp_path_factory.mktemp("joint")
    joint.fit(train, train.take([]), context=FitContext()).save(folder)  # type: ignore[attr-defined] # the protocol's
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Forty labeled prompts of a fourth primary model."""
    texts, codes = _prompts(40, 1)
    path = tmp_path / "labels.csv"
    pd.DataFrame({"prompt": texts, "label": codes, "domain": "x"}).to_csv(path, index=False)
    return path


def _write(path: Path, columns: dict[str, list[object]]) -> Path:
    frame = pd.DataFrame(columns)
    frame.to_json(path, orient="records", lines=True)
    return path


def test_adapt_saves_a_metamodel_of_the_new_model(saved: Path, table: Path, tmp_path: Path) -> None:
    """What is written loads by itself, predicts the new primary model's behavior and says so in its name."""
    found = adapt(saved, table, out=tmp_path / "new", primary="m4")
    assert found.metamodel is not None
    texts = ["7 8 9 4 7 8 9 4 end 12", "some words some words end 34"]
    loaded = load_metamodel(tmp_path / "new").predict(texts)
    assert list(loaded) == ["m4/correct"]
    assert np.array_equal(loaded["m4/correct"], found.metamodel.predict(texts)["m4/correct"])
    assert loaded["m4/correct"][0, 1] < 0.5 < loaded["m4/correct"][1, 1]
    (judged,) = found.behaviors
    assert judged.n_prompts == 40
    assert judged.gain is not None
    assert judged.gain.low > 0.1
    assert judged.warnings == ()
    assert found.n_domains == {"x": 40}


def test_left_out_gains_are_left_out(saved: Path, tmp_path: Path) -> None:
    """Labels that are coin flips must not seem to be explained by an adaptation that had seen them."""
    rng = np.random.default_rng(0)
    path = _write(
        tmp_path / "flips.jsonl", {"prompt": [f"p {i}" for i in range(60)], "label": list(rng.integers(0, 2, 60))}
    )
    (judged,) = adapt(saved, path).behaviors
    assert judged.gain is not None
    assert judged.gain.low < 0
    assert any("base rate" in warning for warning in judged.warnings)


def test_few_prompts_and_one_class(saved: Path, tmp_path: Path) -> None:
    """Three labels, all the same, give a metamodel, no interval, and a warning about each."""
    path = _write(tmp_path / "few.jsonl", {"prompt": ["a", "b", "x" * 100_000], "correct": [1, 1, 1]})
    found = adapt(saved, path)
    (judged,) = found.behaviors
    assert judged.gain is None
    assert len(judged.warnings) == 2
    assert found.metamodel is not None
    assert list(found.metamodel.predict(["a"])) == ["correct"]


def test_values_of_every_label_space(tmp_path: Path) -> None:
    """Words, class names, numbers and empty labels become codes; rows of one prompt are its samples."""
    path = _write(
        tmp_path / "all.jsonl",
        {
            "prompt": ["p", "p", "q"],
            "correct": ["yes", "False", ""],
            "kind": ["1", "a", 1],
            "tokens": [0, 3.0, None],
            "share": [0.05, 0.95, -3],
        },
    )
    prompts = read_labels(str(path), SPACES)
    assert prompts.texts == ("p", "q")
    assert prompts.labels["correct"].codes.tolist() == [[1, 0], [-1, -1]]
    assert prompts.labels["kind"].codes.tolist() == [[1, 0], [1, -1]]
    assert prompts.labels["tokens"].codes.tolist() == [[0, 3], [-1, -1]]
    assert prompts.labels["share"].codes.tolist() == [[0, 9], [0, -1]]


def test_a_column_names_the_behavior(tmp_path: Path) -> None:
    """In a long table each row says which behavior its label is of, and tasks carry the primary model's name."""
    path = _write(
        tmp_path / "long.jsonl", {"prompt": ["p", "p"], "behavior": ["tokens", "correct"], "label": [3, True]}
    )
    prompts = read_labels(str(path), SPACES, primary="new")
    assert {task: one.codes.tolist() for task, one in prompts.labels.items()} == {
        "new/correct": [[1]],
        "new/tokens": [[3]],
    }


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["p"], "label": [1]}, "line 1: has no column prompt, columns are text, label"),
        ({"prompt": ["p", None], "correct": [1, 1]}, "line 2: prompt is None"),
        ({"prompt": ["p"], "labels": [1]}, "other columns: labels"),
        ({"prompt": ["p"], "label": [1]}, "say in a column behavior"),
        ({"prompt": ["p"], "behavior": ["corect"], "label": [1]}, "did you mean correct"),
        ({"prompt": ["p", "q"], "correct": [1, 2]}, "line 2: correct is '2', must be 0 or 1"),
        ({"prompt": ["p"], "correct": ["maybe"]}, "correct is 'maybe', must be 0 or 1"),
        ({"prompt": ["p"], "kind": ["b"]}, "kind is 'b', must be one of a, 1, or its number from 0 to 1"),
        ({"prompt": ["p"], "tokens": [-1]}, "tokens is '-1', must be a whole number of 0 or more"),
        ({"prompt": ["p"], "tokens": [1.5]}, "must be a whole number"),
        ({"prompt": ["p"], "share": ["inf"]}, "share is 'inf', must be a finite number"),
        ({"prompt": ["p"], "share": [[1]]}, "must be a finite number"),
        ({"prompt": ["p"], "correct": [None]}, "1 rows and no label"),
        ({}, "0 rows"),
    ],
)
def test_wrong_tables(columns: dict[str, list[object]], message: str, tmp_path: Path) -> None:
    """Each mistake is said with its row, the value got and what is allowed."""
    path = _write(tmp_path / "wrong.jsonl", columns)
    with pytest.raises(MetamodelError) as caught:
        read_labels(str(path), SPACES)
    assert message in str(caught.value)


def test_a_metamodel_that_cannot_adapt(table: Path, tmp_path: Path) -> None:
    """Other trainers' metamodels are refused before anything is read or written."""
    texts, codes = _prompts(10, 0)
    train = LabeledPrompts(
        texts=tuple(texts), domains=("d",) * 10, labels={"correct": LabelTable(space=Binary(), codes=codes[:, None])}
    )
    base_rate = component_class("trainers", "base_rate")()
    folder = tmp_path / "base"
    folder.mkdir()
    base_rate.fit(train, train.take([]), context=FitContext()).save(folder)  # type: ignore[attr-defined] # the protocol's
    with pytest.raises(MetamodelError, match="cannot be adapted"):
        adapt(folder, table)


def test_the_command(saved: Path, table: Path, tmp_path: Path) -> None:
    """It prints what it learned, writes once, refuses to overwrite, and a dry run writes nothing."""
    runner, out = CliRunner(), tmp_path / "out"
    dry = runner.invoke(app, ["adapt", str(saved), str(table), "--out", str(out), "--dry-run"])
    assert dry.exit_code == 0
    assert "40" in dry.output
    assert not out.exists()
    done = runner.invoke(app, ["adapt", str(saved), str(table), "--out", str(out), "--json"], catch_exceptions=False)
    assert json.loads(done.output)["behaviors"][0]["gain"]["low"] > 0
    assert (out / "spec.json").exists()
    again = runner.invoke(app, ["adapt", str(saved), str(table), "--out", str(out)])
    assert isinstance(again.exception, MetamodelError)
    assert "exists already" in str(again.exception)
    without = runner.invoke(app, ["adapt", str(saved), str(table)])
    assert "--out is missing" in str(without.exception)
    slash = runner.invoke(app, ["adapt", str(saved), str(table), "--dry-run", "--primary", "a/b"])
    assert "must not hold '/'" in str(slash.exception)
