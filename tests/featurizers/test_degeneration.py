"""Degeneration: loops against the definition itself, shares and BLEU against other implementations."""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from featurizers import degeneration
from featurizers.degeneration import CompressionRatio, Distinct, LoopShape, RepetitionLoop, SelfBleu, SeqRep
from metamodel.analysis import loops
from metamodel.analysis.loops import Loop, find_loop, find_loop_by_borders
from metamodel.text import text_batch
from metamodel.types import IntArray


def smallest_period(text: str) -> int:
    """Return the smallest p with text[i] == text[i + p] throughout, by trying all."""
    return next(p for p in range(1, len(text) + 1) if text[p:] == text[: len(text) - p])


def find_loop_slowly(text: str, *, min_cycles: int, min_length: int) -> Loop | None:
    """Return what the definition says: the first onset whose suffix is long enough and runs often enough."""
    for onset in range(len(text)):
        length = len(text) - onset
        period = smallest_period(text[onset:])
        if length >= min_cycles * period and length >= min_length:
            return Loop(onset=onset, period=period, cycles=length / period)
    return None


@pytest.mark.parametrize(("min_cycles", "min_length"), [(2, 1), (2, 5), (3, 1), (3, 4), (3, 7), (4, 6)])
def test_all_short_strings_against_brute_force(min_cycles: int, min_length: int) -> None:
    """On every string over {a, b} up to length 12 the loop is the one that the definition names."""
    for length in range(13):
        for letters in itertools.product("ab", repeat=length):
            text = "".join(letters)
            limits = {"min_cycles": min_cycles, "min_length": min_length}
            assert find_loop(text, **limits) == find_loop_slowly(text, **limits), text


def loops_of_all_strings(letters: IntArray, *, min_cycles: int, min_length: int) -> IntArray:
    """Return onset and period of each string's loop, [m, 2], (-1, 0) without one, by trying every period.

    Args:
        letters: Strings of one length, [m, length].
        min_cycles: Fewest cycles.
        min_length: Fewest characters.
    """
    m, length = letters.shape
    longest, best_period = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
    for period in range(1, length // min_cycles + 1):
        alike = letters[:, period:] == letters[:, : length - period]
        suffix = period + np.logical_and.accumulate(alike[:, ::-1], axis=1).sum(axis=1)
        better = (suffix > longest) & (suffix >= max(min_cycles * period, min_length))
        longest[better], best_period[better] = suffix[better], period
    return np.stack([np.where(longest > 0, length - longest, -1), best_period], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize(("alphabet", "longest", "min_cycles", "min_length"), [("ab", 18, 3, 5), ("abc", 12, 3, 4)])
def test_a_million_strings_against_brute_force(alphabet: str, longest: int, min_cycles: int, min_length: int) -> None:
    """On every string over {a, b} up to length 18 and {a, b, c} up to 12 (1.3 million) the loop is the defined one."""
    for length in range(1, longest + 1):
        digits = np.indices((len(alphabet),) * length, dtype=np.int8).reshape(length, -1).T
        joined = "".join(np.array(list(alphabet))[digits].ravel().tolist())
        found = [
            (loop.onset, loop.period) if loop else (-1, 0)
            for start in range(0, len(joined), length)
            for loop in (find_loop(joined[start : start + length], min_cycles=min_cycles, min_length=min_length),)
        ]
        expected = loops_of_all_strings(digits, min_cycles=min_cycles, min_length=min_length)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "text", ["a" * 60 + "b" + "a" * 59, "aab" * 20 + "aaab" * 7, "abaababaabaababaababa" * 9 + "c"]
)
def test_both_searches_agree(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where proposals cost too much the other search decides, with the same result, also if it always had to."""
    limits = {"min_cycles": 2, "min_length": 3}
    found = find_loop(text, **limits)
    assert found == find_loop_slowly(text, **limits) == find_loop_by_borders(text, **limits)
    monkeypatch.setattr(loops, "_COST_LIMIT", 0)
    assert find_loop(text, **limits) == found


@settings(deadline=None, max_examples=300, derandomize=True, database=None)
@given(
    head=st.text("abc", max_size=15),
    cycle=st.text("abc", min_size=1, max_size=9),
    times=st.integers(1, 6),
    unfinished=st.integers(0, 8),
    tail=st.text("abc", max_size=1),
    min_cycles=st.integers(2, 5),
    min_length=st.integers(1, 30),
)
@example(head="x", cycle="ab", times=6, unfinished=1, tail="", min_cycles=3, min_length=12)
def test_planted_loops_against_brute_force(
    *, head: str, cycle: str, times: int, unfinished: int, tail: str, min_cycles: int, min_length: int
) -> None:
    """Planted loops, near misses and interrupted ones are found or refused exactly as the definition says."""
    text = head + cycle * times + cycle[:unfinished] + tail
    found = find_loop(text, min_cycles=min_cycles, min_length=min_length)
    assert found == find_loop_slowly(text, min_cycles=min_cycles, min_length=min_length)


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        ("", None),
        ("aaaaaaaaaaa", None),
        ("aaaaaaaaaaaa", Loop(onset=0, period=1, cycles=12.0)),
        ("once abcdeabcdeabcd", None),
        ("once abcdeabcdeabcde", Loop(onset=5, period=5, cycles=3.0)),
        ("once abcdeabcdeabcdea", Loop(onset=5, period=5, cycles=3.2)),
        ("abcdeabcdeabcde end", None),
        ("The end.\n\n\n\n\n\n\n\n\n\n\n\n", Loop(onset=8, period=1, cycles=12.0)),
        ("so 👍🏽👍🏽👍🏽👍🏽👍🏽👍🏽", Loop(onset=3, period=2, cycles=6.0)),
    ],
)
def test_table(text: str, loop: Loop | None) -> None:
    """Hand-made cases: limits met exactly, an unfinished cycle, a loop that is left again, whitespace, emoji."""
    assert find_loop(text) == loop


def test_earliest_onset_wins_over_shorter_period() -> None:
    """Where two loops end the text, the longer one is reported: it is where the output began to say nothing new."""
    text = "xaaaa" * 3
    assert find_loop(text, min_cycles=3, min_length=4) == Loop(onset=0, period=5, cycles=3.0)


def test_label_uses_the_fields() -> None:
    """The featurizer's limits are the ones it was given."""
    batch = text_batch(["ha ha ha ", "ha ha ", "hum"])
    assert RepetitionLoop().label(batch).tolist() == [0, 0, 0]
    assert RepetitionLoop(min_length=9).label(batch).tolist() == [1, 0, 0]
    assert RepetitionLoop(min_cycles=2, min_length=6).label(batch).tolist() == [1, 1, 0]


def test_onset_of_a_long_output_is_exact() -> None:
    """In a megabyte the planted onset and period are found to the character."""
    noise = "".join(np.random.default_rng(0).choice(list("abcdefgh "), 500_000))
    assert find_loop(noise + "#" + "over and " * 60_000) == Loop(onset=500_001, period=9, cycles=60_000.0)


@pytest.mark.parametrize("limits", [{"min_cycles": 1}, {"min_length": 0}])
def test_meaningless_limits_are_refused(limits: dict[str, int]) -> None:
    """One cycle repeats nothing, and no length is below one character."""
    with pytest.raises(ValueError, match="must be at least"):
        RepetitionLoop(**limits)
    with pytest.raises(ValueError, match="must be at least"):
        find_loop("aaa", **limits)


def test_loop_shape() -> None:
    """Onset and period are those of the loop, cycles are whole, and an output without a loop has no shape."""
    batch = text_batch(["so it goes so it goes so it goes so", "so it goes", ""])
    expected = {"onset": 0, "period": 11, "cycles": 3}
    for measure, value in expected.items():
        labels = LoopShape(measure=measure).label(batch)  # type: ignore[arg-type] # its three measures
        np.testing.assert_array_equal(labels, [value, np.nan, np.nan])
    with pytest.raises(ValueError, match="measure is 'length', must be one of onset, period, cycles"):
        LoopShape(measure="length")  # type: ignore[arg-type] # what must fail


@settings(deadline=None, max_examples=100, derandomize=True, database=None)
@given(texts=st.lists(st.text("ab ", max_size=30), max_size=4), n=st.integers(1, 5))
def test_shares_of_ngrams_against_sets(texts: list[str], n: int) -> None:
    """seq-rep-n and distinct-n are what sets of tuples give, and add to one."""
    expected = []
    for words in map(str.split, texts):
        grams = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
        expected.append(len(set(grams)) / len(grams) if grams else np.nan)
    batch = text_batch(texts)
    np.testing.assert_allclose(Distinct(n=n).label(batch), expected)
    np.testing.assert_allclose(SeqRep(n=n).label(batch), 1 - np.array(expected))


def test_compression_ratio() -> None:
    """The ratio is zlib's own without its six bytes of frame; repetition raises it, and nothing has none."""
    texts = ["over and over " * 30, "Über 漢字 \ud800", "a", ""]
    labels = CompressionRatio().label(text_batch(texts))
    for label, text in zip(labels[:3], texts, strict=False):
        data = text.encode("utf-8", errors="surrogatepass")
        assert label == pytest.approx(len(data) / (len(zlib.compress(data)) - 6))
    assert labels[0] > 10
    assert labels[2] < 1
    assert np.isnan(labels[3])


words = st.lists(st.sampled_from(["so", "it", "goes", "on", "and"]), max_size=12)


@settings(deadline=None, max_examples=50, derandomize=True, database=None)
@given(samples=st.lists(words, min_size=2, max_size=5))
def test_self_bleu_against_nltk(samples: list[list[str]]) -> None:
    """Each sample's BLEU against the others is that of nltk's sentence_bleu with smoothing method 1."""
    bleu = pytest.importorskip("nltk.translate.bleu_score", reason="the independent implementation is not installed")
    labels = SelfBleu().label(text_batch([" ".join(one) for one in samples], prompt_ids=["p"] * len(samples)))
    for place, own in enumerate(samples):
        if not own:
            assert np.isnan(labels[place])
            continue
        others = samples[:place] + samples[place + 1 :]
        # nltk gives 0 without a single common word, before it smooths; the formula does not.
        if set(own) & {word for other in others for word in other}:
            smoothing = bleu.SmoothingFunction(epsilon=0.1).method1
            assert labels[place] == pytest.approx(bleu.sentence_bleu(others, own, smoothing_function=smoothing))


def test_self_bleu_against_sacrebleu() -> None:
    """On longer outputs BLEU is that of sacrebleu, with the same floor and no tokenizer of its own."""
    sacrebleu = pytest.importorskip("sacrebleu", reason="the independent implementation is not installed")
    random = np.random.default_rng(0)
    for _ in range(20):
        texts = [" ".join(random.choice(["so", "it", "goes", "on"], size)) for size in random.integers(4, 25, 4)]
        labels = SelfBleu().label(text_batch(texts, prompt_ids=["p"] * 4))
        for place, own in enumerate(texts):
            others = texts[:place] + texts[place + 1 :]
            expected = sacrebleu.sentence_bleu(
                own, others, smooth_method="floor", smooth_value=0.1, tokenize="none", use_effective_order=False
            )
            assert labels[place] == pytest.approx(expected.score / 100)


def test_self_bleu_by_hand() -> None:
    """Two samples: 3 of 4 words, 2 of 3 pairs, 1 of 2 triples, no quadruple (0.1 of 1), the same length."""
    labels = SelfBleu().label(text_batch(["a b c d", "a b c e", "alone"], prompt_ids=["p", "p", "q"]))
    expected = (3 / 4 * 2 / 3 * 1 / 2 * 0.1) ** (1 / 4)
    np.testing.assert_allclose(labels, [expected, expected, np.nan])
    assert degeneration._log_brevity(4, [8, 6]) == 1 - 6 / 4
