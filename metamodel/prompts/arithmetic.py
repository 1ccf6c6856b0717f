"""Sums, differences and products of two numbers with equally many digits."""

from __future__ import annotations

from dataclasses import dataclass

from metamodel.prompts.base import Draws, Example, GeneratedDomain, answered, range_problem, refuse

MOST_DIGITS = 18
BASE = 10


@dataclass(frozen=True, kw_only=True)
class Addition(GeneratedDomain):
    """Sums: "17 + 25 =" -> " 42".

    Attributes:
        min_digits: Fewest digits of both operands.
        max_digits: Most digits of both operands.
        domain: Name of the domain.
    """

    min_digits: int = 1
    max_digits: int = 6
    domain: str = "addition"

    def __post_init__(self) -> None:
        """Refuse an empty range of digits."""
        refuse(range_problem("digits", self.min_digits, self.max_digits, least=1, most=MOST_DIGITS))

    def draw(self, draws: Draws) -> Example:
        """Return a sum, with its number of digits and carries."""
        n_digits = draws.between(self.min_digits, self.max_digits)
        left, right = draw_number(draws, n_digits), draw_number(draws, n_digits)
        attributes = {"n_digits": n_digits, "carries": count_carries(left, right)}
        return answered(f"{left} + {right} =", str(left + right), domain=self.domain, attributes=attributes)


@dataclass(frozen=True, kw_only=True)
class Subtraction(GeneratedDomain):
    """Differences, which may be negative: "17 - 25 =" -> " -8".

    Attributes:
        min_digits: Fewest digits of both operands.
        max_digits: Most digits of both operands.
        domain: Name of the domain.
    """

    min_digits: int = 1
    max_digits: int = 6
    domain: str = "subtraction"

    def __post_init__(self) -> None:
        """Refuse an empty range of digits."""
        refuse(range_problem("digits", self.min_digits, self.max_digits, least=1, most=MOST_DIGITS))

    def draw(self, draws: Draws) -> Example:
        """Return a difference, with its number of digits and its sign."""
        n_digits = draws.between(self.min_digits, self.max_digits)
        left, right = draw_number(draws, n_digits), draw_number(draws, n_digits)
        attributes = {"n_digits": n_digits, "negative": left < right}
        return answered(f"{left} - {right} =", str(left - right), domain=self.domain, attributes=attributes)


@dataclass(frozen=True, kw_only=True)
class Multiplication(GeneratedDomain):
    """Products: "17 * 25 =" -> " 425".

    Attributes:
        min_digits: Fewest digits of both operands.
        max_digits: Most digits of both operands.
        domain: Name of the domain.
    """

    min_digits: int = 1
    max_digits: int = 6
    domain: str = "multiplication"

    def __post_init__(self) -> None:
        """Refuse an empty range of digits."""
        refuse(range_problem("digits", self.min_digits, self.max_digits, least=1, most=MOST_DIGITS))

    def draw(self, draws: Draws) -> Example:
        """Return a product, with its number of digits."""
        n_digits = draws.between(self.min_digits, self.max_digits)
        left, right = draw_number(draws, n_digits), draw_number(draws, n_digits)
        attributes = {"n_digits": n_digits}
        return answered(f"{left} * {right} =", str(left * right), domain=self.domain, attributes=attributes)


def draw_number(draws: Draws, n_digits: int) -> int:
    """Return a number with exactly n_digits digits; one digit may be 0."""
    return draws.between(0 if n_digits == 1 else 10 ** (n_digits - 1), 10**n_digits - 1)


def count_carries(left: int, right: int) -> int:
    """Return how many columns of a written addition carry.

    >>> count_carries(58, 67), count_carries(12, 34)
    (2, 0)
    """
    n_carries = carry = 0
    while left or right:
        carry = int(left % BASE + right % BASE + carry >= BASE)
        n_carries += carry
        left, right = left // BASE, right // BASE
    return n_carries
