"""Which of a run's fits may predict a prompt: only those that saw neither it nor, on left-out domains, its domain.

A judged prompt is, for the run whose metamodels predict it:

- of a fold's test prompts: the prediction that `evaluate` stored is taken;
- not one of the run's prompts, but of a domain that it has: in distribution the in-distribution fit predicts it; on
  left-out domains the fit without that domain;
- of a domain that the run never had: on left-out domains every held-out fit left it out, and the mean of their
  log-probabilities, normalized, predicts it (where there are none, the in-distribution fit); in distribution nothing
  does, for the prompt is out of distribution there;
- anything else was trained on: nothing may predict it.

In all cases a prompt whose text a fit was trained or stopped on is out of its reach, under whatever id.

Shapes: m = judged prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metamodel.splits import Fold
from metamodel.transfer.blocks import Block
from metamodel.transfer.opening import OpenedRun
from metamodel.types import IntArray


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """Prompts that saved fits predict now.

    Attributes:
        rows: Their rows in the block.
        folds: The folds whose fits predict them, all together.
    """

    rows: IntArray
    folds: tuple[Fold, ...]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What a run's metamodels can fairly predict of a block.

    Attributes:
        stored: Rows whose predictions are stored.
        foreign: Rows that saved fits predict now.
        seen: Rows left out because they, or their domain, were trained on.
        elsewhere: Rows left out because no fit has their domain in distribution.
    """

    stored: IntArray
    foreign: tuple[Foreign, ...]
    seen: IntArray
    elsewhere: IntArray

    @property
    def rows(self) -> IntArray:
        """Rows that can be predicted, sorted."""
        return np.sort(np.concatenate([self.stored, *(one.rows for one in self.foreign)]))


def reach_of(opened: OpenedRun, block: Block) -> Reach:
    """Divide a block's prompts by what may predict them.

    Args:
        opened: The run whose metamodels predict.
        block: Judged prompts.
    """
    folds = [fold for fold in opened.folds if fold.split == block.split]
    own = {prompt_id: row for row, prompt_id in enumerate(opened.prompts.ids)}
    tested = {opened.prompts.ids[row] for fold in folds for row in fold.test}
    in_distribution = [fold for fold in opened.folds if fold.split == "in_distribution"]
    without = {fold.held_out_domain: fold for fold in folds}
    never_had = tuple(folds) or tuple(in_distribution)
    known = set(opened.prompts.domains)
    trained: dict[str, set[str]] = {}
    found: dict[tuple[str, ...], list[int]] = {}
    stored, seen, elsewhere = [], [], []
    by_name = {fold.name: fold for fold in opened.folds}
    for row, (prompt_id, text, domain) in enumerate(zip(block.ids, block.texts, block.domain_texts(), strict=True)):
        if prompt_id in tested:
            stored.append(row)
            continue
        able: tuple[Fold, ...] = ()
        if block.split == "in_distribution":
            able = tuple(folds) if domain in known else ()
            if domain not in known or not folds:
                elsewhere.append(row)
                continue
        elif domain not in known:
            able = never_had
        elif domain in without:
            able = (without[domain],)
        for fold in able:
            if fold.name not in trained:
                trained[fold.name] = _trained_texts(opened, fold)
        if not able or prompt_id in own or any(text in trained[fold.name] for fold in able):
            seen.append(row)
        else:
            found.setdefault(tuple(fold.name for fold in able), []).append(row)
    return Reach(
        stored=np.array(stored, dtype=np.int64),
        foreign=tuple(
            Foreign(rows=np.array(rows, dtype=np.int64), folds=tuple(by_name[name] for name in names))
            for names, rows in found.items()
        ),
        seen=np.array(seen, dtype=np.int64),
        elsewhere=np.array(elsewhere, dtype=np.int64),
    )


def _trained_texts(opened: OpenedRun, fold: Fold) -> set[str]:
    texts = opened.prompts.texts
    return {texts[row] for rows in (fold.train, fold.validation) for row in rows}
