"""A pre-screen in one file: a zip archive from anyone, unpacked only where it is what an export packs.

Sizes are checked by what the archive says before anything is unpacked, and again by what comes out of it.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path
from typing import IO

from metamodel.errors import DataError
from metamodel.screen.checks import plain_path

MOST_FILES = 2000
MOST_BYTES = 2**31
# An export's own files shrink to a third or so; a bomb's to a thousandth.
MOST_RATIO = 200
_RATIO_COUNTS_FROM_BYTES = 2**20
_PIECE_BYTES = 2**20
_END_SIGNATURE, _END_BYTES = b"PK\x05\x06", 22
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip archive into an empty folder.

    Raises:
        DataError: It is no zip archive, damaged, encrypted, too large, or holds what no export does: links, paths out
            of the folder, two files of one name.
    """
    try:
        _require_small_directory(archive)
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            _check(archive, opened.infolist())
            for entry in entries:
                target = folder / plain_path(entry.filename, str(archive))
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(entry) as packed, target.open("xb") as file:
                    _copy(packed, file, n_bytes=entry.file_size, where=f"{archive}: {entry.filename}")
    # Besides its own error, the reader raises these for methods, headers and checks that do not fit.
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise DataError(f"{archive}: is no zip archive that can be read ({error}): export again") from error
    except OSError as error:
        raise DataError(f"{archive}: cannot be unpacked ({error.strerror or error})") from error


def _require_small_directory(archive: Path) -> None:
    """Refuse an archive that lists more files than are read, before its list is read."""
    n_bytes = archive.stat().st_size
    with archive.open("rb") as file:
        file.seek(max(n_bytes - _END_BYTES, 0))
        end = file.read(_END_BYTES)
    if len(end) < _END_BYTES or not end.startswith(_END_SIGNATURE) or end[-2:] != b"\x00\x00":
        raise DataError(f"{archive}: does not end like a zip archive without a comment: export again")
    n_entries, directory_bytes = int.from_bytes(end[10:12], "little"), int.from_bytes(end[12:16], "little")
    # A larger archive says 65535 here and the number elsewhere.
    if n_entries > MOST_FILES or directory_bytes > MOST_FILES * 2**11:
        raise DataError(f"{archive}: lists more than {MOST_FILES} files, no pre-screen has so many")


def _check(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_FILES:
        raise DataError(f"{archive}: holds {len(entries)} files, at most {MOST_FILES} are read")
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise DataError(f"{archive}: unpacks to more than {MOST_BYTES} bytes, the most that is read")
    seen = set()
    for entry in entries:
        name = plain_path(entry.filename.removesuffix("/"), str(archive))
        # Two names that differ in case alone are one file on some systems.
        key = str(name).casefold()
        if key in seen or entry.orig_filename != entry.filename:
            raise DataError(f"{archive}: holds {entry.filename[:80]!r} twice or under a doubtful name")
        seen.add(key)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(f"{archive}: {entry.filename} is a link or a device, only files and folders are read")
        if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
            raise DataError(f"{archive}: {entry.filename} is encrypted or packed otherwise than by deflate")
        is_large = entry.file_size > _RATIO_COUNTS_FROM_BYTES
        if is_large and entry.file_size > MOST_RATIO * max(entry.compress_size, 1):
            raise DataError(f"{archive}: {entry.filename} unpacks to more than {MOST_RATIO} times its size")


def _copy(packed: IO[bytes], file: IO[bytes], *, n_bytes: int, where: str) -> None:
    """Copy as many bytes as the archive said that there are; more or fewer are refused."""
    left = n_bytes
    while piece := packed.read(_PIECE_BYTES):
        left -= len(piece)
        if left < 0:
            raise DataError(f"{where}: unpacks to more than the {n_bytes} bytes that the archive says")
        file.write(piece)
    if left:
        raise DataError(f"{where}: unpacks to {left} bytes fewer than the archive says")
