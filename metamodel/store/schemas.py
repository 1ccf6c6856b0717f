"""The columns of every Parquet table in a run directory: the contract between stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 2

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
            ("choices", pa.list_(pa.string())),
            ("attributes", pa.string()),  # JSON object
            ("origin_id", pa.string()),  # null for a prompt of its own
            ("variant", pa.string()),
        ],
        "generations": [
            ("key", pa.string()),
            ("prompt_id", pa.string()),
            ("primary", pa.string()),
            ("sample", pa.int32()),
            ("seed", pa.int64()),
            # A null here and below: the source does not tell.
            ("text", pa.string()),
            ("token_ids", pa.list_(pa.int32())),
            ("logprobs", pa.list_(pa.float32())),
            ("finish_reason", pa.string()),
            ("n_tokens", pa.int32()),
            ("metadata", pa.string()),  # JSON object
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
            ("is_final", pa.bool_()),  # trying again cannot help
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
