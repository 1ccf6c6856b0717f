"""What the report says on pre-screens: what was chosen, what it promises, and where it breaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metamodel.report.chart_tools import Chart
from metamodel.report.charts_prescreen import prescreen_chart
from metamodel.report.numbers import SPLIT_NAMES
from metamodel.report.verdicts import Grade
from metamodel.report.visible_text import plain
from metamodel.thresholds.choice import Choice
from metamodel.thresholds.domains import DomainVerdict
from metamodel.thresholds.files import FitThresholds
from metamodel.thresholds.words import UNIT_WORDS, amount_text, choice_sentences, interval_text, percent_text

_GRADES: dict[DomainVerdict, Grade] = {
    "holds": "good",
    "promised": "good",
    "unclear": "mixed",
    "violates": "bad",
    "nothing passes": "undefined",
    "no risk asked": "undefined",
}


@dataclass(frozen=True, kw_only=True)
class CheckLine:
    """One line of the domain table."""

    split: str
    domain: str
    n_prompts: int
    passed: str
    rate: str
    base_rate: str
    grade: Grade
    verdict: str
    is_total: bool


@dataclass(frozen=True, kw_only=True)
class PrescreenPart:
    """All that is said about one choice.

    Attributes:
        anchor: Id of its heading.
        name: The behavior and the fit.
        choice: What was chosen.
        sentences: What was asked and what came of it.
        has_threshold: Whether one holds.
        is_stale: Whether the fit was trained anew since.
        chart: Its curves.
        checks: Each split and domain.
        expenses: Unit and five amounts a line.
        savings: Name and four figures a line.
    """

    anchor: str
    name: str
    choice: Choice
    sentences: Sequence[str]
    has_threshold: bool
    is_stale: bool
    chart: Chart
    checks: Sequence[CheckLine]
    expenses: Sequence[Sequence[str]]
    savings: Sequence[Sequence[str]]


def lay_out_prescreens(found: Iterable[tuple[FitThresholds, bool]]) -> list[PrescreenPart]:
    """Return a part for each choice; with each fit's thresholds, whether the fit was trained anew since."""
    pairs = [(one, choice, is_stale) for one, is_stale in found for choice in one.choices]
    return [
        PrescreenPart(
            anchor=f"pre-screen-{number}",
            name=plain(f"{choice.task}, {one.fit}"),
            choice=choice,
            sentences=[plain(sentence) for sentence in choice_sentences(choice)],
            has_threshold=choice.threshold is not None,
            is_stale=is_stale,
            chart=prescreen_chart(choice, fit=one.fit),
            checks=_checks(choice),
            expenses=[
                (
                    UNIT_WORDS[expense.unit],
                    *map(amount_text, (expense.screened, expense.always_primary)),
                    *map(amount_text, (expense.always_fallback, expense.saved, expense.saved_on_fallback)),
                )
                for expense in choice.expenses
            ],
            savings=[
                (plain(row.name), *(interval_text(one) for one in (row.aurc, row.apgr, row.cpt50, row.cpt80)))
                for row in choice.savings
            ],
        )
        for number, (one, choice, is_stale) in enumerate(pairs, start=1)
    ]


def _checks(choice: Choice) -> list[CheckLine]:
    return [
        CheckLine(
            split=SPLIT_NAMES[check.split],
            domain="all" if one.domain is None else plain(one.domain),
            n_prompts=one.n_prompts,
            passed=percent_text(one.n_passed / one.n_prompts),
            rate=interval_text(one.rate),
            base_rate=percent_text(one.base_rate),
            grade=_GRADES[one.verdict],
            verdict=one.verdict,
            is_total=one.domain is None,
        )
        for check in choice.checks
        for one in (check.total, *check.domains)
    ]
