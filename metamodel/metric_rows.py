"""The rows of metrics.json: the contract between evaluation, report, benchmarks and other people's notebooks.

Ground floor: imports nothing of the project but its errors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Final, Literal, NamedTuple, TypeAlias

from metamodel.errors import DataError

Split: TypeAlias = Literal["in_distribution", "held_out_domain"]

# Held-out domains come first everywhere: they are the claim, the other split is the reference.
SPLITS: Final[tuple[Split, ...]] = ("held_out_domain", "in_distribution")


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricsRow:
    """How well one metamodel predicts one behavior of one primary model, on one split and domain.

    A number that is undefined (a ranking of labels of one class, the rate of a label that is not binary) is None. So is
    one given as NaN or infinite, which JSON cannot carry: a row in memory equals the row read back.

    Attributes:
        metamodel: Name of the metamodel.
        behavior: Name of the behavior.
        primary: Name of the primary model.
        split: Whether the prompts' domain was trained on.
        domain: The domain scored. None is the row that sums up the split: the mean over domains for held-out domains,
            the pooled test split in distribution.
        n_prompts: Prompts scored.
        n_samples: Labels scored, all samples of all those prompts.
        base_rate: Share of "yes" among the labels of a binary behavior.
        entropy_bits: H(F), of the best constant on these very labels.
        cross_entropy_bits: Mean of -log2 q(f given x).
        reduction_bits: H(F) less the cross-entropy: the bits gained, which may be negative.
        reduction_low_bits: Lower end of its 95 % interval.
        reduction_high_bits: Upper end of its 95 % interval.
        ceiling_low_bits: Lower end of the noise ceiling's interval.
        ceiling_bits: I(F; X): what no function of the prompt can exceed.
        ceiling_high_bits: Upper end of the noise ceiling's interval.
        explained: reduction_bits / ceiling_bits.
        auroc: Area under the receiver operating characteristic.
        auprc: Area under the precision-recall curve.
        brier: Brier score.
        ece: Expected calibration error.
        refinement_bits: The part of the cross-entropy that no recalibration removes.
    """

    metamodel: str
    behavior: str
    primary: str
    split: Split
    domain: str | None
    n_prompts: int
    n_samples: int
    base_rate: float | None = None
    entropy_bits: float | None = None
    cross_entropy_bits: float | None = None
    reduction_bits: float | None = None
    reduction_low_bits: float | None = None
    reduction_high_bits: float | None = None
    ceiling_low_bits: float | None = None
    ceiling_bits: float | None = None
    ceiling_high_bits: float | None = None
    explained: float | None = None
    auroc: float | None = None
    auprc: float | None = None
    brier: float | None = None
    ece: float | None = None
    refinement_bits: float | None = None

    def __post_init__(self) -> None:
        """Turn numbers that JSON cannot carry into None and refuse an unknown split."""
        if self.split not in SPLITS:
            raise ValueError(f"split is {self.split!r}, must be one of {', '.join(SPLITS)}")
        for name in NUMBER_KEYS:
            value = getattr(self, name)
            if value is not None:
                # Plain floats: numpy's would be written to JSON under another type's rules.
                object.__setattr__(self, name, float(value) if math.isfinite(value) else None)

    @property
    def cell(self) -> Cell:
        """What was predicted, without by whom: rows of one cell are rivals."""
        return Cell(primary=self.primary, behavior=self.behavior, split=self.split, domain=self.domain)

    def to_dict(self) -> dict[str, str | int | float | None]:
        """Return the keys of metrics.json, in their order."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> MetricsRow:
        """Build a row from exactly the keys of metrics.json.

        Raises:
            DataError: A key is unknown or missing, or a value has the wrong type.
        """
        problems = _problems(values)
        if problems:
            raise DataError(f"metrics row: {'; '.join(problems)}. The keys of a row are {', '.join(ROW_KEYS)}")
        return cls(**values)  # type: ignore[arg-type]  # every key and type was checked above


class Cell(NamedTuple):
    """The place of a row in the comparison of metamodels."""

    primary: str
    behavior: str
    split: Split
    domain: str | None


ROW_KEYS: Final[tuple[str, ...]] = tuple(spec.name for spec in fields(MetricsRow))
_TEXT_KEYS: Final = ("metamodel", "behavior", "primary", "split")
_WHOLE_KEYS: Final = ("n_prompts", "n_samples")
NUMBER_KEYS: Final[tuple[str, ...]] = ROW_KEYS[ROW_KEYS.index("base_rate") :]


def rows_to_json(rows: Iterable[MetricsRow]) -> str:
    """Return the text of metrics.json: a list with one row a line, undefined numbers as null.

    >>> rows_from_json(rows_to_json([]))
    []
    """
    lines = [json.dumps(row.to_dict(), allow_nan=False) for row in rows]
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


def rows_from_json(text: str) -> list[MetricsRow]:
    """Read the text of metrics.json.

    Raises:
        DataError: The text is not a JSON list of rows with exactly the expected keys.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"metrics.json is not JSON: {error}. Run `metamodel evaluate` again") from error
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise DataError("metrics.json must be a list of objects, one a row. Run `metamodel evaluate` again")
    return [MetricsRow.from_dict(value) for value in values]


def mean_rows(rows: Iterable[MetricsRow]) -> list[MetricsRow]:
    """Return the rows that sum up a split: the mean over held-out domains, the pooled test split."""
    return [row for row in rows if row.domain is None]


def domain_rows(rows: Iterable[MetricsRow]) -> list[MetricsRow]:
    """Return the rows of single domains."""
    return [row for row in rows if row.domain is not None]


def worst_domain(rows: Iterable[MetricsRow]) -> MetricsRow | None:
    """Return the single domain's row with the fewest bits gained, or None where no domain has a figure.

    Args:
        rows: Rows of one metamodel, behavior, primary model and split.
    """
    return min(_with_reduction(domain_rows(rows)), key=reduction, default=None)


def best_row(rows: Iterable[MetricsRow]) -> MetricsRow | None:
    """Return the row with the most bits gained, or None where no row has a figure; the first of equals."""
    return max(_with_reduction(rows), key=reduction, default=None)


def reduction(row: MetricsRow) -> float:
    """Return the bits gained of a row known to have them.

    Raises:
        ValueError: The row has none.
    """
    if row.reduction_bits is None:
        raise ValueError(f"the row of {row.metamodel} on {row.behavior} has no reduction_bits")
    return row.reduction_bits


def names(rows: Iterable[MetricsRow], key: Literal["metamodel", "behavior", "primary", "domain"]) -> list[str]:
    """Return the distinct names under a key in the order of their first row, None left out."""
    found: dict[str, None] = dict.fromkeys(getattr(row, key) for row in rows)
    return [name for name in found if name is not None]


def select(
    rows: Iterable[MetricsRow],
    *,
    metamodels: Sequence[str] | None = None,
    behavior: str | None = None,
    primary: str | None = None,
    split: Split | None = None,
) -> list[MetricsRow]:
    """Return the rows that match every criterion given."""
    return [
        row
        for row in rows
        if (metamodels is None or row.metamodel in metamodels)
        and (behavior is None or row.behavior == behavior)
        and (primary is None or row.primary == primary)
        and (split is None or row.split == split)
    ]


def _with_reduction(rows: Iterable[MetricsRow]) -> list[MetricsRow]:
    return [row for row in rows if row.reduction_bits is not None]


def _problems(values: Mapping[str, object]) -> list[str]:
    problems = [f"unknown key {key!r}" for key in values if key not in ROW_KEYS]
    problems += [f"missing key {key!r}" for key in ROW_KEYS if key not in values]
    for key, value in values.items():
        wanted = _wanted_type(key, value)
        if wanted:
            problems.append(f"{key} is {value!r}, must be {wanted}")
    return problems


def _wanted_type(key: str, value: object) -> str:
    """Return what the value should have been, or nothing if it is right."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if key == "split" and value not in SPLITS:
        return f"one of {', '.join(SPLITS)}"
    if key in _TEXT_KEYS and not isinstance(value, str):
        return "text"
    if key == "domain" and not (value is None or isinstance(value, str)):
        return "text or null"
    if key in _WHOLE_KEYS and not is_whole:
        return "a whole number"
    if key in NUMBER_KEYS and not (value is None or is_whole or isinstance(value, float)):
        return "a number or null"
    return ""
