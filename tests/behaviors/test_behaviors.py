"""What a run's primary models do: rates, intervals, shared bits, examples, and how they are shown."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import binomtest
from sklearn.metrics import mutual_info_score

from metamodel.behaviors.cooccurrence import co_occurrence, mutual_information_bits
from metamodel.behaviors.docs import behaviors_markdown, read_docstring
from metamodel.behaviors.rates import rate_of, wilson_interval
from metamodel.behaviors.summary import BehaviorSummary, summarize_behaviors
from metamodel.behaviors.terminal import example_table, heat_tables, matrix_tables
from metamodel.catalog import catalog
from metamodel.errors import MetamodelError, RunError
from metamodel.labels import Binary, Categorical, Count, LabelSpace, Real, label_space_to_dict
from metamodel.report.inputs import ReportInputs
from metamodel.report.page import render_report
from metamodel.store.rows import generations_to_table, prompts_to_table, table_from_rows
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Generation, Prompt

ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert(1)</script>[bold]\u202e"
SPACES: dict[str, LabelSpace] = {
    "loops": Binary(),
    "copies": Binary(),
    "ends": Categorical(classes=("stop", "[b]length")),
    "n_words": Count(),
    "share": Real(),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Return a run of 40 prompts in two domains, two samples each, whose labels are known."""
    folder = tmp_path_factory.mktemp("behaviors") / "run"
    config = {"name": "t", "seed": 0, "behaviors": [{"kind": "empty", "name": name} for name in SPACES]}
    made = RunDirectory.create_or_open(str(folder), config=config)
    prompts = [Prompt.create(f"{HOSTILE} {number}", domain=f"d{number % 2}") for number in range(40)]
    changed = prompts[0].changed("changed", variant="swap 1")
    rows = [
        Generation(key=f"{prompt.id}{sample}", prompt_id=prompt.id, primary="m", sample=sample, text=f"{HOSTILE} out")
        for prompt in (*prompts, changed)
        for sample in range(2)
    ]
    made.write_shard("prompts", prompts_to_table([*prompts, changed]), name="prompts")
    made.write_shard("generations", generations_to_table(rows))
    facts = {}
    for name, space in SPACES.items():
        labels = [
            {
                "key": row.key,
                "prompt_id": row.prompt_id,
                "primary": "m",
                "sample": row.sample,
                "behavior": name,
                "value": None if name == "copies" and place % 4 == 0 else _value(name, place),
            }
            for place, row in enumerate(rows)
        ]
        made.write_shard("labels", table_from_rows("labels", labels), name=name)
        facts[name] = {"space": label_space_to_dict(space)}
    made.update_facts(behaviors=facts)
    return made


def _value(name: str, place: int) -> float:
    number = place // 2
    values = {"loops": number % 2, "copies": number % 4 < 2, "ends": number % 2, "n_words": place % 8}
    return float(values.get(name, place / 82))


@pytest.fixture(scope="module")
def summary(run: RunDirectory) -> BehaviorSummary:
    """Return what that run says."""
    return summarize_behaviors(run)


def test_rates_are_counted_by_domain(summary: BehaviorSummary) -> None:
    """Loops happen in the odd domain alone; changed prompts do not count; missing labels are counted apart."""
    assert [summary.rate("loops", "m", domain).mean for domain in (None, "d0", "d1")] == [0.5, 0.0, 1.0]  # type: ignore[union-attr] # there are labels
    everywhere = summary.rate("copies", "m", None)
    assert everywhere is not None
    assert (everywhere.n_labels, everywhere.n_missing, everywhere.n_prompts) == (60, 20, 40)
    ends = summary.rate("ends", "m", None)
    assert ends is not None
    assert (ends.shares, ends.entropy_bits, ends.mean) == ({"stop": 0.5, "[b]length": 0.5}, 1.0, None)
    words = summary.rate("n_words", "m", None)
    assert words is not None
    assert (words.mean, words.median) == (3.5, 3.5)


def test_every_prompt_weighs_the_same() -> None:
    """A prompt with one label weighs as much as one with nine, or missing labels would shift the rate."""
    values = np.array([1.0] + [0.0] * 9)
    rate = rate_of(values, np.array([0] + [1] * 9), Binary(), behavior="b", primary="m", domain=None)
    assert rate.mean == 0.5


@pytest.mark.parametrize(("n_yes", "n"), [(0, 5), (3, 10), (40, 40), (77, 300)])
def test_intervals_are_wilsons(n_yes: int, n: int) -> None:
    """The interval is SciPy's, so that a rate of 0 of 5 is not taken for impossible."""
    expected = binomtest(n_yes, n).proportion_ci(method="wilson")
    assert wilson_interval(n_yes / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_shared_bits_match_an_independent_implementation() -> None:
    """Plug-in mutual information is scikit-learn's; independent labels share nothing once the bias is corrected."""
    rng = np.random.default_rng(0)
    first, noise = rng.integers(0, 3, 4000), rng.integers(0, 4, 4000)
    second = np.where(rng.random(4000) < 0.5, first, noise)
    counts = np.zeros((3, 4), dtype=np.int64)
    np.add.at(counts, (first, second), 1)
    bias = ((3 - 1) + (4 - 1) - (np.count_nonzero(counts) - 1)) / (2 * 4000 * np.log(2))
    expected = mutual_info_score(first, second) / np.log(2) + bias
    assert mutual_information_bits(counts) == pytest.approx(expected, abs=1e-12)
    draws = []
    for _ in range(200):
        small = np.zeros((3, 4), dtype=np.int64)
        np.add.at(small, (rng.integers(0, 3, 60), rng.integers(0, 4, 60)), 1)
        draws.append(mutual_information_bits(small))
    assert abs(np.mean(draws)) < 0.02


def test_what_the_domain_explains_is_taken_out() -> None:
    """Two labels that only the domain ties together share a bit overall and none within domains."""
    domains = np.repeat([0, 1], 500)
    found = co_occurrence("m", {"a": domains, "b": domains}, domains, {"a": 2, "b": 2})
    assert found.bits[0, 1] == pytest.approx(1, abs=0.01)
    assert found.bits_within_domains[0, 1] == pytest.approx(0, abs=0.01)
    assert found.n_labels.tolist() == [[1000, 1000], [1000, 1000]]


def test_the_summary_is_json(summary: BehaviorSummary) -> None:
    """Scripts read --json: no NaN, which is none, and an example for each outcome of the small spaces."""
    stored = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    shown = {(example["behavior"], example["outcome"]) for example in stored["examples"]}
    assert {("loops", "no"), ("loops", "yes"), ("ends", "stop"), ("ends", "[b]length")} <= shown
    assert all(example["output"].endswith("out") for example in stored["examples"])


@pytest.mark.parametrize("width", [80, 108, 200])
def test_the_terminal_shows_names_and_figures_as_they_are(summary: BehaviorSummary, width: int) -> None:
    """Brackets in names are no markup, hidden characters are named, and every domain has its column at any width."""
    console = Console(width=width, record=True, file=io.StringIO())
    for table in (*heat_tables(summary, width=width), *matrix_tables(summary, width=width), example_table(summary)):
        console.print(table)
    text = console.export_text()
    assert "ends: [b]length" in text
    assert "d0" in text
    assert "d1" in text
    assert "\u202e" not in text
    assert "50 [35, 65]" in text


def test_the_page_shows_them_escaped(summary: BehaviorSummary) -> None:
    """The section holds the figures, and outputs stay text."""
    page = render_report(ReportInputs(title="t", facts={}, rows=[], behaviors=summary))
    assert 'id="behaviors"' in page
    assert "35 to 65" in page
    assert "<script>alert(1)" not in page
    assert "\u202e" not in page
    assert 'class="num heat-10"' in page


def test_a_run_without_labels_says_so(tmp_path: Path) -> None:
    """The way out is named."""
    empty = RunDirectory.create_or_open(str(tmp_path / "run"), config={"name": "t", "behaviors": []})
    with pytest.raises(RunError, match="run `metamodel featurize` first"):
        summarize_behaviors(empty)


def test_the_page_of_behaviors_is_current() -> None:
    """docs/behaviors.md says what the docstrings say; the message tells how to write it anew."""
    current = (ROOT / "docs" / "behaviors.md").read_text(encoding="utf-8")
    assert current == behaviors_markdown(packages=("featurizers",)), (
        "run: metamodel components --group featurizers --markdown > docs/behaviors.md"
    )


def test_a_docstring_that_lacks_a_part_is_named() -> None:
    """A plug-in author learns which parts the catalog reads."""

    class Bare:
        """Say nothing."""

    with pytest.raises(MetamodelError, match=r"the docstring of featurizer bare .* must give 'Label space"):
        read_docstring("bare", Bare)


def test_the_catalog_knows_featurizers_with_required_fields() -> None:
    """Label space, needs and family are told for a kind that cannot be made without a value."""
    entry = next(entry for entry in catalog("featurizers") if entry.kind == "model_flip")
    assert (entry.label_space, entry.family, entry.reads_prompt) == ("categorical", "Updates", True)
    assert entry.needs == ("text", "references", "other_primaries")
