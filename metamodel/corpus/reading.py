"""Read a corpus piece by piece, however large it is.

A piece is a document, or a part of one that is longer than the limit: what lies further apart than that is treated as
independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Final, NamedTuple

from metamodel.errors import DataError
from metamodel.prompts.table_rows import check_suffix, read_rows
from metamodel.prompts.text_files import find_text_files

ZOO: Final = "zoo"
_ZOO_ROWS: Final = 4096


class Piece(NamedTuple):
    """A document or a part of one."""

    name: str
    text: str


class Pair(NamedTuple):
    """A prompt with its continuation, as in training data of that shape."""

    prompt: str
    continuation: str


def iterate_pieces(paths: Iterable[str], *, text_column: str, piece_characters: int) -> Iterator[Piece]:
    """Yield the pieces of all documents of a corpus, in their order.

    Args:
        paths: Text files, folders with .txt files, patterns of text files: a document each. Or .jsonl, .csv and
            .parquet files: a document a row.
        text_column: Column of the text in tables.
        piece_characters: Most characters of a piece.

    Raises:
        DataError: A file is missing, unreadable or not UTF-8, or lacks the column.
    """
    for path in paths:
        documents = _rows(path, text_column) if check_suffix(path) is None else _files(path)
        for name, parts in documents:
            yield from _pieces(name, parts, piece_characters)


def zoo_pairs(*, seed: int) -> Iterator[Pair]:
    """Yield rows of the stream that the bundled models were trained on, without end."""
    from metamodel.zoo.data import default_mixture, shard_batches

    mixture, shard = default_mixture(), 0
    while True:
        batches = shard_batches(mixture, seed=seed, shard=shard, tokens_per_batch=_ZOO_ROWS, n_rows=_ZOO_ROWS)
        for row in (row for batch in batches for row in batch):
            cut = row.n_prompt_tokens
            yield Pair(prompt=_decoded(row.token_ids[:cut]), continuation=_decoded(row.token_ids[cut:]))
        shard += 1


def _decoded(token_ids: Iterable[int]) -> str:
    # What is no byte is a special token.
    return bytes(token for token in token_ids if token < 256).decode("utf-8", errors="replace")  # noqa: PLR2004


def _files(path: str) -> Iterator[tuple[str, Iterator[str]]]:
    for file, _ in find_text_files(path, None):
        yield file.name, _parts(str(file))


def _parts(path: str) -> Iterator[str]:
    """Yield a text file in parts of bounded length."""
    try:
        with open(path, encoding="utf-8-sig") as handle:  # noqa: PTH123 - a plain stream
            while part := handle.read(1 << 16):
                yield part
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason}): save the file as UTF-8") from error
    except OSError as error:
        raise DataError(f"text file {path} cannot be read: {error}") from error


def _rows(path: str, column: str) -> Iterator[tuple[str, Iterator[str]]]:
    for number, (where, row) in enumerate(read_rows(path)):
        if column not in row:
            raise DataError(f"{where}: no column {column!r}, it has {', '.join(map(str, row))}: name it, --text-column")
        text = row[column]
        if isinstance(text, str):
            yield f"{PurePath(path).name}:{number}", iter([text])


def _pieces(name: str, parts: Iterator[str], limit: int) -> Iterator[Piece]:
    """Yield a document's pieces, cut at the last line or word that fits."""
    kept, number = "", 0
    for part in parts:
        kept += part
        while len(kept) > limit:
            cut = max(kept.rfind("\n", limit // 2, limit), kept.rfind(" ", limit // 2, limit))
            cut = limit if cut < 0 else cut + 1
            yield Piece(name=f"{name}#{number}", text=kept[:cut])
            kept, number = kept[cut:], number + 1
    if kept.strip():
        yield Piece(name=f"{name}#{number}", text=kept)
