"""A config with what a search found, ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import yaml

from metamodel.report.numbers import signed
from metamodel.tune.trials import TuneResult
from metamodel.types import JSONObject, JSONValue

if TYPE_CHECKING:
    from metamodel.config import RunConfig

SUFFIX = "-tuned"


def tuned_yaml(config: RunConfig, results: Sequence[TuneResult]) -> str:
    """Return the whole config with the best trial's metamodel beside the one that it was tuned from.

    Where domains were put aside, they alone are held out: whatever is judged is judged on what no trial read.

    Args:
        config: What was tuned.
        results: Searches, at least one of which has a best trial.
    """
    tuned: JSONObject = dict(config.resolved)
    best = {result.metamodel: result for result in results if result.best is not None}
    metamodels: list[JSONValue] = []
    for name, spec in config.specs("metamodels").items():
        metamodels.append(spec)
        if name in best and (trial := best[name].best) is not None:
            metamodels.append({**spec, **trial.fields, "name": f"{name}{SUFFIX}"})
    tuned["metamodels"] = metamodels
    final = next(iter(best.values())).final_domains
    splits = tuned["splits"]
    if final and isinstance(splits, dict):
        tuned["splits"] = {**splits, "held_out_domains": list(final)}
    return _header(list(best.values()), final) + yaml.safe_dump(tuned, sort_keys=False, allow_unicode=True)


def _header(results: Sequence[TuneResult], final: Sequence[str]) -> str:
    lines = ["# Purpose: what `metamodel tune` found, beside what it began with."]
    lines.append("# Command: metamodel run tuned.yaml --resume")
    if final:
        lines.append(f"# Judged on domains that no trial read: {_one_line(', '.join(final))}.")
    for result in results:
        found = signed(result.best.worth_bits) if result.best else ""
        own = f", from {signed(result.own.worth_bits)} with its own fields" if result.own else ""
        lines.append(
            f"# {result.metamodel}{SUFFIX}: {found} bits on left-out tuning domains{own}; the best of several, so "
            "expect fewer."
        )
    return "\n".join(lines) + "\n\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())
