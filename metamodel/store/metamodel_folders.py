"""Saved metamodels below a run directory: a folder each, replaced only by a complete one."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from metamodel.errors import RunError
from metamodel.store.storage import (
    TEMPORARY_PREFIX,
    Folder,
    check_name,
    explained_write_errors,
    remove_tree,
    temporary_name,
)

if TYPE_CHECKING:
    from metamodel.protocols import Metamodel

METAMODELS = "metamodels"
_REPLACED_PREFIX = ".old-"


class MetamodelFolders:
    """metamodels/<name>/ of one run."""

    def __init__(self, folder: Folder) -> None:
        """Attach; touches nothing."""
        self._folder = folder

    def names(self) -> list[str]:
        """Return the names of the saved metamodels, sorted."""
        return [
            name
            for name in self._folder.names(METAMODELS)
            if not name.startswith(".") and self._folder.is_folder(f"{METAMODELS}/{name}")
        ]

    def save(self, name: str, metamodel: Metamodel) -> None:
        """Save a metamodel, replacing an older one of that name only when the new one is complete.

        Raises:
            RunError: If it cannot be written; the older one stays.
        """
        target = f"{METAMODELS}/{check_name(name)}"
        if self._folder.local is None:
            self._upload(target, metamodel)
            return
        local = self._folder.local / METAMODELS
        fresh, replaced = temporary_name(name), f"{_REPLACED_PREFIX}{name}"
        self._folder.make(f"{METAMODELS}/{fresh}")
        try:
            with explained_write_errors(self._folder / target):
                metamodel.save(local / fresh)
            if self._folder.exists(target):
                self._folder.move(target, f"{METAMODELS}/{replaced}")
            self._folder.move(f"{METAMODELS}/{fresh}", target)
        finally:
            remove_tree(local / fresh)
        remove_tree(local / replaced)

    def local_folder(self, name: str) -> Path:
        """Return a local folder with a saved metamodel's files: its own, or a copy if the run is remote.

        Raises:
            RunError: If there is no metamodel of that name.
        """
        target = f"{METAMODELS}/{check_name(name)}"
        if not self._folder.is_folder(target):
            known = ", ".join(self.names()) or "none"
            raise RunError(f"{self._folder.path} has no metamodel {name!r}, has: {known}; run `metamodel train` first")
        if self._folder.local is not None:
            return self._folder.local / target
        copy = Path(tempfile.mkdtemp(prefix="metamodel-"))
        weakref.finalize(self, remove_tree, copy)
        self._folder.download(target, copy)
        return copy

    def repair(self) -> None:
        """Finish or undo a replacement that was killed half-way, and remove what it left."""
        for name in self._folder.names(METAMODELS):
            target = f"{METAMODELS}/{name.removeprefix(_REPLACED_PREFIX)}"
            if name.startswith(_REPLACED_PREFIX) and not self._folder.exists(target):
                self._folder.move(f"{METAMODELS}/{name}", target)
            elif name.startswith((TEMPORARY_PREFIX, _REPLACED_PREFIX)):
                self._folder.remove(f"{METAMODELS}/{name}")

    def _upload(self, target: str, metamodel: Metamodel) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            metamodel.save(Path(scratch))
            self._folder.remove(target)
            self._folder.upload(Path(scratch), target)
