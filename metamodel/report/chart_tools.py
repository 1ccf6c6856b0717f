"""What the charts share: grids of panels, interval limits, legends."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from metamodel.metric_rows import MetricsRow
from metamodel.report.numbers import signed
from metamodel.report.palette import INK, Look
from metamodel.report.visible_text import plain
from metamodel.types import content_hash

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CsvCell: TypeAlias = str | int | float | None

WIDTH_INCHES: Final = 11.0
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")
_CARET_LEFT: Final = 4  # matplotlib's number for a triangle that points left, its tip on the point


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawn chart.

    Attributes:
        name: File name without ending, safe on every system and unique in a report.
        primary: The primary model whose section it belongs to.
        behavior: The one behavior that it shows, or None if it shows all.
        title: What it shows.
        caption: How to read it.
        svg: Text of one `<svg>` element.
        csv: The figures behind it, with a header line.
    """

    name: str
    primary: str
    behavior: str | None
    title: str
    caption: str
    svg: str
    csv: str


def to_csv(header: Sequence[str], lines: Iterable[Sequence[CsvCell]]) -> str:
    """Return lines as CSV; None becomes an empty field."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return buffer.getvalue()


def safe_name(*parts: str) -> str:
    """Return a file name of the parts that every file system takes and that differs where the parts differ.

    >>> safe_name("reliability", "gpt2")
    'reliability--gpt2'
    """
    joined = "--".join(parts)
    safe = _UNSAFE.sub("_", joined).lower()[:80]
    # Two names may be made equal by the replacement, or by a file system that ignores case.
    return safe if safe == joined else f"{safe}-{content_hash(*parts)[:8]}"


def new_figure(*, height: float, width: float = WIDTH_INCHES) -> Figure:
    """Return an empty figure that no global state knows."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def short(name: str) -> str:
    """Return a name that fits beside an axis, hidden characters shown."""
    return plain(name, limit=28)


def bit_limits(rows: Iterable[MetricsRow]) -> tuple[float, float]:
    """Return the ends of an axis of bits that holds zero, the ceilings and the intervals.

    The low end stops at minus the high end: one metamodel that fails badly would otherwise press all others together.
    Whoever lies beyond must be marked by `mark_beyond`.
    """
    highs, lows = [0.01], [0.0]
    for row in rows:
        highs += [value for value in (row.reduction_high_bits, row.reduction_bits, row.ceiling_high_bits) if value]
        lows += [value for value in (row.reduction_low_bits, row.reduction_bits) if value]
    high = max(highs) * 1.06
    low = max(min(lows) * 1.12, -high)
    return min(low, -0.04 * high), high


def mark_beyond(axes: Axes, *, value: float, y: float, color: str) -> None:
    """Write the value of a point that lies left of the axis at its edge, with an arrow."""
    low = axes.get_xlim()[0]
    axes.plot([low], [y], marker=_CARET_LEFT, color=color, markersize=4.5, clip_on=False, zorder=6)
    axes.annotate(signed(value, digits=2), (low, y), xytext=(7, 0), textcoords="offset points", va="center", fontsize=7)


def zero_line(axes: Axes) -> None:
    """Draw where nothing is gained; left of it the metamodel is worse than a constant."""
    axes.axvline(0, color=INK, linewidth=1.1, zorder=2.5)


def metamodel_handles(looks: Mapping[str, Look], shown: Iterable[str], *, line: bool) -> list[Artist]:
    """Return legend entries for the metamodels in `shown`."""
    from matplotlib.lines import Line2D

    wanted = set(shown)
    return [
        Line2D(
            [],
            [],
            color=look.color,
            marker=look.marker,
            markersize=4.5,
            label=short(name),
            linestyle="-" if line else "",
        )
        for name, look in looks.items()
        if name in wanted
    ]


def legend_below(figure: Figure, handles: Sequence[Artist]) -> None:
    """Put one legend under all panels."""
    figure.legend(handles=list(handles), loc="outside lower center", ncols=min(len(handles), 6), fontsize=8)
