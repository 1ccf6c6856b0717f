"""What a finished run is recognized by, so that a rerun need not draw its prompts and look up every key again."""

from __future__ import annotations

import glob
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol, runtime_checkable

from metamodel.config import RunConfig
from metamodel.store.run_directory import RunDirectory
from metamodel.store.schemas import TableName
from metamodel.types import content_hash

_MOST_PATH_CHARACTERS = 1000
_MOST_FILES = 100_000


@runtime_checkable
class HasFingerprint(Protocol):
    """A prompt source that reads more than its fields and the files they name can say when that has changed."""

    def fingerprint(self) -> str:
        """Return a text that is another one when the source would yield other prompts."""
        ...


def sources_fingerprint(config: RunConfig) -> str | None:
    """Return a hash of all that determines the prompts of a config, or None where that cannot be told.

    Fields and code of each source, the seed, and size and time of change of every file that a field names: a source
    whose files were replaced is read again, one that nothing has touched is not.
    """
    parts = [metadata.version("metamodel"), str(config.n_prompts), str(config.seed)]
    for source in config.sources:
        parts += [repr(source), _code_hash(type(source))]
        if isinstance(source, HasFingerprint):
            parts.append(source.fingerprint())
            continue
        for text in _texts(source):
            stamp = _file_stamp(text)
            if stamp is None:
                return None
            parts.append(stamp)
    return content_hash(*parts)


def shards_fingerprint(run: RunDirectory, table: TableName, *, prefix: str = "") -> str:
    """Return a hash of which shards a table has; `RunDirectory.lock` has checked that they are what they were."""
    return content_hash(*(shard.file + shard.checksum for shard in run.shards(table) if shard.name.startswith(prefix)))


def _code_hash(source_type: type) -> str:
    try:
        file = inspect.getsourcefile(source_type)
        return content_hash(Path(file).read_text(encoding="utf-8")) if file else ""
    except (OSError, TypeError, UnicodeDecodeError):
        return ""


def _texts(value: object) -> Iterator[str]:
    """Yield every text in a component's fields, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, Iterable):
        for item in value:
            yield from _texts(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for item in fields(value):
            yield from _texts(getattr(value, item.name))


def _file_stamp(text: str) -> str | None:
    """Return sizes and times of the files that a text names, empty where it names none, None where nobody can tell."""
    if len(text) > _MOST_PATH_CHARACTERS or "\n" in text or "\0" in text:
        return ""
    if "://" in text:
        return _remote_stamp(text)
    paths = sorted(glob.glob(text, recursive=True)) if glob.has_magic(text) else [text]  # noqa: PTH207 - Path.glob takes no absolute pattern
    stamps = [_local_stamp(file) for path in paths for file in _files(Path(path))]
    return None if len(stamps) > _MOST_FILES else "\n".join(stamps)


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in sorted(path.rglob("*")) if file.is_file())
    elif path.is_file():
        yield path


def _local_stamp(path: Path) -> str:
    found = path.stat()
    return f"{path} {found.st_size} {found.st_mtime_ns}"


def _remote_stamp(url: str) -> str | None:
    from fsspec.core import url_to_fs

    try:
        filesystem, path = url_to_fs(url)
        found = filesystem.find(path) or filesystem.glob(path)
        return "\n".join(f"{file} {filesystem.ukey(file)}" for file in sorted(found)[:_MOST_FILES]) or None
    except (OSError, ValueError, ImportError, NotImplementedError):
        return None
