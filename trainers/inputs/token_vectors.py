"""Pretrained token vectors out of the wordllama package's own files, and how often each token occurs in a text.

Only the files are read: the package's loader looks in another folder and then goes to the network. A text is cut into
runs of letters, single digits and single marks, and each of these is tokenized once however often it occurs; the
tokenizer would give nearly the same tokens for the whole text, at many times the cost.

Shapes: n = texts, p = different pieces of these texts, v = tokens, d = width of a vector.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError, MetamodelError
from metamodel.types import IntArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from tokenizers import Tokenizer

_PACKAGE = "wordllama"
_VECTORS_FILE = "weights/l2_supercat_256.safetensors"
_TOKENIZER_FILE = "tokenizers/l2_supercat_tokenizer_config.json"
_TENSOR = "embedding.weight"
# Bounded, so that a text without spaces is cut like others.
_PIECE = re.compile(r"[^\W\d_]{1,32}|[^\s]")
_MOST_PIECES_AT_ONCE = 50_000
_MOST_KNOWN_PIECES = 50_000
_FEW_PIECES = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenVectors:
    """A tokenizer and a vector for each of its tokens.

    Attributes:
        identity: Package and content hash of both files.
        table: Vectors as stored, half precision, [v, d].
        tokenizer: Of the `tokenizers` library.
    """

    identity: str
    table: NDArray[np.float16]
    tokenizer: Tokenizer
    _known: dict[str, tuple[int, ...]] = field(default_factory=dict, init=False, repr=False)

    @property
    def n_bits(self) -> float:
        """Size of the vectors as stored, and of the tokens' texts as UTF-8."""
        texts = self.tokenizer.get_vocab(with_added_tokens=True)
        return 8.0 * (self.table.nbytes + sum(len(text.encode()) for text in texts))

    def ids(self, text: str, *, max_characters: int) -> IntArray:
        """Return the tokens of one text, those of its pieces in order.

        The tokens of pieces are remembered, a bounded number of them: most words come again.

        Args:
            text: A text.
            max_characters: Of a longer one the first and the last half of so many characters are read.
        """
        pieces = _PIECE.findall(_sound(text, max_characters))
        known = self._known
        try:
            return np.fromiter(chain.from_iterable(map(known.__getitem__, pieces)), dtype=np.int64)
        except KeyError:
            # Another thread may empty what is known at any moment: nothing is looked up in it twice.
            held = {piece: known.get(piece) for piece in pieces}
        found = {piece: tokens for piece, tokens in held.items() if tokens is not None}
        fresh = self._tokenized([piece for piece in held if piece not in found])
        if len(known) + len(fresh) > _MOST_KNOWN_PIECES:
            known.clear()
        known.update(fresh)
        found |= fresh
        return np.fromiter(chain.from_iterable(map(found.__getitem__, pieces)), dtype=np.int64)

    def _tokenized(self, pieces: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """Return the tokens of each piece."""
        if len(pieces) <= _FEW_PIECES:  # a batch would wake threads
            return {piece: tuple(self.tokenizer.encode(piece, add_special_tokens=False).ids) for piece in pieces}
        batch = self.tokenizer.encode_batch(list(pieces), add_special_tokens=False)
        return {piece: tuple(encoding.ids) for piece, encoding in zip(pieces, batch, strict=True)}

    def counts(self, texts: Sequence[str], *, max_characters: int) -> csr_array[np.float32]:
        """Return how often each token occurs in each text, [n, v]; a row depends on its own text alone.

        Args:
            texts: Texts, n of them.
            max_characters: Of a longer text the first and the last half of so many characters are read.
        """
        from scipy.sparse import csr_array

        numbers: dict[str, int] = {}
        columns, offsets = [np.zeros(0, dtype=np.int32)], np.zeros(len(texts) + 1, dtype=np.int64)
        for row, text in enumerate(texts):
            pieces = _PIECE.findall(_sound(text, max_characters))
            columns.append(np.array([numbers.setdefault(piece, len(numbers)) for piece in pieces], dtype=np.int32))
            offsets[row + 1] = offsets[row] + len(pieces)
        joined = np.concatenate(columns)
        of_pieces = csr_array((np.ones(len(joined), np.float32), joined, offsets), shape=(len(texts), len(numbers)))
        of_pieces.sum_duplicates()
        counts = csr_array(of_pieces @ self._pieces(list(numbers)))
        counts.sort_indices()  # a fixed order of summation
        return counts

    def _pieces(self, pieces: Sequence[str]) -> csr_array[np.float32]:
        """Return how often each token occurs in each piece, [p, v]."""
        from scipy.sparse import csr_array

        ids: list[int] = []
        ends = [0]
        for start in range(0, len(pieces), _MOST_PIECES_AT_ONCE):
            batch = list(pieces[start : start + _MOST_PIECES_AT_ONCE])
            for encoding in self.tokenizer.encode_batch(batch, add_special_tokens=False):
                ids += encoding.ids
                ends.append(len(ids))
        columns = np.array(ids, dtype=np.int32)
        counts = csr_array(
            (np.ones(len(ids), np.float32), columns, np.array(ends)), shape=(len(pieces), len(self.table))
        )
        counts.sum_duplicates()
        return counts


@cache
def installed_token_vectors() -> TokenVectors:
    """Return the vectors of the installed package, read once in a process.

    Raises:
        MetamodelError: The package is not installed.
        DataError: Its files are not what they should be.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load
    from tokenizers import Tokenizer

    spec = find_spec(_PACKAGE)  # finds a package without importing it
    if spec is None or spec.origin is None:
        raise MetamodelError(f"trainer static needs {_PACKAGE}'s token vectors: pip install 'metamodel[static]'")
    folder = Path(spec.origin).parent
    try:
        vectors, tokenizer = (folder / _VECTORS_FILE).read_bytes(), (folder / _TOKENIZER_FILE).read_bytes()
    except OSError as error:
        raise DataError(
            f"{folder}: {_PACKAGE} lacks a file ({error.strerror}): pip install --force-reinstall 'metamodel[static]'"
        ) from error
    try:
        table = load(vectors)[_TENSOR]
    except (SafetensorError, KeyError) as error:
        raise DataError(f"{folder / _VECTORS_FILE}: holds no tensor {_TENSOR} ({error})") from error
    built = Tokenizer.from_buffer(tokenizer)
    if table.ndim != 2 or len(table) < built.get_vocab_size() or not np.isfinite(table).all():  # noqa: PLR2004 - a matrix
        raise DataError(f"{folder / _VECTORS_FILE}: {list(table.shape)} is no finite vector for each token")
    digest = blake2b(vectors + tokenizer, digest_size=16).hexdigest()
    return TokenVectors(identity=f"{_PACKAGE}@{digest}", table=table.astype(np.float16), tokenizer=built)


def _sound(text: str, max_characters: int) -> str:
    """Return a text short enough, in which lone surrogates, that no tokenizer takes, are replacement characters."""
    half = max_characters // 2
    kept = text if len(text) <= max_characters else text[:half] + text[-half:]
    if kept.isascii():
        return kept
    return kept.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")
