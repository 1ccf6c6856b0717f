"""Prompts with predictions and outputs, laid out for the page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from metamodel.report.inputs import PromptExample
from metamodel.report.numbers import signed
from metamodel.report.visible_text import Shown, plain, show

PROMPT_LIMIT: Final = 600
OUTPUT_LIMIT: Final = 600
# What a page may hold before it grows heavy to open; the stated rest stays in the run directory.
MAX_EXAMPLES: Final = 600
_N_OUTCOMES_SHOWN: Final = 3


@dataclass(frozen=True, kw_only=True)
class ExampleRow:
    """One line of the prompts table.

    Attributes:
        domain: Its domain.
        behavior: The behavior predicted.
        metamodel: Who predicted.
        probability: Predicted probability of "yes", or of the likeliest outcome.
        prediction: What was predicted, in words.
        observed: What came, in words.
        surprise: Mean of -log2 of the probability given to what came; None without a label.
        surprise_text: The same, printed.
        prompt: The prompt as shown.
        output: The output as shown, before its loop if it has one.
        loop: The looping rest of the output, or None.
        loop_text: Where the loop begins and how long its period is.
    """

    domain: str
    behavior: str
    metamodel: str
    probability: float
    prediction: str
    observed: str
    surprise: float | None
    surprise_text: str
    prompt: Shown
    output: Shown
    loop: Shown | None
    loop_text: str


def example_row(example: PromptExample) -> ExampleRow:
    """Lay out one example."""
    probability, prediction = _prediction(example)
    surprise = _surprise(example)
    onset = len(example.output) if example.loop is None else example.loop[0]
    output = show(example.output[:onset], limit=OUTPUT_LIMIT)
    rest = max(OUTPUT_LIMIT - onset, 0)
    return ExampleRow(
        domain=plain(example.domain),
        behavior=plain(example.behavior),
        metamodel=plain(example.metamodel),
        probability=probability,
        prediction=prediction,
        observed=_observed(example.labels),
        surprise=surprise,
        surprise_text=signed(surprise, digits=2),
        prompt=show(example.prompt, limit=PROMPT_LIMIT),
        output=output,
        loop=None if example.loop is None else show(example.output[onset:], limit=rest),
        loop_text="" if example.loop is None else f"loops from character {onset} on, period {example.loop[1]}",
    )


def _prediction(example: PromptExample) -> tuple[float, str]:
    if not example.probabilities:
        return 0.0, "no prediction"
    if "yes" in example.probabilities:
        probability = example.probabilities["yes"]
        return probability, f"{probability:.2f}"
    likeliest = sorted(example.probabilities.items(), key=lambda pair: -pair[1])[:_N_OUTCOMES_SHOWN]
    return likeliest[0][1], ", ".join(f"{plain(name)}: {probability:.2f}" for name, probability in likeliest)


def _observed(labels: Sequence[str | None]) -> str:
    present = [label for label in labels if label is not None]
    if not present:
        return "no label"
    if len(present) == 1:
        return plain(present[0])
    return ", ".join(f"{plain(name)} {count}/{len(present)}" for name, count in Counter(present).most_common())


def _surprise(example: PromptExample) -> float | None:
    """Return the mean of -log2 q over the labels; infinite where q is 0, None without labels or their outcomes."""
    given = [example.probabilities.get(label) for label in example.labels if label is not None]
    known = [probability for probability in given if probability is not None]
    if not known or len(known) < len(given):
        return None
    return sum(-math.log2(probability) if probability > 0 else math.inf for probability in known) / len(known)
