"""From matrices to the tables that a reader sees: one a metamodel, behavior and split, all models in it.

Shapes: s = sources, t = targets, d = domains, g = groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metamodel.metric_rows import Split
from metamodel.transfer.agreement import Agreement
from metamodel.transfer.cells import Scores, derived
from metamodel.transfer.matrices import Matrix
from metamodel.transfer.ratios import ends_around
from metamodel.transfer.verdicts import Paired
from metamodel.types import FloatArray, IntArray

# Of a cell: what `metamodel.transfer.cells.Cell` documents, and beside it the mean over all domains' worst one, the
# labels' agreement and the asymmetry, share[A, B] - share[B, A].
FIGURES: Final = (
    "n_prompts",
    "n_missing",
    "entropy",
    "bits",
    "low",
    "high",
    "native",
    "native_low",
    "share",
    "share_low",
    "share_high",
    "loss",
    "loss_low",
    "loss_high",
    "auroc",
    "worst_bits",
    "worst_low",
    "worst_high",
    "n_shared",
    "ceiling",
    "ceiling_low",
    "ceiling_high",
    "agree",
    "kappa",
    "kappa_low",
    "kappa_high",
    "asymmetry",
    "asymmetry_low",
    "asymmetry_high",
)
# Known to the tests and combined over blocks, but of no use to a reader.
_INNER: Final = ("variance", "native_variance", "covariance", "degrees", "share_variance", "asymmetry_variance")

# Noise ceilings by the target's name, behavior and split: low, value, high.
Ceilings = Mapping[tuple[str, str, str], tuple[float, float, float]]


@dataclass(frozen=True, kw_only=True, eq=False)
class TransferTable:
    """All models on all models, by one metamodel, of one behavior, on one split.

    Attributes:
        metamodel: Name of the metamodel.
        behavior: Name of the behavior.
        split: Kind of split.
        sources: Names of the rows, s of them.
        targets: Names of the columns, t of them.
        figures: Arrays by name, [s, t] each: `FIGURES`; NaN is undefined.
        worst_domains: Domain with the fewest bits in each cell, [s, t]; empty where there is none.
        n_unlabeled: Judged prompts of each target without a label, [t].
    """

    metamodel: str
    behavior: str
    split: Split
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    figures: dict[str, FloatArray]
    worst_domains: NDArray[np.object_]
    n_unlabeled: IntArray

    @property
    def is_foreign(self) -> NDArray[np.bool_]:
        """Whether source and target are two models, [s, t]."""
        return np.array([[source != target for target in self.targets] for source in self.sources])

    @property
    def paired(self) -> Paired:
        """What the tests need."""
        names = ("bits", "native", "variance", "native_variance", "covariance", "degrees")
        return Paired(**{name: self.figures[name] for name in names})


def table_of(scores: Scores, matrix: Matrix, ceilings: Ceilings) -> TransferTable:
    """Return the table of one block."""
    figures = matrix.cells
    found = derived(figures)
    arrays: dict[str, FloatArray] = {}
    for name in (*FIGURES, *_INNER):
        for holder in (figures, found):
            if hasattr(holder, name):
                arrays[name] = np.array(getattr(holder, name), dtype=np.float64)
    arrays["n_missing"] = matrix.n_missing
    arrays["native_low"] = ends_around(figures.native, figures.native_variance, figures.degrees, bias=figures.bias).low
    worst, names = _worst(matrix)
    arrays |= worst
    arrays |= _agreement(scores, matrix, ceilings)
    arrays |= _asymmetry(matrix, arrays["share"])
    return TransferTable(
        metamodel=matrix.metamodel,
        behavior=matrix.behavior,
        split=matrix.split,
        sources=tuple(one.name for one in matrix.sources),
        targets=tuple(one.name for one in matrix.targets),
        figures=arrays,
        worst_domains=names,
        n_unlabeled=matrix.n_unlabeled,
    )


def joined(parts: Sequence[TransferTable]) -> TransferTable:
    """Return one table of several blocks' targets, in the order of the sources, with the asymmetry between blocks."""
    first = parts[0]
    targets = [name for part in parts for name in part.targets]
    rank = {name: number for number, name in enumerate(first.sources)}
    order = sorted(range(len(targets)), key=lambda place: (rank.get(targets[place], len(rank)), place))
    names = tuple(targets[place] for place in order)
    arrays = {
        key: np.concatenate([part.figures[key] for part in parts], axis=1)[:, order] for key in (*FIGURES, *_INNER)
    }
    _mirror(arrays, first.sources, names)
    return TransferTable(
        metamodel=first.metamodel,
        behavior=first.behavior,
        split=first.split,
        sources=first.sources,
        targets=names,
        figures=arrays,
        worst_domains=np.concatenate([part.worst_domains for part in parts], axis=1)[:, order],
        n_unlabeled=np.concatenate([part.n_unlabeled for part in parts])[order],
    )


def _mirror(arrays: dict[str, FloatArray], sources: Sequence[str], targets: Sequence[str]) -> None:
    """Fill in share[A, B] - share[B, A] and its interval; between blocks the two are taken as independent."""
    row_of = {name: row for row, name in enumerate(sources)}
    column_of = {name: column for column, name in enumerate(targets)}
    back_rows = np.array([row_of.get(name, -1) for name in targets])
    back_columns = np.array([column_of.get(name, -1) for name in sources])
    is_both = (back_columns >= 0)[:, None] & (back_rows >= 0)[None]

    def mirrored(values: FloatArray) -> FloatArray:
        turned: FloatArray = np.where(is_both, values[back_rows][:, back_columns].T, np.nan)
        return turned

    arrays["asymmetry"] = arrays["share"] - mirrored(arrays["share"])
    apart = arrays["share_variance"] + mirrored(arrays["share_variance"])
    variance = np.where(np.isnan(arrays["asymmetry_variance"]), apart, arrays["asymmetry_variance"])
    arrays["asymmetry_variance"] = variance
    degrees = np.fmin(arrays["degrees"], mirrored(arrays["degrees"]))
    ends = ends_around(arrays["asymmetry"], variance, degrees)
    arrays["asymmetry_low"], arrays["asymmetry_high"] = ends


def _asymmetry(matrix: Matrix, share: FloatArray) -> dict[str, FloatArray]:
    """Return the variance of shares, and of the difference of the two directions within a block (delta method)."""
    native = np.where(np.isnan(share), np.nan, matrix.cells.native)
    moved = (matrix.deviations - share * matrix.native_deviations) / native  # [g, s, t]
    variance = np.full(share.shape, np.nan)
    natives = matrix.natives
    columns = [column for column, row in enumerate(natives) if row >= 0]
    rows = [natives[column] for column in columns]
    square = moved[:, rows][:, :, columns]  # [g, n, n]
    variance[np.ix_(rows, columns)] = np.square(square - np.swapaxes(square, 1, 2)).sum(axis=0)
    return {
        "share_variance": np.square(moved).sum(axis=0),
        "asymmetry_variance": variance,
        **{name: np.full(share.shape, np.nan) for name in ("asymmetry", "asymmetry_low", "asymmetry_high")},
    }


def _worst(matrix: Matrix) -> tuple[dict[str, FloatArray], NDArray[np.object_]]:
    bits = matrix.domains.bits
    shape = bits.shape[1:]
    names = np.full(shape, "", dtype=object)
    known = ~np.isnan(bits).all(axis=0)
    place = np.argmin(np.where(np.isnan(bits), np.inf, bits), axis=0)[None]
    found = derived(matrix.domains)
    arrays = {
        key: np.where(known, np.take_along_axis(values, place, axis=0)[0], np.nan)
        for key, values in (("worst_bits", bits), ("worst_low", found.low), ("worst_high", found.high))
    }
    names[known] = np.array(matrix.domain_names, dtype=object)[place[0][known]]
    return arrays, names


def _agreement(scores: Scores, matrix: Matrix, ceilings: Ceilings) -> dict[str, FloatArray]:
    """Return how far labels agree, and on the diagonal the target's own noise ceiling instead."""
    row_of = {(one.opened.name, one.primary): row for row, one in enumerate(scores.models)}
    rows = [row_of[one.opened.name, one.primary] for one in matrix.sources]
    found: Agreement = scores.agreement
    bits, variance, kappa = found.bits[rows], found.variance[rows], found.kappa[rows]
    low, high = ends_around(bits, variance, np.maximum(found.n_prompts[rows] - 1, 1))
    degrees = np.array(max(len(found.deviations) - 1, 1))
    kappa_low, kappa_high = ends_around(kappa, np.square(found.deviations[:, rows]).sum(axis=0), degrees)
    arrays = {
        "n_shared": found.n_prompts[rows],
        "ceiling": bits,
        "ceiling_low": low,
        "ceiling_high": high,
        "agree": found.agree[rows],
        "kappa": kappa,
        "kappa_low": kappa_low,
        "kappa_high": kappa_high,
    }
    for column, row in enumerate(matrix.natives):
        key = (matrix.targets[column].name, matrix.behavior, matrix.split)
        if row >= 0:
            own = ceilings.get(key, (np.nan, np.nan, np.nan))
            for name, value in zip(("ceiling_low", "ceiling", "ceiling_high"), own, strict=True):
                arrays[name][row, column] = value
    return arrays
