"""Which metamodels of a run are baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metamodel.config import RunConfig

# Kinds of trainers that use nothing a person would call a model of the text.
BASELINE_KINDS = ("base_rate", "domain_tag", "prompt_length")


def baseline_names(config: RunConfig) -> list[str]:
    """Return the names of the config's metamodels that are baselines."""
    return [name for name, spec in config.specs("metamodels").items() if spec["kind"] in BASELINE_KINDS]
