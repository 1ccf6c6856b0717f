"""How large each primary model is and how much it has read: known of the zoo, else from a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.checkpoints.lasting import Checkpoint
from metamodel.errors import DataError
from metamodel.scaling.columns import Role, guess, plain_name
from metamodel.scaling.reading import numbers, read_frame, texts
from metamodel.types import JSONValue

if TYPE_CHECKING:
    import pandas as pd

    from metamodel.config import RunConfig

_NAMES: Final = ("primary", "model", "name")
_SERIES: Final = ("series", "family")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The primary models whose size is known.

    Attributes:
        checkpoints: By the primary model's name, by rising parameters, then tokens.
        unknown: Names of those left out, whose size nothing says.
    """

    checkpoints: Mapping[str, Checkpoint]
    unknown: Sequence[str]


def sizes_of(configs: Iterable[RunConfig], table: Path | None = None) -> Sizes:
    """Return size and tokens of the runs' primary models; what the table says goes before what the zoo knows.

    Checkpoints of equal parameters are one series, unless the table names another.

    Args:
        configs: Configs of the runs.
        table: A CSV, TSV, Parquet or JSONL file with a row a primary model: `primary`, `parameters`, `tokens` and, if
            wanted, `series`; "70M" and "300B" are numbers.

    Raises:
        DataError: The table cannot be read, or fewer than two primary models have a known size.
    """
    given = {} if table is None else _read_table(table)
    known: dict[str, Checkpoint] = {}
    unknown: list[str] = []
    for config in configs:
        for name, spec in config.specs("primaries").items():
            found = given.get(name) or _zoo_checkpoint(name, spec)
            if found is None:
                unknown.append(name)
            else:
                known[name] = found
    if len(known) < 2:  # noqa: PLR2004 - a slope needs two
        raise DataError(
            f"the size of {len(known)} primary models is known, and at least 2 are needed (unknown: "
            f"{', '.join(unknown) or 'none'}): give primary, parameters and tokens of each with --table FILE"
        )
    ordered = sorted(known.values(), key=lambda one: (one.parameters, one.series, one.tokens))
    return Sizes(checkpoints={one.primary: one for one in ordered}, unknown=tuple(unknown))


def _zoo_checkpoint(name: str, spec: Mapping[str, JSONValue]) -> Checkpoint | None:
    from metamodel.zoo.catalog import trained_size

    held = spec.get("primary")
    if spec.get("kind") == "score" and isinstance(held, Mapping):
        spec = held
    if spec.get("kind") != "zoo":
        return None
    size = trained_size(str(spec.get("model")))
    if size is None:
        return None
    return Checkpoint(
        primary=name, parameters=size.parameters, tokens=size.tokens, series=f"{size.parameters:,} parameters"
    )


def _read_table(path: Path) -> dict[str, Checkpoint]:
    frame = read_frame(path)
    by_name = {plain_name(column): column for column in frame.columns}
    name_column = next((by_name[name] for name in _NAMES if name in by_name), None)
    if name_column is None:
        raise DataError(f"{path} has no column primary (there are {', '.join(frame.columns)}): add one with the names")
    series_column = next((by_name[name] for name in _SERIES if name in by_name), None)
    names = texts(frame[name_column])
    parameters, tokens = (_positive(frame, role, path) for role in ("parameters", "tokens"))
    series = [f"{value:,.0f} parameters" for value in parameters]
    if series_column is not None:
        series = texts(frame[series_column])
    rows = zip(names, parameters.tolist(), tokens.tolist(), series, strict=True)
    found: dict[str, Checkpoint] = {}
    for name, n_parameters, n_tokens, of in rows:
        if name in found:
            raise DataError(f"{path} names {name!r} twice: keep one row a primary model")
        found[name] = Checkpoint(primary=name, parameters=n_parameters, tokens=n_tokens, series=of)
    return found


def _positive(frame: pd.DataFrame, role: Role, path: Path) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    column = guess(role, list(frame.columns))
    if column is None:
        raise DataError(f"{path} has no column {role} (there are {', '.join(frame.columns)}): add one")
    values = numbers(frame[column], with_units=True)
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{path}: {column} is {str(frame[column].iloc[place])[:60]!r} in row {place + 1}, must be a number above 0"
        )
    return values
