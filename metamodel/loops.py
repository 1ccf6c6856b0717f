"""Where a text becomes periodic.

Ground floor: nothing here imports another module of the project.
"""

from __future__ import annotations

from dataclasses import dataclass

FEWEST_CYCLES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Loop:
    """The periodic end of a text.

    Attributes:
        onset: Where it begins, in characters from the start of the text.
        period: Length of what repeats, in characters.
        cycles: How often it runs, the unfinished last cycle included.
    """

    onset: int
    period: int
    cycles: float


def find_loop(text: str, *, min_cycles: int = 3, min_length: int = 12) -> Loop | None:
    """Return the periodic end of a text, or None.

    Of all suffixes with length L, smallest period p, L >= min_cycles * p and L >= min_length it is the longest one: the
    loop with the earliest onset, and with the smallest period from there.

    A prefix of length L whose longest border (proper prefix that is also a suffix) has length b has smallest period
    L - b (Knuth, Morris, Pratt, 1977); suffixes are the prefixes of the reversed text. Time and memory are linear.

    Args:
        text: An output.
        min_cycles: Fewest cycles, at least 2.
        min_length: Fewest characters, at least 1.

    Raises:
        ValueError: min_cycles is below 2 or min_length below 1.

    >>> find_loop("I am so sad, so sad, so sad, so")
    Loop(onset=4, period=8, cycles=3.375)
    """
    check_loop_limits(min_cycles, min_length)
    if not _may_loop(text, min_cycles, min_length):
        return None
    backwards = text[::-1]
    borders = [0]  # borders[i] is the longest border's length of backwards[: i + 1]
    border = loop_length = loop_period = 0
    for length, char in enumerate(backwards[1:], start=2):
        while border and backwards[border] != char:
            border = borders[border - 1]
        if backwards[border] == char:
            border += 1
        borders.append(border)
        if length >= min_length and length >= min_cycles * (length - border):
            loop_length, loop_period = length, length - border
    if not loop_length:
        return None
    return Loop(onset=len(text) - loop_length, period=loop_period, cycles=loop_length / loop_period)


def _may_loop(text: str, min_cycles: int, min_length: int) -> bool:
    """Return False for most texts without a loop, by one fast search.

    In a loop the last L - p >= L * (1 - 1 / min_cycles) characters also stand p characters earlier, and p is at most
    the length of the text over min_cycles.
    """
    if len(text) < max(min_cycles, min_length):
        return False
    tail = -(-min_length * (min_cycles - 1) // min_cycles)
    earliest = len(text) - tail - len(text) // min_cycles
    return text.find(text[len(text) - tail :], max(earliest, 0), len(text) - 1) >= 0


def check_loop_limits(min_cycles: int, min_length: int) -> None:
    """Raise ValueError with all that is wrong with what counts as a loop."""
    problems = []
    if min_cycles < FEWEST_CYCLES:
        problems.append(f"min_cycles is {min_cycles}, must be at least {FEWEST_CYCLES}: one cycle repeats nothing")
    if min_length < 1:
        problems.append(f"min_length is {min_length}, must be at least 1")
    if problems:
        raise ValueError("; ".join(problems))
