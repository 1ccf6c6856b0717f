"""Which words moved the predictions of many prompts: all occlusions of a saved fit in a few calls to predict.

What an effect means, and what it does not, stands in `metamodel.screen.words`.

Shapes: c = outcomes of a behavior.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from metamodel.errors import MetamodelError
from metamodel.feature_cache import uncached
from metamodel.screen.words import grouped_spans, without_span, word_spans
from metamodel.types import FloatArray

if TYPE_CHECKING:
    from metamodel.console import OnProgress
    from metamodel.protocols import Metamodel

# Primary model and number of the prompt in its dataset.
PromptKey: TypeAlias = tuple[str, int]

# Longer prompts are cut into groups of neighboring words.
WORDS_OF_A_PROMPT: Final = 40
_SHOWN_WORDS: Final = 6
_LEAST_EFFECT: Final = 0.005
# How many prompts the first call takes: how fast a metamodel is shows only then.
_FIRST_PROMPTS: Final = 4
_BATCH_TEXTS: Final = 8_000
_BATCH_CHARACTERS: Final = 4_000_000
_BINARY: Final = 2


class WordEffect(NamedTuple):
    """What leaving out characters `start` to `end` of a prompt takes from the probability."""

    start: int
    end: int
    effect: float


@dataclass(frozen=True, kw_only=True)
class OccludedPrompt:
    """A prompt whose words are left out.

    Attributes:
        key: Which prompt of which primary model it is.
        text: The prompt.
        domain: Its domain.
    """

    key: PromptKey
    text: str
    domain: str


@dataclass(frozen=True, kw_only=True)
class OccludedFit:
    """A saved fit and the prompts that it judged.

    Attributes:
        name: Its name.
        load: Reads it.
        tasks: What it calls each behavior that is asked about.
        prompts: Prompts, those that matter most first.
    """

    name: str
    load: Callable[[], Metamodel]
    tasks: Mapping[str, str]
    prompts: Sequence[OccludedPrompt]


@dataclass(frozen=True, kw_only=True)
class WordEffects:
    """What was found.

    Attributes:
        effects: The strongest words of a prompt and behavior, by key and behavior; empty where no word matters.
        n_prompts: Prompts whose words were left out, counted once a fit.
        n_wanted: Prompts that were asked for, likewise.
        n_texts: Texts predicted.
        problems: Fits that could not be asked, and why.
        is_out_of_time: Whether prompts were left because time was over.
    """

    effects: Mapping[tuple[PromptKey, str], Sequence[WordEffect]]
    n_prompts: int
    n_wanted: int
    n_texts: int
    problems: Sequence[str]
    is_out_of_time: bool


def word_effects(
    fits: Sequence[OccludedFit],
    *,
    most_texts: int = 60_000,
    seconds: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
    on_progress: OnProgress | None = None,
) -> WordEffects:
    """Leave out each word of each prompt, ask the fit that judged it, and return the words that moved it most.

    Texts are shared out evenly between the fits; so is time, and what one leaves the next may use. Within the limit of
    texts the result is the same every time; whether time ran out is said.

    Args:
        fits: Whom to ask about what.
        most_texts: Most texts to predict in all.
        seconds: Most time for all; the batch in flight is finished.
        clock: Tells the time.
        on_progress: Told of each fit.
    """
    effects: dict[tuple[PromptKey, str], Sequence[WordEffect]] = {}
    problems: list[str] = []
    n_texts = n_prompts = 0
    is_out_of_time = False
    begin = clock()
    for place, fit in enumerate(fits):
        if on_progress:
            on_progress(f"words of {fit.name}", place, len(fits))
        share = (most_texts - n_texts) // (len(fits) - place)
        deadline = begin + seconds * (place + 1) / len(fits)
        asked = _Asked(fit, share)
        try:
            metamodel = fit.load()
            with uncached():
                for key, found in asked.run(metamodel, deadline, clock):
                    effects |= {(key, behavior): words for behavior, words in found.items()}
        except MetamodelError as error:
            problems.append(f"{fit.name}: {error}")
        n_texts += asked.n_texts
        n_prompts += asked.n_prompts
        is_out_of_time |= asked.is_out_of_time
    return WordEffects(
        effects=effects,
        n_prompts=n_prompts,
        n_wanted=sum(len(fit.prompts) for fit in fits),
        n_texts=n_texts,
        problems=problems,
        is_out_of_time=is_out_of_time,
    )


class _Asked:
    """One fit while it is asked."""

    def __init__(self, fit: OccludedFit, most_texts: int) -> None:
        self._fit = fit
        self._most_texts = most_texts
        self.n_texts = 0
        self.n_prompts = 0
        self.is_out_of_time = False

    def run(
        self, metamodel: Metamodel, deadline: float, clock: Callable[[], float]
    ) -> Sequence[tuple[PromptKey, dict[str, list[WordEffect]]]]:
        """Return what each prompt's words do, until texts or time are used up."""
        found: list[tuple[PromptKey, dict[str, list[WordEffect]]]] = []
        size, start = _FIRST_PROMPTS, 0
        while start < len(self._fit.prompts):
            if clock() > deadline:
                self.is_out_of_time = True
                break
            taken = self._batch(start, size)
            if not taken:
                break
            found += self._ask(metamodel, taken)
            start, size = start + len(taken), 2 * size
        return found

    def _batch(self, start: int, size: int) -> list[tuple[OccludedPrompt, list[tuple[int, int]]]]:
        """Return the next prompts with the spans that are left out, as many as the limits allow."""
        taken: list[tuple[OccludedPrompt, list[tuple[int, int]]]] = []
        n_texts = n_characters = 0
        for prompt in self._fit.prompts[start : start + size]:
            spans = grouped_spans(word_spans(prompt.text), WORDS_OF_A_PROMPT)
            n_texts += len(spans) + 1
            n_characters += (len(spans) + 1) * len(prompt.text)
            if self.n_texts + n_texts > self._most_texts:
                break
            if taken and (n_texts > _BATCH_TEXTS or n_characters > _BATCH_CHARACTERS):
                break
            taken.append((prompt, spans))
        return taken

    def _ask(
        self, metamodel: Metamodel, taken: Sequence[tuple[OccludedPrompt, list[tuple[int, int]]]]
    ) -> list[tuple[PromptKey, dict[str, list[WordEffect]]]]:
        texts: list[str] = []
        domains: list[str] = []
        for prompt, spans in taken:
            texts += [prompt.text, *(without_span(prompt.text, *span) for span in spans)]
            domains += [prompt.domain] * (len(spans) + 1)
        predicted = metamodel.predict(texts, domains=domains)
        self.n_texts += len(texts)
        self.n_prompts += len(taken)
        found, start = [], 0
        for prompt, spans in taken:
            rows = slice(start, start + len(spans) + 1)
            start = rows.stop
            tasks = self._fit.tasks.items()
            words = {name: strongest(predicted[task][rows], spans) for name, task in tasks if task in predicted}
            found.append((prompt.key, words))
        return found


def strongest(probabilities: FloatArray, spans: Sequence[tuple[int, int]]) -> list[WordEffect]:
    """Return the words whose absence changes the probability most: of "yes", or of the likeliest outcome.

    Args:
        probabilities: Of the whole prompt, then without each span, [1 + spans, c].
        spans: What was left out.

    >>> strongest(np.array([[0.2, 0.8], [0.7, 0.3], [0.2, 0.8]]), [(0, 3), (4, 7)])
    [WordEffect(start=0, end=3, effect=0.5)]
    """
    column = 1 if probabilities.shape[1] == _BINARY else int(np.argmax(probabilities[0]))
    effects = probabilities[0, column] - probabilities[1:, column]
    order = np.argsort(-np.abs(effects), kind="stable")[:_SHOWN_WORDS]
    return [
        WordEffect(spans[place][0], spans[place][1], round(float(effects[place]), 4))
        for place in order.tolist()
        if abs(effects[place]) >= _LEAST_EFFECT
    ]
