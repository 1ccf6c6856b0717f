"""AlpacaEval's model_outputs.json: a JSON array of instructions with one model's outputs.

Source: github.com/tatsu-lab/alpaca_eval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from metamodel.recorded.base import BadRowError, RowFormat, object_of, optional_text, text_of
from metamodel.recorded.files import LogFile, opened
from metamodel.recorded.json_stream import array_items
from metamodel.recorded.problems import Problems
from metamodel.recorded.rows import RecordedRow
from metamodel.recorded.sniffing import first_item

_KEYS = {"instruction", "output"}


def _own_files(files: Sequence[LogFile]) -> list[LogFile]:
    return [file for file in files if file.suffix == ".json" and _KEYS.issubset(first_item(file))]


def _rows(files: Sequence[LogFile], problems: Problems) -> Iterator[RecordedRow]:
    for file in files:
        # The leaderboard keeps each model's outputs in a folder of its name.
        default_model = file.folder if file.stem == "model_outputs" and file.folder else file.stem
        with opened(file) as handle:
            for number, item in enumerate(array_items(handle, file.path), start=1):
                place = f"{file.path}, item {number}"
                try:
                    yield _row(place, object_of(item, "the item"), default_model)
                except BadRowError as problem:
                    problems.add(f"{place}: {problem}")


def _row(place: str, item: dict[str, object], default_model: str) -> RecordedRow:
    instruction = text_of(item, "instruction")
    further = optional_text(item, "input")
    known = {*_KEYS, "generator", "dataset", "input"}
    return RecordedRow(
        place=place,
        item=None,
        domain=optional_text(item, "dataset") or "alpaca_eval",
        text=f"{instruction}\n\n{further}" if further else instruction,
        model=optional_text(item, "generator") or default_model,
        output=optional_text(item, "output"),
        metadata={key: value for key, value in item.items() if key not in known},
    )


ALPACA_EVAL = RowFormat(
    name="alpaca_eval",
    description="a .json array of objects with instruction and output",
    own_files=_own_files,
    rows=_rows,
)
