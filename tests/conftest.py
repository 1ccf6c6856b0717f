"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.store.run_directory import RunDirectory

# The suite runs one process a core; were each to start a thread a core as well, tiny models would mostly wait for one
# another. Set before torch is first imported, and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def labeled_run(tmp_path: Path) -> Callable[..., tuple[RunDirectory, RunConfig]]:
    """Return a function that makes a run with labels, as if they had been collected and featurized.

    Its argument `changes` are keys of the config. Every prompt of its six domains holds "red" or "blue", which decides
    nine labels of ten of `truncated`; `empty` is a fair coin.
    """

    def make(name: str = "run", **changes: object) -> tuple[RunDirectory, RunConfig]:
        from metamodel.config import build_config
        from metamodel.store.run_directory import RunDirectory

        config = build_config(
            {
                "name": "planted",
                "directory": str(tmp_path / name),
                "logger": "none",
                "prompts": {"sources": ["addition"]},
                "primaries": [{"kind": "zoo", "model": "lstm", "name": "planted"}],
                "behaviors": ["truncated", "empty"],
                "metamodels": ["base_rate"],
                "splits": {"in_distribution": False, "held_out_domains": ["d0", "d1"]},
                "evaluation": {"n_bootstrap": 200},
                **changes,
            }
        )
        run = RunDirectory.create_or_open(config.directory, config=config.resolved)
        _write_planted_labels(run, list(config.primaries))
        return run, config

    return make


def _write_planted_labels(run: RunDirectory, primaries: list[str]) -> None:
    import numpy as np
    import pyarrow as pa

    from metamodel.store.schemas import schema_of

    rng = np.random.default_rng(0)
    company = ("stone", "river", "cloud", "paper", "horse", "bread", "window", "garden")
    rows = [
        {
            "prompt_id": f"p{number}",
            "domain": f"d{number % 6}",
            "text": " ".join([("red", "blue")[number // 6 % 2], *rng.choice(company, 4), str(number)]),
        }
        for number in range(240)
    ]
    run.write_shard("prompts", pa.Table.from_pylist(rows, schema=schema_of("prompts")))
    for behavior in ("truncated", "empty"):
        labels = []
        for primary in primaries:
            for row in rows:
                rate = 0.5 if behavior == "empty" else 0.9 if "red" in row["text"] else 0.1
                label = {"key": f"{primary} {row['prompt_id']}", "prompt_id": row["prompt_id"], "primary": primary}
                labels.append({**label, "sample": 0, "behavior": behavior, "value": float(rng.random() < rate)})
        run.write_shard("labels", pa.Table.from_pylist(labels, schema=schema_of("labels")), name=behavior)
    run.update_facts(behaviors={name: {"space": {"kind": "binary"}} for name in ("truncated", "empty")})
