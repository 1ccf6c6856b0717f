"""How much more a residual is inside a slice than outside it, within domains, and how sure that is.

Ground floor of discovery: pure functions over numpy arrays.

Shapes: m = prompts, s = slices, g = clusters of near-duplicates, d = domains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from metamodel.types import FloatArray, IntArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

CONFIDENCE: Final = 0.95
# Columns worked on at once: bounds memory to some times 8 bytes x prompts x this.
_CHUNK: Final = 32


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Effects of s slices; NaN where a slice is empty, or whole, in every domain.

    Attributes:
        values: Mean residual inside less outside, within domains, [s].
        errors: Their standard errors, [s].
        degrees: Degrees of freedom of the t statistic, [s].
        n_inside: Prompts inside, of domains that also have some outside, [s].
        n_outside: Prompts outside, of domains that also have some inside, [s].
    """

    values: FloatArray
    errors: FloatArray
    degrees: FloatArray
    n_inside: IntArray
    n_outside: IntArray

    @property
    def t(self) -> FloatArray:
        """The t statistic of each, [s]; 0 where there is none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            t = self.values / self.errors
        return np.where(np.isfinite(t), t, 0.0)

    def p_values(self, signs: FloatArray | float) -> FloatArray:
        """Return the chance, without any effect, of one as large in the direction of each sign, [s]; 1 for none."""
        from scipy.special import stdtr

        p: FloatArray = np.where(np.isnan(self.values), 1.0, stdtr(np.maximum(self.degrees, 1), -signs * self.t))
        return p

    def intervals(self) -> tuple[FloatArray, FloatArray]:
        """Return the ends of 95 % intervals, [s] each."""
        from scipy.special import stdtrit

        reach = stdtrit(np.maximum(self.degrees, 1), (1 + CONFIDENCE) / 2) * self.errors
        return self.values - reach, self.values + reach


class WithinDomains:
    """The estimator for one set of prompts: one regression on a slice with a constant for each domain.

    Effect: b = sum (S_i - S_d) y_i / sum (S_i - S_d)^2, with S_i 1 inside and 0 outside and S_d its mean over the
    domain: the coefficient of S in the least-squares fit of y on S and a dummy a domain (Frisch and Waugh 1933). Where
    all prompts are of one domain it is the mean inside less the mean outside.

    Its variance is the larger of two:

    - cluster-robust (Liang and Zeger 1986): sum over clusters of (sum in it of (S_i - S_d) u_i)^2 over
      (sum (S_i - S_d)^2)^2, with u what the regression leaves, times G / (G - 1);
    - what the metamodel's own probabilities imply (a score test's): sum (S_i - S_d)^2 f v_i over the same, v_i the
      variance of the residual under q and f the dispersion (Wedderburn 1974) of all prompts' residuals by cluster.
      Without it a slice in which a rare outcome never happened, and so nothing varies, would seem infinitely sure.

    G, and the degrees of freedom G - 1, count the clusters inside or those outside, whichever are fewer.
    """

    def __init__(self, domains: IntArray, clusters: IntArray) -> None:
        """Take the domain and the cluster of each prompt, [m] each."""
        from scipy.sparse import csr_array

        m = len(domains)
        _, domain_of = np.unique(domains, return_inverse=True)
        _, cluster_of = np.unique(clusters, return_inverse=True)
        ones, rows = np.ones(m), np.arange(m)
        self._domain_of = domain_of
        self._in_domain: csr_array = csr_array((ones, (domain_of, rows)), shape=(int(domain_of.max(initial=-1)) + 1, m))
        self._in_cluster: csr_array = csr_array(
            (ones, (cluster_of, rows)), shape=(int(cluster_of.max(initial=-1)) + 1, m)
        )
        self._sizes = np.bincount(domain_of)[:, None].astype(np.float64)  # [d, 1]

    def centered(self, values: FloatArray) -> FloatArray:
        """Return values less their domain's mean, [m, s]."""
        means = (self._in_domain @ values) / self._sizes  # [d, s]
        centered: FloatArray = values - means[self._domain_of]
        return centered

    def implied_variances(self, residuals: FloatArray, variances: FloatArray, n_samples: float) -> FloatArray:
        """Return the residuals' variances under the metamodel times their dispersion, [m].

        Args:
            residuals: Residuals, [m].
            variances: Variance of each under the metamodel for one sample, [m].
            n_samples: Mean number of samples a prompt: the dispersion is at least one over it, as if they were
                independent.
        """
        centered = self.centered(residuals[:, None])
        total = float(((self._in_cluster @ centered) ** 2).sum())
        expected = float(variances.sum())
        dispersion = total / expected if expected > 0 else 1.0
        return variances * max(dispersion, 1 / max(n_samples, 1.0))

    def sides(self, values: FloatArray, inside: NDArray[np.bool_]) -> tuple[float, float]:
        """Return the mean inside and the mean outside a slice, domains weighted alike in both: by n S_d (1 - S_d).

        The first less the second is the effect on the values. NaN where no domain has prompts on both sides.

        Args:
            values: Of each prompt, [m].
            inside: Who is in the slice, [m].
        """
        share = ((self._in_domain @ inside.astype(np.float64)) / self._sizes[:, 0])[self._domain_of]
        weights = np.where(inside, 1 - share, share)
        total = weights[inside].sum()
        if not total:
            return np.nan, np.nan
        return float((weights * values)[inside].sum() / total), float((weights * values)[~inside].sum() / total)

    def effects(self, residuals: FloatArray, implied: FloatArray, members: NDArray[np.bool_]) -> Effects:
        """Return the effects of s slices on residuals.

        Args:
            residuals: Residuals, [m].
            implied: As `implied_variances` gives them, [m].
            members: Which prompt is in which slice, [m, s].
        """
        parts = [
            self._effects(residuals, implied, members[:, begin : begin + _CHUNK].astype(np.float64))
            for begin in range(0, max(members.shape[1], 1), _CHUNK)
        ]
        return Effects(
            values=np.concatenate([part.values for part in parts]),
            errors=np.concatenate([part.errors for part in parts]),
            degrees=np.concatenate([part.degrees for part in parts]),
            n_inside=np.concatenate([part.n_inside for part in parts]),
            n_outside=np.concatenate([part.n_outside for part in parts]),
        )

    def _effects(self, residuals: FloatArray, implied: FloatArray, members: FloatArray) -> Effects:
        inside = self._in_domain @ members  # [d, s]
        shares = inside / self._sizes
        contrast = members - shares[self._domain_of]  # [m, s]
        information = (inside * (1 - shares)).sum(axis=0)  # [s]
        centered = self.centered(residuals[:, None])  # [m, 1]
        is_mixed = (inside > 0) & (inside < self._sizes)
        # Prompts of a domain that lies wholly inside or outside say nothing here.
        counts = np.where(is_mixed, 1.0, 0.0)[self._domain_of]
        clusters_in = ((self._in_cluster @ (members * counts)) > 0).sum(axis=0)
        clusters_out = ((self._in_cluster @ ((1 - members) * counts)) > 0).sum(axis=0)
        fewer = np.minimum(clusters_in, clusters_out).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = (contrast.T @ centered)[:, 0] / information
            left = centered - contrast * values
            robust = ((self._in_cluster @ (contrast * left)) ** 2).sum(axis=0) * fewer / (fewer - 1)
            by_model = (contrast**2).T @ implied
            errors = np.sqrt(np.maximum(robust, by_model)) / information
        is_known = (information > 0) & (fewer > 1)
        return Effects(
            values=np.where(is_known, values, np.nan),
            errors=np.where(is_known, errors, np.nan),
            degrees=fewer - 1,
            n_inside=np.where(is_mixed, inside, 0).sum(axis=0).astype(np.int64),
            n_outside=np.where(is_mixed, self._sizes - inside, 0).sum(axis=0).astype(np.int64),
        )
