"""Strings and sequences: reversal and successors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from metamodel.prompts.base import Draws, Example, GeneratedDomain, answered, range_problem, refuse, share_problem
from metamodel.types import Scalar

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LETTERS = tuple(ascii_lowercase)
CYCLE_ITEMS = (*LETTERS, *"0123456789")
ROUNDS = {"days": DAYS, "letters": LETTERS, "months": MONTHS}
SEQUENCES = ("numbers", "days", "letters", "months", "cycle")
LARGEST_START = 150
LARGEST_STEP = 5
LEAST_SHOWN = 3
MOST_SHOWN = 6
SMALLEST_CYCLE = 2
LARGEST_CYCLE = 4


@dataclass(frozen=True, kw_only=True)
class Reversal(GeneratedDomain):
    """Lowercase strings backwards: "Reverse: abcd ->" -> " dcba". Short strings are more frequent.

    Attributes:
        min_length: Shortest string.
        max_length: Longest string.
        few_letters_share: How often a string uses one to three letters.
        periodic_share: How often a string repeats a unit of one to four letters.
        domain: Name of the domain.
    """

    min_length: int = 2
    max_length: int = 24
    few_letters_share: float = 0.2
    periodic_share: float = 0.25
    domain: str = "reversal"

    def __post_init__(self) -> None:
        """Refuse an empty range of lengths and shares that are none."""
        refuse(
            range_problem("length", self.min_length, self.max_length, least=1, most=160),
            share_problem("few_letters_share", self.few_letters_share),
            share_problem("periodic_share", self.periodic_share),
            share_problem("few_letters_share + periodic_share", self.few_letters_share + self.periodic_share),
        )

    def draw(self, draws: Draws) -> Example:
        """Return a string, with its length and how it was made."""
        # The square of a uniform fraction: half of all strings lie in the lowest quarter of the range.
        length = self.min_length + int(draws.fraction() ** 2 * (self.max_length - self.min_length + 1))
        made_by = draws.fraction()
        if made_by < self.periodic_share:
            pattern = "periodic"
            unit = "".join(draws.pick(LETTERS) for _ in range(draws.between(1, 4)))
            word = (unit * length)[:length]
        elif made_by < self.periodic_share + self.few_letters_share:
            pattern = "few_letters"
            letters = draws.distinct(LETTERS, draws.between(1, 3))
            word = "".join(draws.pick(letters) for _ in range(length))
        else:
            pattern = "random"
            word = "".join(draws.pick(LETTERS) for _ in range(length))
        attributes: dict[str, Scalar] = {"length": length, "pattern": pattern}
        return answered(f"Reverse: {word} ->", word[::-1], domain=self.domain, attributes=attributes)


@dataclass(frozen=True, kw_only=True)
class Successor(GeneratedDomain):
    """The next items of a sequence, as many as asked for: "Continue by 3: 7 8 9" -> " 10 11 12".

    Sequences are numbers (steps 1 to 5), days, letters, months (each around its end) and cycles of two to four items.

    Attributes:
        min_items: Fewest items asked for.
        max_items: Most items asked for.
        sequences: Which sequences occur, each equally often.
        domain: Name of the domain.
    """

    min_items: int = 2
    max_items: int = 16
    sequences: tuple[str, ...] = SEQUENCES
    domain: str = "successor"

    def __post_init__(self) -> None:
        """Refuse an empty range of items and unknown sequences."""
        unknown = [name for name in self.sequences if name not in SEQUENCES]
        refuse(
            range_problem("items", self.min_items, self.max_items, least=1, most=60),
            f"sequences names {', '.join(map(repr, unknown))}, allowed are {', '.join(SEQUENCES)}" if unknown else None,
            None if self.sequences else f"sequences is empty, allowed are {', '.join(SEQUENCES)}",
        )

    def draw(self, draws: Draws) -> Example:
        """Return the start of a sequence, with its kind, the items shown and asked for, and its step or period."""
        sequence = draws.pick(self.sequences)
        n_asked = draws.between(self.min_items, self.max_items)
        n_shown = draws.between(LEAST_SHOWN, MOST_SHOWN)
        step = 1
        if sequence == "numbers":
            step = draws.between(1, LARGEST_STEP)
            start = draws.between(0, LARGEST_START)
            items = [str(start + index * step) for index in range(n_shown + n_asked)]
        else:
            if sequence == "cycle":
                cycle: Sequence[str] = draws.distinct(CYCLE_ITEMS, draws.between(SMALLEST_CYCLE, LARGEST_CYCLE))
                # At least one period and a half is shown: fewer items would leave the period open.
                n_shown = len(cycle) + draws.between((len(cycle) + 1) // 2, len(cycle))
                start, step = 0, len(cycle)
            else:
                cycle = ROUNDS[sequence]
                start = draws.between(0, len(cycle) - 1)
            items = [cycle[(start + index) % len(cycle)] for index in range(n_shown + n_asked)]
        attributes: dict[str, Scalar] = {"sequence": sequence, "n_shown": n_shown, "n_asked": n_asked, "step": step}
        text = f"Continue by {n_asked}: {' '.join(items[:n_shown])}"
        return answered(text, " ".join(items[n_shown:]), domain=self.domain, attributes=attributes)


@dataclass(frozen=True, kw_only=True)
class Cycle(GeneratedDomain):
    """The next items of a cycle: "Continue by 5: red blue red blue" -> " red blue red blue red".

    The right answer is itself periodic: a loop that is no failure.

    Attributes:
        min_items: Fewest items asked for.
        max_items: Most items asked for.
        domain: Name of the domain.
    """

    min_items: int = 2
    max_items: int = 16
    domain: str = "cycle"

    def __post_init__(self) -> None:
        """Refuse an empty range of items."""
        self._sequence()

    def draw(self, draws: Draws) -> Example:
        """Return the start of a cycle, with the items shown and asked for, and its period as step."""
        return self._sequence().draw(draws)

    def _sequence(self) -> Successor:
        return Successor(min_items=self.min_items, max_items=self.max_items, sequences=("cycle",), domain=self.domain)
