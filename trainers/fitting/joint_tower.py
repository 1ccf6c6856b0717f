"""The text tower of `joint`: what all tasks share, a ridge regression from features to a few factors of a prompt.

Everything is closed form in the features' second moments, which are added up fold by fold once: what is chosen on
left-out domains then costs no further pass over the prompts.

Shapes: n = prompts, d = features, w = waves, b = 1 + d + w columns of the basis, o = target columns, r = factors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from metamodel.types import FloatArray
from trainers.artifacts.artifact import Artifact, Tensor
from trainers.fitting.domain_folds import DomainFold
from trainers.heads.logistic import rowwise_product
from trainers.inputs.dense import Standardizer

_CHUNK_ROWS = 4096
# Penalties tried, on features of deviation 1; the last leaves next to nothing but the mean.
PENALTIES = (10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5, 1e7)
# How much a pretrained feature may move beside one that is counted; 0 leaves it out.
BORROWED_SCALES = (0.0, 0.2, 0.5, 1.0)
# A direction with less of the targets' variance than this is rounding.
_LEAST_VARIANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Basis:
    """Standardized features, and waves of some of them.

    Random Fourier features (Rahimi and Recht, Random Features for Large-Scale Kernel Machines, 2007) of a Gaussian
    kernel whose width is the typical distance of two prompts: smooth curves and interactions, still linear in what is
    fitted. The directions come from a counter's fixed stream of random bits, so that they need not be stored.

    Attributes:
        standardizer: Brings features to one scale.
        n_waves: Waves (w); 0 leaves them out.
        n_waved: Leading features that the waves read.
    """

    standardizer: Standardizer
    n_waves: int
    n_waved: int

    @property
    def width(self) -> int:
        """Columns (b)."""
        return 1 + int(self.standardizer.table.shape[1]) + self.n_waves

    def chunks(self, raw: FloatArray) -> Iterator[FloatArray]:
        """Yield the columns of a few thousand prompts at a time, [., b]; a row never depends on the others."""
        projection, phases = _waves(self.n_waved, self.n_waves)
        for start in range(0, len(raw), _CHUNK_ROWS):
            scaled = self.standardizer.apply(raw[start : start + _CHUNK_ROWS])
            blocks = [np.ones((len(scaled), 1)), scaled]
            if self.n_waves:
                angles = rowwise_product(np.ascontiguousarray(scaled[:, : self.n_waved]), projection) + phases
                blocks.append(math.sqrt(2) * np.cos(angles))
            yield np.concatenate(blocks, axis=1)


@dataclass(frozen=True, kw_only=True)
class Tower:
    """A fitted tower.

    Attributes:
        basis: From features to columns.
        weights: From columns to factors, [b, r].
    """

    basis: Basis
    weights: FloatArray

    @classmethod
    def from_artifact(cls, artifact: Artifact, *, width: int, n_waves: int, n_waved: int) -> Tower:
        """Read the tensors that `tensors` named; whether waves were kept shows in their shape.

        Raises:
            DataError: One is missing or has another shape.
        """
        weights = artifact.weights.get("tower")
        has_waves = weights is not None and len(weights) != 1 + width
        basis = Basis(
            standardizer=Standardizer.from_artifact(artifact, width),
            n_waves=n_waves if has_waves else 0,
            n_waved=n_waved,
        )
        return cls(basis=basis, weights=artifact.floats("tower", (basis.width, None)))

    def tensors(self) -> dict[str, Tensor]:
        """Return what an artifact keeps."""
        return {**self.basis.standardizer.tensors(), "tower": self.weights.astype(np.float32)}

    def factors(self, raw: FloatArray) -> FloatArray:
        """Return the factors of each prompt, [n, r]; a row never depends on the others."""
        parts = [rowwise_product(columns, self.weights) for columns in self.basis.chunks(raw)]
        return np.concatenate([np.empty((0, self.weights.shape[1])), *parts])


class TowerFit(NamedTuple):
    """A tower and what it was like where it had not been fitted.

    Attributes:
        tower: Fitted on all prompts.
        factors: Of each prompt, by the tower that saw neither its text nor, under shift, its domain, [n, r].
        wanted: What the factors stand for, from the targets themselves, [n, r].
    """

    tower: Tower
    factors: FloatArray
    wanted: FloatArray


class _Moments(NamedTuple):
    """Sums over some prompts.

    Attributes:
        gram: Of the columns with themselves, [b, b].
        cross: Of the columns with the targets, [b, o].
    """

    gram: FloatArray
    cross: FloatArray


class _Setting(NamedTuple):
    """One way to fit.

    Attributes:
        scales: Of each column, [b]; a column of scale 0 is not used.
        penalty: On the scaled columns' weights.
    """

    scales: FloatArray
    penalty: float


def fit_tower(
    raw: FloatArray, targets: FloatArray, folds: Sequence[DomainFold], *, basis: Basis, n_borrowed: int, rank: int
) -> TowerFit:
    """Fit a tower whose penalty, waves and trust in pretrained features have the least squared error on left-out folds.

    The factors are the directions of the targets that the left-out predictions vary along most: reduced-rank regression
    (Izenman, 1975), with the directions taken from predictions that were not fitted on what they predict.

    Args:
        raw: Features, [n, d].
        targets: Columns of mean near 0 without gaps, [n, o].
        folds: At least one; together they judge each prompt once.
        basis: The richest basis.
        n_borrowed: Features at the end that a pretrained model gave.
        rank: Most factors.
    """
    of_folds = _moments_by_fold(raw, targets, folds, basis)
    total = _sum([one.judged for one in of_folds])
    n_counted = basis.width - basis.n_waves - n_borrowed
    chosen = min(
        _settings(basis, n_counted, n_borrowed),
        key=lambda setting: sum(_squared_error(_solve(one.fitted, setting), one.judged) for one in of_folds),
    )
    left_out = np.zeros((len(raw), targets.shape[1]))
    for fold, one in zip(folds, of_folds, strict=True):
        weights = _solve(one.fitted, chosen)
        left_out[fold.judge] = np.concatenate([columns @ weights for columns in basis.chunks(raw[fold.judge])])
    directions = _directions(left_out, rank)
    weights = (_solve(total, chosen) @ directions).astype(np.float32).astype(np.float64)
    if basis.n_waves and not chosen.scales[-1]:
        basis = Basis(standardizer=basis.standardizer, n_waves=0, n_waved=basis.n_waved)
    tower = Tower(basis=basis, weights=weights[: basis.width])
    return TowerFit(tower=tower, factors=left_out @ directions, wanted=targets @ directions)


class _FoldMoments(NamedTuple):
    """Moments of the prompts that a fold fits on and of those that it judges."""

    fitted: _Moments
    judged: _Moments


def _moments_by_fold(
    raw: FloatArray, targets: FloatArray, folds: Sequence[DomainFold], basis: Basis
) -> list[_FoldMoments]:
    judged = [_moments(raw[fold.judge], targets[fold.judge], basis) for fold in folds]
    found = []
    for position, fold in enumerate(folds):
        others = np.setdiff1d(np.arange(len(raw)), fold.judge)
        unfit = np.setdiff1d(others, fold.fit)  # their texts are judged here too
        rest = _sum([one for place, one in enumerate(judged) if place != position], like=judged[0])
        if len(unfit):
            twins = _moments(raw[unfit], targets[unfit], basis)
            rest = _Moments(gram=rest.gram - twins.gram, cross=rest.cross - twins.cross)
        found.append(_FoldMoments(fitted=rest, judged=judged[position]))
    return found


def _moments(raw: FloatArray, targets: FloatArray, basis: Basis) -> _Moments:
    gram, cross = np.zeros((basis.width, basis.width)), np.zeros((basis.width, targets.shape[1]))
    start = 0
    for columns in basis.chunks(raw):
        gram += columns.T @ columns
        cross += columns.T @ targets[start : start + len(columns)]
        start += len(columns)
    return _Moments(gram=gram, cross=cross)


def _sum(parts: Sequence[_Moments], like: _Moments | None = None) -> _Moments:
    first = like if like is not None else parts[0]
    gram = sum((one.gram for one in parts), np.zeros_like(first.gram))
    return _Moments(gram=gram, cross=sum((one.cross for one in parts), np.zeros_like(first.cross)))


def _settings(basis: Basis, n_counted: int, n_borrowed: int) -> Iterator[_Setting]:
    """Yield every setting, the simplest first."""
    for wave_scale in (0.0, 1.0) if basis.n_waves else (0.0,):
        for borrowed_scale in BORROWED_SCALES if n_borrowed else (0.0,):
            scales = np.repeat([1.0, borrowed_scale, wave_scale], [n_counted, n_borrowed, basis.n_waves])
            for penalty in reversed(PENALTIES):
                yield _Setting(scales=scales, penalty=penalty)


def _solve(moments: _Moments, setting: _Setting) -> FloatArray:
    """Return ridge weights, [b, o]; the first column is the intercept and hardly penalized."""
    from scipy.linalg import cho_factor, cho_solve

    used = np.flatnonzero(setting.scales)
    scales = setting.scales[used, None]
    gram = moments.gram[np.ix_(used, used)] * scales * scales.T
    gram[np.diag_indices_from(gram)] += np.where(used == 0, 1e-6, setting.penalty)
    weights = np.zeros_like(moments.cross)
    weights[used] = scales * cho_solve(cho_factor(gram, lower=True), moments.cross[used] * scales)
    return weights


def _squared_error(weights: FloatArray, judged: _Moments) -> float:
    """Return the squared error on judged prompts less the targets' own sum of squares."""
    return float((weights * (judged.gram @ weights)).sum() - 2 * (weights * judged.cross).sum())


def _directions(predictions: FloatArray, rank: int) -> FloatArray:
    """Return the directions of most variance, [o, r], scaled so that a factor is a task's typical deviation."""
    o = predictions.shape[1]
    centered = predictions - predictions.mean(axis=0)
    values, vectors = np.linalg.eigh(centered.T @ centered / max(len(centered), 1))
    kept = [column for column in range(o - 1, -1, -1) if values[column] > _LEAST_VARIANCE * o][:rank]
    directions: FloatArray = vectors[:, kept] / math.sqrt(max(o, 1))
    # An eigenvector's sign is the library's whim.
    return directions * np.where(directions.sum(axis=0) < 0, -1.0, 1.0)


@lru_cache(maxsize=4)
def _waves(n_features: int, n_waves: int) -> tuple[FloatArray, FloatArray]:
    """Return directions, [d, w], and phases, [w]; numpy promises the bit stream of PCG64 for good."""
    n_normals = n_features * n_waves
    bits = np.random.PCG64(0).random_raw(2 * n_normals + n_waves)
    uniform = (np.asarray(bits >> np.uint64(11), dtype=np.float64) + 0.5) * 2.0**-53
    radius = np.sqrt(-2 * np.log(uniform[:n_normals]))
    normals = radius * np.cos(2 * math.pi * uniform[n_normals : 2 * n_normals])  # Box and Muller, 1958
    return normals.reshape(n_features, n_waves) / math.sqrt(max(n_features, 1)), 2 * math.pi * uniform[2 * n_normals :]
