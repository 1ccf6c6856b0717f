"""Which n-grams a corpus holds: one index for every n, built once from text files.

Ground floor: nothing here imports another module of the project but ground floors.

The index is the corpus as a sequence of 64-bit codes, 8 bytes a word, in one safetensors file. From it the n-grams of
any length are hashed in one linear pass when they are first asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from metamodel.analysis.hash_sets import HashSet
from metamodel.analysis.ngrams import Hashes, NGrams, Unit, Units, split_units
from metamodel.errors import MetamodelError
from metamodel.types import content_hash

INDEX_SUFFIX: Final = ".safetensors"
_VERSION: Final = "1"
_TEXT_SUFFIX: Final = ".txt"


@dataclass(frozen=True, kw_only=True)
class NGramIndex:
    """The n-grams of a corpus.

    Attributes:
        units: Words or characters of the documents; no n-gram reaches from one into the next.
        unit: "word" or "character".
        fingerprint: Hash of the files' names, sizes and times of change; empty where it was not built from files.
    """

    units: Units
    unit: Unit
    fingerprint: str = ""
    _sets: dict[int, HashSet] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def from_texts(cls, texts: Sequence[str], *, unit: Unit = "word") -> NGramIndex:
        """Index documents that are in memory.

        >>> index = NGramIndex.from_texts(["the cat sat", "on the mat"])
        >>> index.contains(split_units(["the cat on the"], "word").ngrams(2), 2)
        array([ True, False,  True])
        """
        return cls(units=split_units(texts, unit), unit=unit)

    @classmethod
    def from_files(cls, corpus: Path, *, unit: Unit = "word") -> NGramIndex:
        """Index a text file, or every .txt file below a folder, each a document, one file in memory at a time.

        Raises:
            MetamodelError: There is no such file, or no text in the folder.
        """
        files = _text_files(corpus)
        pieces = [split_units([file.read_text(encoding="utf-8", errors="replace")], unit).codes for file in files]
        starts = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])])
        return cls(units=Units(codes=np.concatenate(pieces), starts=starts), unit=unit, fingerprint=_fingerprint(files))

    def save(self, path: Path) -> None:
        """Write the index as one safetensors file, under a temporary name first."""
        from safetensors.numpy import save_file

        about = {"version": _VERSION, "unit": self.unit, "fingerprint": self.fingerprint}
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.unfinished")
        save_file(
            {"codes": np.ascontiguousarray(self.units.codes), "starts": self.units.starts},
            unfinished,
            metadata={"ngram_index": json.dumps(about)},
        )
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> NGramIndex:
        """Read what `save` wrote.

        Raises:
            MetamodelError: The file is no index, or one of another version.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as stored:
                about = json.loads((stored.metadata() or {}).get("ngram_index", "{}"))
                codes, starts = stored.get_tensor("codes"), stored.get_tensor("starts")
        except (OSError, SafetensorError, ValueError) as error:
            raise MetamodelError(f"{path} is no index of n-grams: {error}; delete it to build it again") from error
        problem = _index_problem(about, codes, starts)
        if problem:
            raise MetamodelError(f"{path} is no index of n-grams: {problem}; delete it to build it again")
        return cls(units=Units(codes=codes, starts=starts), unit=about["unit"], fingerprint=about["fingerprint"])

    def contains(self, ngrams: NGrams, n: int) -> NDArray[np.bool_]:
        """Return whether the corpus holds each n-gram, [w].

        The first call for an n hashes the corpus: about 40 bytes of memory a word, kept with the index.

        Args:
            ngrams: N-grams of the same unit.
            n: Their length.
        """
        if n not in self._sets:
            self._sets[n] = HashSet(self.units.ngrams(n).hashes)
        return self._sets[n].contains(ngrams.hashes)


def open_index(corpus: str, *, unit: Unit, index: str = "") -> NGramIndex:
    """Return the index of a corpus, built once a process and stored once where `index` says.

    Args:
        corpus: A text file, a folder with .txt files below it, or a stored index.
        unit: "word" or "character".
        index: File to store the index in, or to read it from if it is there and the corpus has not changed.

    Raises:
        MetamodelError: There is no such corpus, or the stored index is of another unit.
    """
    path = Path(corpus)
    if path.suffix == INDEX_SUFFIX and path.is_file():
        return _of_unit(_stored(path, path.stat().st_mtime_ns), path, unit)
    fingerprint = _fingerprint(_text_files(path))
    return _built(path, unit, Path(index) if index else None, fingerprint)


@lru_cache(maxsize=4)
def _stored(path: Path, _changed_ns: int) -> NGramIndex:
    return NGramIndex.load(path)


@lru_cache(maxsize=4)
def _built(corpus: Path, unit: Unit, store: Path | None, fingerprint: str) -> NGramIndex:
    if store is not None and store.is_file():
        found = _of_unit(NGramIndex.load(store), store, unit)
        if found.fingerprint == fingerprint:
            return found
    index = NGramIndex.from_files(corpus, unit=unit)
    if store is not None:
        index.save(store)
    return index


def _of_unit(index: NGramIndex, path: Path, unit: Unit) -> NGramIndex:
    if index.unit != unit:
        raise MetamodelError(f"{path} is an index of {index.unit}s, {unit}s are asked for: give another file for these")
    return index


def _text_files(corpus: Path) -> list[Path]:
    if corpus.is_file():
        return [corpus]
    files = sorted(corpus.rglob(f"*{_TEXT_SUFFIX}")) if corpus.is_dir() else []
    if not files:
        what = f"a folder without {_TEXT_SUFFIX} files" if corpus.is_dir() else "neither a file nor a folder"
        raise MetamodelError(f"corpus is {str(corpus)!r}, {what}: give a text file or a folder of {_TEXT_SUFFIX} files")
    return files


def _fingerprint(files: Sequence[Path]) -> str:
    return content_hash(*_descriptions(files))


def _descriptions(files: Sequence[Path]) -> Iterator[str]:
    for file in files:
        about = file.stat()
        yield f"{file.name} {about.st_size} {about.st_mtime_ns}"


def _index_problem(about: dict[str, str], codes: Hashes, starts: NDArray[np.int64]) -> str:
    if about.get("version") != _VERSION:
        return f"its version is {about.get('version')!r}, this is version {_VERSION}"
    if about.get("unit") not in get_args(Unit) or not isinstance(about.get("fingerprint"), str):
        return "it does not say of what"
    if codes.dtype != np.uint64 or starts.dtype != np.int64 or codes.ndim != 1 or starts.ndim != 1 or not len(starts):
        return "its arrays have other types"
    if starts[0] != 0 or starts[-1] != len(codes) or (np.diff(starts) < 0).any():
        return "its documents do not cover its words"
    return ""
