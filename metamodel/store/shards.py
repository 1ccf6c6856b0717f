"""The Parquet shards of one table and the manifest that says which of them count.

A shard's file name carries a part of its checksum, so that a new version of a shard never overwrites the old one: the
manifest, replaced in one step, switches from one to the other. A file that no manifest names does not exist to readers.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from metamodel.errors import RunError
from metamodel.store.schemas import SCHEMA_VERSION, TableName, schema_of
from metamodel.store.storage import Folder, check_name

if TYPE_CHECKING:
    import pyarrow as pa

QUARANTINE = "quarantine"
# The underscore makes pyarrow, Spark and others pass over it when they read the folder as one data set.
MANIFEST_NAME = "_manifest.json"
# Columns of which hardly two rows are alike.
_NO_DICTIONARY = ("key", "prompt_id", "text")
# Checking shards is hashing on a local disk and waiting elsewhere; so many are in memory at once.
_CHECKED_AT_ONCE = 8
# So many small shards are made one.
_MERGED_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One entry of the manifest.

    Attributes:
        name: What the writer calls it; unique in its table.
        file: File name in the table's folder.
        n_rows: Rows in it.
        n_bytes: Size of the file.
        checksum: BLAKE2b of the file, hexadecimal.
    """

    name: str
    file: str
    n_rows: int
    n_bytes: int
    checksum: str


class ShardedTable:
    """The shards of one table below a run directory."""

    def __init__(self, folder: Folder, table: TableName) -> None:
        """Attach; touches nothing."""
        self.table = table
        self._folder = folder

    def shards(self) -> tuple[Shard, ...]:
        """Return the manifest's entries, oldest first.

        Raises:
            RunError: If the manifest cannot be read.
        """
        path = f"{self.table}/{MANIFEST_NAME}"
        try:
            content = self._folder.read_bytes(path)
        except FileNotFoundError:
            return ()
        try:
            return tuple(Shard(**entry) for entry in json.loads(content)["shards"])
        except (ValueError, KeyError, TypeError) as error:
            advice = f"restore it, or delete the folder {self._folder / self.table} to make its rows again"
            raise RunError(f"{self._folder / path} is damaged ({error}): {advice}") from error

    def write(self, data: pa.Table, *, name: str | None) -> None:
        """Add a shard, or replace the one with the given name; it counts once the manifest names it."""
        kept = self.shards()
        name = check_name(name) if name is not None else _next_number(kept)
        shard = self._write_file(data, name, kept)
        replaced = [old for old in kept if old.name == name]
        position = kept.index(replaced[0]) if replaced else len(kept)
        others = [old for old in kept if old.name != name]
        self._write_manifest([*others[:position], shard, *others[position:]])
        self._remove_files(replaced, but=[shard])

    def rewrite(self, parts: Iterable[pa.Table], *, prefix: str, stem: str) -> None:
        """Replace, in one step, all shards whose names begin with `prefix` by the parts, named by stem and number."""
        kept = self.shards()
        replaced = [old for old in kept if old.name.startswith(prefix)]
        fresh = [self._write_file(part, f"{check_name(stem)}{number:06d}", kept) for number, part in enumerate(parts)]
        if fresh != replaced:
            self._write_manifest([*(old for old in kept if old not in replaced), *fresh])
            self._remove_files(replaced, but=fresh)

    def merge(self, *, full_rows: int, full_bytes: int) -> None:
        """Make many small numbered shards one: slow draws leave one every few seconds, too many in a week.

        Args:
            full_rows: A shard with half as many rows is left alone, and none becomes longer.
            full_bytes: The same for the size of its file.
        """
        import pyarrow as pa

        kept = self.shards()
        small = [
            shard
            for shard in kept
            if shard.name.isdigit() and 2 * shard.n_rows < full_rows and 2 * shard.n_bytes < full_bytes
        ]
        if len(small) < _MERGED_AT_ONCE:
            return
        merged: list[Shard] = []
        for group in _groups(small, full_rows=full_rows, full_bytes=full_bytes):
            whole = pa.concat_tables([self.read_shard(shard) for shard in group])
            merged.append(self._write_file(whole, _next_number([*kept, *merged]), kept))
        position = kept.index(small[0])
        others = [shard for shard in kept if shard not in small]
        self._write_manifest([*others[:position], *merged, *others[position:]])
        self._remove_files(small, but=merged)

    def read(self, *, columns: Sequence[str] | None, shard_names: Sequence[str] | None) -> Iterator[pa.Table]:
        """Yield the content of each shard.

        Raises:
            RunError: If a shard is missing or its checksum differs.
        """
        for shard in self.shards():
            if shard_names is None or shard.name in shard_names:
                yield self.read_shard(shard, columns)

    def clear(self) -> None:
        """Drop all rows: the manifest first, so that no reader meets a missing shard."""
        if self._folder.exists(self.table):
            self._write_manifest([])
            self._remove_strangers([])

    def repair(self) -> list[str]:
        """Set damaged shards aside, forget missing ones, remove what no manifest names; say what was wrong."""
        shards = self.shards()
        with ThreadPoolExecutor(_CHECKED_AT_ONCE) as threads:
            found = zip(shards, threads.map(self._problem_of, shards), strict=True)
            problems = {shard: problem for shard, problem in found if problem}
        good = [shard for shard in shards if shard not in problems]
        if problems:
            self._quarantine([shard for shard in problems if self._exists(shard)])
            self._write_manifest(good)
        self._remove_strangers(good)
        return [
            f"{self._folder / self.table}/{shard.file} {problem}: its {shard.n_rows} rows will be made again"
            for shard, problem in problems.items()
        ]

    def _problem_of(self, shard: Shard) -> str | None:
        try:
            content = self._folder.read_bytes(f"{self.table}/{shard.file}")
        except FileNotFoundError:
            return "is missing"
        return None if _checksum(content) == shard.checksum else "is damaged (moved to quarantine/)"

    def _exists(self, shard: Shard) -> bool:
        return self._folder.exists(f"{self.table}/{shard.file}")

    def _quarantine(self, shards: Sequence[Shard]) -> None:
        for shard in shards:
            self._folder.make(QUARANTINE)
            self._folder.move(f"{self.table}/{shard.file}", f"{QUARANTINE}/{self.table}-{shard.file}")

    def _remove_strangers(self, shards: Sequence[Shard]) -> None:
        known = {MANIFEST_NAME, *(shard.file for shard in shards)}
        for name in self._folder.names(self.table):
            if name not in known:
                self._folder.remove(f"{self.table}/{name}")

    def read_shard(self, shard: Shard, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the content of one shard.

        Raises:
            RunError: If it is missing or its checksum differs.
        """
        import pyarrow.parquet as pq

        path = f"{self.table}/{shard.file}"
        advice = "run its config again: that sets the shard aside and makes its rows anew"
        try:
            content = self._folder.read_bytes(path)
        except FileNotFoundError as error:
            raise RunError(f"{self._folder / path} is missing: {advice}") from error
        if _checksum(content) != shard.checksum:
            raise RunError(f"{self._folder / path} is damaged (its checksum differs): {advice}")
        return pq.read_table(io.BytesIO(content), columns=list(columns) if columns is not None else None)

    def _write_file(self, data: pa.Table, name: str, known: Sequence[Shard]) -> Shard:
        """Write a shard's file, unless a known one holds just that."""
        content = _to_parquet(data.select(schema_of(self.table).names).cast(schema_of(self.table)))
        checksum = _checksum(content)
        shard = Shard(
            name=name,
            file=f"{name}-{checksum[:8]}.parquet",
            n_rows=data.num_rows,
            n_bytes=len(content),
            checksum=checksum,
        )
        if shard not in known:
            self._folder.write_bytes(f"{self.table}/{shard.file}", content)
        return shard

    def _remove_files(self, shards: Sequence[Shard], *, but: Sequence[Shard]) -> None:
        kept = {shard.file for shard in but}
        for shard in shards:
            if shard.file not in kept:
                self._folder.remove(f"{self.table}/{shard.file}")

    def _write_manifest(self, shards: Sequence[Shard]) -> None:
        manifest = {"schema_version": SCHEMA_VERSION, "shards": [asdict(shard) for shard in shards]}
        self._folder.write_bytes(f"{self.table}/{MANIFEST_NAME}", json.dumps(manifest, indent=1).encode())


def _to_parquet(data: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    repeating = [name for name in data.column_names if name not in _NO_DICTIONARY]
    pq.write_table(data, buffer, compression="zstd", use_dictionary=repeating)
    return buffer.getvalue()


def _checksum(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _next_number(shards: Sequence[Shard]) -> str:
    numbers = [int(shard.name) for shard in shards if shard.name.isdigit()]
    return f"{max(numbers, default=-1) + 1:06d}"


def _groups(shards: Sequence[Shard], *, full_rows: int, full_bytes: int) -> Iterator[list[Shard]]:
    """Yield neighbors that fit into one shard together."""
    group: list[Shard] = []
    for shard in shards:
        together = [*group, shard]
        is_full = (
            sum(item.n_rows for item in together) > full_rows or sum(item.n_bytes for item in together) > full_bytes
        )
        if group and is_full:
            yield group
            group = []
        group.append(shard)
    if group:
        yield group
