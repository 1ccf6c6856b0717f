"""Draw outputs, token by token, with as many rows at once as the budget holds.

Rows that end leave, prompts that wait take their places, and what memory cannot hold waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from metamodel.errors import MetamodelError
from metamodel.primaries.drawn import DecodedRow, DrawnTokens
from metamodel.primaries.lanes import BatchLanes, Lanes
from metamodel.primaries.slots import SlotLanes
from metamodel.primaries.stepping import Abilities
from metamodel.primaries.stop_texts import StopTexts
from metamodel.primaries.waiting import Job, Waiting
from metamodel.types import Sampling

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

# Rows leave and join together: each change costs about as much as a step.
_WORTHWHILE_SHARE = 0.125
# Finished rows are handed on together, for the tokenizer's sake, but not late.
_BATCH_ROWS = 256
_BATCH_SECONDS = 2.0


class Decoder:
    """Draws the outputs of jobs.

    Attributes:
        budget: Limit of rows times positions; halved whenever memory runs out.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        sampling: Sampling,
        *,
        end_ids: Sequence[int],
        abilities: Abilities,
        batch_tokens: int,
        stops: StopTexts | None = None,
        stop_candidates: Tensor | None = None,
    ) -> None:
        """Prepare.

        Args:
            model: In evaluation mode.
            sampling: How tokens are chosen.
            end_ids: Tokens that end an output.
            abilities: What the model was measured to do.
            batch_tokens: The budget to begin with; a single row may exceed it.
            stops: Texts that end an output.
            stop_candidates: Tokens that may complete one, a truth value each, [v].
        """
        self._model, self._sampling, self._abilities = model, sampling, abilities
        self._end_ids, self._stops, self._stop_candidates = tuple(end_ids), stops, stop_candidates
        self.budget = batch_tokens
        self._finished: list[DecodedRow] = []
        self._admitting: list[Job] = []
        self._begin()

    def decode(self, windows: Iterator[Sequence[Job]]) -> Iterator[list[DecodedRow]]:
        """Yield every sample of every job, in batches, in the order in which they end.

        Args:
            windows: Jobs in pieces, read one after the other.

        Raises:
            MetamodelError: If the model gives logits that are no numbers, or memory does not hold a single row.
        """
        waiting = Waiting(windows, new_tokens=self._sampling.max_new_tokens)
        while batch := self._advance(waiting):
            yield batch

    @torch.inference_mode()
    def _advance(self, waiting: Waiting) -> list[DecodedRow]:
        """Go on until there is a batch to hand on; an empty one is the end."""
        started = time.monotonic()
        while True:
            try:
                self._change_rows(waiting)
                if self._drawn.is_running:
                    self._end_rows(self._drawn.draw(self._lanes.step(self._drawn.latest[: self._drawn.n_rows])))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._give_way(waiting, error)
            is_due = len(self._finished) >= _BATCH_ROWS or time.monotonic() - started >= _BATCH_SECONDS
            if not self._drawn.is_running or (self._finished and is_due):
                finished, self._finished = self._finished, []
                if finished or not (self._drawn.is_running or waiting.has_more()):
                    return finished

    def _begin(self) -> None:
        new_tokens = self._sampling.max_new_tokens
        self._lanes: Lanes = (
            SlotLanes(self._model, new_tokens=new_tokens)
            if self._abilities.joins
            else BatchLanes(self._model, use_cache=self._abilities.caches)
        )
        self._drawn = DrawnTokens(self._sampling, end_ids=self._end_ids, device=self._model.device)
        if self._stop_candidates is not None:
            self._drawn.watch(self._stop_candidates)

    def _change_rows(self, waiting: Waiting) -> None:
        """Fill the places of rows that have ended, or close them."""
        drawn = self._drawn
        while len(self._finished) < _BATCH_ROWS or drawn.is_running:
            holes = np.flatnonzero(~drawn.running[: drawn.n_rows]).tolist()
            if drawn.n_rows and len(holes) < max(1.0, _WORTHWHILE_SHARE * drawn.n_rows):
                return
            n_running = drawn.n_rows - len(holes)
            jobs = []
            if not n_running or self._lanes.can_join:
                jobs = waiting.take(
                    budget=self.budget,
                    n_running=n_running,
                    n_positions=drawn.longest_prompt() + self._sampling.max_new_tokens,
                    one_length=not self._abilities.pads,
                )
            if not jobs:
                self._close(holes)
                return
            self._admit(jobs, holes)

    def _admit(self, jobs: Sequence[Job], holes: Sequence[int]) -> None:
        drawn = self._drawn
        self._admitting = list(jobs)
        if not self._lanes.can_join or len(holes) == drawn.n_rows:
            self._close(holes)
            holes = ()
        rows = [(index, place) for index, job in enumerate(jobs) for place in range(len(job.seeds))]
        behind = range(drawn.n_rows, drawn.n_rows + max(0, len(rows) - len(holes)))
        into = [*holes[: len(rows)], *behind]
        logits = self._lanes.admit([job.prompt for job in jobs], [index for index, _ in rows], into)
        drawn.place([(jobs[index], place) for index, place in rows], into)
        self._admitting = []
        self._end_rows(drawn.draw(logits, torch.tensor(into, device=logits.device)))

    def _end_rows(self, found: Sequence[tuple[int, bool]]) -> None:
        """Finish rows that ended, and those in which a stop text is complete."""
        if not found:
            return
        stopped = dict.fromkeys((slot for slot, _ in found), False)
        if self._stops is not None:
            outputs = [self._drawn.output(slot) for slot in stopped]
            needed = self._stops.n_tokens_needed([job.prompt for job, _ in outputs], [tokens for _, tokens in outputs])
            for slot, n_tokens in zip(stopped, needed, strict=True):
                if n_tokens is not None:
                    self._drawn.cut(slot, n_tokens)
                    stopped[slot] = True
        ended = [slot for slot, has_ended in found if has_ended or stopped[slot]]
        if ended:
            self._finished += self._drawn.finish(ended, by_stop_text=[stopped[slot] for slot in ended])
            self._lanes.retire(ended)

    def _close(self, holes: Sequence[int]) -> None:
        """Move the last rows into the places of those that have ended."""
        drawn = self._drawn
        n_left = drawn.n_rows - len(holes)
        into = [hole for hole in holes if hole < n_left]
        sources = [row for row in range(n_left, drawn.n_rows) if drawn.running[row]]
        if holes:
            self._lanes.move(into, sources, n_left)
        drawn.move(into, sources, n_left)

    def _give_way(self, waiting: Waiting, error: Exception) -> None:
        """Halve the budget; rows on their way wait again and will be drawn as they would have been."""
        unfinished = [*self._drawn.unfinished(), *self._admitting]
        n_rows = sum(len(job.seeds) for job in unfinished)
        if n_rows <= 1:
            raise MetamodelError(
                "memory does not hold a single prompt with its output: lower sampling.max_new_tokens, choose a "
                "narrower dtype, or set device_map: auto"
            ) from error
        in_use = n_rows * (max(len(job.prompt) for job in unfinished) + self._sampling.max_new_tokens)
        self.budget = max(1, min(self.budget, in_use) // 2)
        waiting.put_back(_joined(unfinished))
        self._admitting = []
        self._begin()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error means that memory ran out, on whatever device.

    >>> is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."))
    True
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    message = str(error).lower()
    return "out of memory" in message or "can't allocate memory" in message or "not enough memory" in message


def _joined(jobs: Sequence[Job]) -> list[Job]:
    """Return jobs with the samples of one prompt together again."""
    together: dict[tuple[str, tuple[int, ...]], list[Job]] = {}
    for job in jobs:
        together.setdefault((job.name, job.prompt), []).append(job)
    return [
        Job(
            name=name,
            prompt=prompt,
            samples=tuple(sample for part in parts for sample in part.samples),
            seeds=tuple(seed for part in parts for seed in part.seeds),
        )
        for (name, prompt), parts in together.items()
    ]
