"""Demands: what a judge says that the prompt demands, on general scales of difficulty or yours."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext, PrimaryModel
from metamodel.types import JSONObject
from trainers.artifacts.artifact import JSON
from trainers.artifacts.reading import HOLDS_SPECS, read_artifact
from trainers.fitting.dense import DenseMetamodel, DenseTrainer, HeadName
from trainers.inputs.reader_spec import as_mapping, built_primary, remember_trusted, require_trusted
from trainers.inputs.rubric_scales import GENERAL_SCALES
from trainers.inputs.rubric_scores import RubricInputs

_MOST_RUBRICS = 100


@dataclass(frozen=True, kw_only=True)
class Demands(DenseTrainer):
    """Heads on the levels that a judging primary model gives each prompt, from 0 to 5 on every rubric.

    One question a rubric and prompt, asked once: answers are kept by content among the run's features, so that a rerun
    asks only what was not answered. An answer that is not a level is missing. A new prompt must be rated before it is
    predicted: a saved metamodel of this kind needs its judge, and as many questions as there are rubrics. Prompts are
    sent to the judge as they are, at most `max_characters` of each.

    A judge may be swayed by what it rates. Its answer counts as a number from 0 to 5 and as nothing else.

    Source: Zhou et al., General Scales Unlock AI Evaluation with Explanatory and Predictive Power (2025).

    Attributes:
        judge: Spec of the judging primary model, as `{kind: openai, model: ..., base_url: ...}`; it must follow
            instructions.
        rubrics: What is rated, in words that say what 0 and 5 mean; empty takes the 18 general scales.
        max_characters: Most characters shown of a prompt; of a longer one the beginning and the end.
        max_new_tokens: Longest answer; a judge that reasons first needs more.

    >>> len(Demands(judge={"kind": "zoo", "model": "gpt2"}).inputs().rubrics)
    18
    """

    kind: ClassVar[str] = "demands"

    head: HeadName = "best"
    judge: str | JSONObject = field(metadata={HOLDS_SPECS: True})
    rubrics: tuple[str, ...] = ()
    max_characters: int = 8_000
    max_new_tokens: int = 16

    def __post_init__(self) -> None:
        """Refuse values that mean nothing, and a judge that cannot be built."""
        super().__post_init__()
        problems = []
        if not all(isinstance(rubric, str) and rubric.strip() for rubric in self.rubrics):
            problems.append("rubrics hold one that is empty or no text, each must say in words what is rated")
        elif len(set(self.rubrics)) < len(self.rubrics) or len(self.rubrics) > _MOST_RUBRICS:
            problems.append(f"rubrics are {len(self.rubrics)}, must be at most {_MOST_RUBRICS}, all different")
        if self.max_characters < 2 or self.max_new_tokens < 1:  # noqa: PLR2004 - a character at each end
            problems.append(
                f"max_characters is {self.max_characters} and max_new_tokens is {self.max_new_tokens}, must be at "
                "least 2 and 1"
            )
        if problems:
            raise ValueError("; ".join(problems))
        object.__setattr__(self, "judge", as_mapping(self.judge))  # one way to write a spec, so one hash of it
        self._judge  # noqa: B018 - refuses a spec that names no primary model

    def __hash__(self) -> int:
        """Hash the fields; a spec is a mapping, which has no hash of its own."""
        return hash(json.dumps(asdict(self), sort_keys=True))

    def inputs(self) -> RubricInputs:
        """Return what turns texts into levels."""
        return RubricInputs(
            judge=self._judge,
            rubrics=self.rubrics or GENERAL_SCALES,
            max_characters=self.max_characters,
            max_new_tokens=self.max_new_tokens,
        )

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> DenseMetamodel:
        """Rate what was never rated, then fit one head a behavior, everything chosen on left-out domains.

        Raises:
            DataError: There is no training prompt, or the judge could not be reached.
        """
        fitted = super().fit(train, validation, context=context)
        remember_trusted(as_mapping(self.judge))
        inputs = self.inputs()
        told: dict[str, JSON] = {"identity": self._judge.identity, "questions_a_prompt": len(inputs.rubrics)}
        size = getattr(self._judge, "weight_bits", None)  # an endpoint does not tell
        borrowed = {self._judge.identity: float(size)} if isinstance(size, float) else {}
        artifact = replace(
            fitted.artifact,
            documents={**fitted.artifact.documents, "judge": told},
            borrowed_bits={**fitted.artifact.borrowed_bits, **borrowed},
        )
        return DenseMetamodel(artifact, self, inputs)

    @classmethod
    def load(cls, folder: Path) -> DenseMetamodel:
        """Read back what `save` wrote.

        Raises:
            DataError: The folder does not hold a metamodel of this kind, or its judge is not trusted.
        """
        require_trusted(read_artifact(folder, kind=cls.kind).fields.get("judge"), folder=folder)
        return super().load(folder)

    @cached_property
    def _judge(self) -> PrimaryModel:
        return built_primary(as_mapping(self.judge), at="judge")
