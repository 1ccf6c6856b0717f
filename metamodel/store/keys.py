"""Ids and keys of 128 bits, by the million: 32 hexadecimal digits on disk, two words of 64 bits in memory.

Shapes: n = keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.types import IntArray, Sampling

if TYPE_CHECKING:
    import pyarrow as pa

# Two words a key, [n, 2].
Keys: TypeAlias = NDArray[np.uint64]
BoolArray: TypeAlias = NDArray[np.bool_]

_KEY_BYTES = 16
_HEX_DIGITS = 2 * _KEY_BYTES
_FIRST_SLOTS = 1024


def keys_of(ids: Sequence[str]) -> Keys:
    """Return ids as keys, [n, 2]: 32 hexadecimal digits as they stand, any other text by its hash.

    >>> hex_of(keys_of(["00112233445566778899aabbccddeeff"]))
    ['00112233445566778899aabbccddeeff']
    """
    joined = "".join(ids)
    if len(joined) == _HEX_DIGITS * len(ids) and all(len(text) == _HEX_DIGITS for text in ids):
        content = _from_hex(joined)
        if content is not None:
            return _as_keys(content)
    return _as_keys(b"".join(key_bytes(text) for text in ids))


def key_bytes(text: str) -> bytes:
    """Return one id as the 16 bytes that `keys_of` makes of it."""
    content = _from_hex(text) if len(text) == _HEX_DIGITS else None
    if content is not None:
        return content
    return hashlib.blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=_KEY_BYTES).digest()


def measured(text: str) -> bytes:
    """Return a text behind its length, as `metamodel.types.content_hash` hashes each of its parts."""
    encoded = text.encode("utf-8", errors="surrogatepass")
    return len(encoded).to_bytes(8, "big") + encoded


def hex_of(keys: Keys) -> list[str]:
    """Return each key as 32 hexadecimal digits, n of them."""
    digits = keys.tobytes().hex()
    return [digits[begin : begin + _HEX_DIGITS] for begin in range(0, len(digits), _HEX_DIGITS)]


def hex_column(keys: Keys) -> pa.Array:
    """Return keys as a column of text, n rows of 32 hexadecimal digits."""
    import pyarrow as pa

    offsets = np.arange(0, _HEX_DIGITS * (len(keys) + 1), _HEX_DIGITS, dtype=np.int32)
    digits = keys.tobytes().hex().encode()
    return pa.StringArray.from_buffers(len(keys), pa.py_buffer(offsets), pa.py_buffer(digits))


class GenerationKeys:
    """`metamodel.types.generation_key` of one primary model and sampling for many generations at once."""

    def __init__(self, primary_identity: str, sampling: Sampling) -> None:
        """Hash once what all keys begin with."""
        self._begun = hashlib.blake2b(measured(primary_identity), digest_size=_KEY_BYTES)
        self._fingerprint = measured(sampling.fingerprint())
        self._endings: dict[int, bytes] = {}

    def keys(self, prompt_ids: Iterable[str], samples: Iterable[int]) -> Keys:
        """Return the key of each prompt and sample, [n, 2]."""
        begin, endings = self._begun.copy, self._endings
        lengths = {_HEX_DIGITS: _HEX_DIGITS.to_bytes(8, "big")}
        digests = []
        for prompt_id, sample in zip(prompt_ids, samples, strict=True):
            if sample not in endings:
                endings[sample] = self._fingerprint + measured(str(sample))
            encoded = prompt_id.encode("utf-8", "surrogatepass")
            length = lengths.get(len(encoded)) or len(encoded).to_bytes(8, "big")
            digest = begin()
            digest.update(length + encoded + endings[sample])
            digests.append(digest.digest())
        return _as_keys(b"".join(digests))


class KeyIndex:
    """Numbers keys in the order in which they first come: 24 to 32 bytes a key.

    A hash table with open addressing whose steps run over all keys of a call at once. The keys are hashes already.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._n = 0
        self._keys: Keys = np.empty((_FIRST_SLOTS, 2), dtype=np.uint64)
        self._slots: NDArray[np.int32] = np.full(2 * _FIRST_SLOTS, -1, dtype=np.int32)

    def __len__(self) -> int:
        """Return the number of distinct keys."""
        return self._n

    @property
    def keys(self) -> Keys:
        """All keys by number, [n, 2]."""
        return self._keys[: self._n]

    def find(self, keys: Keys) -> IntArray:
        """Return the number of each key, [n]; -1 where it has none."""
        found = np.full(len(keys), -1, dtype=np.int64)
        slots = self._first_slots(keys)
        pending = np.arange(len(keys))
        while len(pending):
            numbers = self._slots[slots[pending]]
            is_taken = numbers >= 0
            pending, numbers = pending[is_taken], numbers[is_taken]
            is_same = (self._keys[numbers] == keys[pending]).all(axis=1)
            found[pending[is_same]] = numbers[is_same]
            pending = pending[~is_same]
            slots[pending] = self._next(slots[pending])
        return found

    def contains(self, keys: Keys) -> BoolArray:
        """Say of each key whether it is known, [n]."""
        return self.find(keys) >= 0

    def add(self, keys: Keys) -> BoolArray:
        """Number the keys that are new; say of each whether it was, [n]: of equal ones only the first."""
        self._make_room(len(keys))
        # All stand behind the known ones while they are sorted in, so that they can be compared with one another.
        self._keys[self._n : self._n + len(keys)] = keys
        is_new = np.zeros(len(keys), dtype=np.bool_)
        slots = self._first_slots(keys)
        pending = np.arange(len(keys))
        while len(pending):
            numbers = self._slots[slots[pending]]
            is_taken = numbers >= 0
            # The first of those that want the same free slot gets it; the others look again.
            wanted, first = np.unique(slots[pending[~is_taken]], return_index=True)
            winners = pending[~is_taken][first]
            self._slots[wanted] = self._n + winners
            is_new[winners] = True
            blocked, numbers = pending[is_taken], numbers[is_taken]
            is_other = (self._keys[numbers] != keys[blocked]).any(axis=1)
            slots[blocked[is_other]] = self._next(slots[blocked[is_other]])
            waiting = np.setdiff1d(pending[~is_taken], winners, assume_unique=True)
            pending = np.sort(np.concatenate([blocked[is_other], waiting]))
        fresh = np.flatnonzero(is_new)
        self._keys[self._n : self._n + len(fresh)] = keys[fresh]
        self._slots[slots[fresh]] = np.arange(self._n, self._n + len(fresh))
        self._n += len(fresh)
        return is_new

    def _make_room(self, n_more: int) -> None:
        n_wanted = self._n + n_more
        if n_wanted > len(self._keys):
            grown = np.empty((max(n_wanted, len(self._keys) * 3 // 2), 2), dtype=np.uint64)
            grown[: self._n] = self.keys
            self._keys = grown
        if 2 * n_wanted > len(self._slots):
            n_slots = len(self._slots)
            while 2 * n_wanted > n_slots:
                n_slots *= 2
            self._slots = np.full(n_slots, -1, dtype=np.int32)
            known, self._n = self.keys, 0  # they stay where they are
            piece = 65_536  # bounds what the steps below hold beside the table
            for begin in range(0, len(known), piece):
                self._insert_distinct(known[begin : begin + piece])

    def _insert_distinct(self, keys: Keys) -> None:
        numbers = np.arange(self._n, self._n + len(keys), dtype=np.int32)
        self._n += len(keys)
        slots = self._first_slots(keys)
        pending = np.arange(len(keys))
        while len(pending):
            is_free = self._slots[slots[pending]] < 0
            free = pending[is_free]
            self._slots[slots[free]] = numbers[free]
            is_mine = self._slots[slots[pending]] == numbers[pending]
            pending = pending[~is_mine]
            slots[pending] = self._next(slots[pending])

    def _first_slots(self, keys: Keys) -> IntArray:
        return (keys[:, 0] & np.uint64(len(self._slots) - 1)).astype(np.int64)

    def _next(self, slots: IntArray) -> IntArray:
        following: IntArray = (slots + 1) & (len(self._slots) - 1)
        return following


def _as_keys(content: bytes) -> Keys:
    return np.frombuffer(content, dtype=np.uint64).reshape(-1, 2)


def _from_hex(text: str) -> bytes | None:
    """Return the bytes of lower-case digits; None for any other text, as two of them could stand for the same bytes."""
    try:
        content = bytes.fromhex(text)
    except ValueError:
        return None
    return content if content.hex() == text else None
