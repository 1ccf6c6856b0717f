"""Stage transfer: from finished runs to tables, verdicts and trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError, MetamodelError
from metamodel.metric_rows import SPLITS, Split, rows_from_json
from metamodel.scaling.adjusting import Adjustment, adjusted
from metamodel.transfer.behaviors import BehaviorRow, BehaviorSums, Key, behavior_rows
from metamodel.transfer.blocks import Block, blocks_of
from metamodel.transfer.cells import Scores, distinct_runs, score
from metamodel.transfer.matrices import Matrix
from metamodel.transfer.moments import PIECE_BYTES
from metamodel.transfer.opening import (
    Common,
    OpenedRun,
    Source,
    Target,
    common_behaviors,
    open_runs,
    sources,
    targets,
)
from metamodel.transfer.reach import reach_of
from metamodel.transfer.tables import Ceilings, TransferTable, joined, table_of
from metamodel.transfer.trees import Distances, ModelTree
from metamodel.transfer.verdicts import CLAIMS, VERDICTS, Claim, adjusted_claims, claims, verdicts
from metamodel.types import FloatArray

if TYPE_CHECKING:
    from metamodel.console import OnProgress

DEFAULT_ALPHA: Final = 0.05
_LEAST_MODELS: Final = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class TransferPlan:
    """What will be scored.

    Attributes:
        runs: Opened runs.
        sources: Who predicts.
        targets: Whose labels judge.
        common: Behaviors.
        splits: Kinds of split.
    """

    runs: tuple[OpenedRun, ...]
    sources: tuple[Source, ...]
    targets: tuple[Target, ...]
    common: Common
    splits: tuple[Split, ...]

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON: how much there is to score and to predict."""
        blocks = blocks_of(self.targets, splits=self.splits)
        metamodels = list(dict.fromkeys(one.metamodel for one in self.sources))
        return {
            "runs": {one.name: one.run.path for one in self.runs},
            "models": [one.name for one in self.targets],
            "metamodels": metamodels,
            "behaviors": list(self.common.spaces),
            "dropped": dict(self.common.dropped),
            "n_cells": len(self.sources) * len(self.targets) * len(self.common.spaces) * len(self.splits),
            "prompts": [self._block_dict(block) for block in blocks],
        }

    def _block_dict(self, block: Block) -> dict[str, object]:
        reaches = {one.name: reach_of(one, block) for one in distinct_runs(self.sources)}
        return {
            "split": block.split,
            "domains": list(block.domain_names),
            "targets": [one.name for one in block.targets],
            "n_prompts": len(block),
            "stored": {name: len(one.stored) for name, one in reaches.items()},
            "to_predict": {name: sum(len(part.rows) for part in one.foreign) for name, one in reaches.items()},
            "trained_on": {name: len(one.seen) for name, one in reaches.items()},
            "out_of_distribution": {name: len(one.elsewhere) for name, one in reaches.items()},
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedTable:
    """A table with its tests.

    Attributes:
        table: The figures.
        p: p of each claim, [s, t].
        p_adjusted: The same, adjusted over all cells.
        p_asymmetry: Adjusted two-sided p that the two directions' shares are equal, [s, t].
        verdict: Number of the verdict in VERDICTS, -1 where nothing was tested, [s, t].
    """

    table: TransferTable
    p: Mapping[Claim, FloatArray]
    p_adjusted: Mapping[Claim, FloatArray]
    p_asymmetry: FloatArray
    verdict: NDArray[np.int8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Transfer:
    """What carries from model to model.

    Attributes:
        plan: What was scored.
        tables: One a metamodel, behavior and split.
        behaviors: Verdict of each behavior.
        trees: Dendrograms: transfer of each metamodel, and labels, on each split.
        adjust: How p was adjusted.
        alpha: Level of the verdicts.
        notes: What a reader must know.
    """

    plan: TransferPlan
    tables: tuple[JudgedTable, ...]
    behaviors: tuple[BehaviorRow, ...]
    trees: tuple[ModelTree, ...]
    adjust: Adjustment
    alpha: float
    notes: tuple[str, ...]


def plan_transfer(
    paths: Sequence[str],
    *,
    metamodels: Sequence[str] | None = None,
    behaviors: Sequence[str] | None = None,
    splits: Sequence[Split] = SPLITS,
) -> TransferPlan:
    """Open runs and say what there is to score.

    Args:
        paths: Run directories.
        metamodels: Names to keep; None keeps all.
        behaviors: Names to keep; None keeps all that the runs have in common.
        splits: Kinds of split.

    Raises:
        RunError: A run is not evaluated.
        DataError: There are fewer than two primary models, or nothing in common.
    """
    opened = open_runs(paths)
    everyone = targets(opened)
    if len(everyone) < _LEAST_MODELS:
        raise DataError(
            f"{', '.join(paths)} has one primary model ({everyone[0].name}): transfer needs two; name more runs"
        )
    return TransferPlan(
        runs=tuple(opened),
        sources=tuple(sources(opened, metamodels=metamodels)),
        targets=tuple(everyone),
        common=common_behaviors(opened, wanted=behaviors),
        splits=tuple(splits),
    )


def transfer(
    plan: TransferPlan,
    folder: Path,
    *,
    adjust: Adjustment = "fdr_bh",
    alpha: float = DEFAULT_ALPHA,
    piece_bytes: int = PIECE_BYTES,
    on_matrix: Callable[[Matrix], None] | None = None,
    on_progress: OnProgress | None = None,
) -> Transfer:
    """Score everything, test it, and cluster the models.

    Args:
        plan: What to score.
        folder: Existing folder for what is kept on the way.
        adjust: How p is adjusted over all cells.
        alpha: Level of the verdicts.
        piece_bytes: Most bytes of log-probabilities in memory at once.
        on_matrix: Given each matrix once, single domains included; none of them is kept.
        on_progress: Told what is done.
    """
    gathered = _Gathered(plan)
    for scores in score(
        plan.sources,
        plan.targets,
        folder=folder,
        common=plan.common,
        splits=plan.splits,
        piece_bytes=piece_bytes,
        on_progress=on_progress,
    ):
        gathered.add(scores)
        if on_matrix:
            for matrix in scores.matrices:
                on_matrix(matrix)
    tables = _judged([joined(parts) for parts in gathered.parts.values()], adjust=adjust, alpha=alpha)
    return Transfer(
        plan=plan,
        tables=tuple(tables),
        behaviors=tuple(
            behavior_rows(
                gathered.sums,
                {_key(one.table): _verdict_counts(one) for one in tables},
                {_key(one.table): _mean_kappa(one.table) for one in tables},
                adjust=adjust,
                alpha=alpha,
            )
        ),
        trees=tuple(gathered.trees()),
        adjust=adjust,
        alpha=alpha,
        notes=tuple(_notes(plan, tables)),
    )


class _Gathered:
    """What is kept of scores that pass by: tables, sums over pairs, distances."""

    def __init__(self, plan: TransferPlan) -> None:
        self.parts: dict[Key, list[TransferTable]] = {}
        self.sums: dict[Key, BehaviorSums] = {}
        self._names = tuple(one.name for one in plan.targets)
        self._number = {name: place for place, name in enumerate(self._names)}
        self._ceilings = _stored_ceilings(plan.targets)
        self._transfer: dict[tuple[str, Split], Distances] = {}
        self._labels: dict[Split, Distances] = {}
        self._seeds: dict[int, int] = {}

    def add(self, scores: Scores) -> None:
        seed = self._seeds.setdefault(id(scores.block), len(self._seeds))
        for matrix in scores.matrices:
            key = (matrix.metamodel, matrix.behavior, matrix.split)
            self.parts.setdefault(key, []).append(table_of(scores, matrix, self._ceilings))
            self.sums.setdefault(key, BehaviorSums()).add(matrix)
            self._add_losses(matrix, seed)
        found, split = scores.agreement, scores.block.split
        if split not in self._labels:
            self._labels[split] = Distances(self._names)
        rows = np.array([self._number[one.name] for one in scores.models], dtype=np.int64)
        columns = np.array([self._number[one.name] for one in scores.block.targets], dtype=np.int64)
        self._labels[split].add(1 - found.kappa, -found.deviations, rows, columns, seed=seed)

    def trees(self) -> Iterator[ModelTree]:
        for (metamodel, split), distances in self._transfer.items():
            tree = distances.tree(kind="transfer", metamodel=metamodel, split=split)
            if tree:
                yield tree
        for split, distances in self._labels.items():
            tree = distances.tree(kind="labels", metamodel="", split=split)
            if tree:
                yield tree

    def _add_losses(self, matrix: Matrix, seed: int) -> None:
        place = (matrix.metamodel, matrix.split)
        if place not in self._transfer:
            self._transfer[place] = Distances(self._names)
        cells = matrix.cells
        entropy = np.where(cells.entropy > 0, cells.entropy, np.nan)
        rows = np.array([self._number[one.name] for one in matrix.sources], dtype=np.int64)
        columns = np.array([self._number[one.name] for one in matrix.targets], dtype=np.int64)
        values = (cells.native - cells.bits) / entropy
        deviations = (matrix.native_deviations - matrix.deviations) / entropy
        self._transfer[place].add(values, deviations, rows, columns, seed=seed)


def _judged(tables: Sequence[TransferTable], *, adjust: Adjustment, alpha: float) -> list[JudgedTable]:
    """Test all cells of two models as one family, and the asymmetries as another."""
    from scipy.special import stdtr

    found = [claims(one.paired) for one in tables]
    flat = {claim: np.concatenate([one[claim].ravel() for one in found]) for claim in CLAIMS}
    is_foreign = np.concatenate([one.is_foreign.ravel() for one in tables])
    whole = adjusted_claims(flat, is_foreign, adjust)
    judged = []
    start = 0
    for table, mine in zip(tables, found, strict=True):
        shape = table.figures["bits"].shape
        stop = start + table.figures["bits"].size
        tested = {claim: whole[claim][start:stop].reshape(shape) for claim in CLAIMS}
        start = stop
        with np.errstate(divide="ignore", invalid="ignore"):
            t = table.figures["asymmetry"] / np.sqrt(table.figures["asymmetry_variance"])
        judged.append(
            JudgedTable(
                table=table,
                p=mine,
                p_adjusted=tested,
                p_asymmetry=np.where(table.is_foreign, 2 * stdtr(table.figures["degrees"], -np.abs(t)), np.nan),
                verdict=verdicts(tested, table.figures["native_low"] > 0, alpha=alpha),
            )
        )
    every = np.concatenate([one.p_asymmetry.ravel() for one in judged])
    known = ~np.isnan(every)
    # Each pair stands here twice, with the same p: doubling all of a family leaves Benjamini and Hochberg's as it is.
    every[known] = adjusted(every[known], adjust)
    for one, part in zip(
        judged, np.split(every, np.cumsum([one.p_asymmetry.size for one in judged])[:-1]), strict=True
    ):
        one.p_asymmetry[...] = part.reshape(one.p_asymmetry.shape)
    return judged


def _key(table: TransferTable) -> Key:
    return (table.metamodel, table.behavior, table.split)


def _verdict_counts(one: JudgedTable) -> dict[str, int]:
    mine = one.verdict[one.table.is_foreign]
    return {name: int((mine == number).sum()) for number, name in enumerate(VERDICTS) if (mine == number).any()}


def _mean_kappa(table: TransferTable) -> float:
    kappa = table.figures["kappa"][table.is_foreign]
    return float(np.nanmean(kappa)) if not np.isnan(kappa).all() else float("nan")


def _stored_ceilings(models: Sequence[Target]) -> Ceilings:
    """Return the noise ceilings that `evaluate` stored; a run without readable metrics has none."""
    found: dict[tuple[str, str, str], tuple[float, float, float]] = {}
    for opened in distinct_runs(models):
        names = {one.primary: one.name for one in models if one.opened is opened}
        try:
            rows = rows_from_json(opened.run.read_text("metrics.json"))
        except MetamodelError:
            continue
        for row in rows:
            ends = (row.ceiling_low_bits, row.ceiling_bits, row.ceiling_high_bits)
            if row.domain is None and row.primary in names and None not in ends:
                low, bits, high = (float("nan") if end is None else end for end in ends)
                found[names[row.primary], row.behavior, row.split] = (low, bits, high)
    return found


def _notes(plan: TransferPlan, tables: Sequence[JudgedTable]) -> Iterator[str]:
    for name, reason in plan.common.dropped.items():
        yield f"behavior {name} left out: {reason}"
    yield from plan.common.doubts
    for block in blocks_of(plan.targets, splits=plan.splits):
        for opened in distinct_runs(plan.sources):
            found = reach_of(opened, block)
            who = (
                f"{opened.name} on {len(block)} prompts of {', '.join(sorted({t.opened.name for t in block.targets}))}"
            )
            where = block.split.replace("_", " ")
            n_new = sum(len(one.rows) for one in found.foreign)
            if n_new:
                yield f"{who}, {where}: {n_new} are not its own, its saved metamodels predict them"
            if len(found.seen):
                yield f"{who}, {where}: {len(found.seen)} left out, they or their domain were trained on"
            if len(found.elsewhere):
                yield f"{who}, {where}: {len(found.elsewhere)} left out, their domains are none of its own"
    yield from _gaps(tables)
    across = sorted({name for opened in plan.runs for name in opened.across})
    if across:
        yield f"{', '.join(across)} saw labels of all primary models of a run: within it, that is no transfer"


def _gaps(tables: Sequence[JudgedTable]) -> Iterator[str]:
    seen = set()
    for one in tables:
        table = one.table
        place = (table.behavior, table.split)
        n = {name: int(count) for name, count in zip(table.targets, table.n_unlabeled, strict=True) if count}
        if n and place not in seen:
            seen.add(place)
            most = max(n, key=n.__getitem__)
            yield (
                f"{table.behavior}, {table.split.replace('_', ' ')}: {len(n)} of {len(table.targets)} models have "
                f"judged prompts without a label, at most {n[most]} ({most})"
            )
