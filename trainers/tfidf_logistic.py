"""The classic: tf-idf of word or character n-grams and a logistic regression, by scikit-learn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np

from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts, LabelTable
from metamodel.protocols import FitContext
from metamodel.types import FloatArray, Predictions
from trainers.artifacts.artifact import (
    JSON,
    Artifact,
    StoredMetamodel,
    Tensor,
    TrainingFacts,
    label_spaces,
    prior_tensors,
)
from trainers.artifacts.reading import component_from_fields, read_artifact
from trainers.fitting.calibration import Calibration, fit_calibrations
from trainers.heads.logistic import LinearHead, fit_heads, read_heads, require_positive
from trainers.heads.outcomes import cross_entropy_bits, kept_inside, outcome_shares, require_prompts, smoothed_prior
from trainers.inputs.tfidf_features import TOKEN_PATTERN, SparseRows, TfidfFeatures

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import TfidfVectorizer

Analyzer = Literal["word", "char", "char_wb"]


@dataclass(frozen=True, kw_only=True)
class TfidfLogistic:
    """Multinomial logistic regression on tf-idf weighted n-grams.

    Attributes:
        analyzer: Whether n-grams are of words, of characters or of characters within words.
        ngram_range: Shortest and longest n-gram.
        max_features: Most n-grams kept, the most frequent ones.
        min_df: Prompts that an n-gram must stand in to be kept.
        C: Inverse of the penalty where validation has no label of the behavior, above 0.
        C_grid: Values tried in place of C where it has some, rising; empty keeps C.
    """

    kind: ClassVar[str] = "tfidf_logistic"

    analyzer: Analyzer = "word"
    ngram_range: tuple[int, int] = (1, 2)
    max_features: int = 20_000
    min_df: int = 2
    C: float = 1.0
    C_grid: tuple[float, ...] = (0.1, 1.0, 10.0)

    def __post_init__(self) -> None:
        """Refuse values that scikit-learn would refuse, or that mean nothing."""
        if self.analyzer not in get_args(Analyzer):
            raise ValueError(f"analyzer is {self.analyzer!r}, must be one of {', '.join(get_args(Analyzer))}")
        if len(self.ngram_range) != 2 or not 1 <= self.ngram_range[0] <= self.ngram_range[1]:  # noqa: PLR2004 - a pair
            raise ValueError(f"ngram_range is {list(self.ngram_range)}, must be [shortest, longest], 1 or more")
        if self.max_features < 1 or self.min_df < 1:
            raise ValueError(f"max_features is {self.max_features} and min_df is {self.min_df}, must be at least 1")
        require_positive("C", [self.C])
        require_positive("C_grid", self.C_grid)

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> TfidfLogisticMetamodel:
        """Fit one regression a behavior; validation chooses its penalty and calibrates.

        Raises:
            DataError: There is no training prompt.
        """
        require_prompts(train)
        terms, idf, features = self._fit_vocabulary(train.texts)
        validation_features = self.features(terms, idf).rows(validation.texts)
        weights: dict[str, Tensor] = {**prior_tensors(train), "idf": idf}
        for index, (name, table) in enumerate(train.labels.items()):
            rows, shares = outcome_shares(table)
            judged = validation.labels.get(name)
            weights |= self._fit_behavior(features[rows], shares, validation_features, judged).tensors(index)
        raw = Artifact(
            kind=self.kind,
            fields=asdict(self),
            spaces=label_spaces(train),
            facts=TrainingFacts.of(train, validation, context),
            weights=weights,
            calibrations=dict.fromkeys(train.labels, Calibration()),
            documents={"vocabulary": terms},
        )
        uncalibrated = TfidfLogisticMetamodel(raw, self).raw_predict(validation_features)
        calibrations = fit_calibrations(uncalibrated, raw.priors, validation)
        return TfidfLogisticMetamodel(replace(raw, calibrations=calibrations), self)

    def vectorizer(self) -> TfidfVectorizer:
        """Return scikit-learn's vectorizer, to be fitted."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            analyzer=self.analyzer,
            ngram_range=self.ngram_range,
            max_features=self.max_features,
            min_df=self.min_df,
            sublinear_tf=True,
            # Given for other analyzers, scikit-learn warns that it is not used.
            token_pattern=TOKEN_PATTERN if self.analyzer == "word" else None,
        )

    def features(self, terms: Sequence[str], idf: FloatArray) -> TfidfFeatures:
        """Return what weighs the n-grams of new texts."""
        return TfidfFeatures(
            analyzer=self.analyzer,
            ngram_range=self.ngram_range,
            column_of={term: column for column, term in enumerate(terms)},
            idf=idf,
        )

    def _fit_vocabulary(self, texts: Sequence[str]) -> tuple[list[str], FloatArray, csr_array[np.float64]]:
        """Return the terms in the order of their columns, their idf and the training features."""
        from scipy.sparse import csr_array

        vectorizer = self.vectorizer()
        try:
            features = csr_array(vectorizer.fit_transform(texts))
        except ValueError as error:
            # Empty or all different texts share no term; a model without features is then the prior.
            if not re.search("empty vocabulary|no terms remain|max_df corresponds", str(error)):
                raise
            return [], np.zeros(0), csr_array((len(texts), 0), dtype=np.float64)
        return [str(term) for term in vectorizer.get_feature_names_out()], vectorizer.idf_, features

    def _fit_behavior(
        self,
        features: csr_array[np.float64],
        shares: FloatArray,
        validation_features: SparseRows,
        judged: LabelTable | None,
    ) -> LinearHead:
        """Return the head with the fewest validation bits; equally few go to the stronger penalty."""
        if judged is None or not len(outcome_shares(judged).rows) or not self.C_grid:
            return next(fit_heads(features, shares, [self.C]))
        rows, judged_shares = outcome_shares(judged)
        prior, judged_features = smoothed_prior(shares), validation_features.take(rows)

        def bits(head: LinearHead) -> float:
            return cross_entropy_bits(judged_shares, kept_inside(head.predict(judged_features, prior)))

        return min(fit_heads(features, shares, sorted(self.C_grid)), key=bits)

    @classmethod
    def load(cls, folder: Path) -> TfidfLogisticMetamodel:
        """Read back what `save` wrote.

        Raises:
            DataError: The folder does not hold a metamodel of this kind.
        """
        artifact = read_artifact(folder, kind=cls.kind)
        return TfidfLogisticMetamodel(artifact, component_from_fields(cls, artifact.fields))


class TfidfLogisticMetamodel(StoredMetamodel):
    """A softmax of weighted n-grams."""

    def __init__(self, artifact: Artifact, trainer: TfidfLogistic) -> None:
        super().__init__(artifact)
        terms = _terms(artifact.documents.get("vocabulary"))
        self._features = trainer.features(terms, artifact.floats("idf", (len(terms),)))
        self._heads = read_heads(artifact, n_features=len(terms))

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:  # noqa: ARG002 - the protocol's
        """Return calibrated probabilities, [n, c] a behavior."""
        return self.calibrated(self.raw_predict(self._features.rows(texts)))

    def raw_predict(self, features: SparseRows) -> Predictions:
        """Return probabilities before calibration, [n, c] a behavior."""
        return {name: head.predict(features, self.priors[name]) for name, head in self._heads.items()}


def _terms(value: JSON) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(term, str) for term in value) or len(set(value)) < len(value):
        raise DataError("vocabulary.json must be a list of different n-grams: train again")
    return [str(term) for term in value]
