"""Runs with planted labels and predictions, as if they had been evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from metamodel.metric_rows import SPLITS
from metamodel.store.run_directory import RunDirectory
from metamodel.store.schemas import schema_of
from metamodel.types import FloatArray, IntArray

MakeRun = Callable[..., RunDirectory]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return a function that writes a run of one binary behavior `loop` with the given labels and predictions."""

    def make(
        name: str,
        labels: IntArray,
        predictions: Mapping[str, FloatArray],
        *,
        domains: Sequence[str] = ("a", "b"),
        first: int = 0,
        identity: str = "model@1",
        space: Mapping[str, object] | None = None,
        primary: str = "m",
    ) -> RunDirectory:
        """Write a run.

        Args:
            name: Name of its folder.
            labels: 0 or 1 of each prompt and sample, [n, k].
            predictions: Probability of "yes" of each prompt by metamodel, [n].
            domains: Domains, which prompts take in turns.
            first: Number of the first prompt.
            identity: Revision of the primary model: with another one, generations are others.
            space: Label space.
            primary: Name of the primary model.
        """
        run = RunDirectory.create_or_open(str(tmp_path / name), config={"name": name, "seed": 0})
        ids = [f"p{first + row}" for row in range(len(labels))]
        owner = [domains[(first + row) % len(domains)] for row in range(len(labels))]
        rows = [
            {"key": f"{identity} {ids[row]} {k}", "prompt_id": ids[row], "primary": primary, "sample": k,
             "behavior": "loop", "value": float(labels[row, k])}
            for row in range(labels.shape[0]) for k in range(labels.shape[1])
        ]  # fmt: skip
        run.write_shard("labels", pa.Table.from_pylist(rows, schema=schema_of("labels")), name="loop")
        lines = [
            {"metamodel": metamodel, "behavior": "loop", "primary": primary, "split": split, "domain": owner[row],
             "prompt_id": ids[row], "probabilities": [1 - values[row], values[row]]}
            for metamodel, values in predictions.items() for split in SPLITS for row in range(len(ids))
        ]  # fmt: skip
        run.write_shard("predictions", pa.Table.from_pylist(lines, schema=schema_of("predictions")), name=primary)
        run.update_facts(behaviors={"loop": {"space": space or {"kind": "binary"}}}, primaries={primary: identity})
        return run

    return make
