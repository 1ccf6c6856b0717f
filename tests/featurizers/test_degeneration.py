"""Loops: the linear search against the definition itself."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from featurizers.degeneration import RepetitionLoop
from metamodel.loops import Loop, find_loop
from metamodel.text import text_batch


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
