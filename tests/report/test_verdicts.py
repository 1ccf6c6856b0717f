"""Verdicts are decided by intervals, never by points."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metamodel.comparisons import PairedDifference
from metamodel.metric_rows import MetricsRow
from metamodel.report.inputs import ReportInputs
from metamodel.report.verdicts import judge, summarize

NewRow = Callable[..., MetricsRow]


def scored(row: NewRow, metamodel: str, low: float | None, high: float | None) -> MetricsRow:
    """Return a row with the given interval around its middle."""
    middle = 0.0 if low is None or high is None else (low + high) / 2
    return row(metamodel=metamodel, reduction_bits=middle, reduction_low_bits=low, reduction_high_bits=high)


@pytest.mark.parametrize(
    ("trained", "baselines", "text", "grade"),
    [
        ((0.2, 0.3), {"base_rate": (-0.1, 0.0), "domain_tag": (0.0, 0.1)}, "beats every baseline", "good"),
        ((0.2, 0.3), {"base_rate": (-0.1, 0.0), "domain_tag": (0.1, 0.25)}, "does not beat domain_tag", "mixed"),
        ((0.2, 0.3), {"domain_tag": (0.4, 0.5), "prompt_length": (0.1, 0.25)},
         "loses to domain_tag; does not beat prompt_length", "bad"),
        ((0.2, 0.3), {"a": (0.2, 0.3), "b": (0.2, 0.3), "c": (0.2, 0.3)}, "does not beat a, b and c", "mixed"),
        ((-0.1, 0.1), {"base_rate": (-0.1, 0.0)}, "no better than the prior", "bad"),
        ((-0.5, -0.4), {"base_rate": (-0.1, 0.0)}, "worse than the prior", "bad"),
        ((-0.1, 0.1), {}, "no better than the prior", "bad"),
        ((0.1, 0.2), {}, "gains bits; no baseline was run", "good"),
        ((-0.1, -0.05), {"base_rate": (-0.6, -0.5)}, "beats every baseline, yet not the best constant", "mixed"),
        ((0.009, 0.06), {"base_rate": (-0.04, 0.01)}, "beats every baseline", "good"),
        ((0.2, 0.3), {"base_rate": (-0.1, 0.0), "domain_tag": (None, None)},
         "undefined against domain_tag: no interval", "undefined"),
        ((None, None), {"base_rate": (-0.1, 0.0)}, "undefined: no interval for the bits gained", "undefined"),
    ],
)  # fmt: skip
def test_verdict_follows_from_intervals(
    row: NewRow,
    trained: tuple[float | None, float | None],
    baselines: dict[str, tuple[float | None, float | None]],
    text: str,
    grade: str,
) -> None:
    """Each way in which two intervals can lie has its own words."""
    verdict = judge(scored(row, "bag", *trained), [scored(row, name, *ends) for name, ends in baselines.items()])
    assert (verdict.text, verdict.grade) == (text, grade)


def test_nothing_trained_is_said_so() -> None:
    """A run of baselines alone must not read like a failure of a model."""
    assert judge(None, []).text == "undefined: no trained metamodel has a figure here"


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.01, 0.1, "beats every baseline"),
        (-0.01, 0.1, "does not beat domain_tag"),
        (-0.2, -0.1, "loses to domain_tag"),
    ],
)
def test_a_paired_difference_decides_where_there_is_one(
    row: NewRow, low: float, high: float, text: str, *, mirrored: bool
) -> None:
    """Two metamodels share prompts: overlapping intervals say little, the paired difference says it."""
    bag, tag = scored(row, "bag", 0.2, 0.3), scored(row, "domain_tag", 0.15, 0.25)
    difference = PairedDifference(
        metamodel="bag", rival="domain_tag", behavior="correct", primary="gpt2", split="held_out_domain",
        difference_bits=(low + high) / 2, low_bits=low, high_bits=high,
    )  # fmt: skip
    other = PairedDifference(
        metamodel="bag", rival="domain_tag", behavior="empty", primary="gpt2", split="held_out_domain",
        difference_bits=9.0, low_bits=8.0, high_bits=10.0,
    )  # fmt: skip
    given = [other, difference.mirrored() if mirrored else difference]
    assert judge(bag, [tag], comparisons=given).text == text


def test_summary_names_best_metamodel_baseline_and_worst_domain(realistic_inputs: ReportInputs) -> None:
    """The summary's line is about the mean rows, its worst domain about the best trained metamodel's own domains."""
    lines = summarize(realistic_inputs.rows, baselines=realistic_inputs.baselines)
    assert len(lines) == 2 * 6 * 2
    line = lines[0]
    means = [r for r in realistic_inputs.rows if r.domain is None and r.split == line.split]
    mine = [r for r in means if (r.primary, r.behavior) == (line.primary, line.behavior)]
    assert line.trained == max(
        (r for r in mine if r.metamodel in ("bag", "tfidf_logistic")), key=lambda r: r.explained or 0
    )
    assert line.baseline is not None
    assert line.baseline.metamodel in realistic_inputs.baselines
    assert line.worst is not None
    assert line.worst.metamodel == "bag"
    assert line.n_domains == 13
