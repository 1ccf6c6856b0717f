"""The configs that travel with the package."""

from __future__ import annotations

import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from metamodel.errors import MetamodelError, UnknownNameError, nearest_name_hint

# Read by other commands than `metamodel run`: no config of a run.
OTHER_COMMANDS: Final = {"gateway": "metamodel gateway", "litellm": "litellm --config"}


def bundled_configs() -> dict[str, str]:
    """Return the purpose of each bundled config, by name: the `# Purpose:` line of its header."""
    return {path.name.removesuffix(".yaml"): _purpose(path.read_text(encoding="utf-8")) for path in _files()}


def find_config(path: str) -> Path:
    """Return the file at `path`, or the bundled config of that name.

    Raises:
        UnknownNameError: It is neither; the message names the nearest bundled config.
    """
    if Path(path).exists() or path.endswith((".yaml", ".yml")):
        return Path(path)
    return Path(str(_bundled(path)))


def copy_config(name: str, target: Path) -> Path:
    """Copy a bundled config to a new file or into a folder and return the copy's path.

    Raises:
        MetamodelError: The target exists already, or cannot be written.
        UnknownNameError: No bundled config has that name.
    """
    source = _bundled(name)
    copy = target / source.name if target.is_dir() else target
    if copy.exists():
        raise MetamodelError(f"{copy} exists already: name another file")
    try:
        copy.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise MetamodelError(f"{copy} cannot be written: {error.strerror or error}") from error
    return copy


def _bundled(name: str) -> Traversable:
    known = {path.name.removesuffix(".yaml"): path for path in _files()}
    if name not in known:
        raise UnknownNameError(f"no file and no bundled config is named {name!r}: {nearest_name_hint(name, known)}")
    return known[name]


def _files() -> list[Traversable]:
    entries = resources.files("configs").iterdir()
    return sorted((path for path in entries if path.name.endswith(".yaml")), key=lambda path: path.name)


def _purpose(text: str) -> str:
    found = re.search(r"^# Purpose: (.+)$", text, flags=re.MULTILINE)
    return found.group(1) if found else ""
