"""Order among numbers: which of two is larger, and sorting."""

from __future__ import annotations

from dataclasses import dataclass

from metamodel.prompts.arithmetic import MOST_DIGITS, draw_number
from metamodel.prompts.base import Draws, Example, GeneratedDomain, answered, range_problem, refuse, share_problem

MOST_NUMBERS = 60
LARGEST_NUMBER = 99


@dataclass(frozen=True, kw_only=True)
class Comparison(GeneratedDomain):
    """The larger of two different numbers: "Which is larger, 482 or 9931?" -> " 9931".

    Attributes:
        min_digits: Fewest digits of either number.
        max_digits: Most digits of either number.
        same_length_share: How often both have equally many digits; such a pair agrees in some leading ones.
        domain: Name of the domain.
    """

    min_digits: int = 1
    max_digits: int = 6
    same_length_share: float = 0.6
    domain: str = "comparison"

    def __post_init__(self) -> None:
        """Refuse an empty range of digits and a share that is none."""
        refuse(
            range_problem("digits", self.min_digits, self.max_digits, least=1, most=MOST_DIGITS),
            share_problem("same_length_share", self.same_length_share),
        )

    def draw(self, draws: Draws) -> Example:
        """Return two numbers, with their digits and the length of the prefix that they share."""
        n_left = draws.between(self.min_digits, self.max_digits)
        left = right = draw_number(draws, n_left)
        if draws.chance(self.same_length_share):
            n_differing = draws.between(1, n_left)
            while right == left:
                right = _redraw_last_digits(draws, left, n_differing)
        while right == left:
            right = draw_number(draws, draws.between(self.min_digits, self.max_digits))
        first, second = str(left), str(right)
        attributes = {
            "n_digits_first": len(first),
            "n_digits_second": len(second),
            "shared_prefix": _shared_prefix(first, second) if len(first) == len(second) else 0,
        }
        text = f"Which is larger, {first} or {second}?"
        return answered(text, str(max(left, right)), domain=self.domain, attributes=attributes)


@dataclass(frozen=True, kw_only=True)
class Sorting(GeneratedDomain):
    """Numbers of one or two digits in rising order: "Sort: 3 1 2 ->" -> " 1 2 3".

    Attributes:
        min_numbers: Shortest list.
        max_numbers: Longest list.
        few_values_share: How often a list is drawn from one to three values, so that runs of equal numbers occur.
        domain: Name of the domain.
    """

    min_numbers: int = 2
    max_numbers: int = 14
    few_values_share: float = 0.3
    domain: str = "sorting"

    def __post_init__(self) -> None:
        """Refuse an empty range of lengths and a share that is none."""
        refuse(
            range_problem("numbers", self.min_numbers, self.max_numbers, least=1, most=MOST_NUMBERS),
            share_problem("few_values_share", self.few_values_share),
        )

    def draw(self, draws: Draws) -> Example:
        """Return a list, with its length and its number of different values."""
        n_numbers = draws.between(self.min_numbers, self.max_numbers)
        largest = 9 if draws.chance(0.5) else LARGEST_NUMBER
        if draws.chance(self.few_values_share):
            values = [draws.between(0, largest) for _ in range(draws.between(1, 3))]
            numbers = [draws.pick(values) for _ in range(n_numbers)]
        else:
            numbers = [draws.between(0, largest) for _ in range(n_numbers)]
        attributes = {"n_numbers": n_numbers, "n_values": len(set(numbers)), "n_digits": len(str(largest))}
        text = f"Sort: {' '.join(map(str, numbers))} ->"
        return answered(text, " ".join(map(str, sorted(numbers))), domain=self.domain, attributes=attributes)


def _redraw_last_digits(draws: Draws, number: int, n_differing: int) -> int:
    if n_differing == len(str(number)):
        return draw_number(draws, n_differing)
    power: int = 10**n_differing
    return number - number % power + draws.between(0, power - 1)


def _shared_prefix(first: str, second: str) -> int:
    return next(index for index, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)
