"""The nouns of metamodel: prompts, sampling, generations, label spaces, labels.

Ground floor: nothing here imports another module of the project.

Shapes in this file: n = prompts or generations, k = samples a prompt, c = outcomes of a label space.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
Scalar: TypeAlias = str | int | float | bool
FinishReason: TypeAlias = Literal["stop", "length"]

MISSING_CODE = -1


def content_hash(*parts: str) -> str:
    """Return 32 hex digits of BLAKE2b over the parts, each behind its own length so that no two lists collide."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", errors="surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One input x, with the domain that it was drawn from.

    Attributes:
        id: Content hash of domain, text and references.
        text: What the primary model reads.
        domain: The named input distribution.
        references: Gold answers, any of which is right; empty where none exists.
        difficulty: What the generator chose, by name (number of digits, distance, ...).
    """

    id: str
    text: str
    domain: str
    references: tuple[str, ...] = ()
    difficulty: Mapping[str, Scalar] = field(default_factory=dict)

    @classmethod
    def create(
        cls,
        text: str,
        *,
        domain: str,
        references: Sequence[str] = (),
        difficulty: Mapping[str, Scalar] | None = None,
    ) -> Prompt:
        """Build a prompt whose id is the hash of its content.

        >>> Prompt.create("2 + 2 =", domain="addition", references=["4"]).references
        ('4',)
        """
        golds = tuple(references)
        return cls(
            id=content_hash(domain, text, *golds),
            text=text,
            domain=domain,
            references=golds,
            difficulty=dict(difficulty or {}),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How outputs are drawn.

    Attributes:
        n_samples: Generations a prompt (k).
        temperature: 0 is greedy decoding; otherwise logits are divided by it.
        top_p: Nucleus: the smallest set of tokens with at least this mass; 1 keeps all.
        top_k: Keeps the k most likely tokens; 0 keeps all.
        max_new_tokens: After so many tokens a generation is cut (finish reason "length").
        seed: Together with the prompt and the sample it fixes every draw.
    """

    n_samples: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        problems = []
        if self.n_samples < 1:
            problems.append(f"n_samples is {self.n_samples}, must be at least 1")
        if self.temperature < 0:
            problems.append(f"temperature is {self.temperature}, must be 0 (greedy) or more")
        if self.is_greedy and self.n_samples > 1:
            problems.append(
                f"greedy decoding (temperature 0) draws one output a prompt, n_samples is {self.n_samples}: set it to 1"
            )
        if not 0 < self.top_p <= 1:
            problems.append(f"top_p is {self.top_p}, must be above 0 and at most 1")
        if self.top_k < 0:
            problems.append(f"top_k is {self.top_k}, must be 0 (all) or more")
        if self.max_new_tokens < 1:
            problems.append(f"max_new_tokens is {self.max_new_tokens}, must be at least 1")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def is_greedy(self) -> bool:
        """Whether the output is a function of the prompt alone."""
        return self.temperature == 0

    def fingerprint(self) -> str:
        """Return what of this changes a single generation: all but the number of samples."""
        fields = asdict(self)
        del fields["n_samples"]
        return json.dumps(fields, sort_keys=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """One output y = M(x, r).

    Attributes:
        key: `generation_key` of all that determines this output.
        prompt_id: The prompt's id.
        primary: Name of the primary model.
        sample: Index among the k samples of the prompt.
        seed: Seed of this row's own random stream, from which it can be drawn again.
        text: The decoded output, without the prompt and the end token.
        token_ids: Tokens drawn, the end token included.
        logprobs: Natural logarithm of each token's probability under the model at temperature 1, as long as token_ids.
        finish_reason: "stop" for an end token, "length" for the limit.
    """

    key: str
    prompt_id: str
    primary: str
    sample: int
    seed: int
    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason


def generation_key(*, primary_identity: str, prompt_id: str, sampling: Sampling, sample: int) -> str:
    """Return the key of one generation: the hash of all that determines it.

    Args:
        primary_identity: The primary model and its revision, as `PrimaryModel.identity` gives it.
        prompt_id: The prompt's content hash.
        sampling: Its seed counts, its number of samples does not: a run with more samples keeps the first ones.
        sample: Index among the samples.
    """
    return content_hash(primary_identity, prompt_id, sampling.fingerprint(), str(sample))


@dataclass(frozen=True, kw_only=True)
class GenerationBatch:
    """Columns over n generations, what a featurizer reads. All sequences have length n.

    Attributes:
        texts: Outputs.
        prompts: The prompt of each output.
        references: Gold answers of each output's prompt; empty where none exist.
        domains: Domain of each output's prompt.
        prompt_ids: Rows with the same id (and the same primary model) are sibling samples.
        n_tokens: Tokens drawn, the end token not counted.
        finish_reasons: "stop" or "length".
        logprobs: Natural log-probability of each token, one sequence a row; None where the source has none.
    """

    texts: Sequence[str]
    prompts: Sequence[str]
    references: Sequence[Sequence[str]]
    domains: Sequence[str]
    prompt_ids: Sequence[str]
    n_tokens: Sequence[int]
    finish_reasons: Sequence[FinishReason]
    logprobs: Sequence[Sequence[float] | None]

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        lengths = {name: len(getattr(self, name)) for name in self.__dataclass_fields__}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of a batch must have one length, got {lengths}")

    def __len__(self) -> int:
        """Return the number of generations n."""
        return len(self.texts)


# A label space is a finite list of outcomes: binary and categorical labels have one an answer, counts and reals one a
# bin. The bins are part of the featurizer's definition and never depend on data, so that two metamodels, folds or runs
# always speak about bits of the same variable.


@dataclass(frozen=True, kw_only=True)
class Binary:
    """Labels 0 and 1."""

    kind: Literal["binary"] = "binary"

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the two outcomes."""
        return ("no", "yes")

    def encode(self, values: FloatArray) -> IntArray:
        """Return outcome codes, MISSING_CODE for NaN."""
        return _checked_codes(values, n_outcomes=2, space="binary")


@dataclass(frozen=True, kw_only=True)
class Categorical:
    """Labels are indices into `classes`."""

    classes: tuple[str, ...]
    kind: Literal["categorical"] = "categorical"

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.classes

    def encode(self, values: FloatArray) -> IntArray:
        """Return class indices, MISSING_CODE for NaN."""
        return _checked_codes(values, n_outcomes=len(self.classes), space="categorical")


# 0 to 4 alone, then two bins an octave: fine where short outputs differ, coarse where a token more means nothing.
DEFAULT_COUNT_EDGES = (1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 2049, 4097)


@dataclass(frozen=True, kw_only=True)
class Count:
    """Labels are whole numbers >= 0; bits refer to the bin that a label falls in.

    Attributes:
        edges: Rising lower ends of all bins but the first, which begins at 0.
    """

    edges: tuple[int, ...] = DEFAULT_COUNT_EDGES
    kind: Literal["count"] = "count"

    @cached_property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the bins, as ranges.

        >>> Count(edges=(1, 3)).outcomes
        ('0', '1-2', '3+')
        """
        starts = (0, *self.edges)
        ends = (*(edge - 1 for edge in self.edges), None)
        return tuple(_range_name(start, end) for start, end in zip(starts, ends, strict=True))

    def encode(self, values: FloatArray) -> IntArray:
        """Return bin indices, MISSING_CODE for NaN."""
        return _binned_codes(values, np.asarray(self.edges, dtype=np.float64))


@dataclass(frozen=True, kw_only=True)
class Real:
    """Labels are real; bits refer to one of `n_bins` equal bins of [low, high], the outer two open-ended."""

    low: float = 0.0
    high: float = 1.0
    n_bins: int = 10
    kind: Literal["real"] = "real"

    @cached_property
    def edges(self) -> tuple[float, ...]:
        """Inner bin edges, n_bins - 1 of them."""
        return tuple(float(edge) for edge in np.linspace(self.low, self.high, self.n_bins + 1)[1:-1])

    @cached_property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the bins, by their lower ends."""
        starts = (self.low, *self.edges)
        return tuple(f"from {start:g}" for start in starts)

    def encode(self, values: FloatArray) -> IntArray:
        """Return bin indices, MISSING_CODE for NaN."""
        return _binned_codes(values, np.asarray(self.edges, dtype=np.float64))


LabelSpace: TypeAlias = Binary | Categorical | Count | Real


def label_space_to_dict(space: LabelSpace) -> dict[str, object]:
    """Return a JSON-ready description that `label_space_from_dict` reads back."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(space).items()}


def label_space_from_dict(description: Mapping[str, object]) -> LabelSpace:
    """Rebuild a label space; raises ValueError for an unknown kind or field.

    >>> label_space_from_dict({"kind": "categorical", "classes": ["a", "b"]})
    Categorical(classes=('a', 'b'), kind='categorical')
    """
    spaces = {"binary": Binary, "categorical": Categorical, "count": Count, "real": Real}
    kind = description.get("kind")
    if not isinstance(kind, str) or kind not in spaces:
        raise ValueError(f"label space kind is {kind!r}, must be one of {', '.join(spaces)}")
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in description.items()}
    try:
        space: LabelSpace = spaces[kind](**fields)
    except TypeError as error:
        raise ValueError(f"label space {kind}: {error}") from error
    return space


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """All labels of one behavior over n prompts.

    Attributes:
        space: The label space.
        codes: Outcome code of each sample, [n, k]; MISSING_CODE where a sample has no label.
    """

    space: LabelSpace
    codes: IntArray

    @cached_property
    def counts(self) -> IntArray:
        """How often each outcome was drawn for each prompt, [n, c]."""
        n_prompts, n_outcomes = self.codes.shape[0], len(self.space.outcomes)
        counts = np.zeros((n_prompts, n_outcomes), dtype=np.int64)
        rows, columns = np.nonzero(self.codes != MISSING_CODE)
        np.add.at(counts, (rows, self.codes[rows, columns]), 1)
        return counts

    def take(self, rows: IntArray) -> LabelTable:
        """Return the labels of the given prompts."""
        return LabelTable(space=self.space, codes=self.codes[rows])


@dataclass(frozen=True, kw_only=True)
class LabeledPrompts:
    """What a trainer sees: n inputs and the labels of one or several behaviors.

    Attributes:
        texts: Prompt texts, n of them.
        domains: Domain of each prompt, n of them. Only `domain_tag` may look at it to predict.
        labels: One table a behavior, each over the same n prompts.
    """

    texts: tuple[str, ...]
    domains: tuple[str, ...]
    labels: Mapping[str, LabelTable]

    def __len__(self) -> int:
        """Return the number of prompts n."""
        return len(self.texts)

    def take(self, rows: Sequence[int] | IntArray) -> LabeledPrompts:
        """Return the given prompts with their labels, in the given order."""
        index = np.asarray(rows, dtype=np.int64)
        return LabeledPrompts(
            texts=tuple(self.texts[row] for row in index),
            domains=tuple(self.domains[row] for row in index),
            labels={name: table.take(index) for name, table in self.labels.items()},
        )


# Probabilities [n, c] of each behavior's outcomes, rows summing to one.
Predictions: TypeAlias = dict[str, FloatArray]


def _checked_codes(values: FloatArray, *, n_outcomes: int, space: str) -> IntArray:
    present = ~np.isnan(values)
    codes = np.full(values.shape, MISSING_CODE, dtype=np.int64)
    codes[present] = values[present].astype(np.int64)
    wrong = present & ((codes != values) | (codes < 0) | (codes >= n_outcomes))
    if wrong.any():
        raise ValueError(f"a {space} label is {values[wrong][0]}, must be a whole number from 0 to {n_outcomes - 1}")
    return codes


def _binned_codes(values: FloatArray, edges: FloatArray) -> IntArray:
    present = ~np.isnan(values)
    codes = np.full(values.shape, MISSING_CODE, dtype=np.int64)
    codes[present] = np.searchsorted(edges, values[present], side="right")
    return codes


def _range_name(start: int, end: int | None) -> str:
    if end is None:
        return f"{start}+"
    return str(start) if start == end else f"{start}-{end}"
