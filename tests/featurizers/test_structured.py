"""Structured output: what parses, what obeys a schema, and that neither can hang."""

from __future__ import annotations

import json
import math

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurizers.structured import JSONSchemaValid, JSONValid, PythonParses
from metamodel.text import text_batch
from metamodel.types import JSONObject, JSONValue

any_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def is_json(text: str) -> bool:
    """Return the label of one output."""
    return bool(JSONValid().label(text_batch([text]))[0])


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        " [1, 2]\n",
        "null",
        '"a"',
        "-1.5e3",
        '```json\n{"a": 1}\n```',
        "```\n[]\n```",
        "1" * 10_000,
        "[" * 200 + "]" * 200,
    ],
)
def test_json(text: str) -> None:
    """One JSON value, in a fence or not, is JSON."""
    assert is_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "[Infinity]",
        "{'a': 1}",
        "{} {}",
        "Sure: {}",
        "{",
        "01",
        "```json\n{}",
        "```python\n{}\n```",
        "[" * 201 + "]" * 201,
    ],
)
def test_no_json(text: str) -> None:
    """Python's extensions, text around the value and endless nesting are no JSON."""
    assert not is_json(text)


def test_fences() -> None:
    """A fence is allowed, required or refused, as the user has it."""
    batch = text_batch(["{}", "```json\n{}\n```"])
    assert JSONValid(fences="require").label(batch).tolist() == [0, 1]
    assert JSONValid(fences="refuse").label(batch).tolist() == [1, 0]
    code = text_batch(["x = 1", "```python\nx = 1\n```"])
    assert PythonParses(fences="require").label(code).tolist() == [0, 1]
    assert PythonParses(fences="refuse").label(code).tolist() == [1, 0]
    with pytest.raises(ValueError, match="fences is 'maybe', must be one of allow, require, refuse"):
        JSONValid(fences="maybe")  # type: ignore[arg-type] # what must fail


SCHEMAS: list[JSONObject] = [
    {"type": "object", "required": ["a"]},
    {"type": "array", "uniqueItems": True, "items": {"type": ["number", "string"]}},
    {"properties": {"a": {"type": "integer"}}, "additionalProperties": False},
    {"patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": {"type": "string"}},
    {"anyOf": [{"type": "string", "pattern": "^a+$"}, {"$ref": "#/$defs/few"}], "$defs": {"few": {"maximum": 1}}},
]


@settings(deadline=None, max_examples=200, derandomize=True, database=None)
@given(value=any_json, schema=st.sampled_from(SCHEMAS))
def test_schemas_agree_with_the_library(value: JSONValue, schema: JSONObject) -> None:
    """The bounded keywords give the library's own verdicts."""
    label = JSONSchemaValid(schema=schema).label(text_batch([json.dumps(value)]))[0]
    assert bool(label) == jsonschema.Draft202012Validator(schema).is_valid(value)


def test_schema_of_the_prompt() -> None:
    """Each prompt may bring its own schema; without a usable one there is no label."""
    schemas: list[JSONValue] = [{"type": "array"}, {"type": "array"}, {"type": "no such"}, "text", None]
    batch = text_batch(["[]", "{}", "[]", "[]", "[]"], attributes=[{"json_schema": schema} for schema in schemas])
    assert JSONSchemaValid().label(batch).tolist() == pytest.approx([1, 0, math.nan, math.nan, math.nan], nan_ok=True)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no such"},
        {"$ref": "https://example.com/schema.json"},
        {"pattern": "("},
        {"$ref": "#/$defs/absent"},
        {"$ref": "#"},
    ],
)
def test_unusable_schemas_are_refused(schema: JSONObject) -> None:
    """An invalid schema is a mistake in the config, and nothing is ever fetched."""
    with pytest.raises(ValueError, match="schema is no JSON schema"):
        JSONSchemaValid(schema=schema)


def test_remote_references_below_are_not_followed() -> None:
    """A reference to another document is met only by some outputs; those have no label."""
    featurizer = JSONSchemaValid(schema={"properties": {"a": {"$ref": "https://example.com/schema.json"}}})
    assert featurizer.label(text_batch(["{}", '{"a": 1}'])).tolist() == pytest.approx([1, math.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("def f(x):\n    return x", 1),
        ("def f(x):\nreturn x", 0),
        ("", 0),
        ("\x00", 0),
        ("\ud800", 0),
        ("Here you are", 0),
        ("Sure!\n```python\nx = 1\n```\nand\n```py\ny = 2\n```", 1),
        ("Sure!\n```python\nx = 1\n```\nand\n```py\ny = = 2\n```", 0),
        ("```python\nx = 1\n```\n```sh\nrm -r x\n```", 1),
        ("```python\nx = 1", 1),
        ('x = "\\d"', 1),
        ("-" * 100_000 + "1", math.nan),
        ("x" * 300_000, math.nan),
    ],
)
def test_python(text: str, label: float) -> None:
    """Code in its fences, or the whole output, is parsed and never run; what the parser cannot hold has no label."""
    assert PythonParses().label(text_batch([text])).tolist() == pytest.approx([label], nan_ok=True)


@pytest.mark.parametrize("piece", ["[", "[]", "{", '"\\', "```\n", "```python\n", "~~~a\n", "(", "1,"])
def test_a_megabyte_is_read_in_linear_time(piece: str) -> None:
    """A runaway output must not stall a run: quadratic time would not end within the suite's patience."""
    long, shorter = (text_batch([piece * (n_characters // len(piece))]) for n_characters in (1_000_000, 50_000))
    assert JSONValid().label(long).tolist() == [0]
    assert PythonParses().label(long).tolist() == pytest.approx([math.nan], nan_ok=True)
    assert PythonParses().label(shorter).shape == (1,)
    assert JSONSchemaValid(schema={"uniqueItems": True}).label(shorter).tolist() == [0]
