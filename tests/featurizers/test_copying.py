"""Copying: every label against its definition, by brute force."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurizers.copying import CopiedShare, Echo, Induction, LongestCopy, NGramCopy
from metamodel.analysis import induction
from metamodel.analysis.ngrams import Hashes, Unit, split_units, window_hashes
from metamodel.text import text_batch

LONGEST_N = 12
examples = settings(deadline=None, max_examples=200, derandomize=True, database=None)
text = st.text("ab \n\ud800", max_size=40)
# Rows of one batch share prompts, so that pieces of several rows are covered.
pairs = st.lists(st.tuples(text, st.sampled_from(["", "a b ab a", "bb a a bb\n"]) | text), min_size=1, max_size=5)


def windows(units: Sequence[str], n: int) -> list[Sequence[str]]:
    """Return all n-grams."""
    return [units[start : start + n] for start in range(len(units) - n + 1)]


def parts(text: str, unit: Unit) -> Sequence[str]:
    """Return a text's units."""
    return text.split() if unit == "word" else text


def share(hits: Sequence[bool]) -> float:
    """Return the share of hits, NaN of nothing."""
    return sum(hits) / len(hits) if hits else np.nan


def induced_slowly(prompt: Sequence[str], output: Sequence[str], context: int) -> float:
    """Return what the definition says, by looking back from every position."""
    z = [*prompt, *output]
    hits = []
    for t in range(len(prompt), len(z)):
        earlier = [s for s in range(context, t) if t >= context and z[s - context : s] == z[t - context : t]]
        hits.append(bool(earlier) and z[earlier[-1]] == z[t])
    return share(hits)


@examples
@given(rows=pairs, n=st.integers(1, LONGEST_N), unit=st.sampled_from(["word", "character"]))
def test_ngrams_against_brute_force(rows: list[tuple[str, str]], n: int, unit: Unit) -> None:
    """Over a small alphabet, where chance copies abound, the label and the share agree with the definition."""
    batch = text_batch([output for output, _ in rows], prompts=[prompt for _, prompt in rows])
    hits = [
        [gram in windows(parts(prompt, unit), n) for gram in windows(parts(output, unit), n)] for output, prompt in rows
    ]
    assert NGramCopy(n=n, unit=unit).label(batch).tolist() == [float(any(found)) for found in hits]
    np.testing.assert_allclose(CopiedShare(n=n, unit=unit).label(batch), [share(found) for found in hits])


@examples
@given(rows=pairs, unit=st.sampled_from(["word", "character"]))
def test_longest_copy_against_brute_force(rows: list[tuple[str, str]], unit: Unit) -> None:
    """The longest stretch is the greatest n for which an n-gram is copied, whatever shares the batch."""
    batch = text_batch([output for output, _ in rows], prompts=[prompt for _, prompt in rows])
    expected = [
        max(
            n
            for n in range(len(output) + 1)
            if n == 0 or any(gram in windows(parts(prompt, unit), n) for gram in windows(parts(output, unit), n))
        )
        for output, prompt in rows
    ]
    assert LongestCopy(unit=unit).label(batch).tolist() == expected


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 63, 64, 65, 1000])
def test_longest_copy_of_planted_stretches(length: int) -> None:
    """Lengths around powers of two, where doubling turns to halving, are found to the unit among a long prompt."""
    letters = "".join(np.random.default_rng(0).choice(list("abcdefgh"), 5000))
    outputs = [f"#{letters[start : start + length]}#" for start in (0, 2000, 5000 - length)]
    batch = text_batch([*outputs, letters], prompts=[letters] * 4)
    assert LongestCopy(unit="character").label(batch).tolist() == [length, length, length, 5000]


@examples
@given(rows=pairs, context=st.integers(1, 4), unit=st.sampled_from(["word", "character"]))
def test_induction_against_brute_force(rows: list[tuple[str, str]], context: int, unit: Unit) -> None:
    """The share that the rule predicts is what looking back from every position gives, over several rows at once."""
    batch = text_batch([output for output, _ in rows], prompts=[prompt for _, prompt in rows])
    expected = [induced_slowly(parts(prompt, unit), parts(output, unit), context) for output, prompt in rows]
    np.testing.assert_allclose(Induction(context=context, unit=unit).label(batch), expected)


@pytest.mark.parametrize(
    ("output", "prompt", "exact", "pattern"),
    [
        ("cat sat", "the cat sat on the", 1.0, 1.0),
        ("Cat, sat", "the cat sat on the", 0.0, 1.0),
        ("2: take", "Step 1: take one. Step", 0.0, 1.0),
        ("3.75 kg", "costs 12 kg. It costs", 0.0, 1.0),
        ("a - b", "x a b x", 1 / 3, 1.0),
        ("c", "a b a c a", 1.0, 1.0),
        ("b", "a b a c a", 0.0, 0.0),
        ("!!!", "a b", 0.0, np.nan),
    ],
)
def test_induction_table(output: str, prompt: str, exact: float, pattern: float) -> None:
    """Hand-made cases: equal units, units equal after folding, the latest occurrence, nothing left after folding."""
    batch = text_batch([output], prompts=[prompt])
    np.testing.assert_allclose(Induction().label(batch), [exact])
    np.testing.assert_allclose(Induction(form="pattern").label(batch), [pattern])


def test_induction_survives_alike_keys() -> None:
    """Keys that differ in their low bits alone, which the fast sort cannot see, still come in a stable order."""
    keys: Hashes = np.array([5, 4, 5, 4, 5, 1 << 60] * 10, dtype=np.uint64)
    np.testing.assert_array_equal(induction._stable_order(keys), np.argsort(keys, kind="stable"))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 100])
def test_hashes_tell_windows_apart(n: int) -> None:
    """Equal windows hash equally wherever they stand, and a permuted or changed window hashes differently."""
    text = "".join(np.random.default_rng(0).choice(list("abcdefgh"), 300))
    codes = split_units([text], "character").codes
    hashes = window_hashes(codes, n)
    assert len(hashes) == len(windows(text, n))
    assert len(dict(zip(windows(text, n), hashes.tolist(), strict=True))) == len(set(hashes.tolist()))
    np.testing.assert_array_equal(window_hashes(codes[5:], n), hashes[5:])


@pytest.mark.parametrize(
    ("unit", "output", "prompt", "label"),
    [
        ("word", "I saw the big cat", "the big cat sat", 1),
        ("word", "the  big\ncat", "the big cat", 1),
        ("word", "the\u3000big\u00a0cat", "the big cat", 1),
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
    assert LongestCopy(unit="character").label(batch).tolist() == [200, 199]


@pytest.mark.parametrize(
    ("output", "prompt", "anywhere", "start"),
    [
        ("Why is it so? Because.", "Why is it so?", 1, 1),
        ("\n Why?\nBecause.", " Why? ", 1, 1),
        ("You ask: Why? Because.", "Why?", 1, 0),
        ("why? Because.", "Why?", 0, 0),
        ("", "Why?", 0, 0),
        ("anything", "", np.nan, np.nan),
        ("anything", " \n", np.nan, np.nan),
    ],
)
def test_echo(output: str, prompt: str, anywhere: float, start: float) -> None:
    """The whole prompt counts, to the letter, without the whitespace around it; a blank prompt cannot be echoed."""
    batch = text_batch([output], prompts=[prompt])
    np.testing.assert_array_equal(Echo().label(batch), [anywhere])
    np.testing.assert_array_equal(Echo(where="start").label(batch), [start])


def test_meaningless_fields_are_refused() -> None:
    """A window of nothing and unknown words are the user's mistake, with what is allowed."""
    with pytest.raises(ValueError, match="n is 0, must be at least 1"):
        NGramCopy(n=0)
    with pytest.raises(ValueError, match="n is -1, must be at least 1"):
        CopiedShare(n=-1)
    with pytest.raises(ValueError, match="unit is 'line', must be one of word, character"):
        LongestCopy(unit="line")  # type: ignore[arg-type] # what must fail
    with pytest.raises(ValueError, match="where is 'end', must be one of anywhere, start"):
        Echo(where="end")  # type: ignore[arg-type] # what must fail
    with pytest.raises(ValueError, match="context is 0, must be at least 1"):
        Induction(context=0)
    with pytest.raises(ValueError, match="form is 'fuzzy', must be one of exact, pattern"):
        Induction(form="fuzzy")  # type: ignore[arg-type] # what must fail
