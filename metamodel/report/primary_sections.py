"""The report's section on one primary model: verdicts, bits gained, curves, prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from metamodel.metric_rows import (
    SPLITS,
    MetricsRow,
    Split,
    best_row,
    domain_rows,
    mean_rows,
    names,
    select,
)
from metamodel.report.chart_tools import bit_limits
from metamodel.report.elements import (
    POOLED,
    Badge,
    Bars,
    BarSeries,
    Column,
    DataTable,
    Element,
    Estimate,
    Group,
    Panels,
)
from metamodel.report.inputs import ReportInputs
from metamodel.report.numbers import DASH, SPLIT_NAMES, reason_missing
from metamodel.report.table_elements import Cell
from metamodel.report.verdicts import SummaryLine

_SUMMARY_WORDS: Final = (
    "Bars: bits gained over the best constant, H(F) less cross-entropy, with 95 % intervals; longer is better. Hollow "
    "bars left of the zero line mean worse than that constant. Grey bars are baselines. The upright tick is the noise "
    "ceiling, which no function of the prompt can pass; the band, its interval. Axes differ by panel; an arrow at the "
    "edge carries a value too far out for the axis."
)
_DOMAIN_WORDS: Final = (
    "Points: bits gained in each domain, with 95 % intervals; left of the zero line is worse than a constant. Held-out "
    "domains: the domain was never trained on. Upright ticks: the noise ceiling of the domain, the band its interval. "
    "Baselines are grey. Domains are ordered by the best trained metamodel. An arrow at the edge carries a value too "
    "far out for the axis."
)


def summary_group(lines: Sequence[SummaryLine], rows: Sequence[MetricsRow], inputs: ReportInputs) -> Group:
    """Return the verdicts and the bits of every metamodel on every behavior.

    Args:
        lines: The verdicts on one primary model.
        rows: Its rows.
        inputs: The whole report.
    """
    elements: list[Element] = [verdict_table(lines)]
    means = [row for row in mean_rows(rows) if row.reduction_bits is not None]
    panels = [_summary_panel(select(means, behavior=name), name, inputs) for name in names(means, "behavior")]
    if panels:
        title = f"Bits gained on every behavior of {rows[0].primary}"
        elements.append(Panels(title=title, summary=_SUMMARY_WORDS, charts=panels))
    elements.append(
        Group(title="Every metamodel, every score", elements=[scores_table(mean_rows(rows))], is_folded=True)
    )
    return Group(title="Summary", elements=elements)


def verdict_table(lines: Sequence[SummaryLine]) -> DataTable:
    """Return the verdict, best trained metamodel, best baseline and worst domain of each behavior and split."""
    return DataTable(
        title="Verdicts",
        summary="A letter beside a dash says why a figure is missing. Worst domain: of the best trained metamodel.",
        columns=[
            Column(name="Behavior", facet="behavior"),
            Column(name="Split", facet="split"),
            Column(name="Verdict"),
            *_score_columns("Best trained metamodel"),
            *_score_columns("Best baseline"),
            Column(name="Worst domain"),
            Column(name="Bits there", kind="bits"),
        ],
        rows=[
            [
                line.behavior,
                SPLIT_NAMES[line.split],
                Badge(text=line.verdict.text, grade=line.verdict.grade),
                *_scores(line.trained),
                *_scores(line.baseline),
                DASH if line.worst is None else line.worst.domain or "",
                Estimate(value=None, reason=_reason_no_worst(line)) if line.worst is None else bits_cell(line.worst),
            ]
            for line in lines
        ],
    )


def _reason_no_worst(line: SummaryLine) -> str:
    return "no single domain has a figure" if line.trained else reason_missing(None, "reduction_bits")


def _score_columns(group: str) -> list[Column]:
    return [
        Column(name="Name", group=group),
        Column(name="Bits gained", kind="bits", group=group),
        Column(name="Of ceiling", kind="share", digits=0, group=group),
        Column(name="AUROC", kind="number", digits=3, group=group),
        Column(name="ECE", kind="number", digits=3, group=group),
    ]


def _scores(row: MetricsRow | None) -> list[Cell]:
    if row is None:
        missing = Estimate(value=None, reason=reason_missing(None, "reduction_bits"))
        return [DASH, missing, missing, missing, missing]
    return [row.metamodel, bits_cell(row), *(score_cell(row, key) for key in ("explained", "auroc", "ece"))]


def bits_cell(row: MetricsRow | None) -> Estimate:
    """Return the bits gained with their interval, or why there are none."""
    if row is None:
        return Estimate(value=None, reason=reason_missing(None, "reduction_bits"))
    key = "reduction_bits" if row.reduction_bits is None else "reduction_low_bits"
    return Estimate(
        value=row.reduction_bits,
        low=row.reduction_low_bits,
        high=row.reduction_high_bits,
        reason=reason_missing(row, key),
    )


def score_cell(row: MetricsRow, key: str) -> Estimate | float:
    """Return a score without interval, or why there is none."""
    value: float | None = getattr(row, key)
    return Estimate(value=None, reason=reason_missing(row, key)) if value is None else value


def scores_table(rows: Sequence[MetricsRow]) -> DataTable:
    """Return every score of rows that pool all domains."""
    numbers = ("auroc", "auprc", "brier", "ece", "refinement_bits")
    return DataTable(
        title="All scores, over all domains",
        columns=[
            Column(name="Behavior", facet="behavior"),
            Column(name="Split", facet="split"),
            Column(name="Metamodel", facet="metamodel"),
            Column(name="Prompts", kind="number"),
            Column(name="H(F)", kind="bits", help="Entropy of the label on the prompts judged."),
            Column(name="Cross-entropy", kind="bits"),
            Column(name="Bits gained", kind="bits", help="H(F) less cross-entropy, with the 95 % interval."),
            Column(name="Ceiling", kind="bits"),
            Column(name="Of ceiling", kind="share", digits=0),
            *(Column(name=name, kind="number", digits=3) for name in ("AUROC", "AUPRC", "Brier", "ECE")),
            Column(name="Refinement", kind="bits", help="Cross-entropy less miscalibration."),
        ],
        rows=[
            [
                row.behavior,
                SPLIT_NAMES[row.split],
                row.metamodel,
                row.n_prompts,
                row.entropy_bits,
                row.cross_entropy_bits,
                bits_cell(row),
                _ceiling_cell(row),
                *(score_cell(row, key) for key in ("explained", *numbers)),
            ]
            for row in rows
        ],
    )


def behavior_groups(rows: Sequence[MetricsRow], inputs: ReportInputs) -> Iterator[Group]:
    """Yield each behavior's bits, domain by domain; behaviors without any figure of a domain are left out."""
    for behavior in names(rows, "behavior"):
        here = select(rows, behavior=behavior)
        shown = [row for row in here if row.reduction_bits is not None]
        if not domain_rows(shown):
            continue
        domains = ordered_domains(shown, baselines=inputs.baselines)
        figure = Panels(
            title=f"Bits gained on {behavior} of {rows[0].primary}, domain by domain",
            summary=_DOMAIN_WORDS,
            charts=[
                _domain_panel(select(shown, split=split), split, domains, inputs, bit_limits(shown))
                for split in SPLITS
                if select(shown, split=split)
            ],
            table=domain_table(here, metamodels=inputs.metamodels),
            n_columns=2,
        )
        yield Group(title=behavior, elements=[figure], facets={"behavior": behavior})


def domain_table(rows: Sequence[MetricsRow], *, metamodels: Sequence[str]) -> DataTable:
    """Return the bits gained on one behavior, a line a split and domain, a column a metamodel."""
    columns = [name for name in metamodels if name in names(rows, "metamodel")]
    lines: list[list[Cell]] = []
    for split in SPLITS:
        here = select(rows, split=split)
        for domain in [*([None] if any(row.domain is None for row in here) else []), *names(here, "domain")]:
            cell = {row.metamodel: row for row in here if row.domain == domain}
            known = next((row for row in cell.values() if row.ceiling_bits is not None), next(iter(cell.values())))
            figures = [bits_cell(cell.get(name)) for name in columns]
            lines.append(
                [SPLIT_NAMES[split], domain or POOLED, max(row.n_prompts for row in cell.values()),
                 _ceiling_cell(known), *figures]
            )  # fmt: skip
    return DataTable(
        title="Bits gained, domain by domain",
        columns=[
            Column(name="Split", facet="split"),
            Column(name="Domain", facet="domain"),
            Column(name="Prompts", kind="number"),
            Column(name="Ceiling", kind="bits"),
            *(Column(name=name, kind="bits") for name in columns),
        ],
        rows=lines,
    )


def _ceiling_cell(row: MetricsRow) -> Estimate:
    return Estimate(
        value=row.ceiling_bits,
        low=row.ceiling_low_bits,
        high=row.ceiling_high_bits,
        reason="" if row.ceiling_bits is not None else reason_missing(row, "explained"),
    )


def _summary_panel(rows: Sequence[MetricsRow], behavior: str, inputs: ReportInputs) -> Bars:
    splits = [split for split in SPLITS if select(rows, split=split)]
    cells = [{row.metamodel: row for row in select(rows, split=split)} for split in splits]
    return Bars(
        title=behavior,
        summary="",
        unit="bits gained",
        categories=[SPLIT_NAMES[split] for split in splits],
        category_facet="split",
        series=_series(cells, inputs),
        references=[_ceilings(cells)],
        limits=bit_limits(rows),
        facets={"behavior": behavior},
    )


def _domain_panel(
    rows: Sequence[MetricsRow],
    split: Split,
    domains: Sequence[str | None],
    inputs: ReportInputs,
    limits: tuple[float, float],
) -> Bars:
    cells = [{row.metamodel: row for row in rows if row.domain == domain} for domain in domains]
    return Bars(
        title=SPLIT_NAMES[split],
        summary="",
        unit="bits gained",
        categories=[domain or POOLED for domain in domains],
        category_facet="domain",
        series=_series(cells, inputs),
        references=[_ceilings(cells)],
        is_points=True,
        limits=limits,
        facets={"split": SPLIT_NAMES[split]},
    )


def _series(cells: Sequence[dict[str, MetricsRow]], inputs: ReportInputs) -> list[BarSeries]:
    found = []
    for name in inputs.metamodels:
        rows = [cell.get(name) for cell in cells]
        if not any(rows):
            continue
        found.append(
            BarSeries(
                name=name,
                values=[row.reduction_bits if row else None for row in rows],
                lows=[row.reduction_low_bits if row else None for row in rows],
                highs=[row.reduction_high_bits if row else None for row in rows],
                ns=[row.n_prompts if row else None for row in rows],
                is_baseline=name in inputs.baselines,
                facets={"metamodel": name},
            )
        )
    return found


def _ceilings(cells: Sequence[dict[str, MetricsRow]]) -> BarSeries:
    known = [next((row for row in cell.values() if row.ceiling_bits is not None), None) for cell in cells]
    return BarSeries(
        name="noise ceiling",
        values=[row.ceiling_bits if row else None for row in known],
        lows=[row.ceiling_low_bits if row else None for row in known],
        highs=[row.ceiling_high_bits if row else None for row in known],
    )


def ordered_domains(rows: Sequence[MetricsRow], *, baselines: Sequence[str]) -> list[str | None]:
    """Return the summing row, then domains from most to fewest bits gained by the best trained metamodel."""
    held_out = select(rows, split="held_out_domain") or list(rows)
    means = mean_rows(held_out)
    best = best_row(row for row in means if row.metamodel not in baselines) or best_row(means) or held_out[0]
    gained = {row.domain: row.reduction_bits or 0.0 for row in domain_rows(held_out) if row.metamodel == best.metamodel}
    domains = sorted(names(rows, "domain"), key=lambda domain: -gained.get(domain, float("-inf")))
    return [*([None] if mean_rows(rows) else []), *domains]
