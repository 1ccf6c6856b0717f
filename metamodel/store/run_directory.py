"""The run directory: what every stage reads and writes.

    run.json  config.yaml  prompts/*.parquet  generations/*.parquet  labels/*.parquet  errors/*.parquet
    predictions/*.parquet  metamodels/<name>/...  metrics.json  report.html

Readers never change anything and refuse a damaged shard; the next writer sets it aside: its rows are made again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from metamodel.errors import RunError
from metamodel.store.facts import CONFIG_NAME, FACTS_NAME, Facts, adopted, read_facts, write_facts
from metamodel.store.lock import LOCK_NAME, hold_lock
from metamodel.store.metamodel_folders import MetamodelFolders
from metamodel.store.provenance import JSON, canonical, new_facts
from metamodel.store.rows import clean_text
from metamodel.store.schemas import TableName, schema_of
from metamodel.store.shards import Shard, ShardedTable
from metamodel.store.storage import TEMPORARY_PREFIX, Folder, check_relative_path

if TYPE_CHECKING:
    import pyarrow as pa

    from metamodel.protocols import Metamodel

TABLE_NAMES: tuple[TableName, ...] = get_args(TableName)
_logger = logging.getLogger(__name__)


class RunDirectory:
    """All artifacts of one run.

    Attributes:
        path: The folder or URL as the user named it.
    """

    def __init__(self, folder: Folder, facts: Facts) -> None:
        """Attach to a folder whose run.json is known; use `create_or_open` or `open`."""
        self.path = folder.path
        self._folder = folder
        self._facts = facts
        self._metamodels = MetamodelFolders(folder)
        self._is_writer = False

    @classmethod
    def create_or_open(cls, path: str, *, config: Mapping[str, JSON], resume: bool = False) -> RunDirectory:
        """Make a run directory, or open the one that the same config made.

        Args:
            path: Local folder or fsspec URL.
            config: The resolved config.
            resume: Go on with a run that another config made, under the new config; both stand in run.json.

        Raises:
            RunError: If the folder holds something else, was made with another config, or cannot be written.
        """
        folder = Folder(path)
        if not folder.exists(FACTS_NAME):
            _refuse_strangers(folder)
            folder.make()
            run = cls(folder, new_facts(config))
            with run._writing():
                write_facts(folder, run._facts)
            return run
        facts = read_facts(folder)
        changed = adopted(facts, canonical(config), path=path, resume=resume)
        run = cls(folder, facts)
        if changed is not None:
            run.update_facts(**changed)
        return run

    @classmethod
    def open(cls, path: str) -> RunDirectory:
        """Open a run directory that exists.

        Raises:
            RunError: If there is none, its run.json cannot be read, or another schema version wrote it.
        """
        folder = Folder(path)
        return cls(folder, read_facts(folder))

    @property
    def config(self) -> dict[str, JSON]:
        """The resolved config that the run goes by."""
        config = self._facts["config"]
        return dict(config) if isinstance(config, Mapping) else {}

    @property
    def facts(self) -> Facts:
        """What run.json says: versions, commit, time, config and its hash, seed, and what stages added."""
        return dict(self._facts)

    @property
    def local_path(self) -> Path | None:
        """The folder on the local disk; None on another filesystem."""
        return self._folder.local

    def update_facts(self, **facts: JSON) -> None:
        """Add facts to run.json, or replace them, in one step."""
        with self._writing():
            updated = read_facts(self._folder) | canonical(facts)
            write_facts(self._folder, updated)
            self._facts = updated

    @contextmanager
    def lock(self) -> Iterator[tuple[str, ...]]:
        """Be the only writer until the block ends; entering it again from the same object is fine.

        On entry, damaged shards go to quarantine/ and left-over files are removed; what was found is logged and given.

        Raises:
            RunError: If another process writes to this run.
        """
        if self._is_writer:
            yield ()
            return
        with self._writing():
            repairs = self._repair()
            for repair in repairs:
                _logger.warning("%s", repair)
            yield repairs

    def write_shard(self, table: TableName, data: pa.Table, *, name: str | None = None) -> None:
        """Add rows to a table; with a name, replace the rows once written under it.

        Raises:
            RunError: If the disk is full or may not be written; what was there before stays.
            KeyError: If a column of the table's schema is missing.
        """
        with self._writing():
            ShardedTable(self._folder, table).write(data, name=name)

    def rewrite(self, table: TableName, parts: Iterable[pa.Table], *, prefix: str, stem: str | None = None) -> None:
        """Replace, in one step, all shards whose names begin with `prefix` by the parts; none of them is held.

        Args:
            table: Which table.
            parts: Rows, a shard each.
            prefix: What the names of the replaced shards begin with.
            stem: What the names of the new ones begin with, before their number; `prefix` where it is None.

        Raises:
            RunError: If the disk is full or may not be written; what was there before stays.
        """
        with self._writing():
            ShardedTable(self._folder, table).rewrite(parts, prefix=prefix, stem=prefix if stem is None else stem)

    def merge_small_shards(self, table: TableName, *, full_rows: int, full_bytes: int) -> None:
        """Make many small shards one; one that is half full by rows or bytes is left alone."""
        with self._writing():
            ShardedTable(self._folder, table).merge(full_rows=full_rows, full_bytes=full_bytes)

    def read(
        self, table: TableName, *, columns: Sequence[str] | None = None, shard_names: Sequence[str] | None = None
    ) -> pa.Table:
        """Return a table's rows, or those of the named shards; an empty table where nothing was written.

        Raises:
            RunError: If a shard is missing or damaged.
        """
        import pyarrow as pa

        schema = schema_of(table)
        if columns is not None:
            schema = pa.schema([schema.field(column) for column in columns])
        parts = ShardedTable(self._folder, table).read(columns=columns, shard_names=shard_names)
        return pa.concat_tables([schema.empty_table(), *parts])

    def iterate(self, table: TableName, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield a table shard by shard, for one that does not fit in memory."""
        return ShardedTable(self._folder, table).read(columns=columns, shard_names=None)

    def shards(self, table: TableName) -> tuple[Shard, ...]:
        """Return a table's shards, oldest first: their sizes and checksums, without reading them."""
        return ShardedTable(self._folder, table).shards()

    def read_shard(self, table: TableName, shard: Shard, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of one shard; raises RunError if it is missing or damaged."""
        return ShardedTable(self._folder, table).read_shard(shard, columns)

    def shard_names(self, table: TableName) -> list[str]:
        """Return the names of a table's shards, oldest first."""
        return [shard.name for shard in self.shards(table)]

    def clear(self, table: TableName) -> None:
        """Drop all rows of a table."""
        with self._writing():
            ShardedTable(self._folder, table).clear()

    def write_text(self, name: str, text: str) -> None:
        """Replace a text file (`metrics.json`, `plots/bits.csv`) in one step; lone surrogates become U+FFFD."""
        with self._writing():
            self._folder.write_bytes(check_relative_path(name), clean_text(text).encode("utf-8"))

    def read_text(self, name: str) -> str:
        """Return a text file's content; raises RunError if there is none."""
        try:
            return self._folder.read_bytes(check_relative_path(name)).decode("utf-8")
        except FileNotFoundError as error:
            raise RunError(f"{self._folder / name} does not exist: run the stage that writes it first") from error

    def exists(self, name: str) -> bool:
        """Say whether a file or folder is there."""
        return self._folder.exists(check_relative_path(name))

    def metamodel_names(self) -> list[str]:
        """Return the names of the saved metamodels, sorted."""
        return self._metamodels.names()

    def save_metamodel(self, name: str, metamodel: Metamodel) -> None:
        """Save a metamodel under a name, replacing an older one only when the new one is complete."""
        with self._writing():
            self._metamodels.save(name, metamodel)

    def metamodel_folder(self, name: str) -> Path:
        """Return a local folder with a saved metamodel's files; a copy that lives as long as this object if remote."""
        return self._metamodels.local_folder(name)

    @property
    def feature_folder(self) -> Path | None:
        """Folder for numbers computed from texts; None where the run is not on this machine."""
        return self.local_path / "cache" if self.local_path else None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._is_writer:
            yield
            return
        with hold_lock(self._folder):
            self._is_writer = True
            try:
                yield
            finally:
                self._is_writer = False

    def _repair(self) -> tuple[str, ...]:
        self._metamodels.repair()
        for name in self._folder.names():
            if name.startswith(TEMPORARY_PREFIX):
                self._folder.remove(name)
        return tuple(repair for table in TABLE_NAMES for repair in ShardedTable(self._folder, table).repair())


def _refuse_strangers(folder: Folder) -> None:
    if folder.exists() and not folder.is_folder():
        raise RunError(f"{folder.path} is a file, must be a folder: choose another name")
    # A run killed while it began leaves a lock, a half-made file or a config without run.json behind.
    begun = (LOCK_NAME, TEMPORARY_PREFIX, CONFIG_NAME)
    strangers = [name for name in folder.names() if not name.startswith(begun)]
    if strangers:
        raise RunError(
            f"{folder.path} is not empty and not a run directory (no {FACTS_NAME}, but {', '.join(strangers[:3])}): "
            "choose another folder"
        )
