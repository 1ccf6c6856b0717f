"""Copying: hashes propose, the texts decide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurizers import copying
from featurizers.copying import NGramCopy, Unit
from metamodel.text import text_batch

LONGEST_N = 12


def copies_slowly(output: Sequence[str], prompt: Sequence[str], n: int) -> bool:
    """Return what the definition says, by comparing every window with every other."""
    windows = [prompt[start : start + n] for start in range(len(prompt) - n + 1)]
    return any(output[start : start + n] in windows for start in range(len(output) - n + 1))


@settings(deadline=None, max_examples=200, derandomize=True, database=None)
@given(
    output=st.text("ab \n\ud800", max_size=40), prompt=st.text("ab \n\ud800", max_size=40), n=st.integers(1, LONGEST_N)
)
def test_both_units_against_brute_force(output: str, prompt: str, n: int) -> None:
    """Over a small alphabet, where chance copies abound, both units agree with the definition for every n."""
    batch = text_batch([output], prompts=[prompt])
    assert NGramCopy(n=n, unit="character").label(batch)[0] == copies_slowly(output, prompt, n)
    assert NGramCopy(n=n, unit="word").label(batch)[0] == copies_slowly(output.split(), prompt.split(), n)


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(output=st.text("ab", max_size=30), prompt=st.text("ab", max_size=30), n=st.integers(1, LONGEST_N))
def test_colliding_hashes_change_nothing(output: str, prompt: str, n: int) -> None:
    """Even if every window had the same hash, only equal units would count as copied."""
    batch = text_batch([output], prompts=[prompt])

    def same_hash(units: Sequence[str], n: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        return np.zeros(max(len(units) - n + 1, 0), dtype=np.uint64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copying, "_window_hashes", same_hash)
        assert NGramCopy(n=n, unit="character").label(batch)[0] == copies_slowly(output, prompt, n)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 100])
def test_hashes_tell_windows_apart(n: int) -> None:
    """Equal windows hash equally wherever they stand, and a permuted or changed window hashes differently."""
    text = "".join(np.random.default_rng(0).choice(list("abcdefgh"), 300))
    hashes = copying._window_hashes(text, n)
    windows = [text[start : start + n] for start in range(len(text) - n + 1)]
    assert len(hashes) == len(windows)
    assert len(dict(zip(windows, hashes.tolist(), strict=True))) == len(set(hashes.tolist()))
    np.testing.assert_array_equal(copying._window_hashes(text[5:], n), hashes[5:])


@pytest.mark.parametrize(
    ("unit", "output", "prompt", "label"),
    [
        ("word", "I saw the big cat", "the big cat sat", 1),
        ("word", "the  big\ncat", "the big cat", 1),
        ("word", "The big cat", "the big cat", 0),
        ("word", "the big", "the big", 0),
        ("word", "the big cats", "the big catsuit", 0),
        ("character", "concatenate", "cat", 1),
        ("character", "a b", "a  b", 0),
        ("character", "ca", "ca", 0),
        ("character", "", "", 0),
        ("character", "x👍🏽y", "👍🏽y", 1),
    ],
)
def test_table(unit: Unit, output: str, prompt: str, label: int) -> None:
    """Hand-made cases with n = 3: whitespace, case, short texts, whole words, emoji."""
    assert NGramCopy(n=3, unit=unit).label(text_batch([output], prompts=[prompt]))[0] == label


def test_a_long_copy_in_a_megabyte_is_found() -> None:
    """One stretch of exactly n characters among a million others is found, and one of n - 1 is not taken for it."""
    letters = np.random.default_rng(0).choice(list("abcdefgh"), 1_000_500)
    prompt = "".join(letters[:1_000_000])
    stretch = prompt[700_000:700_200]
    batch = text_batch([f"#{stretch}#", f"#{stretch[1:]}#"], prompts=[prompt, prompt])
    assert NGramCopy(n=200, unit="character").label(batch).tolist() == [1, 0]


def test_meaningless_fields_are_refused() -> None:
    """A window of nothing and an unknown unit are the user's mistake, with what is allowed."""
    with pytest.raises(ValueError, match="n is 0, must be at least 1"):
        NGramCopy(n=0)
    with pytest.raises(ValueError, match="unit is 'line', must be one of word, character"):
        NGramCopy(unit="line")  # type: ignore[arg-type] # what must fail
