"""Labels of one behavior on a block's prompts, for many primary models, without a frame of all rows.

Shapes: p = primary models of a run, n = prompts of a run, m = judged prompts, k = samples, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metamodel.labels import MISSING_CODE, LabelSpace
from metamodel.transfer.blocks import Block
from metamodel.transfer.opening import OpenedRun, Target
from metamodel.types import FloatArray, IntArray

Codes = NDArray[np.int16]
_ROWS_AT_ONCE: Final = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class RunCodes:
    """One behavior's labels of all primary models of a run.

    Attributes:
        space: Label space.
        codes: Outcome of each sample, [p, n, k], in the order of the config's primary models and of the run's prompts;
            MISSING_CODE where there is none.
    """

    space: LabelSpace
    codes: Codes


def read_codes(opened: OpenedRun, behavior: str) -> RunCodes:
    """Read one behavior's labels.

    Args:
        opened: The run.
        behavior: Name of a behavior with labels.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    space = opened.spaces[behavior]
    primaries = list(opened.config.primaries)
    table = opened.run.read(
        "labels", columns=["prompt_id", "primary", "sample", "behavior", "value"], shard_names=[behavior]
    )
    table = table.filter(pc.equal(table["behavior"], behavior))
    n_prompts = len(opened.prompts.ids)
    prompt = pc.index_in(table["prompt_id"], value_set=pa.array(opened.prompts.ids, type=pa.string()))
    primary = pc.index_in(table["primary"], value_set=pa.array(primaries, type=pa.string()))
    is_ours = np.asarray(pc.and_(pc.is_valid(prompt), pc.is_valid(primary)))
    columns = [
        np.asarray(pc.fill_null(column, -1))[is_ours].astype(np.int64) for column in (primary, prompt, table["sample"])
    ]
    values = np.asarray(pc.fill_null(table["value"], np.nan), dtype=np.float64)[is_ours]
    n_samples = int(columns[2].max()) + 1 if len(columns[2]) else 1
    codes = np.full((len(primaries), n_prompts, n_samples), MISSING_CODE, dtype=np.int16)
    codes[tuple(columns)] = space.encode(values)
    return RunCodes(space=space, codes=codes)


def block_codes(targets: Sequence[Target], block: Block, codes_of: Mapping[str, RunCodes]) -> list[Codes]:
    """Return each target's labels of a block's prompts, [m, k]; missing where its run has no such prompt.

    Args:
        targets: Primary models.
        block: Judged prompts.
        codes_of: Labels by the name of the run.
    """
    rows_of: dict[str, IntArray] = {}
    found = []
    for target in targets:
        opened = target.opened
        if opened.name not in rows_of:
            place = {prompt_id: row for row, prompt_id in enumerate(opened.prompts.ids)}
            rows_of[opened.name] = np.array([place.get(one, -1) for one in block.ids], dtype=np.int64)
        rows = rows_of[opened.name]
        codes = codes_of[opened.name].codes[list(opened.config.primaries).index(target.primary)]
        mine = codes[np.maximum(rows, 0)]
        mine[rows < 0] = MISSING_CODE
        found.append(mine)
    return found


def shares_of(codes: Sequence[Codes], n_outcomes: int) -> FloatArray:
    """Return the share of each outcome among each prompt's samples, [m, c, t]; zeros where a prompt has no label.

    Args:
        codes: Labels of t primary models, [m, k] each; k may differ.
        n_outcomes: Outcomes c.

    >>> shares_of([np.array([[0, 1], [1, -1], [-1, -1]], dtype=np.int16)], 2)[:, :, 0].tolist()
    [[0.5, 0.5], [0.0, 1.0], [0.0, 0.0]]
    """
    shares = np.zeros((len(codes[0]), n_outcomes, len(codes)))
    for place, mine in enumerate(codes):
        for start in range(0, len(mine), _ROWS_AT_ONCE):
            rows, samples = np.nonzero(mine[start : start + _ROWS_AT_ONCE] != MISSING_CODE)
            np.add.at(shares[start : start + _ROWS_AT_ONCE, :, place], (rows, mine[start + rows, samples]), 1.0)
    totals = shares.sum(axis=1, keepdims=True)
    np.divide(shares, totals, out=shares, where=totals > 0)
    return shares


def yes_counts(codes: Sequence[Codes]) -> FloatArray:
    """Return how often "yes" was drawn for each prompt as one of 0 to k, one-hot, [m, k + 1, t]; zeros without labels.

    Prompts with fewer samples than others keep their own counts: what they say is less, not wrong.

    Args:
        codes: Labels of a binary behavior, [m, k] each.
    """
    k = max(mine.shape[1] for mine in codes)
    found = np.zeros((len(codes[0]), k + 1, len(codes)))
    for place, mine in enumerate(codes):
        is_labeled = (mine != MISSING_CODE).any(axis=1)
        rows = np.flatnonzero(is_labeled)
        found[rows, (mine[rows] == 1).sum(axis=1), place] = 1.0
    return found
