"""Our trainers as ways of predicting: fitted, saved nowhere, asked for the judged prompts by text alone.

Shapes: t = judged prompts, m = primary models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from quality_rivals import Way
from quality_sets import RealSet, Split

from metamodel.config.components import build_component
from metamodel.labels import LabeledPrompts, task_name
from metamodel.protocols import FitContext, Metamodel, TrainsAcrossPrimaries
from metamodel.types import FloatArray

SEED = 0
HEADLINE = "joint"
SPECS: Mapping[str, Mapping[str, object]] = {
    "joint": {"kind": "joint", "inputs": ["surface", "minilm"]},
    "joint_surface": {"kind": "joint"},
}
# Fitted for one primary model after another: measured where they are asked for by name.
ONE_BY_ONE: Mapping[str, Mapping[str, object]] = {
    "surface": {"kind": "surface"},
    "static": {"kind": "static"},
    "encoder": {"kind": "encoder"},
    "stack": {"kind": "stack"},
}


@dataclass(frozen=True, kw_only=True)
class TrainerWay:
    """A trainer with its settings.

    Attributes:
        spec: As in a config's `metamodels`.
    """

    spec: Mapping[str, object] = field(default_factory=dict)

    def __call__(self, real: RealSet, split: Split) -> dict[str, FloatArray]:
        """Return the probability of label 1 of the judged prompts, [t, m] a behavior."""
        texts = [real.texts[row] for row in split.test]
        predicted = {behavior: np.full((len(texts), len(real.models)), np.nan) for behavior in real.labels}
        for train in self._fits(real, split):
            outcome = self.fit(train, split).predict(texts)
            for behavior, table in predicted.items():
                for column, model in enumerate(real.models):
                    if task_name(model, behavior) in outcome:
                        table[:, column] = outcome[task_name(model, behavior)][:, 1]
        return predicted

    def fit(self, train: LabeledPrompts, split: Split) -> Metamodel:
        """Return the metamodel; nothing is set aside, since the trainer leaves out domains itself."""
        trainer = build_component("trainers", dict(self.spec), at="benchmark")
        context = FitContext(seed=SEED, expects_shift=split.is_shift)
        fitted: Metamodel = trainer.fit(train, train.take([]), context=context)
        return fitted

    def _fits(self, real: RealSet, split: Split) -> Iterator[LabeledPrompts]:
        """Yield what is fitted at once: all primary models, or one after another."""
        trainer = build_component("trainers", dict(self.spec), at="benchmark")
        if isinstance(trainer, TrainsAcrossPrimaries) and trainer.across_primaries:
            yield real.labeled(split.train)
            return
        for model in real.models:
            yield real.labeled(split.train, (model,))


OURS: Mapping[str, Way] = {name: TrainerWay(spec=spec) for name, spec in SPECS.items()}
SLOW: Mapping[str, Way] = {name: TrainerWay(spec=spec) for name, spec in ONE_BY_ONE.items()}
