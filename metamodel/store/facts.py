"""run.json: the facts of a run, the config that counts among them; config.yaml is its copy for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

from metamodel.errors import RunError
from metamodel.store.provenance import JSON, config_hash, differences, utc_now
from metamodel.store.schemas import SCHEMA_VERSION
from metamodel.store.storage import Folder

Facts: TypeAlias = dict[str, JSON]

FACTS_NAME, CONFIG_NAME = "run.json", "config.yaml"
_SHOWN_CHANGES = 8


def read_facts(folder: Folder) -> Facts:
    """Return what run.json says.

    Raises:
        RunError: If there is none, it cannot be read, or another schema version wrote it.
    """
    try:
        content = folder.read_bytes(FACTS_NAME)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunError(
            f"{folder.path} is not a run directory (no {FACTS_NAME}): run `metamodel collect` first"
        ) from error
    return _checked(content, str(folder / FACTS_NAME))


def write_facts(folder: Folder, facts: Facts) -> None:
    """Replace run.json and, after it, config.yaml."""
    import yaml

    folder.write_bytes(FACTS_NAME, json.dumps(facts, indent=2).encode())
    text = yaml.safe_dump(facts["config"], sort_keys=False, allow_unicode=True)
    folder.write_bytes(CONFIG_NAME, text.encode())


def adopted(facts: Facts, config: dict[str, JSON], *, path: str, resume: bool) -> Facts | None:
    """Return the facts under another config, or None where the config is the same.

    Raises:
        RunError: If the config differs and `resume` is off; the message says where.
    """
    changes = list(differences(facts["config"], config))
    if not changes:
        return None
    if not resume:
        more = len(changes) - _SHOWN_CHANGES
        shown = "; ".join(changes[:_SHOWN_CHANGES]) + (f"; and {more} more" if more > 0 else "")
        raise RunError(
            f"{path} was made with another config ({shown}): pass --resume to go on with the new one, or choose "
            "another name"
        )
    history = facts.get("config_history")
    entry: Mapping[str, JSON] = {
        "replaced_utc": utc_now(),
        "config_hash": facts["config_hash"],
        "config": facts["config"],
        "changes": changes,
    }
    return facts | {
        "config": config,
        "config_hash": config_hash(config),
        "seed": config.get("seed"),
        "config_history": [*(history if isinstance(history, list) else []), entry],
    }


def _checked(content: bytes, path: str) -> Facts:
    advice = "restore it from a copy, or start a new run directory"
    try:
        facts = json.loads(content)
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}): {advice}") from error
    if not isinstance(facts, dict) or "schema_version" not in facts:
        raise RunError(f"{path} is damaged (it has no schema_version): {advice}")
    if facts["schema_version"] != SCHEMA_VERSION:
        raise RunError(
            f"{path} has schema version {facts['schema_version']}, this metamodel reads {SCHEMA_VERSION}: use the "
            "version that made it, or start a new run directory"
        )
    if not isinstance(facts.get("config"), dict) or not isinstance(facts.get("config_hash"), str):
        raise RunError(f"{path} is damaged (it has no config): {advice}")
    return facts
