"""Stage featurize: labels over stored generations; recomputing one draws nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from metamodel.dataset import current_generations
from metamodel.labels import label_space_to_dict
from metamodel.store.run_directory import RunDirectory
from metamodel.store.schemas import schema_of
from metamodel.types import GenerationBatch, PartnerOutput, content_hash

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from metamodel.config import RunConfig
    from metamodel.protocols import Featurizer

# Rows a batch: enough to amortize a call, few enough that long outputs stay in cache.
BATCH_ROWS = 20_000


def featurize(
    run: RunDirectory, config: RunConfig, *, on_progress: Callable[[str, int, int], None] | None = None
) -> None:
    """Write the labels of every behavior over the run's current generations.

    A behavior whose featurizer and generations are those of its stored labels is left alone.
    """
    generations = current_generations(run, config)
    drawn = content_hash(*generations["key"])
    stored = run.facts.get("behaviors")
    facts: dict[str, Any] = dict(stored) if isinstance(stored, Mapping) else {}
    specs = config.specs("behaviors")
    for position, (name, featurizer) in enumerate(config.behaviors.items()):
        if on_progress:
            on_progress(name, position, len(config.behaviors))
        fingerprint = content_hash(str(specs[name]), drawn)
        if facts.get(name, {}).get("fingerprint") == fingerprint and name in run.shard_names("labels"):
            continue
        run.write_shard("labels", _label_table(name, featurizer, generations), name=name)
        facts[name] = {
            "space": label_space_to_dict(featurizer.space),
            "reads_prompt": featurizer.reads_prompt,
            "featurizer": specs[name],
            "fingerprint": fingerprint,
        }
        run.update_facts(behaviors=facts)
    if on_progress:
        on_progress("done", len(config.behaviors), len(config.behaviors))


def _label_table(name: str, featurizer: Featurizer, generations: pd.DataFrame) -> pa.Table:
    import pyarrow as pa

    values = np.concatenate([featurizer.label(batch) for batch in _batches(generations)])
    return pa.table(
        {
            "key": generations["key"].to_numpy(),
            "prompt_id": generations["prompt_id"].to_numpy(),
            "primary": generations["primary"].to_numpy(),
            "sample": generations["sample"].to_numpy(),
            "behavior": [name] * len(generations),
            "value": pa.array(values, mask=np.isnan(values)),
        },
        schema=schema_of("labels"),
    )


def _batches(generations: pd.DataFrame) -> Iterable[GenerationBatch]:
    """Yield batches that never part the samples of a prompt; rows come sorted by primary model and prompt."""
    group = (generations["primary"] + "\0" + generations["prompt_id"]).to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    begin = 0
    while begin < len(generations):
        later = starts[starts >= begin + BATCH_ROWS]
        end = int(later[0]) if len(later) else len(generations)
        yield batch_of(generations.iloc[begin:end])
        begin = end


def batch_of(rows: pd.DataFrame, *, partners: Sequence[Sequence[PartnerOutput]] | None = None) -> GenerationBatch:
    """Return the columns a featurizer reads.

    Args:
        rows: Generations joined with their prompts, as `current_generations` gives them.
        partners: The outputs to compare each row with.
    """
    return GenerationBatch(
        texts=["" if text is None else text for text in _or_none(rows["text"])],
        prompts=rows["prompt"].tolist(),
        references=[tuple(golds) for golds in rows["references"]],
        choices=[tuple(offered) for offered in rows["choices"]],
        domains=rows["domain"].tolist(),
        prompt_ids=rows["prompt_id"].tolist(),
        primaries=rows["primary"].tolist(),
        samples=rows["sample"].tolist(),
        n_tokens=[None if count is None else int(count) for count in _or_none(rows["n_tokens"])],
        finish_reasons=_or_none(rows["finish_reason"]),
        logprobs=rows["logprobs"].tolist(),
        attributes=[json.loads(text) for text in rows["attributes"]],
        metadata=[json.loads(text) for text in rows["metadata"]],
        partners=[()] * len(rows) if partners is None else partners,
    )


def _or_none(column: pd.Series[Any]) -> list[Any]:
    return [None if missing else value for value, missing in zip(column, column.isna(), strict=True)]
