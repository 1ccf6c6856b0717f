"""A comparison as tables: on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from metamodel.compare.rows import ComparedRow, Measured, Verdict
from metamodel.compare.stage import RunComparison
from metamodel.report.numbers import DASH, SHORT_SPLIT_NAMES, signed
from metamodel.report.visible_text import plain

if TYPE_CHECKING:
    from rich.table import Table

STYLES: Final[dict[Verdict, str]] = {
    "better": "green",
    "worse": "red",
    "no difference seen": "",
    "too few prompts": "dim",
    "different data": "yellow",
}
_LEAST_SHOWN_P: Final = 0.001
_NAME_WIDTH: Final = 20
_NAME_LIMIT: Final = 14
_VERDICT_WIDTH: Final = 10


def what(row: ComparedRow) -> str:
    """Return what a row compares, in one line: metamodel and primary model, each by its names in both runs."""
    return f"{row.metamodel} on {row.primary}"


def bracketed(measured: Measured | None) -> str:
    """Return an interval in brackets, or a dash."""
    if measured is None or measured.low is None or measured.high is None:
        return DASH
    return f"[{signed(measured.low)}, {signed(measured.high)}]"


def p_text(value: float | None) -> str:
    """Return a p value as it is printed.

    >>> p_text(0.0004), p_text(0.25)
    ('<0.001', '0.250')
    """
    if value is None:
        return DASH
    return f"<{_LEAST_SHOWN_P:g}" if value < _LEAST_SHOWN_P else f"{value:.3f}"


def difference_table(found: RunComparison, *, n_rows: int | None, has_domains: bool) -> Table:
    """Return the differences on the same labels, the greatest first.

    Args:
        found: The comparison.
        n_rows: Most rows; None shows all.
        has_domains: Whether single domains are shown as well.
    """
    rows = [row for row in found.rows if row.rates is None and (has_domains or row.domain is None)]
    table = _table(
        f"New bits less old bits, on the same labels ({_counted(len(rows), n_rows)}, the greatest difference first)",
        "Held out: mean over domains. In brackets: 95 % interval of a paired bootstrap over prompts. p: paired t-test, "
        f"{found.options.adjust} over all rows of this kind. better, worse: p <= {found.options.alpha:g} and zero "
        "outside the interval.",
    )
    _add_names(table)
    for heading in ("old", "new", "diff", "", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("worst domain", overflow="fold", max_width=_NAME_LIMIT)
    table.add_column("verdict", overflow="fold", max_width=_VERDICT_WIDTH)
    for row in rows[:n_rows]:
        worst = plain(row.worst_domain, limit=_NAME_LIMIT) if row.worst_domain is not None else ""
        _add_row(
            table,
            *_name_cells(row),
            signed(row.old_bits),
            signed(row.new_bits),
            signed(row.difference.value),
            bracketed(row.difference),
            p_text(row.p_adjusted),
            f"{worst}\n{signed(row.worst_bits)}" if worst else "",
            row.verdict,
            style=STYLES[row.verdict],
        )
    return table


def different_data_table(found: RunComparison, *, n_rows: int | None, has_domains: bool) -> Table | None:
    """Return what can be said where the labels differ, or None where they differ nowhere; arguments as above."""
    rows = [row for row in found.rows if row.rates is not None and (has_domains or row.domain is None)]
    if not rows:
        return None
    table = _table(
        f"Different data ({_counted(len(rows), n_rows)}): the labels of the same prompts differ",
        "Bits are of each run's own labels: a difference may come from the labels alone, so it has no verdict. agree: "
        "how often an old and a new label of a prompt are equal (by chance, with prompts exchanged within a domain). "
        "In brackets: 95 % interval.",
    )
    _add_names(table)
    for heading in ("rate old", "new", "diff", "agree\n(chance)", "bits old", "new", "diff"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows[:n_rows]:
        rates = row.rates
        if rates is None:
            continue
        _add_row(
            table,
            *_name_cells(row),
            signed(rates.old_rate, digits=2),
            signed(rates.new_rate, digits=2),
            f"{signed(rates.difference.value)}\n{bracketed(rates.difference)}" if rates.difference else DASH,
            f"{rates.agreement.value:.2f}\n({rates.chance_agreement:.2f})",
            signed(row.old_bits),
            signed(row.new_bits),
            f"{signed(row.difference.value)}\n{bracketed(row.difference)}",
        )
    return table


def headline(found: RunComparison) -> str:
    """Return how many comparisons ended how.

    >>> from metamodel.compare.stage import CompareOptions
    >>> options = CompareOptions()
    >>> nothing = RunComparison(old_path="a", new_path="b", options=options, rows=[], notes=[], config_changes=[])
    >>> headline(nothing)
    'nothing compared'
    """
    counts = found.verdicts
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in STYLES if verdict in counts) or "nothing compared"


def _add_names(table: Table) -> None:
    table.add_column("behavior\nsplit, prompts", overflow="fold", max_width=_NAME_WIDTH)
    table.add_column("metamodel\nprimary", overflow="fold", max_width=_NAME_WIDTH)


def _name_cells(row: ComparedRow) -> tuple[str, str]:
    """Return what a row is about, in two cells of two lines."""
    place = f"{SHORT_SPLIT_NAMES[row.split]}, {row.n_prompts:,}"
    if row.domain is not None:
        place = f"{plain(row.domain, limit=_NAME_LIMIT)}, {place}"
    behavior, metamodel, primary = (_short(str(name)) for name in (row.behavior, row.metamodel, row.primary))
    return f"{behavior}\n{place}", f"{metamodel}\n{primary}"


def _add_row(table: Table, *cells: str, style: str = "") -> None:
    """Add a row of texts that are never read as markup: names may hold brackets."""
    from rich.text import Text

    table.add_row(*(Text(cell) for cell in cells), style=style)


def _short(name: str) -> str:
    return plain(name, limit=2 * _NAME_WIDTH)


def _counted(n: int, most: int | None) -> str:
    return f"{most} of {n} rows" if most is not None and n > most else f"{n} rows"


def _table(title: str, caption: str, columns: Sequence[str] = ()) -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        *columns, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, title_justify="left", caption=caption,
        caption_justify="left",
    )  # fmt: skip
