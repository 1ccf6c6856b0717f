"""A comparison as the sections of a page."""

from __future__ import annotations

from typing import Final

from metamodel.compare.charts import MOST_DRAWN, row_label
from metamodel.compare.rows import VERDICT_MEANINGS, ComparedRow, Measured, Verdict
from metamodel.compare.stage import RunComparison
from metamodel.compare.tables import headline
from metamodel.report.elements import (
    Badge,
    Bars,
    BarSeries,
    Bullets,
    Cell,
    Column,
    DataTable,
    Element,
    Estimate,
    Grade,
    Section,
    Terms,
    Words,
)
from metamodel.report.numbers import SPLIT_NAMES

# A page of more rows opens slowly; compare.json holds all.
MOST_ROWS: Final = 3000
_GRADES: Final[dict[Verdict, Grade]] = {
    "better": "good",
    "worse": "bad",
    "no difference seen": "undefined",
    "too few prompts": "undefined",
    "different data": "mixed",
}
_NAME_COLUMNS: Final = (
    Column(name="behavior", facet="behavior"),
    Column(name="metamodel", facet="metamodel"),
    Column(name="primary model", facet="primary"),
    Column(name="split"),
)


def sections_of(found: RunComparison) -> list[Section]:
    """Return what a page says of a comparison: verdicts, differences, single domains, different data, settings."""
    same = [row for row in found.rows if row.rates is None]
    different = [row for row in found.rows if row.rates is not None]
    sections = [_overview(found)]
    if same:
        tables = [
            _same_table("All prompts and means over domains", [row for row in same if row.domain is None]),
            _same_table("Single domains", [row for row in same if row.domain is not None]),
        ]
        lead = "Both runs judged these labels: a difference is one in prediction."
        sections.append(Section(id="same-labels", title="On the same labels", lead=lead, elements=tables))
    if different:
        lead = "The labels differ: bits are of each run's own labels, and no verdict is given."
        table = _different_table(different)
        sections.append(Section(id="different-data", title="Different data", lead=lead, elements=[table]))
    changes = Bullets(lines=list(found.config_changes)) if found.config_changes else Words(paragraphs=["None."])
    sections.append(
        Section(id="settings", title="Settings that differ", lead="Old value, then new value.", elements=[changes])
    )
    return sections


def _overview(found: RunComparison) -> Section:
    options = found.options
    how = (
        f"95 % intervals of a paired bootstrap over prompts within domains, {options.n_draws:,} draws; p of a paired "
        f"t-test, adjusted ({options.adjust}) over the rows of a kind; level {options.alpha:g}"
    )
    facts = [
        ("Old run", found.old_path),
        ("New run", found.new_path),
        ("Verdicts", headline(found)),
        (
            "Intervals and p",
            how,
        ),
        *VERDICT_MEANINGS.items(),
    ]
    ranked = sorted(found.summaries, key=lambda row: -abs(row.difference.value))[:MOST_DRAWN]
    elements: list[Element] = [Terms(pairs=facts), _bars(ranked)]
    if found.notes:
        elements.append(Bullets(lines=list(found.notes)))
    return Section(
        id="overview",
        title="Which run predicts better",
        lead="Bits gained by the new run less those gained by the old one, on the prompts that both judged.",
        elements=elements,
    )


def _bars(rows: list[ComparedRow]) -> Bars:
    shown: dict[Verdict, list[ComparedRow]] = {}
    for row in rows:
        shown.setdefault(row.verdict, []).append(row)
    series = []
    for verdict in _GRADES:
        if verdict in shown:
            mine = [row if row.verdict == verdict else None for row in rows]
            series.append(
                BarSeries(
                    name=verdict,
                    values=[row.difference.value if row else None for row in mine],
                    lows=[row.difference.low if row else None for row in mine],
                    highs=[row.difference.high if row else None for row in mine],
                    ns=[row.n_prompts if row else None for row in mine],
                    is_baseline=verdict not in ("better", "worse"),
                )
            )
    return Bars(
        title="The greatest differences",
        summary=f"New run less old run in bits a label, with 95 % intervals, by verdict: the {len(rows)} greatest.",
        unit="bits, new less old",
        categories=[row_label(row) for row in rows],
        series=series,
        is_points=True,
    )


def _same_table(title: str, rows: list[ComparedRow]) -> DataTable:
    lines: list[list[Cell]] = [
        [
            *_names(row),
            row.domain or f"{row.n_domains} domains",
            Badge(text=row.verdict, grade=_GRADES[row.verdict]),
            row.n_prompts,
            row.n_only_old,
            row.n_only_new,
            row.old_bits,
            row.new_bits,
            _estimate(row.difference),
            row.p_adjusted,
            "" if row.worst_domain is None else row.worst_domain,
            row.worst_bits,
        ]
        for row in rows[:MOST_ROWS]
    ]
    return DataTable(
        title=title,
        summary="Sorted by the size of the difference.",
        columns=[
            *_NAME_COLUMNS,
            Column(name="domain", facet="domain"),
            Column(name="verdict"),
            Column(name="prompts", kind="number", digits=0, help="Prompts that both runs judged and labeled."),
            Column(name="old only", kind="number", digits=0, help="Judged by the old run alone, or unlabeled."),
            Column(name="new only", kind="number", digits=0, help="Judged by the new run alone, or unlabeled."),
            Column(name="old bits", kind="bits", help="Bits gained over the best constant by the old run."),
            Column(name="new bits", kind="bits", help="The same by the new run."),
            Column(name="difference", kind="bits", help="New less old, prompts paired, with 95 % interval."),
            Column(name="p", kind="number", digits=3, help="Adjusted for the number of rows."),
            Column(name="worst domain", help="Where the new run loses most."),
            Column(name="difference there", kind="bits"),
        ],
        rows=lines,
        n_total=len(rows) if len(rows) > MOST_ROWS else None,
    )


def _different_table(rows: list[ComparedRow]) -> DataTable:
    lines: list[list[Cell]] = []
    for row in rows[:MOST_ROWS]:
        if row.rates is not None:
            rates = row.rates
            lines.append(
                [
                    *_names(row), row.domain or f"{row.n_domains} domains", row.relation, row.n_prompts,
                    rates.old_rate, rates.new_rate, _estimate(rates.difference), rates.distance,
                    _estimate(rates.agreement), rates.chance_agreement, row.old_bits, row.new_bits,
                    _estimate(row.difference),
                ]
            )  # fmt: skip
    return DataTable(
        title="Rates, agreement and bits",
        summary="relabeled: the same generations, labeled in another way; other: other generations.",
        columns=[
            *_NAME_COLUMNS,
            Column(name="domain", facet="domain"),
            Column(name="labels"),
            Column(name="prompts", kind="number", digits=0, help="Prompts that both runs judged and labeled."),
            Column(name="old rate", kind="share", help="Rate of yes among the old labels; binary behaviors alone."),
            Column(name="new rate", kind="share"),
            Column(name="rate difference", kind="share", help="New rate less old rate, with 95 % interval."),
            Column(name="distance", kind="share", help="Total variation of outcome shares; above zero by chance too."),
            Column(name="agreement", kind="share", help="How often an old and a new label of a prompt are equal."),
            Column(name="by chance", kind="share", help="The same with the prompts of a domain exchanged."),
            Column(name="old bits", kind="bits", help="Bits gained on the old labels."),
            Column(name="new bits", kind="bits", help="Bits gained on the new labels."),
            Column(name="difference", kind="bits", help="New less old, each on its own labels: no verdict."),
        ],
        rows=lines,
        n_total=len(rows) if len(rows) > MOST_ROWS else None,
    )


def _names(row: ComparedRow) -> list[Cell]:
    return [str(row.behavior), str(row.metamodel), str(row.primary), SPLIT_NAMES[row.split]]


def _estimate(measured: Measured | None) -> Estimate:
    if measured is None:
        return Estimate(value=None, reason="not a binary behavior")
    return Estimate(value=measured.value, low=measured.low, high=measured.high)
