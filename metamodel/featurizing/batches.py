"""From stored rows to the batches that featurizers read, with the outputs that paired behaviors compare."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metamodel.types import GenerationBatch, PartnerOutput

if TYPE_CHECKING:
    import pandas as pd


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
        attributes=_parsed(rows["attributes"]),
        metadata=_parsed(rows["metadata"]),
        partners=[()] * len(rows) if partners is None else partners,
    )


def partners_of(rows: pd.DataFrame, *, variants: bool, other_primaries: bool) -> list[tuple[PartnerOutput, ...]]:
    """Return the outputs that each row is compared with.

    A changed prompt's rows have none: what is compared is a behavior of the prompt that it was made from.

    Args:
        rows: Generations of whole families: with a prompt, all its changed versions, of all primary models.
        variants: Whether outputs of the same primary model for changed versions of the row's prompt are wanted.
        other_primaries: Whether other primary models' outputs for the same prompt and sample are.
    """
    ids, primaries, samples = rows["prompt_id"].tolist(), rows["primary"].tolist(), rows["sample"].tolist()
    origins = _or_none(rows["origin_id"])
    outputs = _outputs(rows)
    changed: dict[tuple[str, str], list[PartnerOutput]] = defaultdict(list)
    same: dict[tuple[str, int], list[PartnerOutput]] = defaultdict(list)
    for prompt_id, primary, sample, origin, output in zip(ids, primaries, samples, origins, outputs, strict=True):
        if output is None:
            continue
        if origin is not None:
            changed[origin, primary].append(output)
        else:
            same[prompt_id, sample].append(output)
    shared = {
        key: tuple(sorted(found, key=lambda output: (output.variant, output.prompt, output.sample)))
        for key, found in changed.items()
    }
    partners: list[tuple[PartnerOutput, ...]] = []
    for prompt_id, primary, sample, origin in zip(ids, primaries, samples, origins, strict=True):
        versions = shared.get((prompt_id, primary), ()) if variants and origin is None else ()
        others = same.get((prompt_id, sample), []) if other_primaries and origin is None else []
        partners.append((*versions, *(output for output in others if output.primary != primary)))
    return partners


def _outputs(rows: pd.DataFrame) -> list[PartnerOutput | None]:
    """Return each row as a partner of others; None where its output is unknown."""
    columns = zip(
        _or_none(rows["text"]),
        rows["prompt"],
        rows["references"],
        rows["choices"],
        rows["primary"],
        rows["variant"],
        rows["sample"],
        _parsed(rows["attributes"]),
        _parsed(rows["metadata"]),
        strict=True,
    )
    return [
        None
        if text is None
        else PartnerOutput(
            text=text,
            prompt=prompt,
            references=tuple(golds),
            choices=tuple(offered),
            primary=primary,
            variant=variant or "",
            sample=int(sample),
            attributes=attributes,
            metadata=metadata,
        )
        for text, prompt, golds, offered, primary, variant, sample, attributes, metadata in columns
    ]


def _parsed(column: pd.Series[Any]) -> list[dict[str, Any]]:
    """Return JSON objects; rows with the same text, as samples of a prompt have it, share one."""
    known: dict[str, dict[str, Any]] = {}
    parsed = []
    for text in column:
        if text not in known:
            known[text] = json.loads(text)
        parsed.append(known[text])
    return parsed


def _or_none(column: pd.Series[Any]) -> list[Any]:
    return [None if missing else value for value, missing in zip(column, column.isna(), strict=True)]
