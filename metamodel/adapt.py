"""Add a new primary model to a metamodel that was trained on others, from few labeled prompts of it.

Shapes: n = prompts, c = outcomes of a behavior.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from metamodel.adapt_labels import read_labels
from metamodel.bootstrap import Interval, paired_difference_interval
from metamodel.errors import DataError, MetamodelError
from metamodel.labels import TASK_SEPARATOR, LabeledPrompts, LabelSpace, LabelTable, label_space_from_dict, task_parts
from metamodel.metamodels import load_metamodel
from metamodel.protocols import Adapts, FitContext, Metamodel
from metamodel.types import FloatArray, IntArray, content_hash

MOST_FOLDS = 10
LEAST_JUDGED = 10
FEW_PROMPTS = 20


@dataclass(frozen=True, kw_only=True)
class AdaptedBehavior:
    """What the labels of one behavior gave.

    Attributes:
        behavior: Its name.
        n_prompts: Prompts with a label.
        n_labels: Labels, all samples together.
        outcomes: How often each outcome that occurs was labeled.
        gain: Bits saved beside the base rate of the same prompts, each prompt predicted by an adaptation that did not
            see it, with a 95 % interval over prompts; None with fewer than LEAST_JUDGED prompts, or where nothing was
            fitted.
        warnings: Why not to trust it too far.
    """

    behavior: str
    n_prompts: int
    n_labels: int
    outcomes: dict[str, int]
    gain: Interval | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """A metamodel adapted to a new primary model.

    Attributes:
        metamodel: Predicts the new primary model's behaviors; None where nothing was fitted.
        behaviors: What the labels gave, behavior by behavior.
        n_domains: Labeled prompts of each domain, where the table named any.
    """

    metamodel: Metamodel | None
    behaviors: tuple[AdaptedBehavior, ...]
    n_domains: Mapping[str, int]

    def to_dict(self) -> dict[str, object]:
        """Return a JSON-ready summary."""
        return {"behaviors": [asdict(one) for one in self.behaviors], "domains": dict(self.n_domains)}


def adapt(
    metamodel: str | Path,
    labels: str | Path,
    *,
    out: str | Path | None = None,
    primary: str = "",
    seed: int = 0,
    dry_run: bool = False,
) -> Adaptation:
    """Fit what a saved metamodel must know of a new primary model, and judge it on prompts left out in turn.

    What the metamodel knows of prompts stays as it is, so seconds are enough.

    Args:
        metamodel: A saved metamodel whose trainer can adapt, such as `joint`.
        labels: A .jsonl, .csv or .parquet file with a column prompt, and a column label (with a column behavior where
            there are several) or one column a behavior; see `metamodel.adapt_labels.read_labels`.
        out: Folder to save to, new or empty; None saves nothing.
        primary: Name of the new primary model; its behaviors are then named PRIMARY/BEHAVIOR, else by the behavior.
        seed: Seed of the fit.
        dry_run: Check and count the labels, fit and write nothing.

    Raises:
        DataError: The folder holds no metamodel that adapts, or a column or value is wrong; the row is named.
        MetamodelError: The output folder holds files or cannot be written.
    """
    if TASK_SEPARATOR in primary:
        raise MetamodelError(f"the primary model's name is {primary!r}, must not hold {TASK_SEPARATOR!r}")
    fitted = load_metamodel(metamodel)
    if not isinstance(fitted, Adapts):
        raise DataError(
            f"{metamodel}: a metamodel of this kind cannot be adapted: train one across primary models, such as `joint`"
        )
    folder = _checked_folder(out)
    labeled = read_labels(str(labels), _behavior_spaces(Path(metamodel)), primary=primary)
    context = FitContext(seed=seed, name=primary or "adapted")
    gains: dict[str, Interval | None] = {} if dry_run else _left_out_gains(fitted, labeled, context)
    adapted = None if dry_run else fitted.adapt(labeled, context=context)
    if adapted is not None and folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            adapted.save(folder)
        except OSError as error:
            raise MetamodelError(f"{folder} cannot be written: {error.strerror or error}") from error
    counted = [domain for domain in labeled.domains if domain]
    return Adaptation(
        metamodel=adapted,
        behaviors=tuple(_described(task, table, gains.get(task)) for task, table in labeled.labels.items()),
        n_domains={domain: counted.count(domain) for domain in dict.fromkeys(counted)},
    )


def _checked_folder(out: str | Path | None) -> Path | None:
    if out is None:
        return None
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MetamodelError(f"{folder} exists already and is not an empty folder: name another one with --out")
    return folder


def _behavior_spaces(folder: Path) -> dict[str, LabelSpace]:
    """Return the label space of each behavior of a saved metamodel that loading has checked."""
    tasks = json.loads((folder / "spec.json").read_text(encoding="utf-8"))["behaviors"]
    return {task_parts(task)[1]: label_space_from_dict(space) for task, space in tasks.items()}


def _left_out_gains(metamodel: Adapts, labeled: LabeledPrompts, context: FitContext) -> dict[str, Interval | None]:
    """Return the bits that each task saves on prompts that its adaptation did not see, beside their base rate."""
    gains: dict[str, Interval | None] = {}
    for task, table in labeled.labels.items():
        rows = np.flatnonzero(table.counts.sum(axis=1))
        if len(rows) < LEAST_JUDGED:
            gains[task] = None
            continue
        mine = LabeledPrompts(texts=labeled.texts, domains=labeled.domains, labels={task: table}).take(rows)
        counts = mine.labels[task].counts
        own, rival = np.empty(counts.shape), np.empty(counts.shape)
        for judged in _folds(mine.texts):
            others = np.setdiff1d(np.arange(len(mine)), judged)
            fitted = metamodel.adapt(mine.take(others), context=context)
            own[judged] = fitted.predict([mine.texts[row] for row in judged])[task]
            rival[judged] = _base_rate(counts[others])
        gains[task] = paired_difference_interval(counts, own, rival, seed=context.seed)
    return gains


def _folds(texts: Sequence[str]) -> list[IntArray]:
    """Deal prompts to folds of equal size in the order of their hashes."""
    order = np.argsort([content_hash(text) for text in texts], kind="stable")
    n_folds = min(MOST_FOLDS, len(texts))
    return [np.sort(order[start::n_folds]).astype(np.int64) for start in range(n_folds)]


def _base_rate(counts: IntArray) -> FloatArray:
    """Return the mean outcome distribution with half a prompt added to each outcome (Krichevsky and Trofimov), [c]."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    rate: FloatArray = (shares.sum(axis=0) + 0.5) / (len(counts) + 0.5 * counts.shape[1])
    return rate


def _described(task: str, table: LabelTable, gain: Interval | None) -> AdaptedBehavior:
    totals = table.counts.sum(axis=0)
    n_prompts = int((table.counts.sum(axis=1) > 0).sum())
    outcomes = {name: int(total) for name, total in zip(table.space.outcomes, totals, strict=True) if total}
    warnings = []
    if n_prompts < FEW_PROMPTS:
        warnings.append(
            f"{n_prompts} labeled prompts: what is predicted is mostly what the other primary models do; "
            f"label {FEW_PROMPTS} or more, 100 if you can"
        )
    if len(outcomes) == 1:
        warnings.append(f"every label is {next(iter(outcomes))}: how the prompts differ comes from other models alone")
    if gain is not None and gain.low <= 0:
        shown = "holds 0" if gain.high >= 0 else "lies below 0"
        warnings.append(f"these prompts do not show that it beats their base rate: the interval {shown}")
    return AdaptedBehavior(
        behavior=task_parts(task)[1],
        n_prompts=n_prompts,
        n_labels=int(totals.sum()),
        outcomes=outcomes,
        gain=gain,
        warnings=tuple(warnings),
    )
