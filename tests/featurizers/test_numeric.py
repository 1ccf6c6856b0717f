"""Numeric answers: which number of a text is its answer, and what equals it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurizers.numeric import NumericCorrect
from metamodel.analysis.quantities import final_quantity
from metamodel.text import text_batch


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", "42"),
        ("-12.5", "-12.5"),
        ("−7", "-7"),  # noqa: RUF001 - a typographic minus
        ("5-3", "3"),
        ("x = -3", "-3"),
        ("f(x)-3", "3"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("$1,250.", "1250"),
        ("1,450,000", "1450000"),
        ("2,3", "3"),
        (".5", "0.5"),
        ("3.14.", "3.14"),
        ("3/4.", "3/4"),
        ("1 1/2 cups", "3/2"),
        ("\\boxed{\\frac{3}{4}}", "3/4"),
        ("\\boxed{12} is 3 more than 9", "12"),
        ("\\boxed{10", "10"),
        ("1.5e3", "1500"),
        ("1.5 x 10^3", "1500"),
        ("2 \\times 10^{-3}", "1/500"),
        ("10 million people", "10000000"),
        ("#### 1,000\nQ: 7", "1000"),
        ("The answer is 5 (since 2x = 10)", "5"),
        ("The answer is 8^4 = 4096.", "4096"),
        ("The answer is x = 7, not 8", "7"),
        ("Answer: **18** dollars, 3 more", "18"),
        ("so 9\nA: 25.0\n", "25"),
        ("so 9\nA: nothing", "9"),
    ],
)
def test_the_final_number(text: str, value: str) -> None:
    """Signs, separators, fractions, exponents and announcements are read as people read them."""
    found = final_quantity(text)
    assert found is not None
    assert found.value == Fraction(value)


@pytest.mark.parametrize("text", ["", "none", "1/0", "9" * 100, "v1.2.3", "٣"])
def test_no_number(text: str) -> None:
    """What is no number, or one too long to be an answer, has no value."""
    assert final_quantity(text) is None


@settings(deadline=None, max_examples=200, derandomize=True, database=None)
@given(value=st.decimals(-(10**12), 10**12, places=4) | st.integers(-(10**18), 10**18))
def test_numbers_read_back(value: object) -> None:
    """Every number is read as itself, alone, grouped by thousands and within a sentence."""
    for written in (f"{value:f}", f"{value:,f}") if not isinstance(value, int) else (str(value), f"{value:,}"):
        for text in (written, f"So it is {written}.", f"The answer is {written}, or 7 times 3"):
            found = final_quantity(text)
            assert found is not None
            assert found.value == Fraction(str(value))


def test_tolerances_and_percents() -> None:
    """Equality is exact unless a tolerance says otherwise, and 50 % may mean 50 or 0.5."""
    batch = text_batch(
        ["0.1", "0.10001", "50%", "50%", "half"], references=[["0.10"], ["0.1"], ["0.5"], ["50"], ["0.5"]]
    )
    assert NumericCorrect().label(batch).tolist() == [1, 0, 1, 1, 0]
    assert NumericCorrect(relative=1e-3).label(batch).tolist() == [1, 1, 1, 1, 0]
    assert NumericCorrect(absolute=1e-4).label(batch).tolist() == [1, 1, 1, 1, 0]


def test_missing_and_fields() -> None:
    """Without a number among the references there is no label, and what does not announce its number may not count."""
    batch = text_batch(["It is 7", "It is 7", "\\boxed{7}"], references=[["seven"], ["7"], ["x", "7"]])
    assert NumericCorrect().label(batch).tolist() == pytest.approx([float("nan"), 1, 1], nan_ok=True)
    assert NumericCorrect(where="announced").label(batch).tolist() == pytest.approx([float("nan"), 0, 1], nan_ok=True)
    with pytest.raises(ValueError, match="relative is -1"):
        NumericCorrect(relative=-1)
    with pytest.raises(ValueError, match="where is 'first'"):
        NumericCorrect(where="first")  # type: ignore[arg-type] # what must fail


@pytest.mark.parametrize("piece", ["1", "1,", "1,000,", "answer is ", "\\boxed{", "1/", "1e", "-"])
def test_a_megabyte_is_read_in_linear_time(piece: str) -> None:
    """Runaway digits must not stall a run: quadratic time would not end within the suite's patience."""
    batch = text_batch([piece * (1_000_000 // len(piece))], references=[["7"]])
    assert NumericCorrect().label(batch).tolist() == [0]
