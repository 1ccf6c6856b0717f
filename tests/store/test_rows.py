"""Rows and nouns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamodel.store.rows import clean_text, generations_from_table, generations_to_table, table_from_rows
from metamodel.types import Generation

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))


@given(text=ANY_TEXT)
def test_any_text_becomes_storable(text: str) -> None:
    """Whatever a model puts out, its text can be written as UTF-8, and proper text is not changed."""
    clean = clean_text(text)
    clean.encode("utf-8")
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert clean == text


@given(text=ANY_TEXT, ids=st.lists(st.integers(0, 2**31 - 1), max_size=4), seed=st.integers(0, 2**63 - 1))
def test_generations_come_back_as_they_went(text: str, ids: list[int], seed: int) -> None:
    """Token ids, seeds of 63 bits and log-probabilities survive the table's column types."""
    row = Generation(
        key="k",
        prompt_id="p",
        primary="m",
        sample=1,
        seed=seed,
        text=clean_text(text),
        token_ids=tuple(ids),
        logprobs=tuple(-0.5 * index for index in range(len(ids))),
        finish_reason="stop",
    )
    assert generations_from_table(generations_to_table([row])) == [row]


def test_a_row_with_other_columns_is_refused() -> None:
    """A forgotten column does not become a column of nulls."""
    with pytest.raises(ValueError, match="must have"):
        table_from_rows("errors", [{"stage": "collect"}])
