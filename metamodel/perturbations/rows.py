"""What a comparison of derived models with their originals finds, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from metamodel.metric_rows import Split
from metamodel.perturbations.lineage import Derived
from metamodel.scaling.adjusting import Adjustment

Verdict = Literal["lost", "weaker", "stronger", "no change shown", "never held"]


@dataclass(frozen=True, kw_only=True)
class BehaviorChange:
    """How a behavior of a derived model differs from the original's.

    Attributes:
        derived: Name of the derived model.
        original: Name of the original.
        kind: Kind of the perturbation.
        label: The perturbation in a word.
        behavior: Name of the behavior.
        outcome: The class whose rate is compared; None where the mean label is (a rate, for binary labels).
        domain: The domain; None for all prompts together.
        n_prompts: Prompts with a label of both.
        n_moved: Prompts whose labels differ.
        original_mean: Mean label of the original, every prompt weighing the same.
        derived_mean: Mean label of the derived model.
        change: The second less the first.
        low: Lower end of its 95 % interval; None for fewer than two prompts.
        high: Upper end of it.
        p: p of the sign-flip test, over prompts.
        p_adjusted: After adjustment: over all rows without a domain, or over all with one.
        moves: Whether it is at most the level.
    """

    derived: str
    original: str
    kind: str
    label: str
    behavior: str
    outcome: str | None
    domain: str | None
    n_prompts: int
    n_moved: int
    original_mean: float
    derived_mean: float
    change: float
    low: float | None
    high: float | None
    p: float
    p_adjusted: float = 1.0
    moves: bool = False


@dataclass(frozen=True, kw_only=True)
class PredictionChange:
    """How a metamodel that was trained on the original fares on the derived model's labels.

    Attributes:
        derived: Name of the derived model.
        original: Name of the original.
        kind: Kind of the perturbation.
        label: The perturbation in a word.
        metamodel: Name of the metamodel.
        behavior: Name of the behavior.
        split: What its predictions were held out from.
        n_prompts: Prompts with labels of both.
        original_bits: Bits explained of the original's labels.
        derived_bits: Bits explained of the derived model's labels.
        derived_low_bits: Lower end of its 95 % interval.
        derived_high_bits: Upper end of it.
        change_bits: The second less the first.
        low_bits: Lower end of the change's 95 % interval.
        high_bits: Upper end of it.
        cross_entropy_change_bits: Cross-entropy on the derived model's labels less that on the original's.
        cross_entropy_low_bits: Lower end of its 95 % interval.
        cross_entropy_high_bits: Upper end of it.
        native_bits: Bits that the same kind of metamodel explains when trained on the derived model; None without one.
        p: p that the change of bits is zero.
        p_adjusted: After adjustment over all rows of the split.
        verdict: "lost": significantly fewer bits, and the interval of what is left reaches zero; "weaker": fewer, and
            some are left; "stronger": more; "never held": the original's bits were not above zero either; "no change
            shown" else.
    """

    derived: str
    original: str
    kind: str
    label: str
    metamodel: str
    behavior: str
    split: Split
    n_prompts: int
    original_bits: float
    derived_bits: float
    derived_low_bits: float
    derived_high_bits: float
    change_bits: float
    low_bits: float
    high_bits: float
    cross_entropy_change_bits: float
    cross_entropy_low_bits: float
    cross_entropy_high_bits: float
    native_bits: float | None
    p: float
    p_adjusted: float = 1.0
    verdict: Verdict = "no change shown"


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What a run's perturbations moved.

    Attributes:
        derived: The derived models.
        behaviors: Changes of behaviors.
        predictions: Changes of metamodels' figures; empty where nothing was evaluated.
        adjust: How p values were adjusted.
        alpha: The level.
        notes: What could not be compared, in words.
    """

    derived: tuple[Derived, ...]
    behaviors: tuple[BehaviorChange, ...]
    predictions: tuple[PredictionChange, ...]
    adjust: Adjustment
    alpha: float
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {
            "schema": 1,
            "adjust": self.adjust,
            "alpha": self.alpha,
            "derived": [
                {"name": one.name, "original": one.original, "kind": one.kind, "label": one.label, "dose": one.dose}
                for one in self.derived
            ],
            "behaviors": [asdict(row) for row in self.behaviors],
            "predictions": [asdict(row) for row in self.predictions],
            "notes": list(self.notes),
        }
