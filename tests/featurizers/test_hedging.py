"""Hedging: which words say how certain something is, and which only look like it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurizers.hedging import BoosterRate, Hedged, HedgeRate
from metamodel.text import text_batch


@pytest.mark.parametrize(
    "text",
    [
        "It may rain.",
        "Perhaps.",
        "I think it's 4.",
        "These results suggest that the gene is expressed.",
        "The lesion could be benign.",
        "It is not clear whether the effect is real.",
        "Pneumonia cannot be excluded.",
        "It is believed to be a forgery.",
        "The protein appears to bind DNA.",
        "I\u2019m not sure.",
        "To the best of my knowledge, yes.",
        "They MIGHT come.",
        "The cause remains unknown.",
    ],
)
def test_hedges(text: str) -> None:
    """Words of uncertainty count in any case and typography."""
    assert Hedged().label(text_batch([text]))[0] == 1


@pytest.mark.parametrize(
    "text",
    [
        "In May it rains.",
        "You may sit down.",
        "The might of Rome was great.",
        "She could swim at four.",
        "You could try the blue one.",
        "Could you help?",
        "Think about it.",
        "I believe in you.",
        "Water boils at 100 degrees.",
        "Reply as soon as possible.",
        "I suggest the soup.",
        "",
    ],
)
def test_no_hedges(text: str) -> None:
    """A month, a permission, an ability, advice and a noun of the same letters are no hedges."""
    assert Hedged().label(text_batch([text]))[0] == 0


def test_rates_are_per_100_words() -> None:
    """The rate is the number of cues over the number of words, and there is none without words."""
    batch = text_batch(["maybe " * 3 + "yes " * 97, "Certainly, of course.", "..."])
    assert HedgeRate().label(batch).tolist() == pytest.approx([3, 0, float("nan")], nan_ok=True)
    assert BoosterRate().label(batch).tolist() == pytest.approx([0, 200 / 3, float("nan")], nan_ok=True)


def test_approximators_count_if_asked() -> None:
    """Frequency and degree make a statement less exact, not less certain, unless the user counts them."""
    batch = text_batch(["It is usually about 3 degrees."])
    assert Hedged().label(batch)[0] == 0
    assert Hedged(approximators=True, min_count=2).label(batch)[0] == 1


def test_min_count_means_something() -> None:
    """A count of 0 would make every output hedged."""
    with pytest.raises(ValueError, match="min_count is 0, must be at least 1"):
        Hedged(min_count=0)


@settings(deadline=None, max_examples=100, derandomize=True, database=None)
@given(text=st.text(max_size=60))
def test_a_hedge_more_counts_one_more(text: str) -> None:
    """Adding a sentence with one hedge adds one to whatever a text holds."""
    before = _count(text + " . And so it goes on and on and on now.")
    assert _count(text + " . And so it goes on and on and on now. Perhaps.") == before + 1


def _count(text: str) -> int:
    return next(n for n in range(100) if Hedged(min_count=n + 1).label(text_batch([text]))[0] == 0)
