"""JSON of any length, one item at a time, with bounded memory.

Nothing but the standard library's decoder reads the content; an item larger than the limit is refused.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import IO

from metamodel.errors import DataError

MOST_ITEM_CHARACTERS = 256 * 1024 * 1024
_CHUNK_BYTES = 1 << 20
_BLANKS = " \t\r\n\ufeff"


def json_lines(handle: IO[bytes], path: str) -> Iterator[tuple[int, object | None, str | None]]:
    """Yield (line number, value, problem) of each line that is not blank; no value where there is a problem."""
    number = 0
    while True:
        line = handle.readline(MOST_ITEM_CHARACTERS + 1)
        if not line:
            return
        number += 1
        if len(line) > MOST_ITEM_CHARACTERS:
            raise DataError(f"{path}, line {number}: longer than {MOST_ITEM_CHARACTERS} bytes: not a log")
        if not line.strip():
            continue
        try:
            yield number, json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8")), None
        except (ValueError, RecursionError) as error:
            yield number, None, f"not JSON ({str(error)[:120]})"


def array_items(handle: IO[bytes], path: str, *, key: str | None = None) -> Iterator[object]:
    """Yield the items of a JSON array: the whole file's, or the one under a key of the file's object.

    Args:
        handle: Open file.
        path: Its name, for messages.
        key: Name of the array in the object that the file holds; without it the file is the array.

    Raises:
        DataError: The file is not such JSON, or an item is larger than MOST_ITEM_CHARACTERS.
    """
    yield from _Reader(handle, path).array(key)


def object_without(handle: IO[bytes], path: str, *, key: str) -> dict[str, object]:
    """Return the JSON object of a file without the array under a key, which is passed over item by item.

    Raises:
        DataError: The file is not a JSON object.
    """
    return _Reader(handle, path).fields(without=key)


class _Reader:
    """A window over the text that moves on as items are taken."""

    def __init__(self, handle: IO[bytes], path: str) -> None:
        self._handle, self._path = handle, path
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._text, self._at, self._is_over = "", 0, False

    def array(self, key: str | None) -> Iterator[object]:
        if key is not None:
            self._expect("{")
            for name in self._names():
                if name == key:
                    break
                self._value()
            else:
                return
        self._expect("[")
        yield from self._items()

    def fields(self, *, without: str) -> dict[str, object]:
        found: dict[str, object] = {}
        self._expect("{")
        for name in self._names():
            if name == without and self._peek() == "[":
                self._expect("[")
                for _ in self._items():
                    pass
            else:
                found[name] = self._value()
        return found

    def _names(self) -> Iterator[str]:
        while self._peek() != "}":
            name = self._value()
            if not isinstance(name, str):
                raise self._damaged("a key that is no text")
            self._expect(":")
            yield name
            if self._peek() == ",":
                self._at += 1
        self._at += 1

    def _items(self) -> Iterator[object]:
        while self._peek() != "]":
            yield self._value()
            if self._peek() == ",":
                self._at += 1
            elif self._peek() != "]":
                raise self._damaged("neither ',' nor ']' after an item")
        self._at += 1

    def _value(self) -> object:
        self._peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except RecursionError as error:
                raise self._damaged("too deep a nesting") from error
            except ValueError as error:
                if not self._read_more():
                    raise self._damaged(str(error)) from error
                continue
            # A number at the end of what was read may go on.
            if end == len(self._text) and not self._is_over and self._read_more():
                continue
            self._at = end
            return value

    def _peek(self) -> str:
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANKS:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_more():
                raise self._damaged("it ends too early")

    def _expect(self, mark: str) -> None:
        found = self._peek()
        if found != mark:
            raise self._damaged(f"{found!r} where {mark!r} must stand")
        self._at += 1

    def _read_more(self) -> bool:
        """Append at least as much as is waiting, so that a long item is not parsed again for each small piece."""
        if self._is_over:
            return False
        waiting = self._text[self._at :]
        if len(waiting) > MOST_ITEM_CHARACTERS:
            raise self._damaged(f"an item of more than {MOST_ITEM_CHARACTERS} characters")
        chunk = self._handle.read(max(_CHUNK_BYTES, 2 * len(waiting)))
        self._is_over = not chunk
        try:
            self._text = waiting + self._decoder.decode(chunk, final=self._is_over)
        except UnicodeDecodeError as error:
            raise self._damaged("not UTF-8") from error
        self._at = 0
        return True

    def _damaged(self, problem: str) -> DataError:
        return DataError(f"{self._path} is not the JSON of a log: {problem}")
