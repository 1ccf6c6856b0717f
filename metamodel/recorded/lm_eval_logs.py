"""lm-evaluation-harness --log_samples: samples_TASK_DATE.jsonl files, with results_DATE.json beside them.

A row is a document under one filter; its requests are generations (generate_until) or log-likelihoods of continuations
(multiple_choice, loglikelihood). Repeats of a document are its samples.
Source: github.com/EleutherAI/lm-evaluation-harness, lm_eval/loggers/evaluation_tracker.py and lm_eval/evaluator.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from metamodel.errors import DataError
from metamodel.recorded.base import BadRowError, RowFormat, object_of, texts_of
from metamodel.recorded.files import LogFile, opened
from metamodel.recorded.json_stream import json_lines, object_without
from metamodel.recorded.problems import Problems
from metamodel.recorded.rows import RecordedRow

_NAME = re.compile(r"samples_(?P<task>.+?)(_(?P<date>\d{4}-\d\d-\d\dT[\d.:-]+))?\.jsonl")
_PAIR = 2


@dataclass(frozen=True, kw_only=True)
class _Request:
    """One call of the model: a context with the arguments of its generation, or with a continuation to score."""

    context: str
    continuation: str | None


def _own_files(files: Sequence[LogFile]) -> list[LogFile]:
    return [file for file in files if _NAME.fullmatch(file.name)]


def _rows(files: Sequence[LogFile], problems: Problems) -> Iterator[RecordedRow]:
    for file in files:
        named = _NAME.fullmatch(file.name)
        task = named["task"] if named else file.stem
        model = _model_of(file, named["date"] if named else None)
        first_filter, by_other_filters = _other_filters(file)
        for number, value, problem in _lines(file):
            place = f"{file.path}, line {number}"
            if problem is not None:
                problems.add(f"{place}: {problem}")
                continue
            try:
                row = object_of(value, "the line")
                if row.get("filter") == first_filter:
                    also = by_other_filters.get(str(row.get("doc_id")), {})
                    yield from _document_rows(place, row, task, model, also)
            except BadRowError as bad:
                problems.add(f"{place}: {bad}")


def _lines(file: LogFile) -> Iterator[tuple[int, object | None, str | None]]:
    with opened(file) as handle:
        yield from json_lines(handle, file.path)


def _other_filters(file: LogFile) -> tuple[object, dict[str, dict[str, object]]]:
    """Return the first filter's name, and what the others made of each document: the harness writes a row for each."""
    first: object = None
    found: dict[str, dict[str, object]] = {}
    for position, (_, row, _) in enumerate(_lines(file)):
        if not isinstance(row, dict):
            continue
        if position == 0 or first is None:
            first = row.get("filter")
        if row.get("filter") != first:
            made: dict[str, object] = {**_metrics(row), "filtered_resps": row.get("filtered_resps")}
            found.setdefault(str(row.get("doc_id")), {})[str(row.get("filter"))] = made
    return first, found


def _metrics(row: dict[str, object]) -> dict[str, object]:
    names = row.get("metrics")
    listed = names if isinstance(names, list) else []
    return {str(name): row[name] for name in listed if name in row}


def _document_rows(
    place: str, row: dict[str, object], task: str, model: str, other_filters: dict[str, object]
) -> Iterator[RecordedRow]:
    requests = _requests(row)
    responses = row.get("resps")
    if not isinstance(responses, list) or len(responses) != len(requests):
        raise BadRowError("'resps' must be a list with an entry a request")
    metadata: dict[str, object] = {"filters": other_filters} if other_filters else {}
    if requests[0].continuation is None:
        outputs: tuple[str | None, ...] = texts_of(responses[0], "resps")
        metadata["filtered_resps"] = row.get("filtered_resps")
        # With several samples the harness's metrics speak of all of them together.
        metadata |= _metrics(row) if len(outputs) == 1 else {"document_metrics": _metrics(row)}
        prompt: str = requests[0].context
        choices: tuple[str, ...] = ()
    else:
        outputs = (None,)  # scored, not generated: there is no text
        prompt, choices, scored = _scored(requests, responses)
        metadata |= {**_metrics(row), **scored}
    document = row.get("doc")
    for sample, output in enumerate(outputs):
        yield RecordedRow(
            place=place,
            item=str(row.get("doc_id")),
            domain=task,
            text=prompt,
            references=_references(row.get("target"), choices),
            choices=choices,
            attributes={"doc_id": row.get("doc_id"), "doc": document},
            model=model,
            sample=sample,
            output=output,
            metadata=metadata,
        )


def _requests(row: dict[str, object]) -> list[_Request]:
    arguments = row.get("arguments")
    # Before version 0.4.3 a list of lists.
    groups = list(arguments.values()) if isinstance(arguments, dict) else arguments
    listed = (
        [list(group.values()) if isinstance(group, dict) else group for group in groups or []]
        if isinstance(groups, list)
        else []
    )
    requests = []
    for group in listed:
        if not isinstance(group, list) or not group or not isinstance(group[0], str):
            raise BadRowError("'arguments' must hold a context for each request")
        follows = group[1] if len(group) >= _PAIR else None
        requests.append(_Request(context=group[0], continuation=follows if isinstance(follows, str) else None))
    if not requests:
        raise BadRowError("'arguments' is empty, must hold the model's requests")
    return requests


def _scored(
    requests: Sequence[_Request], responses: Sequence[object]
) -> tuple[str, tuple[str, ...], dict[str, object]]:
    """Return prompt, choices and log-likelihoods; what the requests' contexts differ in belongs to the choices."""
    values = [_log_likelihood(response) for response in responses]
    # For acc_mutual_info each continuation is also scored after nothing.
    conditional = [place for place, request in enumerate(requests) if request.context] or list(range(len(requests)))
    contexts = [requests[place].context for place in conditional]
    prompt = contexts[0] if len(set(contexts)) == 1 else _common_beginning(contexts)
    choices = tuple(
        context[len(prompt) :] + (requests[place].continuation or "")
        for context, place in zip(contexts, conditional, strict=True)
    )
    scored: dict[str, object] = {
        "choice_logprobs": [values[place][0] for place in conditional],
        "choice_is_greedy": [values[place][1] for place in conditional],
    }
    unconditional = [value for place, (value, _) in enumerate(values) if place not in conditional]
    return prompt, choices, scored | ({"unconditional_logprobs": unconditional} if unconditional else {})


def _common_beginning(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    n_same = next(
        (place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first)
    )
    return first[:n_same]


def _log_likelihood(response: object) -> tuple[float, bool | None]:
    """Return a response's log-likelihood and whether it is the greedy one; the harness stores both as texts."""
    while isinstance(response, list) and len(response) == 1:
        response = response[0]
    pair = response if isinstance(response, list) else [response]
    try:
        value = float(str(pair[0]))
    except (ValueError, IndexError) as error:
        raise BadRowError(f"'resps' holds {str(response)[:60]!r}, must be a log-likelihood") from error
    greedy = {"True": True, "False": False, True: True, False: False}.get(pair[1]) if len(pair) == _PAIR else None
    return value, greedy


def _references(target: object, choices: tuple[str, ...]) -> tuple[str, ...]:
    """Return the gold answers; for choices the harness writes the number of the right one, or its text."""
    golds = []
    for gold in texts_of(target, "target"):
        by_text = [choice for choice in choices if choice.strip() == gold.strip()]
        if by_text:
            golds.append(by_text[0])
        elif gold.isdecimal() and int(gold) < len(choices):
            golds.append(choices[int(gold)])
        else:
            golds.append(gold)
    return tuple(golds)


def _model_of(file: LogFile, date: str | None) -> str:
    """Return the model's name from the results of the same date; without them its folder is named after it."""
    results = str(PurePosixPath(file.path).with_name(f"results_{date}.json"))
    try:
        with opened(LogFile(path=results, relative="", n_bytes=0, stamp="")) as handle:
            name = object_without(handle, results, key="samples").get("model_name")
    except DataError:
        name = None
    return name if isinstance(name, str) and name else file.folder


LM_EVAL = RowFormat(
    name="lm_eval",
    description="samples_TASK_DATE.jsonl files of lm-evaluation-harness --log_samples",
    own_files=_own_files,
    rows=_rows,
)
