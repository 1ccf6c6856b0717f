"""Rows of metrics.json: the contract with other people's notebooks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from metamodel.errors import DataError
from metamodel.metric_rows import (
    ROW_KEYS,
    MetricsRow,
    best_row,
    domain_rows,
    mean_rows,
    rows_from_json,
    rows_to_json,
    worst_domain,
)

NewRow = Callable[..., MetricsRow]


def test_keys_are_the_published_ones_in_order(row: NewRow) -> None:
    """A renamed, missing or moved key would break every reader of metrics.json."""
    published = (
        "metamodel behavior primary split domain n_prompts n_samples base_rate entropy_bits cross_entropy_bits "
        "reduction_bits reduction_low_bits reduction_high_bits ceiling_low_bits ceiling_bits ceiling_high_bits "
        "explained auroc auprc brier ece refinement_bits"
    )
    assert list(row().to_dict()) == published.split()


def test_json_gives_back_the_same_rows(row: NewRow) -> None:
    """What evaluation wrote is what report, benchmarks and notebooks read."""
    rows = [row(), row(domain="addition", auroc=None, reduction_bits=-0.25), row(metamodel="naïve \u202e bag")]
    assert rows_from_json(rows_to_json(rows)) == rows


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_numbers_that_json_cannot_carry_become_null(row: NewRow, value: float) -> None:
    """A silent NaN in metrics.json would not even be JSON."""
    text = rows_to_json([row(auroc=value)])
    assert json.loads(text, parse_constant=pytest.fail)[0]["auroc"] is None


def test_numpy_numbers_are_written_as_numbers(row: NewRow) -> None:
    """Evaluation computes with numpy, whose 32-bit scalars json cannot write."""
    assert json.loads(rows_to_json([replace(row(), ece=np.float32(0.5))]))[0]["ece"] == 0.5


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"auroc_": 0.5}, "unknown key 'auroc_'"),
        ({"split": "test"}, "must be one of held_out_domain, in_distribution"),
        ({"n_prompts": 2.5}, "n_prompts is 2.5, must be a whole number"),
        ({"n_samples": True}, "n_samples is True, must be a whole number"),
        ({"auroc": "high"}, "auroc is 'high', must be a number or null"),
        ({"ece": True}, "ece is True, must be a number or null"),
        ({"domain": 3}, "domain is 3, must be text or null"),
        ({"behavior": None}, "behavior is None, must be text"),
    ],
)
def test_wrong_rows_are_refused_by_key(row: NewRow, change: dict[str, object], complaint: str) -> None:
    """A hand-edited file is answered with the key that is wrong, not with a traceback from a chart."""
    with pytest.raises(DataError, match=complaint.replace("(", r"\(")):
        MetricsRow.from_dict(row().to_dict() | change)


@pytest.mark.parametrize("key", ROW_KEYS)
def test_every_key_must_be_there(row: NewRow, key: str) -> None:
    """A missing key must not be taken for an undefined number."""
    values = row().to_dict()
    del values[key]
    with pytest.raises(DataError, match=f"missing key '{key}'"):
        MetricsRow.from_dict(values)


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", '"rows"'])
def test_a_file_that_is_no_list_of_rows_is_refused(text: str) -> None:
    """A truncated metrics.json is the user's to mend: no traceback."""
    with pytest.raises(DataError, match=r"metrics\.json"):
        rows_from_json(text)


def test_an_unknown_split_is_a_bug(row: NewRow) -> None:
    """Code that makes up a split must fail where it does, not in the report."""
    values = row().to_dict() | {"split": "validation"}
    with pytest.raises(ValueError, match="split is 'validation'"):
        MetricsRow(**values)  # type: ignore[arg-type]  # on purpose


def test_worst_and_best_skip_rows_without_a_figure(row: NewRow) -> None:
    """An undefined domain is not the worst one, nor is the mean row a domain."""
    mean = row(reduction_bits=-9.0)
    low = row(domain="a", reduction_bits=-0.2)
    high = row(domain="b", reduction_bits=0.4)
    undefined = row(domain="c", reduction_bits=None)
    rows = [mean, high, undefined, low]
    assert (worst_domain(rows), best_row(rows)) == (low, high)
    assert (worst_domain([mean, undefined]), best_row([undefined])) == (None, None)
    assert (mean_rows(rows), domain_rows(rows)) == ([mean], [high, undefined, low])
