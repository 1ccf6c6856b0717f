"""A primary model that a metamodel needs in order to predict: built from its spec, and only where the spec is trusted.

A saved metamodel may come from anyone, and its spec names a primary model. One that comes with code, or that sends
prompts and a key to an address, is not asked because a folder says so: the user must have trained with that spec here,
or allow it. The bundled models and folders or hub names without code of their own need no trust: reading their weights
executes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from metamodel.config.components import build_component
from metamodel.errors import ConfigError, DataError, MetamodelError
from metamodel.protocols import PrimaryModel
from metamodel.types import JSONObject, content_hash

TRUST_VARIABLE = "METAMODEL_TRUSTED_PRIMARIES"
_MOST_TRUSTED_BYTES = 1 << 20


def as_mapping(spec: str | JSONObject) -> JSONObject:
    """Return a spec as a mapping; a kind alone is one with default fields."""
    return {"kind": spec} if isinstance(spec, str) else spec


def built_primary(spec: JSONObject, *, at: str) -> PrimaryModel:
    """Build the primary model of a field.

    Args:
        spec: Kind and fields.
        at: Name of the field, for messages.

    Raises:
        ConfigError: What is wrong with the spec.
    """
    try:
        primary: PrimaryModel = build_component("primaries", spec, at=at)
    except ConfigError:
        raise
    except MetamodelError as error:
        raise ConfigError([f"{at}: {error}"], source=at) from error
    return primary


def remember_trusted(spec: JSONObject) -> None:
    """Note that the user trains with a spec, so that what was trained here can be opened here."""
    if _needs_no_trust(spec) or _spec_hash(spec) in _trusted():
        return
    path = _trusted_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a", encoding="ascii") as lines:
            lines.write(f"{_spec_hash(spec)}\n")
    except OSError as error:
        raise MetamodelError(
            f"{path}: cannot be written ({error.strerror}), but must note that you trust the primary model: set "
            "XDG_CACHE_HOME to a folder of yours"
        ) from error


def require_trusted(spec: object, *, folder: Path) -> None:
    """Refuse a saved spec that names code or an address which this user never trained with.

    Raises:
        DataError: Says how to allow it.
    """
    if not isinstance(spec, Mapping):
        raise DataError(
            f"{folder}: names its primary model by {spec!r:.80}, must be a mapping with a kind: train again"
        )
    found = dict(spec)
    if _needs_no_trust(found) or _spec_hash(found) in _trusted():
        return
    raise DataError(
        f"{folder}: asks the primary model {json.dumps(found, sort_keys=True)[:400]}, which runs code of its own or "
        "leaves this machine, and was not trained with here: if you trust it, set "
        f"{TRUST_VARIABLE}={_spec_hash(found)}"
    )


def _needs_no_trust(spec: JSONObject) -> bool:
    kind = spec.get("kind")
    return kind == "zoo" or (kind == "transformers" and spec.get("trust_remote_code", False) is False)


def _spec_hash(spec: JSONObject) -> str:
    return content_hash("trusted primary", json.dumps(spec, sort_keys=True))


def _trusted() -> set[str]:
    """Return the hashes of the environment (separated by commas) and of the user's file."""
    given = set(os.environ.get(TRUST_VARIABLE, "").split(","))
    try:
        with _trusted_file().open("rb") as lines:
            given |= set(lines.read(_MOST_TRUSTED_BYTES).decode("ascii", errors="replace").split())
    except OSError:
        pass
    return given


def _trusted_file() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "metamodel" / "trusted_primaries.txt"
