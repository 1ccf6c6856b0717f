"""Structured output: whether it parses as JSON, obeys a JSON schema, or parses as Python."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, get_args

import numpy as np

from metamodel.analysis.json_values import BROKEN, Fences, UnusableSchemaError, json_value, schema_check
from metamodel.analysis.markdown import code_blocks
from metamodel.labels import Binary, LabelSpace
from metamodel.types import FloatArray, GenerationBatch, JSONObject, JSONValue, Need

_LONGEST_CHECKED: Final = 200_000
_LONGEST_CODE: Final = 100_000
_PYTHON: Final = frozenset({"python", "python3", "py"})


@dataclass(frozen=True, kw_only=True)
class JSONValid:
    r"""1 if the output is one JSON value, else 0.

    f(y) = 1 if y, without surrounding whitespace and one Markdown fence around it, is a JSON text by RFC 8259: no NaN,
    no comments, no text before or behind. Values nested more than 200 deep count as invalid.

    Label space: binary. Needs: the output alone.
    Source: RFC 8259; the fence as in IFEval's json_format, Zhou et al. (2023).

    Attributes:
        fences: "allow" a Markdown fence around the value, "require" or "refuse" one.

    >>> from metamodel.text import text_batch
    >>> JSONValid().label(text_batch(['{"a": [1]}', '```json\n{"a": 1}\n```', "Sure: {}", "{'a': NaN}"]))
    array([1., 1., 0., 0.])
    """

    fences: Fences = "allow"

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def __post_init__(self) -> None:
        """Refuse an unknown treatment of fences."""
        _refuse_unknown_fences(self.fences)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where the output is JSON, else 0, [n]."""
        return np.array([json_value(text, self.fences) is not BROKEN for text in batch.texts], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class JSONSchemaValid:
    r"""1 if the output is JSON that obeys a JSON schema, else 0; missing where there is no usable schema.

    f(x, y) = 1 if y is JSON as in `json_valid` and valid against the schema. The schema is the field or, where that is
    empty, the attribute "json_schema" of the prompt. References to other documents are never followed. The label is
    missing where the prompt's schema is invalid, an output has more than 200,000 characters, or a pattern of the schema
    takes longer than a second.

    Label space: binary. Needs: the prompt's attributes. Reads the prompt (its schema).
    Source: JSON Schema, by the draft that the schema names or else 2020-12; library jsonschema.

    Attributes:
        schema: JSON schema; empty for the prompt's own.
        fences: "allow" a Markdown fence around the value, "require" or "refuse" one.

    >>> from metamodel.text import text_batch
    >>> person = {"type": "object", "required": ["name"]}
    >>> JSONSchemaValid(schema=person).label(text_batch(['{"name": "Ada"}', "[]", "Ada"]))
    array([1., 0., 0.])
    """

    schema: JSONObject = field(default_factory=dict, hash=False)
    fences: Fences = "allow"

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "attributes")

    def __post_init__(self) -> None:
        """Refuse an unknown treatment of fences and an invalid schema."""
        _refuse_unknown_fences(self.fences)
        if self.schema:
            try:
                schema_check(self.schema)
            except UnusableSchemaError as error:
                raise ValueError(f"schema is no JSON schema: {error}") from error

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where the output obeys the schema, else 0, NaN without a usable one, [n]."""
        checks: dict[str, Callable[[object], float] | None] = {}
        labels = np.full(len(batch), np.nan)
        for row, text in enumerate(batch.texts):
            schema: JSONValue = self.schema or batch.attributes[row].get("json_schema")
            if not isinstance(schema, Mapping) or len(text) > _LONGEST_CHECKED:
                continue
            key = json.dumps(schema, sort_keys=True)
            if key not in checks:
                checks[key] = _check_or_none(schema)
            check = checks[key]
            if check is not None:
                value = json_value(text, self.fences)
                labels[row] = 0.0 if value is BROKEN else check(value)
        return labels


@dataclass(frozen=True, kw_only=True)
class PythonParses:
    r"""1 if the output's code parses as Python, else 0; missing where it is too long or nested too deeply to tell.

    f(y) = 1 if the code is not blank and `ast.parse` accepts it; nothing is run. The code is what stands in the
    Markdown fences, all that name Python or else all of them, one parsed after the other, or the whole output where
    there is no closed fence. A single word parses too: this says that a text could be code, not that it is. Outputs
    of more than 100,000 characters have no label. The grammar is that of the Python that runs this.

    Label space: binary. Needs: the output alone.
    Source: this project; Chen et al. (2024), How Is ChatGPT's Behavior Changing over Time?, count fences as errors.

    Attributes:
        fences: "allow" Markdown fences, "require" them, or "refuse" them as what cannot be run as it stands.

    >>> from metamodel.text import text_batch
    >>> PythonParses().label(text_batch(["x = 1", "Here:\n```python\nx = 1\n```\nDone.", "x = = 1", "Here you are"]))
    array([1., 1., 0., 0.])
    """

    fences: Fences = "allow"

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def __post_init__(self) -> None:
        """Refuse an unknown treatment of fences."""
        _refuse_unknown_fences(self.fences)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where the code parses, else 0, NaN where that cannot be told, [n]."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the output's own, such as an invalid escape
            return np.array([self._parses(text) for text in batch.texts], dtype=np.float64)

    def _parses(self, text: str) -> float:
        if len(text) > _LONGEST_CODE:
            return np.nan
        blocks = code_blocks(text)
        if (self.fences == "require" and not blocks) or (self.fences == "refuse" and blocks):
            return 0.0
        codes = [block.code for block in blocks if block.language in _PYTHON] or [block.code for block in blocks]
        parsed = [_parses(code) for code in codes or [text]]
        return min(parsed, key=lambda label: (label != 0, label == label))  # noqa: PLR0124 - wrong, then missing


def _refuse_unknown_fences(fences: str) -> None:
    if fences not in get_args(Fences):
        raise ValueError(f"fences is {fences!r}, must be one of {', '.join(get_args(Fences))}")


def _check_or_none(schema: Mapping[str, JSONValue]) -> Callable[[object], float] | None:
    try:
        return schema_check(schema)
    except UnusableSchemaError:
        return None


def _parses(code: str) -> float:
    if not code.strip():
        return 0.0
    try:
        ast.parse(code)
    except (RecursionError, MemoryError):
        return np.nan
    except (SyntaxError, ValueError):
        return 0.0
    return 1.0
