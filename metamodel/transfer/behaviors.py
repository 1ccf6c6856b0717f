"""Which behaviors carry: the mean over all pairs of two models, tested like a cell.

The models are taken as they are: intervals are about other prompts, not about other models.

Shapes: s = sources, t = targets, d = domains, g = groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metamodel.metric_rows import Split
from metamodel.scaling.adjusting import Adjustment
from metamodel.transfer.cells import number_or_none
from metamodel.transfer.matrices import Figures, Matrix
from metamodel.transfer.ratios import ends_around, ratio_ends, t_quantile
from metamodel.transfer.verdicts import CLAIMS, VERDICTS, Paired, Verdict, adjusted_claims, claims, verdicts

_N_MOMENTS: Final = 3


@dataclass(frozen=True, kw_only=True)
class BehaviorRow:
    """How one behavior carries between all pairs of models; what is undefined is None.

    Attributes:
        metamodel: Name of the metamodel.
        behavior: Name of the behavior.
        split: Kind of split.
        n_pairs: Ordered pairs of two models with figures.
        bits: Mean foreign bits.
        low: Lower end of the 95 % interval.
        high: Upper end of it.
        native: Mean native bits on the same prompts.
        native_low: Lower end of its 95 % interval.
        share: bits / native; None where native is not above zero with 95 % confidence.
        share_low: Lower end of its 95 % interval (Fieller).
        share_high: Upper end of it.
        kappa: Mean agreement of the pairs' labels; None where no labels are of the same prompts.
        worst_domain: Domain with the fewest mean foreign bits.
        worst_bits: Those bits.
        worst_low: Lower end of their 95 % interval, pairs taken as fully correlated: never too short.
        worst_high: Upper end of it.
        p_gains: Adjusted p that foreign bits are above 0.
        p_carries: Adjusted p that at least half of the native bits carry.
        p_falls_short: Adjusted p that fewer do.
        verdict: One of `metamodel.transfer.verdicts.VERDICTS`.
        pairs: How many pairs have which verdict of their own.
    """

    metamodel: str
    behavior: str
    split: Split
    n_pairs: int
    bits: float | None
    low: float | None
    high: float | None
    native: float | None
    native_low: float | None
    share: float | None
    share_low: float | None
    share_high: float | None
    kappa: float | None
    worst_domain: str | None
    worst_bits: float | None
    worst_low: float | None
    worst_high: float | None
    p_gains: float | None
    p_carries: float | None
    p_falls_short: float | None
    verdict: Verdict | None
    pairs: Mapping[str, int]

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return asdict(self)


class BehaviorSums:
    """Adds up pairs over the blocks of one metamodel, behavior and split."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.n_pairs = 0
        self._bits = np.zeros(2)  # foreign, native
        self._moments = np.zeros(_N_MOMENTS)  # variances of the sums, covariance
        self._degrees = np.inf
        self._bias = 0.0
        self._domains: dict[str, list[float]] = {}

    def add(self, matrix: Matrix) -> None:
        """Add one block's pairs of two models."""
        natives = np.array(matrix.natives)
        cells = matrix.cells
        use = ~np.isnan(cells.bits) & ~np.isnan(cells.native) & (np.arange(len(cells.bits))[:, None] != natives)
        if not use.any():
            return
        n = int(use.sum())
        foreign, native = (
            values[:, use].sum(axis=1) for values in (matrix.deviations, matrix.native_deviations)
        )  # [g]
        # The entropy's second-order variance is that of each target; targets are taken as fully correlated.
        curvature = float(np.sqrt(2) * cells.bias[use].sum()) ** 2
        self.n_pairs += n
        self._bits += [cells.bits[use].sum(), cells.native[use].sum()]
        self._bias += float(cells.bias[use].sum())
        self._moments += [foreign @ foreign + curvature, native @ native + curvature, foreign @ native + curvature]
        self._degrees = min(self._degrees, float(cells.degrees[use].min()))
        self._add_domains(matrix.domain_names, matrix.domains, use)

    def _add_domains(self, names: Sequence[str], figures: Figures, use: NDArray[np.bool_]) -> None:
        reach = t_quantile(figures.degrees) * np.sqrt(figures.variance)
        for number, name in enumerate(names):
            mine = use & ~np.isnan(figures.bits[number])
            if mine.any():
                held = self._domains.setdefault(name, [0.0, 0.0, 0.0, 0.0])
                values = (figures.bits[number], figures.bias[number], reach[number])
                for place, value in enumerate(values):
                    held[place] += float(value[mine].sum())
                held[3] += int(mine.sum())

    def paired(self) -> Paired:
        """Return the means over pairs, as arrays of one number."""
        n = max(self.n_pairs, 1)
        bits, native = np.where(self.n_pairs, self._bits / n, np.nan)
        variance, native_variance, covariance = self._moments / n**2
        numbers = {"bits": bits, "native": native, "variance": variance, "native_variance": native_variance}
        degrees = self._degrees if np.isfinite(self._degrees) else 1.0
        numbers |= {"covariance": covariance, "degrees": degrees}
        return Paired(**{name: np.array([value]) for name, value in numbers.items()})

    @property
    def bias(self) -> float:
        """Mean bias of the plug-in entropy."""
        return self._bias / max(self.n_pairs, 1)

    def worst(self) -> tuple[str, float, float, float] | None:
        """Return the domain with the fewest mean foreign bits, with its interval."""
        means = {name: [value / held[3] for value in held[:3]] for name, held in self._domains.items()}
        if not means:
            return None
        name = min(means, key=lambda one: means[one][0])
        bits, bias, reach = means[name]
        if np.isnan(reach):  # a domain with a single prompt
            return name, bits, reach, reach
        return name, bits, min(bits, bits + bias - reach), max(bits, bits + bias + reach)


Key = tuple[str, str, Split]


def behavior_rows(
    sums: Mapping[Key, BehaviorSums],
    pairs: Mapping[Key, Mapping[str, int]],
    kappas: Mapping[Key, float],
    *,
    adjust: Adjustment,
    alpha: float,
) -> list[BehaviorRow]:
    """Test the behaviors, all together as one family.

    Args:
        sums: What was added up.
        pairs: How many pairs have which verdict.
        kappas: Mean kappa of the pairs.
        adjust: How p is adjusted.
        alpha: Level of the adjusted p.
    """
    if not sums:
        return []
    every = [one.paired() for one in sums.values()]
    whole = Paired(
        **{name: np.concatenate([getattr(one, name) for one in every]) for name in Paired.__dataclass_fields__}
    )
    bias = np.array([one.bias for one in sums.values()])
    tested = adjusted_claims(claims(whole), np.ones(len(every), dtype=bool), adjust)
    native_low = ends_around(whole.native, whole.native_variance, whole.degrees, bias=bias).low
    found = verdicts(tested, native_low > 0, alpha=alpha)
    low, high = ends_around(whole.bits, whole.variance, whole.degrees, bias=bias)
    moments = (whole.variance, whole.native_variance, whole.covariance)
    share_low, share_high = ratio_ends(whole.bits + bias, whole.native + bias, moments, whole.degrees)
    rows = []
    for place, (key, one) in enumerate(sums.items()):
        metamodel, behavior, split = key
        share = None if np.isnan(share_low[place]) else float(whole.bits[place] / whole.native[place])
        worst = one.worst()
        rows.append(
            BehaviorRow(
                metamodel=metamodel,
                behavior=behavior,
                split=split,
                n_pairs=one.n_pairs,
                bits=number_or_none(whole.bits[place]),
                low=number_or_none(low[place]),
                high=number_or_none(high[place]),
                native=number_or_none(whole.native[place]),
                native_low=number_or_none(native_low[place]),
                share=share,
                share_low=None if share is None else min(float(share_low[place]), share),
                share_high=None if share is None else max(float(share_high[place]), share),
                kappa=number_or_none(kappas.get(key, np.nan)),
                worst_domain=worst[0] if worst else None,
                worst_bits=number_or_none(worst[1]) if worst else None,
                worst_low=number_or_none(worst[2]) if worst else None,
                worst_high=number_or_none(worst[3]) if worst else None,
                **{f"p_{claim}": number_or_none(tested[claim][place]) for claim in CLAIMS},
                verdict=VERDICTS[found[place]] if found[place] >= 0 else None,
                pairs=dict(pairs.get(key, {})),
            )
        )
    return rows
