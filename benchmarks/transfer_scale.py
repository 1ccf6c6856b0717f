"""Runs as they would be for many primary models: labels and predictions written as the stages write them, at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from metamodel.config import build_config
from metamodel.store.run_directory import RunDirectory
from metamodel.store.schemas import schema_of
from metamodel.types import FloatArray

N_DOMAINS = 10


def synthetic_run(directory: Path, *, n_models: int, n_behaviors: int, n_prompts: int, seed: int = 0) -> str:
    """Write a run whose models fall into five families: each has a hidden score a prompt, seen through noise."""
    names = [f"model{number:03d}" for number in range(n_models)]
    behaviors = [f"behavior{number:02d}" for number in range(n_behaviors)]
    config = build_config(
        {
            "name": "scale",
            "directory": str(directory),
            "logger": "none",
            "prompts": {"sources": ["addition"]},
            "primaries": [{"kind": "zoo", "model": "lstm", "name": name} for name in names],
            "sampling": {"n_samples": 1, "temperature": 0},
            "behaviors": [{"kind": "truncated", "name": name} for name in behaviors],
            "metamodels": ["base_rate"],
            "splits": {"in_distribution": False, "held_out_domains": "all"},
        }
    )
    run = RunDirectory.create_or_open(config.directory, config=config.resolved)
    rng = np.random.default_rng(seed)
    ids = [f"{rng.integers(2**63):032x}" for _ in range(n_prompts)]
    domains = [f"domain{number % N_DOMAINS}" for number in range(n_prompts)]
    prompts = [
        {"prompt_id": one, "domain": domain, "text": f"prompt {one}"} for one, domain in zip(ids, domains, strict=True)
    ]
    run.write_shard("prompts", pa.Table.from_pylist(prompts, schema=schema_of("prompts")))
    hidden = rng.normal(0, 1.5, (5, n_behaviors, n_prompts))
    with run.lock():
        for place, behavior in enumerate(behaviors):
            run.write_shard("labels", _labels(ids, names, behavior, hidden[:, place], rng), name=behavior)
        for place, name in enumerate(names):
            run.write_shard(
                "predictions", _predictions(ids, domains, name, behaviors, hidden[place % 5], rng), name=name
            )
        run.update_facts(behaviors={name: {"space": {"kind": "binary"}} for name in behaviors})
    return run.path


def _labels(ids: list[str], names: list[str], behavior: str, hidden: FloatArray, rng: np.random.Generator) -> pa.Table:
    n, m = len(names), len(ids)
    rates = 1 / (1 + np.exp(-hidden[np.arange(n) % 5]))
    columns = {
        "key": pa.array([f"{name}{one}" for name in names for one in ids]),
        "prompt_id": pa.array(ids * n),
        "primary": pa.array(np.repeat(names, m)),
        "sample": pa.array(np.zeros(n * m, dtype=np.int32)),
        "behavior": pa.array([behavior] * (n * m)),
        "value": pa.array((rng.random((n, m)) < rates).astype(float).ravel()),
    }
    return pa.table(columns, schema=schema_of("labels"))


def _predictions(
    ids: list[str],
    domains: list[str],
    name: str,
    behaviors: list[str],
    hidden: FloatArray,
    rng: np.random.Generator,
) -> pa.Table:
    m, b = len(ids), len(behaviors)
    yes = 1 / (1 + np.exp(-(hidden + rng.normal(0, 0.5, hidden.shape)).ravel()))
    pairs = np.column_stack([1 - yes, yes]).ravel()
    columns = {
        "metamodel": pa.array(["base_rate"] * (b * m)),
        "behavior": pa.array(np.repeat(behaviors, m)),
        "primary": pa.array([name] * (b * m)),
        "split": pa.array(["held_out_domain"] * (b * m)),
        "domain": pa.array(domains * b),
        "prompt_id": pa.array(ids * b),
        "probabilities": pa.ListArray.from_arrays(np.arange(0, 2 * b * m + 1, 2, dtype=np.int32), pa.array(pairs)),
    }
    return pa.table(columns, schema=schema_of("predictions"))
