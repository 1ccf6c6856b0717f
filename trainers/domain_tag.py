"""Looks the domain up: the honest rival in distribution, the base rate on domains that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts, LabelTable
from metamodel.protocols import FitContext
from metamodel.types import FloatArray, IntArray, Predictions
from trainers.artifacts.artifact import Artifact, StoredMetamodel, Tensor, TrainingFacts, label_spaces, prior_tensors
from trainers.artifacts.reading import component_from_fields, read_artifact
from trainers.fitting.calibration import Calibration
from trainers.heads.outcomes import outcome_shares, require_prompts, smoothed_prior


@dataclass(frozen=True, kw_only=True)
class DomainTag:
    """Predicts the mean outcome distribution of the prompt's domain.

    p = (sum of the domain's shares + smoothing * prior) / (its prompts + smoothing), the mean of a Dirichlet posterior.

    Attributes:
        smoothing: How many prompts the prior over all domains is worth, above 0.
    """

    kind: ClassVar[str] = "domain_tag"

    smoothing: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a smoothing that would allow zeros."""
        if not 0 < self.smoothing < float("inf"):
            raise ValueError(f"smoothing is {self.smoothing}, must be above 0 and finite")

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> DomainTagMetamodel:
        """Count outcomes in each domain.

        Raises:
            DataError: There is no training prompt.
        """
        require_prompts(train)
        domains = sorted(set(train.domains))
        row_of = {domain: row for row, domain in enumerate(domains)}
        owners = np.array([row_of[domain] for domain in train.domains])
        weights: dict[str, Tensor] = dict(prior_tensors(train))
        for index, table in enumerate(train.labels.values()):
            weights[f"domains.{index}"] = self._rates(table, owners, n_domains=len(domains))
        return DomainTagMetamodel(
            Artifact(
                kind=self.kind,
                fields=asdict(self),
                spaces=label_spaces(train),
                facts=TrainingFacts.of(train, validation, context),
                weights=weights,
                calibrations=dict.fromkeys(train.labels, Calibration()),
                documents={"domains": domains},
            )
        )

    def _rates(self, table: LabelTable, owners: IntArray, *, n_domains: int) -> FloatArray:
        """Return the shrunken distribution of each domain, [n_domains, c]."""
        rows, shares = outcome_shares(table)
        sums = np.zeros((n_domains, shares.shape[1]))
        np.add.at(sums, owners[rows], shares)
        sizes = np.bincount(owners[rows], minlength=n_domains)[:, None]
        rates: FloatArray = (sums + self.smoothing * smoothed_prior(shares)) / (sizes + self.smoothing)
        return rates

    @classmethod
    def load(cls, folder: Path) -> DomainTagMetamodel:
        """Read back what `save` wrote.

        Raises:
            DataError: The folder does not hold a metamodel of this kind.
        """
        artifact = read_artifact(folder, kind=cls.kind)
        component_from_fields(cls, artifact.fields)
        return DomainTagMetamodel(artifact)


class DomainTagMetamodel(StoredMetamodel):
    """One distribution a behavior and domain."""

    def __init__(self, artifact: Artifact) -> None:
        super().__init__(artifact)
        domains = artifact.documents.get("domains")
        if not isinstance(domains, list) or not all(isinstance(domain, str) for domain in domains):
            raise DataError("domains.json must be a list of domain names: train again")
        self._row_of = {domain: row for row, domain in enumerate(domains)}
        # The prior stands below the domains, where row -1 finds it.
        self._rates = {
            name: np.vstack([self._distributions(index, len(domains), len(prior)), prior])
            for index, (name, prior) in enumerate(self.priors.items())
        }

    def _distributions(self, index: int, n_domains: int, n_outcomes: int) -> FloatArray:
        rates = self.artifact.floats(f"domains.{index}", (n_domains, n_outcomes))
        if (rates <= 0).any() or (abs(rates.sum(axis=1) - 1) > 1e-6).any():  # noqa: PLR2004 - rounding
            raise DataError(f"weights.safetensors: domains.{index} must hold distributions without zeros: train again")
        return rates

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:
        """Return each domain's distribution, the prior where the domain is new or not given, [n, c] a behavior.

        Raises:
            ValueError: There are not as many domains as texts.
        """
        if domains is not None and len(domains) != len(texts):
            raise ValueError(f"got {len(domains)} domains for {len(texts)} texts")
        rows = [self._row_of.get(domain, -1) for domain in domains] if domains is not None else [-1] * len(texts)
        return {name: rates[np.array(rows, dtype=np.int64)] for name, rates in self._rates.items()}
