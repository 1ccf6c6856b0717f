"""The columns of every Parquet table in a run directory: the contract between stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1

TableName: TypeAlias = Literal["prompts", "generations", "labels", "errors", "predictions"]


def schema_of(table: TableName) -> pa.Schema:
    """Return the Arrow schema of a table."""
    import pyarrow as pa

    schemas: dict[TableName, list[tuple[str, pa.DataType]]] = {
        "prompts": [
            ("prompt_id", pa.string()),
            ("domain", pa.string()),
            ("text", pa.string()),
            ("references", pa.list_(pa.string())),
            ("difficulty", pa.string()),  # JSON object
        ],
        "generations": [
            ("key", pa.string()),
            ("prompt_id", pa.string()),
            ("primary", pa.string()),
            ("sample", pa.int32()),
            ("seed", pa.int64()),
            ("text", pa.string()),
            ("token_ids", pa.list_(pa.int32())),
            ("logprobs", pa.list_(pa.float32())),
            ("finish_reason", pa.string()),
        ],
        # One row a generation and behavior; a null value is a label that is missing by definition.
        "labels": [
            ("key", pa.string()),
            ("prompt_id", pa.string()),
            ("primary", pa.string()),
            ("sample", pa.int32()),
            ("behavior", pa.string()),
            ("value", pa.float64()),
        ],
        # Whatever could not be collected or labeled.
        "errors": [
            ("stage", pa.string()),
            ("prompt_id", pa.string()),
            ("primary", pa.string()),
            ("sample", pa.int32()),
            ("behavior", pa.string()),
            ("reason", pa.string()),
        ],
        # One row a metamodel, behavior, primary, split and prompt.
        "predictions": [
            ("metamodel", pa.string()),
            ("behavior", pa.string()),
            ("primary", pa.string()),
            ("split", pa.string()),
            ("domain", pa.string()),
            ("prompt_id", pa.string()),
            ("probabilities", pa.list_(pa.float64())),
        ],
    }
    return pa.schema(schemas[table])
