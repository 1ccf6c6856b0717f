"""The nouns of metamodel: prompts, sampling, generations.

Ground floor: nothing here imports another module of the project.

Shapes in this file: n = generations, c = outcomes of a label space.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
Scalar: TypeAlias = str | int | float | bool
FinishReason: TypeAlias = Literal["stop", "length"]


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


# Probabilities [n, c] of each behavior's outcomes, rows summing to one.
Predictions: TypeAlias = dict[str, FloatArray]
