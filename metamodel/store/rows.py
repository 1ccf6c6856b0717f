"""Between the nouns of `metamodel.types` and the rows of a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from metamodel.store.schemas import TableName, schema_of
from metamodel.types import Generation, Prompt

if TYPE_CHECKING:
    import pyarrow as pa


def clean_text(text: str) -> str:
    r"""Return the text as UTF-8 can hold it: surrogate pairs joined, lone surrogates replaced by U+FFFD.

    >>> clean_text("a\ud800b")
    'a�b'
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")
    return text


def table_from_rows(table: TableName, rows: Iterable[Mapping[str, object]]) -> pa.Table:
    """Build a table from rows with exactly its schema's columns; any text is made storable.

    Raises:
        ValueError: If a row has other columns than the schema.
    """
    import pyarrow as pa

    schema = schema_of(table)
    columns: dict[str, list[object]] = {name: [] for name in schema.names}
    for row in rows:
        if row.keys() != columns.keys():
            raise ValueError(f"a row of {table} has the columns {sorted(row)}, must have {sorted(columns)}")
        for name, value in row.items():
            columns[name].append(_storable(value))
    return pa.table(columns, schema=schema)


def prompts_to_table(prompts: Iterable[Prompt]) -> pa.Table:
    """Return rows of `prompts`."""
    return table_from_rows(
        "prompts",
        (
            {
                "prompt_id": prompt.id,
                "domain": prompt.domain,
                "text": prompt.text,
                "references": prompt.references,
                "choices": prompt.choices,
                "attributes": json.dumps(dict(prompt.attributes), sort_keys=True),
                "origin_id": prompt.origin_id,
                "variant": prompt.variant,
            }
            for prompt in prompts
        ),
    )


def prompts_from_table(table: pa.Table) -> list[Prompt]:
    """Return the prompts of rows of `prompts`."""
    return [
        Prompt(
            id=row["prompt_id"],
            domain=row["domain"],
            text=row["text"],
            references=tuple(row["references"]),
            choices=tuple(row["choices"]),
            attributes=json.loads(row["attributes"]),
            origin_id=row["origin_id"],
            variant=row["variant"],
        )
        for row in table.to_pylist()
    ]


def generations_to_table(generations: Iterable[Generation]) -> pa.Table:
    """Return rows of `generations`."""
    names = [name for name in schema_of("generations").names if name != "metadata"]
    return table_from_rows(
        "generations",
        (
            {name: getattr(item, name) for name in names}
            | {"metadata": json.dumps(dict(item.metadata), sort_keys=True) if item.metadata else "{}"}
            for item in generations
        ),
    )


def generations_from_table(table: pa.Table) -> list[Generation]:
    """Return the generations of rows of `generations`."""
    return [
        Generation(
            **{
                **row,
                "token_ids": _tuple_or_none(row["token_ids"]),
                "logprobs": _tuple_or_none(row["logprobs"]),
                "metadata": json.loads(row["metadata"]),
            }
        )
        for row in table.to_pylist()
    ]


def _tuple_or_none(values: list[object] | None) -> tuple[object, ...] | None:
    return None if values is None else tuple(values)


def _storable(value: object) -> object:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, tuple | list):
        return [_storable(item) for item in value] if value and isinstance(value[0], str) else list(value)
    return value
