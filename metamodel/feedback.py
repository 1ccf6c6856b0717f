"""From shadow logs to the next training run: recorded generations, and how predictions compare with real outcomes."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Final

import numpy as np

from metamodel.errors import DataError, MetamodelError
from metamodel.information import label_entropy_bits, reduction_bits
from metamodel.labels import task_parts
from metamodel.types import content_hash

TABLE_FILE: Final = "recorded.jsonl"
CONFIG_FILE: Final = "config.yaml"
_LOG_PATTERN: Final = "*.jsonl"
_LONGEST_LINE_BYTES: Final = 64 * 2**20
_MOST_PROBLEMS: Final = 10
_SCHEMA_VERSION: Final = 1
_TEXTS: Final = ("id", "prompt", "domain", "model", "answered_by")
_OPTIONAL_TEXTS: Final = ("output", "finish_reason", "error")


@dataclass(frozen=True, kw_only=True)
class PredictionReport:
    """How one behavior's predictions compare with what the model then did.

    Attributes:
        behavior: As the pre-screen names it.
        n_outputs: Outputs with a prediction and an outcome.
        base_rate: Share of the second outcome where there are two, else None.
        mean_predicted: Mean probability of the same.
        entropy_bits: H(F): entropy of the outcomes.
        cross_entropy_bits: Of the predictions.
        reduction_bits: The difference: bits that the predictions explain; below 0 where they are worse than a constant.
        ece: Expected calibration error.
        auroc: Of the predictions.
    """

    behavior: str
    n_outputs: int
    base_rate: float | None
    mean_predicted: float | None
    entropy_bits: float | None
    cross_entropy_bits: float | None
    reduction_bits: float | None
    ece: float | None
    auroc: float | None


@dataclass(kw_only=True)
class FeedbackReport:
    """What a shadow log held.

    Attributes:
        n_files: Files read.
        n_lines: Lines read.
        n_written: Generations written.
        n_prompts: Different prompts among them.
        n_bad: Lines that are no record.
        bad: The first of them, with file and line.
        n_duplicates: Records that the log holds twice; written once.
        n_without_output: Calls without a whole output: failed, cut off, refused or calls of tools.
        would: Calls by the action that the policy named.
        predictions: By behavior, of outputs by the model that the pre-screen stands before.
    """

    n_files: int = 0
    n_lines: int = 0
    n_written: int = 0
    n_prompts: int = 0
    n_bad: int = 0
    bad: list[str] = field(default_factory=list)
    n_duplicates: int = 0
    n_without_output: int = 0
    would: Counter[str] = field(default_factory=Counter)
    predictions: list[PredictionReport] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """Return what JSON can say."""
        return {**asdict(self), "would": dict(self.would)}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record:
    id: str
    prompt: str
    domain: str
    model: str
    answered_by: str
    output: str | None
    finish_reason: str | None
    error: str | None
    n_tokens: int | None
    would: str
    probabilities: Mapping[str, Mapping[str, float]]
    outcomes: Mapping[str, str]
    labels: Mapping[str, float]


def write_feedback(shadow_folder: str | Path, out: str | Path) -> FeedbackReport:
    """Turn the logs of a shadow folder into a table of recorded generations.

    Each call of the same prompt to the same model is one more sample of it, in the order of the log.

    Args:
        shadow_folder: Folder that a gateway wrote.
        out: A new file with the suffix .jsonl, or a folder, which gets the table and a config that runs on it.

    Raises:
        DataError: The folder holds no log.
        MetamodelError: What is to be written exists already, or cannot be written.
    """
    folder, target = Path(shadow_folder), Path(out)
    files = sorted(folder.glob(_LOG_PATTERN))
    if not files:
        raise DataError(f"{folder} holds no shadow log: name the folder that the gateway's config names at shadow")
    table = target if target.suffix == ".jsonl" else target / TABLE_FILE
    config = None if target.suffix == ".jsonl" else target / CONFIG_FILE
    for path in (table, config):
        if path is not None and path.exists():
            raise MetamodelError(f"{path} exists already: name another file or folder with --out")
    report = FeedbackReport(n_files=len(files))
    compared = _Comparison()
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        # Prompts and replies, as in the log.
        with table.open("x", encoding="utf-8") as handle:
            table.chmod(0o600)
            _write_rows(_records(files, report), handle, compared, report)
    except OSError as error:
        raise MetamodelError(f"{table} cannot be written: {error.strerror or error}") from error
    report.predictions = compared.reports()
    if report.n_written == 0:
        table.unlink()
        reason = "; ".join(report.bad[:1]) or f"{report.n_without_output} calls have no whole output"
        raise DataError(f"{folder} holds no output that can be used: {reason}")
    if config is not None:
        config.write_text(_config_text(table, config), encoding="utf-8")
    return report


def _write_rows(records: Iterator[_Record], handle: IO[str], compared: _Comparison, report: FeedbackReport) -> None:
    n_samples: Counter[str] = Counter()
    prompts: set[str] = set()
    for record in records:
        if record.output is None or record.error is not None:
            report.n_without_output += 1
            continue
        key = content_hash(record.domain, record.prompt, record.model)
        row = {
            "prompt": record.prompt,
            "output": record.output,
            "model": record.model,
            "domain": record.domain,
            "sample": n_samples[key],
            "finish_reason": record.finish_reason,
            "n_tokens": record.n_tokens,
            **{f"live_{name}": value for name, value in record.labels.items()},
        }
        n_samples[key] += 1
        prompts.add(content_hash(record.domain, record.prompt))
        handle.write(json.dumps(row, ensure_ascii=False) + "\n")
        report.n_written += 1
        compared.add(record)
    report.n_prompts = len(prompts)


def _records(files: Sequence[Path], report: FeedbackReport) -> Iterator[_Record]:
    seen: set[str] = set()
    for path in files:
        for number, line in _lines(path):
            report.n_lines += 1
            try:
                record = _record(line)
            except ValueError as error:
                report.n_bad += 1
                if len(report.bad) < _MOST_PROBLEMS:
                    report.bad.append(f"{path.name}, line {number}: {error}")
                continue
            if record.id in seen:
                report.n_duplicates += 1
                continue
            seen.add(record.id)
            report.would[record.would] += 1
            yield record


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as handle:
        number = 0
        while line := handle.readline(_LONGEST_LINE_BYTES):
            number += 1
            is_whole = line.endswith(b"\n")
            while not is_whole and (rest := handle.readline(_LONGEST_LINE_BYTES)):
                is_whole, line = rest.endswith(b"\n"), b""  # too long to be a record
            if line.strip() or not is_whole:
                yield number, line


def _record(line: bytes) -> _Record:
    """Return a line's record; raises ValueError where it is none."""
    try:
        content = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("is no JSON: a line that was cut off, or no shadow log") from None
    if not isinstance(content, dict) or content.get("schema_version") != _SCHEMA_VERSION:
        raise ValueError(f"is no record with schema_version {_SCHEMA_VERSION}")
    wrong = [name for name in _TEXTS if not isinstance(content.get(name), str)]
    wrong += [name for name in _OPTIONAL_TEXTS if not isinstance(content.get(name), str | None)]
    screened = content.get("screened")
    n_tokens = content.get("n_tokens")
    if not isinstance(screened, dict):
        wrong.append("screened")
    if n_tokens is not None and type(n_tokens) is not int:
        wrong.append("n_tokens")
    if wrong or not isinstance(screened, dict):
        raise ValueError(f"has no usable {', '.join(wrong)}")
    return _Record(
        id=content["id"],
        prompt=content["prompt"],
        domain=content["domain"],
        model=content["model"],
        answered_by=content["answered_by"],
        output=content.get("output"),
        finish_reason=content.get("finish_reason"),
        error=content.get("error"),
        n_tokens=n_tokens,
        would=str(content.get("would")),
        probabilities={
            str(name): _numbers(outcomes) for name, outcomes in _mapping(screened.get("probabilities")).items()
        },
        outcomes={name: value for name, value in _mapping(content.get("outcomes")).items() if isinstance(value, str)},
        labels=_numbers(content.get("labels")),
    )


def _mapping(value: object) -> dict[str, object]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def _numbers(value: object) -> dict[str, float]:
    return {
        key: float(item)
        for key, item in _mapping(value).items()
        if isinstance(item, int | float) and not isinstance(item, bool) and np.isfinite(item)
    }


class _Comparison:
    """Predictions beside outcomes, by behavior; of probabilities that changed their outcomes the newest kind counts."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, tuple[str, ...]], list[tuple[tuple[float, ...], int]]] = defaultdict(list)

    def add(self, record: _Record) -> None:
        if record.answered_by != "upstream":
            return
        for behavior, probabilities in record.probabilities.items():
            primary, name = task_parts(behavior)
            outcome = record.outcomes.get(name)
            total = sum(probabilities.values())
            if outcome not in probabilities or primary not in ("", record.model) or not np.isclose(total, 1, atol=1e-3):
                continue
            names = tuple(probabilities)
            shares = tuple(value / total for value in probabilities.values())
            self._pairs[behavior, names].append((shares, names.index(outcome)))

    def reports(self) -> list[PredictionReport]:
        newest = dict(self._pairs.keys())
        return [self._report(behavior, names) for behavior, names in sorted(newest.items())]

    def _report(self, behavior: str, names: tuple[str, ...]) -> PredictionReport:
        from metamodel.information import cross_entropy_bits
        from metamodel.metrics import auroc, ece

        pairs = self._pairs[behavior, names]
        predicted = np.array([shares for shares, _ in pairs])  # [n, c]
        counts = np.eye(len(names), dtype=np.int64)[[code for _, code in pairs]]  # [n, c]
        is_binary = len(names) == 2  # noqa: PLR2004 - yes and no
        return PredictionReport(
            behavior=behavior,
            n_outputs=len(pairs),
            base_rate=float(counts[:, 1].mean()) if is_binary else None,
            mean_predicted=float(predicted[:, 1].mean()) if is_binary else None,
            entropy_bits=label_entropy_bits(counts),
            cross_entropy_bits=cross_entropy_bits(counts, predicted),
            reduction_bits=reduction_bits(counts, predicted),
            ece=ece(counts, predicted),
            auroc=auroc(counts, predicted),
        )


def _config_text(table: Path, config: Path) -> str:
    from metamodel.recorded.naming import safe_name
    from metamodel.recorded.opening import open_log
    from metamodel.recorded.suggesting import suggested_config
    from metamodel.recorded.summary import summarize

    return suggested_config(
        summarize(open_log(str(table))), name=safe_name(config.parent.name), file=str(config), format=None, columns={}
    )
