"""What a search brings back: slices with their effects on prompts kept aside, examples, and domains that are off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

from metamodel.discovery.residuals import MeasureKind
from metamodel.metric_rows import Split

SCHEMA_VERSION: Final = 1
# What differs between the slice and the rest of its domains: what happened, or only what was predicted.
About = Literal["labels", "predictions", "neither"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Example:
    """A prompt of the slice from the half kept aside. Prompt and output are untrusted text.

    Attributes:
        why: "surprising": among those where the residual stands out most; "typical": nearest to the slice's mean.
        prompt_id: Its id.
        domain: Its domain.
        prompt: What the primary model read, cut where it is long.
        output: One output, the least expected one, cut; None where the run holds none.
        label: Its label's name.
        prediction: Probability that was given to that label.
        residual: What is left of the slice's measure.
    """

    why: Literal["surprising", "typical"]
    prompt_id: str
    domain: str
    prompt: str
    output: str | None
    label: str
    prediction: float
    residual: float


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """A slice that stood out in the searched half, judged on the half kept aside.

    Attributes:
        primary: Name of the primary model.
        behavior: The behavior whose predictions are off.
        split: What the predictions were held out from.
        metamodel: Whose predictions; names joined by + where all had to agree.
        slice: Which prompts, in words. It may hold words of prompts.
        kind: What the slice looks at: ngrams, surface, clusters; two joined by +.
        measure: The residual that the slice was registered for, before the half kept aside was looked at.
        outcome: The outcome that `rate` is about; empty for a position among ordered outcomes.
        direction: 1 if the measure is larger inside, -1 if it is smaller.
        t_searched: Its statistic in the searched half, inflated by the search.
        n_searched: Prompts of the slice there.
        n_inside: Prompts of the slice in the half kept aside, of domains that also hold others.
        n_outside: The others of these domains.
        bits: Excess surprise inside less outside, within domains, in bits a prompt.
        rate: Residual rate of the outcome (or residual position) inside less outside, within domains.
        rate_overall: The same, domains forgotten.
        observed_inside: Rate of the outcome inside (or mean position), domains weighted as in `rate`.
        predicted_inside: What was predicted there.
        observed_outside: Rate outside, in the same domains with the same weights.
        predicted_outside: What was predicted there. For a rate, observed less predicted inside, less the same outside,
            is `rate`.
        about: Whether labels differ between the slice and the rest, or only predictions.
        largest_domain: The domain with most prompts of the slice.
        largest_domain_share: Share of the slice's prompts that are of it.
        is_domain: Whether the slice is little else than that domain (Jaccard at least 0.8).
        n_domains: Domains with prompts of the slice.
        p: Chance of such an effect in that direction in the half kept aside, were there none.
        p_adjusted: The same, corrected for all candidates of the run (Holm 1979).
        is_verified: Whether it is at most alpha.
        agreement: Effect on the same measure under every trained metamodel, by name.
        examples: Prompts of it.
    """

    primary: str
    behavior: str
    split: Split
    metamodel: str
    slice: str
    kind: str
    measure: MeasureKind
    outcome: str
    direction: int
    t_searched: float
    n_searched: int
    n_inside: int
    n_outside: int
    bits: Figure
    rate: Figure
    rate_overall: float
    observed_inside: float
    predicted_inside: float
    observed_outside: float
    predicted_outside: float
    about: About
    largest_domain: str
    largest_domain_share: float
    is_domain: bool
    n_domains: int
    p: float
    p_adjusted: float = 1.0
    is_verified: bool = False
    agreement: Mapping[str, float]
    examples: Sequence[Example]

    @property
    def n_agreeing(self) -> int:
        """How many trained metamodels are off in the same direction."""
        return sum(self.direction * effect > 0 for effect in self.agreement.values())

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return asdict(self) | {"n_agreeing": self.n_agreeing}


@dataclass(frozen=True, kw_only=True)
class DomainEffect:
    """How far a metamodel is off on a domain as a whole; nothing was searched, so all prompts count.

    Attributes:
        primary: Name of the primary model.
        behavior: The behavior.
        split: What the predictions were held out from.
        metamodel: Whose predictions.
        domain: The domain.
        n_prompts: Labeled prompts.
        bits: Mean excess surprise; 0 where the metamodel is calibrated.
        p_adjusted: Chance of one as far from 0 were it calibrated, two-sided, corrected for all domains (Holm 1979).
        is_off: Whether it is at most alpha.
    """

    primary: str
    behavior: str
    split: Split
    metamodel: str
    domain: str
    n_prompts: int
    bits: Figure
    p_adjusted: float = 1.0
    is_off: bool = False


@dataclass(frozen=True, kw_only=True)
class Discoveries:
    """All that `discover` says of a run.

    Attributes:
        alpha: Chance of reporting any slice where there is none; the same for domains.
        seed: Seed of the halves and clusters.
        n_prompts: Prompts of the run.
        n_searched: Prompts of the searched half.
        n_groups: Groups of near-duplicates, each on one side.
        n_conditions: Conditions that were looked at.
        n_tests: Candidates tested on the half kept aside.
        candidates: All of them, verified ones first, then by p.
        domains: Domains by size of their effect.
        notes: What was left out, and why.
    """

    alpha: float
    seed: int
    n_prompts: int
    n_searched: int
    n_groups: int
    n_conditions: int
    n_tests: int
    candidates: Sequence[Discovery]
    domains: Sequence[DomainEffect]
    notes: Sequence[str] = ()

    @property
    def verified(self) -> list[Discovery]:
        """Those that hold on the half kept aside."""
        return [one for one in self.candidates if one.is_verified]

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return asdict(self) | {
            "schema_version": SCHEMA_VERSION,
            "candidates": [one.to_dict() for one in self.candidates],
        }
