"""The page of transfer: verdicts, matrices, asymmetry, trees, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from metamodel.report.baselines import baseline_names
from metamodel.report.elements import (
    Badge,
    Bullets,
    Cell,
    Column,
    DataTable,
    Element,
    Estimate,
    Facets,
    Grade,
    Group,
    Heatmap,
    Merge,
    Section,
    Tree,
    Words,
)
from metamodel.transfer.behaviors import BehaviorRow
from metamodel.transfer.stage import JudgedTable, Transfer
from metamodel.transfer.tables import TransferTable
from metamodel.transfer.trees import ModelTree
from metamodel.transfer.verdicts import CARRIED_SHARE, VERDICTS, Verdict

# Beyond these a page would weigh more than it tells; the files beside it hold all.
MOST_TABLES: Final = 120
MOST_MODELS: Final = 40
MOST_ROWS: Final = 2000
# Cells that are told in full, of the first matrices; those of others are in the files.
MOST_TOLD_CELLS: Final = 2600
GRADES: Final[dict[Verdict, Grade]] = {
    "carries": "good",
    "partly": "mixed",
    "does not": "bad",
    "undecided": "undefined",
    "nothing to carry": "undefined",
}
_HEATS: Final = (
    (
        "bits",
        "bits",
        "Bits gained over the best constant of the column's labels. Below zero is worse than a constant.",
        True,
    ),
    ("share", "share of native", "Bits over those of the column's own metamodel on the same prompts.", True),
    ("auroc", "AUROC", "How well the row's metamodel ranks the column's labels; 0.5 is chance.", False),
    (
        "ceiling",
        "bits",
        "What the row's own labels say of the column's, prompt by prompt; on the diagonal the noise ceiling.",
        False,
    ),
)


def sections_of(found: Transfer) -> list[Section]:
    """Return the page's sections."""
    return [
        _verdict_section(found),
        *_matrix_sections(found),
        _asymmetry_section(found),
        _tree_section(found),
        _notes_section(found),
    ]


def _verdict_section(found: Transfer) -> Section:
    columns = [
        Column(name="behavior", facet="behavior"),
        Column(name="metamodel", facet="metamodel"),
        Column(name="split", facet="split"),
        Column(name="verdict", help=verdict_help(found)),
        Column(name="native", kind="bits", help="Mean bits of the judged models' own metamodels on the same prompts."),
        Column(name="foreign", kind="bits", help="Mean bits over all ordered pairs of two models, with 95 % interval."),
        Column(name="share", kind="share", help="Foreign over native, with 95 % interval (Fieller)."),
        Column(name="worst domain", facet=None, help="The domain with the fewest mean foreign bits."),
        Column(name="bits there", kind="bits"),
        Column(name="kappa", kind="number", digits=2, help="Mean agreement of two models' labels beyond chance."),
        Column(name="pairs", help="How many pairs have which verdict of their own."),
    ]
    rows = [_verdict_row(one) for one in found.behaviors]
    table = DataTable(title="Which behaviors carry", columns=columns, rows=rows)
    lead = "Does a metamodel of one primary model predict another's labels? Mean over all pairs of two models."
    return Section(id="verdicts", title="Which behaviors carry across models", lead=lead, elements=[table])


def verdict_help(found: Transfer) -> str:
    """Say how a verdict is reached."""
    return (
        f"carries: at least {CARRIED_SHARE:.0%} of the native bits; partly: some, but fewer; does not: fewer, and none "
        f"shown to remain; undecided: the prompts do not tell. p <= {found.alpha:g} after {found.adjust} over all. "
        "Nothing to carry: the native metamodel itself is not shown to gain. Intervals are about other prompts of "
        "these domains, for these models."
    )


def _verdict_row(one: BehaviorRow) -> list[Cell]:
    return [
        one.behavior,
        one.metamodel,
        one.split.replace("_", " "),
        Badge(text=one.verdict, grade=GRADES[one.verdict]) if one.verdict else None,
        one.native,
        Estimate(value=one.bits, low=one.low, high=one.high),
        Estimate(value=one.share, low=one.share_low, high=one.share_high),
        one.worst_domain,
        Estimate(value=one.worst_bits, low=one.worst_low, high=one.worst_high),
        one.kappa,
        ", ".join(f"{n} {name}" for name, n in one.pairs.items()),
    ]


def _matrix_sections(found: Transfer) -> Iterator[Section]:
    baselines = {name for opened in found.plan.runs for name in baseline_names(opened.config)}
    small = [one for one in found.tables if len(one.table.targets) <= MOST_MODELS]
    shown = sorted(small, key=lambda one: one.table.metamodel in baselines)[:MOST_TABLES]
    groups: list[Element] = []
    n_told = 0
    for one in shown:
        table = one.table
        n_told += one.verdict.size
        is_told = n_told <= MOST_TOLD_CELLS
        title = f"{table.behavior}: {table.metamodel}, {table.split.replace('_', ' ')}"
        facets: Facets = {"behavior": table.behavior, "metamodel": table.metamodel, "split": table.split}
        charts: list[Element] = [
            _heatmap(one, name, unit, summary, is_diverging=is_diverging, is_told=is_told and name == "bits")
            for name, unit, summary, is_diverging in _HEATS
            if np.isfinite(table.figures[name]).any()
        ]
        charts += [_cell_table(one)] if is_told else []
        groups.append(Group(title=title, elements=charts, is_folded=bool(groups), facets=facets))
    n_hidden = len(found.tables) - len(shown)
    if n_hidden:
        groups.append(Words(paragraphs=[f"{n_hidden} more matrices are in transfer.json and transfer.parquet."]))
    if n_told > MOST_TOLD_CELLS:
        said = "The last matrices are drawn without a table of their cells, which is in transfer.parquet."
        groups.append(Words(paragraphs=[said]))
    lead = (
        "Rows: whom a metamodel was trained on. Columns: whose labels judge it. The diagonal is the native metamodel."
    )
    yield Section(id="matrices", title="From model to model", lead=lead, elements=groups)


def _heatmap(one: JudgedTable, name: str, unit: str, summary: str, *, is_diverging: bool, is_told: bool) -> Heatmap:
    table = one.table
    values = table.figures[name]
    known = values[np.isfinite(values)]
    top = max(float(known.max()), 1e-3)
    return Heatmap(
        title={"ceiling": "ceiling: agreement of labels"}.get(name, name),
        summary=summary,
        unit=unit,
        row_names=table.sources,
        column_names=table.targets,
        values=[[round(value, 4) if np.isfinite(value) else None for value in row] for row in values.tolist()],
        texts=[[cell_text(table, row, column) for column in range(values.shape[1])] for row in range(len(values))]
        if is_told
        else (),
        is_diverging=is_diverging,
        # What is far worse than a constant would fade all else.
        limits=(-top, top) if is_diverging else (float(known.min()), top),
        row_axis="trained on",
        column_axis="scored on",
    )


def cell_text(table: TransferTable, row: int, column: int) -> str:
    """Say a cell in full."""
    number = {name: float(values[row, column]) for name, values in table.figures.items()}
    parts = [f"{table.sources[row]} on {table.targets[column]}, {number['n_prompts']:.0f} prompts"]
    if np.isfinite(number["bits"]):
        parts.append(f"{number['bits']:+.3f} bits [{number['low']:+.3f}, {number['high']:+.3f}]")
    if np.isfinite(number["share"]):
        parts.append(f"{number['share']:.0%} of native [{number['share_low']:.0%}, {number['share_high']:.0%}]")
    if np.isfinite(number["ceiling"]):
        parts.append(f"ceiling {number['ceiling']:.3f} bits")
    if np.isfinite(number["kappa"]):
        parts.append(f"kappa {number['kappa']:.2f}")
    if number["n_missing"]:
        parts.append(f"{number['n_missing']:.0f} prompts missing")
    return "; ".join(parts)


def _cell_table(one: JudgedTable) -> DataTable:
    table = one.table
    figures = table.figures
    columns = [
        Column(name="trained on"),
        Column(name="scored on"),
        Column(name="verdict"),
        Column(name="bits", kind="bits"),
        Column(name="native", kind="bits"),
        Column(name="share", kind="share"),
        Column(name="lost", kind="bits", help="Native less foreign bits, paired by prompts, with 95 % interval."),
        Column(name="AUROC", kind="number", digits=3),
        Column(name="worst domain"),
        Column(name="bits there", kind="bits"),
        Column(name="ceiling", kind="bits"),
        Column(name="kappa", kind="number", digits=2),
        Column(name="prompts", kind="number", digits=0),
        Column(name="missing", kind="number", digits=0, help="Judged prompts that the source cannot fairly predict."),
    ]
    places = [(row, column) for row in range(len(table.sources)) for column in range(len(table.targets))]
    rows: list[list[Cell]] = []
    for place in places[:MOST_ROWS]:
        number = one.verdict[place]
        name: Verdict | None = VERDICTS[number] if number >= 0 else None
        rows.append(
            [
                table.sources[place[0]],
                table.targets[place[1]],
                Badge(text=name, grade=GRADES[name]) if name else None,
                _estimate(table, place, "bits", "low", "high"),
                _plain(figures["native"][place]),
                _estimate(table, place, "share", "share_low", "share_high"),
                _estimate(table, place, "loss", "loss_low", "loss_high"),
                _plain(figures["auroc"][place]),
                str(table.worst_domains[place]),
                _estimate(table, place, "worst_bits", "worst_low", "worst_high"),
                _estimate(table, place, "ceiling", "ceiling_low", "ceiling_high"),
                _estimate(table, place, "kappa", "kappa_low", "kappa_high"),
                int(figures["n_prompts"][place]),
                int(figures["n_missing"][place]),
            ]
        )
    n_total = len(places) if len(places) > MOST_ROWS else None
    return DataTable(title="All cells", columns=columns, rows=rows, n_total=n_total)


def _asymmetry_section(found: Transfer) -> Section:
    columns = [
        Column(name="behavior", facet="behavior"),
        Column(name="metamodel", facet="metamodel"),
        Column(name="split", facet="split"),
        Column(name="A"),
        Column(name="B"),
        Column(name="A on B", kind="share"),
        Column(name="B on A", kind="share"),
        Column(name="difference", kind="share", help="Share of A on B less share of B on A, with 95 % interval."),
        Column(name="p", kind="number", digits=4, help=f"Two-sided, {found.adjust} over all pairs."),
    ]
    rows = [row for _, row in sorted(_asymmetries(found), key=lambda one: one[0])]
    table = DataTable(
        title="Asymmetry",
        columns=columns,
        rows=rows[:200],
        n_total=len(rows) if len(rows) > 200 else None,  # noqa: PLR2004 - as many as are shown
        summary=f"Pairs whose two directions differ at adjusted p of at most {found.alpha:g}, largest first.",
    )
    empty = Words(paragraphs=["No pair of models differs between its two directions after adjustment."])
    lead = "Where A's metamodel serves B better than B's serves A, each measured by what the native one gains."
    return Section(id="asymmetry", title="Asymmetry", lead=lead, elements=[table if rows else empty])


def _asymmetries(found: Transfer) -> Iterator[tuple[float, list[Cell]]]:
    for one in found.tables:
        table = one.table
        values = table.figures["asymmetry"]
        for row, column in np.argwhere((one.p_asymmetry <= found.alpha) & (values > 0)):
            place = (int(row), int(column))
            back = float(table.figures["share"][place] - values[place])
            yield (
                -float(values[place]),
                [
                    table.behavior,
                    table.metamodel,
                    table.split.replace("_", " "),
                    table.sources[place[0]],
                    table.targets[place[1]],
                    float(table.figures["share"][place]),
                    back,
                    _estimate(table, place, "asymmetry", "asymmetry_low", "asymmetry_high"),
                    float(one.p_asymmetry[place]),
                ],
            )


def _tree_section(found: Transfer) -> Section:
    lead = "Average linkage: models joined further to the left behave more alike."
    trees = [_tree(one) for one in found.trees]
    empty = Words(paragraphs=["A dendrogram needs three models with figures for one another."])
    return Section(id="trees", title="Which models behave alike", lead=lead, elements=trees or [empty])


def _tree(one: ModelTree) -> Tree:
    where = one.split.replace("_", " ")
    is_labels = one.kind == "labels"
    return Tree(
        title=f"How far labels agree, {where}" if is_labels else f"What {one.metamodel} loses in transfer, {where}",
        summary=(
            ("Mean of 1 - kappa over behaviors." if is_labels else "Mean share of H(F) lost against the native's bits.")
            + f" Support: share of {one.n_draws} bootstrap draws of prompts with the same clade."
            + (f" Left out, without figures for all others: {', '.join(one.left_out)}." if one.left_out else "")
        ),
        unit="1 - kappa" if is_labels else "share of entropy lost",
        names=one.names,
        merges=[
            Merge(left=clade.left, right=clade.right, height=clade.distance, support=clade.support)
            for clade in one.clades
        ],
        facets={"split": one.split},
    )


def _notes_section(found: Transfer) -> Section:
    lead = "Prompts that are missing on either side are counted in every cell and named here."
    lines: Sequence[str] = found.notes or ("Nothing was left out.",)
    return Section(
        id="notes", title="What was compared, and what was left out", lead=lead, elements=[Bullets(lines=lines)]
    )


def _estimate(table: TransferTable, place: tuple[int, int], value: str, low: str, high: str) -> Estimate:
    figures = table.figures
    return Estimate(
        value=_plain(figures[value][place]), low=_plain(figures[low][place]), high=_plain(figures[high][place])
    )


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
