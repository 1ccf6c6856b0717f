"""What has been drawn so far, in preallocated tensors.

Shapes: s = slots, n = rows in use, t = steps, v = vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from metamodel.errors import MetamodelError
from metamodel.primaries.randomness import uniform_streams
from metamodel.primaries.token_choice import choose_tokens
from metamodel.types import FinishReason, Sampling

if TYPE_CHECKING:
    from torch import Tensor

    from metamodel.primaries.waiting import Job

_NOTHING, _STOP_CANDIDATE, _END = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class DecodedRow:
    """One output drawn.

    Attributes:
        job: Where it belongs.
        sample: Index among the samples.
        seed: Of its random stream.
        token_ids: The end token included.
        logprobs: Natural, at temperature 1, one a token.
        finish_reason: Whether an end token, a stop text or the limit ended it.
    """

    job: Job
    sample: int
    seed: int
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason


class DrawnTokens:
    """The outputs of the rows that are on their way; row i is the same row until it is moved or replaced.

    Attributes:
        n_rows: Rows in use, ended ones included.
        running: Which of the slots hold a row that has not ended, [s].
        latest: The latest token of each row, [s].
    """

    def __init__(self, sampling: Sampling, *, end_ids: Sequence[int], device: torch.device) -> None:
        """Begin without rows."""
        self._sampling = sampling
        self._end_ids = list(end_ids)
        self._device = device
        self._jobs: list[tuple[Job, int]] = []
        self._kinds: Tensor | None = None  # [v]
        self._stop_candidates: Tensor | None = None  # [v]
        self.n_rows = 0
        self.running = np.zeros(0, dtype=np.bool_)
        shape = (0, sampling.max_new_tokens)
        self._tokens = torch.zeros(shape, dtype=torch.long, device=device)  # [s, t]
        self._logprobs = torch.zeros(shape, dtype=torch.float32, device=device)  # [s, t]
        self._uniforms = torch.zeros(shape, dtype=torch.float64, device=device)  # [s, t], [0, t] if greedy
        self._steps = torch.zeros(0, dtype=torch.long, device=device)  # [s], tokens drawn
        self._all_rows = torch.arange(0, device=device)  # [s]
        self.latest = torch.zeros(0, dtype=torch.long, device=device)

    @property
    def is_running(self) -> bool:
        """Whether any row has not ended."""
        return bool(self.running[: self.n_rows].any())

    def watch(self, stop_candidates: Tensor) -> None:
        """Report rows that draw one of these tokens, a truth value each, [v]."""
        self._stop_candidates = stop_candidates

    def place(self, jobs: Sequence[tuple[Job, int]], into: Sequence[int]) -> None:
        """Begin rows, each a job and the place of its sample in it, in the given slots: free ones, then those behind.

        Raises:
            IndexError: The slots leave a gap.
        """
        n_rows = max([*into, self.n_rows - 1]) + 1
        if n_rows > len(self._steps):
            self._make_room(n_rows + n_rows // 4)
        for job, slot in zip(jobs, into, strict=True):
            if slot == len(self._jobs):
                self._jobs.append(job)
            else:
                self._jobs[slot] = job
        rows = torch.tensor(list(into), device=self._device)
        self._steps[rows] = 0
        if not self._sampling.is_greedy:
            streams = uniform_streams([job.seeds[place] for job, place in jobs], self._sampling.max_new_tokens)
            self._uniforms[rows] = torch.from_numpy(streams).to(self._device)
        self.running[list(into)] = True
        self.n_rows = n_rows

    def draw(self, logits: Tensor, rows: Tensor | None = None) -> list[tuple[int, bool]]:
        """Draw the next token of the given rows (all without), and return those that may have ended.

        Args:
            logits: Of their next tokens, [n, v].
            rows: Slots, [n].

        Returns:
            Slots in use whose row ended (True) or drew a token that may complete a stop text (False).
        """
        if rows is None:
            rows = self._all_rows[: self.n_rows]
        steps = self._steps[rows]
        # A row that ended goes on in its slot for a while; what it writes is never read.
        last = self._sampling.max_new_tokens - 1
        at = steps.clamp(max=last)
        uniforms = self._uniforms[rows, at] if not self._sampling.is_greedy else self._uniforms
        choice = choose_tokens(logits, self._sampling, uniforms)
        self.latest[rows] = choice.tokens
        self._tokens[rows, at], self._logprobs[rows, at] = choice.tokens, choice.logprobs
        self._steps[rows] = steps + 1
        kinds = self._kinds_of(logits.shape[-1])[choice.tokens]
        kinds = torch.where(steps >= last, torch.clamp(kinds, min=_END), kinds)
        found = kinds.nonzero()[:, 0]
        slots, kinds_found = rows[found].tolist(), kinds[found].tolist()
        return [(slot, kind == _END) for slot, kind in zip(slots, kinds_found, strict=True) if self.running[slot]]

    def output(self, slot: int) -> tuple[Job, tuple[int, ...]]:
        """Return a row's job and the tokens drawn so far."""
        return self._jobs[slot][0], tuple(self._tokens[slot, : int(self._steps[slot])].tolist())

    def cut(self, slot: int, n_tokens: int) -> None:
        """Keep the first tokens of a row."""
        self._steps[slot] = n_tokens

    def finish(self, slots: Sequence[int], *, by_stop_text: Sequence[bool]) -> list[DecodedRow]:
        """End rows and return them.

        Raises:
            MetamodelError: If the model gave logits that are no numbers.
        """
        rows = torch.tensor(list(slots), device=self._device)
        lengths, tokens = self._steps[rows].tolist(), self._tokens[rows].tolist()
        logprobs = self._logprobs[rows].double().tolist()
        self.running[list(slots)] = False
        ends = set(self._end_ids)
        finished = []
        for index, (slot, length) in enumerate(zip(slots, lengths, strict=True)):
            job, place = self._jobs[slot]
            drawn, found = tuple(tokens[index][:length]), tuple(logprobs[index][:length])
            if not np.isfinite(found).all():
                raise MetamodelError(
                    "the primary model's logits are not finite: its weights are damaged, or dtype is too narrow "
                    "(use float32)"
                )
            reason: FinishReason = "stop_string" if by_stop_text[index] else "stop" if drawn[-1] in ends else "length"
            finished.append(
                DecodedRow(
                    job=job,
                    sample=job.samples[place],
                    seed=job.seeds[place],
                    token_ids=drawn,
                    logprobs=found,
                    finish_reason=reason,
                )
            )
        return finished

    def move(self, into: Sequence[int], sources: Sequence[int], n_rows: int) -> None:
        """Copy rows into the places of others and keep the first `n_rows`."""
        if into:
            targets, origins = (torch.tensor(list(rows), device=self._device) for rows in (into, sources))
            for values in (self._tokens, self._logprobs, self._steps, self.latest, self._uniforms):
                if len(values):
                    values[targets] = values[origins]
            self.running[list(into)] = self.running[list(sources)]
            for target, source in zip(into, sources, strict=True):
                self._jobs[target] = self._jobs[source]
        self.running[n_rows:] = False
        del self._jobs[n_rows:]
        self.n_rows = n_rows

    def unfinished(self) -> list[Job]:
        """Return what the running rows were to draw, one job a row."""
        places = (self._jobs[slot] for slot in np.flatnonzero(self.running[: self.n_rows]))
        return [job.part(place, place + 1) for job, place in places]

    def longest_prompt(self) -> int:
        """Return the length of the longest prompt that is on its way."""
        return max((len(self._jobs[slot][0].prompt) for slot in np.flatnonzero(self.running[: self.n_rows])), default=0)

    def _make_room(self, n_slots: int) -> None:
        """Copy what is held into larger tensors."""
        self._tokens, self._logprobs = _larger(self._tokens, n_slots), _larger(self._logprobs, n_slots)
        self._steps, self.latest = _larger(self._steps, n_slots), _larger(self.latest, n_slots)
        if not self._sampling.is_greedy:
            self._uniforms = _larger(self._uniforms, n_slots)
        self._all_rows = torch.arange(n_slots, device=self._device)
        self.running = np.concatenate([self.running, np.zeros(n_slots - len(self.running), dtype=np.bool_)])

    def _kinds_of(self, n_vocabulary: int) -> Tensor:
        if self._kinds is None:
            kinds = torch.full((n_vocabulary,), _NOTHING, dtype=torch.int8, device=self._device)
            if self._stop_candidates is not None:
                known = self._stop_candidates[:n_vocabulary].to(self._device)
                kinds[: len(known)][known] = _STOP_CANDIDATE
            ends = torch.tensor([end for end in self._end_ids if end < n_vocabulary], dtype=torch.long)
            kinds[ends.to(self._device)] = _END
            self._kinds = kinds
        return self._kinds


def _larger(values: Tensor, n_slots: int) -> Tensor:
    larger = values.new_zeros((n_slots, *values.shape[1:]))
    larger[: len(values)] = values
    return larger
