"""What stands before a question: a counterfactual statement, or solved examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from metamodel.prompts.base import refuse, take_unique
from metamodel.prompts.perturb import PerturbedSource, number_problem, version_draws
from metamodel.types import JSONValue, Prompt

# Other prompts of each domain, to take answers and examples from: drawn under a seed of their own.
POOL_SIZE: Final = 512
_POOL_SEED_STEP: Final = 1_000_003
_SHOWN_FIELDS: Final = ("{prompt}", "{answer}")


@dataclass(frozen=True, kw_only=True)
class _PooledSource(PerturbedSource):
    """A source whose changes borrow from other prompts of the wrapped one."""

    @cached_property
    def _pools(self) -> dict[int, list[Prompt]]:
        return {}

    def pool(self, prompt: Prompt, seed: int) -> list[Prompt]:
        """Return other originals of the prompt's domain that have references."""
        if seed not in self._pools:
            drawn = take_unique(self.wrapped, POOL_SIZE, seed + _POOL_SEED_STEP)
            self._pools[seed] = [other for other in drawn if other.origin_id is None and other.references]
        return [other for other in self._pools[seed] if other.domain == prompt.domain and other.text != prompt.text]


@dataclass(frozen=True, kw_only=True)
class CounterfactualContext(_PooledSource):
    """Changed versions after a statement that contradicts what the primary model knows.

    "The capital of France is" -> "Imagine this: The capital of France is Lima. The capital of France is", with the
    reference "Lima". The statement's answer is another prompt's of the same domain. The version's attributes hold both:
    `context_answer` (Lima) and `memory_answer` (the original's first reference). A prompt without references has none.
    Source: entity substitution, Longpre et al., Entity-Based Knowledge Conflicts in Question Answering (2021).

    Attributes:
        template: The changed prompt, with {prompt} for the original and {answer} for the other answer.
        n_versions: Changed versions a prompt, each with another answer.
    """

    template: str = "Imagine this: {prompt} {answer}. {prompt}"
    n_versions: int = 1

    def __post_init__(self) -> None:
        """Refuse a template that leaves something out."""
        refuse(_template_problem(self.template), number_problem("n_versions", self.n_versions))
        super().__post_init__()

    def versions(self, prompt: Prompt, seed: int) -> Iterator[Prompt]:
        """Yield the versions with a counterfactual statement."""
        if not prompt.references:
            return
        known = {gold.casefold().strip() for gold in prompt.references}
        answers = sorted({other.references[0] for other in self.pool(prompt, seed)})
        answers = [answer for answer in answers if answer.casefold().strip() not in known]
        draws = version_draws("counterfactual", seed, prompt)
        for number, answer in enumerate(draws.distinct(answers, min(self.n_versions, len(answers))), start=1):
            yield prompt.changed(
                filled(self.template, prompt.text, answer),
                variant=f"counterfactual {number}",
                references=[answer],
                attributes={
                    "change": "counterfactual",
                    "context_answer": answer,
                    "memory_answer": prompt.references[0],
                },
            )


@dataclass(frozen=True, kw_only=True)
class Shots(_PooledSource):
    r"""Changed versions after solved examples: "2 + 2 =" -> "1 + 5 = 6\n3 + 4 = 7\n2 + 2 =" with two of them.

    The examples are other prompts of the same domain with their first reference, the same ones in the same order for
    every number: four shots begin with the two. The original is the version without any. A prompt whose domain has
    fewer examples than asked for has no version of that number.
    Source: Brown et al., Language Models are Few-Shot Learners (2020).

    Attributes:
        n_shots: Numbers of examples, a version each.
        example: One example, with {prompt} and {answer}.
        separator: Between examples, and before the question.
    """

    n_shots: tuple[int, ...] = (1, 2, 4)
    example: str = "{prompt} {answer}"
    separator: str = "\n"

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        wrong = not self.n_shots or min(self.n_shots) < 1 or len(set(self.n_shots)) < len(self.n_shots)
        refuse(
            f"n_shots is {list(self.n_shots)}, must be different numbers of at least 1 (0 is the original)"
            if wrong
            else None,
            _template_problem(self.example, name="example"),
        )
        super().__post_init__()

    def versions(self, prompt: Prompt, seed: int) -> Iterator[Prompt]:
        """Yield a version a number of examples."""
        pool = self.pool(prompt, seed)
        usable = [n for n in self.n_shots if n <= len(pool)]
        if not usable:
            return
        examples = version_draws("shots", seed, prompt).distinct(pool, max(usable))
        solved = [filled(self.example, example.text, example.references[0]) for example in examples]
        for n_shots in usable:
            text = self.separator.join([*solved[:n_shots], prompt.text])
            attributes: dict[str, JSONValue] = {"change": "shots", "n_shots": n_shots}
            yield prompt.changed(text, variant=f"shots {n_shots}", attributes=attributes)


def filled(template: str, prompt: str, answer: str) -> str:
    """Return a template with its two blanks filled; braces in the texts mean nothing.

    >>> filled("{prompt} {answer}", "Is {answer} a word?", "yes")
    'Is {answer} a word? yes'
    """
    pieces = template.split("{prompt}")
    return prompt.join(piece.replace("{answer}", answer) for piece in pieces)


def _template_problem(template: str, *, name: str = "template", needed: Sequence[str] = _SHOWN_FIELDS) -> str | None:
    missing = [field for field in needed if field not in template]
    return f"{name} is {template!r}, lacks {' and '.join(missing)}" if missing else None
