"""The tables of the page as plain data, every missing number with the reason why."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from metamodel.metric_rows import SPLITS, MetricsRow, names, select
from metamodel.report.numbers import DASH, SHORT_SPLIT_NAMES, SPLIT_NAMES, interval, percent, reason_missing, signed
from metamodel.report.verdicts import SummaryLine, Verdict
from metamodel.report.visible_text import plain


@dataclass(kw_only=True)
class Footnotes:
    """Reasons why numbers of one table are missing, each with a letter."""

    marks: dict[str, str] = field(default_factory=dict)

    def mark(self, reason: str) -> str:
        """Return the letter of a reason, a new one on its first use."""
        letters = string.ascii_lowercase
        return self.marks.setdefault(reason, letters[len(self.marks) % len(letters)] * (1 + len(self.marks) // 26))

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Letters with their reasons, in order of first use."""
        return [(mark, reason) for reason, mark in self.marks.items()]


@dataclass(frozen=True, kw_only=True)
class TextCell:
    """What stands in a cell.

    Attributes:
        text: The figure, or a dash.
        detail: A second, smaller line.
        mark: Letter of the footnote that says why there is a dash.
        is_negative: Whether the figure is below zero, which is shown in its own color too.
    """

    text: str
    detail: str = ""
    mark: str = ""
    is_negative: bool = False


@dataclass(frozen=True, kw_only=True)
class ScoreCells:
    """One metamodel's figures in the summary."""

    name: TextCell
    bits: TextCell
    explained: TextCell
    auroc: TextCell
    ece: TextCell


@dataclass(frozen=True, kw_only=True)
class SummaryCells:
    """A line of the summary table; `n_lines` is how many lines share the behavior's cell, 0 after the first."""

    behavior: str
    n_lines: int
    split: str
    trained: ScoreCells
    baseline: ScoreCells
    worst: TextCell
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class SummaryTable:
    """The summary of one primary model."""

    lines: Sequence[SummaryCells]
    footnotes: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class DomainTable:
    """The figures behind one behavior's domain chart: bits gained, a line a split and domain, a column a metamodel."""

    columns: Sequence[str]
    lines: Sequence[tuple[str, str, TextCell, Sequence[TextCell]]]
    footnotes: Sequence[tuple[str, str]]


def lay_out_summary(lines: Sequence[SummaryLine]) -> SummaryTable:
    """Lay out the summary of one primary model."""
    footnotes = Footnotes()
    cells = []
    previous = ""
    for line in lines:
        n_lines = sum(other.behavior == line.behavior for other in lines) if line.behavior != previous else 0
        previous = line.behavior
        cells.append(
            SummaryCells(
                behavior=plain(line.behavior),
                n_lines=n_lines,
                split=SHORT_SPLIT_NAMES[line.split],
                trained=_scores(line.trained, footnotes),
                baseline=_scores(line.baseline, footnotes),
                worst=_worst(line, footnotes),
                verdict=line.verdict,
            )
        )
    return SummaryTable(lines=cells, footnotes=footnotes.lines)


def lay_out_domains(rows: Sequence[MetricsRow], *, metamodels: Sequence[str]) -> DomainTable:
    """Lay out the bits gained on one behavior.

    Args:
        rows: Rows of one behavior and primary model.
        metamodels: Columns in their order; those without a row are left out.
    """
    footnotes = Footnotes()
    columns = [name for name in metamodels if name in names(rows, "metamodel")]
    lines = []
    for split in SPLITS:
        here = select(rows, split=split)
        domains = [*([None] if any(row.domain is None for row in here) else []), *names(here, "domain")]
        for domain in domains:
            cell = {row.metamodel: row for row in here if row.domain == domain}
            label = "all domains" if domain is None else plain(domain)
            figures = [_bits(cell.get(name), footnotes) for name in columns]
            lines.append((SPLIT_NAMES[split], label, _ceiling(cell, footnotes), figures))
    return DomainTable(columns=[plain(name) for name in columns], lines=lines, footnotes=footnotes.lines)


def _scores(row: MetricsRow | None, footnotes: Footnotes) -> ScoreCells:
    if row is None:
        missing = TextCell(text=DASH, mark=footnotes.mark(reason_missing(None, "reduction_bits")))
        return ScoreCells(name=missing, bits=missing, explained=missing, auroc=missing, ece=missing)
    return ScoreCells(
        name=TextCell(text=plain(row.metamodel)),
        bits=_bits(row, footnotes),
        explained=_number(row, "explained", percent, footnotes),
        auroc=_number(row, "auroc", signed, footnotes),
        ece=_number(row, "ece", signed, footnotes),
    )


def _number(
    row: MetricsRow | None, key: str, write: Callable[[float | None], str], footnotes: Footnotes, *, detail: str = ""
) -> TextCell:
    value: float | None = None if row is None else getattr(row, key)
    if value is None:
        return TextCell(text=DASH, mark=footnotes.mark(reason_missing(row, key)))
    return TextCell(text=write(value), detail=detail, is_negative=value < 0)


def _bits(row: MetricsRow | None, footnotes: Footnotes) -> TextCell:
    cell = _number(row, "reduction_bits", signed, footnotes, detail=interval(row))
    if cell.mark or cell.detail != DASH:
        return cell
    mark = footnotes.mark(reason_missing(row, "reduction_low_bits"))
    return TextCell(text=cell.text, detail=cell.detail, mark=mark, is_negative=cell.is_negative)


def _ceiling(cell: Mapping[str, MetricsRow], footnotes: Footnotes) -> TextCell:
    known = next((row for row in cell.values() if row.ceiling_bits is not None), None)
    if known is None:
        return TextCell(text=DASH, mark=footnotes.mark(reason_missing(next(iter(cell.values()), None), "explained")))
    ends = (known.ceiling_low_bits, known.ceiling_high_bits)
    detail = DASH if None in ends else f"[{signed(ends[0])}, {signed(ends[1])}]"
    return TextCell(text=signed(known.ceiling_bits), detail=detail)


def _worst(line: SummaryLine, footnotes: Footnotes) -> TextCell:
    if line.worst is None:
        reason = "no single domain has a figure" if line.trained else reason_missing(None, "reduction_bits")
        return TextCell(text=DASH, mark=footnotes.mark(reason))
    gained = line.worst.reduction_bits
    return TextCell(text=plain(line.worst.domain or ""), detail=signed(gained), is_negative=(gained or 0.0) < 0)
