"""Scores of prompts on rubrics, asked of a judge once and kept under the hash of what was asked.

Shapes: n = texts, r = rubrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError
from metamodel.feature_cache import computed_once
from metamodel.protocols import PrimaryModel
from metamodel.types import Generation, Prompt, Sampling, content_hash
from trainers.inputs.rubric_questions import demand_question, parse_level
from trainers.inputs.rubric_scales import LEVELS

# Questions asked together: enough to keep an endpoint busy.
_QUESTIONS_A_DRAW = 256
# In place of a level that could not be read; kept, since the same judge would answer the same.
_MISSING = -1.0
_MIDDLE = (len(LEVELS) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class RubricInputs:
    """For each rubric the level and whether it is missing, then their mean, their maximum and the share missing.

    A missing level counts as the middle of the scale. A head sees beside it that it is missing and learns what that is
    worth, so that any other constant in its place, the mean of training among them, gives a linear head the same
    choices.

    Attributes:
        judge: The primary model that is asked.
        rubrics: What is asked, r of them.
        max_characters: Most characters shown of a prompt.
        max_new_tokens: Longest answer.
    """

    judge: PrimaryModel
    rubrics: tuple[str, ...]
    max_characters: int
    max_new_tokens: int

    @property
    def identity(self) -> str:
        """Name the judge and all that it is asked."""
        return f"demands:{content_hash(*(self._asked(rubric) for rubric in self.rubrics))}:{self.judge.identity}"

    @property
    def width(self) -> int:
        """Numbers a text: 2 r + 3."""
        return 2 * len(self.rubrics) + 3

    def compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the numbers of each text, [n, 2 r + 3].

        Raises:
            DataError: The judge could not be reached for some; what it answered is kept.
        """
        levels = self.levels(texts)
        is_missing = levels == _MISSING
        filled = np.where(is_missing, _MIDDLE, levels)
        summary = np.stack([filled.mean(axis=1), filled.max(axis=1), is_missing.mean(axis=1)], axis=1)
        return np.hstack([filled, is_missing, summary]).astype(np.float32)

    def levels(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the level of each text on each rubric, [n, r]; -1 where the judge gave none."""
        columns = np.empty((len(texts), len(self.rubrics)), dtype=np.float32)
        for column, rubric in enumerate(self.rubrics):
            for begin in range(0, len(texts), _QUESTIONS_A_DRAW):
                piece = texts[begin : begin + _QUESTIONS_A_DRAW]
                columns[begin : begin + len(piece), column] = self._known_or_asked(rubric, piece)
        return columns

    def _known_or_asked(self, rubric: str, texts: Sequence[str]) -> NDArray[np.float32]:
        identity = f"demand:{self._asked(rubric)}:{self.judge.identity}"

        def ask(wanted: Sequence[str]) -> NDArray[np.float32]:
            answered: dict[str, float] = {}
            try:
                failed = self._ask(rubric, wanted, answered)
            finally:
                # Whatever interrupts the rest, what was answered may have been paid for.
                if 0 < len(answered) < len(wanted):
                    computed_once(identity, list(answered), lambda some: _column(answered, some), 1)
            if failed:
                raise DataError(
                    f"the judge did not answer {len(failed)} of {len(wanted)} questions ({failed[0]}): try again, what "
                    "it answered is kept in the run directory and not asked again"
                )
            return _column(answered, wanted)

        return computed_once(identity, texts, ask, 1)[:, 0]

    def _ask(self, rubric: str, texts: Sequence[str], answered: dict[str, float]) -> list[str]:
        """Add each text's level to `answered` as it comes; return why some have none and may have one later."""
        texts_of: dict[str, list[str]] = {}
        prompts = []
        for text in texts:
            question = demand_question(rubric, text, max_characters=self.max_characters)
            prompt = Prompt.create(question, domain="demands")
            if prompt.id not in texts_of:  # long texts may differ in what is left out alone
                prompts.append(prompt)
            texts_of.setdefault(prompt.id, []).append(text)
        reasons = []
        sampling = Sampling(temperature=0, max_new_tokens=self.max_new_tokens)
        for outcomes in self.judge.generate(prompts, sampling):
            for outcome in outcomes:
                if isinstance(outcome, Generation):
                    level = parse_level(outcome.text or "")
                elif outcome.is_final:
                    level = None
                else:
                    reasons.append(outcome.reason)
                    continue
                value = _MISSING if level is None else float(level)
                answered |= dict.fromkeys(texts_of[outcome.prompt_id], value)
        if not reasons and len(answered) < len(set(texts)):
            reasons.append("the judge gave no outcome")
        return reasons

    def _asked(self, rubric: str) -> str:
        template = demand_question(rubric, "", max_characters=self.max_characters)
        return content_hash("1", template, str(self.max_characters), str(self.max_new_tokens))


def _column(answered: dict[str, float], texts: Sequence[str]) -> NDArray[np.float32]:
    return np.array([[answered[text]] for text in texts], dtype=np.float32)
