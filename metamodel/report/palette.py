"""One look for each metamodel, the same in every chart: trained ones in color, baselines in grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Okabe and Ito's colors, which stay apart for the color-blind, darkened where they were too faint on white. The page's
# style sheet lightens them on a dark background.
TRAINED_COLORS: Final = ("#0a6ebd", "#c8550a", "#00866a", "#a8467f", "#9a7400", "#3f8fc0")
BASELINE_COLORS: Final = ("#5c6470", "#878f9a", "#a5acb5")
# Shapes tell apart what a black-and-white print does not.
TRAINED_MARKERS: Final = ("o", "D", "s", "^", "v", "P")
BASELINE_MARKERS: Final = ("X", "<", ">", "p")

# Replaced by currentColor once drawn, so that lines and letters follow the page's text color.
INK: Final = "#010203"
PROBLEM: Final = "#b3261e"


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a metamodel is drawn."""

    color: str
    marker: str
    is_baseline: bool


def looks(metamodels: Sequence[str], *, baselines: Sequence[str]) -> dict[str, Look]:
    """Give every metamodel its look; more metamodels than colors share colors, not shapes."""
    found: dict[str, Look] = {}
    counts = {True: 0, False: 0}
    for name in metamodels:
        is_baseline = name in baselines
        index = counts[is_baseline]
        colors, markers = (BASELINE_COLORS, BASELINE_MARKERS) if is_baseline else (TRAINED_COLORS, TRAINED_MARKERS)
        # Shapes move on by one after each round of colors, so that no pair comes back soon.
        shape = (index + index // len(colors)) % len(markers)
        found[name] = Look(color=colors[index % len(colors)], marker=markers[shape], is_baseline=is_baseline)
        counts[is_baseline] += 1
    return found
