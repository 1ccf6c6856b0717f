"""What every registered featurizer promises, ours and a third party's: pure functions of rows into a declared space."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import FrozenInstanceError, asdict, dataclass, fields, replace
from importlib.metadata import entry_points
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from metamodel.labels import MISSING_CODE, label_space_from_dict, label_space_to_dict
from metamodel.protocols import Featurizer
from metamodel.text import text_batch
from metamodel.types import FinishReason, FloatArray, GenerationBatch

FEATURIZERS: dict[str, type[Featurizer]] = {
    point.name: point.load() for point in entry_points(group="metamodel.featurizers")
}
every_featurizer = pytest.mark.parametrize("kind", sorted(FEATURIZERS))
few_examples = settings(deadline=None, max_examples=40, derandomize=True, database=None)

# Texts that break careless code: blanks, NUL, lone surrogates, zero-width and direction marks, emoji, digits.
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
    "the",
    "?!...",
    "no " * 20,
    "\r\n" * 10,
    "\U0001d518\U0001d52b mathematical letters and 漢字",
    "one two three four five six seven eight nine",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One generation with its prompt."""

    text: str
    prompt: str
    references: tuple[str, ...]
    n_tokens: int
    finish_reason: FinishReason


any_text = st.sampled_from(NASTY_TEXTS) | st.text(max_size=30) | st.text("ab \n", max_size=40)
any_row = st.builds(
    Row,
    text=any_text,
    prompt=any_text,
    references=st.lists(any_text, max_size=3).map(tuple),
    n_tokens=st.integers(0, 10_000),
    finish_reason=st.sampled_from(get_args(FinishReason)),
)


def batch_of(rows: Sequence[Row]) -> GenerationBatch:
    """Return rows as a batch; rows with the same prompt and references are siblings."""
    batch = text_batch(
        [row.text for row in rows],
        prompts=[row.prompt for row in rows],
        references=[row.references for row in rows],
        n_tokens=[row.n_tokens for row in rows],
        finish_reasons=[row.finish_reason for row in rows],
    )
    return replace(batch, prompt_ids=[repr((row.prompt, row.references)) for row in rows])


def labels_of(kind: str, rows: Sequence[Row]) -> FloatArray:
    """Return the labels of rows by a featurizer with its defaults."""
    return FEATURIZERS[kind]().label(batch_of(rows))


def test_the_six_are_registered() -> None:
    """The suite below covers the bundled behaviors only if the installed package registers them."""
    assert {"correct", "ngram_copy", "repetition_loop", "empty", "truncated", "n_tokens"} <= set(FEATURIZERS)


@every_featurizer
def test_is_a_frozen_component(kind: str) -> None:
    """A component is a value: it satisfies the protocol, compares and hashes by its fields, and never changes."""
    component = FEATURIZERS[kind]
    featurizer = component()
    assert isinstance(featurizer, Featurizer)
    assert isinstance(featurizer.reads_prompt, bool)
    assert featurizer == component()
    assert hash(featurizer) == hash(component())
    assert all(field.kw_only for field in fields(featurizer))  # type: ignore[arg-type] # the registry wants dataclasses
    with pytest.raises((FrozenInstanceError, AttributeError)):
        featurizer.space = featurizer.space  # type: ignore[misc] # what must fail


@every_featurizer
def test_fields_are_its_config(kind: str) -> None:
    """What a run directory records of a featurizer rebuilds the same one, by the reader that configs go through."""
    featurizer = FEATURIZERS[kind]()
    stored = json.dumps(asdict(featurizer))  # type: ignore[call-overload] # the registry wants dataclasses
    assert TypeAdapter(FEATURIZERS[kind]).validate_json(stored, strict=True) == featurizer


@every_featurizer
def test_documents_itself(kind: str) -> None:
    """The docstring gives the definition, label space, needs and source, and an example that doctest runs."""
    documentation = FEATURIZERS[kind].__doc__ or ""
    for part in ("Label space: ", "Needs: ", "Source: ", ">>> "):
        assert part in documentation


@every_featurizer
def test_space_survives_storage(kind: str) -> None:
    """A stored label space reads back as declared, or codes and outcome names would part."""
    space = FEATURIZERS[kind]().space
    assert label_space_from_dict(json.loads(json.dumps(label_space_to_dict(space)))) == space


@every_featurizer
@few_examples
@given(rows=st.lists(any_row, max_size=6))
def test_one_label_a_row_in_the_declared_space(kind: str, rows: list[Row]) -> None:
    """Any batch, the empty one and those without references too, gives one outcome or a missing label a row."""
    space = FEATURIZERS[kind]().space
    labels = labels_of(kind, rows)
    assert labels.shape == (len(rows),)
    assert labels.dtype == np.float64
    codes = space.encode(labels)
    assert np.array_equal(codes == MISSING_CODE, np.isnan(labels))
    assert np.all(codes < len(space.outcomes))


@every_featurizer
@few_examples
@given(rows=st.lists(any_row, min_size=1, max_size=6))
def test_batch_equals_row_by_row(kind: str, rows: list[Row]) -> None:
    """A label does not depend on what shares its batch, be it the only sample of its prompt (k = 1) or one of many."""
    siblings = [*rows, *(replace(rows[0], text=row.text) for row in rows)]
    alone = np.concatenate([labels_of(kind, [row]) for row in siblings])
    np.testing.assert_array_equal(labels_of(kind, siblings), alone)


@every_featurizer
@few_examples
@given(data=st.data(), rows=st.lists(any_row, min_size=2, max_size=8))
def test_order_does_not_matter(kind: str, data: st.DataObject, rows: list[Row]) -> None:
    """Shuffled rows get the same labels, shuffled, so that the order of shards cannot change a result."""
    order = data.draw(st.permutations(range(len(rows))))
    np.testing.assert_array_equal(labels_of(kind, [rows[i] for i in order]), labels_of(kind, rows)[list(order)])


@pytest.mark.parametrize("kind", sorted(kind for kind, made in FEATURIZERS.items() if not made().reads_prompt))
@few_examples
@given(row=any_row, prompt=any_text, references=st.lists(any_text, max_size=2).map(tuple))
def test_reads_the_prompt_only_if_it_says_so(kind: str, row: Row, prompt: str, references: tuple[str, ...]) -> None:
    """The bound of equation 3 is claimed for labels that are functions of the output: they must ignore the prompt."""
    elsewhere = replace(row, prompt=prompt, references=references)
    np.testing.assert_array_equal(labels_of(kind, [elsewhere]), labels_of(kind, [row]))


@every_featurizer
def test_nasty_texts_get_labels(kind: str) -> None:
    """Every nasty output under every nasty prompt and reference is labeled without an error, twice the same."""
    rows = [
        Row(text=text, prompt=prompt, references=references, n_tokens=len(text), finish_reason="stop")
        for text in NASTY_TEXTS
        for prompt in NASTY_TEXTS
        for references in ((), (prompt,), (prompt, text))
    ]
    labels = labels_of(kind, rows)
    FEATURIZERS[kind]().space.encode(labels)
    np.testing.assert_array_equal(labels, labels_of(kind, rows))


@every_featurizer
@pytest.mark.parametrize("piece", ["a", "ab ", "word after word ", "👍🏽", "1,", "- ", "\x00", "it's a `-.5` "])
def test_megabyte_outputs_get_labels(kind: str, piece: str) -> None:
    """A runaway output of a million characters is labeled, however repetitive it is; quadratic time would not end."""
    long = (piece * (1_000_000 // len(piece) + 1))[:1_000_000]
    row = Row(text=long, prompt=long[::-1], references=(long[1:],), n_tokens=1_000_000, finish_reason="length")
    labels = labels_of(kind, [row])
    assert not np.isnan(labels).any()
    FEATURIZERS[kind]().space.encode(labels)
