"""Where a text becomes periodic.

Ground floor: nothing here imports another module of the project.
"""

from __future__ import annotations

from dataclasses import dataclass

FEWEST_CYCLES = 2

# The end of a text that is searched for in the rest: longer ones are rarer, but a search may take their length longer.
_LONGEST_TAIL = 16
# What one candidate costs beside the characters compared, and how much all may cost for each character of the text.
_CANDIDATE_COST = 16
_COST_LIMIT = 4


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


class _TooManyCandidatesError(Exception):
    """A text so repetitive that trying its candidates might take more than linear time."""


def find_loop(text: str, *, min_cycles: int = 3, min_length: int = 12) -> Loop | None:
    """Return the periodic end of a text, or None.

    Of all suffixes with length L, smallest period p, L >= min_cycles * p and L >= min_length it is the longest one: the
    loop with the earliest onset, and with the smallest period from there.

    A suffix with period p ends as it ended p characters before, so the earlier occurrences of the text's last
    characters propose periods, and comparing slices tells how far back each holds. By Fine and Wilf (1965) no period
    up to L - p holds further back than a loop of length L and period p. Where proposals abound, `find_loop_by_borders`
    decides instead: time and memory are linear for every text.

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
    if len(text) < max(min_cycles, min_length):
        return None
    try:
        return _find_among_repeats(text, min_cycles, min_length)
    except _TooManyCandidatesError:
        return find_loop_by_borders(text, min_cycles=min_cycles, min_length=min_length)


def find_loop_by_borders(text: str, *, min_cycles: int, min_length: int) -> Loop | None:
    """Return what `find_loop` returns, character by character.

    A prefix of length L whose longest border (proper prefix that is also a suffix) has length b has smallest period
    L - b (Knuth, Morris, Pratt, 1977); suffixes are the prefixes of the reversed text.

    Args:
        text: An output.
        min_cycles: Fewest cycles, at least 2.
        min_length: Fewest characters, at least 1.
    """
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
    return _loop(text, loop_length, loop_period)


def _find_among_repeats(text: str, min_cycles: int, min_length: int) -> Loop | None:
    """Try the distances from the text's last characters to their earlier occurrences, the shortest first."""
    n = len(text)
    # In a loop the last L - p >= L * (1 - 1 / min_cycles) characters also stand p characters earlier.
    tail_length = min(-(-min_length * (min_cycles - 1) // min_cycles), _LONGEST_TAIL)
    tail = text[n - tail_length :]
    earliest = max(n - tail_length - n // min_cycles, 0)
    loop_length = loop_period = cost = 0
    place = text.rfind(tail, earliest, n - 1)
    while place >= 0:
        period = n - tail_length - place
        length = period + _agreement(text, period)
        cost += _CANDIDATE_COST + 3 * (length - period)
        if cost > _COST_LIMIT * (n + _CANDIDATE_COST):
            raise _TooManyCandidatesError
        longest_refuted = period
        if length > loop_length and length >= max(min_cycles * period, min_length):
            loop_length, loop_period = length, period
            longest_refuted = length - period
        place = text.rfind(tail, earliest, n - longest_refuted - 1)
    return _loop(text, loop_length, loop_period)


def _agreement(text: str, period: int) -> int:
    """Return how many characters at the end of a text equal those one period earlier, by comparing growing slices."""
    longest = len(text) - period
    alike, differs = 0, _CANDIDATE_COST
    while differs <= longest and _is_alike(text, period, alike, differs):
        alike, differs = differs, 2 * differs
    differs = min(differs, longest + 1)
    while differs - alike > 1:
        middle = (alike + differs) // 2
        if _is_alike(text, period, alike, middle):
            alike = middle
        else:
            differs = middle
    return alike


def _is_alike(text: str, period: int, begin: int, end: int) -> bool:
    """Return whether the characters from `begin` to `end`, counted from the end, equal those one period before."""
    n = len(text)
    return text[n - end : n - begin] == text[n - end - period : n - begin - period]


def _loop(text: str, length: int, period: int) -> Loop | None:
    return Loop(onset=len(text) - length, period=period, cycles=length / period) if length else None


def check_loop_limits(min_cycles: int, min_length: int) -> None:
    """Raise ValueError with all that is wrong with what counts as a loop."""
    problems = []
    if min_cycles < FEWEST_CYCLES:
        problems.append(f"min_cycles is {min_cycles}, must be at least {FEWEST_CYCLES}: one cycle repeats nothing")
    if min_length < 1:
        problems.append(f"min_length is {min_length}, must be at least 1")
    if problems:
        raise ValueError("; ".join(problems))
