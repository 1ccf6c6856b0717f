"""How likely every output is under every prompt: scored in pieces that are kept, so that a killed run goes on.

An output is its sequence of tokens: with the end token where the model ended it, without one where the limit of new
tokens cut it, so that its probability is the one with which it was drawn. The first t tokens of an output are an output
too, of a model with a lower limit; their scores come with the same pass.

Shapes: n = prompts, m = outputs, p = outputs of a piece, l = lengths, t = tokens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from metamodel.output_information.sample import DrawnOutput
from metamodel.primaries.capabilities import ScoresTokens
from metamodel.types import FloatArray, content_hash

# A kill costs at most so many pairs, and memory holds the tokens of no more of them.
_PIECE_PAIRS: Final = 2048
_TIMED_PAIRS: Final = 256


@dataclass(frozen=True, kw_only=True)
class ScoringPlan:
    """What is scored for one primary model.

    Attributes:
        identity: The primary model's identity: its weights.
        texts: Prompts, n of them.
        outputs: Outputs, m of them.
        lengths: After how many tokens outputs are scored, rising; the last is that of the longest output, [l].
        folder: Where finished pieces are kept; None keeps none.
    """

    identity: str
    texts: Sequence[str]
    outputs: Sequence[DrawnOutput]
    lengths: Sequence[int]
    folder: Path | None

    @property
    def n_pairs(self) -> int:
        """Pairs of a prompt and an output."""
        return len(self.texts) * len(self.outputs)

    def pieces(self) -> Iterator[tuple[Sequence[DrawnOutput], Path | None]]:
        """Yield the outputs of each piece, and where its scores are kept."""
        size = max(1, _PIECE_PAIRS // len(self.texts))
        begin = content_hash(self.identity, str(tuple(self.lengths)), *self.texts)
        for start in range(0, len(self.outputs), size):
            outputs = self.outputs[start : start + size]
            name = content_hash(begin, *(str(output.token_ids) for output in outputs))
            yield outputs, None if self.folder is None else self.folder / f"{name}.safetensors"

    def n_stored_pairs(self) -> int:
        """Count pairs that are kept already."""
        return sum(
            len(outputs) * len(self.texts) for outputs, path in self.pieces() if path is not None and path.is_file()
        )


def prefix_lengths(outputs: Sequence[DrawnOutput], *, tokens: int | None = None) -> tuple[int, ...]:
    """Return the lengths at which outputs are looked at: powers of two, `tokens`, and that of the longest output.

    >>> one = DrawnOutput(row=0, sample=0, token_ids=(1,) * 6, logprobs=None)
    >>> prefix_lengths([one], tokens=3)
    (1, 2, 3, 4, 6)
    """
    longest = max(len(output.token_ids) for output in outputs)
    lengths = {2**power for power in range(longest.bit_length()) if 2**power < longest} | {longest}
    if tokens is not None and tokens < longest:
        lengths.add(tokens)
    return tuple(sorted(lengths))


def cross_scores(
    primary: ScoresTokens, plan: ScoringPlan, *, on_pairs: Callable[[int], None] | None = None
) -> FloatArray:
    """Return natural log-probabilities, [l, m, n]; NaN where prompt and output do not fit the model's context.

    Args:
        primary: The primary model.
        plan: What to score.
        on_pairs: Told after each piece how many pairs are done.
    """
    found = np.empty((len(plan.lengths), len(plan.outputs), len(plan.texts)))
    done = 0
    for outputs, path in plan.pieces():
        shape = (len(plan.lengths), len(outputs), len(plan.texts))
        scores = None if path is None else _stored(path, shape)
        if scores is None:
            scores = _scored(primary, plan.texts, outputs, plan.lengths)
            if path is not None:
                _store(path, scores)
        found[:, done : done + len(outputs)] = scores
        done += len(outputs)
        if on_pairs:
            on_pairs(done * len(plan.texts))
    return found


def equality_scores(outputs: Sequence[DrawnOutput], lengths: Sequence[int]) -> FloatArray:
    """Return the scores of greedy decoding, [l, m, n]: 0 where the prompt's only output is this one, -inf elsewhere.

    Args:
        outputs: One a prompt, m = n.
        lengths: After how many tokens.
    """
    scores = []
    for length in lengths:
        known: dict[tuple[int, ...], int] = {}
        codes = np.array([known.setdefault(output.token_ids[:length], len(known)) for output in outputs])
        scores.append(np.where(codes[:, None] == codes[None], 0.0, -np.inf))
    return np.stack(scores)


def seconds_a_pair(primary: ScoresTokens, plan: ScoringPlan, *, seed: int) -> float:
    """Time the scoring of some pairs at random, once the model is loaded."""
    rng = np.random.default_rng(seed)
    n_timed = min(_TIMED_PAIRS, plan.n_pairs)
    texts = [plan.texts[place] for place in rng.integers(0, len(plan.texts), n_timed)]
    tokens = [plan.outputs[place].token_ids for place in rng.integers(0, len(plan.outputs), n_timed)]
    primary.token_logprobs(texts[:1], tokens[:1])
    start = time.perf_counter()
    primary.token_logprobs(texts, tokens)
    return (time.perf_counter() - start) / n_timed


def _scored(
    primary: ScoresTokens, texts: Sequence[str], outputs: Sequence[DrawnOutput], lengths: Sequence[int]
) -> FloatArray:
    """Score the outputs of a piece under all prompts, [l, p, n]."""
    n_prompts = len(texts)
    pairs = primary.token_logprobs(
        [text for _ in outputs for text in texts], [output.token_ids for output in outputs for _ in texts]
    )
    scores = np.empty((len(lengths), len(outputs), n_prompts))
    for place, output in enumerate(outputs):
        sums = np.stack(pairs[place * n_prompts : (place + 1) * n_prompts]).cumsum(axis=1)  # [n, t]
        ends = np.minimum(lengths, len(output.token_ids)) - 1
        scores[:, place] = sums[:, ends].T
    return scores


def _stored(path: Path, shape: tuple[int, ...]) -> FloatArray | None:
    """Return a kept piece; None where there is none, or what is there is not one."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        scores = load_file(path)["scores"]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    if scores.dtype != np.float64 or scores.shape != shape or (scores > 0).any():
        return None
    found: FloatArray = scores
    return found


def _store(path: Path, scores: FloatArray) -> None:
    from safetensors.numpy import save_file

    from metamodel.store.storage import explained_write_errors

    with explained_write_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.stem}.{os.getpid()}")
        save_file({"scores": np.ascontiguousarray(scores)}, unfinished)
        unfinished.replace(path)
