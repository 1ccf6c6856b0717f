"""What every registered featurizer promises, ours and a third party's: pure functions of rows into a declared space."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import FrozenInstanceError, asdict, fields, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from contract_rows import NASTY_TEXTS, Row, any_row, batch_of, nasty_rows
from featurizer_examples import ASKING, RUNAWAY_PIECES, example, kinds
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from metamodel.behaviors.docs import read_docstring
from metamodel.labels import MISSING_CODE, label_space_from_dict, label_space_to_dict
from metamodel.protocols import Featurizer
from metamodel.types import FloatArray, Need

KINDS = kinds()
every_featurizer = pytest.mark.parametrize("kind", KINDS)
every_labeler = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ASKING])
few_examples = settings(deadline=None, max_examples=6, derandomize=True, database=None)

# What each need lets a featurizer read; a column that no need of its covers must not matter to it.
COLUMNS: dict[str, tuple[Need, ...]] = {
    "prompts": ("prompt",),
    "references": ("references",),
    "choices": ("choices",),
    "attributes": ("attributes",),
    "metadata": ("metadata",),
    "n_tokens": ("n_tokens",),
    "finish_reasons": ("finish_reason",),
    "logprobs": ("logprobs",),
    "partners": ("variants", "other_primaries"),
    "domains": (),
}
ABOUT_THE_PROMPT: set[Need] = {"prompt", "references", "choices", "attributes", "variants", "other_primaries"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where examples that need a file have it."""
    return tmp_path_factory.mktemp("featurizers")


@pytest.fixture
def featurizer(kind: str, folder: Path) -> Featurizer:
    """Return the featurizer with its defaults, or with the example's values where fields have none."""
    return example(kind, folder)


def labels_of(featurizer: Featurizer, rows: Sequence[Row]) -> FloatArray:
    """Return the labels of rows."""
    return featurizer.label(batch_of(rows))


def assert_in_space(featurizer: Featurizer, labels: FloatArray, n_rows: int) -> None:
    """Check that there is one outcome or a missing label a row."""
    assert labels.shape == (n_rows,)
    assert labels.dtype == np.float64
    codes = featurizer.space.encode(labels)
    assert np.array_equal(codes == MISSING_CODE, np.isnan(labels))
    assert np.all(codes < len(featurizer.space.outcomes))


def test_the_first_six_are_registered() -> None:
    """The suite below covers the bundled behaviors only if the installed package registers them."""
    assert {"correct", "ngram_copy", "repetition_loop", "empty", "truncated", "n_tokens"} <= set(KINDS)


@every_featurizer
def test_is_a_frozen_component(featurizer: Featurizer, kind: str, folder: Path) -> None:
    """A component is a value: it satisfies the protocol, compares by its fields, and never changes."""
    assert isinstance(featurizer, Featurizer)
    assert isinstance(featurizer.reads_prompt, bool)
    assert featurizer == example(kind, folder)
    assert all(field.kw_only for field in fields(featurizer))  # type: ignore[arg-type] # the registry wants dataclasses
    with pytest.raises((FrozenInstanceError, AttributeError)):
        featurizer.space = featurizer.space  # type: ignore[misc] # what must fail


@every_featurizer
def test_fields_are_its_config(featurizer: Featurizer) -> None:
    """What a run directory records of a featurizer rebuilds the same one, by the reader that configs go through."""
    stored = json.dumps(
        {field.name: value for field, value in _values(featurizer) if field.init},
        default=asdict,
    )
    assert TypeAdapter(type(featurizer)).validate_json(stored, strict=True) == featurizer


def _values(featurizer: Featurizer) -> list[tuple[object, object]]:
    return [(field, getattr(featurizer, field.name)) for field in fields(featurizer)]  # type: ignore[arg-type] # as above


@every_featurizer
def test_documents_itself(featurizer: Featurizer, kind: str) -> None:
    """The docstring gives definition, label space, needs, source, every field's meaning, and an example for doctest."""
    doc = read_docstring(kind, type(featurizer))
    assert doc.definition, "a rule or formula stands below the first line"
    assert [name for name, _, meaning in doc.fields if not meaning] == []


@every_featurizer
def test_space_survives_storage(featurizer: Featurizer) -> None:
    """A stored label space reads back as declared, or codes and outcome names would part."""
    space = featurizer.space
    assert label_space_from_dict(json.loads(json.dumps(label_space_to_dict(space)))) == space


@every_featurizer
def test_declares_what_it_needs(featurizer: Featurizer) -> None:
    """The stage builds what is declared: needs are known ones, and one about the prompt means that it is read."""
    assert featurizer.needs
    assert set(featurizer.needs) <= set(get_args(Need))
    if not featurizer.reads_prompt:
        assert not ABOUT_THE_PROMPT & set(featurizer.needs)


@every_labeler
def test_reads_nothing_that_it_does_not_need(featurizer: Featurizer) -> None:
    """Columns that no declared need covers may hold anything: undeclared reading would break masks and equation 3."""
    rows = nasty_rows()
    batch = batch_of(rows)
    labels = featurizer.label(batch)
    order = [*range(1, len(rows)), 0]
    for column, covering in COLUMNS.items():
        # The domain is always known, so that no need names it; who reads it reads more than the output.
        is_free = column == "domains" and featurizer.reads_prompt
        if not is_free and not set(covering) & set(featurizer.needs):
            values = getattr(batch, column)
            moved = replace(batch, **{column: [values[place] for place in order]})
            np.testing.assert_array_equal(featurizer.label(moved), labels, err_msg=column)


@every_labeler
def test_an_empty_batch_has_no_labels(featurizer: Featurizer) -> None:
    """A piece without rows, as a filter may leave it, is labeled without an error."""
    assert labels_of(featurizer, []).shape == (0,)


@every_labeler
@few_examples
@given(data=st.data(), rows=st.lists(any_row, min_size=1, max_size=6))
def test_a_label_depends_on_its_row_alone(kind: str, data: st.DataObject, rows: list[Row]) -> None:
    """Batch equals row by row, siblings excepted where they are needed; order does not matter; k = 1 is fine."""
    featurizer = example(kind)
    together = labels_of(featurizer, rows)
    assert_in_space(featurizer, together, len(rows))
    groups: dict[object, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(row.prompt_id if "siblings" in featurizer.needs else place, []).append(place)
    for places in groups.values():
        np.testing.assert_array_equal(together[places], labels_of(featurizer, [rows[place] for place in places]))
    order = data.draw(st.permutations(range(len(rows))))
    np.testing.assert_array_equal(featurizer.label(batch_of(rows).take(order)), together[list(order)])
    bare = [Row(text=row.text, prompt_id=row.prompt_id) for row in rows]
    assert_in_space(featurizer, labels_of(featurizer, bare), len(rows))


@every_labeler
def test_nasty_texts_get_labels(featurizer: Featurizer) -> None:
    """Nasty outputs under nasty prompts, references and partners are labeled, twice the same, some at least."""
    rows = nasty_rows()
    labels = labels_of(featurizer, rows)
    assert_in_space(featurizer, labels, len(rows))
    np.testing.assert_array_equal(labels, labels_of(featurizer, rows))
    # Where all that is needed is there: a featurizer that labels nothing would go unnoticed.
    assert not np.isnan(labels).all()


@every_labeler
def test_a_megabyte_gets_a_label(featurizer: Featurizer) -> None:
    """A runaway output of a million characters is labeled, however repetitive it is; quadratic time would not end."""
    n_each = 1_000_000 // len(RUNAWAY_PIECES)
    long = "".join((piece * n_each)[:n_each] for piece in RUNAWAY_PIECES)
    row = Row(
        text=long,
        prompt=long[-2000:],
        references=("42", long[:2000]),
        choices=("A", "B"),
        n_tokens=1_000_000,
        finish_reason="length",
    )
    assert_in_space(featurizer, labels_of(featurizer, [row]), 1)


def test_the_nasty_texts_are_nasty() -> None:
    """The shared texts hold what the suite promises: surrogates, NUL, zero-width, right-to-left, emoji, emptiness."""
    joined = "".join(NASTY_TEXTS)
    assert "" in NASTY_TEXTS
    assert all(char in joined for char in "\ud800\x00\u200b\u202eש👩")
