"""MMLU-Pro's eval_results: a JSON array of questions with one model's answers, bare or in a zip archive.

Source: github.com/TIGER-AI-Lab/MMLU-Pro, folder eval_results and script evaluate_from_local.py.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence

from metamodel.recorded.archives import opened_archive, opened_member
from metamodel.recorded.base import BadRowError, RowFormat, id_of, object_of, optional_text, text_of, texts_of
from metamodel.recorded.files import LogFile, opened
from metamodel.recorded.json_stream import array_items
from metamodel.recorded.problems import Problems
from metamodel.recorded.rows import RecordedRow
from metamodel.recorded.sniffing import first_item, zip_names

_KEYS = {"question_id", "question", "options", "answer"}
_OUTPUTS = ("model_outputs", "generated_text", "response", "output")
_MODEL = re.compile(r"model_outputs_(?P<model>.+?)(_\d+shots)?$")
# Folders that the repository puts between a model's own folder and its files.
_INNER_FOLDERS = {"CoT", "all", "eval_results", "original"}


def _own_files(files: Sequence[LogFile]) -> list[LogFile]:
    return [file for file in files if _is_own(file)]


def _is_own(file: LogFile) -> bool:
    if file.suffix == ".zip":
        return any(name.endswith(".json") for name in zip_names(file))
    return file.suffix == ".json" and _KEYS.issubset(first_item(file))


def _rows(files: Sequence[LogFile], problems: Problems) -> Iterator[RecordedRow]:
    for file in files:
        model = _model_of(file)
        for place, item in _items(file):
            try:
                yield _row(place, object_of(item, "the item"), model)
            except BadRowError as problem:
                problems.add(f"{place}: {problem}")


def _items(file: LogFile) -> Iterator[tuple[str, object]]:
    with opened(file) as handle:
        if file.suffix == ".json":
            for number, item in enumerate(array_items(handle, file.path), start=1):
                yield f"{file.path}, item {number}", item
            return
        with opened_archive(handle, file.path) as archive:
            for name in sorted(name for name in archive.namelist() if name.endswith(".json")):
                where = f"{file.path}, {name}"
                with opened_member(archive, name, file.path) as member:
                    for number, item in enumerate(array_items(member, where), start=1):
                        yield f"{where}, item {number}", item


def _row(place: str, item: dict[str, object], model: str) -> RecordedRow:
    options = texts_of(item.get("options"), "options")
    if len(options) > len(string.ascii_uppercase):
        raise BadRowError(f"'options' holds {len(options)} texts, more than there are letters")
    lettered = [f"{letter}. {option}" for letter, option in zip(string.ascii_uppercase, options, strict=False)]
    answer = text_of(item, "answer")
    prediction = optional_text(item, "pred")
    source = next((key for key in _OUTPUTS if key in item), None)
    output = None if source is None else optional_text(item, source)
    prompt_keys = ("question_id", "src", "answer_index")
    known = {*_KEYS, *prompt_keys, "category", "cot_content", *_OUTPUTS}
    return RecordedRow(
        place=place,
        item=id_of(item.get("question_id")),
        domain=text_of(item, "category") if "category" in item else "mmlu_pro",
        text="\n".join([text_of(item, "question"), "Options:", *lettered]),
        references=(answer,),
        attributes={key: item[key] for key in prompt_keys if key in item},
        model=model,
        output=output,
        metadata={
            **{key: value for key, value in item.items() if key not in known},
            # By the definition of the benchmark; an answer that could not be found counts as wrong.
            "correct": prediction == answer,
        },
    )


def _model_of(file: LogFile) -> str:
    found = _MODEL.match(file.stem)
    if found:
        return found["model"]
    folders = [folder for folder in file.path.split("/")[:-1] if folder not in _INNER_FOLDERS]
    # One file a category lies in the model's folder; a file alone is named after its model.
    return folders[-1] if folders and ("_result" in file.stem or "_summary" in file.stem) else file.stem


MMLU_PRO = RowFormat(
    name="mmlu_pro",
    description="a .json array, or a .zip of them, with question_id, question, options and answer",
    own_files=_own_files,
    rows=_rows,
)
