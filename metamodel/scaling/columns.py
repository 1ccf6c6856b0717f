"""Which column of a table is what: by the names that people plainly use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from metamodel.errors import DataError, nearest_name_hint

Role = Literal["score", "parameters", "tokens", "task", "cluster"]
SizeRole = Literal["parameters", "tokens"]
SIZE_ROLES: Final[tuple[SizeRole, ...]] = ("parameters", "tokens")

# In this order: the first name that the table has is taken.
PLAIN_NAMES: Final[Mapping[Role, tuple[str, ...]]] = {
    "score": ("score", "value", "accuracy", "acc", "share", "rate", "mean", "result", "performance"),
    "parameters": ("parameters", "params", "n_parameters", "n_params", "num_parameters", "num_params", "size"),
    "tokens": ("tokens", "n_tokens", "num_tokens", "training_tokens", "train_tokens", "tokens_seen"),
    "task": ("task", "task_name", "behavior", "benchmark", "dataset", "domain"),
    "cluster": ("model", "model_name", "primary", "family", "cluster", "group"),
}
# Tell apart several scores of one task: with more than one value in the table they are part of the task's name.
TASK_PARTS: Final = ("metric", "metric_name", "shot", "shots", "n_shots", "num_fewshot", "fewshot")
# The better model has the lower one.
LOWER_IS_BETTER: Final = frozenset(
    {
        "ppl",
        "perplexity",
        "word_perplexity",
        "byte_perplexity",
        "bits_per_byte",
        "loss",
        "nll",
        "cross_entropy",
        "error",
    }
    | {"error_rate", "cross_entropy_bits", "brier", "ece"}
)
# Shares of prompts: from 0 to 1, or in percent.
SHARES: Final = frozenset(
    {"acc", "accuracy", "acc_norm", "exact_match", "em", "share", "rate", "mc1", "mc2", "pct_stereotype", "base_rate"}
)
NONE: Final = "none"
_WORDS: Final = re.compile(r"[^a-z0-9]+")


def plain_name(name: str) -> str:
    """Return a column's name in small letters with single underscores.

    >>> plain_name("Training Tokens"), plain_name("acc,none")
    ('training_tokens', 'acc_none')
    """
    return _WORDS.sub("_", name.lower()).strip("_")


def guess(role: Role, columns: Sequence[str]) -> str | None:
    """Return the column that plainly has a role, or None.

    >>> guess("parameters", ["Model", "Params", "value"])
    'Params'
    """
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(plain_name(column), column)
    return next((by_name[name] for name in PLAIN_NAMES[role] if name in by_name), None)


def named(role: Role, column: str, columns: Sequence[str], source: str) -> str:
    """Return a column that the user named; raises DataError where the table has none of that name."""
    if column not in columns:
        raise DataError(f"{source} has no column {column!r} (--{role}): {nearest_name_hint(column, columns)}")
    return column


def is_lower_better(name: str) -> bool:
    """Say whether a metric of this name falls as models get better.

    >>> is_lower_better("byte_perplexity,none"), is_lower_better("acc")
    (True, False)
    """
    return _without_filter(name) in LOWER_IS_BETTER


def is_share(name: str) -> bool:
    """Say whether a metric of this name is a share of prompts."""
    return _without_filter(name) in SHARES


def _without_filter(name: str) -> str:
    # lm-evaluation-harness writes the filter behind a comma.
    return plain_name(name.split(",", maxsplit=1)[0])
