"""What `metamodel threshold` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from metamodel.thresholds.choice import Choice
from metamodel.thresholds.words import (
    SPLIT_WORDS,
    UNIT_WORDS,
    amount_text,
    choice_sentences,
    interval_text,
    percent_text,
)

if TYPE_CHECKING:
    from rich.table import Table

_MOST_DOMAINS: Final = 40


def choice_lines(choice: Choice) -> Iterator[str]:
    """Yield what was asked, and what came of it, a sentence a line."""
    from metamodel.report.visible_text import plain

    yield from (plain(sentence) for sentence in choice_sentences(choice))


def choice_tables(choice: Choice) -> Iterator[Table]:
    """Yield the check of each domain, the costs, and what sorting is worth."""
    from metamodel.report.visible_text import plain

    if choice.checks:
        table = _table("Failures among the prompts let through", ["domain", "split"])
        for heading in ("prompts", "let through", "failure rate", "without", ""):
            table.add_column(heading, justify="right" if heading else "left")
        for check in choice.checks:
            for one in (check.total, *check.domains[:_MOST_DOMAINS]):
                table.add_row(
                    "all" if one.domain is None else plain(one.domain, limit=24),
                    SPLIT_WORDS[check.split],
                    str(one.n_prompts),
                    percent_text(one.n_passed / one.n_prompts),
                    interval_text(one.rate),
                    percent_text(one.base_rate),
                    one.verdict,
                    style="red" if one.verdict == "violates" else "bold" if one.domain is None else "",
                )
        yield table
    if choice.expenses:
        table = _table("A prompt costs", [""])
        for heading in (
            "with pre-screen",
            "always primary",
            "always fallback",
            "saved on primary",
            "saved on fallback",
        ):
            table.add_column(heading, justify="right")
        for expense in choice.expenses:
            costs = (expense.screened, expense.always_primary, expense.always_fallback)
            saved = (expense.saved, expense.saved_on_fallback)
            table.add_row(UNIT_WORDS[expense.unit], *(amount_text(cost) for cost in (*costs, *saved)))
        yield table
    table = _table("What sorting prompts is worth", ["by"])
    for heading in ("AURC", "APGR", "CPT(50 %)", "CPT(80 %)"):
        table.add_column(heading, justify="right")
    for row in choice.savings:
        table.add_row(
            plain(row.name, limit=24),
            interval_text(row.aurc, digits=1),
            *(interval_text(one, digits=1) for one in (row.apgr, row.cpt50, row.cpt80)),
        )
    yield table


def _table(title: str, names: list[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, title_justify="left")
    for name in names:
        table.add_column(name)
    return table
