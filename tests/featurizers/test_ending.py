"""Endings: three labels that need no search, so their edges are all there is to get wrong."""

from __future__ import annotations

import pytest

from featurizers.ending import Empty, TokenCount, Truncated
from metamodel.text import text_batch


@pytest.mark.parametrize(
    ("text", "label"),
    [("", 1), (" ", 1), ("\n\t\r\u3000\u00a0", 1), (".", 0), (" a ", 0), ("\x00", 0), ("\u200b", 0), ("\ud800", 0)],
)
def test_empty(text: str, label: int) -> None:
    """Whitespace of any script is nothing; invisible characters that are no whitespace are something."""
    assert Empty().label(text_batch([text]))[0] == label


def test_truncated() -> None:
    """Only the limit truncates: an empty output that stopped by itself did not."""
    batch = text_batch(["", "and then", "The end."], finish_reasons=["stop", "length", "stop"])
    assert Truncated().label(batch).tolist() == [0, 1, 0]


def test_token_count() -> None:
    """The count is the batch's own, not a number of words, and falls in the bin that holds it."""
    batch = text_batch(["", "Once upon a time", "long"], n_tokens=[0, 6, 5000])
    labels = TokenCount().label(batch)
    assert labels.tolist() == [0, 6, 5000]
    space = TokenCount().space
    assert [space.outcomes[code] for code in space.encode(labels)] == ["0", "5-6", "4097+"]
