"""The seams of the house: what a prompt source, a primary model, a featurizer, a trainer and a metamodel must do.

Every seam works on batches. A component is a frozen, keyword-only dataclass whose fields are its config; it is found by
name through the entry-point groups `metamodel.prompts`, `metamodel.primaries`, `metamodel.featurizers` and
`metamodel.trainers`. What is learned lives in what `fit` returns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from metamodel.labels import LabeledPrompts, LabelSpace
from metamodel.types import FloatArray, GenerationBatch, Need, Outcome, Predictions, Prompt, Sampling, TextReading


@runtime_checkable
class PromptSource(Protocol):
    """A named input distribution, or a file with several."""

    def prompts(self, seed: int) -> Iterator[Prompt]:
        """Yield prompts; a generator of domains never ends, a file does. The same seed gives the same prompts."""
        ...


@runtime_checkable
class PrimaryModel(Protocol):
    """The model under study."""

    @property
    def identity(self) -> str:
        """Say which weights these are: name and revision or content hash."""
        ...

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield batches of generations, `sampling.n_samples` a prompt, in any order; a Failure where one has none.

        A generation depends on its prompt, the sampling and its sample index alone, never on what shared its batch.
        """
        ...


@runtime_checkable
class ScoringPrimaryModel(PrimaryModel, Protocol):
    """A primary model that can also say how likely a given continuation is."""

    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> FloatArray:
        """Return the natural log-probability of each continuation after its prompt, [n]."""
        ...


@runtime_checkable
class ReadsTexts(PrimaryModel, Protocol):
    """A primary model that can say what it makes of a text before it answers."""

    def read_texts(self, texts: Sequence[str], *, max_tokens: int) -> Iterator[TextReading]:
        """Yield what one forward pass over each text shows, in the order of the texts.

        A reading depends on its own text alone. Of a text with more than `max_tokens` tokens, or more than the model's
        context, the beginning and the end are read as one, each half of the room.
        """
        ...


@runtime_checkable
class Featurizer(Protocol):
    """Computes one behavior's label of each generation."""

    @property
    def space(self) -> LabelSpace:
        """Declare the label space."""
        ...

    @property
    def reads_prompt(self) -> bool:
        """Say whether the label is a function of more than the output (then equation 3's bound is not claimed)."""
        ...

    @property
    def needs(self) -> tuple[Need, ...]:
        """Declare what the label is computed from; where it is absent the label is missing."""
        ...

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return one value a generation, [n]; NaN where the label is missing."""
        ...


@dataclass(frozen=True, kw_only=True)
class FitContext:
    """Where and how a fit reports.

    Attributes:
        directory: Folder for logs and checkpoints; None writes nothing.
        logger: Lightning's logger.
        progress: Whether to draw progress bars.
        seed: Seed of everything random in the fit.
        name: Name of the metamodel, for loggers.
        expects_shift: Whether the metamodel will be judged on domains that it never saw. What a fit chooses is then
            chosen by leaving out whole training domains, and else by leaving out prompts of all domains.
    """

    directory: Path | None = None
    logger: Literal["csv", "wandb", "none"] = "none"
    progress: bool = False
    seed: int = 0
    name: str = "metamodel"
    expects_shift: bool = True


@dataclass(frozen=True, kw_only=True)
class Compression:
    """What a shorter variant of a metamodel leaves out of its weights.

    Attributes:
        int8: Whether weights are rounded to whole numbers of 8 bits with a scale.
        prune_share: Share of the weights other than zero that is set to it, the smallest of each tensor.
    """

    int8: bool = False
    prune_share: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what leaves no weight, or everything."""
        if not 0 <= self.prune_share < 1:
            raise ValueError(f"prune_share is {self.prune_share}, must be from 0 to below 1")
        if not self.int8 and self.prune_share == 0:
            raise ValueError("int8 is false and prune_share is 0: nothing would be left out, choose at least one")


@runtime_checkable
class Metamodel(Protocol):
    """A trained model q(f given x) of one or several behaviors."""

    @property
    def description_bits(self) -> float:
        """Length of what `save` writes that the predictions depend on, in bits."""
        ...

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:
        """Return outcome probabilities of every behavior, [n, c] each.

        Args:
            texts: Inputs, n of them.
            domains: Their domains, where known. Only `domain_tag`, the baseline, looks at them.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write spec.json, weights.safetensors and what else `load` needs into an existing folder; never pickle."""
        ...


@runtime_checkable
class Trainer(Protocol):
    """Fits a metamodel; the base rate and the linear ones too."""

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> Metamodel:
        """Fit on `train`; `validation` is for early stopping and calibration. Both hold training domains only."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Metamodel:
        """Read back what `save` wrote: the same predictions bit for bit."""
        ...


@runtime_checkable
class TrainsAcrossPrimaries(Protocol):
    """A trainer that is fitted once on the labels of all primary models together.

    Its behaviors are named by `metamodel.labels.task_name`: the primary model's name, a slash, the behavior's.
    """

    @property
    def across_primaries(self) -> bool:
        """Say whether this one is."""
        ...


@runtime_checkable
class Adapts(Protocol):
    """A metamodel to which a new primary model can be added from few labeled prompts of it."""

    def adapt(self, labeled: LabeledPrompts, *, context: FitContext) -> Metamodel:
        """Return a metamodel of the new tasks that `labeled` names; what is shared between tasks stays as it is."""
        ...


@runtime_checkable
class Compresses(Protocol):
    """A metamodel that can be described in fewer bits."""

    @property
    def borrowed_bits(self) -> Mapping[str, float]:
        """Size in bits of each pretrained part that the predictions depend on and `save` does not write, by name."""
        ...

    @property
    def coded_bits(self) -> float:
        """Length of what `save` writes under lossless codes, in bits: the same predictions, in the shortest words."""
        ...

    def compressed(self, compression: Compression) -> Metamodel:
        """Return a variant that predicts from what it saves; raises DataError where there is nothing to leave out."""
        ...


@runtime_checkable
class Carries(Protocol):
    """A metamodel whose predictions need parts that `save` does not write, and which can carry them along."""

    def save_carried(self, folder: Path) -> None:
        """Write into an existing folder what `save` writes, and those parts.

        `load` reads it like any other; predicting then needs numpy and tokenizers alone (for encoders onnxruntime too).
        Probabilities agree with those of the metamodel itself within 1e-5.
        """
        ...
