"""Screen a file of prompts line by line: constant memory, the order kept, bad lines reported and the rest done.

One line in, one line out. A line is a text, or a mapping with `prompt`; the mapping's other fields are passed through.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO

from metamodel.screen.checks import parse_json
from metamodel.screen.screen import Screen
from metamodel.screen.screened import ScreenedPrompt

PROMPT_FIELD, ERROR_FIELD, LINE_FIELD = "prompt", "error", "line"
MOST_PROMPT_CHARACTERS = 1_000_000
MOST_LINE_BYTES = 2**24
# Whatever the batch size, no more text than this is held, and one line.
_MOST_BATCH_CHARACTERS = 2**22
_OURS = frozenset({*ScreenedPrompt.__dataclass_fields__, ERROR_FIELD, LINE_FIELD})


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadLine:
    """One line of the input.

    Attributes:
        number: Counted from 1.
        prompt: The text to decide about; None where the line is bad.
        passed_through: The line's other fields.
        error: What is wrong with it; empty where nothing is.
    """

    number: int
    prompt: str | None = None
    passed_through: Mapping[str, object] = field(default_factory=dict)
    error: str = ""


@dataclass(kw_only=True)
class StreamSummary:
    """What came of a stream so far.

    Attributes:
        n_lines: Lines read.
        n_bad: Lines without a decision.
        n_passed: Prompts let through.
        n_stopped: Prompts stopped.
        n_unfamiliar: Prompts warned of.
        stopped_by: Prompts that each behavior's rule stopped.
    """

    n_lines: int = 0
    n_bad: int = 0
    n_passed: int = 0
    n_stopped: int = 0
    n_unfamiliar: int = 0
    stopped_by: Counter[str] = field(default_factory=Counter)

    def add(self, decided: ScreenedPrompt) -> None:
        """Count one prompt."""
        self.n_passed += decided.decision == "pass"
        self.n_stopped += decided.decision == "stop"
        self.n_unfamiliar += decided.is_unfamiliar
        self.stopped_by.update(decided.stopped_by)

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {
            "n_lines": self.n_lines,
            "n_bad": self.n_bad,
            "n_passed": self.n_passed,
            "n_stopped": self.n_stopped,
            "n_unfamiliar": self.n_unfamiliar,
            "stopped_by": dict(self.stopped_by),
        }


def read_lines(file: IO[bytes], *, most_characters: int = MOST_PROMPT_CHARACTERS) -> Iterator[ReadLine]:
    """Yield every line of a JSONL file, the bad ones with what is wrong; none longer than `MOST_LINE_BYTES` is held."""
    number = 0
    while line := file.readline(MOST_LINE_BYTES + 1):
        number += 1
        if len(line) > MOST_LINE_BYTES and not line.endswith(b"\n"):
            _skip_rest(file)
            yield ReadLine(number=number, error=f"has more than {MOST_LINE_BYTES} bytes")
            continue
        yield _read_line(number, line, most_characters)


def screen_lines(
    screen: Screen,
    lines: Iterable[ReadLine],
    *,
    summary: StreamSummary,
    behaviors: Collection[str] | None = None,
    batch_size: int = 256,
    only_decisions: bool = False,
) -> Iterator[dict[str, object]]:
    """Yield one row a line, in the order of the lines: a decision, or what is wrong with the line.

    Args:
        screen: What decides.
        lines: What was read.
        summary: Counts are added to it.
        behaviors: Behaviors that decide; None takes all.
        batch_size: Most prompts that are predicted together.
        only_decisions: Whether rows have no probabilities.
    """
    batch: list[ReadLine] = []
    n_characters = 0
    for line in lines:
        batch.append(line)
        n_characters += len(line.prompt or "")
        if len(batch) >= batch_size or n_characters >= _MOST_BATCH_CHARACTERS:
            yield from _rows(screen, batch, summary, behaviors, only_decisions=only_decisions)
            batch, n_characters = [], 0
    yield from _rows(screen, batch, summary, behaviors, only_decisions=only_decisions)


def _rows(
    screen: Screen,
    batch: list[ReadLine],
    summary: StreamSummary,
    behaviors: Collection[str] | None,
    *,
    only_decisions: bool,
) -> Iterator[dict[str, object]]:
    prompts = [line.prompt for line in batch if line.prompt is not None]
    decided = iter(screen(prompts, behaviors=behaviors) if prompts else [])
    for line in batch:
        summary.n_lines += 1
        if line.prompt is None:
            summary.n_bad += 1
            yield {**line.passed_through, LINE_FIELD: line.number, ERROR_FIELD: line.error}
            continue
        one = next(decided)
        summary.add(one)
        told = {"decision": one.decision} if only_decisions else one.to_dict()
        yield {**line.passed_through, **told}


def _read_line(number: int, line: bytes, most_characters: int) -> ReadLine:
    try:
        content = parse_json(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        return ReadLine(number=number, error=f"is not UTF-8 ({error.reason} at byte {error.start})")
    except ValueError as error:
        return ReadLine(number=number, error=f"is not JSON ({error})" if line.strip() else "is empty")
    passed_through: Mapping[str, object] = {}
    prompt = content
    if isinstance(content, dict):
        prompt = content.pop(PROMPT_FIELD, None)
        clash = sorted(_OURS & set(content))
        passed_through = {key: value for key, value in content.items() if key not in _OURS}
        if clash:
            told = f"has a field {clash[0]!r}, which is written here: rename it"
            return ReadLine(number=number, passed_through=passed_through, error=told)
    if not isinstance(prompt, str):
        told = f"must be a text or a mapping with {PROMPT_FIELD!r}, a text; got {_kind(content, prompt)}"
        return ReadLine(number=number, passed_through=passed_through, error=told)
    if len(prompt) > most_characters:
        told = f"its prompt has {len(prompt)} characters, at most {most_characters} are read"
        return ReadLine(number=number, passed_through=passed_through, error=told)
    return ReadLine(number=number, prompt=prompt, passed_through=passed_through)


def _kind(content: object, prompt: object) -> str:
    if isinstance(content, dict):
        return "a mapping without it" if prompt is None else f"one that is of type {type(prompt).__name__}"
    return f"type {type(content).__name__}"


def _skip_rest(file: IO[bytes]) -> None:
    while (piece := file.readline(2**20)) and not piece.endswith(b"\n"):
        pass


def row_text(row: Mapping[str, object]) -> str:
    """Return a row as one line of JSON; what UTF-8 cannot say is escaped."""
    return json.dumps(row, allow_nan=False, separators=(",", ":")) + "\n"
