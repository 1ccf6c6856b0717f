"""`--set key.path=value`: change one value of a config that was read, before anything is built from it."""

from __future__ import annotations

from typing import Any

import yaml

from metamodel.errors import ConfigError


def apply_override(raw: dict[str, Any], override: str) -> None:
    """Set one `key.path=value` in place; raises ConfigError for a path that does not exist."""
    key_path, separator, text = override.partition("=")
    if not separator or not key_path:
        raise ConfigError([f"{override!r} must read key.path=value"], source="--set")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError([f"{key_path}: {text!r} is not YAML"], source="--set") from error
    *parents, last = key_path.split(".")
    here: Any = raw
    for part in parents:
        here = _step(here, part, key_path)
    if isinstance(here, list):
        here[_list_index(here, last, key_path)] = value
    elif isinstance(here, dict):
        here[last] = value
    else:
        raise ConfigError([f"{key_path}: {here!r} has no keys"], source="--set")


def _step(here: Any, part: str, key_path: str) -> Any:  # noqa: ANN401 - any node of a YAML tree
    if isinstance(here, list):
        return here[_list_index(here, part, key_path)]
    if isinstance(here, dict):
        return here.setdefault(part, {})
    raise ConfigError([f"{key_path}: {here!r} has no keys"], source="--set")


def _list_index(items: list[Any], part: str, key_path: str) -> int:
    if not part.isdigit() or int(part) >= len(items):
        raise ConfigError(
            [f"{key_path}: {part!r} must be the number of an item, 0 to {len(items) - 1}"], source="--set"
        )
    return int(part)
