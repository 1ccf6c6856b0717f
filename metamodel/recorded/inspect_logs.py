"""Inspect logs, .eval and .json, read as data: nothing in them is executed and inspect_ai is not needed.

A prompt is what the model read before its first answer; epochs are samples.
Source: github.com/UKGovernmentBEIS/inspect_ai, inspect_ai/log/_log.py (EvalLog, EvalSample), log version 2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from metamodel.errors import DataError
from metamodel.recorded.archives import opened_archive, opened_member
from metamodel.recorded.base import BadRowError, RowFormat, object_of, texts_of
from metamodel.recorded.columns import known_finish_reason
from metamodel.recorded.files import LogFile, opened
from metamodel.recorded.json_stream import MOST_ITEM_CHARACTERS, array_items, object_without
from metamodel.recorded.problems import Problems
from metamodel.recorded.rows import RecordedRow
from metamodel.recorded.sniffing import opening, zip_names

_Sample: TypeAlias = Mapping[str, object]
_ATTACHMENT = "attachment://"
_MOST_REASON = 500


def _own_files(files: Sequence[LogFile]) -> list[LogFile]:
    return [file for file in files if _is_own(file)]


def _is_own(file: LogFile) -> bool:
    if file.suffix == ".eval":
        return bool(zip_names(file))
    if file.suffix != ".json":
        return False
    begin = opening(file)
    return begin.lstrip("\ufeff \r\n\t").startswith("{") and '"eval"' in begin and '"version"' in begin


def _rows(files: Sequence[LogFile], problems: Problems) -> Iterator[RecordedRow]:
    for file in files:
        header = _header(file)
        task, model = header.get("task"), header.get("model")
        if not isinstance(task, str) or not isinstance(model, str):
            raise DataError(f"{file.path}: its header names no task and model: not an Inspect log")
        for place, sample in _samples(file, problems):
            try:
                yield _row(place, object_of(sample, "the sample"), task, model)
            except BadRowError as problem:
                problems.add(f"{place}: {problem}")


def _header(file: LogFile) -> Mapping[str, object]:
    """Return what a log says of its evaluation: task, model and settings."""
    with opened(file) as handle:
        if file.suffix == ".json":
            header = object_without(handle, file.path, key="samples")
        else:
            # A log whose run was killed has its beginning only.
            known = [name for name in ("header.json", "_journal/start.json") if name in zip_names(file)]
            if not known:
                raise DataError(f"{file.path} holds no header.json: not an Inspect log")
            with opened_archive(handle, file.path) as archive, opened_member(archive, known[0], file.path) as member:
                header = object_without(member, f"{file.path}, {known[0]}", key="samples")
    found = header.get("eval")
    return found if isinstance(found, dict) else {}


def _samples(file: LogFile, problems: Problems) -> Iterator[tuple[str, object]]:
    with opened(file) as handle:
        if file.suffix == ".json":
            for number, sample in enumerate(array_items(handle, file.path, key="samples"), start=1):
                yield f"{file.path}, sample {number}", sample
            return
        with opened_archive(handle, file.path) as archive:
            for name in archive.namelist():
                if not (name.startswith("samples/") and name.endswith(".json")):
                    continue
                place = f"{file.path}, {name}"
                with opened_member(archive, name, file.path) as member:
                    content = member.read(MOST_ITEM_CHARACTERS + 1)
                try:
                    yield place, json.loads(content)
                except (ValueError, RecursionError) as error:
                    problems.add(f"{place}: not JSON ({str(error)[:120]})")


def _row(place: str, sample: _Sample, task: str, model: str) -> RecordedRow:
    own_id, epoch = sample.get("id"), sample.get("epoch")
    if not isinstance(epoch, int) or epoch < 1 or own_id is None:
        raise BadRowError(f"id is {own_id!r} and epoch is {epoch!r}, must be an id and a number from 1")
    output = sample.get("output")
    made: Mapping[str, object] = output if isinstance(output, dict) else {}
    answers = made.get("choices")
    answer = answers[0] if isinstance(answers, list) and answers and isinstance(answers[0], dict) else None
    stop_reason = None if answer is None else answer.get("stop_reason")
    attributes = sample.get("metadata")
    return RecordedRow(
        place=place,
        item=str(own_id),
        domain=task,
        text=_prompt(sample),
        references=texts_of(sample.get("target"), "target"),
        choices=texts_of(sample.get("choices"), "choices"),
        attributes={**(attributes if isinstance(attributes, dict) else {}), "sample_id": own_id},
        model=model,
        sample=epoch - 1,
        output=None if answer is None else _completion(sample, made, answer),
        # "model_length", "tool_calls" and "unknown" have no word here; they stay in the metadata.
        finish_reason=known_finish_reason(stop_reason),
        logprobs=_logprobs(answer),
        metadata=_metadata(sample, made, stop_reason),
        failure=_failure(sample),
    )


def _prompt(sample: _Sample) -> str:
    """Return what the model read before its first answer: one message's text, or several behind their roles."""
    messages = sample.get("messages")
    read: list[tuple[str, str]] = []
    for message in messages if isinstance(messages, list) else []:
        if not isinstance(message, dict) or message.get("role") == "assistant":
            break
        read.append((str(message.get("role")), _content(sample, message.get("content"))))
    if not read:
        given = sample.get("input")
        listed = given if isinstance(given, list) else [{"role": "user", "content": given}]
        read = [(str(item.get("role")), _content(sample, item.get("content"))) for item in listed if _is_object(item)]
    text = read[0][1] if len(read) == 1 else "\n\n".join(f"{role}: {said}" for role, said in read)
    if not text:
        raise BadRowError("it has neither messages nor an input")
    return text


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _content(sample: _Sample, content: object) -> str:
    """Return a message's text; parts that are no text (images, tool calls) are named, not guessed."""
    if isinstance(content, str):
        return _attached(sample, content)
    parts = []
    for part in content if isinstance(content, list) else []:
        kind = part.get("type") if isinstance(part, dict) else None
        parts.append(_attached(sample, str(part.get("text", ""))) if kind == "text" else f"[{kind}]")
    return "\n".join(parts)


def _attached(sample: _Sample, text: str) -> str:
    """Return a text, or what is stored apart for it."""
    attachments = sample.get("attachments")
    if text.startswith(_ATTACHMENT) and isinstance(attachments, dict):
        return str(attachments.get(text.removeprefix(_ATTACHMENT), text))
    return text


def _completion(sample: _Sample, output: Mapping[str, object], answer: Mapping[str, object]) -> str:
    completion = output.get("completion")
    if isinstance(completion, str):
        return _attached(sample, completion)
    message = answer.get("message")
    return _content(sample, message.get("content")) if isinstance(message, dict) else ""


def _logprobs(answer: Mapping[str, object] | None) -> list[float] | None:
    recorded = None if answer is None else answer.get("logprobs")
    content = recorded.get("content") if isinstance(recorded, dict) else None
    if not isinstance(content, list):
        return None
    values = [item.get("logprob") if isinstance(item, dict) else None for item in content]
    return [float(value) for value in values] if all(isinstance(value, int | float) for value in values) else None  # type: ignore[arg-type] # checked on the same line


def _metadata(sample: _Sample, output: Mapping[str, object], stop_reason: object) -> dict[str, object]:
    scores = sample.get("scores")
    found: dict[str, object] = {"scores": {}, "answers": {}}
    given = scores if isinstance(scores, dict) else {}
    found["scores"] = {name: score.get("value") for name, score in given.items() if isinstance(score, dict)}
    found["answers"] = {name: score.get("answer") for name, score in given.items() if isinstance(score, dict)}
    also = {
        "stop_reason": stop_reason,
        "usage": output.get("usage"),
        "model": output.get("model"),
        "limit": sample.get("limit"),
        "epoch": sample.get("epoch"),
        "total_time": sample.get("total_time"),
    }
    return {**found, **{key: value for key, value in also.items() if value is not None}}


def _failure(sample: _Sample) -> str | None:
    error = sample.get("error")
    if error is None:
        return None
    message = error.get("message") if isinstance(error, dict) else error
    return f"the log says: {' '.join(str(message).split())[:_MOST_REASON]}"


INSPECT = RowFormat(
    name="inspect",
    description="Inspect's .eval archives, or its .json logs",
    own_files=_own_files,
    rows=_rows,
)
