"""Runs made by hand, as if they had been collected, featurized, trained and evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from metamodel.store.run_directory import RunDirectory
    from metamodel.types import FloatArray


@dataclass(frozen=True, kw_only=True)
class MadeRun:
    """What a made run holds.

    Attributes:
        run: The run directory.
        labels: Values by primary model and behavior, [prompts, samples].
        predictions: Probabilities by metamodel, primary model and behavior, [prompts, outcomes]; the same in all folds.
        ids: Prompt ids.
        domains: Domain of each prompt.
    """

    run: RunDirectory
    labels: Mapping[tuple[str, str], FloatArray]
    predictions: Mapping[tuple[str, str, str], FloatArray]
    ids: Sequence[str]
    domains: Sequence[str]


MakeRun = Callable[..., MadeRun]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return a function that makes an evaluated run; labels and predictions are random where none are given."""

    def make(  # noqa: PLR0913 - all that a test may want otherwise
        name: str = "run",
        *,
        primaries: Sequence[str] = ("a", "b", "c"),
        texts: Sequence[str] | None = None,
        domains: Sequence[str] | None = None,
        spaces: Mapping[str, Mapping[str, object]] | None = None,
        labels: Mapping[tuple[str, str], FloatArray] | None = None,
        predictions: Mapping[tuple[str, str, str], FloatArray] | None = None,
        metamodels: Sequence[str] = ("base_rate",),
        n_prompts: int = 120,
        n_samples: int = 1,
        is_evaluated: bool = True,
        seed: int = 0,
        **changes: object,
    ) -> MadeRun:
        import numpy as np

        from metamodel.config import build_config
        from metamodel.labels import label_space_from_dict
        from metamodel.store.run_directory import RunDirectory

        rng = np.random.default_rng(seed)
        spaces = spaces or {"truncated": {"kind": "binary"}}
        texts = texts or [f"{name} prompt {number}" for number in range(n_prompts)]
        domains = domains or [f"d{number % 4}" for number in range(len(texts))]
        ids = [f"{domain}-{text}" for domain, text in zip(domains, texts, strict=True)]
        config = build_config(
            {
                "name": "made",
                "directory": str(tmp_path / name),
                "logger": "none",
                "prompts": {"sources": ["addition"]},
                "primaries": [{"kind": "zoo", "model": "lstm", "name": primary} for primary in primaries],
                "behaviors": list(spaces),
                "metamodels": list(metamodels),
                "evaluation": {"n_bootstrap": 200},
                **changes,
            }
        )
        run = RunDirectory.create_or_open(config.directory, config=config.resolved)
        given_labels, given = dict(labels or {}), dict(predictions or {})
        for primary in primaries:
            for behavior, space in spaces.items():
                c = len(label_space_from_dict(dict(space)).outcomes)
                drawn = rng.integers(0, c, (len(texts), n_samples)).astype(float)
                given_labels.setdefault((primary, behavior), drawn)
                for metamodel in metamodels:
                    given.setdefault((metamodel, primary, behavior), rng.dirichlet(np.ones(c), len(texts)))
        made = MadeRun(run=run, labels=given_labels, predictions=given, ids=ids, domains=domains)
        _write(made, texts, spaces)
        if is_evaluated:
            _write_predictions(made, config.resolved)
        return made

    return make


def _write(made: MadeRun, texts: Sequence[str], spaces: Mapping[str, Mapping[str, object]]) -> None:
    import pyarrow as pa

    from metamodel.store.schemas import schema_of

    prompts = [
        {"prompt_id": one, "domain": domain, "text": text}
        for one, domain, text in zip(made.ids, made.domains, texts, strict=True)
    ]
    made.run.write_shard("prompts", pa.Table.from_pylist(prompts, schema=schema_of("prompts")))
    for behavior in spaces:
        rows = [
            {
                "key": f"{primary} {prompt_id} {sample}",
                "prompt_id": prompt_id,
                "primary": primary,
                "sample": sample,
                "behavior": behavior,
                "value": None if value != value else float(value),  # noqa: PLR0124 - NaN
            }
            for (primary, one), values in made.labels.items()
            if one == behavior
            for prompt_id, samples in zip(made.ids, values, strict=True)
            for sample, value in enumerate(samples)
        ]
        made.run.write_shard("labels", pa.Table.from_pylist(rows, schema=schema_of("labels")), name=behavior)
    made.run.update_facts(behaviors={name: {"space": dict(space)} for name, space in spaces.items()})


def _write_predictions(made: MadeRun, resolved: Mapping[str, object]) -> None:
    import pyarrow as pa

    from metamodel.store.schemas import schema_of
    from metamodel.transfer.opening import open_runs

    del resolved
    (opened,) = open_runs([made.run.path])
    primaries = dict.fromkeys(primary for _, primary, _ in made.predictions)
    for primary in primaries:
        rows = [
            {
                "metamodel": metamodel,
                "behavior": behavior,
                "primary": primary,
                "split": fold.split,
                "domain": made.domains[row],
                "prompt_id": made.ids[row],
                "probabilities": probabilities[row].tolist(),
            }
            for (metamodel, owner, behavior), probabilities in made.predictions.items()
            if owner == primary
            for fold in opened.folds
            for row in fold.test
        ]
        made.run.write_shard("predictions", pa.Table.from_pylist(rows, schema=schema_of("predictions")), name=primary)
