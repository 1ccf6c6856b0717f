"""The core of transfer without its command: who is scored on whom, streamed behavior by behavior.

    opened = open_runs(["runs/zoo", "runs/new"])
    for cell in score_cells(sources(opened[:1]), targets(opened[1:]), folder=Path("out")):
        print(cell.source, cell.target, cell.behavior, cell.bits, cell.share)

Shapes: s = sources, t = targets, d = domains.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metamodel.errors import DataError
from metamodel.metric_rows import SPLITS, Split
from metamodel.transfer.agreement import Agreement, agreement_of
from metamodel.transfer.block_labels import read_codes
from metamodel.transfer.blocks import Block, blocks_of
from metamodel.transfer.matrices import Figures, Matrix, score_block
from metamodel.transfer.moments import PIECE_BYTES
from metamodel.transfer.opening import Common, OpenedRun, Source, Target, common_behaviors
from metamodel.transfer.ratios import ends_around, ratio_ends
from metamodel.transfer.spool import Spool, fill
from metamodel.types import FloatArray

if TYPE_CHECKING:
    from metamodel.console import OnProgress


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One source's metamodel on one target's labels; what is undefined is None.

    Attributes:
        metamodel: Name of the metamodel.
        behavior: Name of the behavior.
        split: Kind of split.
        domain: The domain; None is the mean over left-out domains, or all prompts together in distribution.
        source: Primary model that the metamodel was trained on.
        target: Primary model whose labels judge.
        n_prompts: Prompts scored.
        entropy: H(F) of the target on them.
        bits: H(F) less the cross-entropy.
        low: Lower end of its 95 % interval.
        high: Upper end of it.
        native: Bits of the target's own metamodel of that name on the same prompts.
        share: bits / native; None where native is not above zero with 95 % confidence.
        share_low: Lower end of its 95 % interval (Fieller).
        share_high: Upper end of it.
        loss: native - bits.
        loss_low: Lower end of its 95 % interval, paired by prompts.
        loss_high: Upper end of it.
        auroc: Area under the receiver operating characteristic.
    """

    metamodel: str
    behavior: str
    split: Split
    domain: str | None
    source: str
    target: str
    n_prompts: int
    entropy: float | None
    bits: float | None
    low: float | None
    high: float | None
    native: float | None
    share: float | None
    share_low: float | None
    share_high: float | None
    loss: float | None
    loss_low: float | None
    loss_high: float | None
    auroc: float | None

    def to_dict(self) -> dict[str, str | int | float | None]:
        """Return it ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """All of one behavior on one block of judged prompts.

    Attributes:
        behavior: Name of the behavior.
        block: The judged prompts.
        models: Rows of the agreement: every primary model that is a source or a target.
        agreement: How far labels agree.
        matrices: One a metamodel.
    """

    behavior: str
    block: Block
    models: tuple[Target, ...]
    agreement: Agreement
    matrices: tuple[Matrix, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Derived:
    """What follows from figures, in their shape.

    Attributes:
        low: Lower end of the 95 % interval of the bits.
        high: Upper end of it.
        share: Bits over the native's, NaN where that is not above zero with 95 % confidence.
        share_low: Lower end of its 95 % interval.
        share_high: Upper end of it.
        loss: The native's bits less these.
        loss_variance: Its variance.
        loss_low: Lower end of its 95 % interval.
        loss_high: Upper end of it.
    """

    low: FloatArray
    high: FloatArray
    share: FloatArray
    share_low: FloatArray
    share_high: FloatArray
    loss: FloatArray
    loss_variance: FloatArray
    loss_low: FloatArray
    loss_high: FloatArray


def derived(figures: Figures) -> Derived:
    """Return intervals, shares and losses of figures.

    The interval of a share is that of bits and native with the entropy's bias added to both, widened to hold the value.
    """
    one = figures
    low, high = ends_around(one.bits, one.variance, one.degrees, bias=one.bias)
    share_low, share_high = ratio_ends(
        one.bits + one.bias, one.native + one.bias, (one.variance, one.native_variance, one.covariance), one.degrees
    )
    is_known = ~np.isnan(share_low) & (one.native > 0)
    share = np.divide(one.bits, one.native, out=np.full(one.bits.shape, np.nan), where=is_known)
    loss = one.native - one.bits
    variance = np.maximum(one.variance + one.native_variance - 2 * one.covariance, 0)
    loss_low, loss_high = ends_around(loss, variance, one.degrees)
    return Derived(
        low=low,
        high=high,
        share=share,
        share_low=np.where(is_known, np.fmin(share_low, share), np.nan),
        share_high=np.where(is_known, np.fmax(share_high, share), np.nan),
        loss=loss,
        loss_variance=variance,
        loss_low=loss_low,
        loss_high=loss_high,
    )


def score(
    sources: Sequence[Source],
    targets: Sequence[Target],
    *,
    folder: Path,
    common: Common | None = None,
    splits: Sequence[Split] = SPLITS,
    piece_bytes: int = PIECE_BYTES,
    on_progress: OnProgress | None = None,
) -> Iterator[Scores]:
    """Score every source on every target, behavior by behavior.

    Args:
        sources: Metamodels, from `opening.sources`.
        targets: Primary models, from `opening.targets`; they need labels, not metamodels.
        folder: Existing folder for predictions on the way; those of other runs' prompts stay in its folder `cache`.
        common: Behaviors; None takes all that the runs have in common.
        splits: Kinds of split.
        piece_bytes: Most bytes of log-probabilities in memory at once.
        on_progress: Told what is done.

    Raises:
        RunError: A run lacks predictions or fits.
        DataError: The runs have no behavior in common, or no prompt judges.
    """
    opened = distinct_runs([*sources, *targets])
    spaces = (common or common_behaviors(opened)).spaces
    blocks = blocks_of(targets, splits=splits)
    if not blocks or not sources:
        raise DataError(f"no prompt judges on {', '.join(splits)}: the runs' configs (splits) plan no such fold")
    models = _models([*targets, *sources])
    with tempfile.TemporaryDirectory(prefix=".spool-", dir=folder) as scratch:
        spool = Spool(Path(scratch), blocks, sources, spaces)
        fill(spool, cache=folder / "cache", on_progress=on_progress)
        for step, behavior in enumerate(spaces):
            if on_progress:
                on_progress(f"scores of {behavior}", step, len(spaces))
            codes_of = {one.name: read_codes(one, behavior) for one in opened}
            for number, block in enumerate(blocks):
                yield Scores(
                    behavior=behavior,
                    block=block,
                    models=models,
                    agreement=agreement_of(models, block, codes_of),
                    matrices=tuple(score_block(spool, number, behavior, codes_of, piece_bytes=piece_bytes)),
                )
        if on_progress:
            on_progress("done", len(spaces), len(spaces))


def score_cells(
    sources: Sequence[Source],
    targets: Sequence[Target],
    *,
    folder: Path,
    common: Common | None = None,
    splits: Sequence[Split] = SPLITS,
    on_progress: OnProgress | None = None,
) -> Iterator[Cell]:
    """Yield every cell, each split's summary before its domains. Arguments and errors are those of `score`."""
    for scores in score(sources, targets, folder=folder, common=common, splits=splits, on_progress=on_progress):
        for matrix in scores.matrices:
            yield from cells_of(matrix)


def cells_of(matrix: Matrix) -> Iterator[Cell]:
    """Yield the cells of a matrix, the summary before single domains."""
    whole, parts = matrix.cells, matrix.domains
    yield from _cells(matrix, whole, derived(whole), (), None)
    found = derived(parts)
    for number, name in enumerate(matrix.domain_names):
        yield from _cells(matrix, parts, found, (number,), name)


def distinct_runs(models: Sequence[Target]) -> list[OpenedRun]:
    """Return the runs of the models, each once."""
    return list({one.opened.name: one.opened for one in models}.values())


def number_or_none(value: float) -> float | None:
    """Return a plain number, None for NaN and infinity, which JSON cannot carry."""
    return float(value) if np.isfinite(value) else None


def _models(everyone: Sequence[Target]) -> tuple[Target, ...]:
    found = {(one.opened.name, one.primary): one for one in reversed(everyone)}
    return tuple(reversed(found.values()))


def _cells(
    matrix: Matrix, figures: Figures, found: Derived, index: tuple[int, ...], domain: str | None
) -> Iterator[Cell]:
    names = ("low", "high", "share", "share_low", "share_high", "loss", "loss_low", "loss_high")
    for row, source in enumerate(matrix.sources):
        for column, target in enumerate(matrix.targets):
            place = (*index, row, column)
            numbers = {name: number_or_none(getattr(found, name)[place]) for name in names}
            plain = ("entropy", "bits", "native", "auroc")
            numbers |= {name: number_or_none(getattr(figures, name)[place]) for name in plain}
            yield Cell(
                metamodel=matrix.metamodel,
                behavior=matrix.behavior,
                split=matrix.split,
                domain=domain,
                source=source.name,
                target=target.name,
                n_prompts=int(figures.n_prompts[place]),
                **numbers,
            )
