"""Yours: patterns that cannot hang, functions found by name, and what is said when either is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from featurizers.custom import PythonFunction, Regex
from metamodel.config.components import build_component
from metamodel.errors import ConfigError, MetamodelError
from metamodel.labels import Categorical, Count
from metamodel.text import text_batch
from metamodel.types import GenerationBatch

HERE = "custom_functions_of_a_test"


@pytest.fixture(autouse=True)
def functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a user's module where it can be imported."""
    import sys
    import types

    def fails(text: str, prompt: str, references: tuple[str, ...]) -> float:  # noqa: ARG001 - what such a function is given
        return 1 / len(text)

    def echo(text: str, prompt: str, references: tuple[str, ...]) -> object:  # noqa: ARG001 - what such a function is given
        return {
            "none": None,
            "one": 1,
            "true": True,
            "short": "short",
            "odd": object(),
            "two": 2,
            "nan": np.float32("nan"),
        }[text]

    def lengths(batch: GenerationBatch) -> list[int]:
        return [len(text) for text in batch.texts]

    def one(batch: GenerationBatch) -> list[int]:  # noqa: ARG001 - what such a function is given
        return [1]

    module = types.ModuleType(HERE)
    for function in (fails, echo, lengths, one):
        setattr(module, function.__name__, function)
    module.number = 3  # type: ignore[attr-defined] # what is no function
    monkeypatch.setitem(sys.modules, HERE, module)


def test_regex_searches_what_it_says() -> None:
    """Output or prompt, with or without case."""
    batch = text_batch(["Yes", "no"], prompts=["a 1", "b"])
    assert Regex(pattern="yes").label(batch).tolist() == [0, 0]
    assert Regex(pattern="yes", ignore_case=True).label(batch).tolist() == [1, 0]
    prompt = Regex(pattern=r"\d$", field="prompt")
    assert prompt.label(batch).tolist() == [1, 0]
    assert (prompt.needs, prompt.reads_prompt) == (("prompt",), True)


@pytest.mark.slow
def test_regex_cannot_hang() -> None:
    """A pattern that backtracks without end gives a missing label, and an error when it happens again and again."""
    evil = Regex(pattern=r"(a|aa)+$")
    labels = evil.label(text_batch(["a" * 60 + "b", "aa"]))
    assert np.isnan(labels[0])
    assert labels[1] == 1
    with pytest.raises(MetamodelError, match="rewrite it without repetitions inside repetitions"):
        evil.label(text_batch(["a" * 60 + "b"] * 5))


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"kind": "regex", "pattern": "("}, "must be a regular expression"),
        ({"kind": "regex", "pattern": "a" * 3000}, "must have at most 2000"),
        ({"kind": "regex", "pattern": "a", "field": "prmpt"}, "must|should be 'output' or 'prompt'"),
        ({"kind": "python", "function": "no_colon"}, "must be written package.module:function"),
        ({"kind": "python", "function": "__import__('os'):system"}, "must be written package.module:function"),
        ({"kind": "python", "function": "os:remove"}, "of the standard library"),
        ({"kind": "python", "function": "builtins:eval"}, "of the standard library"),
        ({"kind": "python", "function": "metamodel.text:re.compile"}, "of the standard library"),
        ({"kind": "python", "function": "no_such_module_at_all:f"}, "cannot be imported"),
        ({"kind": "python", "function": f"{HERE}:nothing"}, "has no nothing"),
        ({"kind": "python", "function": f"{HERE}:number"}, "no function but int"),
        ({"kind": "python", "function": f"{HERE}:echo", "needs": ["txt"]}, "needs"),
    ],
)
def test_wrong_configs_are_refused(spec: dict[str, object], problem: str) -> None:
    """What cannot work is known when the config is read."""
    with pytest.raises(ConfigError, match=problem):
        build_component("featurizers", spec, at="behavior")


def test_values_become_labels() -> None:
    """Numbers, truth values, class names and None mean what they say; the space is what the config declares."""
    spec = {
        "kind": "python",
        "function": f"{HERE}:echo",
        "space": {"kind": "categorical", "classes": ["long", "short"]},
    }
    built = build_component("featurizers", spec, at="behavior")
    assert built.space == Categorical(classes=("long", "short"))
    labels = built.label(text_batch(["none", "one", "true", "short", "nan"]))
    assert labels.tolist() == pytest.approx([float("nan"), 1, 1, 1, float("nan")], nan_ok=True)


def test_a_whole_batch_can_be_asked() -> None:
    """A function of a batch gets the batch, and must give one value a row."""
    counts = PythonFunction(function=f"{HERE}:lengths", space=Count(), call="batch")
    assert counts.label(text_batch(["", "abc"])).tolist() == [0, 3]
    with pytest.raises(MetamodelError, match="returned 1 values, must return 2, one a row"):
        PythonFunction(function=f"{HERE}:one", call="batch").label(text_batch(["", "abc"]))


def test_failures_name_the_row() -> None:
    """An error in a user's code is told with the row that it happened on, and keeps its cause."""
    with pytest.raises(
        MetamodelError, match=r"fails failed on row 1 \(prompt 1, sample 0\): ZeroDivisionError"
    ) as told:
        PythonFunction(function=f"{HERE}:fails").label(text_batch(["a", ""]))
    assert isinstance(told.value.__cause__, ZeroDivisionError)
    with pytest.raises(MetamodelError, match=r"returned <object object at .* for row 0"):
        PythonFunction(function=f"{HERE}:echo").label(text_batch(["odd"]))
    with pytest.raises(MetamodelError, match=r"a binary label is 2.0.*declare the `space`"):
        PythonFunction(function=f"{HERE}:echo").label(text_batch(["two"]))
