"""The drift monitor over decisions that were written down: the rows of `metamodel screen`, with outcomes if known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import IO, TypeVar

from metamodel.errors import DataError
from metamodel.screen.checks import parse_json
from metamodel.screen.drift import DriftMonitor
from metamodel.screen.screened import ScreenedPrompt

_Value = TypeVar("_Value")
MOST_LINE_BYTES = 2**24
_MOST_TOLD = 20


@dataclass(kw_only=True)
class ReplayCount:
    """What came of a file.

    Attributes:
        n_lines: Lines read.
        n_errors: Lines that `metamodel screen` wrote for prompts it could not read.
        n_bad: Lines that are no decision.
        bad: What is wrong with the first of them.
    """

    n_lines: int = 0
    n_errors: int = 0
    n_bad: int = 0
    bad: list[str] = field(default_factory=list)

    def refuse(self, told: str) -> None:
        """Count a bad line."""
        self.n_bad += 1
        if len(self.bad) < _MOST_TOLD:
            self.bad.append(told)


def replay(monitor: DriftMonitor, decisions: IO[bytes], outcomes: IO[bytes] | None = None) -> ReplayCount:
    """Show a monitor the decisions of a JSONL file, line by line.

    A row has the fields of `ScreenedPrompt.to_dict()`; where it has `failed`, a mapping from behavior to true, false, 1
    or 0, those are its outcomes. Rows of `outcomes` belong to those of `decisions` in their order.

    Args:
        monitor: What looks on.
        decisions: Rows of `metamodel screen`.
        outcomes: Rows with `failed`, one a row of the decisions.

    Raises:
        DataError: The files differ in length.
    """
    count = ReplayCount()
    if outcomes is None:
        for line in _lines(decisions):
            count.n_lines += 1
            _see(monitor, line, None, count)
        return count
    for line, outcome in zip_longest(_lines(decisions), _lines(outcomes)):
        if line is None or outcome is None:
            more, fewer = ("outcomes", "decisions") if line is None else ("decisions", "outcomes")
            raise DataError(
                f"there are more {more} than {fewer}, of which there are {count.n_lines}: must be one for one"
            )
        count.n_lines += 1
        _see(monitor, line, outcome, count)
    return count


def _see(monitor: DriftMonitor, line: bytes, outcome: bytes | None, count: ReplayCount) -> None:
    try:
        row = _row(line)
        if "error" in row and "decision" not in row:
            count.n_errors += 1
            return
        prompt = _prompt(row)
        failed = _failed(row if outcome is None else _row(outcome))
    except ValueError as error:
        count.refuse(f"line {count.n_lines}: {error}")
        return
    monitor.see_prompts([prompt])
    for behavior, value in failed.items():
        probability = prompt.failures.get(behavior)
        monitor.see_outcomes(behavior, None if probability is None else [probability], [value])


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(MOST_LINE_BYTES + 1):
        if len(line) > MOST_LINE_BYTES:
            raise DataError(f"a line has more than {MOST_LINE_BYTES} bytes: this is no file of decisions")
        yield line


def _row(line: bytes) -> Mapping[str, object]:
    try:
        row = parse_json(line.decode("utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"is not JSON in UTF-8 ({str(error)[:80]})") from error
    if not isinstance(row, dict):
        raise ValueError(f"is {type(row).__name__}, must be a mapping")  # noqa: TRY004 - a bad value, not a bad argument
    return row


def _prompt(row: Mapping[str, object]) -> ScreenedPrompt:
    """Return what a row says that a monitor looks at."""
    decision = row.get("decision")
    if decision not in ("pass", "stop"):
        raise ValueError(f"decision is {str(decision)[:40]!r}, must be pass or stop")
    far = row.get("unfamiliarity")
    return ScreenedPrompt(
        decision="pass" if decision == "pass" else "stop",
        failures=_mapping_of(row.get("failures", {}), _share, "failures"),
        stopped_by=(),
        probabilities={},
        unfamiliarity=None if far is None else _share(far, "unfamiliarity"),
        is_unfamiliar=row.get("is_unfamiliar") is True,
    )


def _failed(row: Mapping[str, object]) -> dict[str, bool]:
    return _mapping_of(row.get("failed") or {}, _yes_or_no, "failed")


def _mapping_of(value: object, read: Callable[[object, str], _Value], name: str) -> dict[str, _Value]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {type(value).__name__}, must be a mapping")  # noqa: TRY004 - a bad value
    return {str(key): read(item, f"{name}.{str(key)[:40]}") for key, item in value.items() if item is not None}


def _share(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} is {str(value)[:40]!r}, must be a number from 0 to 1")
    return float(value)


def _yes_or_no(value: object, name: str) -> bool:
    if value not in (0, 1) or not isinstance(value, (bool, int, float)):
        raise ValueError(f"{name} is {str(value)[:40]!r}, must be true, false, 1 or 0")
    return bool(value)
