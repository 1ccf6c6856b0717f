"""Prompts from files: tables of prompts, and windows cut from plain texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import ClassVar

from metamodel.errors import DataError, nearest_name_hint
from metamodel.prompts.base import Draws, range_problem, refuse
from metamodel.prompts.table_rows import check_suffix, read_rows
from metamodel.prompts.text_files import TextFile, find_text_files, read_text_file
from metamodel.types import Prompt


@dataclass(frozen=True, kw_only=True)
class PromptFile:
    """Prompts of a JSONL, CSV or Parquet file, one a row, in the file's order. All other columns are ignored.

    Attributes:
        path: Local path or fsspec URL; its suffix says the format: .jsonl, .csv or .parquet.
        text: Column of what the primary model reads.
        domain_column: Column of the domain; not looked at where `domain` is given.
        domain: One domain for the whole file; with neither, it is the file's name without its suffix.
        references: Column of the gold answer, or of a list of them; None where there are none. A null in it gives a
            prompt without references.
        choices: Column of the list of continuations to choose among, for multiple choice; None where answers are free.
    """

    is_finite: ClassVar[bool] = True

    path: str
    text: str = "prompt"
    domain_column: str | None = "domain"
    domain: str | None = None
    references: str | None = "answer"
    choices: str | None = None

    def __post_init__(self) -> None:
        """Refuse a format that cannot be read."""
        refuse(check_suffix(self.path))

    def prompts(self, seed: int) -> Iterator[Prompt]:
        """Yield all prompts of the file, the same ones for every seed.

        Raises:
            DataError: The file is missing, unreadable or without a row, lacks a column, or a row holds no text.
        """
        del seed
        is_empty = True
        for where, row in read_rows(self.path):
            is_empty = False
            self._refuse_missing_columns(where, row)
            yield Prompt.create(
                _text(row[self.text], f"{where}: column {self.text!r}"),
                domain=self._domain_of(where, row),
                references=() if self.references is None else _texts(row[self.references], where, self.references),
                choices=() if self.choices is None else _choices(row[self.choices], where, self.choices),
            )
        if is_empty:
            raise DataError(f"prompt file {self.path} is empty: it must hold at least one row")

    def _domain_of(self, where: str, row: Mapping[str, object]) -> str:
        if self.domain is not None:
            return self.domain
        if self.domain_column is None:
            return PurePath(self.path).stem
        return _text(row[self.domain_column], f"{where}: column {self.domain_column!r}")

    def _refuse_missing_columns(self, where: str, row: Mapping[str, object]) -> None:
        domain_column = self.domain_column if self.domain is None else None
        ways_out = {
            "text": (self.text, "name the column of the prompts"),
            "domain_column": (domain_column, "name it, or give the whole file one name with domain"),
            "references": (self.references, "name it, or set references to null where there are no gold answers"),
            "choices": (self.choices, "name it, or set choices to null where answers are free"),
        }
        problems = [
            f"no column {column!r} ({field}): {nearest_name_hint(column, row)}; {way_out}"
            for field, (column, way_out) in ways_out.items()
            if column is not None and column not in row
        ]
        if problems:
            raise DataError(f"{where}: {'; '.join(problems)}")


@dataclass(frozen=True, kw_only=True)
class TextWindows:
    """Prompts cut from plain texts, to be continued by base language models.

    A window begins where a sentence or a line does, and ends after a random number of words, wherever that is. White
    space is normalized to single spaces. No two windows begin at the same place, so there are finitely many.

    Attributes:
        path: Local text file, a folder (all .txt files in it and below), or a pattern such as "texts/*/*.txt".
        domain: One domain for all; without it a single file's domain is its name without the suffix, and any other
            file's the name of the folder that it lies in, so that a folder of corpora gives one domain a corpus.
        min_words: Shortest window.
        max_words: Longest window.
    """

    is_finite: ClassVar[bool] = True

    path: str
    domain: str | None = None
    min_words: int = 8
    max_words: int = 40

    def __post_init__(self) -> None:
        """Refuse an empty range of words."""
        refuse(range_problem("words", self.min_words, self.max_words, least=1))

    def prompts(self, seed: int) -> Iterator[Prompt]:
        """Yield every window once, in an order and with lengths that the seed fixes.

        Raises:
            DataError: No file is there, one is empty, unreadable or not UTF-8, or a domain has no window.
        """
        files = [read_text_file(path, domain) for path, domain in find_text_files(self.path, self.domain)]
        starts = [(file, start) for file in files for start in file.window_starts(self.min_words)]
        without = sorted({file.domain for file in files} - {file.domain for file, _ in starts})
        if without:
            raise DataError(
                f"{self.path}: no text of {', '.join(without)} has {self.min_words} words (min_words): "
                "lower min_words or leave it out"
            )
        draws = Draws(f"text_windows:{seed}")
        for file, start in _shuffled(starts, draws):
            n_words = draws.between(self.min_words, min(self.max_words, len(file.words) - start))
            yield Prompt.create(
                " ".join(file.words[start : start + n_words]),
                domain=file.domain,
                attributes={"n_words": n_words, "file": file.path.name, "line": file.lines[start]},
            )


def _shuffled(starts: list[tuple[TextFile, int]], draws: Draws) -> Iterator[tuple[TextFile, int]]:
    """Yield all in random order (Fisher and Yates), doing the work of those that are asked for only."""
    for last in range(len(starts) - 1, -1, -1):
        chosen = draws.between(0, last)
        starts[last], starts[chosen] = starts[chosen], starts[last]
        yield starts[last]


def _text(value: object, where: str) -> str:
    if value is None or value == "":
        raise DataError(f"{where} is null or empty, must be text")
    if not isinstance(value, str):
        raise DataError(f"{where} holds {value!r} ({type(value).__name__}), must be text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{where} holds half of a surrogate pair, which no UTF-8 file can store") from error
    return value


def _texts(value: object, where: str, column: str) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(
        _text_or_number(item, f"{where}: column {column!r}") for item in (value if isinstance(value, list) else [value])
    )


def _choices(value: object, where: str, column: str) -> tuple[str, ...]:
    if value is not None and not isinstance(value, list):
        raise DataError(f"{where}: column {column!r} holds {value!r}, must be a list of texts (JSONL or Parquet)")
    return _texts(value, where, column)


def _text_or_number(value: object, where: str) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return _text(value, where)
