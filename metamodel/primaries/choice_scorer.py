"""A primary model that chooses: the continuation it finds likeliest among those a prompt offers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from metamodel.errors import ConfigError
from metamodel.primaries.capabilities import DrawRequest, requests_for_all
from metamodel.types import Failure, Generation, JSONObject, Outcome, Prompt, Sampling, generation_key

if TYPE_CHECKING:
    from metamodel.protocols import ScoringPrimaryModel

# Enough to fill a batch with continuations of similar length, few enough to hold.
_PROMPTS_AT_ONCE = 512


@dataclass(frozen=True, kw_only=True)
class ChoiceScorer:
    """Log-likelihood of each of a prompt's choices, as lm-evaluation-harness judges multiple-choice tasks.

    The output is the likeliest choice; `metadata["choice_logprobs"]` holds the natural log-likelihood of each, in the
    order of `Prompt.choices`, from which the featurizers of multiple choice take the rest (division by length, margin).

    Attributes:
        primary: The primary model that scores: `{kind: transformers, model: ...}` or any other that can.
        delimiter: Stands between prompt and choice (lm-evaluation-harness: target_delimiter).
    """

    primary: JSONObject
    delimiter: str = " "

    def __post_init__(self) -> None:
        """Refuse a primary model that does not exist or cannot score."""
        if not hasattr(self._scorer, "score"):
            raise ValueError(f"primary is {self.primary.get('kind')!r}, which cannot score: use transformers or zoo")

    @property
    def model(self) -> str:
        """Name of the model that scores."""
        return str(self.primary.get("model", self.primary.get("kind")))

    @property
    def identity(self) -> str:
        """The scoring model's identity, and what else changes the outputs."""
        return f"score({self._scorer.identity})+delimiter={self.delimiter!r}"

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield the likeliest choice of every prompt.

        Raises:
            ConfigError: Sampling asks for chance or for several samples.
        """
        return self.draw(requests_for_all(prompts, sampling), sampling)

    def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield the likeliest choice of every prompt; a Failure where it offers none or does not fit the context."""
        if not sampling.is_greedy:
            raise ConfigError(
                [f"temperature is {sampling.temperature}, must be 0: the likeliest choice is a function of the prompt"],
                source="sampling",
            )
        waiting = iter(requests)
        while prompts := [request.prompt for request in islice(waiting, _PROMPTS_AT_ONCE)]:
            yield self._choose(prompts, sampling)

    def _choose(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Outcome]:
        import numpy as np

        offered = [(prompt, choice) for prompt in prompts for choice in prompt.choices]
        scores = self._scorer.score(
            [prompt.text for prompt, _ in offered], [f"{self.delimiter}{choice}" for _, choice in offered]
        )
        ends = np.cumsum([len(prompt.choices) for prompt in prompts])
        identity = self.identity
        return [
            self._outcome(prompt, [float(score) for score in mine], identity, sampling)
            for prompt, mine in zip(prompts, np.split(scores, ends[:-1]), strict=True)
        ]

    def _outcome(self, prompt: Prompt, logprobs: list[float], identity: str, sampling: Sampling) -> Outcome:
        import numpy as np

        if not prompt.choices:
            return _failure(prompt, "the prompt offers no choices")
        if not np.isfinite(logprobs).all():
            return _failure(prompt, "prompt and choice do not fit the model's context, or hold no token")
        best = int(np.argmax(logprobs))
        return Generation(
            key=generation_key(primary_identity=identity, prompt_id=prompt.id, sampling=sampling, sample=0),
            prompt_id=prompt.id,
            primary=self.model,
            sample=0,
            text=prompt.choices[best],
            metadata={"choice_logprobs": list(logprobs), "choice": best},
        )

    @property
    def _scorer(self) -> ScoringPrimaryModel:
        from metamodel.config.components import build_component

        scorer: ScoringPrimaryModel = build_component("primaries", self.primary, at="primary")
        return scorer


def _failure(prompt: Prompt, reason: str) -> Failure:
    return Failure(prompt_id=prompt.id, sample=0, reason=reason, is_final=True)
