"""One text tower for many primary models and behaviors at once; a new primary model needs few labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts
from metamodel.protocols import Compression, FitContext, Metamodel
from metamodel.types import FloatArray, Predictions
from trainers.artifacts.artifact import Artifact, StoredMetamodel, Tensor, TrainingFacts, label_spaces, prior_tensors
from trainers.artifacts.compression import compressed_metamodel
from trainers.artifacts.reading import component_from_fields, read_artifact
from trainers.fitting.calibration import Calibration
from trainers.fitting.dense import pooled
from trainers.fitting.domain_folds import domain_folds, surprise_share
from trainers.fitting.joint_inputs import JointInputs, exported_minilm, require_input_names
from trainers.fitting.joint_populations import (
    adapted_links,
    fit_links,
    population_document,
    population_tensors,
    read_populations,
)
from trainers.fitting.joint_targets import completed, target_matrix
from trainers.fitting.joint_tower import Basis, Tower, fit_tower
from trainers.fitting.joint_trees import FactorTrees, TreesFit, counted_features, fit_factor_trees
from trainers.heads.logistic import rowwise_product
from trainers.heads.outcomes import require_prompts, softmax_parts
from trainers.inputs.dense import Standardizer, require_inputs
from trainers.inputs.encoder_carried import shorter_encoder, with_encoder
from trainers.inputs.encoder_onnx import carried_states

_LARGEST_WEIGHT = 1e30


@dataclass(frozen=True, kw_only=True)
class Joint:
    """Item response theory with prompts whose difficulty is read from their text.

    A tower turns a prompt into a few factors that all tasks share; a task is one behavior of one primary model and has
    an intercept and a slope a factor for each outcome, shrunken toward the other primary models'. Prompts may lack the
    labels of any task. The tower is a ridge regression onto the directions that tasks have in common, averaged with
    boosted trees for the leading ones; its penalty, its waves, its trust in pretrained features and the trees' share
    are chosen on left-out domains, and the tasks' intercepts and slopes are fitted to what was predicted there, so that
    they know how far the factors can be trusted.

    Attributes:
        inputs: What is read of a prompt: `surface` counts, `minilm` (extra of that name) encodes.
        n_factors: Most factors of a prompt.
        n_waves: Random Fourier features tried beside the counted ones; 0 tries none.
        n_tree_factors: Leading factors for which boosted trees are tried beside the tower; 0 tries none.
    """

    kind: ClassVar[str] = "joint"
    across_primaries: ClassVar[bool] = True

    inputs: tuple[str, ...] = ("surface",)
    n_factors: int = 6
    n_waves: int = 512
    n_tree_factors: int = 2

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        require_input_names(self.inputs)
        for name, least in (("n_factors", 1), ("n_waves", 0), ("n_tree_factors", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least {least}")

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> JointMetamodel:
        """Fit one tower and every task's link; training and validation prompts are pooled.

        Raises:
            DataError: There is no training prompt.
        """
        require_prompts(train)
        prompts = pooled(train, validation)
        inputs = JointInputs.named(self.inputs)
        tower, grown = self._fit_tower(inputs, prompts, context)
        links = fit_links(prompts.labels, grown.factors)
        surprise = surprise_share(prompts.domains, expects_shift=context.expects_shift)
        weights: dict[str, Tensor] = {
            **prior_tensors(prompts),
            **tower.tensors(),
            **grown.trees.tensors(),
            **population_tensors(links.populations),
            **_link_tensors(links.links),
        }
        artifact = Artifact(
            kind=self.kind,
            fields=asdict(self),
            spaces=label_spaces(prompts),
            facts=TrainingFacts.of(train, validation, context),
            weights=weights,
            # Links are fitted to left-out predictions: but for domains unlike any other, they are the calibration.
            calibrations=dict.fromkeys(prompts.labels, Calibration().with_surprise(surprise)),
            documents={"inputs": inputs.identity, "populations": population_document(links.populations)},
            borrowed_bits=inputs.borrowed_bits,
        )
        return JointMetamodel(artifact, self, inputs)

    def _fit_tower(self, inputs: JointInputs, prompts: LabeledPrompts, context: FitContext) -> tuple[Tower, TreesFit]:
        """Return tower, trees and left-out factors of all prompts; no factor where there is nothing to judge by."""
        raw = inputs.features(prompts.texts)
        targets = target_matrix(prompts.labels, len(prompts))
        labeled = np.flatnonzero(~np.isnan(targets).all(axis=1))
        basis = Basis(standardizer=Standardizer.of(raw), n_waves=self.n_waves, n_waved=inputs.width - inputs.n_borrowed)
        folds = domain_folds(
            [prompts.texts[row] for row in labeled],
            [prompts.domains[row] for row in labeled],
            expects_shift=context.expects_shift,
            seed=context.seed,
        )
        if not folds:
            unwaved = replace(basis, n_waves=0)
            weights = np.zeros((unwaved.width, 0))
            nothing = TreesFit(trees=FactorTrees.none(), factors=np.empty((len(prompts), 0)))
            return Tower(basis=unwaved, weights=weights), nothing
        fitted = fit_tower(
            raw[labeled],
            completed(targets[labeled], self.n_factors),
            folds,
            basis=basis,
            n_borrowed=inputs.n_borrowed,
            rank=self.n_factors,
        )
        grown = fit_factor_trees(
            counted_features(basis.standardizer, raw[labeled], basis.n_waved),
            fitted.wanted,
            fitted.factors,
            folds,
            n_factors=self.n_tree_factors,
            seed=context.seed,
        )
        factors = np.zeros((len(prompts), fitted.factors.shape[1]))
        factors[labeled] = grown.factors
        return fitted.tower, TreesFit(trees=grown.trees, factors=factors)

    @classmethod
    def load(cls, folder: Path) -> JointMetamodel:
        """Read back what `save` or `save_carried` wrote.

        Raises:
            DataError: The folder does not hold a metamodel of this kind, or what its inputs need is not installed.
        """
        artifact = read_artifact(folder, kind=cls.kind)
        trainer = component_from_fields(cls, artifact.fields)
        inputs = JointInputs.named(trainer.inputs, carried_states(artifact))
        require_inputs(folder, artifact, inputs.identity)
        return JointMetamodel(artifact, trainer, inputs)


class JointMetamodel(StoredMetamodel):
    """A tower, and a link for each task; it can be adapted to a new primary model."""

    def __init__(self, artifact: Artifact, trainer: Joint, inputs: JointInputs) -> None:
        super().__init__(artifact)
        self._trainer, self._inputs = trainer, inputs
        self._tower = Tower.from_artifact(
            artifact, width=inputs.width, n_waves=trainer.n_waves, n_waved=inputs.width - inputs.n_borrowed
        )
        n_factors = self._tower.weights.shape[1]
        self._n_counted = inputs.width - inputs.n_borrowed
        self._trees = FactorTrees.from_artifact(artifact, n_features=self._n_counted, n_factors=n_factors)
        self._sizes = [len(space.outcomes) for space in artifact.spaces.values()]
        links = [artifact.floats(f"link.{index}", (1 + n_factors, size)) for index, size in enumerate(self._sizes)]
        # All tasks side by side: one product for all of them.
        joined = np.concatenate(links, axis=1)
        self._intercepts, self._slopes = joined[0], np.ascontiguousarray(joined[1:])
        self._populations = read_populations(artifact, n_factors=n_factors)
        for name, tensor in artifact.weights.items():
            if (np.abs(tensor) > _LARGEST_WEIGHT).any():
                raise DataError(f"weights.safetensors: {name} holds numbers too large to sum: train again")

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:  # noqa: ARG002 - the protocol's
        """Return probabilities, [n, c] a task."""
        factors = self.factors(texts)
        logits = rowwise_product(np.ascontiguousarray(factors), self._slopes) + self._intercepts
        return self.calibrated(dict(zip(self.spaces, softmax_parts(logits, self._sizes), strict=True)))

    def factors(self, texts: Sequence[str]) -> FloatArray:
        """Return what all tasks know of each prompt, [n, r]; predictions follow the first factor most."""
        raw = self._inputs.features(texts)
        counted = counted_features(self._tower.basis.standardizer, raw, self._n_counted)
        return self._trees.blended(self._tower.factors(raw), counted)

    def adapt(self, labeled: LabeledPrompts, *, context: FitContext) -> JointMetamodel:
        """Return a metamodel of the tasks that `labeled` names: their links are fitted, everything else stays.

        Args:
            labeled: Few labeled prompts of a new primary model; tasks are named by `metamodel.labels.task_name`, or by
                the behavior alone.
            context: Where and how the fit reports.

        Raises:
            DataError: There is no prompt, or a behavior that training did not have.
        """
        require_prompts(labeled)
        links = adapted_links(labeled.labels, self.factors(labeled.texts), self._populations)
        weights: dict[str, Tensor] = {
            **prior_tensors(labeled),
            **self._tower.tensors(),
            **self._trees.tensors(),
            **population_tensors(self._populations),
            **_link_tensors(links),
        }
        artifact = replace(
            self.artifact,
            spaces=label_spaces(labeled),
            facts=TrainingFacts.of(labeled, labeled.take([]), context),
            weights=weights,
            calibrations=dict.fromkeys(labeled.labels, Calibration()),
        )
        return JointMetamodel(artifact, self._trainer, self._inputs)

    def compressed(self, compression: Compression) -> Metamodel:
        """Return a variant with shorter weights, those of a carried encoder included."""
        return compressed_metamodel(shorter_encoder(self.artifact, compression), compression)

    def save_carried(self, folder: Path) -> None:
        """Write what `save` writes, and the encoder if one is read; `load` then needs onnxruntime alone.

        Raises:
            MetamodelError: The encoder cannot be exported, or a package of the extra `onnx` is not installed.
        """
        is_whole = not self._inputs.borrowed or bool(self.artifact.files)
        (self.artifact if is_whole else with_encoder(self.artifact, exported_minilm())).save(folder)


def _link_tensors(links: Mapping[str, FloatArray]) -> dict[str, Tensor]:
    return {f"link.{index}": link.astype(np.float32) for index, link in enumerate(links.values())}
