"""Judge: what another model says of each output, by a rubric of yours."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from metamodel.analysis.verdicts import Verdict, VerdictCache, agreement, judge_prompt, parse_verdict
from metamodel.config.components import build_component
from metamodel.errors import ConfigError, LabelError, MetamodelError
from metamodel.labels import Binary, Categorical, LabelSpace, Real
from metamodel.protocols import PrimaryModel
from metamodel.types import FloatArray, Generation, GenerationBatch, JSONObject, Need, Prompt, Sampling, content_hash

Measure: TypeAlias = Literal["verdict", "agreement"]

_MOST_REPEATS = 100
_PROMPTS_A_DRAW = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """What a judging primary model answers to your rubric: the most frequent of repeated verdicts, missing on a tie.

    f(x, y) = mode of r verdicts v_i on (rubric, x, y), each the last line that the judge wrote, which must be one of
    `answers` and nothing else. Where no verdict can be read, or the judge was not reached, the label is missing and the
    reason is told. With `measure: agreement`, f = share of pairs of verdicts that agree, from the same verdicts: a
    second behavior with the same fields costs nothing more.

    Every raw verdict is kept in a JSONL file under the hash of the judge, the question and the sampling: the same
    question is never asked twice. The output stands between lines that carry a hash of it, so that it cannot end its
    own quotation; still, a judge may be swayed by what it reads.

    Label space: categorical, one class an answer; binary for the answers no and yes; real from 0 to 1 for agreement.
    Needs: an endpoint, or any other primary model. Reads the prompt unless it is not shown.
    Source: Zheng et al., Judging LLM-as-a-Judge (2023); agreement as in Fleiss (1971), for one item.

    Attributes:
        primary: Spec of the judging primary model, as `{kind: openai, model: ..., base_url: ...}`.
        rubric: What is to be judged, in words.
        answers: Allowed answers, two or more.
        measure: "verdict" or "agreement".
        shows_prompt: Whether the judge reads the prompt of the output.
        shows_references: Whether it reads the gold answers.
        repeats: Judgments of each output (r).
        temperature: Of the judge; None is 0 for one judgment and 1 for several.
        max_new_tokens: Longest answer of the judge.
        seed: Of its sampling.
        cache: File for the raw verdicts; None is `metamodel/verdicts.jsonl` in the user's cache folder
            ($XDG_CACHE_HOME, else ~/.cache).

    >>> judge = Judge(primary={"kind": "zoo", "model": "gpt2"}, rubric="Is the output polite?", answers=("no", "yes"))
    >>> judge.space.outcomes, judge.needs
    (('no', 'yes'), ('text', 'endpoint', 'prompt'))
    """

    primary: str | JSONObject
    rubric: str
    answers: tuple[str, ...] = ("no", "yes")
    measure: Measure = "verdict"
    shows_prompt: bool = True
    shows_references: bool = False
    repeats: int = 1
    temperature: float | None = None
    max_new_tokens: int = 512
    seed: int = 0
    cache: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be judged, and a judge that cannot be built."""
        folded = [answer.strip().casefold() for answer in self.answers]
        problems = []
        if not self.rubric.strip():
            problems.append("rubric is empty, must say what is to be judged")
        if len(set(folded)) < max(2, len(folded)) or "" in folded or any("\n" in answer for answer in self.answers):
            problems.append(f"answers are {list(self.answers)}, must be two or more different lines of text")
        if self.measure not in get_args(Measure):
            problems.append(f"measure is {self.measure!r}, must be one of {', '.join(get_args(Measure))}")
        if not 1 <= self.repeats <= _MOST_REPEATS:
            problems.append(f"repeats is {self.repeats}, must be from 1 to {_MOST_REPEATS}")
        if self.measure == "agreement" and self.repeats == 1:
            problems.append("repeats is 1, must be 2 or more to measure agreement")
        if problems:
            raise ValueError("; ".join(problems))
        self._sampling  # noqa: B018 - refuses a sampling that means nothing
        self._judge  # noqa: B018 - refuses a spec that names no primary model

    def __eq__(self, other: object) -> bool:
        """Compare the fields."""
        return isinstance(other, Judge) and self._written() == other._written()

    def __hash__(self) -> int:
        """Hash the fields; a spec is a mapping, which has no hash of its own."""
        return hash(self._written())

    def _written(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def space(self) -> LabelSpace:
        """One outcome an answer, or the agreement from 0 to 1."""
        if self.measure == "agreement":
            return Real(low=0.0, high=1.0, n_bins=10)
        return Binary() if self.answers == ("no", "yes") else Categorical(classes=self.answers)

    @property
    def reads_prompt(self) -> bool:
        """Whether the judge reads more than the output."""
        return self.shows_prompt or self.shows_references

    @property
    def needs(self) -> tuple[Need, ...]:
        """The output, a primary model to ask, and what else it reads."""
        shown: tuple[Need, ...] = ("prompt",) if self.shows_prompt else ()
        return ("text", "endpoint", *shown, *(("references",) if self.shows_references else ()))

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the most frequent verdict or the agreement of each row, [n].

        Raises:
            LabelError: Some rows have too few verdicts to tell; it carries the labels of all rows and the reasons.
        """
        labels = np.full(len(batch), np.nan)
        reasons = {}
        for row, verdicts in enumerate(self.verdicts(batch)):
            value = self._value(verdicts)
            if value is not None:
                labels[row] = value
            elif any(verdict.answer is None for verdict in verdicts):
                reasons[row] = next(verdict.reason for verdict in verdicts if verdict.answer is None)
        if reasons:
            raise LabelError(labels.tolist(), reasons)
        return labels

    def verdicts(self, batch: GenerationBatch) -> list[list[Verdict]]:
        """Return the repeated verdicts of each row with what the judge wrote, asking only what was never asked."""
        questions = [
            judge_prompt(
                self.rubric,
                self.answers,
                output=batch.texts[row],
                prompt=batch.prompts[row] if self.shows_prompt else None,
                references=batch.references[row] if self.shows_references else None,
            )
            for row in range(len(batch))
        ]
        keys = [self._key(question) for question in questions]
        known = self._cache.known()
        asked = {
            key: question
            for key, question in zip(keys, questions, strict=True)
            if any((key, repeat) not in known for repeat in range(self.repeats))
        }
        failed: dict[tuple[str, int], Verdict] = {}
        for drawn in self._draw(asked):
            self._cache.add(drawn)
            failed |= {(one.key, one.repeat): one for one in drawn if one.raw is None}
        nothing = "the judge gave no answer"
        return [
            [
                self._cache.known().get((key, repeat))
                or failed.get((key, repeat))
                or Verdict(key=key, repeat=repeat, answer=None, raw=None, reason=nothing)
                for repeat in range(self.repeats)
            ]
            for key in keys
        ]

    def _draw(self, asked: dict[str, str]) -> Iterator[list[Verdict]]:
        """Yield verdicts as they come, so that each is stored before the next is paid for."""
        prompts = {Prompt.create(question, domain="judge").id: key for key, question in asked.items()}
        questions = [Prompt.create(question, domain="judge") for question in asked.values()]
        for begin in range(0, len(questions), _PROMPTS_A_DRAW):
            for outcomes in self._judge.generate(questions[begin : begin + _PROMPTS_A_DRAW], self._sampling):
                found = []
                for outcome in outcomes:
                    key = prompts[outcome.prompt_id]
                    if isinstance(outcome, Generation) and outcome.text is not None:
                        answer, reason = parse_verdict(outcome.text, self.answers)
                        raw, why = outcome.text[-20_000:], reason
                    else:
                        answer, raw = None, None
                        why = getattr(outcome, "reason", "the judge gave no text")
                    found.append(Verdict(key=key, repeat=outcome.sample, answer=answer, raw=raw, reason=why))
                yield found

    def _value(self, verdicts: Sequence[Verdict]) -> float | None:
        if self.measure == "agreement":
            return agreement([verdict.answer for verdict in verdicts])
        counts = Counter(verdict.answer for verdict in verdicts if verdict.answer is not None).most_common(2)
        is_tied = len(counts) == 2 and counts[0][1] == counts[1][1]  # noqa: PLR2004 - the two most frequent
        if not counts or is_tied:
            return None
        return float(self.answers.index(counts[0][0]))

    def _key(self, question: str) -> str:
        return content_hash("verdict", self._judge.identity, self._sampling.fingerprint(), question)

    @cached_property
    def _sampling(self) -> Sampling:
        several = self.repeats > 1
        temperature = (1.0 if several else 0.0) if self.temperature is None else self.temperature
        return Sampling(
            n_samples=self.repeats, temperature=temperature, max_new_tokens=self.max_new_tokens, seed=self.seed
        )

    @cached_property
    def _judge(self) -> PrimaryModel:
        try:
            judge: PrimaryModel = build_component("primaries", self.primary, at="primary")
        except ConfigError:
            raise
        except MetamodelError as error:
            raise ConfigError([f"primary: {error}"], source="judge") from error
        return judge

    @cached_property
    def _cache(self) -> VerdictCache:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return VerdictCache(Path(self.cache) if self.cache else folder / "metamodel" / "verdicts.jsonl")
