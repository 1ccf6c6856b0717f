"""Score every source on every target: one matrix a behavior, metamodel and block of judged prompts.

Within a matrix, sources that can predict the same prompts and targets that have labels on the same prompts form a
patch, scored by matrix products (`metamodel.transfer.moments`). The native metamodel, the target's own of that name, is
scored on the same prompts as the foreign one, so the two are always compared on equal ground.

Shapes: s = sources, t = targets, m = judged prompts, c = outcomes, d = domains, g = groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metamodel.labels import MISSING_CODE, Binary
from metamodel.metric_rows import Split
from metamodel.transfer.block_labels import RunCodes, block_codes, shares_of
from metamodel.transfer.blocks import Block
from metamodel.transfer.moments import PIECE_BYTES, DomainSums, MeanOverDomains, Moments, Pool, domain_sums
from metamodel.transfer.opening import Source, Target
from metamodel.transfer.ranking import auroc_matrix
from metamodel.transfer.spool import Spool
from metamodel.types import FloatArray, IntArray

_YES: Final = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Figures:
    """Figures of cells; each array is [s, t], or [d, s, t] of single domains. NaN is undefined.

    Attributes:
        n_prompts: Prompts scored.
        entropy: H(F) on them.
        bits: H(F) less the cross-entropy.
        variance: Variance of the bits.
        bias: By how many bits the plug-in entropy is expected to fall short.
        degrees: Degrees of freedom.
        native: Bits of the target's own metamodel on the same prompts.
        native_variance: Their variance.
        covariance: Of the two.
        auroc: Area under the receiver operating characteristic.
    """

    n_prompts: FloatArray
    entropy: FloatArray
    bits: FloatArray
    variance: FloatArray
    bias: FloatArray
    degrees: FloatArray
    native: FloatArray
    native_variance: FloatArray
    covariance: FloatArray
    auroc: FloatArray

    @classmethod
    def empty(cls, *shape: int) -> Figures:
        """Return figures that are all undefined, with no prompts."""
        arrays = {item.name: np.full(shape, np.nan) for item in fields(cls)}
        return cls(**(arrays | {"n_prompts": np.zeros(shape)}))


@dataclass(frozen=True, kw_only=True, eq=False)
class Matrix:
    """Every source of a metamodel on every target of a block, one behavior.

    Attributes:
        metamodel: Name of the metamodel.
        behavior: Name of the behavior.
        split: Kind of split.
        sources: Rows, s of them.
        targets: Columns, t of them.
        domain_names: Domains, d of them.
        cells: The split as a whole: the mean over left-out domains, or all prompts together in distribution, [s, t].
        domains: Single domains, [d, s, t].
        n_missing: Judged prompts with a label that the source cannot fairly predict, [s, t].
        n_unlabeled: Judged prompts without a label, [t].
        deviations: Groups' deviations of the bits (`Moments.deviations`), [g, s, t].
        native_deviations: The same of the native's, [g, s, t].
    """

    metamodel: str
    behavior: str
    split: Split
    sources: tuple[Source, ...]
    targets: tuple[Target, ...]
    domain_names: tuple[str, ...]
    cells: Figures
    domains: Figures
    n_missing: FloatArray
    n_unlabeled: IntArray
    deviations: FloatArray
    native_deviations: FloatArray

    @property
    def natives(self) -> list[int]:
        """Row of each target's own metamodel; -1 where its run has none of that name."""
        rows = {(one.opened.name, one.primary): row for row, one in enumerate(self.sources)}
        return [rows.get((one.opened.name, one.primary), -1) for one in self.targets]

    def light(self) -> Matrix:
        """Return it without its groups."""
        nothing = np.empty((0, 0, 0))
        return replace(self, deviations=nothing, native_deviations=nothing)


def score_block(
    spool: Spool, block_number: int, behavior: str, codes_of: Mapping[str, RunCodes], *, piece_bytes: int = PIECE_BYTES
) -> Iterator[Matrix]:
    """Yield one behavior's matrix on a block for each metamodel.

    Args:
        spool: Predictions.
        block_number: Which block of the spool.
        behavior: Which behavior.
        codes_of: The behavior's labels by the name of the run.
        piece_bytes: Most bytes of log-probabilities in memory at once.
    """
    block = spool.blocks[block_number]
    codes = block_codes(block.targets, block, codes_of)
    labeled = np.stack([(mine != MISSING_CODE).any(axis=1) for mine in codes], axis=1)  # [m, t]
    shares = shares_of(codes, len(spool.spaces[behavior].outcomes))
    for metamodel in spool.metamodels:
        yield _Scorer(spool, block_number, metamodel, behavior, shares, labeled, piece_bytes).matrix()


class _Scorer:
    """Fills in one matrix, patch by patch."""

    def __init__(
        self,
        spool: Spool,
        block_number: int,
        metamodel: str,
        behavior: str,
        shares: FloatArray,
        labeled: NDArray[np.bool_],
        piece_bytes: int,
    ) -> None:
        self._spool, self._number, self._metamodel, self._behavior = spool, block_number, metamodel, behavior
        self._block: Block = spool.blocks[block_number]
        self._sources = tuple(spool.sources[metamodel])
        self._shares, self._labeled, self._piece_bytes = shares, labeled, piece_bytes
        self._is_binary = isinstance(spool.spaces[behavior], Binary)
        self._n_groups = int(self._block.groups.max()) + 1

    def matrix(self) -> Matrix:
        s, t, d = len(self._sources), len(self._block.targets), len(self._block.domain_names)
        groups = np.full((2, self._n_groups, s, t), np.nan)
        found = Matrix(
            metamodel=self._metamodel,
            behavior=self._behavior,
            split=self._block.split,
            sources=self._sources,
            targets=self._block.targets,
            domain_names=self._block.domain_names,
            cells=Figures.empty(s, t),
            domains=Figures.empty(d, s, t),
            n_missing=np.zeros((s, t)),
            n_unlabeled=(~self._labeled).sum(axis=0),
            deviations=groups[0],
            native_deviations=groups[1],
        )
        reached = np.zeros((s, len(self._block)), dtype=bool)
        for row, source in enumerate(self._sources):
            reached[row, self._spool.reach(source.opened, self._number).rows] = True
        for rows, can_predict in alike(reached):
            for columns, has_label in alike(self._labeled.T):
                prompts = np.flatnonzero(can_predict & has_label)
                found.n_missing[np.ix_(rows, columns)] = int(has_label.sum()) - len(prompts)
                if len(prompts):
                    self._patch(found, rows, columns, prompts)
        return found

    def _patch(self, found: Matrix, rows: IntArray, columns: IntArray, prompts: IntArray) -> None:
        """Score sources and targets that share their prompts."""
        natives = np.array(found.natives, dtype=np.int64)[columns]
        # Natives that are not of this patch are scored on its prompts all the same, to compare with.
        scored = np.concatenate([rows, np.setdiff1d(natives[natives >= 0], rows)])
        place = {int(row): number for number, row in enumerate(scored)}
        own = np.array([place.get(int(row), -1) for row in natives], dtype=np.int64)
        total: Pool | MeanOverDomains = Pool() if self._block.split == "in_distribution" else MeanOverDomains()
        shares = self._shares[prompts][:, :, columns]
        areas = []
        for sums in self._sums(scored, prompts, shares):
            one = total.add(sums)
            mine = self._block.domains[prompts] == sums.domain
            area = self._areas(rows, prompts[mine], shares[mine])
            areas.append(area)
            for name, values in _figures(one, len(rows), own, area).items():
                getattr(found.domains, name)[sums.domain][np.ix_(rows, columns)] = values
        moments = total.moments()
        if self._block.split == "in_distribution":
            area = self._areas(rows, prompts, shares)
        else:
            area = _mean_of_known(np.stack(areas))
        for name, values in _figures(moments, len(rows), own, area).items():
            getattr(found.cells, name)[np.ix_(rows, columns)] = values
        everywhere = np.ix_(np.arange(self._n_groups), rows, columns)
        found.deviations[everywhere] = moments.deviations[:, : len(rows)]
        found.native_deviations[everywhere] = _native(moments.deviations, own)[:, None]

    def _sums(self, scored: IntArray, prompts: IntArray, shares: FloatArray) -> Iterator[DomainSums]:
        def read(start: int, stop: int) -> FloatArray:
            return self._logs(scored, prompts[start:stop])

        return domain_sums(
            read,
            shares,
            self._block.domains[prompts],
            self._block.groups[prompts],
            n_sources=len(scored),
            n_groups=self._n_groups,
            piece_bytes=self._piece_bytes,
        )

    def _logs(self, rows: IntArray, prompts: IntArray) -> FloatArray:
        low, high = int(prompts[0]), int(prompts[-1]) + 1
        logs = self._spool.read(self._number, self._metamodel, self._behavior, low, high)
        if len(rows) == len(logs) and len(prompts) == high - low and (np.diff(rows) == 1).all():
            return logs
        return logs[np.ix_(rows, prompts - low)]

    def _areas(self, rows: IntArray, prompts: IntArray, shares: FloatArray) -> FloatArray:
        t = shares.shape[2]
        if not self._is_binary:
            return np.full((len(rows), t), np.nan)
        most = max(1, self._piece_bytes // (len(self._sources) * 2 * 8))
        pieces = [self._logs(rows, prompts[start : start + most])[:, :, _YES] for start in range(0, len(prompts), most)]
        return auroc_matrix(np.concatenate(pieces, axis=1), shares[:, _YES])


def _figures(moments: Moments, n_rows: int, own: IntArray, area: FloatArray) -> dict[str, FloatArray]:
    """Return the figures of a patch's cells, [rows, columns] each, by their names in `Figures`."""
    shape = (n_rows, moments.bits.shape[1])
    deviations = moments.deviations[:, :n_rows]
    native = _native(moments.deviations, own)  # [g, t]
    curvature = moments.curvature  # of the entropy, which bits and native share
    return {
        "n_prompts": np.full(shape, float(moments.n_prompts)),
        "entropy": np.broadcast_to(moments.entropy, shape),
        "bits": moments.bits[:n_rows],
        "variance": np.square(deviations).sum(axis=0) + curvature,
        "bias": np.broadcast_to(moments.bias, shape),
        "degrees": np.full(shape, float(moments.degrees)),
        "native": np.broadcast_to(_native(moments.bits, own), shape),
        "native_variance": np.broadcast_to(np.square(native).sum(axis=0) + curvature, shape),
        "covariance": (deviations * native[:, None]).sum(axis=0) + curvature,
        "auroc": area,
    }


def _native(values: FloatArray, own: IntArray) -> FloatArray:
    """Take each target's own row of [..., s, t]: [..., t], NaN where it has none."""
    taken: FloatArray = values[..., np.maximum(own, 0), np.arange(values.shape[-1])].copy()
    taken[..., own < 0] = np.nan
    return taken


def alike(masks: NDArray[np.bool_]) -> Iterator[tuple[IntArray, NDArray[np.bool_]]]:
    """Yield the numbers of rows that are equal, with what they hold, [m]; `masks` is [rows, m]."""
    groups: dict[bytes, list[int]] = {}
    for number, mask in enumerate(masks):
        groups.setdefault(np.packbits(mask).tobytes(), []).append(number)
    for numbers in groups.values():
        yield np.array(numbers, dtype=np.int64), masks[numbers[0]]


def _mean_of_known(values: FloatArray) -> FloatArray:
    """Return the mean over the first axis of what is not NaN, NaN where nothing is known."""
    known = ~np.isnan(values)
    n = known.sum(axis=0)
    total = np.where(known, values, 0).sum(axis=0)
    mean: FloatArray = np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)
    return mean
