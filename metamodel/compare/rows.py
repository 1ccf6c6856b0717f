"""The rows of compare.json: one a pair of primary models, behaviors and metamodels, split and domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from metamodel.compare.names import NamePair
from metamodel.compare.pairing import Relation
from metamodel.metric_rows import Split
from metamodel.types import JSONValue

Verdict: TypeAlias = Literal["better", "worse", "no difference seen", "too few prompts", "different data"]
VERDICT_MEANINGS: Mapping[Verdict, str] = {
    "better": "the new run gains more bits of the same labels",
    "worse": "the new run gains fewer bits of the same labels",
    "no difference seen": "the data do not tell the two apart, which does not make them equal",
    "too few prompts": "fewer than 10 prompts in common",
    "different data": "the labels differ, so the bits are not of the same thing",
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A figure with the ends of its 95 % interval.

    Attributes:
        value: The estimate.
        low: Lower end; None where too few prompts tell.
        high: Upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class RateChange:
    """How two different sets of labels of the same prompts compare.

    Attributes:
        old_rate: Mean over domains of the rate of "yes" in the old run; None where the behavior is not binary.
        new_rate: The same in the new run.
        difference: New rate less old rate; None where the behavior is not binary.
        distance: Total variation between the two runs' mean outcome shares, mean over domains. It is above zero by
            chance too.
        agreement: How often an old and a new label of the same prompt are equal, mean over domains.
        chance_agreement: How often they would be if the prompts of a domain were exchanged at random.
    """

    old_rate: float | None
    new_rate: float | None
    difference: Measured | None
    distance: float
    agreement: Measured
    chance_agreement: float


@dataclass(frozen=True, kw_only=True)
class ComparedRow:
    """How much better the new run predicts than the old one, on the prompts that both judged.

    Attributes:
        primary: The primary model, by its names in both runs.
        behavior: The behavior.
        metamodel: The metamodel.
        split: Which split was judged in both runs.
        domain: The domain; None for the mean over domains (held out) or all prompts (in distribution).
        relation: Whether both runs judge on the same labels.
        n_prompts: Prompts compared.
        n_domains: Domains compared; those with fewer than two prompts in common are left out of the mean.
        n_only_old: Prompts that only the old run judged here, or labeled.
        n_only_new: The same of the new run.
        old_bits: Bits gained over the best constant by the old run on its labels of these prompts.
        new_bits: The same of the new run on its own.
        difference: New bits less old bits, prompts paired.
        p_value: Of no difference, by a paired t-test; None where the labels differ or prompts are too few.
        p_adjusted: The same, adjusted for the number of tests of this kind of row.
        verdict: What follows.
        worst_domain: Of a mean over domains, the domain where the new run loses most.
        worst_bits: The difference there.
        rates: How the labels compare; None where they are the same.
    """

    primary: NamePair
    behavior: NamePair
    metamodel: NamePair
    split: Split
    domain: str | None
    relation: Relation
    n_prompts: int
    n_domains: int
    n_only_old: int
    n_only_new: int
    old_bits: float
    new_bits: float
    difference: Measured
    p_value: float | None
    p_adjusted: float | None = None
    verdict: Verdict = "no difference seen"
    worst_domain: str | None = None
    worst_bits: float | None = None
    rates: RateChange | None = None

    @property
    def is_identical(self) -> bool:
        """Whether both runs predicted the same for every prompt."""
        return self.rates is None and self.difference == Measured(value=0.0, low=0.0, high=0.0)

    def to_dict(self) -> dict[str, JSONValue]:
        """Return what JSON can say."""
        names: dict[str, JSONValue] = {
            key: getattr(self, kind)[place]
            for kind in ("primary", "behavior", "metamodel")
            for place, key in enumerate((kind, f"new_{kind}"))
        }
        rest = {key: value for key, value in asdict(self).items() if key not in names}
        measured = rest.pop("difference")
        bits = {f"difference_{key}_bits": value for key, value in measured.items()}
        return names | rest | {"difference_bits": bits.pop("difference_value_bits"), **bits}
