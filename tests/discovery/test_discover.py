"""Discovery: planted behaviors found, noise not, a run from its predictions, the command."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.config import RunConfig
from metamodel.discovery import verify
from metamodel.discovery.conditions import Slice
from metamodel.discovery.core import PreparedPrompts, SearchPlan, corrected, prepare, search_cell
from metamodel.discovery.files import write_discoveries
from metamodel.discovery.residuals import Cell, measures_of
from metamodel.discovery.stage import DiscoverQuery, discover
from metamodel.errors import ConfigError, DataError, RunError, UnknownNameError
from metamodel.evaluate import evaluate
from metamodel.labels import Binary
from metamodel.store.run_directory import RunDirectory
from metamodel.train import train

LabeledRun = Callable[..., tuple[RunDirectory, RunConfig]]
Prompts = tuple[list[str], list[str]]
COMMON = [
    f"{first}{second}" for first in ("ba", "ke", "lo", "mi", "su", "ta") for second in ("dra", "nel", "pit", "row")
]
TOPIC = [
    f"z{first}{second}" for first in ("ab", "eg", "ik", "om", "up") for second in ("al", "en", "is", "or", "ut", "ya")
]


@functools.cache
def prepared_prompts(seed: int) -> PreparedPrompts:
    """Return the prompts of a seed ready to be searched, as every test with them has them."""
    return prepare(*made_up(seed), SearchPlan(seed=seed))


def made_up(seed: int, n: int = 1000) -> Prompts:
    """Return prompts of three domains; one in fifteen holds a phrase, one in eight is about a topic of thirty words."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(n):
        words = rng.choice(COMMON, int(rng.integers(6, 30))).tolist()
        if rng.random() < 1 / 15:
            words.insert(int(rng.integers(len(words))), "violet engine")
        if rng.random() < 1 / 8:
            words += rng.choice(TOPIC, 6).tolist()
        texts.append(" ".join(words))
    return texts, [f"d{number % 3}" for number in range(n)]


def planted(kind: str, texts: list[str]) -> np.ndarray:
    """Return where the simulated model does what the metamodel did not learn."""
    if kind == "phrase":
        return np.array(["violet engine" in text for text in texts])
    if kind == "length":
        return np.array([len(text.split()) >= 27 for text in texts])
    return np.array([any(word in TOPIC for word in text.split()) for text in texts])


def coin_cell(p: np.ndarray, q: np.ndarray, *, seed: int) -> Cell:
    """Return binary labels that happen with p, under a metamodel that says q."""
    is_yes = np.random.default_rng(seed).random(len(p)) < p
    return Cell(
        primary="simulated",
        behavior="b",
        split="held_out_domain",
        metamodel="m",
        space=Binary(),
        rows=np.arange(len(p)),
        counts=np.column_stack([~is_yes, is_yes]).astype(np.int64),
        probabilities=np.column_stack([1 - q, q]),
    )


def searched(prepared: PreparedPrompts, *cells: Cell) -> list[verify.Tested]:
    """Search cells of a metamodel that stands alone."""
    return corrected([one for cell in cells for one in search_cell(prepared, {"m": cell}, ["m"]).candidates], 0.01)


def names_it(prepared: PreparedPrompts, one: Slice, inside: np.ndarray) -> bool:
    """Say whether a slice is at least half planted prompts, and holds a quarter of them."""
    mine = prepared.conditions.prompts_of(one)
    return bool((mine & inside).sum() >= max(mine.sum() / 2, inside.sum() / 4))


@pytest.mark.parametrize("kind", ["phrase", "length", "topic"])
def test_a_planted_behavior_is_found(kind: str) -> None:
    """In at least nine of ten seeds the slice in which the model does something else is reported, with its size."""
    n_found = 0
    for seed in range(10):
        texts, _ = made_up(seed)
        inside = planted(kind, texts)
        prepared = prepared_prompts(seed)
        q = np.full(len(texts), 0.3)
        good = [
            one
            for one in searched(prepared, coin_cell(np.where(inside, 0.85, q), q, seed=seed))
            if one.discovery.is_verified and names_it(prepared, one.slice, inside)
        ]
        n_found += bool(good)
        for one in good:
            assert one.discovery.direction * one.discovery.rate.value > 0
            assert one.discovery.about == "labels"
    assert n_found >= 9


def test_noise_gives_nothing() -> None:
    """A metamodel that knows every rate, common and rare, is wrong nowhere: thirty draws must stay silent."""
    texts, _ = made_up(0)
    prepared = prepared_prompts(0)
    common, rare = np.where(planted("phrase", texts), 0.7, 0.4), np.full(len(texts), 0.02)
    reported = 0
    for seed in range(30):
        cells = coin_cell(common, common, seed=seed), coin_cell(rare, rare, seed=100 + seed)
        reported += any(one.discovery.is_verified for one in searched(prepared, *cells))
    assert reported <= 1


def test_the_figures_are_those_of_the_half_kept_aside() -> None:
    """Effects must be computable by hand from the prompts that the search did not see, and from no others."""
    texts, _ = made_up(1)
    prepared = prepare(texts, ["d"] * len(texts), SearchPlan(kinds=("ngrams",)))
    inside = planted("phrase", texts)
    cell = coin_cell(np.where(inside, 0.9, 0.3), np.full(len(texts), 0.3), seed=1)
    found = searched(prepared, cell)[0]
    mine = prepared.conditions.prompts_of(found.slice)
    assert (mine == inside).all()
    kept = ~prepared.is_searched
    surprise, rate = measures_of(cell)
    for figure, measure in ((found.discovery.bits, surprise), (found.discovery.rate, rate)):
        expected = measure.values[kept & mine].mean() - measure.values[kept & ~mine].mean()
        assert figure.value == pytest.approx(expected)
        assert figure.low < figure.value < figure.high
    assert found.discovery.n_inside == (kept & mine).sum()
    assert found.discovery.observed_inside == pytest.approx(cell.counts[kept & mine, 1].mean())
    assert found.discovery.predicted_outside == pytest.approx(0.3)
    assert {pick.row for pick in found.picks} <= set(np.flatnonzero(kept & mine))


def test_all_metamodels_must_be_off() -> None:
    """Where one metamodel knows of the behavior, asking for all of them reports nothing; alone, the other one does."""
    texts, _ = made_up(2)
    inside = planted("phrase", texts)
    truth = np.where(inside, 0.9, 0.3)
    knows, does_not = coin_cell(truth, truth, seed=0), coin_cell(truth, np.full(len(texts), 0.3), seed=0)
    prepared = prepared_prompts(2)
    cells = {"does not": does_not, "knows": knows}
    alone = corrected(search_cell(prepared, cells, ["does not"]).candidates, 0.01)
    assert alone[0].discovery.is_verified
    assert abs(alone[0].discovery.agreement["knows"]) < abs(alone[0].discovery.agreement["does not"]) / 2
    together = corrected(search_cell(prepared, cells, ["does not", "knows"]).candidates, 0.01)
    assert not any(one.discovery.is_verified for one in together)


def test_a_wrong_prediction_is_told_from_a_behavior() -> None:
    """Where labels are the same everywhere and only predictions differ, the metamodel is at fault and it is said."""
    texts, _ = made_up(3)
    inside = planted("phrase", texts)
    cell = coin_cell(np.full(len(texts), 0.4), np.where(inside, 0.9, 0.4), seed=0)
    found = searched(prepared_prompts(3), cell)
    assert found[0].discovery.is_verified
    assert {one.discovery.about for one in found if one.discovery.is_verified} == {"predictions"}


def test_a_domain_is_reported_as_such() -> None:
    """A metamodel that is off on a whole domain gives no slice of it, but that domain, and no other."""
    texts, domains = made_up(4)
    q = np.full(len(texts), 0.3)
    p = np.where(np.array(domains) == "d1", 0.8, q)
    prepared = prepared_prompts(4)
    judged = search_cell(prepared, {"m": coin_cell(p, q, seed=0)}, ["m"])
    assert not any(one.discovery.is_verified for one in corrected(judged.candidates, 0.01))
    by_domain = {effect.domain: (effect.bits.low, p_value) for effect, p_value in judged.domains}
    assert by_domain["d1"][0] > 0.3
    assert by_domain["d1"][1] < 1e-6
    assert min(by_domain["d0"][1], by_domain["d2"][1]) > 0.001


@pytest.fixture
def evaluated(labeled_run: LabeledRun) -> RunDirectory:
    """A run whose only metamodel knows no word, on labels that "red" and "blue" decide."""
    run, config = labeled_run(splits={"in_distribution": False, "held_out_domains": "all"})
    train(run, config)
    evaluate(run, config)
    return run


def test_a_run_from_its_predictions(evaluated: RunDirectory) -> None:
    """The word that decides labels is found in a run, its examples are real, and the coin gives nothing."""
    found = discover(evaluated, DiscoverQuery())
    (one,) = found.verified
    assert (one.behavior, one.slice.split()[-1]) in {("truncated", "“red”"), ("truncated", "“blue”")}
    assert abs(one.rate.value) > 0.6
    assert one.examples
    is_red = ("red" in one.slice) != ("does not" in one.slice)
    assert all(("red" in example.prompt.split()) == is_red for example in one.examples)
    assert all(example.output is None for example in one.examples)
    again = discover(evaluated, DiscoverQuery())
    assert again.to_dict() == found.to_dict()
    assert write_discoveries(evaluated, found) == ["discoveries.json", "plots/discoveries.svg"]
    stored = json.loads(evaluated.read_text("discoveries.json"))
    assert stored["candidates"][0]["slice"] == one.slice
    ET.fromstring(evaluated.read_text("plots/discoveries.svg"))  # noqa: S314 - our own output
    assert one.slice in evaluated.read_text("plots/discoveries.csv").replace('""', '"')


def test_the_command(evaluated: RunDirectory) -> None:
    """The table names slice, size and examples; --json prints JSON alone; a run without a finding says so."""
    shown = CliRunner().invoke(app, ["discover", evaluated.path, "--quiet", "--all"])
    assert shown.exit_code == 0, shown.output
    assert "1 slice in which" in shown.output
    assert "observed" in shown.output
    as_json = CliRunner().invoke(app, ["discover", evaluated.path, "--json", "--slices", "surface"])
    assert not [one for one in json.loads(as_json.stdout)["candidates"] if one["is_verified"]]
    silent = CliRunner().invoke(app, ["discover", evaluated.path, "--quiet", "--behavior", "empty"])
    assert "No slice was verified" in silent.output


def test_what_is_wrong_is_said(evaluated: RunDirectory, labeled_run: LabeledRun) -> None:
    """Unknown names, impossible numbers and runs that were not evaluated are the user's to mend."""
    for query in (DiscoverQuery(behaviors=["truncate"]), DiscoverQuery(metamodel="base")):
        with pytest.raises(UnknownNameError, match="did you mean"):
            discover(evaluated, query)
    with pytest.raises(UnknownNameError, match="held_out_domain"):
        discover(evaluated, DiscoverQuery(splits=["in_distribution"]))
    for plan in (
        SearchPlan(alpha=0),
        SearchPlan(least=1),
        SearchPlan(most=0),
        SearchPlan(seed=-1),
        SearchPlan(kinds=()),
    ):
        with pytest.raises(ConfigError, match="--"):
            discover(evaluated, DiscoverQuery(plan=plan))
    fresh, _ = labeled_run("fresh")
    with pytest.raises(RunError, match=r"metrics\.json"):
        discover(fresh, DiscoverQuery())
    wrong = CliRunner().invoke(app, ["discover", evaluated.path, "--slices", "ngram"])
    assert isinstance(wrong.exception, ConfigError)


def test_few_prompts_are_said(evaluated: RunDirectory) -> None:
    """With too few prompts for any slice the reader is told what is missing, not that all is well."""
    found = discover(evaluated, DiscoverQuery(plan=SearchPlan(least=200)))
    assert found.n_conditions == 0
    assert "--support" in found.notes[0]


def test_damaged_predictions_are_refused(evaluated: RunDirectory) -> None:
    """Numbers that are no probabilities would give effects of nothing."""
    table = evaluated.read("predictions")
    place = table.schema.get_field_index("probabilities")
    nan = pa.array([[float("nan"), 1.0]] * table.num_rows, type=pa.list_(pa.float64()))
    evaluated.write_shard("predictions", table.set_column(place, "probabilities", nan), name="planted")
    with pytest.raises(DataError, match="no probabilities"):
        discover(evaluated, DiscoverQuery())
