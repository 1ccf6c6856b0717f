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
from typing_extensions import TypeAliasType

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
Scalar: TypeAlias = str | int | float | bool
# A named alias, since pydantic cannot resolve a plain one that refers to itself.
JSONValue = TypeAliasType("JSONValue", "str | int | float | bool | list[JSONValue] | dict[str, JSONValue] | None")
JSONObject: TypeAlias = dict[str, JSONValue]

# What ended an output: an end token, a stop string of the sampling, the limit of new tokens, a provider's filter.
FinishReason: TypeAlias = Literal["stop", "stop_string", "length", "content_filter"]


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
        choices: Continuations to choose among, in the order they are offered; empty where the answer is free.
        attributes: What else its source knows, ready for JSON: what a generator chose (number of digits, distance),
            instructions to obey, columns of a log. No metamodel sees it.
        origin_id: Id of the prompt that this one is a changed version of; None for a prompt of its own. Changed prompts
            are sampled and compared with their origin, but no metamodel is trained or judged on them.
        variant: What was changed ("swap", "format 3", "4 shots"); empty for a prompt of its own.
    """

    id: str
    text: str
    domain: str
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    attributes: Mapping[str, JSONValue] = field(default_factory=dict)
    origin_id: str | None = None
    variant: str = ""

    @classmethod
    def create(
        cls,
        text: str,
        *,
        domain: str,
        references: Sequence[str] = (),
        choices: Sequence[str] = (),
        attributes: Mapping[str, JSONValue] | None = None,
    ) -> Prompt:
        """Build a prompt whose id is the hash of its content.

        >>> Prompt.create("2 + 2 =", domain="addition", references=["4"]).references
        ('4',)
        """
        golds, offered = tuple(references), tuple(choices)
        offered_parts = ("choices", *offered) if offered else ()
        return cls(
            id=content_hash(domain, text, *golds, *offered_parts),
            text=text,
            domain=domain,
            references=golds,
            choices=offered,
            attributes=dict(attributes or {}),
        )

    def changed(
        self,
        text: str,
        *,
        variant: str,
        references: Sequence[str] | None = None,
        choices: Sequence[str] | None = None,
        attributes: Mapping[str, JSONValue] | None = None,
    ) -> Prompt:
        """Return a changed version of this prompt, which remembers what it comes from.

        Args:
            text: The changed text; it may equal the original's.
            variant: Name of the change, not empty and one of its own among the origin's versions.
            references: Gold answers where the change changes them.
            choices: Continuations to choose among where the change changes them.
            attributes: What the change chose, beside the original's own attributes.

        >>> Prompt.create("2 + 2 =", domain="addition").changed("2+2=", variant="no spaces").variant
        'no spaces'
        """
        if not variant:
            raise ValueError("variant is empty, must name the change")
        golds = self.references if references is None else tuple(references)
        offered = self.choices if choices is None else tuple(choices)
        return Prompt(
            id=content_hash("changed", self.id, variant, text, *golds, "choices", *offered),
            text=text,
            domain=self.domain,
            references=golds,
            choices=offered,
            attributes={**self.attributes, **(attributes or {})},
            origin_id=self.id,
            variant=variant,
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
        stop: An output ends before the first of these texts (finish reason "stop_string"); none of them is empty.
        seed: Together with the prompt and the sample it fixes every draw.
    """

    n_samples: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 64
    stop: tuple[str, ...] = ()
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
        if "" in self.stop:
            problems.append("stop holds an empty text, which would end every output at once: leave it out")
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
        if not self.stop:  # keys of outputs drawn before there were stop texts stay what they were
            del fields["stop"]
        return json.dumps(fields, sort_keys=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """One output y = M(x, r). What its source does not tell is None, never a guess.

    Attributes:
        key: `generation_key` of all that determines this output.
        prompt_id: The prompt's id.
        primary: Name of the primary model.
        sample: Index among the k samples of the prompt.
        seed: Seed of this row's own random stream, from which it can be drawn again.
        text: The decoded output, without the prompt, the end token and the stop text.
        token_ids: Tokens drawn, the end token included.
        logprobs: Natural logarithm of each token's probability under the model at temperature 1; as long as token_ids
            where both are known.
        finish_reason: What ended it.
        n_tokens: Tokens drawn, the end token not counted.
        metadata: What else its source says, ready for JSON: scores and answers of a log, log-likelihoods of choices,
            a provider's model name.
    """

    key: str
    prompt_id: str
    primary: str
    sample: int
    seed: int | None = None
    text: str | None
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    finish_reason: FinishReason | None = None
    n_tokens: int | None = None
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A sample that could not be drawn; a row in errors/.

    Attributes:
        prompt_id: The prompt's id.
        sample: Index among the samples.
        reason: Why, in words.
        is_final: Whether trying again cannot help (the prompt exceeds the model's context), so that `--retry-errors`
            leaves it alone.
    """

    prompt_id: str
    sample: int
    reason: str
    is_final: bool = False


# What a primary model yields for each requested sample.
Outcome: TypeAlias = Generation | Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class TextReading:
    """What a primary model made of one text, from one reading of it.

    Shapes: t = tokens read, l = layers with their input (the embeddings) first, h = width of a layer; l and h are 0
    where the model does not show its states.

    Attributes:
        token_ids: Tokens read, special tokens included, [t].
        logprobs: Natural logarithm of the probability of each token but the first, given those before it, [t - 1];
            empty for no token.
        entropies: Entropy of the distribution of the token that comes next, after each token, in nats, [t].
        last_states: State of each layer after the last token, [l, h].
        mean_states: Mean of each layer's states over the tokens, [l, h].
        n_left_out: Tokens that were left out between the beginning and the end of a text that is too long; fewer than
            there are where so long a text was cut before it was tokenized.
    """

    token_ids: IntArray
    logprobs: FloatArray
    entropies: FloatArray
    last_states: NDArray[np.float32]
    mean_states: NDArray[np.float32]
    n_left_out: int = 0


def generation_key(*, primary_identity: str, prompt_id: str, sampling: Sampling, sample: int) -> str:
    """Return the key of one generation: the hash of all that determines it.

    Args:
        primary_identity: The primary model and its revision, as `PrimaryModel.identity` gives it.
        prompt_id: The prompt's content hash.
        sampling: Its seed counts, its number of samples does not: a run with more samples keeps the first ones.
        sample: Index among the samples.
    """
    return content_hash(primary_identity, prompt_id, sampling.fingerprint(), str(sample))


# What a featurizer reads beside the output's text. The featurize stage gives a missing label where it is absent.
Need: TypeAlias = Literal[
    "text",  # the output itself
    "prompt",
    "references",
    "choices",
    "attributes",  # of the prompt
    "metadata",  # of the generation
    "n_tokens",
    "finish_reason",
    "logprobs",
    "siblings",  # the other samples of the same prompt, in the same batch
    "variants",  # outputs for changed versions of the same prompt, in `partners`
    "other_primaries",  # other primary models' outputs for the same prompt, in `partners`
    "corpus",
    "endpoint",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class PartnerOutput:
    """An output that a paired behavior compares with: another version of the prompt, or another primary model.

    Attributes:
        text: The output.
        prompt: What the primary model read.
        references: Gold answers of that prompt.
        choices: Continuations to choose among, in the order that prompt offers them.
        primary: Name of the primary model.
        variant: What was changed in the prompt; empty for the same prompt.
        sample: Index among its samples.
        attributes: Of that prompt.
        metadata: Of the output.
    """

    text: str
    prompt: str = ""
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    primary: str = ""
    variant: str = ""
    sample: int = 0
    attributes: Mapping[str, JSONValue] = field(default_factory=dict)
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GenerationBatch:
    """Columns over n generations, what a featurizer reads. All sequences have length n.

    Attributes:
        texts: Outputs; empty where the source has none: `featurize` then asks no featurizer that needs "text".
        prompts: The prompt of each output.
        references: Gold answers of each output's prompt; empty where none exist.
        choices: Continuations that each output's prompt offers; empty where none.
        domains: Domain of each output's prompt.
        prompt_ids: Rows with the same id and the same primary model are sibling samples.
        primaries: Name of the primary model of each output.
        samples: Index of each output among its siblings.
        n_tokens: Tokens drawn, the end token not counted; None where unknown.
        finish_reasons: What ended each output; None where unknown.
        logprobs: Natural log-probability of each token, one sequence a row; None where the source has none.
        attributes: What is known of each output's prompt.
        metadata: What the source says of each output.
        partners: The outputs to compare each row with, for featurizers that need "variants" or "other_primaries".
    """

    texts: Sequence[str]
    prompts: Sequence[str]
    references: Sequence[Sequence[str]]
    choices: Sequence[Sequence[str]]
    domains: Sequence[str]
    prompt_ids: Sequence[str]
    primaries: Sequence[str]
    samples: Sequence[int]
    n_tokens: Sequence[int | None]
    finish_reasons: Sequence[FinishReason | None]
    logprobs: Sequence[Sequence[float] | None]
    attributes: Sequence[Mapping[str, JSONValue]]
    metadata: Sequence[Mapping[str, JSONValue]]
    partners: Sequence[Sequence[PartnerOutput]]

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        lengths = {name: len(getattr(self, name)) for name in self.__dataclass_fields__}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of a batch must have one length, got {lengths}")

    def __len__(self) -> int:
        """Return the number of generations n."""
        return len(self.texts)

    def take(self, rows: Sequence[int]) -> GenerationBatch:
        """Return the given rows, in the given order."""
        return GenerationBatch(
            **{name: [getattr(self, name)[row] for row in rows] for name in self.__dataclass_fields__}
        )

    def sibling_groups(self) -> list[list[int]]:
        """Return the rows of each prompt and primary model together, groups in order of their first row."""
        groups: dict[tuple[str, str], list[int]] = {}
        for row, group in enumerate(zip(self.primaries, self.prompt_ids, strict=True)):
            groups.setdefault(group, []).append(row)
        return list(groups.values())


# Probabilities [n, c] of each behavior's outcomes, rows summing to one.
Predictions: TypeAlias = dict[str, FloatArray]
