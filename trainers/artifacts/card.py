"""The README.md of a trained metamodel, before anything is known of how well it predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TEMPLATE = """---
library_name: metamodel
pipeline_tag: text-classification
tags:
- metamodel
- behavior-prediction
---

# {name}

A metamodel of kind `{kind}`: it predicts what a language model will do from its prompt alone.{members}

Trained on {n_prompts} prompts with seed {seed}; {n_validation_prompts} further prompts of training domains were used
for early stopping and calibration.

| behavior | outcomes | training prompts with a label |
| --- | --- | --- |
{behaviors}

| domain | training prompts |
| --- | --- |
{domains}

Load it with the trainer of this kind: `load(folder)`; then `predict(texts)` gives the probability of every outcome.
"""


def card_text(kind: str, facts: Mapping[str, Any], outcomes: Mapping[str, Sequence[str]], *, n_members: int = 0) -> str:
    """Return a short card in Markdown.

    Args:
        kind: The trainer's registered name.
        facts: `TrainingFacts` as a dictionary.
        outcomes: Outcome names of each behavior.
        n_members: Metamodels that it is made of.
    """
    behaviors = [
        f"| {_cell(name)} | {_outcomes(names)} | {_labeled(facts['n_labeled'][name])} |"
        for name, names in outcomes.items()
    ]
    domains = [f"| {_cell(name)} | {count} |" for name, count in facts["domains"].items()]
    return _TEMPLATE.format(
        name=_cell(facts["name"]),
        kind=kind,
        members=_members(n_members),
        n_prompts=facts["n_prompts"],
        n_validation_prompts=facts["n_validation_prompts"],
        seed=facts["seed"],
        behaviors="\n".join(behaviors),
        domains="\n".join(domains),
    )


def _members(count: int) -> str:
    return f"\n\nIt is made of {count} others, each with a card of its own below `members/`." if count else ""


def _labeled(count: int) -> str:
    return str(count) if count else "0: every outcome is given the same probability"


def _outcomes(names: Sequence[str], *, most: int = 6) -> str:
    shown = ", ".join(_cell(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"


def _cell(text: str) -> str:
    """Return text that cannot leave its table cell."""
    return " ".join(text.replace("|", "/").split())
