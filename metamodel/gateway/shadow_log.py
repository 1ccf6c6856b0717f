"""Lines in files that rotate: bounded on disk, and whole after a crash but for the line that was being written."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from metamodel.errors import MetamodelError

FILE_PATTERN: Final = "shadow-*.jsonl"
# Prompts and replies are nobody else's business.
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


class RotatingLines:
    """Appends lines to the newest of a folder's files and deletes the oldest ones.

    Every process writes files of its own, so that gateways may share a folder; each keeps the folder within the limit.
    """

    def __init__(
        self, folder: Path, *, max_file_bytes: int, max_files: int, fsync: Literal["never", "file", "line"]
    ) -> None:
        """Make the folder; the first line makes a file.

        Raises:
            MetamodelError: The folder cannot be made or written.
        """
        self._folder, self._max_file_bytes, self._max_files, self._fsync = folder, max_file_bytes, max_files, fsync
        self._descriptor: int | None = None
        self._n_bytes = 0
        self._n_opened = 0
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
        except OSError as error:
            raise MetamodelError(f"the shadow folder {folder} cannot be made: {error.strerror or error}") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise MetamodelError(f"the shadow folder {folder} cannot be written: change its owner or name another")

    def write(self, line: bytes) -> None:
        """Append one line, in one write, so that a kill cannot leave two halves of different lines.

        Raises:
            OSError: The disk is full or gone; the next line begins a new file.
        """
        content = line + b"\n"
        if self._descriptor is not None and self._n_bytes + len(content) > self._max_file_bytes:
            self.close()
        if self._descriptor is None:
            self._open()
        descriptor = self._descriptor
        if descriptor is None:
            raise OSError("no file is open")
        if os.write(descriptor, content) != len(content):
            self.close()
            raise OSError("only a part of the line was written")
        self._n_bytes += len(content)
        if self._fsync == "line":
            os.fsync(descriptor)

    def close(self) -> None:
        """Close the file that is written."""
        if self._descriptor is not None:
            if self._fsync != "never":
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> None:
        self._n_opened += 1
        # Sorted by name they are sorted by time.
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        path = self._folder / f"shadow-{moment}-{os.getpid()}-{self._n_opened}.jsonl"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, _FILE_MODE)
        self._n_bytes = 0
        for old in sorted(self._folder.glob(FILE_PATTERN))[: -self._max_files]:
            old.unlink(missing_ok=True)
