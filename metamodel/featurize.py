"""Stage featurize: labels over stored generations; recomputing one draws nothing."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from metamodel.dataset import read_prompts
from metamodel.engines.local import LocalEngine
from metamodel.errors import LabelError, MetamodelError
from metamodel.featurizing.batches import batch_of, partners_of
from metamodel.featurizing.label_spool import LabelSpool
from metamodel.generations import iterate_generations
from metamodel.labels import LabelSpace, label_space_to_dict
from metamodel.store.rows import table_from_rows
from metamodel.store.run_directory import RunDirectory
from metamodel.types import FloatArray, GenerationBatch, Need, content_hash

if TYPE_CHECKING:
    import pandas as pd

    from metamodel.config import RunConfig
    from metamodel.engines.base import Engine
    from metamodel.protocols import Featurizer

OnProgress: TypeAlias = Callable[[str, int, int], None]

# Rows a batch: enough to amortize a call, few enough that long outputs stay in cache.
BATCH_ROWS = 20_000


def featurize(
    run: RunDirectory, config: RunConfig, *, engine: Engine | None = None, on_progress: OnProgress | None = None
) -> None:
    """Write the labels of every behavior over the run's current generations.

    A behavior whose featurizer and generations are those of its stored labels is left alone. The others are labeled
    together, in one pass over the generations; those that ask an endpoint one after the other, in this process, so that
    what was paid for is stored as soon as it is there. An output that could not be labeled is a row in errors/, and its
    behavior is labeled again by the next call.

    Args:
        run: Where generations are read and labels written.
        config: Its behaviors are labeled.
        engine: Runs the featurizers; None runs them in this process.
        on_progress: Called with what is labeled, how many outputs are, and how many there are.

    Raises:
        RunError: Nothing was collected for one of the config's primary models.
        MetamodelError: A behavior cannot be labeled at all, or a featurizer leaves its label space.
    """
    drawn, n_rows = _drawn(run, config)
    stale = _stale(run, config, drawn)
    _refuse_missing_partners(run, config, stale)
    together = [name for name in stale if "endpoint" not in stale[name].needs]
    groups = [together] if together else []
    for names in [*groups, *([name] for name in stale if name not in together)]:
        featurizers = {name: stale[name] for name in names}
        label = names[0] if len(names) == 1 else f"{len(names)} behaviors"
        progress = _Progress(label, n_rows, on_progress)
        _label_and_write(run, config, featurizers, engine or LocalEngine(), drawn, progress)
    if on_progress:
        on_progress("done", n_rows, n_rows)


class _Progress:
    def __init__(self, label: str, n_total: int, on_progress: OnProgress | None) -> None:
        self._label, self._n_done, self._n_total, self._on_progress = label, 0, n_total, on_progress
        self.advance(0)

    def advance(self, n_more: int) -> None:
        self._n_done += n_more
        if self._on_progress is not None:
            self._on_progress(self._label, self._n_done, self._n_total)


def _label_and_write(
    run: RunDirectory,
    config: RunConfig,
    featurizers: Mapping[str, Featurizer],
    engine: Engine,
    drawn: str,
    progress: _Progress,
) -> None:
    failures: list[dict[str, object]] = []
    guarded = {
        name: _Guarded(inner=featurizer, behavior=name, failures=failures) if _asks(featurizer) else featurizer
        for name, featurizer in featurizers.items()
    }
    with tempfile.TemporaryDirectory() as scratch:
        spool = LabelSpool(Path(scratch), {name: featurizer.space for name, featurizer in featurizers.items()})
        here = LocalEngine() if any(map(_asks, featurizers.values())) else engine
        for rows, labels in _labeled(iterate_generations(run, config, rows=BATCH_ROWS), guarded, here):
            spool.add(rows, labels)
            progress.advance(len(rows))
        for name, featurizer in featurizers.items():
            run.write_shard("labels", spool.table(name), name=name)
            _write_failures(run, name, [row for row in failures if row["behavior"] == name])
            has_failed = any(row["behavior"] == name for row in failures)
            _write_facts(run, config, name, featurizer, drawn=None if has_failed else drawn)


def _labeled(
    pieces: Iterable[pd.DataFrame], featurizers: Mapping[str, Featurizer], engine: Engine
) -> Iterator[tuple[pd.DataFrame, dict[str, FloatArray]]]:
    """Yield each piece with its labels; where outputs are unknown, only behaviors that can do without see the row."""
    waiting: list[pd.DataFrame] = []
    partial: list[tuple[pd.DataFrame, GenerationBatch]] = []

    def batches() -> Iterator[GenerationBatch]:
        for piece in pieces:
            batch = batch_of(piece, partners=_partners(piece, featurizers.values()))
            if piece["text"].isna().any():
                partial.append((piece, batch))
            else:
                waiting.append(piece)
                yield batch

    for labels in engine.label(featurizers, batches()):
        yield waiting.pop(0), labels
        yield from _partly_labeled(partial, featurizers, engine)
    yield from _partly_labeled(partial, featurizers, engine)


def _partly_labeled(
    partial: list[tuple[pd.DataFrame, GenerationBatch]], featurizers: Mapping[str, Featurizer], engine: Engine
) -> Iterator[tuple[pd.DataFrame, dict[str, FloatArray]]]:
    while partial:
        piece, batch = partial.pop(0)
        labels = {name: np.full(len(batch), np.nan) for name in featurizers}
        has_text = np.flatnonzero(piece["text"].notna().to_numpy())
        for needs_text, rows in ((True, has_text), (False, np.arange(len(batch)))):
            asked = {name: one for name, one in featurizers.items() if ("text" in one.needs) == needs_text}
            if asked and len(rows):
                for found in engine.label(asked, [batch.take(rows.tolist())]):
                    for name, values in found.items():
                        labels[name][rows] = values
        yield piece, labels


def _partners(piece: pd.DataFrame, featurizers: Iterable[Featurizer]) -> Sequence[Any] | None:
    needs = {need for featurizer in featurizers for need in featurizer.needs}
    variants, others = "variants" in needs, "other_primaries" in needs
    return partners_of(piece, variants=variants, other_primaries=others) if variants or others else None


def _asks(featurizer: Featurizer) -> bool:
    return "endpoint" in featurizer.needs


@dataclass(frozen=True, kw_only=True)
class _Guarded:
    """A featurizer whose failed rows are written down and not thrown."""

    inner: Featurizer
    behavior: str
    failures: list[dict[str, object]] = field(repr=False)

    @property
    def space(self) -> LabelSpace:
        return self.inner.space

    @property
    def reads_prompt(self) -> bool:
        return self.inner.reads_prompt

    @property
    def needs(self) -> tuple[Need, ...]:
        return self.inner.needs

    def label(self, batch: GenerationBatch) -> FloatArray:
        try:
            return self.inner.label(batch)
        except LabelError as error:
            self.failures.extend(
                {
                    "stage": "featurize",
                    "prompt_id": batch.prompt_ids[row],
                    "primary": batch.primaries[row],
                    "sample": batch.samples[row],
                    "behavior": self.behavior,
                    "reason": reason,
                    "is_final": False,
                }
                for row, reason in error.reasons.items()
            )
            return np.asarray(error.labels, dtype=np.float64)


def _drawn(run: RunDirectory, config: RunConfig) -> tuple[str, int]:
    """Return a hash of all that the labels are computed from but the featurizers, and the number of stored outputs."""
    prompts = read_prompts(run)
    keys = sorted(key for part in run.iterate("generations", ["key"]) for key in part["key"].to_pylist())
    asked = json.dumps([config.sampling.fingerprint(), config.sampling.n_samples, list(config.primaries)])
    described = (prompts["prompt_id"] + prompts["attributes"]).tolist()
    return content_hash(asked, str(run.facts.get("primaries")), *described, *keys), len(keys)


def _behavior_facts(run: RunDirectory) -> dict[str, Any]:
    stored = run.facts.get("behaviors")
    return dict(stored) if isinstance(stored, Mapping) else {}


def _stale(run: RunDirectory, config: RunConfig, drawn: str) -> dict[str, Featurizer]:
    """Return the behaviors whose stored labels, if any, are not those of the config and the generations."""
    facts, specs, labeled = _behavior_facts(run), config.specs("behaviors"), set(run.shard_names("labels"))
    return {
        name: featurizer
        for name, featurizer in config.behaviors.items()
        if name not in labeled or facts.get(name, {}).get("fingerprint") != content_hash(str(specs[name]), drawn)
    }


def _write_facts(run: RunDirectory, config: RunConfig, name: str, featurizer: Featurizer, *, drawn: str | None) -> None:
    spec = config.specs("behaviors")[name]
    facts = _behavior_facts(run)
    facts[name] = {
        "space": label_space_to_dict(featurizer.space),
        "reads_prompt": featurizer.reads_prompt,
        "featurizer": spec,
        "fingerprint": "" if drawn is None else content_hash(str(spec), drawn),
    }
    run.update_facts(behaviors=facts)


def _write_failures(run: RunDirectory, name: str, rows: Sequence[dict[str, object]]) -> None:
    """Write the behavior's shard of errors/, replacing that of an earlier call."""
    shard = f"featurize-{name}"
    if rows or shard in run.shard_names("errors"):
        run.write_shard("errors", table_from_rows("errors", list(rows)), name=shard)


def _refuse_missing_partners(run: RunDirectory, config: RunConfig, featurizers: Mapping[str, Featurizer]) -> None:
    has_versions = bool(read_prompts(run)["origin_id"].notna().any())
    for name, featurizer in featurizers.items():
        if "variants" in featurizer.needs and "attributes" not in featurizer.needs and not has_versions:
            raise MetamodelError(
                f"behavior {name} compares changed versions of prompts, and this run has none: wrap a prompt source, "
                "as {kind: character_noise, source: {kind: capitals}}, and collect again"
            )
        if "other_primaries" in featurizer.needs and len(config.primaries) < 2:  # noqa: PLR2004 - a pair
            raise MetamodelError(
                f"behavior {name} compares primary models, and the config has only {', '.join(config.primaries)}: "
                "add another to primaries"
            )
