"""Members of zip archives from strangers: nothing is unpacked to disk, nothing may grow without bound."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from metamodel.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MOST_MEMBERS = 2_000_000
MOST_MEMBER_BYTES = 4 * 1024**3
# Logs repeat themselves and shrink up to a hundredfold; a bomb shrinks a thousandfold.
MOST_RATIO = 200
_RATIO_FREE_BYTES = 64 * 1024**2
_ZSTANDARD = 93
_LOCAL_HEADER_BYTES = 30


@contextmanager
def opened_archive(handle: IO[bytes], path: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive.

    Raises:
        DataError: It is none, is damaged, or lists more members than any log has.
    """
    try:
        with zipfile.ZipFile(handle) as archive:
            if len(archive.infolist()) > MOST_MEMBERS:
                raise DataError(f"{path} holds {len(archive.infolist())} files, more than {MOST_MEMBERS}: not a log")
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise DataError(f"{path} is not a readable zip archive: {error}") from error


@contextmanager
def opened_member(archive: zipfile.ZipFile, name: str, path: str) -> Iterator[IO[bytes]]:
    """Open one member; reading more than its limit raises DataError.

    Inspect compresses with Zstandard, which `zipfile` learned only in Python 3.14; pyarrow decompresses it here.
    """
    info = archive.getinfo(name)
    limit = min(MOST_MEMBER_BYTES, max(_RATIO_FREE_BYTES, MOST_RATIO * info.compress_size))
    where = f"{path}, {name}"
    if info.flag_bits & 1:
        raise DataError(f"{where} is encrypted: decrypt the archive first")
    try:
        raw = _zstandard_member(archive, info) if info.compress_type == _ZSTANDARD else archive.open(info)
        with raw:
            yield io.BufferedReader(_Bounded(raw, limit, where))
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise DataError(f"{where} cannot be read: {error}") from error


def _zstandard_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    import pyarrow as pa

    handle = archive.fp
    if handle is None:
        raise zipfile.BadZipFile("the archive is closed")
    handle.seek(info.header_offset)
    header = handle.read(_LOCAL_HEADER_BYTES)
    if header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("a local header is damaged")
    skipped = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    handle.seek(skipped, io.SEEK_CUR)
    compressed = io.BytesIO(handle.read(info.compress_size))
    return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(compressed, mode="r"), "zstd"))


class _Bounded(io.RawIOBase):
    """Passes on what it reads until there is too much of it."""

    def __init__(self, source: IO[bytes], limit: int, where: str) -> None:
        self._source, self._left, self._where, self._limit = source, limit, where, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        piece = self._source.read(len(view))
        self._left -= len(piece)
        if self._left < 0:
            raise DataError(
                f"{self._where} unpacks to more than {self._limit} bytes: no log shrinks so much, "
                "this looks like a zip bomb"
            )
        view[: len(piece)] = piece
        return len(piece)
