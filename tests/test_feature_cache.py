"""Numbers computed once: never twice, never another text's, never half a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from metamodel import feature_cache
from metamodel.feature_cache import computed_once, is_kept, stored_under, uncached


@pytest.fixture(autouse=True)
def empty_memory() -> Iterator[None]:
    """Begin and end without anything remembered."""
    feature_cache.forget()
    yield
    feature_cache.forget()


class Counting:
    """Lengths of texts, with a count of the texts that were asked for."""

    def __init__(self) -> None:
        self.n_texts = 0

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return length and twice the length."""
        self.n_texts += len(texts)
        return np.array([(len(text), 2 * len(text)) for text in texts], dtype=np.float32)


def test_each_text_is_computed_once() -> None:
    """Repeated texts cost nothing, the order is the asker's, and another identity shares nothing."""
    compute = Counting()
    np.testing.assert_array_equal(computed_once("a", ["xx", "y", "xx"], compute, 2), [[2, 4], [1, 2], [2, 4]])
    assert compute.n_texts == 2
    np.testing.assert_array_equal(computed_once("a", ["y", "\ud800"], compute, 2), [[1, 2], [1, 2]])
    assert compute.n_texts == 3
    computed_once("b", ["y"], compute, 2)
    assert compute.n_texts == 4
    assert computed_once("a", [], compute, 2).shape == (0, 2)


def test_a_folder_outlives_the_process(tmp_path: Path) -> None:
    """What a stage stored is read back, and a damaged piece is computed again."""
    compute = Counting()
    with stored_under(tmp_path):
        first = computed_once("a", ["xx", "y"], compute, 2)
    feature_cache.forget()
    with stored_under(tmp_path):
        np.testing.assert_array_equal(computed_once("a", ["y", "xx"], compute, 2), first[::-1])
        assert compute.n_texts == 2
    feature_cache.forget()
    (piece,) = tmp_path.rglob("*.safetensors")
    piece.write_bytes(piece.read_bytes()[:-3])
    with stored_under(tmp_path):
        np.testing.assert_array_equal(computed_once("a", ["xx", "y"], compute, 2), first)
    assert compute.n_texts == 4


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is still right, and computed again when asked for again."""
    monkeypatch.setattr(feature_cache, "MOST_BYTES", 8)
    compute = Counting()
    for _ in range(2):
        np.testing.assert_array_equal(computed_once("a", ["xx", "y"], compute, 2), [[2, 4], [1, 2]])
    assert compute.n_texts == 3


def test_a_wrong_width_is_a_bug() -> None:
    """A component that gives other numbers than it promised is named."""
    with pytest.raises(ValueError, match=r"a gave \[1, 2\] numbers, must be \[1, 3\]"):
        computed_once("a", ["x"], Counting(), 3)


def test_what_is_kept_where() -> None:
    """A stage keeps all, elsewhere only what is expensive is kept, and inside `uncached` nothing is."""
    assert is_kept(is_cheap=False)
    assert not is_kept(is_cheap=True)
    with stored_under(None):
        assert is_kept(is_cheap=True)
        with uncached():
            assert not is_kept(is_cheap=False)
        assert is_kept(is_cheap=True)
    assert not is_kept(is_cheap=True)
