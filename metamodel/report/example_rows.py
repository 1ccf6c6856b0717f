"""Prompts with predictions and outputs, laid out for the page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from metamodel.report.elements import Cell, Column, Excerpt, Shaded
from metamodel.report.inputs import PromptExample
from metamodel.report.visible_text import plain

TEXT_LIMIT: Final = 600
# What a page may hold before it grows heavy to open; the stated rest stays in the run directory.
MAX_EXAMPLES: Final = 600
_N_OUTCOMES_SHOWN: Final = 3


def example_columns() -> list[Column]:
    """Return the columns of the table of prompts."""
    return [
        Column(name="Domain", facet="domain"),
        Column(name="Behavior", facet="behavior"),
        Column(name="Metamodel"),
        Column(name="Predicted", kind="number", digits=2),
        Column(name="Observed"),
        Column(name="Surprise", kind="bits", digits=2),
        Column(name="Prompt"),
        Column(name="Output"),
    ]


def example_cells(example: PromptExample) -> list[Cell]:
    """Lay out one example as a row."""
    probability, likeliest = predicted(example)
    loop = example.loop
    note = "" if loop is None else f"loops from character {loop[0]} on, period {loop[1]}"
    return [
        example.domain,
        example.behavior,
        example.metamodel,
        Shaded(text=likeliest, value=probability),
        observed(example.labels),
        surprise(example),
        Excerpt(text=example.prompt, limit=TEXT_LIMIT),
        Excerpt(text=example.output, mark_from=loop[0] if loop else None, note=note, limit=TEXT_LIMIT),
    ]


def predicted(example: PromptExample) -> tuple[float, str]:
    """Return the probability of yes, or of the likeliest outcome, and the prediction in words."""
    if not example.probabilities:
        return 0.0, "no prediction"
    if "yes" in example.probabilities:
        probability = example.probabilities["yes"]
        return probability, f"{probability:.2f}"
    likeliest = sorted(example.probabilities.items(), key=lambda pair: -pair[1])[:_N_OUTCOMES_SHOWN]
    return likeliest[0][1], ", ".join(f"{plain(name)}: {probability:.2f}" for name, probability in likeliest)


def observed(labels: Sequence[str | None]) -> str:
    """Return what came, in words."""
    present = [label for label in labels if label is not None]
    if not present:
        return "no label"
    if len(present) == 1:
        return plain(present[0])
    return ", ".join(f"{plain(name)} {count}/{len(present)}" for name, count in Counter(present).most_common())


def surprise(example: PromptExample) -> float | None:
    """Return the mean of -log2 q over the labels; infinite where q is 0, None without labels or their outcomes."""
    given = [example.probabilities.get(label) for label in example.labels if label is not None]
    known = [probability for probability in given if probability is not None]
    if not known or len(known) < len(given):
        return None
    return sum(-math.log2(probability) if probability > 0 else math.inf for probability in known) / len(known)
