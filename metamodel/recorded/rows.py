"""The one form that every log is brought to: a row is a prompt with one output of one primary model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from metamodel.types import FinishReason, JSONValue

if TYPE_CHECKING:
    import pyarrow as pa

PROMPT_COLUMNS = ("item", "domain", "text", "references", "choices")
OUTPUT_COLUMNS = ("output", "finish_reason", "n_tokens", "token_ids", "logprobs", "metadata")
ROWS_PER_PIECE = 8192
_DEEPEST_JSON = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedRow:
    """One row of a log. What the log does not say is None.

    Attributes:
        place: Where it stands, for messages ("samples.jsonl, line 3").
        item: The log's own id of the prompt.
        domain: Domain of the prompt.
        text: What the primary model read.
        references: Gold answers.
        choices: Continuations to choose among.
        attributes: What the log says of the prompt.
        model: The primary model's name in the log.
        sample: Index among the samples of the prompt.
        output: The output's text.
        finish_reason: What ended it.
        n_tokens: Tokens drawn, the end token not counted.
        token_ids: Tokens drawn.
        logprobs: Natural logarithm of each token's probability.
        metadata: What the log says of the output; stored as JSON, as the attributes are.
        failure: Why there is no output, where the log says that drawing it failed.
    """

    place: str
    item: str | None
    domain: str
    text: str
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    attributes: Mapping[str, object] = field(default_factory=dict)
    model: str
    sample: int = 0
    output: str | None = None
    finish_reason: FinishReason | None = None
    n_tokens: int | None = None
    token_ids: Sequence[int] | None = None
    logprobs: Sequence[float] | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    failure: str | None = None


def row_schema() -> pa.Schema:
    """Return the Arrow schema of rows; `attributes` and `metadata` are JSON objects."""
    import pyarrow as pa

    text, texts = pa.string(), pa.list_(pa.string())
    return pa.schema(
        [
            ("place", text),
            ("item", text),
            ("domain", text),
            ("text", text),
            ("references", texts),
            ("choices", texts),
            ("attributes", text),
            ("model", text),
            ("sample", pa.int32()),
            ("output", text),
            ("finish_reason", text),
            ("n_tokens", pa.int32()),
            ("token_ids", pa.list_(pa.int32())),
            ("logprobs", pa.list_(pa.float32())),
            ("metadata", text),
            ("failure", text),
        ]
    )


def rows_to_table(rows: Iterable[RecordedRow]) -> pa.Table:
    """Return rows as columns."""
    import pyarrow as pa

    listed = list(rows)
    schema = row_schema()
    columns = {name: [_stored(name, getattr(row, name)) for row in listed] for name in schema.names}
    return pa.table(columns, schema=schema)


def to_json_object(values: Mapping[str, object]) -> str:
    """Return a JSON object with sorted keys; what JSON cannot hold (NaN, dates, deep nesting) becomes null or text.

    >>> to_json_object({"b": float("nan"), "a": [1, True]})
    '{"a": [1, true], "b": null}'
    """
    return json.dumps({str(key): _plain(value, _DEEPEST_JSON) for key, value in values.items()}, sort_keys=True)


def _stored(name: str, value: object) -> object:
    if name in ("attributes", "metadata"):
        return to_json_object(value) if isinstance(value, Mapping) else "{}"
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, tuple | list) and value and isinstance(value[0], str):
        return [storable(str(item)) for item in value]
    return value


def storable(text: str) -> str:
    """Return a text that UTF-8 can hold: lone surrogates become U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")
    return text


def _plain(value: object, depth: int) -> JSONValue:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth - 1) for key, item in value.items()} if depth else None
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return [_plain(item, depth - 1) for item in value] if depth else None
    return storable(str(value))
