"""Where a run came from: versions, commit, time, config; and how two configs differ."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TypeAlias, TypeGuard

from metamodel.store.schemas import SCHEMA_VERSION
from metamodel.types import content_hash

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None

_PACKAGES = (
    "metamodel",
    "lightning",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "scikit-learn",
    "tokenizers",
    "torch",
    "transformers",
)
# Named only where they are installed.
_OPTIONAL_PACKAGES = ("accelerate", "datasets", "httpx", "jinja2", "openai", "ray", "vllm")
_ABSENT = "(not set)"


def utc_now() -> str:
    """Return the time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def canonical(config: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return a config as JSON would give it back: tuples become lists, keys become text."""
    plain: dict[str, JSON] = json.loads(json.dumps(config))
    return plain


def config_hash(config: Mapping[str, JSON]) -> str:
    """Return the content hash of a config; the order of its keys does not count.

    >>> config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    True
    """
    return content_hash(json.dumps(config, sort_keys=True))


def package_versions() -> dict[str, JSON]:
    """Return the installed version of each package that results may depend on; null where one of ours is missing."""
    versions: dict[str, JSON] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    for package in _OPTIONAL_PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def git_commit() -> str | None:
    """Return the commit that this package runs from, with `-dirty` if files were changed; None outside a checkout."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():  # An installed package may lie inside some other project's checkout.
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - fixed arguments
    except (OSError, subprocess.SubprocessError):
        return None
    return finished.stdout.strip() or None


def new_facts(config: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return what run.json holds when a run begins."""
    plain = canonical(config)
    return {
        "schema_version": SCHEMA_VERSION,
        "created_utc": utc_now(),
        "git_commit": git_commit(),
        "packages": package_versions(),
        "platform": platform.platform(),
        "config_hash": config_hash(plain),
        "seed": plain.get("seed"),
        "config": plain,
    }


def differences(old: JSON, new: JSON, *, path: str = "") -> Iterator[str]:
    """Yield one `path: old -> new` a setting that differs.

    >>> list(differences({"sampling": {"n_samples": 2}}, {"sampling": {"n_samples": 4}}))
    ['sampling.n_samples: 2 -> 4']
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            place = f"{path}.{key}" if path else key
            if key not in old:
                yield f"{place}: {_ABSENT} -> {_short(new[key])}"
            elif key not in new:
                yield f"{place}: {_short(old[key])} -> {_ABSENT}"
            else:
                yield from differences(old[key], new[key], path=place)
    elif _is_list(old) and _is_list(new) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, path=f"{path}[{index}]")
    elif old != new or type(old) is not type(new):
        yield f"{path}: {_short(old)} -> {_short(new)}"


def _is_list(value: JSON) -> TypeGuard[Sequence[JSON]]:
    return isinstance(value, list | tuple)


def _short(value: JSON, *, limit: int = 60) -> str:
    text = json.dumps(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
