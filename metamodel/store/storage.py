"""A folder on any fsspec filesystem, whose files are replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from metamodel.errors import RunError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

TEMPORARY_PREFIX = ".tmp-"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "permission denied: choose a folder that you may write to",
    errno.EPERM: "permission denied: choose a folder that you may write to",
    errno.EFBIG: "a file would be larger than the file system or `ulimit -f` allows: raise the limit",
    errno.EIO: "the disk reports an input/output error: check it",
}


def check_name(name: str) -> str:
    """Return the name of one file or folder; raises RunError unless it is made of letters, digits, `.`, `_` and `-`."""
    if not _NAME.fullmatch(name):
        raise RunError(
            f"name is {name!r}, must be 1 to 200 letters, digits, '.', '_' or '-', not beginning with '.' or '-'"
        )
    return name


def check_relative_path(path: str) -> str:
    """Return a path of names joined by `/`; raises RunError where one of them is not a plain name."""
    return "/".join(check_name(part) for part in path.split("/"))


@contextmanager
def explained_write_errors(path: str) -> Iterator[None]:
    """Turn an OSError while writing into a RunError that says what to do."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, f"{error.strerror or error}")
        raise RunError(
            f"cannot write {path}: {advice}; what was written before is intact, run the same command again to go on"
        ) from error


# Clients of object stores raise exceptions of their own where they find no server, no bucket or no right to it.
_CLIENTS = ("botocore", "aiobotocore", "aiohttp", "google", "gcsfs", "azure", "adlfs")


@contextmanager
def explained_client_errors(path: str) -> Iterator[None]:
    """Turn what an object store's client raises into a RunError; any other exception goes on."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.split(".")[0] not in _CLIENTS:
            raise
        raise RunError(f"cannot reach {path}: {error}; check its name, your credentials and the connection") from error


class Folder:
    """One folder and what lies below it, addressed by paths relative to it.

    Attributes:
        path: The folder as the user named it.
        local: The folder on the local disk; None on any other filesystem.
    """

    def __init__(self, path: str) -> None:
        """Attach to a path or URL; touches nothing.

        Raises:
            RunError: If the URL's protocol is unknown or its package is not installed.
        """
        from fsspec.core import url_to_fs

        self.path = path
        try:
            filesystem, root = url_to_fs(path)
        except (ImportError, ValueError) as error:
            raise RunError(f"run directory is {path!r}: {error}") from error
        self._filesystem: AbstractFileSystem = filesystem
        self._root: str = root
        protocols = {filesystem.protocol} if isinstance(filesystem.protocol, str) else set(filesystem.protocol)
        self.local: Path | None = Path(root) if "file" in protocols else None
        self._made: set[str] = set()

    def __truediv__(self, name: str) -> str:
        """Return the full path of a name below this folder, for messages."""
        return f"{self.path.rstrip('/')}/{name}"

    def make(self, name: str = "") -> None:
        """Create the folder, or one below it, with its parents."""
        with explained_write_errors(self / name):
            self._filesystem.makedirs(self._full(name), exist_ok=True)

    def exists(self, name: str = "") -> bool:
        """Say whether a file or folder is there."""
        with explained_client_errors(self / name):
            return bool(self._filesystem.exists(self._full(name)))

    def is_folder(self, name: str = "") -> bool:
        """Say whether a folder is there."""
        return bool(self._filesystem.isdir(self._full(name)))

    def names(self, name: str = "") -> list[str]:
        """List what lies directly in a folder, sorted; nothing where there is no folder."""
        if not self.is_folder(name):
            return []
        self._filesystem.invalidate_cache(self._full(name))
        entries = self._filesystem.ls(self._full(name), detail=False)
        return sorted({str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in entries})

    def read_bytes(self, name: str) -> bytes:
        """Return a file's content; raises FileNotFoundError."""
        with explained_client_errors(self / name):
            content: bytes = self._filesystem.cat_file(self._full(name))
        return content

    def write_bytes(self, name: str, content: bytes) -> None:
        """Replace a file: readers see the old content or the new one, also after a crash.

        Raises:
            RunError: If it cannot be written (full disk, missing permission); the old content stays.
        """
        with explained_write_errors(self / name), explained_client_errors(self / name):
            if self.local is None:
                # Object stores publish an upload only when it is complete.
                self._make_parent(name)
                self._filesystem.pipe_file(self._full(name), content)
            else:
                _replace_local_file(self.local / name, content)

    def create_bytes(self, name: str, content: bytes) -> bool:
        """Write a file that is not there yet; return False where it is. Atomic where the file system can do that.

        Raises:
            RunError: If it cannot be written.
        """
        with explained_client_errors(self / name):
            self._make_parent(name)
            try:
                self._filesystem.pipe_file(self._full(name), content, mode="create")
            except OSError as error:
                # Each store has an error of its own for this.
                if isinstance(error, FileExistsError) or self.exists(name):
                    return False
                with explained_write_errors(self / name):
                    raise
            return True

    def move(self, source: str, target: str) -> None:
        """Move a file or folder within this folder, replacing a file."""
        with explained_write_errors(self / target):
            if self.local is None:
                self._filesystem.mv(self._full(source), self._full(target), recursive=True)
            else:
                (self.local / target).parent.mkdir(parents=True, exist_ok=True)
                (self.local / source).replace(self.local / target)

    def remove(self, name: str) -> None:
        """Delete a file or folder; one that is not there is fine."""
        with explained_write_errors(self / name):
            if self.exists(name):
                self._filesystem.rm(self._full(name), recursive=self.is_folder(name))

    def upload(self, source: Path, name: str) -> None:
        """Copy a local folder's files into a folder here."""
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            self.write_bytes(f"{name}/{file.relative_to(source).as_posix()}", file.read_bytes())

    def download(self, name: str, target: Path) -> None:
        """Copy a folder's files from here into a local folder."""
        base = self._full(name)
        for file in self._filesystem.find(base):
            path = target / str(file).removeprefix(base).lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._filesystem.cat_file(file))

    def _make_parent(self, name: str) -> None:
        """Make the folder of a file; asks the file system once a folder."""
        parent = self._full(name).rsplit("/", 1)[0]
        if parent not in self._made:
            self._filesystem.makedirs(parent, exist_ok=True)
            self._made.add(parent)

    def _full(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}" if name else self._root


def temporary_name(name: str) -> str:
    """Return a fresh hidden name beside `name`, which the next writer removes if it is left over."""
    return f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-{name}"


def remove_tree(path: Path) -> None:
    """Delete a local folder; one that is not there is fine."""
    shutil.rmtree(path, ignore_errors=True)


def _replace_local_file(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(temporary_name(path.name))
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Make a rename survive a power cut, where the file system can."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        return  # Some network file systems cannot sync a folder; the rename itself has happened.
    finally:
        os.close(descriptor)
