"""The zoo's training stream: prompts with their continuations, one item a row, batched by length.

The stream is cut into shards. A shard is a function of (seed, index) alone, so that a training run resumes at any batch
by knowing two numbers. A row is <bos> prompt continuation <eos>, as at inference.

Shapes: b = rows, t = positions of the longest row.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from metamodel.zoo.architectures import BOS_ID, CONTEXT_TOKENS, EOS_ID, PAD_ID

if TYPE_CHECKING:
    from metamodel.prompts.base import Example

ROWS_PER_SHARD = 4096
PROMPT_WEIGHT = 0.1
STORY_PROMPT_WEIGHT = 0.3
# Training seeds lie far from the small seeds that runs and benchmarks draw their prompts with.
FIRST_STREAM_SEED = 1_000_000_000


class ExampleSource(Protocol):
    """Where rows come from."""

    @property
    def domain(self) -> str:
        """Name of the domain."""
        ...

    def examples(self, seed: int) -> Iterator[Example]:
        """Yield (prompt, continuation) without end."""
        ...


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """One generator of the mixture.

    Attributes:
        source: Generator of examples.
        share: How many of all rows, relative to the other ingredients.
        prompt_weight: Weight of the loss on prompt tokens; continuation tokens have weight 1.
        as_text: Whether prompt and continuation are joined into plain text that starts the row.
    """

    source: ExampleSource
    share: float
    prompt_weight: float = PROMPT_WEIGHT
    as_text: bool = False


class Row(NamedTuple):
    """A training row: token ids, bos and eos included, and how many of them are not continuation."""

    token_ids: bytes | tuple[int, ...]
    n_prompt_tokens: int
    prompt_weight: float


class TrainingBatch(NamedTuple):
    """Tokens [b, t], padded on the right, and the loss weight of each, [b, t]; 0 for bos and padding."""

    token_ids: NDArray[np.int64]
    weights: NDArray[np.float32]


def default_mixture() -> tuple[Ingredient, ...]:
    """Return the zoo's mixture: every domain that is not held out; easy and short items are more frequent."""
    from metamodel.prompts.arithmetic import Addition, Multiplication, Subtraction
    from metamodel.prompts.facts import Capitals, CounterfactualCapitals
    from metamodel.prompts.memory import QuoteRepetition, Recall
    from metamodel.prompts.ordering import Comparison, Sorting
    from metamodel.prompts.reasoning import HindsightBet
    from metamodel.prompts.stories import StoryContinuation
    from metamodel.prompts.strings import Reversal, Successor

    def mixed(*sources: tuple[float, ExampleSource]) -> list[Ingredient]:
        return [Ingredient(source=source, share=share) for share, source in sources]

    def strings(max_length: int) -> Reversal:
        # Fixed here: the bundled models must stay reproducible whatever the domain's own defaults become.
        return Reversal(max_length=max_length, few_letters_share=0.15, periodic_share=0.15)

    return (
        *mixed((8, Addition(max_digits=2)), (6, Addition(max_digits=4)), (3, Addition())),
        *mixed((6, Subtraction(max_digits=2)), (5, Subtraction(max_digits=4)), (2, Subtraction())),
        *mixed((7, Multiplication(max_digits=2)), (1.5, Multiplication(max_digits=3)), (1.5, Multiplication())),
        *mixed((4, Comparison(max_digits=3)), (4, Comparison())),
        *mixed((6, Sorting(max_numbers=5)), (6, Sorting())),
        *mixed((6, strings(10)), (6, strings(24))),
        *mixed((4, Successor(max_items=6)), (6, Successor())),
        *mixed((6, Recall(max_pairs=4)), (5, Recall())),
        *mixed((6, QuoteRepetition())),
        *mixed((5, Capitals())),
        *mixed((6, CounterfactualCapitals())),
        *mixed((1.5, HindsightBet(n_shots=0)), (1, HindsightBet(n_shots=2)), (0.8, HindsightBet())),
        Ingredient(source=StoryContinuation(), share=2.5, prompt_weight=STORY_PROMPT_WEIGHT),
        Ingredient(source=StoryContinuation(), share=0.4, as_text=True),
        Ingredient(source=PlainQuotes(), share=1.2, as_text=True),
    )


def stream_batches(
    mixture: Sequence[Ingredient], *, seed: int, tokens_per_batch: int, shard: int = 0, batch: int = 0
) -> Iterator[tuple[int, int, TrainingBatch]]:
    """Yield (shard, batch, content) without end, from the given position on.

    Args:
        mixture: Generators and their shares.
        seed: Seed of the stream.
        tokens_per_batch: Most tokens a batch, padding included; a longer row is a batch alone.
        shard: Shard to begin with.
        batch: Batch within that shard to begin with.
    """
    while True:
        batches = shard_batches(mixture, seed=seed, shard=shard, tokens_per_batch=tokens_per_batch)
        for index in range(batch, len(batches)):
            yield shard, index, collate(batches[index])
        shard, batch = shard + 1, 0


def shard_batches(
    mixture: Sequence[Ingredient], *, seed: int, shard: int, tokens_per_batch: int, n_rows: int = ROWS_PER_SHARD
) -> list[list[Row]]:
    """Return one shard's rows in batches of similar length, batches in random order."""
    draws = random.Random(f"zoo:{seed}:{shard}")  # noqa: S311 - reproducible data, not secrets
    shares = [ingredient.share for ingredient in mixture]
    chosen = draws.choices(range(len(mixture)), weights=shares, k=n_rows)
    examples: dict[int, Iterator[Example]] = {}
    rows = []
    for index in chosen:
        if index not in examples:
            source_seed = FIRST_STREAM_SEED * (1 + index) + 1_000_003 * seed + shard
            examples[index] = mixture[index].source.examples(source_seed)
        prompt, continuation = next(examples[index])
        rows.append(make_row(prompt.text, continuation, mixture[index]))
    rows.sort(key=lambda row: len(row.token_ids))
    batches: list[list[Row]] = [[]]
    for row in rows:
        if batches[-1] and len(row.token_ids) * (len(batches[-1]) + 1) > tokens_per_batch:
            batches.append([])
        batches[-1].append(row)
    draws.shuffle(batches)
    return batches


def make_row(prompt: str, continuation: str, ingredient: Ingredient) -> Row:
    """Return the row of one example, cut to the context."""
    prompt_ids, continuation_ids = prompt.encode(), continuation.encode()
    token_ids = (BOS_ID, *prompt_ids, *continuation_ids, EOS_ID)[:CONTEXT_TOKENS]
    n_prompt_tokens = 1 if ingredient.as_text else 1 + len(prompt_ids)
    return Row(token_ids=token_ids, n_prompt_tokens=n_prompt_tokens, prompt_weight=ingredient.prompt_weight)


def collate(rows: Sequence[Row]) -> TrainingBatch:
    """Pad rows on the right."""
    shape = len(rows), max(len(row.token_ids) for row in rows)
    token_ids = np.full(shape, PAD_ID, dtype=np.int64)
    weights = np.zeros(shape, dtype=np.float32)
    for index, row in enumerate(rows):
        token_ids[index, : len(row.token_ids)] = row.token_ids
        weights[index, 1 : row.n_prompt_tokens] = row.prompt_weight
        weights[index, row.n_prompt_tokens : len(row.token_ids)] = 1
    return TrainingBatch(token_ids=token_ids, weights=weights)


class PlainQuotes:
    """Known sentences as they are: what memory holds against a changed last word."""

    domain = "quote_repetition"

    def examples(self, seed: int) -> Iterator[Example]:
        """Yield (empty prompt, sentence) without end."""
        from metamodel.prompts.base import Draws, data_lines
        from metamodel.types import Prompt

        draws = Draws(f"quotes:{seed}")
        nothing = Prompt.create("", domain=self.domain)
        while True:
            yield nothing, draws.pick(data_lines("quotes.txt"))
