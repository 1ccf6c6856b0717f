"""The ladder: bits gained against bits of description, its front, its knee, and what compress writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from metamodel.bootstrap import macro_reduction_interval
from metamodel.cli import app
from metamodel.config import RunConfig
from metamodel.errors import ConfigError, DataError, RunError, UnknownNameError
from metamodel.evaluate import evaluate
from metamodel.ladder.charts import ladder_chart
from metamodel.ladder.compress import compress
from metamodel.ladder.curve import LadderPoint, break_even, knee, pareto_front
from metamodel.ladder.files import write_ladder
from metamodel.ladder.intervals import mean_reduction_interval
from metamodel.ladder.stage import AS_SAVED, LOSSLESS, VARIANTS, Ladder, ladder
from metamodel.metamodels import load_metamodel
from metamodel.store.run_directory import RunDirectory
from metamodel.train import fit_name, train
from metamodel.types import FloatArray, IntArray

LabeledRun = Callable[..., tuple[RunDirectory, RunConfig]]

METAMODELS = [
    "base_rate",
    {"kind": "tfidf_logistic", "name": "small", "max_features": 40, "C_grid": []},
    {"kind": "tfidf_logistic", "name": "large", "min_df": 1, "C_grid": []},
]
TWO_PRIMARIES = [{"kind": "zoo", "model": "lstm", "name": name} for name in ("one", "two")]


def planted(n_prompts: int, seed: int) -> tuple[IntArray, FloatArray]:
    """Return counts of two outcomes and predictions that know something of them."""
    rng = np.random.default_rng(seed)
    rates = rng.uniform(0.05, 0.95, n_prompts)
    yes = rng.binomial(3, rates)
    return np.column_stack([3 - yes, yes]), np.column_stack([1 - rates, rates])


def test_one_cell_is_the_known_interval() -> None:
    """With one behavior of one primary model the interval is that of the stage evaluate, to the last bit."""
    domains = [planted(60, seed) for seed in range(3)]
    mean, interval = mean_reduction_interval([{"a": one} for one in domains], n_draws=300, seed=4)
    known = macro_reduction_interval(domains, n_draws=300, seed=4)
    assert known is not None
    assert interval is not None
    assert mean == pytest.approx(known.value, abs=1e-12)
    assert (interval.low, interval.high) == pytest.approx((known.low, known.high), abs=1e-9)


def test_labels_of_one_prompt_stay_together() -> None:
    """The same behavior counted twice says nothing new: the interval is as wide as with one, unlike that of two."""
    first, second = planted(80, 0), planted(80, 1)
    widths = []
    for cells in ({"a": first}, {"a": first, "again": first}, {"a": first, "b": second}):
        interval = mean_reduction_interval([cells], n_draws=400, seed=0)[1]
        assert interval is not None
        widths.append(interval.high - interval.low)
    assert widths[1] == pytest.approx(widths[0], rel=1e-6)
    assert widths[2] < 0.9 * widths[0]


def test_missing_labels_leave_a_cell_to_its_own_prompts() -> None:
    """A cell without labels is left out, one with some is judged on those, one with a single label has no spread."""
    counts, probabilities = planted(80, 0)
    none = (np.zeros_like(counts), probabilities)
    some = counts.copy()
    some[40:] = 0
    both = mean_reduction_interval([{"a": (counts, probabilities), "none": none}], n_draws=200, seed=0)
    assert both == mean_reduction_interval([{"a": (counts, probabilities)}], n_draws=200, seed=0)
    mean, interval = mean_reduction_interval([{"a": (some, probabilities)}], n_draws=200, seed=0)
    alone = mean_reduction_interval([{"a": (counts[:40], probabilities[:40])}], n_draws=200, seed=0)
    assert mean == alone[0]
    assert interval is not None
    assert interval.low < mean < interval.high
    some[1:] = 0
    assert mean_reduction_interval([{"a": (some, probabilities)}], n_draws=200, seed=0)[1] is None
    assert np.isnan(mean_reduction_interval([{"none": none}], n_draws=200, seed=0)[0])


def test_the_front_and_the_knee() -> None:
    """The front drops whatever a shorter one matches; the knee of a known curve is where it bends."""
    assert pareto_front([4, 4, 2, 8, 16], [0.2, 0.3, 0.1, 0.3, 0.2]) == [2, 1]
    assert pareto_front([], []) == []
    sizes = [2.0**power for power in range(1, 11)]
    gains = [1 - 2.0**-power for power in range(1, 11)]
    # A doubling gains 1/4, 1/8, 1/16, 1/32...; the chord gains (1/2 - 2^-10) / 9 = 0.0554 a doubling: three pay.
    assert knee(sizes, gains) == 3
    assert knee([2, 4], [0.0, 1.0]) is None
    assert knee([2, 4, 8], [0.0, 0.1, 1.0]) is None
    assert break_even(100.0, 0.0) is None


@pytest.fixture
def trained(labeled_run: LabeledRun) -> tuple[RunDirectory, RunConfig]:
    """A run of three sizes on two primary models."""
    run, config = labeled_run(metamodels=METAMODELS, primaries=TWO_PRIMARIES)
    train(run, config)
    return run, config


@pytest.mark.slow
def test_the_ladder_of_a_run(trained: tuple[RunDirectory, RunConfig]) -> None:
    """What is saved gains on the ladder what evaluate reports; variants are shorter and gain nearly as much."""
    run, config = trained
    rows = [row for row in evaluate(run, config) if row.domain is None]
    found = ladder(run)
    points = {(point.metamodel, point.variant): point for point in found.points}
    for name in config.metamodels:
        reductions = [row.reduction_bits for row in rows if row.metamodel == name]
        assert len(reductions) == 4
        assert points[name, AS_SAVED].reduction_bits == pytest.approx(np.mean(reductions), abs=1e-12)
        saved = [
            load_metamodel(run.metamodel_folder(fit_name(name, primary, f"without_{domain}"))).description_bits
            for primary in ("one", "two")
            for domain in ("d0", "d1")
        ]
        assert points[name, AS_SAVED].description_bits == sum(saved) / 2
    large = points["large", AS_SAVED]
    assert points["large", LOSSLESS].description_bits < large.description_bits
    assert points["large", LOSSLESS].reduction_bits == large.reduction_bits
    assert points["large", "int8"].description_bits < 0.6 * large.description_bits
    assert points["large", "int8"].reduction_bits == pytest.approx(large.reduction_bits, abs=0.01)
    assert large.break_even_prompts == pytest.approx(large.description_bits / (4 * large.reduction_bits))
    assert {variant for name, variant in points if name == "base_rate"} == {AS_SAVED, LOSSLESS}
    assert {variant for name, variant in points if name == "small"} == {AS_SAVED, LOSSLESS, *VARIANTS}
    front = [point for point in found.points if point.is_on_front]
    assert [point.description_bits for point in front] == sorted(point.description_bits for point in front)
    assert front[0].metamodel == "base_rate"
    assert found.knee in (*front, None)


@pytest.mark.slow
def test_one_behavior_of_one_primary_model(trained: tuple[RunDirectory, RunConfig]) -> None:
    """A ladder of one cell holds that cell's bits; the description is still that of the whole metamodel."""
    run, config = trained
    rows = [row for row in evaluate(run, config) if row.domain is None]
    found = ladder(run, behavior="truncated", primary="two", variants={})
    assert (found.behaviors, found.primaries) == (["truncated"], ["two"])
    for point in found.points:
        (row,) = [r for r in rows if (r.metamodel, r.behavior, r.primary) == (point.metamodel, "truncated", "two")]
        assert point.reduction_bits == pytest.approx(row.reduction_bits, abs=1e-12)
        assert point.low_bits == pytest.approx(row.reduction_low_bits, abs=1e-9)
        assert point.high_bits == pytest.approx(row.reduction_high_bits, abs=1e-9)
    path = write_ladder(run, found, behavior="truncated", primary="two")
    assert path == "plots/ladder--two--truncated.svg"
    assert json.loads(run.read_text("plots/ladder--two--truncated.json")) == found.to_dict()
    assert run.read_text("plots/ladder--two--truncated.csv").count("\n") == len(found.points) + 1


def test_mistakes(labeled_run: LabeledRun) -> None:
    """An unknown behavior, an untrained run and a run that holds no domain out say what is there and what to do."""
    run, _ = labeled_run()
    with pytest.raises(UnknownNameError, match="no behavior named 'truncatde': did you mean truncated"):
        ladder(run, behavior="truncatde")
    with pytest.raises(UnknownNameError, match="no primary model named 'gpt'"):
        ladder(run, primary="gpt")
    with pytest.raises(RunError, match="run `metamodel train` first"):
        ladder(run)
    run, _ = labeled_run("without", splits={"held_out_domains": []})
    with pytest.raises(RunError, match="holds no domain out"):
        ladder(run)


def point(size: float, gain: float, **changes: object) -> LadderPoint:
    """Return a point."""
    fields = {
        "metamodel": "m",
        "variant": AS_SAVED,
        "description_bits": size,
        "borrowed_bits": 0.0,
        "reduction_bits": gain,
        "low_bits": None,
        "high_bits": None,
        "break_even_prompts": None,
    }
    return LadderPoint(**{**fields, **changes})  # type: ignore[arg-type] # fields of a point


@pytest.mark.parametrize(
    "points",
    [
        [point(10.0, -5.0)],
        [point(10.0, 0.1, is_on_front=True), point(100.0, -90.0, variant="int8")],
        [
            point(10.0, 0.0, metamodel="<b>$x^2$</b>"),
            point(1e9, 0.2, borrowed_bits=1e8, is_knee=True, is_on_front=True),
        ],
    ],
)
def test_charts_of_odd_points(points: list[LadderPoint]) -> None:
    """One point, a gain far below the others, borrowed parts and names that look like markup are drawn."""
    found = Ladder(points=points, domains=["d"], primaries=["p"], behaviors=["b"])
    chart = ladder_chart(found, baselines=[], behavior=None, primary=None)
    assert chart.svg.startswith("<svg")
    assert "<b>" not in chart.svg
    assert "mathdefault" not in chart.svg
    assert ("knee" in chart.svg.split("</desc>")[1]) == any(one.is_knee for one in points)


@pytest.mark.slow
def test_the_commands(trained: tuple[RunDirectory, RunConfig], tmp_path: Path) -> None:
    """`ladder` prints its table and names its knee; `compress` writes a metamodel that opens, and refuses nonsense."""
    run, _ = trained

    def call(*arguments: str) -> str:
        finished = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert finished.exit_code == 0, finished.output
        return finished.stdout

    printed = call("ladder", run.path, "--quiet")
    assert "knee" in printed
    assert "plots/ladder.svg" in printed
    assert len(json.loads(call("ladder", run.path, "--json", "--behavior", "truncated"))["points"]) == 12
    source = str(run.metamodel_folder(fit_name("large", "one", "without_d0")))
    target = tmp_path / "shorter"
    report = json.loads(call("compress", source, "--out", str(target), "--int8", "--prune", "0.5", "--json"))
    assert report["description_bits_after"] == load_metamodel(target).description_bits
    assert report["description_bits_after"] < 0.6 * report["description_bits_before"]
    assert "after" in call("compress", source, "--out", str(tmp_path / "other"), "--prune", "0.9")
    with pytest.raises(DataError, match="is not empty"):
        compress(Path(source), target, int8=True)
    with pytest.raises(ConfigError, match="nothing would be left out"):
        compress(Path(source), tmp_path / "new")
    with pytest.raises(ConfigError, match=r"prune_share is 1\.5"):
        compress(Path(source), tmp_path / "new", prune_share=1.5)
    with pytest.raises(DataError, match="is not a saved metamodel"):
        compress(tmp_path / "nowhere", tmp_path / "new", int8=True)
    assert not (tmp_path / "new").exists()
