"""What a log says of an output, as a label."""

from __future__ import annotations

import numpy as np
import pytest

from featurizers.recorded import Recorded
from metamodel.text import text_batch
from metamodel.types import JSONValue

NAN = float("nan")


def labels(featurizer: Recorded, *values: JSONValue) -> list[float]:
    """Return the labels of rows that record the values under "x"."""
    return featurizer.label(text_batch([""] * len(values), metadata=[{"x": value} for value in values])).tolist()


@pytest.mark.parametrize(
    ("featurizer", "values", "expected"),
    [
        (Recorded(field="x"), [True, False, 1, 0.0, 0.5, None, 2], [1, 0, 1, 0, NAN, NAN, NAN]),
        (Recorded(field="x"), ["C", "I", " Yes", "no", "P", "", [1]], [1, 0, 1, 0, NAN, NAN, NAN]),
        (Recorded(field="x", yes=("g",), no=("b",)), ["G", "b", "yes"], [1, 0, NAN]),
        (Recorded(field="x", values="count"), [0, 3, 4.0, -1, 1.5, True, "3"], [0, 3, 4, NAN, NAN, NAN, NAN]),
        (Recorded(field="x", values="real"), [0.25, 3, None, "1", float("inf")], [0.25, 3, NAN, NAN, NAN]),
        (
            Recorded(field="x", values="categorical", classes=("A", "1")),
            ["A", 1, "B", None, {"A": 1}],
            [0, 1, NAN, NAN, NAN],
        ),
    ],
)
def test_values_are_read_as_declared(featurizer: Recorded, values: list[JSONValue], expected: list[float]) -> None:
    """A value of another kind is missing, never rounded or guessed, and all labels lie in the declared space."""
    found = labels(featurizer, *values)
    np.testing.assert_array_equal(found, expected)
    featurizer.space.encode(np.array(found))


def test_points_lead_inside() -> None:
    """Nested values are found, a key that holds points first, and attributes of the prompt if asked."""
    metadata: list[dict[str, JSONValue]] = [
        {"scores": {"match": 1}},
        {"scores.match": 0},
        {"scores": [0]},
        {"scores": 1},
    ]
    batch = text_batch([""] * 4, metadata=metadata, attributes=[{"n": 3}] * 4)
    np.testing.assert_array_equal(Recorded(field="scores.match").label(batch), [1, 0, NAN, NAN])
    np.testing.assert_array_equal(Recorded(field="scores.0").label(batch), [NAN, NAN, 0, NAN])
    np.testing.assert_array_equal(Recorded(field="n", source="attributes", values="count").label(batch), [3] * 4)
    assert Recorded(source="attributes").needs == ("attributes",)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"field": ""}, "field is empty"),
        ({"values": "text"}, "values is 'text'"),
        ({"source": "prompt"}, "source is 'prompt'"),
        ({"values": "categorical"}, "must list the classes"),
        ({"classes": ("a",)}, "must list the classes where values is categorical only"),
        ({"values": "categorical", "classes": ("a", "a")}, "must name each class once"),
        ({"yes": ("1",), "no": ("1",)}, "yes and no both hold 1"),
        ({"edges": (3, 2)}, "must rise"),
        ({"low": 1.0, "high": 0.0}, "must be low < high"),
    ],
)
def test_senseless_configs_are_refused(options: dict[str, object], problem: str) -> None:
    """The message names the field and what is allowed."""
    with pytest.raises(ValueError, match=problem):
        Recorded(**options)  # type: ignore[arg-type] # wrong on purpose
