"""Rows that break careless featurizers: strategies and one shared batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import get_args

from hypothesis import strategies as st

from metamodel.text import text_batch
from metamodel.types import FinishReason, GenerationBatch, JSONValue, PartnerOutput

OLD_PRIMARY = "old"

# Blanks, NUL, lone surrogates, zero-width and direction marks, emoji, digits, and what featurizers look for.
NASTY_TEXTS = (
    "",
    " ",
    "\n\t\u3000",
    "\x00",
    "a\x00b",
    "\ud800",
    "\udfff after \ud83d",
    "\u200b\u200d\ufeff",
    "\u202eright to left",
    "שלום עולם",
    "مرحبا بالعالم",
    "👩\u200d👩\u200d👧 🇨🇭 👍🏽" * 4,
    "e\u0301 é ﬁ ½ ١٢",
    "-12.5",
    "1e999 -inf nan 1/0 \u0663\u066b\u0661",
    "the",
    "?!...",
    "no " * 20,
    "\r\n" * 10,
    "\U0001d518\U0001d52b mathematical letters and 漢字",
    "one two three four five six seven eight nine",
    "I'm sorry, as an AI I can't help with that. Perhaps (B)? The answer is (A).",
    '```python\nprint("x"\n```\n# Heading\n- item\n| a | b |\n|---|---|\n',
    '{"a": [1, {"b": null}]} ' + "[" * 200,
    "\\boxed{" * 30 + "}",
    "Answer in at least 5 words, but fewer than 3 sentences. I think the answer is yes, don't you agree?",
)


# What featurizers look for in the free-form columns, as it should be, and as it should not.
KNOWN_ATTRIBUTES: Mapping[str, JSONValue] = {
    "instruction_id_list": ["punctuation:no_comma"],
    "kwargs": [{}],
    "json_schema": {"type": "object"},
}
KNOWN_METADATA: Mapping[str, JSONValue] = {"correct": True, "pred": "A", "choice_logprobs": [-1.0, -2.0, -3.0]}
BROKEN_ATTRIBUTES: Sequence[Mapping[str, JSONValue]] = (
    {},
    {"instruction_id_list": 3, "kwargs": "x", "json_schema": {"type": 7}},
    {"instruction_id_list": ["no such"], "kwargs": [None], "json_schema": {"$ref": "#/nowhere"}},
    {"context_answer": None, "memory_answer": 3, "labels": ["A"]},
)
BROKEN_METADATA: Sequence[Mapping[str, JSONValue]] = (
    {},
    {"correct": None, "pred": 3, "choice_logprobs": "x"},
    {"correct": "maybe", "pred": ["A"], "choice_logprobs": [None, "a", True]},
    {"correct": 2.5, "pred": {}, "choice_logprobs": [-1.0]},
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One generation with its prompt."""

    text: str
    prompt_id: str = "p"
    primary: str = "new"
    prompt: str = ""
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    n_tokens: int | None = None
    finish_reason: FinishReason | None = None
    logprobs: tuple[float, ...] | None = None
    attributes: Mapping[str, JSONValue] = field(default_factory=dict)
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)
    partners: tuple[PartnerOutput, ...] = ()


def batch_of(rows: Sequence[Row]) -> GenerationBatch:
    """Return rows as a batch; rows with the same prompt id are siblings, and have all that is the prompt's from one."""
    firsts: dict[str, Row] = {}
    for row in rows:
        firsts.setdefault(row.prompt_id, row)
    owners = [firsts[row.prompt_id] for row in rows]
    batch = text_batch(
        [row.text for row in rows],
        prompts=[owner.prompt for owner in owners],
        prompt_ids=[row.prompt_id for row in rows],
        references=[owner.references for owner in owners],
        choices=[owner.choices for owner in owners],
        n_tokens=[row.n_tokens for row in rows],
        finish_reasons=[row.finish_reason for row in rows],
        logprobs=[row.logprobs for row in rows],
        attributes=[owner.attributes for owner in owners],
        metadata=[row.metadata for row in rows],
        partners=[row.partners for row in rows],
    )
    # Samples keep their rows' own numbers, whatever shares the batch.
    return replace(batch, primaries=[row.primary for row in rows], samples=[_sample(row) for row in rows])


def _sample(row: Row) -> int:
    return int(row.metadata.get("sample", 0))  # type: ignore[arg-type] # written by the strategies below


any_text = st.sampled_from(NASTY_TEXTS) | st.text("ab \n.A(", max_size=30)
any_attributes = st.sampled_from((KNOWN_ATTRIBUTES, *BROKEN_ATTRIBUTES, {"context_answer": "a", "memory_answer": "b"}))
any_metadata = st.sampled_from((KNOWN_METADATA, *BROKEN_METADATA))
any_partner = st.builds(
    PartnerOutput,
    text=any_text,
    prompt=any_text,
    references=st.lists(any_text, max_size=2).map(tuple),
    primary=st.sampled_from(("new", OLD_PRIMARY)),
    variant=st.sampled_from(("", "swap 1", "format 1", "shots 4", "counterfactual 1", "options 1")),
    attributes=any_attributes,
    metadata=any_metadata,
)


def _prompt_of(row: Row) -> Row:
    """Make all that belongs to the prompt a function of its id, as in a run directory."""
    text = NASTY_TEXTS[int(row.prompt_id) % len(NASTY_TEXTS)]
    return replace(
        row,
        prompt=text,
        references=(text, "(A)") if int(row.prompt_id) % 2 else (),
        choices=("A", text) if int(row.prompt_id) % 3 else (),
        attributes=(KNOWN_ATTRIBUTES, *BROKEN_ATTRIBUTES)[int(row.prompt_id) % 5],
    )


any_row = st.builds(
    Row,
    text=any_text,
    prompt_id=st.integers(0, 40).map(str),
    n_tokens=st.none() | st.integers(0, 10_000),
    finish_reason=st.none() | st.sampled_from(get_args(FinishReason)),
    logprobs=st.none() | st.lists(st.floats(-30, 0), max_size=4).map(tuple),
    metadata=st.builds(lambda known, sample: {**known, "sample": sample}, any_metadata, st.integers(0, 3)),
    partners=st.lists(any_partner, max_size=3).map(tuple),
).map(_prompt_of)


@cache
def nasty_rows() -> tuple[Row, ...]:
    """Return every nasty output under several nasty prompts, with and without what else may be known."""
    rows: list[Row] = []
    for place in range(len(NASTY_TEXTS)):
        for step in (0, 1):
            rows += _siblings(place, step)
    return tuple(rows)


def _siblings(place: int, step: int) -> list[Row]:
    text, other = NASTY_TEXTS[place], NASTY_TEXTS[(place + step) % len(NASTY_TEXTS)]
    partner = PartnerOutput(
        text=other,
        prompt=other,
        references=(text,),
        primary="new",
        attributes={"n_shots": 4, "context_answer": "a", "memory_answer": other},
    )
    versions = [replace(partner, variant=f"{change} 1") for change in ("swap", "format", "shots", "counterfactual")]
    partners = (*versions, replace(partner, primary=OLD_PRIMARY))
    return [
        Row(
            text=output,
            prompt_id=f"{place}-{step}",
            prompt=other,
            references=() if step == 0 else ("A", "42", other),
            choices=() if step == 0 else ("A", "B", other),
            n_tokens=None if step == 0 else len(text),
            finish_reason=None if step == 0 else "length",
            logprobs=None if step == 0 else (-0.5,) * min(len(output), 50),
            attributes=KNOWN_ATTRIBUTES if step else {},
            metadata={"sample": sample, **(KNOWN_METADATA if step else {})},
            partners=tuple(replace(partner, sample=sample) for partner in partners),
        )
        for sample, output in enumerate((text, other))
    ]
