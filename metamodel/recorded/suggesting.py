"""A ready config for a log: its models, and the behaviors that what it says allows."""

from __future__ import annotations

import yaml

from metamodel.recorded.columns import ColumnSpec
from metamodel.recorded.naming import safe_name
from metamodel.recorded.summary import LogSummary

_MOST_FOLDS = 20
_HELD_OUT_OF_MANY = 5
# What is true of the row, not of the output.
_NO_BEHAVIORS = {"epoch", "doc_id", "date", "total_time", "usage.input_tokens", "usage.total_tokens"}

_HEADER = """\
# Purpose: behaviors of {models} on the {n_prompts:,} prompts of {path}, without running a model.
# Command: metamodel run {file}
# Needs:   the log; written by `metamodel import`, to be changed at will.
# Time:    some seconds for ten thousand rows, and the fits.
# Result:  {directory}: a table of bits gained per behavior and split, metrics.json, report.html.
"""


def suggested_config(summary: LogSummary, *, name: str, file: str, format: str | None, columns: ColumnSpec) -> str:  # noqa: A002 - the word of the configs
    """Return the YAML text of a config that runs as it stands.

    Args:
        summary: What the log holds.
        name: Name of the job.
        file: Name of the config's file, for its header.
        format: Format that the user named, if any.
        columns: Columns that the user named, if any.
    """
    directory = f"runs/{name}"
    log = {"kind": "recorded", "path": summary.path}
    log |= {"format": format} if format else {}
    spec: dict[str, object] = {**log, "columns": dict(columns)} if columns else dict(log)
    several = len(summary.domains) > 1
    many = len(summary.domains) > _MOST_FOLDS
    largest = sorted(summary.domains, key=lambda domain: -summary.domains[domain])[:_HELD_OUT_OF_MANY]
    sections: tuple[dict[str, object], ...] = (
        {"name": name, "directory": directory, "seed": 0, "logger": "csv"},
        {"prompts": {"n_prompts": None, "sources": [spec]}},
        {"primaries": [{**spec, "name": entry.name, "model": entry.model} for entry in summary.models]},
        {"sampling": {"n_samples": summary.n_samples}},
        {"behaviors": suggested_behaviors(summary)},
        {
            "metamodels": [
                {"kind": kind} for kind in ("base_rate", "domain_tag", "prompt_length", "tfidf_logistic", "bag")
            ]
        },
        {"splits": {"held_out_domains": (largest if many else "all") if several else []}},
    )
    models = ", ".join(entry.name for entry in summary.models[:4]) + (" and others" if len(summary.models) > 4 else "")  # noqa: PLR2004 - as many as a line bears
    header = _HEADER.format(
        models=models, n_prompts=summary.n_prompts, path=" ".join(summary.path.split()), file=file, directory=directory
    )
    return "\n".join([header, *map(_written, sections)])


def _written(section: dict[str, object]) -> str:
    is_flat = not any(isinstance(value, dict | list) for value in section.values())
    style = False if is_flat else None  # None writes each component on a line of its own
    return yaml.safe_dump(section, sort_keys=False, allow_unicode=True, default_flow_style=style, width=110)


def suggested_behaviors(summary: LogSummary) -> list[dict[str, object]]:
    """Return specs of behaviors that have labels on the log: the values it says, and what its texts show."""
    behaviors: list[dict[str, object]] = []
    for field, kind in summary.values.items():
        if kind == "other" or field in _NO_BEHAVIORS:
            continue
        spec: dict[str, object] = {"kind": "recorded", "name": f"recorded-{safe_name(field)}", "field": field}
        spec |= {} if kind == "binary" else {"values": kind}
        spec |= {"classes": list(summary.classes[field])} if kind == "categorical" else {}
        behaviors.append(spec)
    if summary.with_text:
        if "references" in summary.known:
            behaviors.append({"kind": "correct"})
        behaviors += [{"kind": "ngram_copy"}, {"kind": "repetition_loop"}, {"kind": "empty"}]
    if "finish_reason" in summary.known:
        behaviors.append({"kind": "truncated"})
    if "n_tokens" in summary.known:
        behaviors.append({"kind": "n_tokens"})
    return behaviors or [{"kind": "recorded", "field": "correct"}]
