"""Tables in files, as people keep them: CSV, TSV, Parquet, JSONL."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.errors import DataError
from metamodel.types import FloatArray

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES: Final = (".csv", ".tsv", ".parquet", ".jsonl")
_MULTIPLES: Final = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_WITH_UNIT: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmbt])\s*", re.IGNORECASE)


def read_frame(path: Path) -> pd.DataFrame:
    """Return a table, by the suffix of its path; the cells of text formats stay text.

    Raises:
        DataError: The file is missing, of another format, cannot be read, or holds no row.
    """
    import pandas as pd
    import pyarrow as pa

    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: its suffix is {suffix!r}, must be one of {', '.join(SUFFIXES)}")
    try:
        with path.open("rb") as handle:
            if suffix == ".parquet":
                frame = pd.read_parquet(handle)
            elif suffix == ".jsonl":
                frame = pd.DataFrame([json.loads(line) for line in handle if line.strip()])
            else:
                # Read as text, a task may be called "NA"; numbers are made where numbers are wanted.
                separator = "\t" if suffix == ".tsv" else ","
                frame = pd.read_csv(handle, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: check the path") from error
    # Of a damaged file pandas raises ValueErrors, pyarrow its own; JSON may be nested too deep.
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as {suffix[1:]}: {error}") from error
    frame.columns = [str(column) for column in frame.columns]
    repeated = sorted(set(frame.columns[frame.columns.duplicated()]))
    if repeated:
        raise DataError(f"{path} has several columns named {', '.join(repeated)}: rename them")
    if frame.empty:
        raise DataError(f"{path} holds no row: it must hold at least one a model")
    return frame


def numbers(column: pd.Series, *, with_units: bool = False) -> FloatArray:
    """Return a column as numbers, [n]; NaN for what is none.

    Args:
        column: Numbers, truth values or text.
        with_units: Whether "70M", "1.4b" and "300 B" are numbers too.
    """
    import pandas as pd

    plain = pd.to_numeric(column, errors="coerce")
    values: FloatArray = plain.to_numpy(dtype=np.float64, na_value=np.nan).copy()
    if with_units:
        for place in np.flatnonzero(np.isnan(values)):
            match = _WITH_UNIT.fullmatch(str(column.iloc[place]))
            if match:
                values[place] = float(match[1]) * _MULTIPLES[match[2].lower()]
    return values


def texts(column: pd.Series) -> list[str]:
    """Return a column as text, [n]; empty where a cell is."""
    return ["" if text is None or text != text else str(text) for text in column.tolist()]  # noqa: PLR0124 - NaN
