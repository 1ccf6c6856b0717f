"""Read the generations that a config asks for, in pieces, however many there are.

A light index says where each one lies; texts are read piece by piece.

Shapes: n = generations, p = prompts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import RunError
from metamodel.store.keys import GenerationKeys, KeyIndex, keys_of
from metamodel.store.row_access import Places, RowAccess
from metamodel.store.run_directory import RunDirectory
from metamodel.types import IntArray

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from metamodel.config import RunConfig

# What `iterate_generations` adds of each generation's prompt.
PROMPT_COLUMNS = ("prompt", "domain", "references", "choices", "attributes", "origin_id", "variant")


def iterate_generations(run: RunDirectory, config: RunConfig, *, rows: int = 20_000) -> Iterator[pd.DataFrame]:
    """Yield the generations that the config asks for, joined with their prompts, in pieces of bounded length.

    A resumed run may also hold generations of an earlier config; they are left out. No piece parts what belongs to one
    prompt: all samples by all primary models, for it and for every changed version of it. Prompts come in the order
    that they were drawn in; below one, primary models in the config's order, then the prompt itself before its changed
    versions, then samples. Memory does not grow with the run, but for 60 bytes a generation and 50 a prompt.

    Args:
        run: A run that was collected.
        config: Its config.
        rows: Most rows a piece; more only where one prompt alone has more.

    Returns:
        Frames with the columns of `generations` and those in `PROMPT_COLUMNS`.

    Raises:
        RunError: Nothing was collected for one of the config's primary models.
    """
    prompts = _index_prompts(run)
    found = _index_generations(run, config, prompts)
    return _pieces(run, prompts, found, rows)


@dataclass(frozen=True, kw_only=True)
class _PromptIndex:
    """Where prompts lie.

    Attributes:
        ids: Numbers prompt ids in the order of the prompts.
        places: Where each prompt lies, [p].
        origins: Number of the prompt that each is a changed version of; its own for any other, [p].
    """

    ids: KeyIndex
    places: Places
    origins: IntArray


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Current generations of a part of the run or of all, [n] each."""

    places: Places
    prompts: NDArray[np.int32]
    primaries: NDArray[np.int32]
    samples: NDArray[np.int32]


def _index_prompts(run: RunDirectory) -> _PromptIndex:
    import pyarrow.compute as pc

    ids = KeyIndex()
    shards, rows, changed, origins = [], [], [], []
    for number, shard in enumerate(run.shards("prompts")):
        part = run.read_shard("prompts", shard, ["prompt_id", "origin_id"])
        first = len(ids)
        fresh = np.flatnonzero(ids.add(keys_of(part["prompt_id"].to_pylist())))
        part = part.take(fresh)
        shards.append(np.full(len(fresh), number, dtype=np.int32))
        rows.append(fresh.astype(np.int32))
        is_changed = pc.is_valid(part["origin_id"])
        changed.append(first + np.flatnonzero(is_changed.to_numpy(zero_copy_only=False)))
        origins.append(keys_of(part["origin_id"].filter(is_changed).to_pylist()))
    if not len(ids):
        raise RunError(f"{run.path} has no prompts: run `metamodel collect` first")
    origin_of = np.arange(len(ids))
    for numbers, keys in zip(changed, origins, strict=True):
        known = ids.find(keys)
        origin_of[numbers] = np.where(known >= 0, known, numbers)
    return _PromptIndex(ids=ids, places=Places(np.concatenate(shards), np.concatenate(rows)), origins=origin_of)


def _index_generations(run: RunDirectory, config: RunConfig, prompts: _PromptIndex) -> _Found:
    known = run.facts.get("primaries")
    identities = known if isinstance(known, dict) else {}
    hashers = {
        name: GenerationKeys(str(identities[name]), config.sampling) for name in config.primaries if name in identities
    }
    columns = ["key", "prompt_id", "primary", "sample"]
    parts = [
        _current_rows(run.read_shard("generations", shard, columns), number, config, hashers, prompts)
        for number, shard in enumerate(run.shards("generations"))
    ]
    seen = {int(code) for part in parts for code in np.unique(part.primaries)}
    for code, name in enumerate(config.primaries):
        if code not in seen:
            raise RunError(f"{run.path} has no generations of {name}: run `metamodel collect` first")
    return _Found(
        places=Places(*(np.concatenate([getattr(part.places, axis) for part in parts]) for axis in Places._fields)),
        prompts=np.concatenate([part.prompts for part in parts]),
        primaries=np.concatenate([part.primaries for part in parts]),
        samples=np.concatenate([part.samples for part in parts]),
    )


def _current_rows(
    part: pa.Table, shard: int, config: RunConfig, hashers: dict[str, GenerationKeys], prompts: _PromptIndex
) -> _Found:
    """Return which rows of a shard are current: their keys are those that the config's sampling gives."""
    primaries = list(config.primaries)
    ids = part["prompt_id"].to_pylist()
    samples = part["sample"].to_numpy()
    numbers = prompts.ids.find(keys_of(ids))
    stored = keys_of(part["key"].to_pylist())
    names = part["primary"].to_numpy(zero_copy_only=False)
    is_wanted = (numbers >= 0) & (samples < config.sampling.n_samples)
    codes = np.full(len(ids), -1, dtype=np.int32)
    for name, hasher in hashers.items():
        mine = np.flatnonzero((names == name) & is_wanted)
        wanted = hasher.keys([ids[row] for row in mine], samples[mine].tolist())
        codes[mine[(stored[mine] == wanted).all(axis=1)]] = primaries.index(name)
    rows = np.flatnonzero(codes >= 0)
    return _Found(
        places=Places(np.full(len(rows), shard, dtype=np.int32), rows.astype(np.int32)),
        prompts=numbers[rows].astype(np.int32),
        primaries=codes[rows],
        samples=samples[rows].astype(np.int32),
    )


def _pieces(run: RunDirectory, prompts: _PromptIndex, found: _Found, rows: int) -> Iterator[pd.DataFrame]:
    import pyarrow as pa

    origins = prompts.origins[found.prompts]
    # What was changed comes behind its origin, wherever among the prompts it stands.
    version = np.where(origins == found.prompts, -1, found.prompts)
    order = np.lexsort((found.samples, version, found.primaries, origins))
    order = order[_is_first(found.prompts[order], found.primaries[order], found.samples[order])]
    ends = _piece_ends(origins[order], rows)
    del origins, version
    of_prompts = RowAccess(run, "prompts", ["text", "domain", *PROMPT_COLUMNS[2:]])
    begin = 0
    for end, piece in zip(ends, RowAccess(run, "generations").pieces(found.places.take(order), ends), strict=True):
        numbers, back = np.unique(found.prompts[order[begin:end]], return_inverse=True)
        joined = of_prompts.take(prompts.places.take(numbers.astype(np.int64))).take(back)
        columns = [*piece.columns, *joined.columns]
        yield pa.table(columns, names=[*piece.column_names, *PROMPT_COLUMNS]).to_pandas()
        begin = end


def _is_first(*columns: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Say of each row whether it differs from the one before it, [n]."""
    differs = np.ones(len(columns[0]), dtype=np.bool_)
    differs[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return differs


def _piece_ends(groups: IntArray, rows: int) -> list[int]:
    """Return where pieces end: as late as `rows` allows, only between groups."""
    bounds = np.append(np.flatnonzero(np.diff(groups)) + 1, len(groups))
    ends: list[int] = []
    begin = 0
    while begin < len(groups):
        last = int(np.searchsorted(bounds, begin + rows, side="right")) - 1
        end = int(bounds[last]) if last >= 0 and bounds[last] > begin else 0
        if not end:
            end = int(bounds[np.searchsorted(bounds, begin, side="right")])
        ends.append(end)
        begin = end
    return ends
