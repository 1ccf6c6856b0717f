"""Names of a log's models as names of a run's primary models."""

from __future__ import annotations

import re
from collections.abc import Iterable

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def safe_name(text: str) -> str:
    """Return a name of letters, digits, '.', '_' and '-', without the folders or the organization in front.

    >>> safe_name("openaichat/gpt-3.5 turbo"), safe_name("/models/zoo/")
    ('gpt-3.5-turbo', 'zoo')
    """
    return _safe(text.rstrip("/").rsplit("/", 1)[-1])


def safe_names(models: Iterable[str]) -> dict[str, str]:
    """Return a name of its own for each model; where short ones clash the long ones, then numbers, tell them apart.

    >>> safe_names(["a/x", "b/x", "c/y"])
    {'a/x': 'a-x', 'b/x': 'b-x', 'c/y': 'y'}
    """
    listed = list(dict.fromkeys(models))
    short = {model: safe_name(model) for model in listed}
    clashing = {name for name in short.values() if sum(other == name for other in short.values()) > 1}
    names: dict[str, str] = {}
    for model in listed:
        wanted = _safe(model) if short[model] in clashing else short[model]
        name, number = wanted, 2
        while name in names.values():
            name, number = f"{wanted}-{number}", number + 1
        names[model] = name
    return names


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text).strip("-._") or "model"
