"""Prompt ids in bulk: `Prompt.create`'s hash over columns, without a Python object a row.

Shapes in this file: n = rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.types import content_hash

if TYPE_CHECKING:
    import pyarrow as pa

DIGEST_BYTES = 16
_HEX_ID = re.compile(r"[0-9a-f]{32}")
KeyArray: TypeAlias = NDArray[np.uint64]
DigestArray: TypeAlias = NDArray[np.uint8]


def prompt_digests(table: pa.Table) -> DigestArray:
    """Return the digest of each row's prompt as `Prompt.create` makes it, [n, 16].

    Args:
        table: Columns domain, text, references and choices, without nulls in the first two.
    """
    texts = _framed(table["text"])
    golds = _framed_lists(table["references"], b"")
    offered = _framed_lists(table["choices"], _frame(b"choices"))
    digests = []
    for begun, text, gold, choices in zip(_begun(table["domain"]), texts, golds, offered, strict=True):
        digest = begun.copy()
        digest.update(text + gold + choices)
        digests.append(digest.digest())
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, DIGEST_BYTES)


def keys_of(digests: DigestArray) -> KeyArray:
    """Return the first 8 bytes of each digest as a number, [n]: enough to tell a log's prompts apart.

    Among m prompts two share these with probability m * m / 2**65: one in 30 million at a million prompts.
    """
    # [n, 16] -> [n, 2] -> [n]
    keys: KeyArray = np.ascontiguousarray(digests).view(np.uint64).reshape(-1, 2)[:, 0].copy()
    return keys


def hex_ids(digests: DigestArray) -> pa.Array:
    """Return digests as 32 hex digits each."""
    import pyarrow as pa

    text = digests.tobytes().hex().encode("ascii")
    offsets = np.arange(len(digests) + 1, dtype=np.int32) * (2 * DIGEST_BYTES)
    return pa.StringArray.from_buffers(len(digests), pa.py_buffer(offsets), pa.py_buffer(text))


def digests_of_ids(prompt_ids: Sequence[str]) -> DigestArray:
    """Return the digests that some prompt ids are written from, [m, 16]; what is no content hash is left out."""
    digits = "".join(text for text in prompt_ids if _HEX_ID.fullmatch(text))
    return np.frombuffer(bytes.fromhex(digits), dtype=np.uint8).reshape(-1, DIGEST_BYTES)


def item_digest(digest: bytes, item: str) -> bytes:
    """Return the digest of one of several prompts of a log with the same content, told apart by the log's own ids."""
    return bytes.fromhex(content_hash("recorded", digest.hex(), item))


def text_keys(column: pa.ChunkedArray) -> KeyArray:
    """Return a number for each text of a column, [n]; 0 for a null."""
    keys = np.empty(len(column), dtype=np.uint64)
    known: dict[str | None, int] = {None: 0}
    for row, text in enumerate(column.to_pylist()):
        if text not in known:
            raw = blake2b(text.encode("utf-8"), digest_size=8).digest()
            known[text] = int.from_bytes(raw, "little") or 1
        keys[row] = known[text]
    return keys


def _begun(domains: pa.ChunkedArray) -> list[blake2b]:
    """Return a hash that has read the domain, for each row; rows of one domain share it."""
    begun: list[blake2b] = []
    for chunk in domains.chunks:
        encoded = chunk.dictionary_encode()
        states = [
            blake2b(_frame(domain.encode("utf-8")), digest_size=DIGEST_BYTES)
            for domain in encoded.dictionary.to_pylist()
        ]
        begun += [states[code] for code in encoded.indices.to_numpy().tolist()]
    return begun


def _frame(text: bytes) -> bytes:
    return len(text).to_bytes(8, "big") + text


def _framed(column: pa.ChunkedArray) -> list[bytes]:
    """Return each text as bytes behind its length."""
    return [framed for chunk in column.chunks for framed in _framed_chunk(chunk)]


def _framed_chunk(chunk: pa.Array) -> list[bytes]:
    import pyarrow as pa

    if not len(chunk):
        return []
    chunk = chunk.cast(pa.large_string())
    _, offsets, data = chunk.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[chunk.offset : chunk.offset + len(chunk) + 1].tolist()
    content = b"" if data is None else memoryview(data)
    return [(end - start).to_bytes(8, "big") + content[start:end] for start, end in pairwise(ends)]


def _framed_lists(column: pa.ChunkedArray, prefix: bytes) -> list[bytes]:
    """Return each list's texts framed and joined, behind a prefix where it holds any."""
    joined: list[bytes] = []
    for chunk in column.chunks:
        lengths = np.asarray(chunk.value_lengths().fill_null(0))
        if not lengths.any():
            joined += [b""] * len(chunk)
            continue
        items = _framed_chunk(chunk.flatten())
        if (lengths == 1).all():
            joined += [prefix + item for item in items] if prefix else items
            continue
        ends = np.cumsum(lengths).tolist()
        joined += [
            prefix + b"".join(items[end - length : end]) if length else b""
            for end, length in zip(ends, lengths.tolist(), strict=True)
        ]
    return joined
