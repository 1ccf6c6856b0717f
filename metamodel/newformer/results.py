"""What the Newformer protocol finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from metamodel.metric_rows import Split

Sharing = Literal["shared", "new only", "known only", "neither", "undecided"]
Way = Literal["zero-shot", "recalibrated", "adapted", "from scratch"]
SHARINGS: tuple[Sharing, ...] = ("shared", "new only", "known only", "neither", "undecided")


@dataclass(frozen=True, kw_only=True)
class Context:
    """One outcome of one behavior in one domain, of the new primary model and of the known ones.

    Attributes:
        behavior: Name of the behavior.
        outcome: The outcome that counts as showing it.
        domain: The domain.
        n_prompts: The new primary model's prompts with a label.
        rate: How often it shows the outcome, every prompt weighing the same; None without labels.
        low: Lower end of the rate's 95 % interval.
        high: Upper end of it.
        nearest: The known primary model whose rate is nearest; empty for none.
        nearest_rate: Its rate.
        known_low: The lowest rate among the known.
        known_high: The highest.
        sharing: Who shows it in more than the floor's share of the outputs.
    """

    behavior: str
    outcome: str
    domain: str
    n_prompts: int
    rate: float | None
    low: float
    high: float
    nearest: str
    nearest_rate: float | None
    known_low: float | None
    known_high: float | None
    sharing: Sharing


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How much the labels of a known primary model agree with the new one's, prompt by prompt.

    Attributes:
        known: The known primary model.
        behavior: Name of the behavior.
        n_prompts: Prompts on which both have labels.
        agree: Chance that a sample of each agrees.
        kappa: Agreement beyond chance; None where it is undefined.
        bits: What the known one's labels say about the new one's, in bits.
    """

    known: str
    behavior: str
    n_prompts: int
    agree: float | None
    kappa: float | None
    bits: float | None


@dataclass(frozen=True, kw_only=True)
class ZeroShot:
    """A known metamodel on the new primary model's labels, before anything is trained.

    Attributes:
        known: Primary model that it was trained on.
        metamodel: Its name.
        behavior: Name of the behavior.
        split: Kind of split.
        n_prompts: Prompts scored.
        bits: Bits gained over the best constant on these labels.
        low: Lower end of its 95 % interval.
        high: Upper end of it.
        auroc: Area under the receiver operating characteristic.
        p: Adjusted p (Benjamini and Hochberg, over all rows that are no baseline's) that it gains bits: one-sided, from
            the normal distribution with the standard error that the interval's width tells.
        is_baseline: Whether it reads nothing of the prompt.
    """

    known: str
    metamodel: str
    behavior: str
    split: Split
    n_prompts: int
    bits: float | None
    low: float | None
    high: float | None
    auroc: float | None
    p: float | None
    is_baseline: bool


@dataclass(frozen=True, kw_only=True)
class LearningPoint:
    """What so many labeled prompts of the new primary model are worth, in one way.

    Attributes:
        way: zero-shot: the mean of the known metamodels' probabilities; recalibrated: a known metamodel bent by the
            labels; adapted: one that was trained across primary models, given the labels; from scratch: trained on them
            alone.
        behavior: Name of the behavior.
        split: Kind of split; of left-out domains the mean over domains.
        n_labeled: Labeled prompts.
        is_all: Whether that is all there are.
        n_prompts: Prompts that judge.
        bits: Bits gained over the best constant on the judged labels, mean over draws of the labeled prompts.
        low: Lower end of its 95 % interval, from a bootstrap over judged prompts, the draws taken as they are.
        high: Upper end of it.
        spread: Standard deviation over draws; None for one draw.
    """

    way: Way
    behavior: str
    split: Split
    n_labeled: int
    is_all: bool
    n_prompts: int
    bits: float
    low: float | None
    high: float | None
    spread: float | None


@dataclass(frozen=True, kw_only=True)
class Gap:
    """How many labeled prompts close the gap.

    Attributes:
        behavior: Name of the behavior.
        split: Kind of split.
        native_bits: Bits of the metamodel trained on all labels of the new primary model.
        zero_shot_bits: Bits of the known metamodels together, without a label; None where nothing can predict.
        closes_at: By way, the fewest labeled prompts with nine tenths of the native bits; None where none has.
        worth_labels: The fewest labels with which training from scratch is as good as no label and the known
            metamodels; None where it never is, or nothing is known.
    """

    behavior: str
    split: Split
    native_bits: float
    zero_shot_bits: float | None
    closes_at: Mapping[str, int | None]
    worth_labels: int | None


@dataclass(frozen=True, kw_only=True)
class Newformer:
    """All of it.

    Attributes:
        primary: Name of the new primary model.
        identity: Which weights it has.
        known: Names of the known primary models.
        behaviors: Names of the behaviors that were compared.
        floor: Share of outputs above which an outcome counts as shown.
        contexts: Which outcomes are shared, domain by domain.
        likeness: Agreement with each known primary model.
        zero_shot: Known metamodels before any training.
        learning: Learning curves.
        gaps: What closes the gap.
        trainer: Name of the metamodel that was trained from scratch.
        notes: What the reader must know.
    """

    primary: str
    identity: str
    known: Sequence[str]
    behaviors: Sequence[str]
    floor: float
    contexts: Sequence[Context]
    likeness: Sequence[Likeness]
    zero_shot: Sequence[ZeroShot]
    learning: Sequence[LearningPoint]
    gaps: Sequence[Gap]
    trainer: str
    notes: Sequence[str]

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return asdict(self)
