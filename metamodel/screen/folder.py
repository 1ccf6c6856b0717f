"""A pre-screen on disk: screen.json, and the metamodel it predicts with in a folder of its own.

A folder may come from anyone: nothing in it is executed, and what it says is checked before it is used.
"""

from __future__ import annotations

import json
from pathlib import Path

from metamodel.errors import DataError
from metamodel.metamodels import load_metamodel
from metamodel.screen.rules import SCHEMA_VERSION, rules_from_json
from metamodel.screen.screen import Screen

SCREEN_FILE = "screen.json"
METAMODEL_FOLDER = "metamodel"


def load_screen(path: str | Path) -> Screen:
    """Return the pre-screen that `metamodel export` wrote.

    Raises:
        DataError: The folder holds none, or its content does not fit together.
    """
    folder = Path(path)
    try:
        content = json.loads((folder / SCREEN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} is no pre-screen: its {SCREEN_FILE} cannot be read ({error})") from error
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"{folder / SCREEN_FILE}: schema_version must be {SCHEMA_VERSION}: export again")
    metamodel = load_metamodel(folder / METAMODEL_FOLDER)
    spaces = getattr(metamodel, "spaces", None)
    if spaces is None:
        raise DataError(f"{folder}: its metamodel does not say what it predicts")
    rules = rules_from_json(content.get("rules"), source=str(folder / SCREEN_FILE))
    return Screen(metamodel, spaces=spaces, rules=rules)
