"""Files that a saved metamodel takes along so that it predicts without the package they came from.

Each is named in spec.json with its length and content hash, and none is read that is not among those known here. A file
is data for a library that runs no code from it: a network for onnxruntime, a vocabulary for tokenizers.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

from metamodel.errors import DataError

ENCODER_FILE, TOKENIZER_FILE = "encoder.onnx", "tokenizer.json"
# The first is what one message of the format can hold; no vocabulary comes near the second.
MOST_BYTES = {ENCODER_FILE: 2**31 - 1, TOKENIZER_FILE: 2**26}


def content_hash(content: bytes) -> str:
    """Return the hash of a file's content, 32 hexadecimal digits."""
    return blake2b(content, digest_size=16).hexdigest()


def described_files(files: Mapping[str, bytes]) -> dict[str, dict[str, object]]:
    """Return what spec.json says of carried files.

    >>> described_files({"tokenizer.json": b"{}"})["tokenizer.json"]["n_bytes"]
    2
    """
    return {name: {"n_bytes": len(content), "hash": content_hash(content)} for name, content in files.items()}


def read_files(folder: Path, described: Mapping[str, object]) -> dict[str, bytes]:
    """Return the content of the carried files that a spec names; no link is followed.

    Raises:
        DataError: One is missing, a link, too large, of another content, or of a name that no metamodel carries.
    """
    return {name: _read_file(folder, name, value) for name, value in described.items()}


def _read_file(folder: Path, name: str, value: object) -> bytes:
    most = MOST_BYTES.get(name)
    if most is None:
        raise DataError(f"{folder}: carries a file {name[:80]!r}, must be one of {', '.join(MOST_BYTES)}: export again")
    path = folder / name
    if not isinstance(value, dict) or set(value) != {"n_bytes", "hash"}:
        raise DataError(f"{folder}: spec.json must give n_bytes and hash of {name}: export again")
    try:
        if path.is_symlink() or not path.is_file():
            raise DataError(f"{path}: is missing or a link: export again")
        n_bytes = path.stat().st_size
        if n_bytes > most or n_bytes != value["n_bytes"]:
            raise DataError(
                f"{path}: has {n_bytes} bytes, spec.json says {value['n_bytes']!r}, at most {most} are read"
            )
        with path.open("rb") as file:
            content = file.read(n_bytes + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}): export again") from error
    if content_hash(content) != value["hash"]:
        raise DataError(f"{path}: is not the file that spec.json names (another content hash): export again")
    return content
