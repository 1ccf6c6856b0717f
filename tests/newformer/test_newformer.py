"""The Newformer protocol on planted runs: who shares what, what is known before training, what labels are worth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.config import RunConfig
from metamodel.errors import ConfigError, MetamodelError
from metamodel.evaluate import evaluate
from metamodel.newformer.gaps import gaps_of
from metamodel.newformer.preparing import pattern_config
from metamodel.newformer.results import LearningPoint, Newformer
from metamodel.newformer.stage import Protocol, newformer, plan_newformer
from metamodel.store.run_directory import RunDirectory
from metamodel.store.schemas import schema_of
from metamodel.train import train

MakeRun = Callable[..., tuple[RunDirectory, RunConfig]]
WORDS = {"kind": "tfidf_logistic", "name": "words"}
SPLITS = {"in_distribution": True, "held_out_domains": ["d0", "d1"]}


def primaries(*names: str) -> list[dict[str, str]]:
    """Return primary models of a config."""
    return [{"kind": "zoo", "model": "lstm", "name": name} for name in names]


@pytest.fixture
def known(labeled_run: MakeRun) -> RunDirectory:
    """Return an evaluated run of two known primary models."""
    run, config = labeled_run(
        "known", primaries=primaries("one", "two"), metamodels=["base_rate", WORDS], splits=SPLITS
    )
    train(run, config)
    evaluate(run, config)
    return run


@pytest.fixture
def fresh(labeled_run: MakeRun) -> RunDirectory:
    """Return a labeled run of a new primary model that behaves like the known ones."""
    return labeled_run("fresh", primaries=primaries("novel"), splits=SPLITS)[0]


def found_in(new: RunDirectory, known: RunDirectory, folder: Path, **changes: object) -> Newformer:
    """Do the protocol with few labels."""
    folder.mkdir()
    protocol = Protocol(**{"sizes": (10, 40), "n_draws": 2, "n_domains": 1, **changes})  # type: ignore[arg-type] # values differ in type
    return newformer(plan_newformer(str(new.path), [str(known.path)], protocol), folder=folder)


def relabel(run: RunDirectory, behavior: str, rule: Callable[[str, float], float]) -> None:
    """Give every prompt another label."""
    texts = {row["prompt_id"]: row["text"] for row in run.read("prompts").to_pylist()}
    rng = np.random.default_rng(7)
    rows = [
        {**row, "value": rule(texts[row["prompt_id"]], rng.random())}
        for row in run.read("labels", shard_names=[behavior]).to_pylist()
    ]
    run.write_shard("labels", pa.Table.from_pylist(rows, schema=schema_of("labels")), name=behavior)


def test_a_model_like_the_known_ones(known: RunDirectory, fresh: RunDirectory, tmp_path: Path) -> None:
    """What is alike is shared everywhere, predicted without a label, and agrees beyond chance."""
    found = found_in(fresh, known, tmp_path / "out")
    truncated = [one for one in found.contexts if one.behavior == "truncated"]
    assert {one.domain for one in truncated} == {f"d{number}" for number in range(6)}
    assert {one.sharing for one in truncated} == {"shared"}
    zero = [one for one in found.zero_shot if one.behavior == "truncated" and one.metamodel == "words"]
    assert len(zero) == 4
    assert all(one.bits is not None and one.bits > 0.2 and one.p is not None and one.p < 0.01 for one in zero)
    assert all(one.p is None for one in found.zero_shot if one.is_baseline)
    coin = [one for one in found.zero_shot if one.behavior == "empty" and one.metamodel == "words"]
    assert all(one.bits is not None and one.bits < 0.05 for one in coin)
    kappas = {(one.known, one.behavior): one.kappa for one in found.likeness}
    assert kappas["one", "truncated"] is not None
    assert kappas["one", "truncated"] > 0.4
    assert abs(kappas["two", "empty"] or 0.0) < 0.4
    gap = next(one for one in found.gaps if (one.behavior, one.split) == ("truncated", "in_distribution"))
    assert gap.zero_shot_bits is not None
    assert gap.zero_shot_bits > 0.3
    assert gap.closes_at["recalibrated"] is not None
    assert json.loads(json.dumps(found.to_dict()))["primary"] == "novel"


def test_a_behavior_turned_around(known: RunDirectory, fresh: RunDirectory, tmp_path: Path) -> None:
    """Where the new model does the opposite, known metamodels lose bits, and few labels say so."""
    relabel(fresh, "truncated", lambda text, drawn: float(drawn < (0.1 if "red" in text else 0.9)))
    found = found_in(fresh, known, tmp_path / "out", behaviors=("truncated",), sizes=(20, 100))
    zero = [one for one in found.zero_shot if one.metamodel == "words"]
    assert all(one.bits is not None and one.bits < -0.3 for one in zero)
    scratch = [one for one in found.learning if one.way == "from scratch" and one.is_all]
    assert all(point.bits > 0.1 for point in scratch)
    assert found.gaps[0].worth_labels is not None


def test_a_behavior_that_only_one_side_shows(known: RunDirectory, fresh: RunDirectory, tmp_path: Path) -> None:
    """An outcome that the new model never shows is the known ones' alone; one that is rare stays undecided."""
    relabel(fresh, "truncated", lambda _text, _drawn: 0.0)
    found = found_in(fresh, known, tmp_path / "out", learns=False, floor=0.3)
    assert {one.sharing for one in found.contexts if one.behavior == "truncated"} <= {"known only", "undecided"}
    assert any(one.sharing == "known only" for one in found.contexts)
    assert found.learning == []
    with_small_floor = found_in(fresh, known, tmp_path / "again", learns=False, floor=0.001)
    assert {one.sharing for one in with_small_floor.contexts if one.behavior == "truncated"} == {"undecided"}


def test_other_prompts_have_no_curves(known: RunDirectory, fresh: RunDirectory, tmp_path: Path) -> None:
    """Of a run with other splits, known metamodels are not bent: their training prompts might judge."""
    changed = dict(fresh.config) | {"splits": {**dict(fresh.config["splits"]), "test_share": 0.5}}  # type: ignore[arg-type] # plain data
    fresh.update_facts(config=changed)
    found = found_in(RunDirectory.open(fresh.path), known, tmp_path / "out", behaviors=("truncated",))
    assert {point.way for point in found.learning} == {"from scratch"}
    assert any("learning curves leave out known" in note for note in found.notes)


def point(way: str, n: int, bits: float, *, is_all: bool = False) -> LearningPoint:
    """Build a point."""
    return LearningPoint(
        way=way,  # type: ignore[arg-type] # a way
        behavior="fail",
        split="in_distribution",
        n_labeled=n,
        is_all=is_all,
        n_prompts=100,
        bits=bits,
        low=None,
        high=None,
        spread=None,
    )


def test_what_closes_the_gap() -> None:
    """Nine tenths of the native bits close it, at the fewest labels; what never does is None."""
    points = [
        point("zero-shot", 0, 0.05),
        point("recalibrated", 10, 0.06),
        point("recalibrated", 50, 0.095),
        point("from scratch", 10, -0.2),
        point("from scratch", 100, 0.055),
        point("from scratch", 900, 0.1, is_all=True),
    ]
    (gap,) = gaps_of(points)
    assert (gap.native_bits, gap.zero_shot_bits, gap.worth_labels) == (0.1, 0.05, 100)
    assert gap.closes_at == {"recalibrated": 50, "from scratch": 900}
    (hopeless,) = gaps_of([point("recalibrated", 10, 0.0), point("from scratch", 90, -0.1, is_all=True)])
    assert hopeless.closes_at == {"recalibrated": None, "from scratch": None}


def test_the_command(known: RunDirectory, fresh: RunDirectory, tmp_path: Path) -> None:
    """The command writes JSON, a page and a chart, and says on one screen what it found."""
    arguments = ["newformer", str(fresh.path), "--known", str(known.path), "--out", str(tmp_path / "out")]
    options = ["--size", "20", "--draws", "1", "--domains", "1", "--quiet"]
    result = CliRunner().invoke(app, [*arguments, *options], env={"COLUMNS": "140"})
    assert result.exit_code == 0, result.output
    assert "truncated" in result.stdout
    told = json.loads((tmp_path / "out/newformer.json").read_text())
    assert told["known"] == ["one", "two"]
    assert (tmp_path / "out/plots/newformer.svg").read_text().startswith("<?xml")
    page = (tmp_path / "out/newformer.html").read_text()
    assert "How many labels it takes" in page
    planned = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert json.loads(planned.stdout)["trainer"] == "words"


def test_a_new_model_from_a_file(known: RunDirectory, tmp_path: Path) -> None:
    """A file with one primary model takes everything else from the known run; a file with none is refused in words."""
    described = tmp_path / "novel.yaml"
    described.write_text("kind: zoo\nmodel: gpt2\n", encoding="utf-8")
    config = pattern_config(str(described), known, tmp_path / "out")
    assert config["primaries"] == [{"name": "novel", "kind": "zoo", "model": "gpt2"}]
    assert config["behaviors"] == known.config["behaviors"]
    assert config["splits"] == known.config["splits"]
    described.write_text("- gpt2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="one primary model"):
        pattern_config(str(described), known, tmp_path / "out")


def test_what_cannot_be_met(known: RunDirectory, fresh: RunDirectory) -> None:
    """Two new models at once, a metamodel that is not there and a run that is none each end in words."""
    with pytest.raises(MetamodelError, match="must have one"):
        plan_newformer(str(known.path), [str(fresh.path)], Protocol())
    with pytest.raises(MetamodelError, match="no metamodel 'bagg'"):
        plan_newformer(str(fresh.path), [str(known.path)], Protocol(metamodel="bagg"))
    with pytest.raises(MetamodelError):
        plan_newformer("nowhere", [str(known.path)], Protocol())
