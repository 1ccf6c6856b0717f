"""The report's section on pre-screens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from metamodel.report.elements import (
    Badge,
    Bars,
    BarSeries,
    Bullets,
    Column,
    DataTable,
    Drawing,
    Element,
    Group,
    Lines,
    LineSeries,
    Panels,
    Section,
)
from metamodel.report.numbers import SPLIT_NAMES
from metamodel.report.prescreens import PrescreenPart
from metamodel.thresholds.choice import Choice

_LEAD: Final = (
    "A prompt is let through where its predicted probability of failure is at most the threshold; else the fallback "
    "answers. The promise is for prompts drawn like those that chose the threshold; on held-out domains the same "
    "threshold is applied to what fits that never saw the domain predicted, and the table shows what is left of it. "
    "Violates: the 95 % interval (Clopper and Pearson's) lies above the risk. AURC: mean failure rate over all "
    "coverages, lower is better. APGR and CPT: RouteLLM's, the mean share of the gap between primary model and "
    "fallback that is recovered, and the share of calls to the fallback that recovers half, or four fifths, of it."
)
_WORDS: Final = (
    "First: prompts are let through from the least likely failure up; across their share, up the failure rate among "
    "them, with 95 % intervals. As a router: prompts with the likeliest failures go to the fallback; across their "
    "share, up the failure rate of what the user gets. The greys are an oracle, which knows what came, and the lot. "
    "By domain: the failure rate among prompts let through, with 95 % intervals. Dashed: the risk and the threshold."
)
_REFERENCES: Final = ("oracle", "random")


def prescreen_section(parts: Sequence[PrescreenPart]) -> Section:
    """Return the section on what was chosen."""
    return Section(id="pre-screens", title="Pre-screen", lead=_LEAD, elements=[_group(part) for part in parts])


def _group(part: PrescreenPart) -> Group:
    lines: list[str | tuple[Badge, str]] = []
    if part.is_stale:
        again = "The metamodel was trained anew since: run `metamodel threshold` again."
        lines.append((Badge(text="out of date", grade="bad"), again))
    if not part.has_threshold:
        lines.append((Badge(text="no threshold holds", grade="bad"), ""))
    elements: list[Element] = [Bullets(lines=[*lines, *part.sentences]), _charts(part), _drawing(part)]
    if part.checks:
        elements.append(_check_table(part))
    if part.expenses:
        elements.append(_expense_table(part))
    elements.append(
        DataTable(
            title="What sorting is worth",
            columns=[Column(name=name) for name in ("Sorted by", "AURC", "APGR", "CPT(50 %)", "CPT(80 %)")],
            rows=part.savings,
        )
    )
    choice = part.choice
    return Group(title=part.name, elements=elements, facets={"primary": choice.primary} if choice.primary else {})


def _drawing(part: PrescreenPart) -> Drawing:
    return Drawing(title=part.chart.title, summary=part.chart.caption, svg=part.chart.svg)


def _charts(part: PrescreenPart) -> Panels:
    choice = part.choice
    charts: list[Lines | Bars] = [_lines(choice, is_router=False), _lines(choice, is_router=True)]
    domains = _domains(choice)
    if domains.categories:
        charts.append(domains)
    return Panels(title=part.chart.title, summary=_WORDS, charts=charts)


def _lines(choice: Choice, *, is_router: bool) -> Lines:
    threshold = {} if choice.threshold is None else {"threshold": 1 - choice.coverage if is_router else choice.coverage}
    risk = {} if choice.request.risk is None or is_router else {"risk": choice.request.risk}
    return Lines(
        title="As a router" if is_router else "Risk against coverage",
        summary="",
        x_label="share of calls to the fallback" if is_router else "coverage",
        y_label="failure rate of what the user gets" if is_router else "failure rate let through",
        x_limits=(0.0, 1.0),
        x_marks=threshold,
        y_marks=risk,
        series=[
            LineSeries(
                name=row.name,
                xs=row.fallback_share if is_router else row.coverage,
                ys=row.failure_rate if is_router else row.risk,
                lows=() if is_router else row.risk_low,
                highs=() if is_router else row.risk_high,
                is_baseline=row.name in _REFERENCES,
            )
            for row in choice.savings
        ],
    )


def _domains(choice: Choice) -> Bars:
    places = list(dict.fromkeys(str(one.domain) for check in choice.checks for one in check.domains if one.rate))
    series = []
    for check in choice.checks:
        found = {str(one.domain): one for one in check.domains if one.rate}
        rates = [found[name].rate if name in found else None for name in places]
        series.append(
            BarSeries(
                name=SPLIT_NAMES[check.split],
                values=[rate.value if rate else None for rate in rates],
                lows=[rate.low if rate else None for rate in rates],
                highs=[rate.high if rate else None for rate in rates],
                ns=[found[name].n_passed if name in found else None for name in places],
                facets={"split": SPLIT_NAMES[check.split]},
            )
        )
    asked = choice.request.risk
    return Bars(
        title="Failures let through, by domain",
        summary="",
        unit="failure rate let through",
        categories=places,
        category_facet="domain",
        is_points=True,
        series=series,
        references=[] if asked is None else [BarSeries(name="risk", values=[asked] * len(places))],
    )


def _check_table(part: PrescreenPart) -> DataTable:
    return DataTable(
        title="Failures let through, by domain",
        columns=[
            Column(name="Split", facet="split"),
            Column(name="Domain", facet="domain"),
            Column(name="Prompts", kind="number"),
            Column(name="Let through"),
            Column(name="Failure rate among them"),
            Column(name="Without pre-screen"),
            Column(name="The risk"),
        ],
        rows=[
            [line.split, line.domain, line.n_prompts, line.passed, line.rate, line.base_rate,
             Badge(text=line.verdict, grade=line.grade)]
            for line in part.checks
        ],
    )  # fmt: skip


def _expense_table(part: PrescreenPart) -> DataTable:
    names = ("With the pre-screen", "Always primary", "Always fallback", "Saved on always primary",
             "Saved on always fallback")  # fmt: skip
    return DataTable(
        title="What a prompt costs",
        columns=[Column(name="A prompt costs"), *(Column(name=name) for name in names)],
        rows=part.expenses,
    )
