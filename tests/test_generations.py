"""Reading a run back piece by piece: everything once, nothing of one prompt parted, memory bounded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metamodel.config import RunConfig, build_config
from metamodel.dataset import current_generations
from metamodel.errors import RunError
from metamodel.generations import PROMPT_COLUMNS, iterate_generations
from metamodel.primaries.zoo_model import ZooModel
from metamodel.store.rows import generations_to_table, prompts_to_table
from metamodel.store.run_directory import RunDirectory
from metamodel.store.schemas import schema_of
from metamodel.types import Generation, Prompt, Sampling, generation_key

SAMPLING = Sampling(n_samples=3)
IDENTITIES = {"a": "a@1", "b": "b@1"}


def config_of(folder: Path) -> RunConfig:
    """Return a config of two primary models."""
    config = build_config(
        {
            "name": "x",
            "directory": str(folder / "r"),
            "prompts": {"sources": [{"kind": "addition"}]},
            "primaries": [{"kind": "zoo", "model": "lstm"}],
            "behaviors": ["empty"],
            "metamodels": ["base_rate"],
        }
    )
    model = ZooModel(model="lstm")
    return replace(config, primaries={"b": model, "a": model}, sampling=SAMPLING)


def prompts_with_versions(n: int) -> list[Prompt]:
    """Return prompts of which every third has two changed versions, standing at the end."""
    own = [Prompt.create(f"prompt {number}", domain="d", attributes={"n": number}) for number in range(n)]
    return [*own, *(prompt.changed("X" * number, variant=str(number)) for prompt in own[::3] for number in (1, 2))]


def generation(name: str, prompt: Prompt, sample: int) -> Generation:
    """Return one output."""
    key = generation_key(primary_identity=IDENTITIES[name], prompt_id=prompt.id, sampling=SAMPLING, sample=sample)
    text = f"{name} {prompt.text} {sample}"
    return Generation(key=key, prompt_id=prompt.id, primary=name, sample=sample, text=text)


def stored(folder: Path, prompts: list[Prompt], rows: list[Generation], *, shard_rows: int = 7) -> RunDirectory:
    """Return a run with small shards."""
    run = RunDirectory.create_or_open(str(folder / "r"), config={})
    run.update_facts(primaries=IDENTITIES)
    with run.lock():
        for begin in range(0, len(prompts), 5):
            run.write_shard("prompts", prompts_to_table(prompts[begin : begin + 5]))
        for begin in range(0, len(rows), shard_rows):
            run.write_shard("generations", generations_to_table(rows[begin : begin + shard_rows]))
    return run


@pytest.mark.parametrize("order", ["as drawn", "scattered"])
def test_every_current_row_comes_once_with_its_prompt(tmp_path: Path, order: str) -> None:
    """Whatever order rows were stored in, they come in one order, whole prompts at a time, none of another config."""
    prompts = prompts_with_versions(40)
    rows = [generation(name, prompt, sample) for name in "ab" for prompt in prompts for sample in range(3)]
    old = [replace(row, key=f"{number:032x}") for number, row in enumerate(rows[:50])]
    beyond = [generation("a", prompts[0], 3), generation("a", Prompt.create("gone", domain="d"), 0)]
    stored_rows = [*old, *rows, *beyond]
    if order == "scattered":
        stored_rows = [stored_rows[row] for row in np.random.default_rng(0).permutation(len(stored_rows))]
    run = stored(tmp_path, prompts, stored_rows)
    pieces = list(iterate_generations(run, config_of(tmp_path), rows=31))
    assert max(len(piece) for piece in pieces) <= 31
    whole = pd.concat(pieces, ignore_index=True)
    assert list(whole.columns) == [*schema_of("generations").names, *PROMPT_COLUMNS]
    expected = [
        (name, version.text, sample, f"{name} {version.text} {sample}")
        for number, origin in enumerate(prompts[:40])
        for name in "ba"
        for version in [origin, *([item for item in prompts if item.origin_id == origin.id] if number % 3 == 0 else [])]
        for sample in range(3)
    ]
    assert list(whole[["primary", "prompt", "sample", "text"]].itertuples(index=False, name=None)) == expected
    families = [set(piece["origin_id"].fillna(piece["prompt_id"])) for piece in pieces]
    assert sum(map(len, families)) == len(set.union(*families)) == 40


def test_a_prompt_with_more_rows_than_a_piece_stays_whole(tmp_path: Path) -> None:
    """The bound gives way before a prompt's samples are parted."""
    prompts = prompts_with_versions(4)
    rows = [generation(name, prompt, sample) for name in "ab" for prompt in prompts for sample in range(3)]
    run = stored(tmp_path, prompts, rows)
    assert [len(piece) for piece in iterate_generations(run, config_of(tmp_path), rows=2)] == [18, 6, 6, 18]


def test_the_whole_frame_is_the_pieces_in_its_own_order(tmp_path: Path) -> None:
    """`current_generations` holds the same rows, sorted by primary model, prompt and sample."""
    prompts = prompts_with_versions(6)
    rows = [generation(name, prompt, sample) for name in "ab" for prompt in prompts for sample in range(3)]
    run = stored(tmp_path, prompts, rows)
    frame = current_generations(run, config_of(tmp_path))
    assert frame["key"].to_list() == [
        row.key for row in sorted(rows, key=lambda row: (row.primary == "a", row.prompt_id, row.sample))
    ]


def test_a_primary_model_without_generations_is_named(tmp_path: Path) -> None:
    """A stage that reads too early says which primary model to collect, before it does anything."""
    prompts = prompts_with_versions(2)
    run = stored(tmp_path, prompts, [generation("a", prompts[0], 0)])
    with pytest.raises(RunError, match="has no generations of b"):
        iterate_generations(run, config_of(tmp_path))
    empty = RunDirectory.create_or_open(str(tmp_path / "empty"), config={})
    with pytest.raises(RunError, match="has no prompts"):
        iterate_generations(empty, config_of(tmp_path))
