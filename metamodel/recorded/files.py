"""The files that make up a log: a file, a folder, or a pattern, on any fsspec filesystem."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from metamodel.errors import DataError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

MOST_FILES = 100_000
_GLOB_CHARACTERS = "*?["
_HASHED_BYTES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """One file of a log.

    Attributes:
        path: Its full path or URL.
        relative: Its path below the log's folder; its name where the log is one file.
        n_bytes: Its size.
        stamp: Size and time of the last change, by which a changed file is told from the one that was read.
    """

    path: str
    relative: str
    n_bytes: int
    stamp: str

    @property
    def name(self) -> str:
        """The file's name."""
        return PurePosixPath(self.path).name

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return PurePosixPath(self.path).stem

    @property
    def suffix(self) -> str:
        """The last suffix, in lower case, with its point."""
        return PurePosixPath(self.path).suffix.lower()

    @property
    def folder(self) -> str:
        """Name of the folder that it lies in."""
        return PurePosixPath(self.path).parent.name


def log_exists(path: str) -> bool:
    """Say whether there is a file or folder at a path, or a file that matches a pattern."""
    filesystem, root = _filesystem(path)
    if any(mark in path for mark in _GLOB_CHARACTERS) and not filesystem.exists(root):
        return bool(filesystem.glob(root))
    return bool(filesystem.exists(root))


def find_files(path: str) -> tuple[LogFile, ...]:
    """Return the files of a log, in the order of their names; hidden ones are passed over.

    Args:
        path: A file, a folder (all files in it and below) or a pattern such as "logs/*.eval".

    Raises:
        DataError: There is none, or more than any log has.
    """
    filesystem, root = _filesystem(path)
    try:
        base, found = _listed(filesystem, root)
        infos = [filesystem.info(name) for name in found if filesystem.isfile(name)]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if len(infos) > MOST_FILES:
        raise DataError(f"{path} holds more than {MOST_FILES} files: name the log's own folder, or a pattern")
    prefix = path[: path.index("://") + 3] if "://" in path else ""
    files = [_log_file(info, base, prefix) for info in infos]
    if not files:
        raise DataError(f"{path} does not exist or holds no file: give a log's file, its folder, or a pattern")
    return tuple(sorted(files, key=lambda file: file.path))


@contextmanager
def opened(file: LogFile) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes; what goes wrong is a DataError that names it."""
    filesystem, root = _filesystem(file.path)
    try:
        with filesystem.open(root, "rb") as handle:
            yield handle
    except OSError as error:
        raise DataError(f"{file.path} cannot be read: {error}") from error


def content_digest(files: Sequence[LogFile]) -> str:
    """Return 32 hex digits of the files' names and content, whatever their folder and their time are."""
    whole = blake2b(digest_size=16)
    for file in files:
        with opened(file) as handle:
            own = blake2b(digest_size=16)
            while chunk := handle.read(_HASHED_BYTES):
                own.update(chunk)
        whole.update(f"{len(file.relative)}:{file.relative}".encode(errors="surrogateescape") + own.digest())
    return whole.hexdigest()


def _filesystem(path: str) -> tuple[AbstractFileSystem, str]:
    from fsspec.core import url_to_fs

    try:
        filesystem, root = url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise DataError(f"log {path} cannot be opened: {error}") from error
    return filesystem, root


def _listed(filesystem: AbstractFileSystem, root: str) -> tuple[str, list[str]]:
    if filesystem.isdir(root):
        base = root.rstrip("/") + "/"
        found = [str(name) for name in filesystem.find(root)]
        return base, [name for name in found if not _is_hidden(name.removeprefix(base))]
    base = root.rsplit("/", 1)[0] + "/" if "/" in root else ""
    if filesystem.exists(root):
        return base, [root]
    if not any(mark in root for mark in _GLOB_CHARACTERS):
        return base, []
    while any(mark in base for mark in _GLOB_CHARACTERS):
        base = base.rstrip("/").rsplit("/", 1)[0] + "/"
    return base, [str(name) for name in filesystem.glob(root)]


def _is_hidden(relative: str) -> bool:
    return any(part.startswith((".", "_")) and not part.startswith("__") for part in relative.split("/"))


def _log_file(info: dict[str, object], base: str, prefix: str) -> LogFile:
    name = str(info["name"])
    size = info.get("size")
    changed = info.get("mtime") or info.get("LastModified") or info.get("updated") or info.get("created") or ""
    return LogFile(
        path=f"{prefix}{name}" if prefix and "://" not in name else name,
        relative=name.removeprefix(base),
        n_bytes=size if isinstance(size, int) else 0,
        stamp=f"{size}:{changed}",
    )
