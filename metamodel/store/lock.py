"""One writer a run directory.

On a local disk the kernel holds the lock and drops it with its process, however that dies, so none goes stale.
Elsewhere a file names the holder. Stores that can create a file only where there is none (S3, Google Cloud Storage) let
one of two writers that start at once have it; on others the last one wins and the first finds out.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from metamodel.errors import RunError
from metamodel.store.provenance import utc_now
from metamodel.store.storage import Folder, explained_write_errors

if TYPE_CHECKING:
    from pathlib import Path

LOCK_NAME = ".lock"
_LOOKS, _BETWEEN_LOOKS_S = 20, 0.01
_UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@contextmanager
def hold_lock(folder: Folder) -> Iterator[None]:
    """Be the only writer below `folder` until the block ends.

    Raises:
        RunError: If another process holds the lock; the message names its host, process id and since when.
    """
    if folder.local is not None:
        with _hold_kernel_lock(folder.local / LOCK_NAME) as supported:
            if supported:
                yield
                return
    with _hold_named_lock(folder):
        yield


@contextmanager
def _hold_kernel_lock(path: Path) -> Iterator[bool]:
    with explained_write_errors(str(path)):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        supported = _try_kernel_lock(descriptor, path)
        if supported:
            with explained_write_errors(str(path)):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, _describe_self(), 0)
        yield supported
        if supported:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _try_kernel_lock(descriptor: int, path: Path) -> bool:
    for _ in range(_LOOKS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 4096, 0)
            if holder:
                break
            time.sleep(_BETWEEN_LOOKS_S)  # it says who it is a moment after it got the lock
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return False
            raise
        else:
            return True
    raise _refusal(str(path.parent), holder)


@contextmanager
def _hold_named_lock(folder: Folder) -> Iterator[None]:
    name = f"{LOCK_NAME}.json"
    mine = _describe_self()
    if not folder.create_bytes(name, mine):
        content = folder.read_bytes(name)
        if not _is_dead_here(content):
            raise _refusal(folder.path, content, hint=f"if that process is gone, delete {folder / name}")
        folder.write_bytes(name, mine)
    content = folder.read_bytes(name)
    if content != mine:  # where files cannot be created exclusively, or two took over at once, the last one has it
        raise _refusal(folder.path, content)
    try:
        yield
    finally:
        folder.remove(name)


def _describe_self() -> bytes:
    token = secrets.token_hex(8)  # tells two writers of one process apart
    return json.dumps(
        {"host": socket.gethostname(), "pid": os.getpid(), "since_utc": utc_now(), "token": token}
    ).encode()


def _read_holder(content: bytes) -> dict[str, object]:
    try:
        holder = json.loads(content)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _is_dead_here(content: bytes) -> bool:
    holder = _read_holder(content)
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _refusal(path: str, content: bytes, *, hint: str = "") -> RunError:
    holder = _read_holder(content)
    who = ", ".join(f"{key} {holder[key]}" for key in ("host", "pid", "since_utc") if key in holder) or "unknown holder"
    advice = "wait for it to end, or write to another run directory"
    return RunError(f"{path} is being written by another process ({who}): {advice}{'; ' + hint if hint else ''}")
