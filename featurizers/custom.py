"""Yours: behaviors that a config writes down as a regular expression or names as a Python function."""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np

from metamodel.analysis.patterns import PatternTimeoutError, compile_pattern, find_pattern
from metamodel.errors import MetamodelError
from metamodel.labels import Binary, LabelSpace
from metamodel.types import FloatArray, GenerationBatch, Need

Searched: TypeAlias = Literal["output", "prompt"]
Calling: TypeAlias = Literal["rows", "batch"]

_MOST_TIMEOUTS = 3
_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, kw_only=True)
class Regex:
    r"""1 if a regular expression of yours matches somewhere in the output, else 0; missing where it takes too long.

    f(y) = 1 if the pattern matches in the first million characters. A search that takes more than a second is given up;
    a batch with more than three such rows is an error, since the pattern backtracks without end.

    Label space: binary. Needs: the output alone, or the prompt. Reads the prompt if that is searched.
    Source: this project; syntax of Python's `re`, as the `regex` library extends it.

    Attributes:
        pattern: Regular expression, of at most 2,000 characters.
        ignore_case: Whether case is ignored.
        field: What is searched: "output" or "prompt".

    >>> from metamodel.text import text_batch
    >>> Regex(pattern=r"\bsorry\b", ignore_case=True).label(text_batch(["Sorry!", "A sorrysome day."]))
    array([1., 0.])
    """

    pattern: str
    ignore_case: bool = False
    field: Searched = "output"

    space: ClassVar[LabelSpace] = Binary()

    def __post_init__(self) -> None:
        """Refuse what is no regular expression."""
        if self.field not in get_args(Searched):
            raise ValueError(f"field is {self.field!r}, must be one of {', '.join(get_args(Searched))}")
        compile_pattern(self._written)

    @property
    def reads_prompt(self) -> bool:
        """Whether the prompt is what is searched."""
        return self.field == "prompt"

    @property
    def needs(self) -> tuple[Need, ...]:
        """The output or the prompt."""
        return ("prompt",) if self.field == "prompt" else ("text",)

    @property
    def _written(self) -> str:
        return f"(?i){self.pattern}" if self.ignore_case else self.pattern

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where the pattern matches, 0 where it does not, NaN where the search was given up, [n].

        Raises:
            MetamodelError: The search was given up more than three times.
        """
        texts = batch.prompts if self.field == "prompt" else batch.texts
        labels = np.full(len(batch), np.nan)
        n_timeouts = 0
        for row, text in enumerate(texts):
            try:
                labels[row] = find_pattern(self._written, text) is not None
            except PatternTimeoutError as error:
                n_timeouts += 1
                if n_timeouts > _MOST_TIMEOUTS:
                    raise MetamodelError(
                        f"regex: {error} on {n_timeouts} outputs, the last of {len(text)} characters: "
                        "rewrite it without repetitions inside repetitions"
                    ) from error
        return labels


@dataclass(frozen=True, kw_only=True)
class PythonFunction:
    """What a Python function of yours says of each output: a number, a truth value, a class name, or None for missing.

    f(x, y) = function(text, prompt, references), called once a row; with `call: batch`, function(batch) once a batch,
    which returns one value a row. The function is found by name in an importable module (set PYTHONPATH, or install
    it). A config with such a behavior runs that code: read it as you would a script. Functions of the standard library
    are refused, so that a config alone cannot delete a file.

    Label space: as `space` declares. Needs: as `needs` declares. Reads the prompt unless `reads_prompt` denies it.
    Source: yours.

    Attributes:
        function: Where it is, as `package.module:function`.
        space: Label space of its values; a class name stands for its index.
        call: "rows" or "batch".
        needs: What the labels are computed from; where it is absent they are missing.
        reads_prompt: Whether they depend on more than the output.

    >>> from metamodel.text import text_batch
    >>> PythonFunction(function="featurizers.custom:shouts").label(text_batch(["STOP!", "Stop."]))
    array([1., 0.])
    """

    function: str
    space: LabelSpace = field(default_factory=Binary)
    call: Calling = "rows"
    needs: tuple[Need, ...] = ("text", "prompt")
    reads_prompt: bool = True

    def __post_init__(self) -> None:
        """Refuse what names no function."""
        if self.call not in get_args(Calling):
            raise ValueError(f"call is {self.call!r}, must be one of {', '.join(get_args(Calling))}")
        unknown = [need for need in self.needs if need not in get_args(Need)]
        if unknown:
            raise ValueError(f"needs holds {', '.join(unknown)}, must be some of {', '.join(get_args(Need))}")
        _function(self.function)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return what the function says, NaN where it says None, [n].

        Raises:
            MetamodelError: It fails, or returns what is no label; the message names the row.
        """
        function = _function(self.function)
        if self.call == "batch":
            return self._checked(_called(self.function, "a batch", function, batch), batch)
        rows = zip(batch.texts, batch.prompts, batch.references, strict=True)
        values = [
            _called(self.function, _place(batch, row), function, text, prompt, tuple(references))
            for row, (text, prompt, references) in enumerate(rows)
        ]
        return self._checked(values, batch)

    def _checked(self, values: object, batch: GenerationBatch) -> FloatArray:
        if isinstance(values, np.ndarray):
            values = values.tolist()
        if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != len(batch):
            given = f"{len(values)} values" if isinstance(values, Sequence) else type(values).__name__
            raise MetamodelError(f"python: {self.function} returned {given}, must return {len(batch)}, one a row")
        labels = np.array([self._number(value, row, batch) for row, value in enumerate(values)], dtype=np.float64)
        try:
            self.space.encode(labels)
        except ValueError as error:
            raise MetamodelError(f"python: {self.function}: {error}; declare the `space` that it returns") from error
        return labels

    def _number(self, value: object, row: int, batch: GenerationBatch) -> float:
        if value is None:
            return np.nan
        if isinstance(value, str) and value in self.space.outcomes:
            return float(self.space.outcomes.index(value))
        if isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)) and not np.isinf(value):
            return float(value)
        raise MetamodelError(
            f"python: {self.function} returned {value!r:.100} for {_place(batch, row)}, "
            f"must be a number, None or one of {', '.join(self.space.outcomes[:10])}"
        )


def shouts(text: str, prompt: str, references: tuple[str, ...]) -> bool:  # noqa: ARG001 - what such a function is given
    """Say whether an output is in capitals: an example of a function that `python` calls."""
    return text.isupper()


@functools.lru_cache(maxsize=64)
def _function(path: str) -> Callable[..., object]:
    """Import a function by name; the only thing that a config can make this module import."""
    if not _PATH.fullmatch(path):
        raise ValueError(f"function is {path!r}, must be written package.module:function")
    module_name, _, name = path.partition(":")
    _refuse_standard_library(path, module_name)
    try:
        found: object = importlib.import_module(module_name)
    except Exception as error:  # whatever a user's module raises when it is imported
        raise ValueError(
            f"function is {path!r}, and {module_name} cannot be imported ({type(error).__name__}: {error}): "
            "install it or set PYTHONPATH"
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"function is {path!r}, and {module_name} has no {name}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"function is {path!r}, which is no function but {type(found).__name__}")  # noqa: TRY004 - a config's value is wrong
    _refuse_standard_library(path, str(getattr(found, "__module__", "") or ""))
    return found


def _refuse_standard_library(path: str, module_name: str) -> None:
    root = module_name.partition(".")[0]
    if root in sys.stdlib_module_names and root != "__main__":
        raise ValueError(f"function is {path!r}, of the standard library: name a function of a module of yours")


def _called(path: str, place: str, function: Callable[..., object], *arguments: object) -> object:
    try:
        return function(*arguments)
    except Exception as error:  # whatever a user's function raises
        raise MetamodelError(f"python: {path} failed on {place}: {type(error).__name__}: {error}") from error


def _place(batch: GenerationBatch, row: int) -> str:
    return f"row {row} (prompt {batch.prompt_ids[row]}, sample {batch.samples[row]})"
