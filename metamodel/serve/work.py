"""All predictions of a worker: in turn, in pieces, with a bounded queue.

Requests that wait at the same moment are predicted in one batch, which costs less than one by one; a prediction depends
on its own prompt alone, so that nobody can tell. A large request is cut into pieces, and takes turns with the others.

A piece that takes a moment runs in the event loop, because handing it to a thread would cost more; a longer one runs in
the worker's only prediction thread. So no two predictions ever run at once, and metamodels need not expect it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from metamodel.screen.screen import Screen
from metamodel.screen.screened import ScreenedPrompt
from metamodel.serve.errors import busy, timed_out

_Found = TypeVar("_Found")
# Other requests, and /health, wait so long for the event loop.
_LONGEST_IN_LOOP_S = 0.005
# Other requests wait so long for a piece in the thread; a single prompt may take longer.
_LONGEST_IN_THREAD_S = 0.025
# What a prompt costs besides its characters, in characters.
_PROMPT_CHARACTERS = 200
_SMOOTHING = 0.2
_LONGEST_RETRY_S = 60


@dataclass(kw_only=True, eq=False)
class _Job:
    """Prompts of one request, and the decisions on the first of them."""

    screen: Screen
    prompts: list[str]
    future: asyncio.Future[list[ScreenedPrompt]]
    screened: list[ScreenedPrompt] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The next prompts of a job, for one piece of work."""

    job: _Job
    prompts: list[str]


@dataclass(frozen=True, kw_only=True)
class _Ended:
    """A predicted piece: decisions or an error for each part, and what it took."""

    found: list[list[ScreenedPrompt] | Exception]
    seconds: float
    characters: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Call:
    run: Callable[[], None]
    is_over: Callable[[], bool]
    end: Callable[[asyncio.Future[None]], None]


class Work:
    """Predicts for the requests of one worker. Everything but the predictions themselves happens in its event loop."""

    def __init__(self, *, queue: int, timeout_s: float, s_per_character: float) -> None:
        """Start with nothing to do, in the running event loop.

        Args:
            queue: Most requests that wait at once.
            timeout_s: Longest that one waits, in seconds.
            s_per_character: What predicting takes a character, in seconds, until more is known.
        """
        self._queue, self._timeout_s = queue, timeout_s
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")
        self._jobs: deque[_Job] = deque()
        self._calls: deque[_Call] = deque()
        self._has_turn = False
        self._was_call = False
        self._n_waiting = 0
        self._s_per_character = s_per_character

    @property
    def n_waiting(self) -> int:
        """Requests that wait for a prediction, or are being predicted."""
        return self._n_waiting

    def expect(self, s_per_character: float) -> None:
        """Expect predictions to take longer or shorter from now on."""
        self._s_per_character = s_per_character

    def check_room(self) -> None:
        """Refuse a request, best before its body is read.

        Raises:
            Refusal: The queue is full.
        """
        if self._n_waiting >= self._queue:
            characters = sum(work_characters(job.prompts) for job in self._jobs)
            raise busy(min(max(math.ceil(characters * self._s_per_character), 1), _LONGEST_RETRY_S))

    async def screen(self, screen: Screen, prompts: list[str]) -> list[ScreenedPrompt]:
        """Return the decisions on prompts.

        Raises:
            Refusal: The queue is full, or the turn did not come in time.
        """
        self.check_room()
        job = _Job(screen=screen, prompts=prompts, future=self._loop.create_future())
        self._jobs.append(job)
        try:
            return await self._turn_of(job.future)
        except BaseException:
            if job in self._jobs:
                self._jobs.remove(job)
            raise

    async def call(self, function: Callable[[], _Found]) -> _Found:
        """Return what a function returns that predicts many times; it runs in the thread.

        Raises:
            Refusal: The queue is full, or the turn did not come in time.
        """
        self.check_room()
        future: asyncio.Future[_Found] = self._loop.create_future()
        found: list[_Found] = []

        def end(ended: asyncio.Future[None]) -> None:
            error = ended.exception()
            if error is not None:
                _fail(future, error)
            elif not future.done():
                future.set_result(found[0])

        call = _Call(run=lambda: found.append(function()), is_over=future.done, end=end)
        self._calls.append(call)
        try:
            return await self._turn_of(future)
        except BaseException:
            if call in self._calls:
                self._calls.remove(call)
            raise

    def close(self) -> None:
        """Let the thread end; nothing may be waiting any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _turn_of(self, future: asyncio.Future[_Found]) -> _Found:
        """Wait for a job's end, as long as it may take."""
        self._n_waiting += 1
        expiry = self._loop.call_later(self._timeout_s, self._expire, future)
        # Not at once: requests that came in together are counted before one is predicted, and are one batch.
        self._ask_for_turn()
        try:
            return await future
        finally:
            self._n_waiting -= 1
            expiry.cancel()

    def _expire(self, future: asyncio.Future[_Found]) -> None:
        _fail(future, timed_out(self._timeout_s))

    def _ask_for_turn(self) -> None:
        if not self._has_turn:
            self._has_turn = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Predict a piece, or have the thread do it; a turn that left something to do leads to the next."""
        if self._calls and not (self._was_call and self._jobs):
            self._was_call = True
            call = self._calls.popleft()
            if not call.is_over():
                running = self._loop.run_in_executor(self._thread, call.run)
                running.add_done_callback(call.end)
                running.add_done_callback(lambda _: self._end_turn())
                return
            self._end_turn()
            return
        self._was_call = False
        piece = self._next_piece()
        if not piece:
            self._end_turn()
        elif sum(work_characters(part.prompts) for part in piece) * self._s_per_character <= _LONGEST_IN_LOOP_S:
            self._end_piece(piece, _predict(piece))
        else:
            running_piece = self._loop.run_in_executor(self._thread, _predict, piece)
            running_piece.add_done_callback(lambda ended: self._end_piece(piece, ended.result()))

    def _end_turn(self) -> None:
        self._has_turn = False
        if self._jobs or self._calls:
            self._ask_for_turn()

    def _next_piece(self) -> list[_Part]:
        """Take prompts off the jobs in their order, at least one and else as many as may keep others waiting."""
        piece: list[_Part] = []
        room = 0.0
        while self._jobs and (not piece or room > 0):
            job = self._jobs[0]
            if job.future.done():
                self._jobs.popleft()
                continue
            left = job.prompts[len(job.screened) :]
            if not piece:
                first = work_characters(left[:1]) * self._s_per_character
                longest = _LONGEST_IN_LOOP_S if first <= _LONGEST_IN_LOOP_S else max(_LONGEST_IN_THREAD_S, first)
                room = longest / self._s_per_character
            elif job.screen is not piece[0].job.screen:
                break
            part = _fitting(left, room)
            if not part:
                break
            room -= work_characters(part)
            piece.append(_Part(job=self._jobs.popleft(), prompts=part))
        return piece

    def _end_piece(self, piece: Sequence[_Part], ended: _Ended) -> None:
        for part, found in zip(piece, ended.found, strict=True):
            job = part.job
            if isinstance(found, Exception):
                _fail(job.future, found)
                continue
            job.screened += found
            if len(job.screened) < len(job.prompts):
                self._jobs.append(job)
            elif not job.future.done():
                job.future.set_result(job.screened)
        rate = ended.seconds / ended.characters
        self._s_per_character += _SMOOTHING * (rate - self._s_per_character)
        self._end_turn()


def work_characters(texts: Sequence[str]) -> float:
    """Return about how many characters' work texts are."""
    return sum(map(len, texts)) + _PROMPT_CHARACTERS * len(texts)


def _fitting(texts: Sequence[str], room: float) -> list[str]:
    """Return the first texts whose work fits."""
    fitting: list[str] = []
    for text in texts:
        room -= work_characters((text,))
        # A rounding error must not keep out a text that the room was made for.
        if room < -1:
            break
        fitting.append(text)
    return fitting


def _predict(piece: Sequence[_Part]) -> _Ended:
    """Predict a piece; where that fails part by part, so that one request's trouble is not another's."""
    texts = [text for part in piece for text in part.prompts]
    begin = time.perf_counter()
    try:
        screened = piece[0].job.screen(texts)
        _require_all(screened, texts)
        found: list[list[ScreenedPrompt] | Exception] = []
        for part in piece:
            found.append(screened[: len(part.prompts)])
            screened = screened[len(part.prompts) :]
    except Exception as error:  # noqa: BLE001 - raised again in the request that it came from
        found = [error] if len(piece) == 1 else [_predict((part,)).found[0] for part in piece]
    return _Ended(found=found, seconds=time.perf_counter() - begin, characters=work_characters(texts))


def _require_all(screened: Sequence[ScreenedPrompt], texts: Sequence[str]) -> None:
    """Refuse to go on without a decision on every prompt: the next prompt's would be taken for it."""
    if len(screened) != len(texts):
        raise RuntimeError(f"got {len(screened)} decisions on {len(texts)} prompts")


def _fail(future: asyncio.Future[_Found], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
