"""Numbers computed from texts, computed once: in this process, and on disk where a stage names a folder.

Ground floor. Encoders and readers cost milliseconds a text, and a run asks for the same texts in every fold, for every
primary model, in training and in evaluation.

Shapes: n = texts, d = numbers a text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metamodel.types import content_hash

# Of one kind of numbers; what does not fit is computed again, or read again from disk.
MOST_BYTES = 2**30
_PIECE_TEXTS = 1024

Rows = NDArray[np.float32]
_folder: ContextVar[Path | None] = ContextVar("feature_cache_folder", default=None)
_mode: ContextVar[Literal["open", "stage", "none"]] = ContextVar("feature_cache_mode", default="open")
_memory: dict[str, dict[bytes, Rows]] = {}
_read_pieces: set[Path] = set()


@contextmanager
def stored_under(folder: Path | None) -> Iterator[None]:
    """Keep what is computed inside this block in a folder too; None keeps it in memory alone."""
    token, place = _mode.set("stage"), _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(place)
        _mode.reset(token)


@contextmanager
def uncached() -> Iterator[None]:
    """Keep nothing of what is computed inside this block: a server's memory must not grow with what it is asked."""
    token = _mode.set("none")
    try:
        yield
    finally:
        _mode.reset(token)


def is_kept(*, is_cheap: bool) -> bool:
    """Say whether numbers are kept here: in a stage all are, in `uncached` none, elsewhere those that are expensive."""
    mode = _mode.get()
    return mode == "stage" or (mode == "open" and not is_cheap)


def computed_once(identity: str, texts: Sequence[str], compute: Callable[[Sequence[str]], Rows], width: int) -> Rows:
    """Return the numbers of each text, [n, d], computing those that are not known yet.

    Args:
        identity: All that the numbers depend on but the text: kind, settings, hash of the weights.
        texts: Texts, n of them.
        compute: Gives the numbers of some texts in their order, [., d] float32; a row depends on its own text alone.
        width: Numbers a text (d).
    """
    known = _memory.setdefault(identity, {})
    folder = _folder.get()
    place = folder / content_hash(identity)[:24] if folder is not None else None
    if place is not None:
        _read(place, known, width)
    keys = [_key(text) for text in texts]
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    wanted = list(missing.items())
    fresh: dict[bytes, Rows] = {}
    for start in range(0, len(wanted), _PIECE_TEXTS):
        piece = wanted[start : start + _PIECE_TEXTS]
        rows = np.ascontiguousarray(compute([text for _, text in piece]), dtype=np.float32)
        if rows.shape != (len(piece), width):
            raise ValueError(f"{identity} gave {list(rows.shape)} numbers, must be [{len(piece)}, {width}]")
        fresh |= {key: row for (key, _), row in zip(piece, rows, strict=True)}
        if place is not None:
            _write(place, [key for key, _ in piece], rows)
    out = np.empty((len(texts), width), dtype=np.float32)
    for position, key in enumerate(keys):
        out[position] = fresh[key] if key in fresh else known[key]
    room = MOST_BYTES // max(width * 4, 1) - len(known)
    for key in list(fresh)[: max(room, 0)]:
        known[key] = fresh[key]
    return out


def forget() -> None:
    """Empty the memory; files stay."""
    _memory.clear()
    _read_pieces.clear()


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=16).digest()


def _write(place: Path, keys: Sequence[bytes], rows: Rows) -> None:
    """Write a piece under a temporary name and rename it, so that a killed run leaves no half piece."""
    from safetensors.numpy import save_file

    place.mkdir(parents=True, exist_ok=True)
    name = blake2b(b"".join(keys), digest_size=12).hexdigest()
    unfinished = place / f".{name}.{os.getpid()}"
    save_file({"keys": np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, 16), "rows": rows}, unfinished)
    path = place / f"{name}.safetensors"
    unfinished.replace(path)
    _read_pieces.add(path)


def _read(place: Path, known: dict[bytes, Rows], width: int) -> None:
    """Take in the pieces that were not read yet; one that cannot be read is computed again."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not place.is_dir():
        return
    for path in sorted(place.glob("*.safetensors")):
        if path in _read_pieces:
            continue
        try:
            piece = load_file(path)
            keys, rows = piece["keys"], piece["rows"]
        except (OSError, SafetensorError, KeyError, ValueError):
            continue
        is_sound = rows.dtype == np.float32 and rows.shape == (len(keys), width) and keys.shape[1:] == (16,)
        if is_sound and len(known) + len(keys) <= MOST_BYTES // max(width * 4, 1):
            known.update({key.tobytes(): row for key, row in zip(keys, rows, strict=True)})
            _read_pieces.add(path)
