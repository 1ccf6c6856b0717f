"""Which cells carry, and which do not: three one-sided tests a cell, adjusted over all of them.

A behavior carries from A to B where A's metamodel keeps at least CARRIED_SHARE of the bits that B's own gains. With a
for the foreign bits, b for the native ones and h = CARRIED_SHARE, paired by prompts:

- gains: a > 0;
- carries: b > 0 and a > h b;
- falls short: b > 0 and a < h b.

Claims of two parts take the larger p of the two (intersection-union, Berger 1982), which is valid at any level without
further correction. Verdicts: `carries`; `partly` (gains and falls short); `does not` (falls short, no gain shown);
`undecided`. Where the native's own interval does not lie above zero there is nothing to carry, and the cell is
`nothing to carry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from metamodel.scaling.adjusting import Adjustment, adjusted
from metamodel.transfer.ratios import p_above_zero
from metamodel.types import FloatArray

CARRIED_SHARE: Final = 0.5
Verdict = Literal["carries", "partly", "does not", "undecided", "nothing to carry"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
Claim = Literal["gains", "carries", "falls_short"]
CLAIMS: Final[tuple[Claim, ...]] = get_args(Claim)


@dataclass(frozen=True, kw_only=True, eq=False)
class Paired:
    """Foreign and native bits on the same prompts, arrays of one shape.

    Attributes:
        bits: Foreign bits.
        native: Native bits.
        variance: Variance of the foreign bits.
        native_variance: Variance of the native bits.
        covariance: Of the two.
        degrees: Degrees of freedom.
    """

    bits: FloatArray
    native: FloatArray
    variance: FloatArray
    native_variance: FloatArray
    covariance: FloatArray
    degrees: FloatArray


def claims(one: Paired) -> dict[Claim, FloatArray]:
    """Return p of each claim; NaN where bits or their spread are unknown, or there is no native metamodel."""
    h = CARRIED_SHARE
    over = one.bits - h * one.native
    variance = np.maximum(one.variance + h * h * one.native_variance - 2 * h * one.covariance, 0)
    native = p_above_zero(one.native, one.native_variance, one.degrees)
    return {
        "gains": p_above_zero(one.bits, one.variance, one.degrees),
        "carries": np.maximum(native, p_above_zero(over, variance, one.degrees)),
        "falls_short": np.maximum(native, p_above_zero(-over, variance, one.degrees)),
    }


def adjusted_claims(
    found: Mapping[Claim, FloatArray], is_tested: NDArray[np.bool_], method: Adjustment
) -> dict[Claim, FloatArray]:
    """Return p of all claims adjusted together, as one family; NaN where nothing is tested.

    Args:
        found: p of each claim, arrays of one shape.
        is_tested: Which cells belong to the family: foreign ones.
        method: How p is adjusted.
    """
    stacked = np.stack([found[claim] for claim in CLAIMS])
    is_known = ~np.isnan(stacked) & is_tested
    out = np.full(stacked.shape, np.nan)
    out[is_known] = adjusted(stacked[is_known], method)
    return dict(zip(CLAIMS, out, strict=True))


def verdicts(found: Mapping[Claim, FloatArray], has_native: NDArray[np.bool_], *, alpha: float) -> NDArray[np.int8]:
    """Return each cell's verdict as its number in VERDICTS, -1 where nothing was tested.

    Args:
        found: Adjusted p of each claim.
        has_native: Whether the native's own interval lies above zero.
        alpha: Level of the adjusted p.
    """
    holds = {claim: found[claim] <= alpha for claim in CLAIMS}  # NaN compares as false
    verdict = np.full(has_native.shape, VERDICTS.index("undecided"), dtype=np.int8)
    verdict[holds["falls_short"]] = VERDICTS.index("does not")
    verdict[holds["falls_short"] & holds["gains"]] = VERDICTS.index("partly")
    verdict[holds["carries"]] = VERDICTS.index("carries")
    verdict[~has_native] = VERDICTS.index("nothing to carry")
    verdict[np.isnan(found["gains"])] = -1
    return verdict
