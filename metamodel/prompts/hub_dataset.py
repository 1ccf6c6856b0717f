"""Prompts from a Hugging Face dataset, by its name on the hub or from a local folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from metamodel.errors import DataError, MetamodelError, nearest_name_hint
from metamodel.prompts.base import refuse
from metamodel.types import JSONValue, Prompt

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, kw_only=True)
class HubDataset:
    """Prompts of a Hugging Face dataset, one a row, in its order, streamed: it is neither copied nor held in memory.

    Needs the package `datasets` (extra `hub`). Code that a dataset brings along is never run.

    Attributes:
        path: Name on the hub ("openai/gsm8k"), or a local folder of JSONL, CSV or Parquet files.
        config: Name of the dataset's configuration, where it has several.
        split: Split to read.
        revision: Branch, tag or commit on the hub; name a commit to pin what is read.
        text: Column of what the primary model reads.
        domain_column: Column of the domain; not looked at where `domain` is given.
        domain: One domain for all; with neither, it is the dataset's name without its owner.
        references: Column of the gold answer, or of a list of them; None where there are none.
        choices: Column of a list of continuations to choose among; None where the answer is free. A reference that is
            a whole number is then the place of the right one.
        attributes: More columns to keep with each prompt.
        streaming: Whether rows are read as they are needed; else the hub's files are downloaded first, and kept.
    """

    is_finite: ClassVar[bool] = True

    path: str
    config: str | None = None
    split: str = "test"
    revision: str | None = None
    text: str = "prompt"
    domain_column: str | None = None
    domain: str | None = None
    references: str | None = None
    choices: str | None = None
    attributes: tuple[str, ...] = ()
    streaming: bool = True

    def __post_init__(self) -> None:
        """Refuse empty names."""
        refuse(*(f"{name} is empty" for name in ("path", "split", "text") if not getattr(self, name)))

    def prompts(self, seed: int) -> Iterator[Prompt]:
        """Yield all prompts of the split, the same ones for every seed.

        Raises:
            DataError: The dataset cannot be read, lacks a column, or a row holds no text.
            MetamodelError: The package `datasets` is not installed.
        """
        del seed
        number = 0
        for number, row in enumerate(_rows(self), start=1):
            if number == 1:
                self._refuse_missing_columns(row)
            yield self._prompt(row, f"dataset {self.path}, row {number} of {self.split}")
        if not number:
            raise DataError(f"dataset {self.path} has no row in its split {self.split}")

    def _prompt(self, row: Mapping[str, object], where: str) -> Prompt:
        choices = () if self.choices is None else _texts(row.get(self.choices), f"{where}: column {self.choices!r}")
        golds = row.get(self.references) if self.references is not None else None
        if choices and isinstance(golds, int) and not isinstance(golds, bool):
            if not 0 <= golds < len(choices):
                raise DataError(f"{where}: column {self.references!r} is {golds}, there are {len(choices)} choices")
            golds = choices[golds]
        return Prompt.create(
            _text(row.get(self.text), f"{where}: column {self.text!r}"),
            domain=self._domain_of(row, where),
            references=_texts(golds, f"{where}: column {self.references!r}"),
            choices=choices,
            attributes={name: _json(row.get(name)) for name in self.attributes},
        )

    def _domain_of(self, row: Mapping[str, object], where: str) -> str:
        if self.domain is not None:
            return self.domain
        if self.domain_column is None:
            return self.path.rstrip("/").rsplit("/", 1)[-1]
        value = row.get(self.domain_column)
        # Datasets often store classes as numbers.
        return str(value) if isinstance(value, int) else _text(value, f"{where}: column {self.domain_column!r}")

    def _refuse_missing_columns(self, row: Mapping[str, object]) -> None:
        domain_column = None if self.domain is not None else self.domain_column
        named = {"text": self.text, "domain_column": domain_column, "references": self.references}
        listed = [*named.items(), ("choices", self.choices), *(("attributes", name) for name in self.attributes)]
        problems = [
            f"no column {column!r} ({field}): {nearest_name_hint(column, row)}"
            for field, column in listed
            if column is not None and column not in row
        ]
        if problems:
            raise DataError(f"dataset {self.path}, split {self.split}: {'; '.join(problems)}")


def _rows(source: HubDataset) -> Iterator[Mapping[str, object]]:
    """Yield rows as `datasets` gives them; what goes wrong there is a DataError."""
    try:
        from datasets import load_dataset  # type: ignore[import-untyped] # ships no types
    except ImportError as error:
        raise MetamodelError("hub_dataset needs the package datasets: pip install 'metamodel[hub]'") from error
    # A name such as "data" may be a folder here; the hub would be asked otherwise.
    path = str(Path(source.path).resolve()) if Path(source.path).is_dir() else source.path
    try:
        dataset = load_dataset(
            path, name=source.config, split=source.split, revision=source.revision, streaming=source.streaming
        )
        yield from cast("Iterable[Mapping[str, object]]", dataset)
    # The library raises errors of many kinds, those of its network and file packages among them.
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"dataset {source.path} (split {source.split}) cannot be read: {reason}") from error


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise DataError(f"{where} holds {value!r}, must be text that is not empty")
    return value


def _texts(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    listed = value if isinstance(value, list | tuple) else [value]
    if any(item is None or isinstance(item, dict | list) for item in listed):
        raise DataError(f"{where} holds {value!r}, must be text or a list of texts")
    return tuple(str(item) for item in listed)


def _json(value: object) -> JSONValue:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    return str(value)
