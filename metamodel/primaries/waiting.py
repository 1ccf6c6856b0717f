"""Prompts that wait to be drawn: read ahead in windows, sorted by length, handed out under a budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Job:
    """Some samples of one prompt.

    Attributes:
        name: The prompt's id, for whoever asked.
        prompt: Token ids, at least one.
        samples: Indices of the samples.
        seeds: Of each sample's random stream.
    """

    name: str
    prompt: tuple[int, ...]
    samples: tuple[int, ...]
    seeds: tuple[int, ...]

    def part(self, start: int, stop: int | None) -> Job:
        """Return the job for a slice of its samples."""
        return replace(self, samples=self.samples[start:stop], seeds=self.seeds[start:stop])


class Waiting:
    """Jobs in an order in which neighbors are close in length."""

    def __init__(self, windows: Iterator[Sequence[Job]], *, new_tokens: int) -> None:
        """Take jobs from windows, the next of which is read when the last one has been handed out.

        Args:
            windows: Pieces of the whole work, each of which fits in memory.
            new_tokens: The most tokens drawn a row.
        """
        self._windows = windows
        self._new_tokens = new_tokens
        self._jobs: deque[Job] = deque()

    def take(self, *, budget: int, n_running: int, n_positions: int, one_length: bool) -> list[Job]:
        """Return the next jobs that fit beside the rows that are running; at least one if none is.

        Args:
            budget: Limit of rows times positions.
            n_running: Rows that are on their way.
            n_positions: The most positions that one of them may come to hold.
            one_length: Whether only prompts of one length may go together.
        """
        taken: list[Job] = []
        n_rows = n_running
        while self.has_more():
            job = self._jobs[0]
            if one_length and taken and len(job.prompt) != len(taken[0].prompt):
                break
            n_positions = max(n_positions, len(job.prompt) + self._new_tokens)
            room = max(0, budget // n_positions - n_rows)
            most = max(1, budget // n_positions)
            if len(job.seeds) > room and not (room and len(job.seeds) > most) and n_rows:
                break
            count = min(len(job.seeds), max(1, room))
            taken.append(job.part(0, count))
            n_rows += count
            self._jobs.popleft()
            if count < len(job.seeds):
                self._jobs.appendleft(job.part(count, None))
        return taken

    def put_back(self, jobs: Sequence[Job]) -> None:
        """Let jobs wait again, before all others."""
        self._jobs.extendleft(reversed(jobs))

    def has_more(self) -> bool:
        """Say whether any job waits; reads the next window where that takes it."""
        while not self._jobs:
            window = next(self._windows, None)
            if window is None:
                return False
            # Shortest first: a row that has run long is then about as wide as those that join it, and while rows are
            # narrow more of them fit the budget.
            ordered = sorted(window, key=lambda job: (len(job.prompt), job.prompt))
            self._jobs.extend(ordered)
        return True
