"""The charts of transfer: a matrix of shares or bits a behavior, and dendrograms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.report import chart_tools as tools
from metamodel.report.palette import INK
from metamodel.report.svg import drawing_style, figure_to_svg
from metamodel.transfer.files import csv_lines
from metamodel.transfer.stage import JudgedTable
from metamodel.transfer.tables import FIGURES
from metamodel.transfer.trees import ModelTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_WRITTEN: Final = 12  # models up to which each cell's number is written into it
_MATRIX_CAPTION: Final = (
    "Rows: the primary model that a metamodel was trained on. Columns: whose labels judge it. Left: bits gained over "
    "the best constant. Right: their share of what the column's own metamodel gains on the same prompts; empty where "
    "that is not above zero with 95 % confidence."
)
_TREE_CAPTION: Final = (
    "Average linkage; the numbers are the share of bootstrap draws of prompts, in percent, in which the tree has the "
    "same clade."
)


def matrix_chart(one: JudgedTable) -> tools.Chart:
    """Draw one table's bits and shares."""
    table = one.table
    split = table.split.replace("_", " ")
    title = f"{table.behavior}: {table.metamodel} from model to model, {split}"
    size = max(3.4, 0.26 * len(table.sources) + 1.8)
    with drawing_style():
        figure = tools.new_figure(height=size, width=2 * size + 1.2)
        left, right = figure.subplots(1, 2, sharey=True)
        _heat(left, one, "bits")
        _heat(right, one, "share")
        svg = figure_to_svg(figure, name="transfer-matrix", title=title, description=_MATRIX_CAPTION)
    return tools.Chart(
        name=tools.safe_name("transfer", table.metamodel, table.behavior, table.split),
        primary="",
        behavior=table.behavior,
        title=title,
        caption=_MATRIX_CAPTION,
        svg=svg,
        csv=tools.to_csv(("source", "target", *FIGURES), csv_lines(table)),
    )


def tree_chart(tree: ModelTree) -> tools.Chart:
    """Draw a dendrogram with the support of its clades."""
    what = "labels agree" if tree.kind == "labels" else f"{tree.metamodel} carries over"
    title = f"Which models behave alike: how far {what}, {tree.split.replace('_', ' ')}"
    n = len(tree.names)
    height_of = {number: float(tree.order.index(number)) for number in range(n)}
    depth_of = dict.fromkeys(range(n), 0.0)
    with drawing_style():
        figure = tools.new_figure(height=1.2 + 0.24 * n, width=8.0)
        axes = figure.subplots()
        for number, clade in enumerate(tree.clades):
            low, high = sorted((height_of[clade.left], height_of[clade.right]))
            for side in (clade.left, clade.right):
                axes.hlines(height_of[side], depth_of[side], clade.distance, color=INK, linewidth=1.1)
            axes.vlines(clade.distance, low, high, color=INK, linewidth=1.1)
            height_of[n + number], depth_of[n + number] = (low + high) / 2, clade.distance
            if clade.n_models < n:
                place = (clade.distance, (low + high) / 2)
                axes.annotate(
                    f"{100 * clade.support:.0f}", place, xytext=(2, 1), textcoords="offset points", fontsize=7
                )
        axes.set_yticks(range(n), [tools.short(tree.names[number]) for number in tree.order])
        axes.set(
            xlabel=f"distance ({'1 - kappa' if tree.kind == 'labels' else 'share of entropy lost'})", xlim=(0, None)
        )
        svg = figure_to_svg(figure, name="transfer-tree", title=title, description=_TREE_CAPTION)
    lines = [(one.left, one.right, one.distance, one.n_models, one.support) for one in tree.clades]
    return tools.Chart(
        name=tools.safe_name("tree", tree.kind, *([tree.metamodel] if tree.metamodel else []), tree.split),
        primary="",
        behavior=None,
        title=title,
        caption=_TREE_CAPTION,
        svg=svg,
        csv=tools.to_csv(("left", "right", "distance", "n_models", "support"), lines),
    )


def _heat(axes: Axes, one: JudgedTable, name: str) -> None:
    table = one.table
    values = table.figures[name]
    known = values[np.isfinite(values)]
    top = float(np.max(np.abs(known))) if len(known) else 1.0
    # Far worse than a constant is off the scale: one such cell would otherwise fade all others.
    top = max(min(top, 1.5 * max(float(known.max()), 0.0)), 1e-3) if len(known) else 1.0
    image = axes.imshow(values, cmap="RdBu", vmin=-top, vmax=top, aspect="auto")
    axes.set_xticks(range(len(table.targets)), [tools.short(one) for one in table.targets], rotation=90)
    axes.set_yticks(range(len(table.sources)), [tools.short(one) for one in table.sources])
    axes.set(title=name, xlabel="scored on", ylabel="trained on" if name == "bits" else "")
    axes.figure.colorbar(image, ax=axes, shrink=0.7)
    if len(table.sources) <= MOST_WRITTEN:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6.5)
