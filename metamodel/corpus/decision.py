"""Which of a corpus and a model's outputs hold a behavior, and what class of behaviors that makes it.

After figure 6 of Holtzman, West, Zettlemoyer, *Generative Models as a Complex Systems Science* (2023), which sorts
behaviors by whether training data and inference show them. A behavior here is an event that a text shows or not. It is
present where more than a share `floor` of the texts show it, and absent where fewer do; contexts are the domains of the
prompts. Then

- shared: present in the corpus and in the outputs of every context;
- contingent: present in the corpus, and in the outputs of some contexts but not of others;
- unexpressed: present in the corpus, absent from the outputs of every context;
- idiosyncratic: absent from the corpus, present in the outputs of some context;
- neither: absent from both.

These operational definitions, the floor and the tests are ours; the figure draws sets and states no test.

Presence is tested against rate <= floor and absence against rate >= floor, each one-sided, in the corpus and in every
context. The smaller p of the two, doubled, is adjusted over all behaviors and places together (Holm), so that with
probability 1 - alpha no place of any behavior is misjudged; a class is given where the judged places leave one class
possible, and is then right with that probability, too. What they leave open is `undecided`, with the classes that
remain possible. No sample shows that a rate is zero: a behavior rarer than the floor counts as absent.

Texts come in clusters (the samples of a prompt, the windows of a piece of a document); a cluster counts once, by its
share of texts that show the behavior. Where all shares are 0 or 1 the tests are exact binomial ones (Clopper and
Pearson 1934). Else they are the smaller of Hoeffding's bound by relative entropy (1963) and Bentkus's (2004) for means
of independent numbers from 0 to 1, as combined by Bates et al., *Distribution-Free, Risk-Controlling Prediction Sets*
(2021): valid for any dependence within clusters and any number of them.

Shapes: n = clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np

from metamodel.types import FloatArray

State = Literal["present", "absent", "unclear"]
BehaviorClass = Literal["shared", "contingent", "unexpressed", "idiosyncratic", "neither", "undecided"]
CLASSES: Final[tuple[BehaviorClass, ...]] = (
    "shared",
    "contingent",
    "unexpressed",
    "idiosyncratic",
    "neither",
    "undecided",
)
_BISECTIONS: Final = 40
_TAIL: Final = 0.025
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class ClusteredRate:
    """How many texts show a behavior, every cluster weighing the same.

    Attributes:
        n_clusters: Clusters with a label.
        n_texts: Texts with a label.
        rate: Mean over clusters of the share that shows it; None without any.
        is_binary: Whether every cluster's share is 0 or 1.
        p_present: p of the test against rate <= floor.
        p_absent: p of the test against rate >= floor.
    """

    n_clusters: int
    n_texts: int
    rate: float | None
    is_binary: bool
    p_present: float
    p_absent: float

    @property
    def p(self) -> float:
        """Two-sided p of rate = floor, which leaves the direction to the data."""
        return min(1.0, 2 * min(self.p_present, self.p_absent))

    @cached_property
    def low(self) -> float:
        """Lower end of the rate's 95 % interval, by inverting the tests."""
        if self.rate is None or self.rate == 0:
            return 0.0
        return _crossing(self.n_clusters, self.rate, is_binary=self.is_binary, upper=False)

    @cached_property
    def high(self) -> float:
        """Upper end of it."""
        if self.rate is None or self.rate == 1:
            return 1.0
        return _crossing(self.n_clusters, self.rate, is_binary=self.is_binary, upper=True)

    def state(self, p_adjusted: float, *, alpha: float) -> State:
        """Say on which side of the floor it is, at an adjusted p."""
        if p_adjusted > alpha:
            return "unclear"
        return "present" if self.p_present < self.p_absent else "absent"


def clustered_rate(shares: FloatArray, *, n_texts: int, floor: float) -> ClusteredRate:
    """Test a rate against a floor.

    Args:
        shares: Share of each cluster's texts that show the behavior, [n].
        n_texts: Texts in all clusters.
        floor: From above 0 to below 1.

    >>> found = clustered_rate(np.zeros(400), n_texts=400, floor=0.01)
    >>> round(found.p_absent, 3), found.p_present, found.low
    (0.018, 1.0, 0.0)
    """
    n = len(shares)
    if n == 0:
        return ClusteredRate(n_clusters=0, n_texts=0, rate=None, is_binary=True, p_present=1.0, p_absent=1.0)
    mean = float(shares.mean())
    is_binary = bool(((shares == 0) | (shares == 1)).all())
    return ClusteredRate(
        n_clusters=n,
        n_texts=n_texts,
        rate=mean,
        is_binary=is_binary,
        p_present=tail_p(n, mean, floor, is_binary=is_binary, upper=True),
        p_absent=tail_p(n, mean, floor, is_binary=is_binary, upper=False),
    )


def tail_p(n: int, mean: float, floor: float, *, is_binary: bool, upper: bool) -> float:
    """Return the largest probability of a mean at least (upper) or at most as large as seen, if the rate is `floor`.

    Args:
        n: Independent numbers from 0 to 1.
        mean: Their mean.
        floor: Their expectation, from above 0 to below 1.
        is_binary: Whether each is 0 or 1.
        upper: Which tail.

    >>> round(tail_p(10, 0.3, 0.1, is_binary=True, upper=True), 4)
    0.0702
    """
    if upper:  # the lower tail of what does not show the behavior
        return tail_p(n, 1 - mean, 1 - floor, is_binary=is_binary, upper=False)
    from scipy.special import bdtr, rel_entr

    if is_binary:
        return float(bdtr(round(n * mean), n, floor))
    if mean >= floor:
        return 1.0
    divergence = float(rel_entr(mean, floor) + rel_entr(1 - mean, 1 - floor))
    bentkus = float(np.e * bdtr(np.ceil(n * mean - _ROUNDING), n, floor))
    return min(1.0, float(np.exp(-n * divergence)), bentkus)


def _crossing(n: int, mean: float, *, is_binary: bool, upper: bool) -> float:
    """Return the rate at which the test of the other side reaches 2.5 %."""
    inside, outside = mean, 1.0 if upper else 0.0
    for _ in range(_BISECTIONS):
        middle = (inside + outside) / 2
        if tail_p(n, mean, middle, is_binary=is_binary, upper=not upper) > _TAIL:
            inside = middle
        else:
            outside = middle
    return outside


def possible_classes(corpus: State, contexts: Sequence[State]) -> tuple[BehaviorClass, ...]:
    """Return the classes that what was judged leaves possible; one alone is the behavior's class.

    >>> possible_classes("present", ["present", "absent", "unclear"])
    ('contingent',)
    >>> possible_classes("present", ["present", "unclear"])
    ('shared', 'contingent')
    """
    n_present, n_absent = contexts.count("present"), contexts.count("absent")
    n_unclear = len(contexts) - n_present - n_absent
    is_possible: dict[BehaviorClass, bool] = dict.fromkeys(CLASSES, False)
    everywhere = bool(contexts) and n_absent == 0
    nowhere = n_present == 0
    mixed = n_unclear >= (n_present == 0) + (n_absent == 0)
    if corpus != "absent":
        is_possible |= {"shared": everywhere, "contingent": mixed, "unexpressed": nowhere}
    if corpus != "present":
        is_possible |= {"idiosyncratic": everywhere or mixed, "neither": nowhere}
    return tuple(name for name in CLASSES if is_possible[name])


def heterogeneity_p(shares: Sequence[FloatArray], *, n_draws: int = 999, seed: int = 0) -> float:
    """Return p that contexts have one rate, from permutations of clusters over contexts.

    Statistic: sum over contexts of n_d (rate_d - rate)^2, with n_d clusters; p = (1 + hits) / (1 + draws).

    Args:
        shares: Share of each cluster that shows the behavior, by context.
        n_draws: Permutations.
        seed: Fixes them.

    >>> heterogeneity_p([np.zeros(50), np.ones(50)])
    0.001
    """
    filled = [values for values in shares if len(values)]
    together = np.concatenate(filled) if filled else np.empty(0)
    if len(filled) < 2 or together.min() == together.max():  # noqa: PLR2004 - a pair
        return 1.0
    sizes = np.array([len(values) for values in filled])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rng = np.random.default_rng(seed)

    def spread(values: FloatArray) -> float:
        rates = np.add.reduceat(values, starts) / sizes
        return float((sizes * (rates - together.mean()) ** 2).sum())

    observed = spread(together) * (1 - _ROUNDING)
    hits = sum(spread(rng.permutation(together)) >= observed for _ in range(n_draws))
    return (1 + hits) / (1 + n_draws)
