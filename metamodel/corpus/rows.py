"""What a comparison of a corpus with outputs finds, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from metamodel.corpus.decision import BehaviorClass, State
from metamodel.scaling.adjusting import Adjustment


@dataclass(frozen=True, kw_only=True)
class PlaceRate:
    """The rate of a behavior in the corpus or in the outputs of one context.

    Attributes:
        place: "corpus", or the domain of the prompts.
        n_clusters: Independent pieces, or prompts.
        n_texts: Windows, or outputs.
        rate: Share that shows the behavior, every cluster weighing the same; None without any text.
        low: Lower end of its 95 % interval.
        high: Upper end of it.
        p_adjusted: Two-sided p of rate = floor, adjusted.
        state: Whether the behavior is present there.
    """

    place: str
    n_clusters: int
    n_texts: int
    rate: float | None
    low: float
    high: float
    p_adjusted: float
    state: State


@dataclass(frozen=True, kw_only=True)
class Classified:
    """A behavior of one primary model, classified.

    Attributes:
        behavior: Name of the behavior; with =class for one class of a categorical one.
        primary: Name of the primary model.
        kind: Its class; "undecided" where the data leave several possible.
        possible: The classes that remain possible.
        corpus: Its rate in the corpus.
        contexts: Its rate in the outputs, by domain.
        heterogeneity_p: Adjusted p that all contexts have one rate.
    """

    behavior: str
    primary: str
    kind: BehaviorClass
    possible: tuple[BehaviorClass, ...]
    corpus: PlaceRate
    contexts: tuple[PlaceRate, ...]
    heterogeneity_p: float


@dataclass(frozen=True, kw_only=True)
class CorpusComparison:
    """What a corpus and a run's outputs share.

    Attributes:
        rows: Every behavior of every primary model.
        corpus: What was read, as the user named it.
        n_windows: Windows measured.
        n_cut: Windows that the corpus gave in all.
        n_pieces: Independent pieces among the measured windows.
        is_whole: Whether the corpus was taken for all of the training data.
        floor: Rate from which a behavior counts as present.
        adjust: How p values were adjusted.
        alpha: The level.
        notes: What could not be compared, in words.
    """

    rows: tuple[Classified, ...]
    corpus: tuple[str, ...]
    n_windows: int
    n_cut: int
    n_pieces: int
    is_whole: bool
    floor: float
    adjust: Adjustment
    alpha: float
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {"schema": 1, **asdict(self)}
