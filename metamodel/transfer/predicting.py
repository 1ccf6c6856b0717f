"""Let a source's saved fits predict prompts that its run does not have, once.

Shapes: m = prompts, c = outcomes of a behavior.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from metamodel.errors import DataError, RunError
from metamodel.feature_cache import stored_under
from metamodel.information import PROBABILITY_FLOOR
from metamodel.labels import LabelSpace, task_name
from metamodel.metamodels import load_metamodel
from metamodel.splits import Fold
from metamodel.transfer.blocks import Block
from metamodel.transfer.opening import Source
from metamodel.transfer.reach import Foreign
from metamodel.types import FloatArray, content_hash


def predicted_logs(
    source: Source, foreign: Foreign, block: Block, spaces: Mapping[str, LabelSpace], *, cache: Path
) -> dict[str, FloatArray]:
    """Return log2 probabilities of the source's behaviors for prompts of a block, [m, c] each.

    Several folds' predictions are joined by the mean of their log-probabilities, normalized.

    Args:
        source: Whose metamodel.
        foreign: Which prompts, and which folds' fits.
        block: Where they stand.
        spaces: Label space of each behavior.
        cache: Folder of predictions made before.

    Raises:
        RunError: A fit is not saved.
        DataError: A fit does not predict a behavior.
    """
    texts = [block.texts[row] for row in foreign.rows]
    names = block.domain_texts()
    domains = [names[row] for row in foreign.rows]
    parts = [_one_fold(source, fold, texts, domains, spaces, cache) for fold in foreign.folds]
    return {behavior: joined_logs([part[behavior] for part in parts]) for behavior in spaces}


def joined_logs(logs: Sequence[FloatArray]) -> FloatArray:
    """Return the normalized mean of log2 probabilities, [m, c].

    >>> joined_logs([np.log2(np.array([[0.5, 0.5]])), np.log2(np.array([[0.9, 0.1]]))]).round(3).tolist()
    [[-0.415, -2.0]]
    """
    if len(logs) == 1:
        return logs[0]
    mean = np.mean(logs, axis=0)
    normalized: FloatArray = mean - np.log2(np.exp2(mean).sum(axis=1, keepdims=True))
    return np.maximum(normalized, np.log2(PROBABILITY_FLOOR))


def _one_fold(
    source: Source,
    fold: Fold,
    texts: Sequence[str],
    domains: Sequence[str],
    spaces: Mapping[str, LabelSpace],
    cache: Path,
) -> dict[str, FloatArray]:
    opened = source.opened
    name = opened.fit_name(source.metamodel, source.primary, fold)
    is_across = source.metamodel in opened.across
    tasks = {behavior: task_name(source.primary, behavior) if is_across else behavior for behavior in spaces}
    fingerprint = opened.fingerprints.get(name)
    path = None
    if fingerprint is not None:
        path = cache / f"{content_hash(fingerprint, *tasks.values(), *texts, *domains)}.safetensors"
        kept = _read(path, spaces, len(texts))
        if kept is not None:
            return kept
    if name not in opened.run.metamodel_names():
        raise RunError(f"{opened.run.path} has no metamodel {name}: run `metamodel train` with its config first")
    with stored_under(cache / "features"):  # a run that is only read must not grow
        predicted = load_metamodel(opened.run.metamodel_folder(name)).predict(texts, domains=domains)
    missing = [task for task in tasks.values() if task not in predicted]
    if missing:
        raise DataError(f"metamodel {name} of {opened.run.path} does not predict {', '.join(missing)}: train it again")
    found = {behavior: np.log2(np.maximum(predicted[task], PROBABILITY_FLOOR)) for behavior, task in tasks.items()}
    if path is not None:
        _write(path, found)
    return found


def _write(path: Path, logs: Mapping[str, FloatArray]) -> None:
    """Write under a temporary name and rename, so that a killed command leaves no half file."""
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    save_file({str(place): np.ascontiguousarray(values) for place, values in enumerate(logs.values())}, unfinished)
    unfinished.replace(path)


def _read(path: Path, spaces: Mapping[str, LabelSpace], n_prompts: int) -> dict[str, FloatArray] | None:
    """Return what was predicted before; None where it was not, or the file cannot be read."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        kept = load_file(path)
        found = {behavior: kept[str(place)] for place, behavior in enumerate(spaces)}
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    shapes = {behavior: (n_prompts, len(space.outcomes)) for behavior, space in spaces.items()}
    is_sound = all(values.shape == shapes[name] and values.dtype == np.float64 for name, values in found.items())
    return found if is_sound else None
