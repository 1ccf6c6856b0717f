"""Tables to verdicts: the published table, inverse scaling, what cannot be used, mirages, the command."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from metamodel.cli import app, main
from metamodel.errors import DataError, MetamodelError
from metamodel.scaling.mirage import compare, mirages, sharpness
from metamodel.scaling.stage import scaling
from metamodel.scaling.table import TableQuery, read_table

DATA = Path(__file__).parents[3] / "shared" / "data"
PUBLISHED = DATA / "emergent_inabilities"
needs_published = pytest.mark.skipif(not PUBLISHED.exists(), reason=f"{PUBLISHED} is absent")
SIZES, TOKENS = (1e7, 1e8, 1e9, 1e10, 1e11), (1e9, 1e10, 1e11)
TERMS = ("parameters", "tokens", "interaction")


def grid(path: Path, slopes: tuple[float, float, float], *, task: str = "a", noise: float = 0.01) -> pd.DataFrame:
    """Write and return a table whose score is linear in the standardized logarithms and their product."""
    rng = np.random.default_rng(0)
    places = [(size, tokens) for size in SIZES for tokens in TOKENS]
    logs = np.log10(np.array(places))
    z = (logs - logs.mean(axis=0)) / logs.std(axis=0, ddof=1)
    terms = np.column_stack([z, z[:, 0] * z[:, 1]])
    frame = pd.DataFrame(places, columns=["params", "tokens"])
    frame["score"] = 0.5 + terms @ np.array(slopes) + noise * rng.normal(size=len(frame))
    frame["task"], frame["model"] = task, [f"m{size:g}" for size in frame["params"]]
    frame.to_csv(path, index=False)
    return frame


@needs_published
def test_the_published_table_is_reproduced() -> None:
    """All 36 t values to the two decimals printed, df 60, and each adjusted p (Michaelov and Bergen 2023)."""
    found = scaling(read_table(PUBLISHED / "accuracy.csv", TableQuery()))
    with (PUBLISHED / "statistical_tests.tsv").open(encoding="utf-8") as handle:
        printed = [list(row.values()) for row in csv.DictReader(handle, delimiter="\t")]
    assert len(printed) == len(found.fits) == 12
    # Both tables are sorted by the same names, spelled differently.
    for task, (_, *cells) in zip(found.fits, printed, strict=True):
        mine = {row.term: row for row in found.rows if row.task == task}
        for term, cell in zip(TERMS, cells, strict=True):
            match = re.fullmatch(r"t\((\d+)\)=(-?[\d.]+), p([<=])([\d.]+)", cell)
            assert match is not None
            assert mine[term].df == int(match[1])
            assert f"{mine[term].t:.2f}" == f"{float(match[2]):.2f}", (task, term)
            if match[3] == "<":
                assert mine[term].p_adjusted < float(match[4])
            else:
                assert round(mine[term].p_adjusted, 3) == float(match[4]), (task, term)
    inverse = {row.task for row in found.rows if row.term == "parameters" and row.direction == "inverse"}
    assert inverse == {
        "isp_hindsight_neglect",
        "isp_memo_trap",
        "isp_pattern_matching_suppression",
        "truthfulqa_mc1",
        "truthfulqa_mc2",
    }


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "pythia").exists(), reason=f"{DATA / 'pythia'} is absent")
def test_a_large_table_of_many_tasks() -> None:
    """Metrics and shots are kept apart, rows without tokens counted, and perplexity improves though it falls."""
    query = TableQuery(where={"suite": "pythia-v1", "task": "lambada_openai"})
    found = scaling(read_table(DATA / "pythia" / "evals.parquet", query), errors="clustered")
    assert sum(found.table.dropped.values()) > 0
    directions = {(row.task.split(", ")[-1], row.direction) for row in found.rows if row.term == "parameters"}
    assert {("acc", "improves"), ("ppl", "improves")} <= directions
    assert all(row.df == row.n_clusters - 1 for row in found.rows if row.n_clusters is not None)


@pytest.mark.parametrize(
    ("slopes", "lower", "size", "training", "reversal"),
    [
        ((-0.1, 0.1, 0.0), None, "inverse", "improves", "no"),
        ((-0.1, 0.1, 0.0), True, "improves", "inverse", "no"),
        ((-0.05, 0.0, -0.1), None, "inverse", "none", "yes"),
        ((0.0, 0.0, 0.0), None, "none", "none", None),
    ],
)
def test_inverse_scaling_and_its_reversal(
    tmp_path: Path,
    slopes: tuple[float, float, float],
    lower: bool | None,  # noqa: FBT001 - a parametrized value
    size: str,
    training: str,
    reversal: str | None,
) -> None:
    """Planted slopes give the verdicts they should, in both senses of better, and a planted crossing is found."""
    grid(tmp_path / "t.csv", slopes)
    found = scaling(read_table(tmp_path / "t.csv", TableQuery(lower_is_better=lower)))
    trends = found.trends["a"]
    assert (trends["parameters"].direction, trends["tokens"].direction) == (size, training)
    if reversal is not None:
        assert trends["parameters"].reversal == reversal
    if reversal == "yes":
        # Zero at z = -0.5 of log tokens, whose mean is 10 and deviation that of 9, 10, 11 over 15 rows.
        spread = np.log10(np.tile(TOKENS, 5)).std(ddof=1)
        assert np.log10(trends["parameters"].reverses_at) == pytest.approx(10 - 0.5 * spread, abs=0.1)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_every_format_reads_the_same(tmp_path: Path, suffix: str) -> None:
    """The same table gives the same rows from each format; a size may be written 10M, and unusable rows are counted."""
    frame = grid(tmp_path / "a.csv", (0.1, 0.1, 0.0))
    whole = scaling(read_table(tmp_path / "a.csv", TableQuery())).rows
    frame["params"] = [f"{size / 1e6:g}M" for size in frame["params"]]
    more = frame.iloc[:3].assign(score=[np.nan, 0.5, 0.5], tokens=[1e9, 0.0, np.nan])
    frame = pd.concat([frame, more], ignore_index=True)
    path = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    table = read_table(path, TableQuery())
    assert table.n_read == 18
    assert len(table.scores) == 15
    assert list(table.dropped.values()) == [1, 1, 1]
    found = scaling(table).rows
    assert [row.t for row in found] == pytest.approx([row.t for row in whole], rel=1e-6)


@pytest.mark.parametrize(
    ("change", "query", "message"),
    [
        ({}, TableQuery(score="scor"), "did you mean score"),
        ({}, TableQuery(parameters="none", tokens="none"), "nothing to explain"),
        ({}, TableQuery(score="model"), "holds no number"),
        ({}, TableQuery(score_range=(0.0, 0.4)), "lie outside 0 to 0.4"),
        ({}, TableQuery(where={"task": "b"}), "no row has task=b"),
        ({"score": 0.5}, TableQuery(), "0.5 in every row"),
        ({"tokens": 1e9}, TableQuery(), "--tokens none"),
        ({"score": np.nan}, TableQuery(), "holds no number"),
        ({"params": -1}, TableQuery(), "no row is left of 15"),
        ({"metric": "acc", "score": 7.0}, TableQuery(score_range=(0.0, 1.0)), "lie outside"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, change: dict[str, object], query: TableQuery, message: str) -> None:
    """Missing columns, single values, text for numbers and scores outside their range are refused in plain words."""
    path = tmp_path / "t.csv"
    grid(path, (0.1, 0.0, 0.0)).assign(**change).to_csv(path, index=False)
    with pytest.raises(DataError, match=re.escape(message)):
        scaling(read_table(path, query))


def test_shares_outside_their_range_are_refused(tmp_path: Path) -> None:
    """One accuracy of 1.7 among shares is a mistake; percentages are not."""
    path = tmp_path / "t.csv"
    frame = grid(path, (0.1, 0.0, 0.0)).rename(columns={"score": "accuracy"})
    frame.assign(accuracy=frame["accuracy"].clip(0, 1) * 100).to_csv(path, index=False)
    assert len(scaling(read_table(path, TableQuery())).rows) == 3
    frame.loc[0, "accuracy"] = 1.7
    frame.to_csv(path, index=False)
    with pytest.raises(DataError, match="is a share"):
        read_table(path, TableQuery())


def test_dependent_sizes_are_named(tmp_path: Path) -> None:
    """Where tokens follow from parameters the regression has no solution, and one predictor alone still does."""
    path = tmp_path / "t.csv"
    frame = grid(path, (0.1, 0.0, 0.0))
    frame.assign(tokens=20 * frame["params"]).to_csv(path, index=False)
    with pytest.raises(DataError, match="rank deficiency"):
        scaling(read_table(path, TableQuery()))
    alone = scaling(read_table(path, TableQuery(tokens="none")))
    assert [row.term for row in alone.rows] == ["parameters"]
    assert alone.rows[0].df == 13


def test_one_bad_task_does_not_stop_the_others(tmp_path: Path) -> None:
    """Of many tasks the one that never moves is left out with its reason, and adjustment counts the others alone."""
    path = tmp_path / "t.csv"
    frame = grid(path, (0.1, 0.0, 0.0))
    pd.concat([frame, frame.assign(task="flat", score=0.5)]).to_csv(path, index=False)
    found = scaling(read_table(path, TableQuery()), adjust="bonferroni")
    assert list(found.skipped) == ["flat"]
    assert {row.task for row in found.rows} == {"a"}
    assert all(row.p_adjusted == pytest.approx(min(1.0, 3 * row.p)) for row in found.rows)
    with pytest.raises(DataError, match="--cluster"):
        scaling(read_table(path, TableQuery(cluster="none")), errors="clustered")


def test_a_mirage_and_a_true_jump() -> None:
    """Five tokens that must all be right make a smooth rate look emergent; a rate that jumps jumps under both."""
    sizes = [10.0**power for power in range(7, 13)]
    smooth = np.array([0.3, 0.44, 0.58, 0.7, 0.84, 0.98])
    names = ("token accuracy", "exact match")
    apparent = compare("a", "parameters", sizes, smooth, smooth**12, names=names)
    assert apparent.finding == "metric"
    assert "comes from the metric" in apparent.statement
    jump = np.array([0.1, 0.11, 0.1, 0.9, 0.91, 0.92])
    assert compare("a", "parameters", sizes, jump, jump**5, names=names).finding == "behavior"
    assert compare("a", "parameters", sizes, smooth, smooth, names=names).finding == "none"
    flat = compare("a", "parameters", sizes, smooth, np.zeros(6), names=names)
    assert flat.finding == "none"
    assert "everywhere" in flat.statement


def test_emergence_score_by_hand() -> None:
    """Range over the root of the median squared step, negative for a curve that falls, none for a step function."""
    assert sharpness(np.array([0.0, 0.1, 0.3, 0.9])).score == pytest.approx(0.9 / 0.2)
    assert sharpness(np.array([0.9, 0.3, 0.1, 0.0])).score == pytest.approx(-0.9 / 0.2)
    assert sharpness(np.array([0.0, 0.0, 0.0, 1.0])).score is None


def test_a_threshold_on_the_score(tmp_path: Path) -> None:
    """A threshold makes the second metric, of each size at its most tokens and of the largest size over training."""
    frame = grid(tmp_path / "t.csv", (0.1, 0.1, 0.0), noise=0.001)
    found = mirages(read_table(tmp_path / "t.csv", TableQuery()), threshold=0.6)
    assert [one.along for one in found] == ["parameters"]  # three token counts are too few for a curve
    expected = frame[frame["tokens"] == 1e11]["score"].to_numpy()
    assert found[0].linear == pytest.approx(expected)
    assert found[0].thresholded.tolist() == (expected >= 0.6).astype(float).tolist()
    assert found[0].finding == "metric"


def test_the_command(tmp_path: Path) -> None:
    """--json is one row a task and term; --out writes charts that parse and tables with every row."""
    path, out = tmp_path / "t.csv", tmp_path / "out"
    frame = grid(path, (-0.1, 0.1, 0.0), task="<script>alert(1)</script>")
    frame.assign(exact=(frame["score"] > 0.55).astype(int)).to_csv(path, index=False)
    plain = CliRunner().invoke(app, ["scaling", str(path), "--json", "--out", str(out), "--errors", "clustered"])
    assert plain.exit_code == 0, plain.output
    rows = json.loads(plain.stdout)
    assert [row["term"] for row in rows] == list(TERMS)
    assert {row["df"] for row in rows} == {4}
    assert {"t", "p", "p_adjusted", "direction", "reversal", "reverses_at"} <= set(rows[0])
    assert "guessed" in plain.stderr
    for name in ("scaling-terms", "scaling-curves"):
        ET.parse(out / f"{name}.svg")  # noqa: S314 - our own output
    assert len(pd.read_csv(out / "scaling-terms.csv")) == 3
    assert len(pd.read_csv(out / "scaling-curves.csv")) == 15
    both = CliRunner().invoke(app, ["scaling", str(path), "--mirage", "score", "exact", "--out", str(out), "--json"])
    document = json.loads(both.stdout)
    assert len(document["rows"]) == 3
    assert document["mirage"][0]["thresholded_name"] == "exact"
    assert len(pd.read_csv(out / "mirage.csv")) == 5
    shown = CliRunner().invoke(app, ["scaling", str(path), "--mirage-threshold", "0.55"])
    assert "inverse with size" in " ".join(shown.stdout.split())
    assert isinstance(CliRunner().invoke(app, ["scaling", str(path), "--adjust", "x"]).exception, MetamodelError)
    assert isinstance(CliRunner().invoke(app, ["scaling", str(path), "--errors", "x"]).exception, MetamodelError)
    assert isinstance(CliRunner().invoke(app, ["scaling", str(tmp_path / "no.csv")]).exception, MetamodelError)
    assert callable(main)
