"""The table at the end of a run."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.cells import cell_len
from rich.console import Console

from metamodel.metric_rows import MetricsRow
from metamodel.report.inputs import ReportInputs
from metamodel.report.numbers import DASH
from metamodel.report.terminal import summary_table

NewRow = Callable[..., MetricsRow]


def printed(rows: Sequence[MetricsRow], width: int = 100) -> str:
    """Return the table as a terminal without colors shows it."""
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(summary_table(rows))
    return stream.getvalue()


def test_it_fits_a_hundred_columns_without_cutting_a_figure(realistic_inputs: ReportInputs) -> None:
    """On an ordinary terminal every metamodel's figures are there in full."""
    text = printed(realistic_inputs.rows)
    assert max(cell_len(line) for line in text.splitlines()) <= 100
    means = [row for row in realistic_inputs.rows if row.domain is None]
    for metamodel in realistic_inputs.metamodels:
        assert len(re.findall(rf" {metamodel} +\S?\d", text)) == sum(row.metamodel == metamodel for row in means)
    assert text.count("[") == len(means)


def test_figures_and_verdict_stand_in_the_best_line(row: NewRow) -> None:
    """The line of the best trained metamodel carries bits, interval, share of the ceiling, AUROC, ECE and verdict."""
    base = row(metamodel="base_rate", reduction_bits=-0.1, reduction_low_bits=-0.2, reduction_high_bits=0.0, auroc=None)
    lines = printed([base, row(), row(metamodel="weak", reduction_bits=0.1)], width=120).splitlines()
    best = next(line for line in lines if " bag " in line)
    assert best.split()[:2] == ["correct", "bag"]
    assert best.split()[2:11] == ["0.200", "[0.150,", "0.250]", "40", "%", "0.800", "0.040", "beats", "every"]
    baseline = next(line for line in lines if "base_rate" in line)
    assert "\N{MINUS SIGN}0.100" in baseline
    assert DASH in baseline
    assert lines.index(baseline) > next(i for i, line in enumerate(lines) if " weak " in line)


def test_names_are_never_markup_or_control(row: NewRow) -> None:
    """A primary model's or behavior's name cannot color the terminal or move its cursor."""
    text = printed([replace(row(), behavior="[red]x[/]", metamodel="m\x1b[2J"), replace(row(), primary="other")])
    assert "[red]x[/]" in text
    assert "\x1b" not in text


def test_single_domains_are_left_out(row: NewRow) -> None:
    """The terminal shows the rows that sum up a split."""
    assert "0.777" not in printed([row(), row(domain="addition", reduction_bits=0.777)])


def test_the_short_table_keeps_the_best_and_its_rival(row: NewRow) -> None:
    """Without every metamodel the best trained one and the best baseline remain, with the same verdict."""
    rows = [row(), row(metamodel="weak", reduction_bits=0.1), row(metamodel="base_rate", reduction_bits=-0.1)]
    stream = io.StringIO()
    Console(file=stream, width=120, color_system=None).print(summary_table(rows, every=False))
    text = stream.getvalue()
    assert " bag " in text
    assert " base_rate " in text
    assert " weak " not in text
