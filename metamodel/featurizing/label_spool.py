"""Labels on their way to the run directory: kept in scratch files, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metamodel.errors import MetamodelError
from metamodel.labels import LabelSpace
from metamodel.store.schemas import schema_of
from metamodel.types import FloatArray

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_ROW_COLUMNS = ("key", "prompt_id", "primary", "sample")


class LabelSpool:
    """Labels of several behaviors over the same rows, in the order in which they came.

    In memory stays what names a row (about 90 bytes); the labels lie in one file a behavior.
    """

    def __init__(self, folder: Path, spaces: Mapping[str, LabelSpace]) -> None:
        """Start empty, in a scratch folder."""
        self._spaces = dict(spaces)
        self._files = {name: folder / f"{position}.f64" for position, name in enumerate(spaces)}
        self._rows: list[pa.Table] = []

    def add(self, rows: pd.DataFrame, labels: Mapping[str, FloatArray]) -> None:
        """Add rows with a label of each behavior, [n] each.

        Raises:
            MetamodelError: A featurizer gave something else than one label of its space a row.
        """
        import pyarrow as pa

        schema = pa.schema([schema_of("labels").field(column) for column in _ROW_COLUMNS])
        self._rows.append(pa.table({column: rows[column].to_numpy() for column in _ROW_COLUMNS}, schema=schema))
        for name, file in self._files.items():
            values = checked_labels(labels[name], n_rows=len(rows), name=name, space=self._spaces[name])
            with file.open("ab") as handle:
                handle.write(values.tobytes())

    def table(self, name: str) -> pa.Table:
        """Return a behavior's rows of `labels`, a null where the label is missing."""
        import pyarrow as pa

        schema = schema_of("labels")
        rows = pa.concat_tables(self._rows)
        file = self._files[name]
        values = np.fromfile(file, dtype=np.float64) if file.exists() else np.zeros(0)
        columns = {column: rows[column] for column in _ROW_COLUMNS}
        behavior = pa.repeat(pa.scalar(name, pa.string()), len(values))
        return pa.table({**columns, "behavior": behavior, "value": pa.array(values, mask=np.isnan(values))}, schema)


def checked_labels(values: FloatArray | Sequence[float], *, n_rows: int, name: str, space: LabelSpace) -> FloatArray:
    """Return labels as they are stored.

    Raises:
        MetamodelError: There is not one label a row, or one lies outside the space.
    """
    labels = np.asarray(values, dtype=np.float64)
    if labels.shape != (n_rows,):
        raise MetamodelError(
            f"behavior {name}: its featurizer gave labels of shape {labels.shape} for {n_rows} outputs, "
            "must be one a row, NaN where it is missing"
        )
    try:
        space.encode(labels)
    except ValueError as error:
        raise MetamodelError(f"behavior {name}: {error}") from error
    return labels
