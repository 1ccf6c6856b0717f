"""One writer a run directory.

On a local disk the kernel holds the lock and drops it with its process, however that dies, so none goes stale.
Elsewhere a file names the holder: good against mistakes, not against two writers that start in the same second.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from metamodel.errors import RunError
from metamodel.store.provenance import utc_now
from metamodel.store.storage import Folder, explained_write_errors

if TYPE_CHECKING:
    from pathlib import Path

LOCK_NAME = ".lock"
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
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _refusal(str(path.parent), os.pread(descriptor, 4096, 0)) from error
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


@contextmanager
def _hold_named_lock(folder: Folder) -> Iterator[None]:
    name = f"{LOCK_NAME}.json"
    if folder.exists(name):
        content = folder.read_bytes(name)
        if not _is_dead_here(content):
            raise _refusal(folder.path, content, hint=f"if that process is gone, delete {folder / name}")
    folder.write_bytes(name, _describe_self())
    try:
        yield
    finally:
        folder.remove(name)


def _describe_self() -> bytes:
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since_utc": utc_now()}).encode()


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
