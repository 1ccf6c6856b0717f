"""Copying: what an output takes over from its prompt and from what it wrote itself."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias, get_args

import numpy as np

from metamodel.analysis.common_runs import longest_common_runs
from metamodel.analysis.hash_sets import are_among
from metamodel.analysis.induction import n_induced
from metamodel.analysis.ngrams import Unit, check_n, check_unit, row_shares, split_units
from metamodel.analysis.pieces import Piece, pieces_of
from metamodel.labels import Binary, Count, LabelSpace, Real
from metamodel.types import FloatArray, GenerationBatch, IntArray, Need

Where: TypeAlias = Literal["anywhere", "start"]
Form: TypeAlias = Literal["exact", "pattern"]

_FOLDED: Final = dict.fromkeys(map(ord, "0123456789"), "0") | dict.fromkeys(map(ord, string.punctuation))


@dataclass(frozen=True, kw_only=True)
class NGramCopy:
    """1 if any n units in a row of the output occur in the prompt, else 0; 0 for an output of fewer than n units.

    f(x, y) = 1 if y[i:i+n] = x[j:j+n] for some i and j. Units are compared exactly: case and punctuation count. Words
    are what whitespace parts, so take characters for scripts without it. N-grams are compared by 64-bit hashes.

    Label space: binary. Needs: the prompt. Reads the prompt.
    Source: n-gram novelty, McCoy et al., How Much Do Language Models Copy From Their Training Data? (2021), with the
    prompt in the place of the training data. Time is linear in both texts, times log2(n).

    Attributes:
        n: Units in a row.
        unit: "word" or "character".

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["so the cat sat", "a dog sat"], prompts=["the cat sat down", "the dog sat down"])
    >>> NGramCopy(n=3).label(batch)
    array([1., 0.])
    """

    n: int = 8
    unit: Unit = "word"

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "prompt")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_n(self.n)
        check_unit(self.unit)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where something is copied, else 0, [n]."""
        labels = np.zeros(len(batch))
        for piece in pieces_of(batch):
            n_copied, _ = _copied_ngrams(piece, self.n, self.unit)
            labels[piece.rows] = n_copied > 0
        return labels


@dataclass(frozen=True, kw_only=True)
class CopiedShare:
    """Share of the output's n-grams that occur in the prompt; missing for an output of fewer than n units.

    f(x, y) = |{i : y[i:i+n] = x[j:j+n] for some j}| / (|y| - n + 1), every n-gram counted as often as it occurs. Units
    are compared exactly and n-grams by 64-bit hashes, as for `ngram_copy`.

    Label space: real, 0 to 1. Needs: the prompt. Reads the prompt.
    Source: one minus n-gram novelty, McCoy et al. (2021), with the prompt in the place of the training data; the same
    as n-gram precision of BLEU, Papineni et al. (2002), without clipping.

    Attributes:
        n: Units in a row.
        unit: "word" or "character".

    >>> from metamodel.text import text_batch
    >>> CopiedShare(n=2).label(text_batch(["so the cat sat", "no"], prompts=["the cat sat down", "no"]))
    array([0.66666667,        nan])
    """

    n: int = 3
    unit: Unit = "word"

    space: ClassVar[LabelSpace] = Real()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "prompt")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_n(self.n)
        check_unit(self.unit)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the share that is copied, NaN where there is no n-gram, [n]."""
        labels = np.zeros(len(batch))
        for piece in pieces_of(batch):
            n_copied, n_ngrams = _copied_ngrams(piece, self.n, self.unit)
            labels[piece.rows] = row_shares(n_copied, n_ngrams)
        return labels


@dataclass(frozen=True, kw_only=True)
class LongestCopy:
    """Length of the longest stretch of the output that occurs in the prompt, in words or characters.

    f(x, y) = the greatest n with y[i:i+n] = x[j:j+n] for some i and j; 0 if not even one unit is shared. Units are
    compared exactly, stretches by 64-bit hashes.

    Label space: count, in the default bins. Needs: the prompt. Reads the prompt.
    Source: the longest common substring; as a measure of copying, McCoy et al. (2021), section 5. Found by doubling and
    halving the length (binary lifting): time is linear in both texts, times the logarithm of the label.

    Attributes:
        unit: "word" or "character".

    >>> from metamodel.text import text_batch
    >>> LongestCopy().label(text_batch(["so the cat sat", "why?"], prompts=["the cat sat down", "no"]))
    array([3., 0.])
    """

    unit: Unit = "word"

    space: ClassVar[LabelSpace] = Count()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "prompt")

    def __post_init__(self) -> None:
        """Refuse an unknown unit."""
        check_unit(self.unit)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the longest copy's length, [n]."""
        labels = np.zeros(len(batch))
        for piece in pieces_of(batch):
            outputs, prompts = piece.outputs_in(self.unit), piece.prompts_in(self.unit)
            labels[piece.rows] = longest_common_runs(outputs, prompts, piece.prompt_of_row)
        return labels


@dataclass(frozen=True, kw_only=True)
class Echo:
    """1 if the output repeats its whole prompt verbatim, else 0; missing where the prompt is blank.

    f(x, y) = 1 if strip(x) is a substring of y ("anywhere") or a prefix of strip(y) ("start"), where strip removes the
    whitespace at both ends.

    Label space: binary. Needs: the prompt. Reads the prompt.
    Source: this project.

    Attributes:
        where: "anywhere" or "start".

    >>> from metamodel.text import text_batch
    >>> Echo().label(text_batch(["You ask: Why? Because.", "Because."], prompts=["Why? ", "Why? "]))
    array([1., 0.])
    """

    where: Where = "anywhere"

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "prompt")

    def __post_init__(self) -> None:
        """Refuse an unknown place."""
        if self.where not in get_args(Where):
            raise ValueError(f"where is {self.where!r}, must be one of {', '.join(get_args(Where))}")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where the prompt is repeated, else 0, NaN without a prompt, [n]."""
        labels = np.full(len(batch), np.nan)
        for row, (text, prompt) in enumerate(zip(batch.texts, batch.prompts, strict=True)):
            sought = prompt.strip()
            if sought:
                labels[row] = text.lstrip().startswith(sought) if self.where == "start" else sought in text
        return labels


@dataclass(frozen=True, kw_only=True)
class Induction:
    """Share of the output's units that the induction rule predicts: "A B ... A" continued by B.

    With z = x y, prompt and output as one sequence, f(x, y) is the share of positions t of the output with z[t] = z[s],
    where s < t is the latest position behind the same context, z[s-c:s] = z[t-c:t]; a position whose context is new
    counts as not predicted. Missing for an output without units. The form says which units are the same:

    - "exact": equal ones ("A B ... A" gives B);
    - "pattern": equal ones after folding ("A* B* ... A" gives B): case is folded, every run of digits becomes one 0,
      ASCII punctuation vanishes, words left without a character are skipped. "Step 1: take" and "step 2 take" match.

    Label space: real, 0 to 1. Needs: the prompt. Reads the prompt.
    Source: the algorithm of induction heads, Elhage et al. (2021) and Olsson et al., In-context Learning and Induction
    Heads (2022), read as a rule that predicts outputs. Contexts are compared by 64-bit hashes.

    Attributes:
        context: Units c that must have occurred before.
        form: "exact" or "pattern".
        unit: "word" or "character".

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["b c a b"], prompts=["a B, a b a"])
    >>> Induction().label(batch), Induction(form="pattern").label(batch)
    (array([0.5]), array([0.5]))
    """

    context: int = 1
    form: Form = "exact"
    unit: Unit = "word"

    space: ClassVar[LabelSpace] = Real()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "prompt")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_unit(self.unit)
        if self.context < 1:
            raise ValueError(f"context is {self.context}, must be at least 1")
        if self.form not in get_args(Form):
            raise ValueError(f"form is {self.form!r}, must be one of {', '.join(get_args(Form))}")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the share of predicted units, NaN for outputs without units, [n]."""
        labels = np.zeros(len(batch))
        for piece in pieces_of(batch):
            if self.form == "exact":
                outputs, prompts = piece.outputs_in(self.unit), piece.prompts_in(self.unit)
            else:
                outputs = split_units([_pattern(text) for text in piece.texts], self.unit)
                prompts = split_units([_pattern(text) for text in piece.different_prompts], self.unit)
            induced = n_induced(prompts, outputs, piece.prompt_of_row, context=self.context)
            labels[piece.rows] = row_shares(induced, outputs.lengths)
        return labels


def _copied_ngrams(piece: Piece, n: int, unit: Unit) -> tuple[IntArray, IntArray]:
    """Return how many of each output's n-grams its prompt holds, and how many it has, [n] each."""
    outputs, prompts = piece.outputs_in(unit), piece.prompts_in(unit)
    offered, wanted = prompts.ngrams(n), outputs.ngrams(n)
    is_copied = are_among(wanted.keys(piece.prompt_of_row), offered.keys(np.arange(offered.n_texts)))
    return wanted.count(is_copied), wanted.lengths


def _pattern(text: str) -> str:
    """Return a text with case folded, runs of digits written as 0 and ASCII punctuation removed."""
    folded = text.lower().translate(_FOLDED)
    while "00" in folded:
        folded = folded.replace("00", "0")
    return folded
