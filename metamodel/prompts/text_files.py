"""Plain text files as lists of words, with the places where a window may begin."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path

from metamodel.errors import DataError

SENTENCE_ENDS = (".", "!", "?")
CLOSING_MARKS = "\"')]}\u201d\u2019"
GLOB_CHARACTERS = "*?["


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """One text.

    Attributes:
        path: Where it was read from.
        domain: The domain of its windows.
        words: All words, in order.
        lines: Line number of each word, from 1; as long as `words`.
    """

    path: Path
    domain: str
    words: tuple[str, ...]
    lines: tuple[int, ...]

    def window_starts(self, min_words: int) -> list[int]:
        """Return the positions of words that begin a sentence or a line and have min_words words from there on."""
        return [
            index
            for index in range(len(self.words) - min_words + 1)
            if index == 0
            or self.lines[index] != self.lines[index - 1]
            or self.words[index - 1].rstrip(CLOSING_MARKS).endswith(SENTENCE_ENDS)
        ]


def find_text_files(path: str, domain: str | None) -> list[tuple[Path, str]]:
    """Return the text files that a path means, each with its domain, in the order of their names.

    Args:
        path: A file, a folder (all .txt files in it and below), or a pattern.
        domain: Domain of all; None names a single file's by the file and any other's by its folder.

    Raises:
        DataError: There is no such file.
    """
    place = Path(path)
    if place.is_file():
        return [(place, place.stem if domain is None else domain)]
    if place.is_dir():
        found = sorted(place.rglob("*.txt"))
    elif any(character in path for character in GLOB_CHARACTERS):
        found = sorted(Path(name) for name in glob.glob(path, recursive=True))  # noqa: PTH207 - takes absolute patterns
    else:
        raise DataError(f"text {path} does not exist: give a text file, a folder with .txt files, or a pattern")
    files = [file for file in found if file.is_file()]
    if not files:
        raise DataError(f"{path} matches no text file: give a text file, a folder with .txt files, or a pattern")
    return [(file, file.resolve().parent.name if domain is None else domain) for file in files]


def read_text_file(path: Path, domain: str) -> TextFile:
    """Read a UTF-8 text into words.

    Raises:
        DataError: The file cannot be read, is not UTF-8 (the line is named), or holds no word.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"text file {path} cannot be read: {error}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8 (byte {error.object[error.start]:#04x}): save the file as UTF-8"
        ) from error
    places = [(word, number) for number, line in enumerate(text.split("\n"), start=1) for word in line.split()]
    if not places:
        raise DataError(f"text file {path} is empty: it must hold words")
    words, lines = zip(*places, strict=True)
    return TextFile(path=path, domain=domain, words=words, lines=lines)
